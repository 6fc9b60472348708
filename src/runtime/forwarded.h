/* SPDX-License-Identifier: Apache-2.0
 * forwarded.h: who is at the other end of a reverse proxy: X-Forwarded-For, or a header of the
 * PROXY protocol (wire/proxy.h), believed only of proxies that the operator named. Pure. Bounds:
 * FORWARDED_PROXIES_MAX. Source: design §7. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/http1.h"

#define FORWARDED_PROXIES_MAX 8u

struct forwarded {
    uint8_t proxies[FORWARDED_PROXIES_MAX][16]; /* IPv6, or IPv4 mapped */
    uint32_t proxies_count;
    bool header; /* each of their connections begins with a header of the PROXY protocol */
    bool only;   /* nobody else may connect: the line to others would be in clear */
};

/* An address without a port, IPv4 or IPv6 without brackets. False: none. */
bool forwarded_read(struct slice text, uint8_t out[16]) MUST_USE;

bool forwarded_is_proxy(const struct forwarded *forwarded, const uint8_t peer[16]);

/* `peer` made this request. If it is a proxy, the last of those it names who is none takes its
 * place; if it names nobody, or something that is no address, it stays. O(header). */
void forwarded_peer(const struct forwarded *forwarded, const struct http1_head *head,
                    uint8_t peer[16]);
