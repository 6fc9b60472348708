/* SPDX-License-Identifier: Apache-2.0
 * uring.h: the `net` port on Linux io_uring: what a turn wants is one submission, and waiting for
 * its completions is the same system call.
 * A connection waits for bytes without a buffer: the kernel takes one of a shared pool when bytes
 * are there. Bytes that the owner leaves in it move, at the next wait, to a buffer of the
 * connection's own, so that a slow frame does not hold the pool. A connection with
 * URING_RECEIVE_BYTES unconsumed is not read (back-pressure).
 * Bytes given to `send` are read by the kernel at later waits, until NET_SENT or `close`, which
 * shuts the connection down at once so that nothing is read afterwards; its place is free when its
 * operations have come back.
 * Owner: one thread: the first that waits (open, listen and close may be another's, while it does
 * not run). Its waker may be called from any. Bounds: connections_max, fixed at open;
 * URING_BUFFERS of URING_RECEIVE_BYTES.
 * No SQPOLL, no zero copy (ADR 0060). Contract: tests/integration/net_contract.c. */
#pragma once

#include "base/nap.h"
#include "base/slab.h"
#include "ports/net.h"
#include "ports/waker.h"

#define URING_RECEIVE_BYTES (16u * 1024u)
#define URING_BUFFERS       64u /* of the pool: a power of two */

struct uring_rings; /* what liburing knows */

struct uring {
    struct net net; /* first */
    struct waker waker;
    struct uring_rings *rings;
    int listen_fd, wake_fd;
    struct nap nap; /* the waker writes to wake_fd only while somebody sleeps */
    bool called;    /* and NET_WOKEN is yet to be said */
    bool enabled;   /* the owner has begun */
    bool borrows;   /* the listener belongs to another shard's */
    bool accepting, accept_armed, accept_failed, wake_armed;
    uint64_t wakes;                                 /* read from wake_fd */
    struct slab conns;                              /* struct uring_conn */
    struct uring_buffer *own_buffers;               /* not in use */
    struct slab_handle pending_first, pending_last; /* connections to look at before a sleep */
};

struct uring_options {
    const uint8_t *address; /* 16 bytes, IPv4 mapped; NULL: no listener (clients, tools) */
    uint16_t port;          /* 0: the kernel picks one, see uring_port */
    /* Instead of an address: accept from this one's listener too; it is closed after us. */
    const struct uring *listener;
    bool later; /* take the address, but let nobody connect before uring_listen */
    uint32_t connections_max;
};

/* UNSUPPORTED: the kernel or its policy refuses io_uring, or lacks what we need (6.1); the text
 * says which. Else as epoll_open. */
MUST_USE enum status uring_open(struct uring *uring, const struct uring_options *options,
                                struct failure *failure);
/* After `later`; the listener of a shared one first. */
MUST_USE enum status uring_listen(struct uring *uring, struct failure *failure);
void uring_close(struct uring *uring); /* closes every connection; tolerates a zeroed object */
uint16_t uring_port(const struct uring *uring);
