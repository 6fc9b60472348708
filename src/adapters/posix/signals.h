/* SPDX-License-Identifier: Apache-2.0
 * signals.h: SIGTERM, SIGINT and SIGHUP as a question that the main loop asks itself: a thread
 * waits for them and wakes the shard. The first asks for an orderly stop; the second ends the
 * process at once, which the log is made for. SIGHUP may be kept apart: then it asks to read files
 * again, and stops nothing.
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
    bool started, hup_apart;
    atomic_bool hup;               /* SIGHUP came, and nobody has asked yet */
    atomic_int asked;              /* the signal that asked to stop; 0: none */
    _Atomic(struct waker *) waker; /* NULL: nobody sleeps yet */
};

/* Blocks the signals and ignores SIGPIPE. `hup_apart`: SIGHUP does not stop. */
MUST_USE enum status posix_signals_open(struct posix_signals *signals, bool hup_apart);
/* Did SIGHUP come since the last time? */
bool posix_signals_hup_take(struct posix_signals *signals);
/* From now on wake this one; NULL: nobody. */
void posix_signals_wake(struct posix_signals *signals, struct waker *waker);
int posix_signals_asked(struct posix_signals *signals);
void posix_signals_close(struct posix_signals *signals); /* tolerates a zeroed one */
