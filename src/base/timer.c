/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include <stddef.h>

#include "base/assert.h"

enum status timer_open(struct timers *timers, uint32_t capacity)
{
    *timers = (struct timers){0};
    if (heap_open(&timers->heap, capacity, true) != STATUS_OK ||
        slab_open(&timers->slab, capacity, sizeof(uint64_t)) != STATUS_OK) {
        timer_close(timers);
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

void timer_close(struct timers *timers)
{
    heap_close(&timers->heap);
    slab_close(&timers->slab);
}

enum status timer_arm(struct timers *timers, uint64_t due_ms, uint64_t token,
                      struct slab_handle *timer)
{
    uint64_t *object = slab_take(&timers->slab, timer);
    if (object == NULL)
        return STATUS_BUSY;
    *object = token;
    struct heap_item item = {due_ms, timers->armed++, slab_token(*timer)};
    enum status put = heap_put(&timers->heap, item);
    assert(put == STATUS_OK); /* the heap holds as many as the slab */
    return put;
}

bool timer_cancel(struct timers *timers, struct slab_handle timer)
{
    if (slab_find(&timers->slab, timer) == NULL)
        return false;
    heap_remove(&timers->heap, slab_token(timer));
    slab_give(&timers->slab, timer);
    return true;
}

uint64_t timer_next_ms(const struct timers *timers)
{
    const struct heap_item *first = heap_first(&timers->heap);
    return first != NULL ? first->key : TIMER_NEVER;
}

bool timer_expired(struct timers *timers, uint64_t now_ms, uint64_t *token)
{
    const struct heap_item *first = heap_first(&timers->heap);
    if (first == NULL || first->key > now_ms)
        return false;
    struct slab_handle timer = slab_handle_of(first->value);
    const uint64_t *object = slab_find(&timers->slab, timer);
    assert(object != NULL);
    *token = *object;
    return timer_cancel(timers, timer);
}
