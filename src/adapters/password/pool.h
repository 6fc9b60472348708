/* SPDX-License-Identifier: Apache-2.0
 * pool.h: the password port: Argon2id (libsodium) in a bounded pool of threads.
 * Each thread has a ring of jobs in and a ring of answers out, and sleeps on a semaphore; jobs go
 * round robin to the thread with the fewest. A job's password is wiped as soon as it is hashed.
 * Owner: one thread. Bounds: PASSWORD_QUEUE jobs in all, then BUSY; 19 MiB for each thread at work.
 * Source: proof §12, RFC 9106. */
#pragma once

#include "base/ring.h"
#include "ports/password.h"
#include "ports/waker.h"

#define PASSWORD_QUEUE       64u
#define PASSWORD_THREADS_MAX 8u
#define PASSWORD_BYTES_MAX   256u

struct password_thread;

struct password_pool {
    struct password_port port;
    struct password_thread *threads;
    uint32_t threads_count, next;
    uint32_t in_flight; /* the gauge */
    uint64_t refused;   /* the counter */
};

/* `threads`: 1 … PASSWORD_THREADS_MAX (cores − 1, at least one). Cost: t = 2, m = 19 MiB, p = 1. */
MUST_USE enum status password_pool_open(struct password_pool *pool, uint32_t threads,
                                        struct waker *waker, struct failure *failure);
/* For measuring only, before the first job: new hashes cost next to nothing and protect nobody. */
void password_pool_weaken(struct password_pool *pool);
void password_pool_close(struct password_pool *pool); /* waits for jobs at work; tolerates zeros */
