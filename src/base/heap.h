/* SPDX-License-Identifier: Apache-2.0
 * heap.h: a binary heap of fixed capacity; the smallest (key, tie, value) comes first.
 * Invariants: used ≤ capacity; the order out is a function of the set of items alone. A tracked
 * heap knows where each item stands, so that it can be removed; there the lower 32 bits of
 * `value` are distinct numbers below capacity.
 * Owner: one thread. Bounds: capacity, reserved at open: it takes pages as it fills.
 * Cost: O(log n). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct heap_item {
    uint64_t key, tie, value;
};

struct heap {
    struct heap_item *items; /* items[i] is not behind items[2i+1] and items[2i+2] */
    uint32_t *places;        /* tracked: places[(uint32_t)value] is the item's index; else NULL */
    uint32_t capacity;
    uint32_t used;    /* items: the gauge */
    uint64_t refused; /* puts that found it full: the counter */
};

/* 1 ≤ capacity ≤ 2^30. BUSY: no memory. */
MUST_USE enum status heap_open(struct heap *heap, uint32_t capacity, bool tracked);
void heap_close(struct heap *heap); /* tolerates a zeroed heap */

MUST_USE enum status heap_put(struct heap *heap, struct heap_item item); /* BUSY: full */
const struct heap_item *heap_first(const struct heap *heap);             /* NULL: empty */
bool heap_take(struct heap *heap, struct heap_item *item);               /* false: empty */

/* Tracked heaps: take out the item of this value, which must be in the heap. */
void heap_remove(struct heap *heap, uint64_t value);

void heap_check(const struct heap *heap); /* asserts the invariants. O(n) */
