/* SPDX-License-Identifier: Apache-2.0
 * base64.h: bytes as printable text and back: base64 (padded), base64url (never padded), hex.
 * Invariants: reading is strict and so one to one: no white space, no foreign letter, no missing or
 * surplus padding, no bit set that encodes nothing. For every text t that reads, write(read(t)) = t
 * (hex: read takes both cases, write gives lower case).
 * Owner: the caller. Source: RFC 4648 §§4, 5, 8.
 * A write that does not fit sets the buffer's overflow, as every put does. A read returns INVALID,
 * or TOO_LARGE when the buffer has no room; it then has put nothing. Not for secrets in hostile
 * company: time depends on the bytes. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

/* How many letters so many bytes make. */
static inline size_t base64_text_bytes(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}

static inline size_t base64url_text_bytes(size_t bytes)
{
    return bytes / 3 * 4 + (bytes % 3 == 0 ? 0 : bytes % 3 + 1);
}

void base64_write(struct buf *out, struct slice bytes);
MUST_USE enum status base64_read(struct slice text, struct buf *out);

void base64url_write(struct buf *out, struct slice bytes);
MUST_USE enum status base64url_read(struct slice text, struct buf *out);

void hex_write(struct buf *out, struct slice bytes);
MUST_USE enum status hex_read(struct slice text, struct buf *out);
