/* SPDX-License-Identifier: Apache-2.0
 * loop.h: the net port of one shard by the adapter that the settings name: epoll, or io_uring if
 * the kernel lets us (ADR 0060).
 * Owner: opened, told to listen and closed by the main thread; used by its shard's. */
#pragma once

#include "adapters/epoll/epoll.h"
#include "adapters/uring/uring.h"

enum loop_backend { LOOP_AUTO, LOOP_EPOLL, LOOP_URING }; /* as in config.def: net_backend */

struct loop {
    struct net *net; /* these two point into it: it does not move */
    struct waker *waker;
    bool by_uring;
    struct epoll epoll;
    struct uring uring;
};

struct loop_options {
    enum loop_backend backend;
    const uint8_t *address; /* 16 bytes; or … */
    uint16_t port;
    const struct loop *listener; /* … accept from this one's listener too, by its adapter */
    uint32_t connections_max;
};

/* Takes the address; nobody may connect before loop_listen. Without io_uring it is epoll, and a
 * line says why. */
MUST_USE enum status loop_open(struct loop *loop, const struct loop_options *options,
                               struct failure *failure);
MUST_USE enum status loop_listen(struct loop *loop, struct failure *failure);
void loop_close(struct loop *loop); /* tolerates a zeroed one */
uint16_t loop_port(const struct loop *loop);
const char *loop_name(const struct loop *loop); /* "epoll", "io_uring" */
