/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/mark.h"

#include <string.h>

#define MAGIC_BYTES (sizeof MARK_MAGIC - 1)

static uint8_t *hex_write(uint8_t *at, uint64_t value, unsigned digits)
{
    for (unsigned i = 0; i < digits; i++)
        at[i] = (uint8_t) "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
    return at + digits;
}

static bool hex_read(const uint8_t **at, unsigned digits, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < digits; i++) {
        uint8_t digit = (*at)[i];
        if (digit >= '0' && digit <= '9')
            *out = *out << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            *out = *out << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    *at += digits;
    return true;
}

void mark_write(const struct mark *mark, uint8_t out[MARK_BYTES])
{
    memcpy(out, MARK_MAGIC, MAGIC_BYTES);
    uint8_t *at = hex_write(out + MAGIC_BYTES, mark->run, 8);
    at = hex_write(at, mark->sender, 8);
    at = hex_write(at, mark->seq, 10);
    (void)hex_write(at, mark->intended_us, 16);
}

static bool mark_read(const uint8_t *at, struct mark *out)
{
    uint64_t run, sender;
    at += MAGIC_BYTES;
    if (!hex_read(&at, 8, &run) || !hex_read(&at, 8, &sender) || !hex_read(&at, 10, &out->seq) ||
        !hex_read(&at, 16, &out->intended_us))
        return false;
    out->run = (uint32_t)run;
    out->sender = (uint32_t)sender;
    return true;
}

/* Whether the first bytes, as many as there are, are those of the magic. */
static bool begins(const uint8_t *at, size_t bytes)
{
    return memcmp(at, MARK_MAGIC, bytes < MAGIC_BYTES ? bytes : MAGIC_BYTES) == 0;
}

static void drop_held(struct mark_scanner *scanner)
{
    do {
        scanner->held_bytes--;
        memmove(scanner->held, scanner->held + 1, scanner->held_bytes);
    } while (scanner->held_bytes > 0 && !begins(scanner->held, scanner->held_bytes));
}

/* Go on with a mark that was cut. */
static bool held_next(struct mark_scanner *scanner, struct slice *in, struct mark *out)
{
    while (scanner->held_bytes > 0) {
        if (scanner->held_bytes == MARK_BYTES) {
            bool whole = mark_read(scanner->held, out);
            if (whole)
                scanner->held_bytes = 0;
            else
                drop_held(scanner);
            if (whole)
                return true;
            continue;
        }
        if (in->bytes == 0)
            return false;
        scanner->held[scanner->held_bytes++] = in->at[0];
        *in = slice_sub(*in, 1, in->bytes - 1);
        if (!begins(scanner->held, scanner->held_bytes))
            drop_held(scanner);
    }
    return false;
}

static void hold(struct mark_scanner *scanner, const uint8_t *at, size_t bytes)
{
    memcpy(scanner->held, at, bytes);
    scanner->held_bytes = (uint32_t)bytes;
}

bool mark_next(struct mark_scanner *scanner, struct slice *in, struct mark *out)
{
    if (held_next(scanner, in, out))
        return true;
    if (in->bytes == 0)
        return false;
    const uint8_t *at = in->at, *end = in->at + in->bytes;
    while (at < end && (at = memchr(at, MARK_MAGIC[0], (size_t)(end - at))) != NULL) {
        size_t left = (size_t)(end - at);
        if (!begins(at, left)) {
            at++;
            continue;
        }
        if (left < MARK_BYTES) {
            hold(scanner, at, left);
            break;
        }
        if (mark_read(at, out)) {
            *in = slice_make(at + MARK_BYTES, left - MARK_BYTES);
            return true;
        }
        at++;
    }
    *in = SLICE_EMPTY;
    return false;
}
