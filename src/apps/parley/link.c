/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/link.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "ports/crypto.h"

static bool reserve(struct link_bytes *to, size_t more, size_t bytes_max)
{
    if (more > bytes_max || to->bytes > bytes_max - more)
        return false;
    if (to->bytes + more <= to->capacity)
        return true;
    size_t capacity = to->capacity ? to->capacity : 4096;
    while (capacity < to->bytes + more)
        capacity *= 2;
    uint8_t *at = memory_alloc(capacity);
    if (!at)
        return false;
    if (to->bytes)
        memcpy(at, to->at, to->bytes);
    memory_free(to->at);
    to->at = at;
    to->capacity = capacity;
    return true;
}

bool link_bytes_put(struct link_bytes *to, struct slice bytes, size_t bytes_max)
{
    if (!reserve(to, bytes.bytes, bytes_max))
        return false;
    if (bytes.bytes)
        memcpy(to->at + to->bytes, bytes.at, bytes.bytes);
    to->bytes += bytes.bytes;
    return true;
}

enum status link_start(struct link *link, struct slice host, struct slice route,
                       const uint8_t nonce[UPGRADE_NONCE_BYTES])
{
    uint8_t request[1024];
    struct buf buf = buf_over(request, sizeof request);
    ws_init(&link->ws, WS_CLIENT, LINK_IN_BYTES / 2, LINK_MESSAGE_BYTES_MAX);
    link->up = link->closed = false;
    link->consumed = link->in.bytes = link->message.bytes = link->out.bytes = 0;
    upgrade_key(nonce, link->key);
    upgrade_write_request(&buf, host, route, link->key);
    if (buf.overflow || !reserve(&link->in, LINK_IN_BYTES, LINK_IN_BYTES) ||
        !link_bytes_put(&link->out, buf_slice(&buf), LINK_OUT_BYTES_MAX))
        return STATUS_BUSY;
    return STATUS_OK;
}

void link_deinit(struct link *link)
{
    memory_free(link->in.at);
    memory_free(link->message.at);
    memory_free(link->out.at);
    memset(link, 0, sizeof *link);
}

size_t link_room(const struct link *link)
{
    return LINK_IN_BYTES - link->in.bytes;
}

void link_take(struct link *link, struct slice bytes)
{
    bool fits = link_bytes_put(&link->in, bytes, LINK_IN_BYTES);
    assert(fits);
}

static void drop_consumed(struct link *link)
{
    if (link->consumed == 0)
        return;
    link->in.bytes -= link->consumed;
    memmove(link->in.at, link->in.at + link->consumed, link->in.bytes);
    link->consumed = 0;
}

static void closed(struct link *link, const char *reason, uint16_t code, struct link_event *out)
{
    link->closed = true;
    *out = (struct link_event){.kind = LINK_CLOSED, .reason = reason, .code = code};
}

static void read_head(struct link *link, struct link_event *out)
{
    uint8_t input[UPGRADE_INPUT_BYTES], digest[UPGRADE_DIGEST_BYTES];
    struct slice in = slice_make(link->in.at, link->in.bytes);
    struct http1_head head;
    enum status status = http1_read_response(&in, &head);
    if (status == STATUS_AGAIN)
        return;
    if (status != STATUS_OK) {
        closed(link, "it does not speak HTTP", 0, out);
        return;
    }
    upgrade_accept_input(slice_make(link->key, sizeof link->key), input);
    crypto_sha1(slice_make(input, sizeof input), digest);
    status = upgrade_read_response(&head, digest);
    if (status == STATUS_DENIED)
        closed(link, "it answered with HTTP status", head.status, out);
    else if (status != STATUS_OK)
        closed(link, "it is not a Parley server", 0, out);
    if (status != STATUS_OK)
        return;
    link->up = true;
    link->consumed = (size_t)(in.at - link->in.at);
    out->kind = LINK_UP;
}

static void on_piece(struct link *link, const struct ws_event *said, struct link_event *out)
{
    if (said->first)
        link->message.bytes = 0;
    if (!link_bytes_put(&link->message, said->payload, LINK_MESSAGE_BYTES_MAX)) {
        closed(link, "no memory for its message", 0, out);
        return;
    }
    if (!said->last)
        return;
    *out = (struct link_event){.kind = LINK_FRAME,
                               .bytes = slice_make(link->message.at, link->message.bytes)};
}

static void on_ws(struct link *link, const struct ws_event *said, const uint8_t mask[WS_MASK_BYTES],
                  struct link_event *out)
{
    switch (said->kind) {
    case WS_MESSAGE: *out = (struct link_event){.kind = LINK_FRAME, .bytes = said->payload}; break;
    case WS_PIECE: on_piece(link, said, out); break;
    case WS_PING:
        if (link_send(link, WS_OPCODE_PONG, said->payload, mask) != STATUS_OK)
            closed(link, "it takes nothing any more", 0, out);
        break;
    case WS_CLOSE: closed(link, "it closed the connection", said->code, out); break;
    case WS_ERROR: closed(link, "it broke the protocol", said->code, out); break;
    case WS_PONG:
    case WS_NONE: break;
    }
}

void link_next(struct link *link, const uint8_t mask[WS_MASK_BYTES], struct link_event *out)
{
    *out = (struct link_event){.kind = LINK_NONE};
    if (link->closed)
        return;
    drop_consumed(link);
    if (!link->up && link->in.bytes)
        read_head(link, out);
    while (link->up && !link->closed && out->kind == LINK_NONE && link->in.bytes) {
        struct ws_event said;
        drop_consumed(link);
        ws_feed(&link->ws, link->in.at, link->in.bytes, &link->consumed, &said);
        on_ws(link, &said, mask, out);
        if (said.kind == WS_NONE)
            break;
    }
    if (out->kind == LINK_NONE)
        drop_consumed(link);
}

enum status link_send(struct link *link, enum ws_opcode opcode, struct slice payload,
                      const uint8_t mask[WS_MASK_BYTES])
{
    struct link_bytes *to = &link->out;
    if (!reserve(to, WS_HEADER_BYTES_MAX + payload.bytes, LINK_OUT_BYTES_MAX))
        return STATUS_BUSY;
    to->bytes += ws_write_header(to->at + to->bytes, opcode, payload.bytes, mask);
    if (payload.bytes)
        memcpy(to->at + to->bytes, payload.at, payload.bytes);
    ws_mask(to->at + to->bytes, payload.bytes, mask, 0);
    to->bytes += payload.bytes;
    return STATUS_OK;
}

void link_bye(struct link *link, const uint8_t mask[WS_MASK_BYTES])
{
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    size_t bytes = ws_write_close(frame, WS_CODE_NORMAL, SLICE_EMPTY, mask);
    (void)link_bytes_put(&link->out, slice_make(frame, bytes), LINK_OUT_BYTES_MAX);
}
