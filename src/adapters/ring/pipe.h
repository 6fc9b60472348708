/* SPDX-License-Identifier: Apache-2.0
 * pipe.h: messages with bytes of any length from one thread to another: a ring of items and, beside
 * it, a ring of bytes.
 * Invariants: released ≤ taken_to ≤ written ≤ released + bytes_max; a message's bytes lie in one
 * piece and stand until pipe_release.
 * Owner: opened and closed by one thread while no other uses it; pipe_put belongs to the producer,
 * pipe_take and pipe_release to the consumer; both may be the same thread.
 * Bounds: `messages` items, `bytes_max` bytes; a message of at most half of them. */
#pragma once

#include "base/id.h"
#include "base/ring.h"
#include "base/slice.h"
#include "base/topic.h"

struct pipe_message {
    uint64_t token, offset;
    uint32_t log_epoch;
    enum status status;
    enum topic topic;
    uint8_t key[ID_BYTES];
    struct slice bytes;
};

struct pipe {
    struct ring ring; /* struct pipe_item */
    uint8_t *bytes;
    uint64_t bytes_max;
    uint64_t written; /* the producer's */
    uint8_t pad_producer[RING_LINE];
    uint64_t taken_to; /* the consumer's */
    uint8_t pad_consumer[RING_LINE];
    _Atomic uint64_t released; /* written by the consumer */
};

/* messages: a power of two. BUSY: no memory. */
MUST_USE enum status pipe_open(struct pipe *pipe, uint32_t messages, size_t bytes_max);
void pipe_close(struct pipe *pipe); /* tolerates a zeroed one */

/* Copies. BUSY: full. */
MUST_USE enum status pipe_put(struct pipe *pipe, const struct pipe_message *message);
bool pipe_take(struct pipe *pipe, struct pipe_message *out); /* false: empty */
void pipe_release(struct pipe *pipe); /* the bytes of all messages taken so far */
