/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

enum status ring_open(struct ring *ring, uint32_t capacity, size_t item_bytes)
{
    assert(capacity > 0 && capacity <= UINT32_C(1) << 31 && (capacity & (capacity - 1)) == 0);
    assert(item_bytes > 0);
    memset(ring, 0, sizeof *ring);
    ring->items = memory_reserve_array(capacity, item_bytes);
    if (ring->items == NULL)
        return STATUS_BUSY;
    ring->item_bytes = item_bytes;
    ring->mask = capacity - 1;
    /* Not atomic stores of any order: the ring reaches other threads by starting them, or by
     * something else that orders this before. */
    atomic_init(&ring->put, 0);
    atomic_init(&ring->refused, 0);
    atomic_init(&ring->taken, 0);
    return STATUS_OK;
}

void ring_close(struct ring *ring)
{
    memory_free(ring->items);
    memset(ring, 0, sizeof *ring);
}

static uint8_t *item_at(const struct ring *ring, uint64_t number)
{
    return ring->items + (size_t)(number & ring->mask) * ring->item_bytes;
}

enum status ring_put(struct ring *ring, const void *item)
{
    /* relaxed: only this thread writes `put`. */
    uint64_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    if (put - ring->taken_seen > ring->mask) {
        /* acquire, with the release in ring_take: the consumer's copy out of the slot that we are
         * about to overwrite happens before our copy into it. */
        ring->taken_seen = atomic_load_explicit(&ring->taken, memory_order_acquire);
        if (put - ring->taken_seen > ring->mask) {
            /* relaxed: a counter that orders nothing; only this thread writes it. */
            uint64_t refused = atomic_load_explicit(&ring->refused, memory_order_relaxed);
            atomic_store_explicit(&ring->refused, refused + 1, memory_order_relaxed);
            return STATUS_BUSY;
        }
    }
    memcpy(item_at(ring, put), item, ring->item_bytes);
    /* release, with the acquire in ring_take: who sees the new number sees the item. */
    atomic_store_explicit(&ring->put, put + 1, memory_order_release);
    return STATUS_OK;
}

bool ring_take(struct ring *ring, void *item)
{
    /* relaxed: only this thread writes `taken`. */
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    if (taken == ring->put_seen) {
        /* acquire, with the release in ring_put: the item is whole before we copy it. */
        ring->put_seen = atomic_load_explicit(&ring->put, memory_order_acquire);
        if (taken == ring->put_seen)
            return false;
    }
    memcpy(item, item_at(ring, taken), ring->item_bytes);
    /* release, with the acquire in ring_put: our copy is done before the slot counts as vacant. */
    atomic_store_explicit(&ring->taken, taken + 1, memory_order_release);
    return true;
}

uint64_t ring_used(const struct ring *ring)
{
    /* `taken` first: `put` never falls behind it, so the difference is never negative. acquire on
     * the first keeps the second load behind it; the numbers guard no item here. */
    uint64_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    return atomic_load_explicit(&ring->put, memory_order_relaxed) - taken;
}

uint64_t ring_refused(const struct ring *ring)
{
    return atomic_load_explicit(&ring->refused, memory_order_relaxed); /* orders nothing */
}
