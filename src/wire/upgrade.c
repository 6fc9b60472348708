/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/upgrade.h"

#include <string.h>

#include "base/assert.h"
#include "base/base64.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static_assert(UPGRADE_INPUT_BYTES == UPGRADE_KEY_BYTES + sizeof GUID - 1, "key, then GUID");

/* Canonical base64 of exactly 16 bytes. */
static bool key_valid(struct slice key)
{
    uint8_t nonce[UPGRADE_NONCE_BYTES];
    struct buf out = buf_over(nonce, sizeof nonce);
    return key.bytes == UPGRADE_KEY_BYTES && base64_read(key, &out) == STATUS_OK &&
           out.bytes == UPGRADE_NONCE_BYTES;
}

static void write_base64(struct slice bytes, uint8_t *at, size_t capacity)
{
    struct buf out = buf_over(at, capacity);
    base64_write(&out, bytes);
    assert(!out.overflow && out.bytes == capacity);
}

static bool route_valid(struct slice route)
{
    if (slice_equal(route, SLICE_LITERAL("new")))
        return true;
    for (size_t i = 0; i < route.bytes; i++) {
        uint8_t byte = route.at[i];
        if (!(byte >= '0' && byte <= '9') && !(byte >= 'a' && byte <= 'f'))
            return false;
    }
    return route.bytes == UPGRADE_ROUTE_BYTES;
}

static enum status refuse(struct upgrade *out, uint16_t status)
{
    out->status = status;
    return STATUS_INVALID;
}

/* Unlike other tokens of the handshake, the name of a subprotocol has a case. */
static bool protocol_offered(const struct http1_head *head)
{
    const struct http1_header *header = NULL;
    while ((header = http1_find(head, "sec-websocket-protocol", header)) != NULL) {
        struct slice rest = header->value, element;
        while (http1_list_next(&rest, &element))
            if (slice_equal(element, SLICE_LITERAL(UPGRADE_PROTOCOL)))
                return true;
    }
    return false;
}

bool upgrade_wanted(const struct http1_head *head)
{
    struct slice path = SLICE_LITERAL(UPGRADE_PATH);
    return slice_equal(slice_sub(head->target, 0, path.bytes), path);
}

enum status upgrade_read_request(const struct http1_head *head, struct upgrade *out)
{
    *out = (struct upgrade){0};
    if (!upgrade_wanted(head))
        return refuse(out, 404);
    out->route = slice_sub(head->target, sizeof UPGRADE_PATH - 1, head->target.bytes);
    if (!route_valid(out->route))
        return refuse(out, 404);
    if (head->method != HTTP1_GET)
        return refuse(out, 405);
    if (!http1_list_has(head, "upgrade", "websocket") ||
        !http1_list_has(head, "connection", "upgrade"))
        return refuse(out, 426);
    if (http1_count(head, "sec-websocket-version") > 1 ||
        http1_count(head, "sec-websocket-key") != 1 || http1_count(head, "origin") > 1)
        return refuse(out, 400);
    if (!http1_equal(http1_header(head, "sec-websocket-version"), "13"))
        return refuse(out, 426);
    out->key = http1_header(head, "sec-websocket-key");
    if (!key_valid(out->key))
        return refuse(out, 400);
    if (!protocol_offered(head))
        return refuse(out, 400);
    out->origin = http1_header(head, "origin");
    return STATUS_OK;
}

void upgrade_accept_input(struct slice key, uint8_t out[UPGRADE_INPUT_BYTES])
{
    assert(key.bytes == UPGRADE_KEY_BYTES);
    memcpy(out, key.at, UPGRADE_KEY_BYTES);
    memcpy(out + UPGRADE_KEY_BYTES, GUID, sizeof GUID - 1);
}

void upgrade_write_response(struct buf *out, const uint8_t digest[UPGRADE_DIGEST_BYTES])
{
    uint8_t accept[UPGRADE_ACCEPT_BYTES];
    write_base64(slice_make(digest, UPGRADE_DIGEST_BYTES), accept, sizeof accept);
    http1_write_status(out, 101);
    http1_write_header(out, "Upgrade", SLICE_LITERAL("websocket"));
    http1_write_header(out, "Connection", SLICE_LITERAL("Upgrade"));
    http1_write_header(out, "Sec-WebSocket-Accept", slice_make(accept, sizeof accept));
    http1_write_header(out, "Sec-WebSocket-Protocol", SLICE_LITERAL(UPGRADE_PROTOCOL));
    http1_write_end(out);
}

void upgrade_write_refusal(struct buf *out, uint16_t status)
{
    if (status != 426) {
        http1_write_refusal(out, status);
        return;
    }
    http1_write_status(out, status);
    http1_write_length(out, 0);
    http1_write_header(out, "Upgrade", SLICE_LITERAL("websocket"));
    http1_write_header(out, "Sec-WebSocket-Version", SLICE_LITERAL("13"));
    http1_write_header(out, "Connection", SLICE_LITERAL("Upgrade, close"));
    http1_write_end(out);
}

/* ---- client ---- */

void upgrade_key(const uint8_t nonce[UPGRADE_NONCE_BYTES], uint8_t out[UPGRADE_KEY_BYTES])
{
    write_base64(slice_make(nonce, UPGRADE_NONCE_BYTES), out, UPGRADE_KEY_BYTES);
}

void upgrade_write_request(struct buf *out, struct slice host, struct slice route,
                           const uint8_t key[UPGRADE_KEY_BYTES])
{
    assert(route_valid(route));
    uint8_t memory[sizeof UPGRADE_PATH - 1 + UPGRADE_ROUTE_BYTES];
    struct buf target = buf_over(memory, sizeof memory);
    buf_put(&target, SLICE_LITERAL(UPGRADE_PATH));
    buf_put(&target, route);
    http1_write_request(out, HTTP1_GET, buf_slice(&target), host);
    http1_write_header(out, "Upgrade", SLICE_LITERAL("websocket"));
    http1_write_header(out, "Connection", SLICE_LITERAL("Upgrade"));
    http1_write_header(out, "Sec-WebSocket-Key", slice_make(key, UPGRADE_KEY_BYTES));
    http1_write_header(out, "Sec-WebSocket-Version", SLICE_LITERAL("13"));
    http1_write_header(out, "Sec-WebSocket-Protocol", SLICE_LITERAL(UPGRADE_PROTOCOL));
    http1_write_end(out);
}

enum status upgrade_read_response(const struct http1_head *head,
                                  const uint8_t digest[UPGRADE_DIGEST_BYTES])
{
    if (head->status != 101)
        return STATUS_DENIED;
    uint8_t accept[UPGRADE_ACCEPT_BYTES];
    write_base64(slice_make(digest, UPGRADE_DIGEST_BYTES), accept, sizeof accept);
    bool good =
        http1_count(head, "upgrade") == 1 &&
        http1_equal(http1_header(head, "upgrade"), "websocket") &&
        http1_list_has(head, "connection", "upgrade") &&
        http1_count(head, "sec-websocket-accept") == 1 &&
        slice_equal(http1_header(head, "sec-websocket-accept"),
                    slice_make(accept, sizeof accept)) &&
        http1_count(head, "sec-websocket-extensions") == 0 &&
        http1_count(head, "sec-websocket-protocol") == 1 &&
        slice_equal(http1_header(head, "sec-websocket-protocol"), SLICE_LITERAL(UPGRADE_PROTOCOL));
    return good ? STATUS_OK : STATUS_INVALID;
}
