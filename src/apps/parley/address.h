/* SPDX-License-Identifier: Apache-2.0
 * address.h: where a server is: http://HOST[:PORT]. This version speaks plain HTTP, and that only
 * to this machine (127.0.0.0/8, ::1, localhost). Pure. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define ADDRESS_PORT_DEFAULT 8787

struct address {
    uint8_t peer[16]; /* IPv6, or IPv4 mapped */
    uint16_t port;
    char host[80]; /* host:port, for the Host header and for people */
};

/* INVALID: not such an address; UNSUPPORTED: one that this version does not speak to; with a
 * text. */
enum status address_read(const char *text, struct address *out, struct failure *failure) MUST_USE;
