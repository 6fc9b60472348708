/* SPDX-License-Identifier: Apache-2.0
 * parts.h: what epoll.c (connections, turns) and open.c (listening) share. Nobody else's. */
#pragma once

#include "adapters/epoll/epoll.h"

#define EPOLL_TOKEN_LISTEN UINT64_MAX
#define EPOLL_TOKEN_WAKE   (UINT64_MAX - 1)

struct epoll_buffer {
    union {
        struct epoll_buffer *next;
        uint8_t bytes[EPOLL_RECEIVE_BYTES];
    };
};

struct epoll_conn {
    int fd;
    uint32_t armed; /* events epoll watches for now */
    struct epoll_buffer *in;
    uint32_t in_at, in_bytes;
    struct slice out; /* what of the send in flight has not left yet */
    size_t out_total;
    uint64_t tag;
    bool connecting, sending, sent, pending;
    bool dead;  /* reset or hung up: epoll has no more to say, what lies there is still read */
    bool ended; /* all was read */
    enum status end_status;
    struct slab_handle next_pending;
};

extern const struct net_vtable epoll_net_table;
extern const struct waker_vtable epoll_waker_table;

MUST_USE enum status epoll_watch(struct epoll *epoll, int fd, uint64_t token,
                                 struct failure *failure);
