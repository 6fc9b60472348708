/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <string.h>

#include "base/arena.h"

struct buf buf_in(struct arena *arena, size_t capacity)
{
    uint8_t *memory = arena_alloc(arena, capacity);
    return buf_over(memory, memory != NULL ? capacity : 0);
}

uint8_t *buf_reserve(struct buf *buf, size_t bytes)
{
    if (buf->overflow || bytes > buf->capacity - buf->bytes) {
        buf->overflow = true;
        return NULL;
    }
    if (buf->at == NULL) /* capacity 0: nothing to point at, and nothing that does not fit */
        return NULL;
    uint8_t *at = buf->at + buf->bytes;
    buf->bytes += bytes;
    return at;
}

void buf_put(struct buf *buf, struct slice bytes)
{
    uint8_t *at = buf_reserve(buf, bytes.bytes);
    if (at != NULL && bytes.bytes > 0)
        memcpy(at, bytes.at, bytes.bytes);
}

void buf_zero(struct buf *buf, size_t bytes)
{
    uint8_t *at = buf_reserve(buf, bytes);
    if (at != NULL)
        memset(at, 0, bytes);
}

static void put_be(struct buf *buf, uint64_t value, unsigned width)
{
    uint8_t *at = buf_reserve(buf, width);
    if (at == NULL)
        return;
    for (unsigned i = width; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

static void put_le(struct buf *buf, uint64_t value, unsigned width)
{
    uint8_t *at = buf_reserve(buf, width);
    if (at == NULL)
        return;
    for (unsigned i = 0; i < width; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

void buf_text(struct buf *buf, const char *text)
{
    buf_put(buf, slice_text(text));
}

void buf_decimal(struct buf *buf, uint64_t value)
{
    uint8_t digits[20];
    size_t begin = sizeof digits;
    do {
        digits[--begin] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(buf, slice_make(digits + begin, sizeof digits - begin));
}

void buf_u8(struct buf *buf, uint8_t value)
{
    put_be(buf, value, 1);
}

void buf_u16be(struct buf *buf, uint16_t value)
{
    put_be(buf, value, 2);
}

void buf_u32be(struct buf *buf, uint32_t value)
{
    put_be(buf, value, 4);
}

void buf_u64be(struct buf *buf, uint64_t value)
{
    put_be(buf, value, 8);
}

void buf_u16le(struct buf *buf, uint16_t value)
{
    put_le(buf, value, 2);
}

void buf_u32le(struct buf *buf, uint32_t value)
{
    put_le(buf, value, 4);
}

void buf_u64le(struct buf *buf, uint64_t value)
{
    put_le(buf, value, 8);
}

bool take_bytes(struct slice *in, size_t bytes, struct slice *out)
{
    if (bytes > in->bytes)
        return false;
    *out = slice_make(in->at, bytes);
    if (bytes > 0)
        in->at += bytes;
    in->bytes -= bytes;
    return true;
}

static bool take_be(struct slice *in, unsigned width, uint64_t *out)
{
    struct slice field;
    if (!take_bytes(in, width, &field))
        return false;
    *out = 0;
    for (unsigned i = 0; i < width; i++)
        *out = *out << 8 | field.at[i];
    return true;
}

static bool take_le(struct slice *in, unsigned width, uint64_t *out)
{
    struct slice field;
    if (!take_bytes(in, width, &field))
        return false;
    *out = 0;
    for (unsigned i = width; i-- > 0;)
        *out = *out << 8 | field.at[i];
    return true;
}

bool take_u8(struct slice *in, uint8_t *out)
{
    uint64_t value;
    if (!take_be(in, 1, &value))
        return false;
    *out = (uint8_t)value;
    return true;
}

bool take_u16be(struct slice *in, uint16_t *out)
{
    uint64_t value;
    if (!take_be(in, 2, &value))
        return false;
    *out = (uint16_t)value;
    return true;
}

bool take_u32be(struct slice *in, uint32_t *out)
{
    uint64_t value;
    if (!take_be(in, 4, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

bool take_u64be(struct slice *in, uint64_t *out)
{
    return take_be(in, 8, out);
}

bool take_u16le(struct slice *in, uint16_t *out)
{
    uint64_t value;
    if (!take_le(in, 2, &value))
        return false;
    *out = (uint16_t)value;
    return true;
}

bool take_u32le(struct slice *in, uint32_t *out)
{
    uint64_t value;
    if (!take_le(in, 4, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

bool take_u64le(struct slice *in, uint64_t *out)
{
    return take_le(in, 8, out);
}
