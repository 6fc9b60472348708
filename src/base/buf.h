/* SPDX-License-Identifier: Apache-2.0
 * buf.h: an output buffer of fixed capacity over borrowed memory.
 * Invariants: bytes ≤ capacity; a put that does not fit writes nothing and sets `overflow`, which
 * stays set, so a writer may check once, at its end. Owner: one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct arena;

struct buf {
    uint8_t *at;
    size_t bytes, capacity;
    bool overflow;
};

static inline struct buf buf_over(void *memory, size_t capacity)
{
    return (struct buf){(uint8_t *)memory, 0, capacity, false};
}

/* A buffer of `capacity` bytes in the arena; on exhaustion its capacity is 0. */
struct buf buf_in(struct arena *arena, size_t capacity);

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->at, buf->bytes};
}

void buf_put(struct buf *buf, struct slice bytes);
void buf_text(struct buf *buf, const char *text);  /* without its zero */
void buf_decimal(struct buf *buf, uint64_t value); /* as text, all of it or nothing */
void buf_u8(struct buf *buf, uint8_t value);
void buf_u16be(struct buf *buf, uint16_t value);
void buf_u32be(struct buf *buf, uint32_t value);
void buf_u64be(struct buf *buf, uint64_t value);
void buf_u16le(struct buf *buf, uint16_t value);
void buf_u32le(struct buf *buf, uint32_t value);
void buf_u64le(struct buf *buf, uint64_t value);
void buf_zero(struct buf *buf, size_t bytes);

/* Reserve `bytes` and return where they start, or NULL and `overflow`. */
uint8_t *buf_reserve(struct buf *buf, size_t bytes);

/* Fixed-width reads that consume from the front of `in`; false, and `in` left alone, if it is too
 * short. */
bool take_u8(struct slice *in, uint8_t *out);
bool take_u16be(struct slice *in, uint16_t *out);
bool take_u32be(struct slice *in, uint32_t *out);
bool take_u64be(struct slice *in, uint64_t *out);
bool take_u16le(struct slice *in, uint16_t *out);
bool take_u32le(struct slice *in, uint32_t *out);
bool take_u64le(struct slice *in, uint64_t *out);
bool take_bytes(struct slice *in, size_t bytes, struct slice *out);
