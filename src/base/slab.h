/* SPDX-License-Identifier: Apache-2.0
 * slab.h: objects of one size, at most `capacity` of them, addressed by handles that notice when
 * their object is gone.
 * Invariants: used ≤ populated ≤ capacity; an object never moves; a handle finds its object until
 * slab_give and nothing for ever after (until 2^32 objects have lived in the same slot); objects
 * start zeroed; which slot is taken next depends on the order of takes and gives alone.
 * Owner: one thread. Bounds: `capacity`, fixed at open; memory grows a populated chunk at a time,
 * by slab_grow ahead of need, and at the latest by slab_take; it is given back by slab_close alone.
 * Source: style §5. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct slab_handle {
    uint32_t index, generation; /* generation 0: no object */
};

#define SLAB_NONE ((struct slab_handle){0, 0})

struct slab {
    uint8_t **chunks;
    size_t object_bytes, slot_bytes;
    uint32_t capacity;      /* objects at most */
    uint32_t chunk_objects; /* objects of one chunk */
    uint32_t populated;     /* objects that have memory */
    uint32_t used;          /* objects taken: the gauge */
    uint32_t vacant;        /* a slot to take next, as index + 1; 0: none */
    uint64_t refused;       /* takes that found nothing: the counter */
};

/* capacity ≥ 1 objects of object_bytes ≥ 1, the first chunk populated. BUSY: no memory. */
MUST_USE enum status slab_open(struct slab *slab, uint32_t capacity, size_t object_bytes);
void slab_close(struct slab *slab); /* tolerates a zeroed slab; objects still taken are gone */

/* Populate one chunk if less than a chunk is vacant and capacity is left. For the quiet end of a
 * turn. BUSY: no memory now; nothing is lost by trying again later. */
MUST_USE enum status slab_grow(struct slab *slab);

/* A zeroed object and its handle; NULL, SLAB_NONE and one more `refused` when all are taken or the
 * system has no memory for a chunk. */
void *slab_take(struct slab *slab, struct slab_handle *handle);

/* The object, or NULL when it has been given back; any two numbers may be asked for. */
void *slab_find(const struct slab *slab, struct slab_handle handle);

void slab_give(struct slab *slab, struct slab_handle handle); /* asserts that it is live */

/* Walk the live objects by index: start with *index = 0; NULL at the end. Giving the object just
 * seen is allowed on the way. O(populated) for a whole walk. */
void *slab_next(const struct slab *slab, uint32_t *index, struct slab_handle *handle);

/* A handle as the u64 token of a port's request, and back. */
static inline uint64_t slab_token(struct slab_handle handle)
{
    return (uint64_t)handle.generation << 32 | handle.index;
}

static inline struct slab_handle slab_handle_of(uint64_t token)
{
    return (struct slab_handle){(uint32_t)token, (uint32_t)(token >> 32)};
}
