/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <stdbool.h>
#include <stdint.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char letters_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define NO_LETTER 64

static uint32_t letter_value(uint8_t letter, bool url)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - (uint32_t)'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - (uint32_t)'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - (uint32_t)'0' + 52;
    if (letter == (url ? '-' : '+'))
        return 62;
    if (letter == (url ? '_' : '/'))
        return 63;
    return NO_LETTER;
}

static uint8_t *write_group(uint8_t *at, struct slice group, bool url)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; i++)
        bits = bits << 8 | (i < group.bytes ? group.at[i] : 0);
    for (size_t i = 0; i < 4; i++, bits <<= 6) {
        if (i <= group.bytes)
            *at++ = (uint8_t)(url ? letters_url : letters)[bits >> 18 & 63];
        else if (!url)
            *at++ = '=';
    }
    return at;
}

static void write_text(struct buf *out, struct slice bytes, bool url)
{
    uint8_t *at =
        buf_reserve(out, url ? base64url_text_bytes(bytes.bytes) : base64_text_bytes(bytes.bytes));
    if (at == NULL)
        return;
    for (size_t i = 0; i < bytes.bytes; i += 3)
        at = write_group(at, slice_sub(bytes, i, 3), url);
}

/* Read 2 to 4 letters into 1 to 3 bytes; false: a foreign letter or a stray bit. */
static bool read_group(struct slice group, bool url, uint8_t out[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = i < group.bytes ? letter_value(group.at[i], url) : 0;
        if (value == NO_LETTER)
            return false;
        bits = bits << 6 | value;
    }
    for (unsigned i = 0; i < 3; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    uint32_t stray = group.bytes == 2 ? 0xffff : group.bytes == 3 ? 0xff : 0;
    return (bits & stray) == 0;
}

/* `text` without padding. */
static enum status read_text(struct slice text, bool url, struct buf *out)
{
    if (text.bytes % 4 == 1)
        return STATUS_INVALID;
    if (out->overflow || text.bytes / 4 * 3 + (text.bytes % 4 * 3) / 4 > out->capacity - out->bytes)
        return STATUS_TOO_LARGE;
    size_t before = out->bytes;
    for (size_t i = 0; i < text.bytes; i += 4) {
        struct slice group = slice_sub(text, i, 4);
        uint8_t bytes[3];
        if (!read_group(group, url, bytes)) {
            out->bytes = before;
            return STATUS_INVALID;
        }
        buf_put(out, slice_make(bytes, group.bytes - 1));
    }
    return STATUS_OK;
}

void base64_write(struct buf *out, struct slice bytes)
{
    write_text(out, bytes, false);
}

enum status base64_read(struct slice text, struct buf *out)
{
    if (text.bytes % 4 != 0)
        return STATUS_INVALID;
    for (unsigned i = 0; i < 2 && text.bytes > 0 && text.at[text.bytes - 1] == '='; i++)
        text.bytes--;
    return read_text(text, false, out);
}

void base64url_write(struct buf *out, struct slice bytes)
{
    write_text(out, bytes, true);
}

enum status base64url_read(struct slice text, struct buf *out)
{
    return read_text(text, true, out);
}

void hex_write(struct buf *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    /* A slice is never longer than half of the address space, so the product fits. */
    uint8_t *at = buf_reserve(out, 2 * bytes.bytes);
    if (at == NULL)
        return;
    for (size_t i = 0; i < bytes.bytes; i++) {
        *at++ = (uint8_t)digits[bytes.at[i] >> 4];
        *at++ = (uint8_t)digits[bytes.at[i] & 15];
    }
}

static int digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

enum status hex_read(struct slice text, struct buf *out)
{
    if (text.bytes % 2 != 0)
        return STATUS_INVALID;
    if (out->overflow || text.bytes / 2 > out->capacity - out->bytes)
        return STATUS_TOO_LARGE;
    size_t before = out->bytes;
    for (size_t i = 0; i < text.bytes; i += 2) {
        int high = digit_value(text.at[i]), low = digit_value(text.at[i + 1]);
        if (high < 0 || low < 0) {
            out->bytes = before;
            return STATUS_INVALID;
        }
        buf_u8(out, (uint8_t)(high << 4 | low));
    }
    return STATUS_OK;
}
