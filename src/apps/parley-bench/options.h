/* SPDX-License-Identifier: Apache-2.0
 * options.h: the command line of parley-bench: one table of options for all subcommands; which of
 * them a subcommand takes, and which it insists on, stands in its line of main.c. Frames per write
 * and messages in flight have no default anywhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define OPTION_UNSET UINT64_MAX

enum option {
    OPTION_SERVER,
    OPTION_SERVER_PID,
    OPTION_METRICS,
    OPTION_DRIVER,
    OPTION_CONNECTIONS,
    OPTION_PAIRS,
    OPTION_FANOUT,
    OPTION_FRAMES_PER_WRITE,
    OPTION_IN_FLIGHT,
    OPTION_RATE,
    OPTION_CLOSED,
    OPTION_ONE_WAY,
    OPTION_BODY,
    OPTION_WARMUP,
    OPTION_SECONDS,
    OPTION_MESSAGES,
    OPTION_BYTES,
    OPTION_FOLDER,
    OPTION_JSON,
    OPTION_HDR,
    OPTION_STATE,
    OPTION_RESTART,
    OPTION_STALL,
    OPTION_PAGES,
    OPTION_CLIENT_CPU,
    OPTION_SERVER_CPU,
    OPTIONS
};

#define OPTION_BIT(option) (1u << (option))

struct options {
    const char *texts[OPTIONS]; /* as given; NULL: not given */
    uint64_t numbers[OPTIONS];  /* of numeric ones; OPTION_UNSET: neither given nor defaulted */
    int count;                  /* argv, for the report */
    char *const *arguments;
};

/* Options from argv[2] on. `takes`, `needs`: bits. False: said on standard error, what is wrong. */
bool options_read(struct options *options, int count, char *const *arguments, uint32_t takes,
                  uint32_t needs);

bool options_given(const struct options *options, enum option option);
