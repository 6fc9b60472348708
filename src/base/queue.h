/* SPDX-License-Identifier: Apache-2.0
 * queue.h: a bounded first-in first-out queue of items of one size, copied in and out.
 * Invariants: used ≤ capacity; items leave in the order they came. For two threads: base/ring.h.
 * Owner: one thread. Bounds: capacity, reserved at open: it takes pages as it fills. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct queue {
    uint8_t *items;
    size_t item_bytes;
    uint32_t capacity;
    uint32_t first;   /* slot of the oldest */
    uint32_t used;    /* items: the gauge */
    uint64_t refused; /* puts that found it full: the counter */
};

/* 1 ≤ capacity ≤ 2^31 items of item_bytes ≥ 1. BUSY: no memory. */
MUST_USE enum status queue_open(struct queue *queue, uint32_t capacity, size_t item_bytes);
void queue_close(struct queue *queue); /* tolerates a zeroed queue */
void queue_reset(struct queue *queue); /* empty; memory is kept */

MUST_USE enum status queue_put(struct queue *queue, const void *item); /* BUSY: full */
bool queue_take(struct queue *queue, void *item);                      /* false: empty */

/* The item `index` places behind the oldest, in place; NULL past the end. */
void *queue_find(const struct queue *queue, uint32_t index);
