/* SPDX-License-Identifier: Apache-2.0
 * report.h: figures of one run, in order: the same list is printed as a table and written as one
 * flat JSON object (schema 1). Text is ours or a path: it is escaped for JSON.
 * Owner: one thread. Bounds: REPORT_FIGURES, REPORT_TEXT_BYTES a value; more is a bug. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "apps/parley-bench/histogram.h"
#include "apps/parley-bench/options.h"

#define REPORT_FIGURES    128u
#define REPORT_TEXT_BYTES 256u

/* Exit codes of all subcommands. */
enum bench_exit {
    BENCH_OK = 0,
    BENCH_ERROR = 1,
    BENCH_USAGE = 2,
    BENCH_REFUSED = 3, /* the client was the limit: no ceiling, no latency */
    BENCH_LOST = 4,    /* lost, doubled or misordered */
};

#define CLIENT_CPU_MAX 0.85

struct figure {
    const char *name; /* a literal */
    char text[REPORT_TEXT_BYTES];
    bool quoted;
};

struct report {
    struct figure figures[REPORT_FIGURES];
    uint32_t count;
};

/* Schema, subcommand, command line, and the host: processor, kernel, load, descriptors. */
void report_begin(struct report *report, const struct options *options);
void report_text(struct report *report, const char *name, const char *text);
void report_count(struct report *report, const char *name, uint64_t value);
void report_number(struct report *report, const char *name, double value);
void report_bool(struct report *report, const char *name, bool value);

/* name_p50_us … name_max_us; names: seven literals, p50 p90 p95 p99 p99.9 max, count. */
void report_histogram(struct report *report, const char *const names[7],
                      const struct histogram *histogram);

/* Figures client_cpu (share of one core) and client_bound; above CLIENT_CPU_MAX it says so on
 * standard error and the run is refused. True: refused. */
bool report_client(struct report *report, double share);

/* --hdr FILE: the histogram that this subcommand is about. False: the file cannot be written. */
bool report_hdr(const struct options *options, const struct histogram *histogram);

/* The table on standard output, and --json FILE. False: the file cannot be written. */
bool report_end(const struct report *report, const struct options *options);
