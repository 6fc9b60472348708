/* SPDX-License-Identifier: Apache-2.0
 * output.h: what waits for one socket. Frames are appended during a turn and leave in one send at
 * its end; memory exists only while bytes wait.
 * Invariants: `flying` bytes are with the net port and stand until it says NET_SENT; new bytes
 * gather in `waiting`. Bounds: OUTPUT_BYTES_MAX in all, then refused (the connection is closed as
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

struct output {
    struct output_block waiting, flying;
};

/* Append a copy. BUSY: over the bound, or no memory. */
MUST_USE enum status output_put(struct output *output, struct slice bytes);

/* Make what waits fly, if nothing does: the bytes for net->send; empty when there is nothing to
 * do. */
struct slice output_fly(struct output *output);

void output_landed(struct output *output); /* NET_SENT */
uint32_t output_bytes(const struct output *output);
void output_free(struct output *output);
