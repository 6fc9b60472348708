/* SPDX-License-Identifier: Apache-2.0
 * link.h: the client's end of one connection: bytes in, frames out, and back. The handshake of
 * upgrade.h, then ws.h. Pure: the host moves the bytes.
 * Invariants: nothing is given out before the handshake is checked; after CLOSED nothing more.
 * Owner: one thread. Bounds: LINK_IN_BYTES held unparsed, LINK_MESSAGE_BYTES_MAX a message,
 * LINK_OUT_BYTES_MAX unsent. Source: RFC 6455, docs/protocol (transport). */
#pragma once

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"
#include "wire/upgrade.h"
#include "wire/ws.h"

#define LINK_IN_BYTES          (64u << 10)
#define LINK_MESSAGE_BYTES_MAX (1u << 20)
#define LINK_OUT_BYTES_MAX     ((size_t)32 << 20)

struct link_bytes {
    uint8_t *at;
    size_t bytes, capacity;
};

enum link_kind {
    LINK_NONE,   /* nothing more without more bytes */
    LINK_UP,     /* the handshake is done */
    LINK_FRAME,  /* a whole binary message: bytes */
    LINK_CLOSED, /* by the peer, or broken; reason tells why */
};

struct link_event {
    enum link_kind kind;
    struct slice bytes;
    const char *reason; /* a literal */
    uint16_t code;      /* of HTTP or the WebSocket, or 0 */
};

struct link {
    struct ws ws;
    uint8_t key[UPGRADE_KEY_BYTES];
    bool up, closed;
    size_t consumed; /* of `in`, by the event given out last */
    struct link_bytes in, message, out;
};

/* Begin a connection: the request lies in `out`. host: host[:port]. BUSY: no memory. */
enum status link_start(struct link *link, struct slice host, struct slice route,
                       const uint8_t nonce[UPGRADE_NONCE_BYTES]) MUST_USE;
void link_deinit(struct link *link); /* tolerates a zeroed object */

/* How many bytes link_take accepts now; 0: ask link_next first. */
size_t link_room(const struct link *link);
void link_take(struct link *link, struct slice bytes);

/* The next event; it lies in the link until the next call. */
void link_next(struct link *link, const uint8_t mask[WS_MASK_BYTES], struct link_event *out);

/* Append one frame to `out`. BUSY: over LINK_OUT_BYTES_MAX or no memory. mask: fresh bytes. */
enum status link_send(struct link *link, enum ws_opcode opcode, struct slice payload,
                      const uint8_t mask[WS_MASK_BYTES]) MUST_USE;

/* Append a close frame. */
void link_bye(struct link *link, const uint8_t mask[WS_MASK_BYTES]);

/* Append to growing bytes; false: over `bytes_max` or no memory. */
bool link_bytes_put(struct link_bytes *to, struct slice bytes, size_t bytes_max);
