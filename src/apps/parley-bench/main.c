/* SPDX-License-Identifier: Apache-2.0
 * parley-bench: the load client. Manual: docs/man/parley-bench.1. One line a subcommand. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "apps/parley-bench/subcommands.h"
#include "base/assert.h"

#define LOOP_OPTIONS                                                                        \
    (OPTION_BIT(OPTION_FRAMES_PER_WRITE) | OPTION_BIT(OPTION_IN_FLIGHT) |                   \
     OPTION_BIT(OPTION_RATE) | OPTION_BIT(OPTION_CLOSED) | OPTION_BIT(OPTION_BODY) |        \
     OPTION_BIT(OPTION_WARMUP) | OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_MESSAGES) | \
     OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HDR) | OPTION_BIT(OPTION_CLIENT_CPU))

struct subcommand {
    const char *name;
    enum bench_exit (*run)(const struct options *options);
    uint32_t needs, takes; /* option bits; what is needed is taken */
};

static const struct subcommand subcommands[] = {
    {"echo", echo_run, OPTION_BIT(OPTION_CONNECTIONS),
     LOOP_OPTIONS | OPTION_BIT(OPTION_SERVER_CPU)},
    {"fan", fan_run, OPTION_BIT(OPTION_IN_FLIGHT),
     OPTION_BIT(OPTION_FANOUT) | OPTION_BIT(OPTION_BODY) | OPTION_BIT(OPTION_WARMUP) |
         OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HDR) |
         OPTION_BIT(OPTION_CLIENT_CPU) | OPTION_BIT(OPTION_SERVER_CPU)},
    {"reconnect-storm", reconnect_run,
     OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_CONNECTIONS) | OPTION_BIT(OPTION_RATE),
     OPTION_BIT(OPTION_WARMUP) | OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_BODY) |
         OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HDR) | OPTION_BIT(OPTION_CLIENT_CPU)},
    {"sync", sync_run, OPTION_BIT(OPTION_FOLDER),
     OPTION_BIT(OPTION_BYTES) | OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_JSON) |
         OPTION_BIT(OPTION_HDR)},
    {"pm", pm_run, OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_PAIRS),
     LOOP_OPTIONS | OPTION_BIT(OPTION_SERVER_PID) | OPTION_BIT(OPTION_DRIVER) |
         OPTION_BIT(OPTION_ONE_WAY) | OPTION_BIT(OPTION_METRICS)},
    {"idle", idle_run,
     OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_CONNECTIONS) | OPTION_BIT(OPTION_SERVER_PID),
     OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_DRIVER) |
         OPTION_BIT(OPTION_CLIENT_CPU)},
    {"login-storm", storm_run,
     OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_CONNECTIONS) | OPTION_BIT(OPTION_IN_FLIGHT),
     OPTION_BIT(OPTION_SERVER_PID) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HDR) |
         OPTION_BIT(OPTION_DRIVER) | OPTION_BIT(OPTION_CLIENT_CPU)},
    {"history", history_run,
     OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_PAIRS) | OPTION_BIT(OPTION_STATE),
     OPTION_BIT(OPTION_MESSAGES) | OPTION_BIT(OPTION_FRAMES_PER_WRITE) |
         OPTION_BIT(OPTION_IN_FLIGHT) | OPTION_BIT(OPTION_SECONDS) | OPTION_BIT(OPTION_PAGES) |
         OPTION_BIT(OPTION_BODY) | OPTION_BIT(OPTION_SERVER_PID) | OPTION_BIT(OPTION_JSON) |
         OPTION_BIT(OPTION_HDR) | OPTION_BIT(OPTION_CLIENT_CPU)},
    {"loss", loss_run,
     OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_PAIRS) | OPTION_BIT(OPTION_MESSAGES),
     OPTION_BIT(OPTION_BODY) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_DRIVER) |
         OPTION_BIT(OPTION_RESTART) | OPTION_BIT(OPTION_STALL) | OPTION_BIT(OPTION_SERVER_PID)},
};

static const char help[] =
    "parley-bench: measure a server of Parley, and the machine beside it.\n"
    "\n"
    "  parley-bench echo --connections N LOOP [--server-cpu C]      raw epoll echo\n"
    "  parley-bench fan --in-flight W [--fanout 256] [--server-cpu C]  raw fan-out\n"
    "  parley-bench sync --folder DIR [--bytes N] [--seconds S]     fdatasync\n"
    "  parley-bench pm --server ADDR:PORT --pairs P LOOP [--one-way] [--server-pid PID]\n"
    "      [--metrics ADDR:PORT]\n"
    "  parley-bench idle --server ADDR:PORT --connections N --server-pid PID [--seconds S]\n"
    "  parley-bench login-storm --server ADDR:PORT --connections N --in-flight W\n"
    "  parley-bench reconnect-storm --server ADDR:PORT --connections N --rate R\n"
    "  parley-bench history --server ADDR:PORT --pairs P --state FILE [--messages N\n"
    "      --frames-per-write F --in-flight W] [--pages 1000]\n"
    "  parley-bench loss --server ADDR:PORT --pairs P --messages N [--restart COMMAND]\n"
    "      [--stall S [--server-pid PID]]\n"
    "\n"
    "  LOOP: --closed --frames-per-write F --in-flight W   ceilings; W: of all senders together\n"
    "        --rate R                                      latencies, from the intended time\n"
    "        [--body 100] [--warmup 5] [--seconds 30] [--messages N] [--client-cpu C]\n"
    "  all:  [--json FILE] [--hdr FILE]; pm, idle, login-storm, loss:\n"
    "        [--driver parley|mqtt|xmpp|xmpp-plain]\n"
    "\n"
    "The server must be parleyd --data DIR --unsafe-bench DIR on a fresh folder.\n"
    "Exit: 0, 1 an error, 2 usage, 3 refused (client-bound), 4 lost, doubled or misordered.\n";

static void on_assert(const struct assert_report *report)
{
    (void)fprintf(stderr, "parley-bench: a bug: %s:%d: %s\n", report->file, report->line,
                  report->expression);
}

static void descriptors_take(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **arguments)
{
    struct options options;
    assert_handler_set(on_assert);
    descriptors_take();
    if (count > 1 && strcmp(arguments[1], "--help") == 0) {
        (void)fputs(help, stdout);
        return BENCH_OK;
    }
    for (size_t i = 0; count > 1 && i < sizeof subcommands / sizeof subcommands[0]; i++) {
        const struct subcommand *found = &subcommands[i];
        if (strcmp(arguments[1], found->name) != 0)
            continue;
        if (!options_read(&options, count, arguments, found->needs | found->takes, found->needs))
            return BENCH_USAGE;
        return (int)found->run(&options);
    }
    (void)fputs(help, stderr);
    return BENCH_USAGE;
}
