/* SPDX-License-Identifier: Apache-2.0
 * proxy.h: the header of the PROXY protocol, versions 1 (a line) and 2 (binary): who is at the
 * other end of a proxy that looks into nothing.
 *
 * The reader has the shape of http1.h: AGAIN, OK (`in` begins behind the header), INVALID. There is
 * no lenient mode:
 *   version 1  single spaces, dotted quads and ports without leading zeros, CR LF within 107 bytes;
 *              UNKNOWN says nothing, whatever follows it
 *   version 2  commands LOCAL and PROXY; PROXY with TCP over IPv4 or IPv6 only; a header of at most
 *              PROXY_BYTES_MAX; behind the addresses nothing but whole TLVs, of which a checksum is
 *              verified and the others are skipped
 * An IPv6 address may be written in every form of RFC 4291, a scope excepted. An IPv4 address comes
 * out mapped into IPv6.
 * Whose header is believed is not decided here (runtime/forwarded.h).
 * Bounds: PROXY_BYTES_MAX; no state between calls. Owner: any thread; pure.
 * Source: HAProxy's proxy-protocol.txt of 2020. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum {
    PROXY_LINE_BYTES_MAX = 107, /* version 1, CR LF included */
    PROXY_FIXED_BYTES = 16,     /* version 2, to its length */
    PROXY_BYTES_MAX = 536       /* version 2: what every path carries in one segment */
};

struct proxy_peer {
    bool known; /* false: the proxy speaks for itself (LOCAL, UNKNOWN); all else is 0 */
    uint8_t source[16], destination[16];
    uint16_t source_port, destination_port;
};

MUST_USE enum status proxy_read(struct slice *in, struct proxy_peer *out);
