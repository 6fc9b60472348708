/* SPDX-License-Identifier: Apache-2.0
 * server.h: what a server process has used so far, by /proc: read before and after a window. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server_use {
    double cpu_user_s, cpu_system_s; /* by clock tick: ±10 ms */
    uint64_t rss_kib, private_kib;   /* now; Private_* of smaps_rollup */
    uint64_t read_bytes;             /* from the disk, not from the cache of files */
    uint64_t switches;               /* voluntary and not, all threads */
};

/* False: no such process, or it is not ours to look at. */
bool server_read(pid_t pid, struct server_use *out);
