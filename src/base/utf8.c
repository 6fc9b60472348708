/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

void utf8_init(struct utf8 *utf8)
{
    *utf8 = (struct utf8){0};
}

static bool begin(struct utf8 *utf8, uint8_t missing, uint8_t low, uint8_t high)
{
    *utf8 = (struct utf8){missing, low, high, false};
    return true;
}

/* A first byte, and what may follow it (RFC 3629 §4, the ABNF line by line). */
static bool first(struct utf8 *utf8, uint8_t byte)
{
    if (byte < 0x80)
        return true;
    if (byte < 0xc2) /* a continuation, or an overlong form of two bytes */
        return false;
    if (byte < 0xe0)
        return begin(utf8, 1, 0x80, 0xbf);
    if (byte == 0xe0) /* below: overlong */
        return begin(utf8, 2, 0xa0, 0xbf);
    if (byte == 0xed) /* above: surrogates */
        return begin(utf8, 2, 0x80, 0x9f);
    if (byte < 0xf0)
        return begin(utf8, 2, 0x80, 0xbf);
    if (byte == 0xf0) /* below: overlong */
        return begin(utf8, 3, 0x90, 0xbf);
    if (byte < 0xf4)
        return begin(utf8, 3, 0x80, 0xbf);
    if (byte == 0xf4) /* above: past U+10FFFF */
        return begin(utf8, 3, 0x80, 0x8f);
    return false;
}

/* The length of the run of ASCII that `at` starts with, in whole words. */
static size_t ascii_words(const uint8_t *at, size_t bytes)
{
    size_t done = 0;
    for (uint64_t word; bytes - done >= sizeof word; done += sizeof word) {
        memcpy(&word, at + done, sizeof word);
        if ((word & 0x8080808080808080u) != 0)
            break;
    }
    return done;
}

bool utf8_feed(struct utf8 *utf8, struct slice piece)
{
    if (utf8->broken)
        return false;
    for (size_t i = 0; i < piece.bytes; i++) {
        if (utf8->missing == 0) {
            i += ascii_words(piece.at + i, piece.bytes - i);
            if (i == piece.bytes)
                break;
            utf8->broken = !first(utf8, piece.at[i]);
        } else {
            utf8->broken = piece.at[i] < utf8->low || piece.at[i] > utf8->high;
            utf8->missing--;
            utf8->low = 0x80;
            utf8->high = 0xbf;
        }
        if (utf8->broken)
            return false;
    }
    return true;
}

bool utf8_complete(const struct utf8 *utf8)
{
    return !utf8->broken && utf8->missing == 0;
}

bool utf8_valid(struct slice text)
{
    struct utf8 utf8;
    utf8_init(&utf8);
    return utf8_feed(&utf8, text) && utf8_complete(&utf8);
}
