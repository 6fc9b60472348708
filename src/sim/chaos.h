/* SPDX-License-Identifier: Apache-2.0
 * chaos.h: a decorator that makes any store as unreliable as its port allows (storage §11): it
 * delays, reorders independent requests, answers BUSY, applies a batch one partition after the
 * other, and answers TIMEOUT when nothing, a beginning or all of it was applied; the rest may be
 * applied long afterwards, when the caller has done it again itself.
 * Invariants: groups of one batch are applied in their order, each at once; what a request that
 * came back OK wrote is read back by every later one; the same seed and calls give the same
 * faults.
 * Owner: one thread, the node whose handle it is; the store under it is its own handle of a shared
 * database and answers within CHAOS_POLLS polls. Memory: base/memory, for what is applied late.
 * Bounds: STORE_REQUESTS_MAX requests in flight. Contract: tests/integration/store_contract.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "ports/store.h"

#define CHAOS_POLLS 1000u

/* Probabilities are per 1000. Zeroed: only the order of groups is left. */
struct chaos_options {
    uint64_t delay_min_us, delay_max_us; /* of a read, and of each group of a batch */
    uint32_t slow;                       /* a request takes … */
    uint64_t slow_max_us;                /* … up to this */
    uint32_t busy;                       /* nothing is done */
    uint32_t timeout;                    /* a beginning is applied; the rest … */
    uint32_t late;                       /* … of those: is applied afterwards, else never */
    uint64_t late_max_us;
};

struct chaos_pending {
    struct store_request *request; /* NULL: nobody waits, it is applied late */
    struct row_write *writes;      /* ours, when late */
    size_t writes_count, applied, stop_at;
    uint64_t due_us, number;
    enum status status;
    bool late;
};

struct chaos {
    struct store port; /* first */
    struct store *inner;
    struct chaos_options options;
    struct prng prng;
    uint64_t now_us, numbers;
    struct chaos_pending *pending;
    size_t pending_count, pending_room;
    struct store_request *done[STORE_REQUESTS_MAX];
    size_t done_count, in_flight;
    uint64_t busies, timeouts, beginnings, lates, slows, crashed; /* marks */
};

/* inner: for this decorator alone. */
void chaos_open(struct chaos *chaos, struct store *inner, const struct chaos_options *options,
                uint64_t seed);
void chaos_close(struct chaos *chaos); /* tolerates a zeroed one */

/* The clock stands at now_us (never falls): what is due is done, in order of time. */
void chaos_advance(struct chaos *chaos, uint64_t now_us);
uint64_t chaos_next_due_us(const struct chaos *chaos); /* UINT64_MAX: never */

/* The node dies: requests are gone; of each batch a beginning is applied now, and by chance the
 * rest later. Call it while the requests' memory still stands. */
void chaos_crash(struct chaos *chaos);

/* From now on no fault is thrown. */
void chaos_heal(struct chaos *chaos);
