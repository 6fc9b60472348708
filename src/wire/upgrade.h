/* SPDX-License-Identifier: Apache-2.0
 * upgrade.h: the WebSocket handshake: from an HTTP/1.1 head to a connection that speaks ws.h.
 *
 * Server: http1_read_request → upgrade_read_request → origin_allowed(upgrade.origin) →
 *         upgrade_accept_input → SHA-1 of it → upgrade_write_response, or upgrade_write_refusal.
 * Client: upgrade_write_request → http1_read_response → upgrade_read_response.
 * The SHA-1 is the caller's (crypto port): nothing here hashes. Extensions that a client offers
 * are ignored, which refuses them; the server's answer may name none.
 * Owner: any thread; pure. Source: RFC 6455 §4, docs/protocol (transport). */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "wire/http1.h"

#define UPGRADE_PROTOCOL "parley.v1"
#define UPGRADE_PATH     "/v1/ws/"

enum {
    UPGRADE_NONCE_BYTES = 16,
    UPGRADE_KEY_BYTES = 24,   /* base64 of the nonce */
    UPGRADE_INPUT_BYTES = 60, /* key and the GUID of RFC 6455 */
    UPGRADE_DIGEST_BYTES = 20,
    UPGRADE_ACCEPT_BYTES = 28, /* base64 of the digest */
    UPGRADE_ROUTE_BYTES = 16   /* lower-case hex digits */
};

struct upgrade {
    uint16_t status;     /* after STATUS_INVALID: what to answer */
    struct slice key;    /* 24 characters */
    struct slice route;  /* 16 hex digits, or "new" */
    struct slice origin; /* at == NULL if absent */
};

/* Whether the target belongs to the WebSocket endpoint (begins with UPGRADE_PATH): route such
 * requests here and nowhere else. */
bool upgrade_wanted(const struct http1_head *head);

/* STATUS_OK, or STATUS_INVALID with out->status:
 *   404 path is not UPGRADE_PATH route      405 not a GET
 *   426 no `Upgrade: websocket` with `Connection: upgrade`, or a version other than 13
 *   400 bad or repeated key, version or origin; a subprotocol list without parley.v1 */
MUST_USE enum status upgrade_read_request(const struct http1_head *head, struct upgrade *out);

/* The bytes whose SHA-1 goes into the answer. */
void upgrade_accept_input(struct slice key, uint8_t out[UPGRADE_INPUT_BYTES]);

/* The 101 answer. */
void upgrade_write_response(struct buf *out, const uint8_t digest[UPGRADE_DIGEST_BYTES]);

/* http1_write_refusal, and for 426 what the client should have asked for. */
void upgrade_write_refusal(struct buf *out, uint16_t status);

/* The key for a client's handshake from 16 fresh random bytes. */
void upgrade_key(const uint8_t nonce[UPGRADE_NONCE_BYTES], uint8_t out[UPGRADE_KEY_BYTES]);

/* host: host[:port]; route: 16 lower-case hex digits or "new". A native client names no Origin. */
void upgrade_write_request(struct buf *out, struct slice host, struct slice route,
                           const uint8_t key[UPGRADE_KEY_BYTES]);

/* STATUS_OK if the head is the 101 that answers our key (whose upgrade_accept_input has this
 * SHA-1); STATUS_DENIED for another status than 101; STATUS_INVALID for a wrong 101. */
MUST_USE enum status upgrade_read_response(const struct http1_head *head,
                                           const uint8_t digest[UPGRADE_DIGEST_BYTES]);
