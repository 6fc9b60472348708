/* SPDX-License-Identifier: Apache-2.0
 * arena.h: memory that lives until the next reset. One arena serves one step, batch or request.
 * Invariants: an allocation is 16-byte aligned and, but for arena_raw, zeroed; the sum handed out
 * since the last reset never exceeds `bytes_max`; after a refusal `exhausted` stays true until
 * reset, so a builder may check once, at its end. Chunks are kept across resets (no page fault in
 * the next step).
 * Owner: one thread. Errors: NULL and `exhausted`, never an abort. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *first, *now; /* chain of chunks; `now` is being filled */
    size_t used;                     /* bytes handed out since the last reset */
    size_t bytes_max;                /* ceiling of `used` */
    size_t held;                     /* bytes of all chunks */
    bool exhausted;
};

/* Position to return to: everything allocated later is given back by arena_rewind. */
struct arena_mark {
    struct arena_chunk *now;
    size_t used, chunk_used;
};

void arena_init(struct arena *arena, size_t bytes_max);
void arena_deinit(struct arena *arena); /* gives all chunks back; tolerates a zeroed arena */
void arena_reset(struct arena *arena);  /* everything allocated is gone; chunks are kept */

/* Zeroed memory, or NULL (and `exhausted`) past the ceiling or when the system has none left. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* count × bytes_each, overflow checked. */
void *arena_array(struct arena *arena, size_t count, size_t bytes_each);

/* As arena_array, but what stood there before stands there still: for memory that is written before
 * it is read, and of which often only a part is used. */
void *arena_raw(struct arena *arena, size_t count, size_t bytes_each);

/* A copy of the bytes; an empty slice stays empty. On exhaustion: empty, and `exhausted`. */
struct slice arena_copy(struct arena *arena, struct slice bytes);

struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);

#define ARENA_NEW(arena, type)          ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_array((arena), (count), sizeof(type)))
#define ARENA_RAW(arena, type, count)   ((type *)arena_raw((arena), (count), sizeof(type)))
