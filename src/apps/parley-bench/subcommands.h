/* SPDX-License-Identifier: Apache-2.0
 * subcommands.h: what main.c's table calls. Each reads its options, runs, prints a report. */
#pragma once

#include <stdint.h>
#include <time.h>

#include "apps/parley-bench/options.h"
#include "apps/parley-bench/report.h"

/* Monotonic. */
static inline uint64_t bench_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Of this process, all its threads. */
static inline double bench_cpu_s(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

enum bench_exit echo_run(const struct options *options);
enum bench_exit fan_run(const struct options *options);
enum bench_exit reconnect_run(const struct options *options);
enum bench_exit sync_run(const struct options *options);
enum bench_exit pm_run(const struct options *options);
enum bench_exit idle_run(const struct options *options);
enum bench_exit storm_run(const struct options *options);
enum bench_exit history_run(const struct options *options);
enum bench_exit loss_run(const struct options *options);
