/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

enum status queue_open(struct queue *queue, uint32_t capacity, size_t item_bytes)
{
    assert(capacity > 0 && capacity <= UINT32_C(1) << 31 && item_bytes > 0);
    *queue = (struct queue){.item_bytes = item_bytes, .capacity = capacity};
    queue->items = memory_reserve_array(capacity, item_bytes);
    return queue->items != NULL ? STATUS_OK : STATUS_BUSY;
}

void queue_close(struct queue *queue)
{
    memory_free(queue->items);
    *queue = (struct queue){0};
}

void queue_reset(struct queue *queue)
{
    queue->first = 0;
    queue->used = 0;
}

static uint8_t *item_at(const struct queue *queue, uint32_t index)
{
    return queue->items + ((uint64_t)queue->first + index) % queue->capacity * queue->item_bytes;
}

enum status queue_put(struct queue *queue, const void *item)
{
    if (queue->used == queue->capacity) {
        queue->refused++;
        return STATUS_BUSY;
    }
    memcpy(item_at(queue, queue->used), item, queue->item_bytes);
    queue->used++;
    return STATUS_OK;
}

bool queue_take(struct queue *queue, void *item)
{
    if (queue->used == 0)
        return false;
    memcpy(item, item_at(queue, 0), queue->item_bytes);
    queue->used--;
    /* An empty one begins anew: it touches no more memory than it needs. */
    queue->first = queue->used > 0 ? (queue->first + 1) % queue->capacity : 0;
    return true;
}

void *queue_find(const struct queue *queue, uint32_t index)
{
    return index < queue->used ? item_at(queue, index) : NULL;
}
