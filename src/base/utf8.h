/* SPDX-License-Identifier: Apache-2.0
 * utf8.h: strict validation of UTF-8: no overlong form, no surrogate, nothing past U+10FFFF.
 * Invariants: a text fed in any pieces gets the verdict it gets whole.
 * Owner: the caller. Source: RFC 3629 §4. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

bool utf8_valid(struct slice text); /* O(n) */

/* The same piece by piece, as fragments of a WebSocket message arrive. */
struct utf8 {
    uint8_t missing;   /* bytes of the current character still to come */
    uint8_t low, high; /* the range that the next of them must be in */
    bool broken;       /* stays true until utf8_init */
};

void utf8_init(struct utf8 *utf8);

/* False as soon as no continuation could make the text valid. */
bool utf8_feed(struct utf8 *utf8, struct slice piece);

/* Whether what was fed is a valid text: not broken, and not inside a character. */
bool utf8_complete(const struct utf8 *utf8);
