/* SPDX-License-Identifier: Apache-2.0
 * loop.h: simulated time: one loop in which every process has one moment at which it goes on.
 * Invariants: what happens is ordered by (time, number of the request), so the same calls give the
 * same run; time never falls; nothing happens between two moments.
 * All that happens goes into `hash` (sim_trace), and its newest lines are kept for a report.
 * Owner: one thread. Bounds: SIM_PROCESSES_MAX processes, SIM_TRACE_LINES lines kept. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/status.h"

#define SIM_PROCESSES_MAX 64u
#define SIM_TRACE_LINES   256u
#define SIM_NEVER         UINT64_MAX

/* X(enumerator, name): what is traced, and what `a` and `b` mean. */
#define SIM_TRACES(X)                                                                \
    X(ACCEPT, "accept")   /* connection */                                           \
    X(CONNECT, "connect") /* connection; 1: refused */                               \
    X(RECEIVE, "receive") /* connection, bytes */                                    \
    X(CLOSE, "close")     /* connection, status */                                   \
    X(RESET, "reset")     /* connection */                                           \
    X(START, "start")     /* a process begins; 1: from an old copy */                \
    X(KILL, "kill")       /* a process dies; 1: power cut, or the point in a step */ \
    X(FAILED, "failed")   /* a server cannot go on */                                \
    X(STEP, "step")       /* a device's step: event, frames out */                   \
    X(STORE, "store")     /* a device's transaction: ops, status */                  \
    X(COMMAND, "command") /* the person's wish: kind, request */                     \
    X(RESULT, "result")   /* its answer: request, error */                           \
    X(STATE, "state")     /* of a device: state, read-only */                        \
    X(FAULT, "fault")     /* by the script: which mark, on whom */                   \
    X(PHASE, "phase")     /* which */                                                \
    X(HISTORY, "history") /* operation, hash of the event */

enum sim_trace_kind {
#define X(name, text) SIM_TRACE_##name,
    SIM_TRACES(X)
#undef X
        SIM_TRACES_COUNT
};

struct sim_trace_line {
    uint64_t at_us, a, b;
    uint32_t who;
    enum sim_trace_kind kind;
};

struct sim_loop {
    uint64_t now_us, number;
    uint64_t wake_us[SIM_PROCESSES_MAX]; /* SIM_NEVER: it sleeps until somebody wakes it */
    struct heap heap;
    uint64_t hash, moments, lines_count; /* lines ever traced */
    struct sim_trace_line lines[SIM_TRACE_LINES];
};

/* BUSY: no memory. */
MUST_USE enum status sim_loop_open(struct sim_loop *loop);
void sim_loop_close(struct sim_loop *loop); /* tolerates a zeroed one */

/* The process goes on at `at_us` at the latest (not before now). */
void sim_wake(struct sim_loop *loop, uint32_t who, uint64_t at_us);
/* It no longer wants to. */
void sim_sleep(struct sim_loop *loop, uint32_t who);
/* Time moves to the next moment; whose it is. False: nobody wants to go on. */
bool sim_next(struct sim_loop *loop, uint32_t *who);

void sim_trace(struct sim_loop *loop, uint32_t who, enum sim_trace_kind kind, uint64_t a,
               uint64_t b);
const char *sim_trace_name(enum sim_trace_kind kind);

/* Two numbers into one, well mixed. */
uint64_t sim_mix(uint64_t hash, uint64_t value);
