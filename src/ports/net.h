/* SPDX-License-Identifier: Apache-2.0
 * net.h: stream connections, completion-shaped (style §8): accept, receive, send, close, wait.
 * Adapters: epoll (emulates completions), uring, sim. Bytes received lie in a buffer of the
 * adapter until net_consume; not consuming is back-pressure: no more is read. One send in flight
 * per connection:
 * the caller keeps its output and submits it once per turn.
 * A peer that died is still read to the end of what it sent, as room is made; NET_CLOSED is last.
 * Owner: one thread (a shard). Bounds: CONNECTIONS_MAX per shard, 16 KiB receive buffer each while
 * data waits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

typedef struct {
    uint32_t index, generation;
} net_conn;

enum net_event_kind {
    NET_ACCEPTED,  /* conn, peer */
    NET_CONNECTED, /* conn: an outgoing one stands (clients, tools) */
    NET_RECEIVED,  /* conn, bytes: all unconsumed bytes so far */
    NET_SENT,      /* conn, sent: all submitted bytes left (whether anybody is there or not) */
    NET_CLOSED,    /* conn, status: by the peer or an error; the last event of a connection */
    NET_WOKEN,     /* a waker was called */
};

struct net_event {
    enum net_event_kind kind;
    net_conn conn;
    uint8_t *bytes; /* RECEIVED: mutable, since the WebSocket layer unmasks in place */
    size_t bytes_count;
    size_t sent;
    uint64_t tag; /* what the owner gave the connection; 0 before */
    enum status status;
    uint8_t peer[16]; /* IPv6, or IPv4 mapped */
    uint16_t peer_port;
};

struct net {
    const struct net_vtable *vtable;
};

struct net_vtable {
    /* Wait at most timeout_ms (0: do not, -1: for ever) and return up to `max` events; none may
     * come early. One syscall when idle. */
    size_t (*wait)(struct net *, struct net_event *out, size_t max, int64_t timeout_ms);
    /* The first `bytes` of the connection's received bytes are done with. */
    void (*consume)(struct net *, net_conn, size_t bytes);
    /* Give the connection a number that all its later events carry. */
    void (*tag)(struct net *, net_conn, uint64_t tag);
    /* Send; the bytes must stand until NET_SENT. One at a time. */
    void (*send)(struct net *, net_conn, struct slice bytes);
    /* Close; no event follows, the handle is stale at once. `reset`: drop unsent bytes. */
    void (*close)(struct net *, net_conn, bool reset);
    /* Start an outgoing connection; NET_CONNECTED or NET_CLOSED follows. BUSY at
     * CONNECTIONS_MAX. */
    enum status (*connect)(struct net *, const uint8_t peer[16], uint16_t port,
                           net_conn *out) MUST_USE;
    /* Stop or resume accepting (caps, drain). */
    void (*accepting)(struct net *, bool on);
};
