/* SPDX-License-Identifier: Apache-2.0 */
#include "core/password_rule.h"

#include <stddef.h>
#include <stdint.h>

#define UNIT_BYTES_MAX 8u /* of what is said over and over */
#define DISTINCT_MIN   5u

static const char *const known[] = {
    "correcthorsebatterystaple", "letmeinletmeinletmein", "iloveyouforever",  "passwordpassword1",
    "password12345678",          "administrator123",      "thisismypassword", "changemechangeme1"};
static const char *const rows[] = {"abcdefghijklmnopqrstuvwxyz", "12345678901234567890",
                                   "qwertyuiop", "asdfghjkl", "zxcvbnm"};

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

static bool is_known(struct slice text)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t at = 0;
        while (at < text.bytes && known[i][at] != 0 && lower(text.at[at]) == (uint8_t)known[i][at])
            at++;
        if (at == text.bytes && known[i][at] == 0)
            return true;
    }
    return false;
}

static bool repeats(struct slice text)
{
    for (size_t unit = 1; unit <= UNIT_BYTES_MAX && unit * 2 <= text.bytes; unit++) {
        size_t at = unit;
        while (at < text.bytes && lower(text.at[at]) == lower(text.at[at - unit]))
            at++;
        if (at == text.bytes)
            return true;
    }
    return false;
}

static bool in_row(const char *row, uint8_t a, uint8_t b)
{
    for (; row[0] != 0 && row[1] != 0; row++) {
        if ((a == (uint8_t)row[0] && b == (uint8_t)row[1]) ||
            (b == (uint8_t)row[0] && a == (uint8_t)row[1]))
            return true;
    }
    return false;
}

static bool neighbours(uint8_t a, uint8_t b)
{
    bool any = a == b;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        any = any || in_row(rows[i], a, b);
    return any;
}

/* Four steps of five go to a neighbour. */
static bool runs(struct slice text)
{
    size_t steps = 0;
    for (size_t i = 1; i < text.bytes; i++)
        steps += neighbours(lower(text.at[i - 1]), lower(text.at[i]));
    return steps * 5 >= (text.bytes - 1) * 4;
}

static size_t distinct(struct slice text)
{
    bool seen[256] = {false};
    size_t count = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        count += !seen[lower(text.at[i])];
        seen[lower(text.at[i])] = true;
    }
    return count;
}

bool password_strong(struct slice text)
{
    size_t letters = 0;
    for (size_t i = 0; i < text.bytes; i++)
        letters += (text.at[i] & 0xc0) != 0x80;
    return letters >= PASSWORD_LETTERS_MIN && distinct(text) >= DISTINCT_MIN && !repeats(text) &&
           !runs(text) && !is_known(text);
}
