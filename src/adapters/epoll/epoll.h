/* SPDX-License-Identifier: Apache-2.0
 * epoll.h: the `net` port on Linux epoll: completions emulated by readiness (style §8).
 * A send is tried at once; only what the kernel does not take waits for EPOLLOUT. A connection
 * holds a receive buffer only while bytes lie in it unconsumed; a full one is not read
 * (back-pressure).
 * Owner: one thread, but its waker may be called from any. Bounds: connections_max, fixed at open.
 * One epoll_wait per turn; TCP_NODELAY always. */
#pragma once

#include "base/nap.h"
#include "base/slab.h"
#include "ports/net.h"
#include "ports/waker.h"

#define EPOLL_RECEIVE_BYTES (16u * 1024u)

struct epoll_buffer;

struct epoll {
    struct net net;
    struct waker waker;
    int epoll_fd, listen_fd, wake_fd;
    struct nap nap;          /* the waker writes to wake_fd only while epoll_wait sleeps */
    bool called;             /* and NET_WOKEN is yet to be said */
    bool accepting, borrows; /* borrows: the listener belongs to another shard's epoll */
    struct slab conns;       /* struct epoll_conn */
    struct epoll_buffer *free_buffers;              /* receive buffers not in use */
    struct slab_handle pending_first, pending_last; /* connections with a completion to report */
};

struct epoll_options {
    const uint8_t *address; /* 16 bytes, IPv4 mapped; NULL: no listener (clients, tools) */
    uint16_t port;          /* 0: the kernel picks one, see epoll_port */
    /* Instead of an address: accept from this one's listener too; it is closed after us. */
    const struct epoll *listener;
    bool later; /* take the address, but let nobody connect before epoll_listen */
    uint32_t connections_max;
};

/* Listen and make the loop. A taken port, a missing right or an unknown address is told in
 * words. */
MUST_USE enum status epoll_open(struct epoll *epoll, const struct epoll_options *options,
                                struct failure *failure);
/* After `later`; the listener of a shared one first. */
MUST_USE enum status epoll_listen(struct epoll *epoll, struct failure *failure);
void epoll_close(struct epoll *epoll); /* closes every connection; tolerates a zeroed object */
uint16_t epoll_port(const struct epoll *epoll);
