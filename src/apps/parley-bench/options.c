/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_FLAG, KIND_NUMBER };

struct line {
    const char *name;
    enum kind kind;
    uint64_t value, min, max; /* value: the default */
};

static const struct line lines[OPTIONS] = {
    [OPTION_SERVER] = {"server", KIND_TEXT, 0, 0, 0},
    [OPTION_SERVER_PID] = {"server-pid", KIND_NUMBER, OPTION_UNSET, 1, 1u << 30},
    [OPTION_METRICS] = {"metrics", KIND_TEXT, 0, 0, 0},
    [OPTION_DRIVER] = {"driver", KIND_TEXT, 0, 0, 0},
    [OPTION_CONNECTIONS] = {"connections", KIND_NUMBER, OPTION_UNSET, 1, 60000},
    [OPTION_PAIRS] = {"pairs", KIND_NUMBER, OPTION_UNSET, 1, 30000},
    [OPTION_FANOUT] = {"fanout", KIND_NUMBER, 256, 1, 10000},
    [OPTION_FRAMES_PER_WRITE] = {"frames-per-write", KIND_NUMBER, OPTION_UNSET, 1, 64},
    [OPTION_IN_FLIGHT] = {"in-flight", KIND_NUMBER, OPTION_UNSET, 1, 10000000},
    [OPTION_RATE] = {"rate", KIND_NUMBER, OPTION_UNSET, 1, 100000000},
    [OPTION_CLOSED] = {"closed", KIND_FLAG, OPTION_UNSET, 0, 0},
    [OPTION_ONE_WAY] = {"one-way", KIND_FLAG, OPTION_UNSET, 0, 0},
    [OPTION_BODY] = {"body", KIND_NUMBER, 100, 48, 4096},
    [OPTION_WARMUP] = {"warmup", KIND_NUMBER, 5, 0, 3600},
    [OPTION_SECONDS] = {"seconds", KIND_NUMBER, 30, 1, 86400},
    [OPTION_MESSAGES] = {"messages", KIND_NUMBER, OPTION_UNSET, 1, 1000000000},
    [OPTION_BYTES] = {"bytes", KIND_NUMBER, 4096, 512, 1u << 24},
    [OPTION_FOLDER] = {"folder", KIND_TEXT, 0, 0, 0},
    [OPTION_JSON] = {"json", KIND_TEXT, 0, 0, 0},
    [OPTION_HDR] = {"hdr", KIND_TEXT, 0, 0, 0},
    [OPTION_STATE] = {"state", KIND_TEXT, 0, 0, 0},
    [OPTION_RESTART] = {"restart", KIND_TEXT, 0, 0, 0},
    [OPTION_STALL] = {"stall", KIND_NUMBER, OPTION_UNSET, 1, 60},
    [OPTION_PAGES] = {"pages", KIND_NUMBER, 1000, 0, 1000000},
    [OPTION_CLIENT_CPU] = {"client-cpu", KIND_NUMBER, OPTION_UNSET, 0, 1023},
    [OPTION_SERVER_CPU] = {"server-cpu", KIND_NUMBER, OPTION_UNSET, 0, 1023},
};

bool options_given(const struct options *options, enum option option)
{
    return options->texts[option] != NULL;
}

static enum option option_named(const char *word)
{
    enum option option = 0;
    while (option < OPTIONS &&
           (strncmp(word, "--", 2) != 0 || strcmp(word + 2, lines[option].name) != 0))
        option++;
    return option;
}

static bool number_set(struct options *options, enum option option, const char *text)
{
    const struct line *line = &lines[option];
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < line->min ||
        number > line->max) {
        (void)fprintf(stderr, "parley-bench: --%s %s: give a number from %llu to %llu\n",
                      line->name, text, (unsigned long long)line->min,
                      (unsigned long long)line->max);
        return false;
    }
    options->numbers[option] = number;
    return true;
}

static bool needed(const struct options *options, uint32_t needs)
{
    for (enum option option = 0; option < OPTIONS; option++)
        if ((needs & OPTION_BIT(option)) && !options_given(options, option)) {
            (void)fprintf(stderr, "parley-bench: --%s is missing; it has no default\n",
                          lines[option].name);
            return false;
        }
    return true;
}

bool options_read(struct options *options, int count, char *const *arguments, uint32_t takes,
                  uint32_t needs)
{
    *options = (struct options){.count = count, .arguments = arguments};
    for (enum option option = 0; option < OPTIONS; option++)
        options->numbers[option] = lines[option].value;
    for (int i = 2; i < count; i++) {
        enum option option = option_named(arguments[i]);
        if (option == OPTIONS || !(takes & OPTION_BIT(option))) {
            (void)fprintf(stderr, "parley-bench: %s does not take %s; see parley-bench(1)\n",
                          arguments[1], arguments[i]);
            return false;
        }
        if (lines[option].kind == KIND_FLAG) {
            options->texts[option] = arguments[i];
            continue;
        }
        if (++i == count) {
            (void)fprintf(stderr, "parley-bench: --%s has no value\n", lines[option].name);
            return false;
        }
        options->texts[option] = arguments[i];
        if (lines[option].kind == KIND_NUMBER && !number_set(options, option, arguments[i]))
            return false;
    }
    return needed(options, needs);
}
