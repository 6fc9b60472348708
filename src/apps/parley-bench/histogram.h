/* SPDX-License-Identifier: Apache-2.0
 * histogram.h: durations in fixed log-linear buckets: 1 µs to 60 s, three digits (each bucket is
 * at most 1/1024 of its value wide), mergeable; percentiles are never averaged.
 * Invariants: count is the sum of the buckets; min and max are exact. Above 60 s: the last bucket,
 * and `max` tells. Owner: one thread. Memory: HISTOGRAM_BUCKETS × 8 B. Source: HdrHistogram. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_LINEAR  2048u /* 0 … 2047 µs: one bucket each */
#define HISTOGRAM_DOUBLES 15u   /* then 1024 buckets for each doubling: up to 67 s */
#define HISTOGRAM_BUCKETS (HISTOGRAM_LINEAR + HISTOGRAM_DOUBLES * (HISTOGRAM_LINEAR / 2))

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count, min_us, max_us;
};

void histogram_reset(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t us);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The smallest value that `share` (0 … 1) of all are not above, exact to its bucket; 0 when empty.
 * O(buckets). */
uint64_t histogram_at(const struct histogram *histogram, double share);

/* The highest value of a bucket. */
uint64_t histogram_top_us(size_t bucket);
