/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena_chunk.h"
#include "base/assert.h"
#include "base/memory.h"

#define ALIGN       ((size_t)16)
#define CHUNK_BYTES ((size_t)64 * 1024 - MEMORY_ALIGN - sizeof(struct arena_chunk))

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

void arena_deinit(struct arena *arena)
{
    struct arena_chunk *chunk = arena->first;
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        memory_free(chunk);
        chunk = next;
    }
    arena_init(arena, arena->bytes_max);
}

void arena_reset(struct arena *arena)
{
    arena->now = NULL;
    arena->used = 0;
    arena->exhausted = false;
}

/* Where the pointer to the chunk behind `now` stands. */
static struct arena_chunk **behind_now(struct arena *arena)
{
    return arena->now != NULL ? &arena->now->next : &arena->first;
}

/* Make the next chunk that can hold `bytes` the current one: a kept one, else a new one. A kept one
 * further back is moved forward, so that the chain grows only when no chunk is large enough. */
static bool chunk_enter(struct arena *arena, size_t bytes)
{
    struct arena_chunk **place = behind_now(arena);
    struct arena_chunk **link = place;
    while (*link != NULL && (*link)->bytes < bytes)
        link = &(*link)->next;
    struct arena_chunk *chunk = *link;
    if (chunk != NULL) {
        *link = chunk->next;
    } else {
        size_t size = arena->bytes_max < CHUNK_BYTES ? arena->bytes_max : CHUNK_BYTES;
        size = bytes > size ? bytes : size;
        chunk = memory_alloc(sizeof *chunk + size);
        if (chunk == NULL)
            return false;
        chunk->bytes = size;
        arena->held += size;
    }
    chunk->next = *place;
    chunk->used = 0;
    *place = chunk;
    arena->now = chunk;
    return true;
}

/* `bytes` grows to what is really taken. */
static void *take(struct arena *arena, size_t *bytes_io)
{
    size_t bytes = *bytes_io;
    size_t left = arena->bytes_max - arena->used;
    if (bytes > left || bytes > SIZE_MAX - ALIGN)
        goto refuse;
    size_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (whole == 0)
        whole = ALIGN; /* distinct addresses, and never one past the end of a chunk */
    if (whole > left)
        goto refuse;
    struct arena_chunk *chunk = arena->now;
    if ((chunk == NULL || chunk->bytes - chunk->used < whole) && !chunk_enter(arena, whole))
        goto refuse;
    chunk = arena->now;
    uint8_t *memory = (uint8_t *)(chunk + 1) + chunk->used;
    chunk->used += whole;
    arena->used += whole;
    *bytes_io = whole;
    return memory;

refuse:
    arena->exhausted = true;
    return NULL;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    void *memory = take(arena, &bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

static bool fits(struct arena *arena, size_t count, size_t bytes_each)
{
    if (bytes_each == 0 || count <= SIZE_MAX / bytes_each)
        return true;
    arena->exhausted = true;
    return false;
}

void *arena_array(struct arena *arena, size_t count, size_t bytes_each)
{
    return fits(arena, count, bytes_each) ? arena_alloc(arena, count * bytes_each) : NULL;
}

void *arena_raw(struct arena *arena, size_t count, size_t bytes_each)
{
    size_t bytes = count * bytes_each;
    return fits(arena, count, bytes_each) ? take(arena, &bytes) : NULL;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    if (bytes.bytes == 0)
        return SLICE_EMPTY;
    void *copy = arena_raw(arena, bytes.bytes, 1);
    if (copy == NULL)
        return SLICE_EMPTY;
    memcpy(copy, bytes.at, bytes.bytes);
    return slice_make(copy, bytes.bytes);
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->now, arena->used, arena->now != NULL ? arena->now->used : 0};
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    assert(mark.used <= arena->used);
    arena->now = mark.now;
    arena->used = mark.used;
    if (mark.now != NULL)
        mark.now->used = mark.chunk_used;
}
