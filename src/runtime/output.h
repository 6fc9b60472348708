/* SPDX-License-Identifier: Apache-2.0
 * output.h: what waits for one socket. Frames are appended during a turn and leave in one send at
 * its end; memory exists only while bytes wait.
 * Invariants: a portion of `flying` is with the net port and stands until it says NET_SENT; new
 * bytes gather in `waiting`. A portion is small, so that a slow reader which reads is seen to move.
 * Bounds: OUTPUT_BYTES_MAX in all, then refused (the connection is closed as
 * too slow).
 * Owner: the connection's shard. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define OUTPUT_BYTES_MAX (4u << 20) /* a window, a page of bodies and the answers beside them */

struct output_block {
    uint8_t *at;
    uint32_t bytes, capacity;
};

#define OUTPUT_PORTION_MAX (64u << 10)

struct output {
    struct output_block waiting, flying;
    uint32_t flown, portion; /* of `flying`: gone; with the net port now */
};

/* Append a copy. BUSY: over the bound, or no memory. */
MUST_USE enum status output_put(struct output *output, struct slice bytes);

/* The next portion for net->send, if none is under way; empty when there is nothing to do. */
struct slice output_fly(struct output *output);

void output_landed(struct output *output); /* NET_SENT */
uint32_t output_bytes(const struct output *output);
void output_free(struct output *output);
