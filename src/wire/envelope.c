/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/envelope.h"

#include <string.h>

#include "base/assert.h"

#define KIND_TRANSIENT 2

static uint16_t u16_at(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint64_t u64_at(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return value;
}

enum status envelope_read(struct slice bytes, struct envelope *out)
{
    memset(out, 0, sizeof *out);
    if (bytes.bytes > ENVELOPE_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (bytes.bytes < ENVELOPE_OVERHEAD_BYTES + ENVELOPE_PADDED_BYTES_MIN || bytes.at[0] == 0)
        return STATUS_INVALID;
    if (bytes.at[0] != ENVELOPE_VERSION)
        return STATUS_UNSUPPORTED;
    struct envelope_header *header = &out->header;
    header->kind = bytes.at[1];
    memcpy(header->chat, bytes.at + 2, ID_BYTES);
    header->gen = u16_at(bytes.at + 18);
    header->mls_epoch = u64_at(bytes.at + 20);
    memcpy(header->device, bytes.at + 28, ID_BYTES);
    header->sctr = u64_at(bytes.at + 44);
    memcpy(header->nonce, bytes.at + 52, ENVELOPE_NONCE_BYTES);
    size_t padded = bytes.bytes - ENVELOPE_OVERHEAD_BYTES;
    out->header_bytes = slice_sub(bytes, 0, ENVELOPE_HEADER_BYTES);
    out->padded = slice_sub(bytes, ENVELOPE_HEADER_BYTES, padded);
    out->tag = slice_sub(bytes, ENVELOPE_HEADER_BYTES + padded, ENVELOPE_TAG_BYTES);
    out->sig = slice_sub(bytes, bytes.bytes - ENVELOPE_SIG_BYTES, ENVELOPE_SIG_BYTES);
    bool transient = header->kind == KIND_TRANSIENT;
    if (header->kind > ENVELOPE_KIND_MAX || header->gen == 0 || (header->sctr == 0) != transient)
        return STATUS_INVALID;
    return STATUS_OK;
}

void envelope_header_write(const struct envelope_header *header, struct buf *out)
{
    buf_u8(out, ENVELOPE_VERSION);
    buf_u8(out, header->kind);
    buf_put(out, slice_make(header->chat, ID_BYTES));
    buf_u16be(out, header->gen);
    buf_u64be(out, header->mls_epoch);
    buf_put(out, slice_make(header->device, ID_BYTES));
    buf_u64be(out, header->sctr);
    buf_put(out, slice_make(header->nonce, ENVELOPE_NONCE_BYTES));
}

void envelope_context_write(struct slice header_bytes, const uint8_t user[ID_BYTES],
                            const uint8_t mid[ID_BYTES], struct buf *out)
{
    assert(header_bytes.bytes == ENVELOPE_HEADER_BYTES);
    buf_put(out, header_bytes);
    buf_put(out, slice_make(user, ID_BYTES));
    buf_put(out, slice_make(mid, ID_BYTES));
}

static unsigned bits_below(size_t value)
{
    unsigned log = 0;
    while (value >>= 1)
        log++;
    return log;
}

size_t envelope_padded_bytes(size_t content_bytes)
{
    size_t wanted = content_bytes + 1; /* the 0x80 belongs to what is padded */
    if (wanted <= ENVELOPE_PADDED_BYTES_MIN)
        return ENVELOPE_PADDED_BYTES_MIN;
    unsigned exponent = bits_below(wanted);
    unsigned kept = bits_below(exponent) + 1;
    assert(kept <= exponent); /* from the smallest size on */
    size_t mask = ((size_t)1 << (exponent - kept)) - 1;
    return (wanted + mask) & ~mask;
}

void envelope_pad(struct slice content, struct buf *out)
{
    buf_put(out, content);
    buf_u8(out, 0x80);
    buf_zero(out, envelope_padded_bytes(content.bytes) - content.bytes - 1);
}

enum status envelope_unpad(struct slice padded, struct slice *out)
{
    size_t end = padded.bytes;
    *out = SLICE_EMPTY;
    while (end > 0 && padded.at[end - 1] == 0)
        end--;
    if (end == 0 || padded.at[end - 1] != 0x80 || envelope_padded_bytes(end - 1) != padded.bytes)
        return STATUS_INVALID;
    *out = slice_sub(padded, 0, end - 1);
    return STATUS_OK;
}

void direct_chat_input(const uint8_t a[ID_BYTES], const uint8_t b[ID_BYTES],
                       uint8_t out[DIRECT_CHAT_INPUT_BYTES])
{
    bool a_is_lower = memcmp(a, b, ID_BYTES) <= 0;
    memcpy(out, "parley/direct/v1", 17);
    memcpy(out + 17, a_is_lower ? a : b, ID_BYTES);
    memcpy(out + 17 + ID_BYTES, a_is_lower ? b : a, ID_BYTES);
}
