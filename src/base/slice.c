/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <string.h>

/* memcmp, memcpy: a null pointer is not theirs to see, even with a length of 0. */

struct slice slice_text(const char *text)
{
    return slice_make(text, strlen(text));
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, a.bytes) == 0);
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = common == 0 ? 0 : memcmp(a.at, b.at, common);
    if (order != 0)
        return order;
    return (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

bool slice_equal_secret(struct slice a, struct slice b)
{
    if (a.bytes != b.bytes)
        return false;
    /* volatile: the compiler may not leave the loop at the first difference. */
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.bytes; i++)
        difference = (uint8_t)(difference | (a.at[i] ^ b.at[i]));
    return difference == 0;
}

struct slice slice_sub(struct slice whole, size_t from, size_t bytes)
{
    if (from >= whole.bytes)
        return SLICE_EMPTY;
    size_t left = whole.bytes - from;
    return slice_make(whole.at + from, bytes < left ? bytes : left);
}
