/* SPDX-License-Identifier: Apache-2.0
 * limiter.h: token buckets by (class, key): at most `size` at once, one back every `back_ms`.
 * Kept as one number a bucket, the time at which it will be full again (GCRA), so a full bucket
 * needs no memory and is forgotten by a sweep.
 * Owner: one thread. Bounds: LIMITER_BUCKETS, which take memory as they come; with no place left, a
 * class that fails closed refuses and one that fails open lets through (proof §12). Cost: O(1).
 * Source: proof §12; ITU-T I.371. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/map.h"
#include "base/status.h"

#define LIMITER_BUCKETS   65536u
#define LIMITER_KEY_BYTES (1 + ID_BYTES)

struct limit {
    uint32_t size;    /* 0: no limit */
    uint32_t back_ms; /* one token back */
    bool closed;      /* no place for a new bucket: refuse */
};

struct limiter {
    struct map buckets;         /* class ‖ key → mono_ms at which the bucket is full again */
    const struct limit *limits; /* by class */
    uint32_t limits_count;
    uint64_t swept_ms;
    uint64_t taken, refused; /* counters */
};

MUST_USE enum status limiter_open(struct limiter *limiter, const struct limit *limits,
                                  uint32_t limits_count, const uint8_t seed[SIPHASH_SEED_BYTES]);
void limiter_close(struct limiter *limiter); /* tolerates a zeroed limiter */

/* Give back one token that was taken: the attempt it was for proved right. */
void limiter_give(struct limiter *limiter, uint8_t class, const uint8_t key[ID_BYTES]);

/* Take one token: 0, or the ms to wait for the next (nothing is taken then). */
uint32_t limiter_take(struct limiter *limiter, uint8_t class, const uint8_t key[ID_BYTES],
                      uint64_t mono_ms);
