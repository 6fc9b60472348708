/* SPDX-License-Identifier: Apache-2.0
 * net_contract.h: a net adapter on real sockets, as its contract sees it. */
#pragma once

#include "base/nap.h"
#include "base/slab.h"
#include "ports/net.h"
#include "ports/waker.h"

#define CONTRACT_RECEIVE_BYTES (16u * 1024u)

/* The adapter lies in `space`; the rest points into it. */
struct subject {
    struct net *net;
    struct waker *waker;
    const struct slab *conns;
    struct nap *nap;
    const int *wake_fd;
    _Alignas(64) uint8_t space[1024];
};

struct subject_options {
    const uint8_t *address;
    uint16_t port;
    const struct subject *listener;
    uint32_t connections_max;
};

extern const uint8_t contract_loopback[16];

/* False and why: not on this machine. */
bool contract_net_offered(struct failure *failure);

MUST_USE enum status subject_open(struct subject *subject, const struct subject_options *options,
                                  struct failure *failure);
void subject_close(struct subject *subject);
uint16_t subject_port(const struct subject *subject);
