/* SPDX-License-Identifier: Apache-2.0
 * file.h: the file port on a folder of the system's file system, served by one I/O thread.
 * Requests travel through a ring to the thread and back through another; the waker is called after
 * each completion. Requests are done in the order they came, except CREATE: it writes its zeros in
 * slices between the others, so that making the next segment never holds up a sync for long. A file
 * being made has the name with ".part" behind it, which LIST never shows and OPEN never opens.
 * WRITE goes through the page cache, SYNC is fdatasync; nothing is retried but what a signal cut
 * short. Blocks are allocated by writing zeros: such blocks sync fastest (storage §3).
 * Owner: opened, used and closed by one thread. The fields below the line belong to the I/O thread.
 * Bounds: FILE_HANDLES_MAX handles, FILE_REQUESTS_MAX requests in flight.
 * Contract: tests/integration/file_contract.c. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ring.h"
#include "ports/file.h"
#include "ports/waker.h"

/* A CREATE under way. */
struct posix_create {
    struct file_request *request; /* NULL: none */
    int fd;
    uint64_t at; /* zeros written so far */
};

struct posix_file {
    struct file_port port; /* first */
    struct waker *waker;
    struct ring asked, done;
    sem_t asked_count, done_count;
    pthread_t thread;
    bool started, semaphores;
    uint32_t in_flight;
    uint64_t free_bytes; /* the owner's to set before the first CREATE: it leaves so much room to
                          * others on this disk, else it is TOO_LARGE */
    /* --- the I/O thread's */
    int root;
    int *fds; /* by handle - 1; -1: free */
    uint8_t *zeros;
    struct posix_create create;
};

/* Serve the folder at `path` (made if it is not there). `waker` may be NULL. IO and a text, or
 * OK. */
MUST_USE enum status posix_file_open(struct posix_file *file, const char *path, struct waker *waker,
                                     struct failure *failure);

/* Finish what is in flight, end the thread, close everything. Requests never polled are their
 * owner's again. Tolerates a zeroed one. */
void posix_file_close(struct posix_file *file);

/* For tools and tests, which have no shard to sleep on: wait until poll has something, at most
 * timeout_ms. */
void posix_file_wait(struct posix_file *file, uint32_t timeout_ms);

/* Keep a second process off this data: take the lock on `path`/lock (both made if need be).
 * CONFLICT: another process holds it; the text names it. `lock` is to be handed to
 * posix_unlock_folder; a dead process holds none. */
MUST_USE enum status posix_lock_folder(const char *path, int *lock, struct failure *failure);
void posix_unlock_folder(int lock);
