/* SPDX-License-Identifier: Apache-2.0
 * signals.h: SIGTERM and SIGINT as a question that the main loop asks itself: a thread waits for
 * them and wakes the shard. The first asks for an orderly stop; the second ends the process at
 * once, which the log is made for.
 * Owner: opened by the main thread before any other thread starts (they inherit the mask). */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/status.h"
#include "ports/waker.h"

struct posix_signals {
    sigset_t set;
    pthread_t thread;
    bool started;
    atomic_int asked;              /* the signal that asked to stop; 0: none */
    _Atomic(struct waker *) waker; /* NULL: nobody sleeps yet */
};

/* Blocks both signals and ignores SIGPIPE. */
MUST_USE enum status posix_signals_open(struct posix_signals *signals);
/* From now on wake this one; NULL: nobody. */
void posix_signals_wake(struct posix_signals *signals, struct waker *waker);
int posix_signals_asked(struct posix_signals *signals);
void posix_signals_close(struct posix_signals *signals); /* tolerates a zeroed one */
