/* SPDX-License-Identifier: Apache-2.0
 * ring.h: a bounded queue of items of one size between two threads: exactly one puts, exactly one
 * takes. It neither locks nor blocks; waking the other side is the business of its user.
 * Invariants: taken ≤ put ≤ taken + capacity; items leave in the order they came, each whole.
 * Owner: opened and closed by one thread while no other uses it; in between ring_put belongs to the
 * producer, ring_take to the consumer, ring_used to both.
 * Bounds: capacity, a power of two, reserved at open: it takes pages as it goes round first.
 * Source: the memory orders are argued in ring.c and modelled in tests/models/ring.pml. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define RING_LINE 128 /* two cache lines: neighbours are prefetched in pairs */

struct ring {
    uint8_t *items;
    size_t item_bytes;
    uint64_t mask; /* capacity - 1 */
    uint8_t pad_shared[RING_LINE];

    _Atomic uint64_t put;     /* items ever put; written by the producer */
    uint64_t taken_seen;      /* the producer's last look at `taken` */
    _Atomic uint64_t refused; /* puts that found it full: the counter; written by the producer */
    uint8_t pad_producer[RING_LINE];

    _Atomic uint64_t taken; /* items ever taken; written by the consumer */
    uint64_t put_seen;      /* the consumer's last look at `put` */
    uint8_t pad_consumer[RING_LINE];
};

/* capacity: a power of two ≤ 2^31, items of item_bytes ≥ 1. BUSY: no memory. */
MUST_USE enum status ring_open(struct ring *ring, uint32_t capacity, size_t item_bytes);
void ring_close(struct ring *ring); /* tolerates a zeroed ring */

MUST_USE enum status ring_put(struct ring *ring, const void *item); /* producer. BUSY: full */
bool ring_take(struct ring *ring, void *item);                      /* consumer. false: empty */

/* Items inside, as of a moment ago: a gauge. To the consumer: at least so many; to the producer: at
 * most so many. */
uint64_t ring_used(const struct ring *ring);
uint64_t ring_refused(const struct ring *ring);
