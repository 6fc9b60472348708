/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

/* Stands before every object. */
struct slot {
    uint32_t generation; /* of the object that lives here, or of the next one */
    uint32_t vacant;     /* the next vacant slot, as index + 1; 0: the last; or TAKEN */
};

#define TAKEN       UINT32_MAX
#define ALIGN       ((size_t)8)
#define CHUNK_BYTES ((size_t)32 * 1024)

static_assert(sizeof(struct slot) % ALIGN == 0, "the object behind it stays aligned");

static struct slot *slot_at(const struct slab *slab, uint32_t index)
{
    uint8_t *chunk = slab->chunks[index / slab->chunk_objects];
    return (struct slot *)(void *)(chunk + index % slab->chunk_objects * slab->slot_bytes);
}

static bool populate(struct slab *slab)
{
    uint32_t left = slab->capacity - slab->populated;
    uint32_t count = left < slab->chunk_objects ? left : slab->chunk_objects;
    uint8_t *chunk = memory_array(count, slab->slot_bytes);
    if (chunk == NULL)
        return false;
    slab->chunks[slab->populated / slab->chunk_objects] = chunk;
    slab->populated += count;
    for (uint32_t i = slab->populated; i > slab->populated - count; i--) {
        struct slot *slot = slot_at(slab, i - 1);
        slot->generation = 1;
        slot->vacant = slab->vacant;
        slab->vacant = i;
    }
    return true;
}

enum status slab_open(struct slab *slab, uint32_t capacity, size_t object_bytes)
{
    assert(capacity > 0 && capacity < TAKEN && object_bytes > 0 && object_bytes <= SIZE_MAX / 4);
    size_t slot_bytes = sizeof(struct slot) + (object_bytes + ALIGN - 1) / ALIGN * ALIGN;
    size_t per_chunk = CHUNK_BYTES / slot_bytes;
    per_chunk = per_chunk == 0 ? 1 : per_chunk < capacity ? per_chunk : capacity;
    *slab = (struct slab){.object_bytes = object_bytes,
                          .slot_bytes = slot_bytes,
                          .capacity = capacity,
                          .chunk_objects = (uint32_t)per_chunk};
    size_t chunk_count = (capacity + per_chunk - 1) / per_chunk;
    slab->chunks = memory_array(chunk_count, sizeof *slab->chunks);
    if (slab->chunks == NULL || !populate(slab)) {
        slab_close(slab);
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

void slab_close(struct slab *slab)
{
    assert(slab->chunks != NULL || slab->populated == 0);
    for (uint32_t i = 0; i < slab->populated; i += slab->chunk_objects)
        memory_free(slab->chunks[i / slab->chunk_objects]);
    memory_free(slab->chunks);
    *slab = (struct slab){0};
}

enum status slab_grow(struct slab *slab)
{
    bool enough = slab->populated - slab->used >= slab->chunk_objects;
    if (enough || slab->populated == slab->capacity)
        return STATUS_OK;
    return populate(slab) ? STATUS_OK : STATUS_BUSY;
}

void *slab_take(struct slab *slab, struct slab_handle *handle)
{
    bool at_capacity = slab->populated == slab->capacity;
    if (slab->vacant == 0 && (at_capacity || !populate(slab))) {
        slab->refused++;
        *handle = SLAB_NONE;
        return NULL;
    }
    uint32_t index = slab->vacant - 1;
    struct slot *slot = slot_at(slab, index);
    assert(slot->vacant != TAKEN);
    slab->vacant = slot->vacant;
    slot->vacant = TAKEN;
    slab->used++;
    *handle = (struct slab_handle){index, slot->generation};
    memset(slot + 1, 0, slab->object_bytes);
    return slot + 1;
}

void *slab_find(const struct slab *slab, struct slab_handle handle)
{
    if (handle.index >= slab->populated)
        return NULL;
    struct slot *slot = slot_at(slab, handle.index);
    return slot->vacant == TAKEN && slot->generation == handle.generation ? slot + 1 : NULL;
}

void slab_give(struct slab *slab, struct slab_handle handle)
{
    assert(slab_find(slab, handle) != NULL);
    struct slot *slot = slot_at(slab, handle.index);
    slot->generation++;
    if (slot->generation == 0) /* it has come round; 0 means no object */
        slot->generation = 1;
    slot->vacant = slab->vacant;
    slab->vacant = handle.index + 1;
    slab->used--;
}

void *slab_next(const struct slab *slab, uint32_t *index, struct slab_handle *handle)
{
    while (*index < slab->populated) {
        uint32_t at = (*index)++;
        struct slot *slot = slot_at(slab, at);
        if (slot->vacant == TAKEN) {
            *handle = (struct slab_handle){at, slot->generation};
            return slot + 1;
        }
    }
    *handle = SLAB_NONE;
    return NULL;
}
