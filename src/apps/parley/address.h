/* SPDX-License-Identifier: Apache-2.0
 * address.h: where a server is: https://HOST[:PORT], or http:// on this machine alone (127.0.0.0/8,
 * ::1, localhost). Pure, but for address_find. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define ADDRESS_PORT_DEFAULT 8787 /* of http; https: 443 */
#define ADDRESS_NAME_BYTES   256

struct address {
    bool tls;
    bool named;                    /* by a name that must be looked up before each connection */
    uint8_t peer[16];              /* IPv6, or IPv4 mapped; of a name: by address_find */
    char name[ADDRESS_NAME_BYTES]; /* without brackets, as the certificate must have it */
    uint16_t port;
    char host[ADDRESS_NAME_BYTES + 16]; /* host:port, for the Host header and for people */
};

/* INVALID: not such an address; UNSUPPORTED: one that is not spoken to; with a text. */
enum status address_read(const char *text, struct address *out, struct failure *failure) MUST_USE;

/* Ask the system where a name is, if it is one; of several addresses number `attempt`, round and
 * round. Blocks as long as the system's resolver does. False: nobody knows it. */
bool address_find(struct address *address, uint32_t attempt) MUST_USE;
