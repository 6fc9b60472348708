/* SPDX-License-Identifier: Apache-2.0
 * slice.h: a borrowed run of bytes. A slice never owns: what it points at outlives it by the rule
 * of the function that handed it out (by default, until the end of the step). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const uint8_t *at;
    size_t bytes;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* The bytes of a string literal without its zero; of an array or object in place. */
#define SLICE_LITERAL(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})
#define SLICE_OF(object)    ((struct slice){(const uint8_t *)&(object), sizeof(object)})

static inline struct slice slice_make(const void *at, size_t bytes)
{
    return (struct slice){(const uint8_t *)at, bytes};
}

/* The bytes of a zero-terminated text, without the zero. O(n). */
struct slice slice_text(const char *text);

bool slice_equal(struct slice a, struct slice b);

/* memcmp order, the shorter first when one is a prefix of the other: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);

/* As slice_equal, in time that depends on the lengths only. For secrets. */
bool slice_equal_secret(struct slice a, struct slice b);

/* The sub-slice from `from`, at most `bytes` long; clipped to what is there. */
struct slice slice_sub(struct slice whole, size_t from, size_t bytes);
