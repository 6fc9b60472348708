/* SPDX-License-Identifier: Apache-2.0
 * buckets.h: a histogram of u64 in fixed log-linear buckets: 0 to 3 exactly, then four for each
 * doubling, up to 2^38; larger values count in the last one.
 * Invariants: `count` is the sum of the buckets; a value lies in the first bucket whose top is not
 * below it, so a sum of histograms is the histogram of all. Owner: one thread; copied for readers.
 * Memory: BUCKETS × 8 B. Cost: O(1) to add. */
#pragma once

#include <stdint.h>

#define BUCKETS_DOUBLES 36u
#define BUCKETS         (4u + BUCKETS_DOUBLES * 4u)

struct buckets {
    uint64_t at[BUCKETS];
    uint64_t count, sum;
};

void buckets_add(struct buckets *buckets, uint64_t value);
void buckets_merge(struct buckets *into, const struct buckets *from);

/* The highest value of bucket `i`; the last one has no end, and says UINT64_MAX. */
uint64_t buckets_top(uint32_t i);
