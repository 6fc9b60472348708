/* SPDX-License-Identifier: Apache-2.0
 * ws.h: WebSocket frames, strictly: bytes of a receive buffer in, events out; both roles.
 *
 * We speak binary messages only, without extensions. What is refused, and with which close code:
 *   1002  reserved bits or opcodes, wrong masking, non-minimal or 2^63 lengths, a control frame
 *         that is fragmented or over 125 bytes, a continuation of nothing, a new message inside a
 *         fragmented one, a close body of one byte, a close code nobody may send
 *   1003  a text frame        1007  bad UTF-8 in a close reason
 *   1009  a message over message_bytes_max, judged by the header, before its payload comes
 * Checks follow the order of the bytes, so the verdict does not depend on how they were split.
 *
 * The receive loop. The caller keeps unconsumed bytes at the front of its receive buffer, adds
 * what arrives behind them, and calls ws_feed until it answers WS_NONE:
 *   - A frame of at most hold_bytes (header included) stays in the buffer until it is whole and
 *     then comes as one event, unmasked in place: an unfragmented message that fits the buffer is
 *     never copied. hold_bytes must not exceed the buffer's capacity.
 *   - A larger frame is handed out piece by piece as it arrives. The caller appends the pieces of
 *     a message (WS_PIECE) to a buffer of its own until `last`; `message_bytes` announces on
 *     every piece how large that buffer must be by now, `frame_left` what this frame still owes.
 * Control frames are always whole, and may come between pieces of a message.
 * After WS_CLOSE or WS_ERROR the stream is over: further bytes are consumed and dropped.
 *
 * Invariants: message_bytes ≤ message_bytes_max; every byte is unmasked exactly once; no event
 * points outside the bytes handed in. Bounds: sizeof(struct ws) ≤ 64, O(bytes) per call, plus
 * O(14) for looking again at the header of a held frame. Owner: the connection's thread; pure.
 * Source: RFC 6455. The states: top of ws.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    WS_HEADER_BYTES_MAX = 14,
    WS_CONTROL_BYTES_MAX = 125,
    WS_CLOSE_REASON_BYTES_MAX = WS_CONTROL_BYTES_MAX - 2,
    WS_CLOSE_FRAME_BYTES_MAX = 2 + 4 + WS_CONTROL_BYTES_MAX,
    WS_HOLD_BYTES_MIN = WS_CLOSE_FRAME_BYTES_MAX, /* any control frame must be holdable */
    WS_MASK_BYTES = 4
};

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_OPCODE_CLOSE = 8,
    WS_OPCODE_PING = 9,
    WS_OPCODE_PONG = 10
};

enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNSUPPORTED = 1003,
    WS_CODE_NONE = 1005, /* never on the wire: "the close frame named no code" */
    WS_CODE_BAD_DATA = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_INTERNAL = 1011,
    WS_CODE_TRY_LATER = 1013
};

/* Which end we are. A server takes masked frames only, a client unmasked ones only. */
enum ws_role { WS_SERVER, WS_CLIENT };

struct ws {
    uint64_t frame_left;    /* payload bytes still owed by a frame that comes in pieces */
    uint64_t message_bytes; /* announced by the frames of the open message; 0 without one */
    uint64_t message_bytes_max;
    uint32_t hold_bytes;
    uint8_t mask[WS_MASK_BYTES];
    uint8_t mask_at;  /* 0–3: the place in the mask where the next payload byte stands */
    uint8_t role;     /* enum ws_role */
    bool in_message;  /* a message has begun and its final frame has not ended */
    bool piece_began; /* a piece of the open message has been handed out */
    bool final;       /* the frame in pieces is its message's last */
    bool done;        /* WS_CLOSE or WS_ERROR was given */
};

enum ws_kind {
    WS_NONE,    /* nothing more without more bytes */
    WS_MESSAGE, /* a whole binary message: payload */
    WS_PIECE,   /* a part of a binary message: payload, first, last, message_bytes, frame_left */
    WS_PING,    /* payload: to be echoed in a pong */
    WS_PONG,    /* payload */
    WS_CLOSE,   /* code (WS_CODE_NONE if the frame was empty), payload = reason: answer, close */
    WS_ERROR    /* code: send it in a close frame, close */
};

struct ws_event {
    enum ws_kind kind;
    uint16_t code;
    bool first, last;
    uint64_t message_bytes; /* announced so far for this message, this frame included */
    uint64_t frame_left;
    struct slice payload; /* into the bytes handed in, unmasked; may be empty */
};

/* hold_bytes: WS_HOLD_BYTES_MIN … capacity of the receive buffer. message_bytes_max ≥ 1. */
void ws_init(struct ws *ws, enum ws_role role, uint32_t hold_bytes, uint64_t message_bytes_max);

/* Raise the limits, e.g. after sign-in. Neither may fall while the connection lives. */
void ws_raise(struct ws *ws, uint32_t hold_bytes, uint64_t message_bytes_max);

/* Take from bytes[0..count) at most one event. *consumed: how many bytes to drop from the front
 * before the next call (an event's payload lies among them and stays readable until the caller
 * moves them); it may be > 0 with WS_NONE. Bytes that were not consumed must be handed in again,
 * unchanged. */
void ws_feed(struct ws *ws, uint8_t *bytes, size_t count, size_t *consumed, struct ws_event *out);

/* Asserts the invariants above. */
void ws_check(const struct ws *ws);

/* Whether an endpoint may put `code` into a close frame (RFC 6455 §7.4, IANA up to 1014). */
bool ws_code_valid(uint16_t code);

/* ---- writing ---- */

/* The header of one unfragmented frame; mask = WS_MASK_BYTES fresh random bytes (client) or NULL
 * (server). Returns its length, 2–14. A client then calls ws_mask(payload, bytes, mask, 0). */
size_t ws_write_header(uint8_t out[WS_HEADER_BYTES_MAX], enum ws_opcode opcode,
                       uint64_t payload_bytes, const uint8_t *mask);

/* XOR with the mask, in place; `at` = place of bytes[0] in the payload. Its own inverse. */
void ws_mask(uint8_t *bytes, size_t count, const uint8_t mask[WS_MASK_BYTES], uint64_t at);

/* A whole close frame; WS_CODE_NONE writes an empty body. reason: UTF-8 of ours, at most
 * WS_CLOSE_REASON_BYTES_MAX. Returns its length. */
size_t ws_write_close(uint8_t out[WS_CLOSE_FRAME_BYTES_MAX], uint16_t code, struct slice reason,
                      const uint8_t *mask);
