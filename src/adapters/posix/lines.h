/* SPDX-License-Identifier: Apache-2.0
 * lines.h: lines for a descriptor (stderr), written by a thread of its own: a reader that does not
 * take them holds up nobody. Each line is one write, so that lines of processes do not mix.
 * Owner: one thread puts. Bounds: LINES_MAX lines of LINES_BYTES that wait; more are lost, and
 * counted. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "base/ring.h"
#include "base/slice.h"

#define LINES_MAX   1024u
#define LINES_BYTES 384u

struct posix_lines {
    int fd;
    pthread_t thread;
    bool started;
    sem_t wake;
    struct ring ring;
};

MUST_USE enum status posix_lines_open(struct posix_lines *lines, int fd, struct failure *failure);
void posix_lines_close(struct posix_lines *lines); /* writes what waits; tolerates a zeroed one */

/* At most LINES_BYTES − 2 bytes, its end included. */
void posix_lines_put(struct posix_lines *lines, struct slice line);
uint64_t posix_lines_lost(const struct posix_lines *lines);
