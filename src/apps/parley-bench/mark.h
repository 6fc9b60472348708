/* SPDX-License-Identifier: Apache-2.0
 * mark.h: what a body carries to be known again: run, sender, number and intended time, in letters
 * that any protocol passes on as they are, and one scanner that finds it in any stream of bytes,
 * however it is cut. So every driver costs the client the same, and is counted the same way.
 * "PBmk" ‖ run 8 ‖ sender 8 ‖ seq 10 ‖ intended µs 16, hexadecimal.
 * Owner: one thread a scanner. Bounds: MARK_BYTES held; O(bytes). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define MARK_MAGIC "PBmk"
#define MARK_BYTES (4 + 8 + 8 + 10 + 16)

struct mark {
    uint32_t run, sender;
    uint64_t seq, intended_us;
};

struct mark_scanner {
    uint8_t held[MARK_BYTES]; /* the beginning of a mark, cut off by the end of the bytes */
    uint32_t held_bytes;
};

void mark_write(const struct mark *mark, uint8_t out[MARK_BYTES]);

/* The next mark: `in` moves behind it. False: none (any more), `in` is used up. What begins like a
 * mark and does not go on like one is passed over. */
bool mark_next(struct mark_scanner *scanner, struct slice *in, struct mark *out);
