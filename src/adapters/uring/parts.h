/* SPDX-License-Identifier: Apache-2.0
 * parts.h: what uring.c (turns), conn.c (connections) and open.c share. Nobody else's. */
#pragma once

#include <liburing.h>

#include "adapters/uring/uring.h"

struct uring_buffer {
    union {
        struct uring_buffer *next;
        uint8_t bytes[URING_RECEIVE_BYTES];
    };
};

struct uring_rings {
    struct io_uring io;
    struct io_uring_buf_ring *pool; /* names of free buffers, for the kernel */
    uint8_t *pool_memory;           /* in it, page-aligned */
    struct uring_buffer *buffers;
};

/* Which operation a completion belongs to: the upper bits of its number. */
enum uring_op { URING_ACCEPT, URING_WAKE, URING_CANCEL, URING_CONNECT, URING_RECEIVE, URING_SEND };

struct uring_conn {
    int fd;
    struct uring_buffer *in; /* NULL: nothing is held */
    uint32_t in_at, in_bytes;
    struct slice out; /* what of the send in flight has not left yet */
    size_t out_total;
    uint64_t tag;
    bool pooled; /* `in` is of the pool */
    bool connecting, receiving, sending, pending;
    bool closing; /* closed by its owner; operations are still to come back */
    bool ended;   /* all was read */
    enum status end_status;
    struct slab_handle next_pending;
};

static inline net_conn uring_name(struct slab_handle handle)
{
    return (net_conn){handle.index, handle.generation};
}

static inline struct uring *uring_of(struct net *net)
{
    return (struct uring *)net; /* `net` is the first member */
}

/* A connection that its owner has not closed. */
struct uring_conn *uring_find(const struct uring *uring, struct slab_handle handle);

/* Room for a request, with its number set; when the queue is full it is submitted first. */
struct io_uring_sqe *uring_request(struct uring *uring, enum uring_op op,
                                   struct slab_handle handle);

void uring_pending_add(struct uring *uring, struct slab_handle handle, struct uring_conn *conn);
struct uring_conn *uring_pending_take(struct uring *uring, struct slab_handle *handle);

/* Take a socket in; it is closed if there is no room. */
struct uring_conn *uring_add(struct uring *uring, int fd, struct slab_handle *handle);
void uring_drop(struct uring *uring, struct slab_handle handle, struct uring_conn *conn,
                bool reset);
/* Of a closed one: give its place back if nothing is in flight. */
void uring_wane(struct uring *uring, struct slab_handle handle, struct uring_conn *conn);
/* Its buffer and its wish for bytes, as they must be before the owner sleeps. */
void uring_settle(struct uring *uring, struct slab_handle handle, struct uring_conn *conn);
/* A completion of one of its operations; true: `out` says what it means. */
bool uring_received(struct uring *uring, struct slab_handle handle, const struct io_uring_cqe *cqe,
                    struct net_event *out);
bool uring_sent(struct uring *uring, struct slab_handle handle, const struct io_uring_cqe *cqe,
                struct net_event *out);
bool uring_connected(struct uring *uring, struct slab_handle handle, const struct io_uring_cqe *cqe,
                     struct net_event *out);

void uring_net_consume(struct net *net, net_conn name, size_t bytes);
void uring_net_tag(struct net *net, net_conn name, uint64_t tag);
void uring_net_send(struct net *net, net_conn name, struct slice bytes);
void uring_net_close(struct net *net, net_conn name, bool reset);
enum status uring_net_connect(struct net *net, const uint8_t peer[16], uint16_t port,
                              net_conn *out);

extern const struct net_vtable uring_net_table;
extern const struct waker_vtable uring_waker_table;
