/* SPDX-License-Identifier: Apache-2.0 */
/*
 *            header whole, frame ≤ hold_bytes and whole          close frame, or any refusal
 *           ┌──────────────┐ MESSAGE PIECE PING PONG            ┌────────────────────────► DONE
 *           ▼              │                                    │                          (drops)
 *         HEADER ──────────┴────────────────────────────────────┘
 *           │ ▲
 *           │ └────────────── the frame's last byte: PIECE ───────┐
 *           └─ header whole, data frame > hold_bytes ──────────► PIECES ── bytes: PIECE
 *
 * HEADER → HEADER, PIECES, DONE: feed_header      PIECES → PIECES, HEADER: feed_pieces
 * HEADER = frame_left 0, PIECES = frame_left > 0, DONE = done. in_message is true from a first
 * frame without FIN, or one that comes in pieces, to the end of its message's last frame. */
#include "wire/ws.h"

#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

static_assert(sizeof(struct ws) <= 64, "a connection's parser state is small");

enum { FIN = 0x80, RSV = 0x70, OPCODE = 0x0f, CONTROL = 0x08, MASKED = 0x80, LENGTH = 0x7f };
enum { LENGTH_IS_U16 = 126, LENGTH_IS_U64 = 127 };

/* A frame's header as read from the bytes. `bytes` is 0 while more of it is needed. */
struct header {
    uint64_t payload_bytes;
    uint8_t mask[WS_MASK_BYTES];
    uint8_t opcode;
    bool final;
    size_t bytes;
};

void ws_init(struct ws *ws, enum ws_role role, uint32_t hold_bytes, uint64_t message_bytes_max)
{
    assert(hold_bytes >= WS_HOLD_BYTES_MIN && message_bytes_max >= 1);
    memset(ws, 0, sizeof *ws);
    ws->role = (uint8_t)role;
    ws->hold_bytes = hold_bytes;
    ws->message_bytes_max = message_bytes_max;
}

void ws_raise(struct ws *ws, uint32_t hold_bytes, uint64_t message_bytes_max)
{
    assert(hold_bytes >= ws->hold_bytes && message_bytes_max >= ws->message_bytes_max);
    ws->hold_bytes = hold_bytes;
    ws->message_bytes_max = message_bytes_max;
}

void ws_check(const struct ws *ws)
{
    assert(ws->role == WS_SERVER || ws->role == WS_CLIENT);
    assert(ws->hold_bytes >= WS_HOLD_BYTES_MIN);
    assert(ws->message_bytes <= ws->message_bytes_max);
    assert(ws->frame_left <= ws->message_bytes);
    assert(ws->mask_at < WS_MASK_BYTES);
    assert(ws->in_message || (ws->message_bytes == 0 && !ws->piece_began));
    assert(ws->frame_left == 0 || ws->in_message);
}

bool ws_code_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

void ws_mask(uint8_t *bytes, size_t count, const uint8_t mask[WS_MASK_BYTES], uint64_t at)
{
    uint8_t turned[8];
    for (size_t i = 0; i < sizeof turned; i++)
        turned[i] = mask[(at + i) % WS_MASK_BYTES];
    uint64_t wide;
    memcpy(&wide, turned, sizeof wide);
    size_t done = 0;
    for (; count - done >= sizeof wide; done += sizeof wide) {
        uint64_t word;
        memcpy(&word, bytes + done, sizeof word);
        word ^= wide;
        memcpy(bytes + done, &word, sizeof word);
    }
    for (size_t i = 0; done < count; done++, i++)
        bytes[done] ^= turned[i];
}

/* ---- reading ---- */

static void fail(struct ws *ws, uint16_t code, struct ws_event *out)
{
    ws->done = true;
    out->kind = WS_ERROR;
    out->code = code;
}

/* 0, or the close code that the first byte of a frame deserves. */
static uint16_t check_first_byte(const struct ws *ws, uint8_t byte)
{
    uint8_t opcode = byte & OPCODE;
    bool final = (byte & FIN) != 0;
    if ((byte & RSV) != 0)
        return WS_CODE_PROTOCOL;
    if ((opcode & CONTROL) != 0)
        return opcode > WS_OPCODE_PONG || !final ? WS_CODE_PROTOCOL : 0;
    if (opcode > WS_BINARY || (opcode == WS_CONTINUATION) != ws->in_message)
        return WS_CODE_PROTOCOL;
    return opcode == WS_TEXT ? WS_CODE_UNSUPPORTED : 0;
}

/* 0, or the close code that the second byte deserves. */
static uint16_t check_second_byte(const struct ws *ws, uint8_t opcode, uint8_t byte)
{
    bool masked = (byte & MASKED) != 0;
    if (masked != (ws->role == WS_SERVER))
        return WS_CODE_PROTOCOL;
    if ((opcode & CONTROL) != 0 && (byte & LENGTH) > WS_CONTROL_BYTES_MAX)
        return WS_CODE_PROTOCOL;
    return 0;
}

static uint64_t read_be(const uint8_t *at, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | at[i];
    return value;
}

/* Reads the header at the front of the bytes. Returns 0 or a close code; header->bytes is 0 with
 * a return of 0 if the header is not all there yet. */
static uint16_t read_header(const struct ws *ws, const uint8_t *bytes, size_t count,
                            struct header *header)
{
    memset(header, 0, sizeof *header);
    if (count == 0)
        return 0;
    uint16_t code = check_first_byte(ws, bytes[0]);
    if (code != 0 || count == 1)
        return code;
    header->final = (bytes[0] & FIN) != 0;
    header->opcode = bytes[0] & OPCODE;
    code = check_second_byte(ws, header->opcode, bytes[1]);
    if (code != 0)
        return code;

    uint64_t length = bytes[1] & LENGTH;
    size_t length_bytes = length == LENGTH_IS_U64 ? 8 : length == LENGTH_IS_U16 ? 2 : 0;
    if (count < 2 + length_bytes)
        return 0;
    if (length_bytes != 0) {
        length = read_be(bytes + 2, length_bytes);
        if (length < LENGTH_IS_U16 || (length_bytes == 8 && length <= UINT16_MAX))
            return WS_CODE_PROTOCOL; /* a shorter form would do */
        if (length > INT64_MAX)
            return WS_CODE_PROTOCOL;
    }
    /* message_bytes ≤ message_bytes_max, so the difference cannot wrap; nothing is added before. */
    if ((header->opcode & CONTROL) == 0 && length > ws->message_bytes_max - ws->message_bytes)
        return WS_CODE_TOO_BIG;
    header->payload_bytes = length;

    size_t mask_bytes = ws->role == WS_SERVER ? WS_MASK_BYTES : 0;
    if (count < 2 + length_bytes + mask_bytes)
        return 0;
    memcpy(header->mask, bytes + 2 + length_bytes, mask_bytes);
    header->bytes = 2 + length_bytes + mask_bytes;
    return 0;
}

static void close_event(struct ws *ws, struct slice body, struct ws_event *out)
{
    ws->done = true;
    if (body.bytes == 0) {
        out->kind = WS_CLOSE;
        out->code = WS_CODE_NONE;
        return;
    }
    uint16_t code = body.bytes == 1 ? 0 : (uint16_t)read_be(body.at, 2);
    if (!ws_code_valid(code)) {
        fail(ws, WS_CODE_PROTOCOL, out);
        return;
    }
    struct slice reason = slice_make(body.at + 2, body.bytes - 2);
    if (!utf8_valid(reason)) {
        fail(ws, WS_CODE_BAD_DATA, out);
        return;
    }
    out->kind = WS_CLOSE;
    out->code = code;
    out->payload = reason;
}

static void control_event(struct ws *ws, uint8_t opcode, struct slice payload, struct ws_event *out)
{
    if (opcode == WS_OPCODE_CLOSE) {
        close_event(ws, payload, out);
        return;
    }
    out->kind = opcode == WS_OPCODE_PING ? WS_PING : WS_PONG;
    out->payload = payload;
}

/* One run of unmasked payload of a data frame; `ends` = it is the frame's last run. */
static void data_event(struct ws *ws, struct slice payload, bool ends, struct ws_event *out)
{
    out->payload = payload;
    out->first = !ws->piece_began;
    out->last = ends && ws->final;
    out->message_bytes = ws->message_bytes;
    out->frame_left = ws->frame_left;
    out->kind = out->first && out->last ? WS_MESSAGE : WS_PIECE;
    ws->piece_began = true;
    if (out->last) {
        ws->in_message = ws->piece_began = false;
        ws->message_bytes = 0;
    }
}

/* PIECES: whatever is there of the frame's payload is one event. */
static size_t feed_pieces(struct ws *ws, uint8_t *bytes, size_t count, struct ws_event *out)
{
    if (count == 0)
        return 0;
    size_t take = count < ws->frame_left ? count : (size_t)ws->frame_left;
    if (ws->role == WS_SERVER)
        ws_mask(bytes, take, ws->mask, ws->mask_at);
    ws->mask_at = (uint8_t)((ws->mask_at + take) % WS_MASK_BYTES);
    ws->frame_left -= take;
    data_event(ws, slice_make(bytes, take), ws->frame_left == 0, out);
    return take;
}

/* HEADER: a frame that may be held is waited for; of a larger one the header is consumed. */
static size_t feed_header(struct ws *ws, uint8_t *bytes, size_t count, struct ws_event *out)
{
    struct header header;
    uint16_t code = read_header(ws, bytes, count, &header);
    if (code != 0) {
        fail(ws, code, out);
        return count;
    }
    if (header.bytes == 0)
        return 0;
    bool control = (header.opcode & CONTROL) != 0;
    bool held = header.payload_bytes <= ws->hold_bytes - header.bytes;
    assert(held || !control);
    if (held && header.payload_bytes > count - header.bytes)
        return 0;

    if (!control) {
        ws->in_message = true;
        ws->final = header.final;
        ws->message_bytes += header.payload_bytes;
    }
    if (!held) {
        memcpy(ws->mask, header.mask, sizeof ws->mask);
        ws->mask_at = 0;
        ws->frame_left = header.payload_bytes;
        return header.bytes + feed_pieces(ws, bytes + header.bytes, count - header.bytes, out);
    }
    struct slice payload = {bytes + header.bytes, (size_t)header.payload_bytes};
    if (ws->role == WS_SERVER)
        ws_mask(bytes + header.bytes, payload.bytes, header.mask, 0);
    if (control)
        control_event(ws, header.opcode, payload, out);
    else
        data_event(ws, payload, true, out);
    return header.bytes + payload.bytes;
}

void ws_feed(struct ws *ws, uint8_t *bytes, size_t count, size_t *consumed, struct ws_event *out)
{
    ws_check(ws);
    memset(out, 0, sizeof *out);
    if (ws->done)
        *consumed = count;
    else if (ws->frame_left > 0)
        *consumed = feed_pieces(ws, bytes, count, out);
    else
        *consumed = feed_header(ws, bytes, count, out);
    ws_check(ws);
}

/* ---- writing ---- */

size_t ws_write_header(uint8_t out[WS_HEADER_BYTES_MAX], enum ws_opcode opcode,
                       uint64_t payload_bytes, const uint8_t *mask)
{
    assert(payload_bytes <= INT64_MAX);
    assert(((unsigned)opcode & CONTROL) == 0 || payload_bytes <= WS_CONTROL_BYTES_MAX);
    size_t length_bytes = payload_bytes > UINT16_MAX ? 8 : payload_bytes >= LENGTH_IS_U16 ? 2 : 0;
    uint64_t length = length_bytes == 8   ? LENGTH_IS_U64
                      : length_bytes == 2 ? LENGTH_IS_U16
                                          : payload_bytes;
    out[0] = (uint8_t)(FIN | (unsigned)opcode);
    out[1] = (uint8_t)(length | (mask != NULL ? MASKED : 0));
    for (size_t i = 0; i < length_bytes; i++)
        out[2 + i] = (uint8_t)(payload_bytes >> 8 * (length_bytes - 1 - i));
    if (mask == NULL)
        return 2 + length_bytes;
    memcpy(out + 2 + length_bytes, mask, WS_MASK_BYTES);
    return 2 + length_bytes + WS_MASK_BYTES;
}

size_t ws_write_close(uint8_t out[WS_CLOSE_FRAME_BYTES_MAX], uint16_t code, struct slice reason,
                      const uint8_t *mask)
{
    assert(code == WS_CODE_NONE ? reason.bytes == 0 : ws_code_valid(code));
    assert(reason.bytes <= WS_CLOSE_REASON_BYTES_MAX);
    size_t body_bytes = code == WS_CODE_NONE ? 0 : 2 + reason.bytes;
    size_t header_bytes = ws_write_header(out, WS_OPCODE_CLOSE, body_bytes, mask);
    if (body_bytes == 0)
        return header_bytes;
    uint8_t *body = out + header_bytes;
    body[0] = (uint8_t)(code >> 8);
    body[1] = (uint8_t)code;
    if (reason.bytes > 0)
        memcpy(body + 2, reason.at, reason.bytes);
    if (mask != NULL)
        ws_mask(body, body_bytes, mask, 0);
    return header_bytes + body_bytes;
}
