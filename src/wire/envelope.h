/* SPDX-License-Identifier: Apache-2.0
 * envelope.h: the clear header of a sealed message, its padding, and the id of a direct chat.
 * An envelope is header 76 ‖ ct ‖ tag 16 ‖ sig 64, where ct is padded content; sender and mid are
 * not sent in it but bound to it (ENVELOPE_CONTEXT_BYTES). Nothing here opens anything: bytes only.
 * Invariants: reading what was written gives the same header; a header that reads is of version 1.
 * Owner: no state; any thread. Source: e2ee §7; padding: Padmé (PURBs, PETS 2019). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

#define ENVELOPE_VERSION          1
#define ENVELOPE_HEADER_BYTES     76
#define ENVELOPE_NONCE_BYTES      24
#define ENVELOPE_TAG_BYTES        16
#define ENVELOPE_SIG_BYTES        64
#define ENVELOPE_OVERHEAD_BYTES   (ENVELOPE_HEADER_BYTES + ENVELOPE_TAG_BYTES + ENVELOPE_SIG_BYTES)
#define ENVELOPE_BYTES_MAX        65536u
#define ENVELOPE_PADDED_BYTES_MIN 64u
#define ENVELOPE_CONTEXT_BYTES    (ENVELOPE_HEADER_BYTES + ID_BYTES + ID_BYTES)
#define ENVELOPE_KIND_MAX         4 /* MessageKind of entry.proto */
#define DIRECT_CHAT_INPUT_BYTES   (17 + ID_BYTES + ID_BYTES)

struct envelope_header {
    uint8_t kind;
    uint8_t chat[ID_BYTES];
    uint16_t gen;
    uint64_t mls_epoch;
    uint8_t device[ID_BYTES];
    uint64_t sctr;
    uint8_t nonce[ENVELOPE_NONCE_BYTES];
};

struct envelope {
    struct envelope_header header;
    struct slice header_bytes, padded, tag, sig; /* into the bytes that were read */
};

/* INVALID: too short, unknown kind, or a durable kind without a counter; TOO_LARGE: above
 * ENVELOPE_BYTES_MAX; UNSUPPORTED: a version above 1, never guessed. */
enum status envelope_read(struct slice bytes, struct envelope *out) MUST_USE;

void envelope_header_write(const struct envelope_header *header, struct buf *out);

/* ctx = header ‖ user_id of the sender ‖ mid: what every envelope is bound to. */
void envelope_context_write(struct slice header_bytes, const uint8_t user[ID_BYTES],
                            const uint8_t mid[ID_BYTES], struct buf *out);

/* Length of the padded content: content ‖ 0x80 ‖ zeros, up to max(64, Padmé(content + 1)). */
size_t envelope_padded_bytes(size_t content_bytes);

/* Append content ‖ 0x80 ‖ zeros. */
void envelope_pad(struct slice content, struct buf *out);

/* The content inside padded bytes. INVALID: no 0x80 before the zeros, or another length than
 * envelope_padded_bytes of the content: one content has one padding. */
enum status envelope_unpad(struct slice padded, struct slice *out) MUST_USE;

/* The bytes whose SHA-256, cut to 16 B, is the id of the direct chat of two users (of the self
 * chat, if both are one): "parley/direct/v1" with its zero ‖ lower user_id ‖ higher user_id. */
void direct_chat_input(const uint8_t a[ID_BYTES], const uint8_t b[ID_BYTES],
                       uint8_t out[DIRECT_CHAT_INPUT_BYTES]);
