/* SPDX-License-Identifier: Apache-2.0
 * shared_limits.h: the limits port: one limiter behind a lock, which is held for one look-up.
 * Invariants: its time never falls, although each shard reads the clock for itself.
 * Owner: whoever opens it; take and give from any thread. Bounds: LIMITER_BUCKETS. */
#pragma once

#include <pthread.h>

#include "base/limiter.h"
#include "ports/limits.h"

struct shared_limits {
    struct limits port; /* first */
    pthread_mutex_t lock;
    struct limiter limiter;
    uint64_t mono_ms; /* the latest that any shard has told */
};

/* `limits` as limiter_open; they stand until close. BUSY: no memory. */
MUST_USE enum status shared_limits_open(struct shared_limits *shared, const struct limit *limits,
                                        uint32_t limits_count,
                                        const uint8_t seed[SIPHASH_SEED_BYTES]);
uint32_t shared_limits_used(struct shared_limits *shared); /* buckets that count */
void shared_limits_close(struct shared_limits *shared);    /* tolerates a zeroed one */
