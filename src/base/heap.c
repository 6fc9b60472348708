/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/memory.h"

static bool before(const struct heap_item *a, const struct heap_item *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    if (a->tie != b->tie)
        return a->tie < b->tie;
    return a->value < b->value;
}

static void place(struct heap *heap, uint32_t index, struct heap_item item)
{
    heap->items[index] = item;
    if (heap->places != NULL)
        heap->places[(uint32_t)item.value] = index;
}

static void sift_up(struct heap *heap, uint32_t index, struct heap_item item)
{
    while (index > 0 && before(&item, &heap->items[(index - 1) / 2])) {
        place(heap, index, heap->items[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(heap, index, item);
}

static void sift_down(struct heap *heap, uint32_t index, struct heap_item item)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= heap->used)
            break;
        if (child + 1 < heap->used && before(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!before(&heap->items[child], &item))
            break;
        place(heap, index, heap->items[child]);
        index = child;
    }
    place(heap, index, item);
}

enum status heap_open(struct heap *heap, uint32_t capacity, bool tracked)
{
    assert(capacity > 0 && capacity <= UINT32_C(1) << 30);
    *heap = (struct heap){.capacity = capacity};
    heap->items = memory_reserve_array(capacity, sizeof *heap->items);
    if (tracked)
        heap->places = memory_reserve_array(capacity, sizeof *heap->places);
    if (heap->items == NULL || (tracked && heap->places == NULL)) {
        heap_close(heap);
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

void heap_close(struct heap *heap)
{
    memory_free(heap->items);
    memory_free(heap->places);
    *heap = (struct heap){0};
}

enum status heap_put(struct heap *heap, struct heap_item item)
{
    if (heap->used == heap->capacity) {
        heap->refused++;
        return STATUS_BUSY;
    }
    assert(heap->places == NULL || (uint32_t)item.value < heap->capacity);
    sift_up(heap, heap->used++, item);
    return STATUS_OK;
}

const struct heap_item *heap_first(const struct heap *heap)
{
    return heap->used > 0 ? &heap->items[0] : NULL;
}

/* Fill the hole at `index` with the last item, which may belong above or below it. */
static void hole_fill(struct heap *heap, uint32_t index)
{
    struct heap_item last = heap->items[--heap->used];
    if (index == heap->used)
        return;
    if (index > 0 && before(&last, &heap->items[(index - 1) / 2]))
        sift_up(heap, index, last);
    else
        sift_down(heap, index, last);
}

bool heap_take(struct heap *heap, struct heap_item *item)
{
    if (heap->used == 0)
        return false;
    *item = heap->items[0];
    hole_fill(heap, 0);
    return true;
}

void heap_remove(struct heap *heap, uint64_t value)
{
    assert(heap->places != NULL && (uint32_t)value < heap->capacity);
    uint32_t index = heap->places[(uint32_t)value];
    assert(index < heap->used && heap->items[index].value == value);
    hole_fill(heap, index);
}

void heap_check(const struct heap *heap)
{
    assert(heap->used <= heap->capacity);
    for (uint32_t i = 0; i < heap->used; i++) {
        assert(i == 0 || !before(&heap->items[i], &heap->items[(i - 1) / 2]));
        assert(heap->places == NULL || heap->places[(uint32_t)heap->items[i].value] == i);
    }
}
