/* SPDX-License-Identifier: Apache-2.0
 * conn.c: connections. One is at work for the kernel with at most one receive and one send.
 *
 *   add ──▶ open ──all read, said NET_CLOSED──▶ drop ──nothing in flight──▶ gone
 *             └──close by its owner────────────▶ drop ──else: closing──last completion──▶ gone */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/uring/parts.h"
#include "base/assert.h"
#include "base/memory.h"

static struct slab_handle handle_of(net_conn conn)
{
    return (struct slab_handle){conn.index, conn.generation};
}

struct uring_conn *uring_find(const struct uring *uring, struct slab_handle handle)
{
    struct uring_conn *conn = slab_find(&uring->conns, handle);
    return conn && !conn->closing ? conn : NULL;
}

static enum status status_of_errno(int error)
{
    return error == ECONNRESET || error == EPIPE ? STATUS_CLOSED
           : error == ETIMEDOUT                  ? STATUS_TIMEOUT
                                                 : STATUS_IO;
}

/* ---- connections to look at before a sleep ---- */

void uring_pending_add(struct uring *uring, struct slab_handle handle, struct uring_conn *conn)
{
    if (conn->pending)
        return;
    conn->pending = true;
    conn->next_pending = SLAB_NONE;
    struct uring_conn *last = slab_find(&uring->conns, uring->pending_last);
    if (last)
        last->next_pending = handle;
    else
        uring->pending_first = handle;
    uring->pending_last = handle;
}

struct uring_conn *uring_pending_take(struct uring *uring, struct slab_handle *handle)
{
    *handle = uring->pending_first;
    struct uring_conn *conn = slab_find(&uring->conns, *handle);
    if (!conn)
        return NULL;
    uring->pending_first = conn->next_pending;
    if (!slab_find(&uring->conns, uring->pending_first))
        uring->pending_first = uring->pending_last = SLAB_NONE;
    conn->pending = false;
    return conn;
}

/* ---- buffers ---- */

static void pool_give(struct uring *uring, struct uring_buffer *buffer)
{
    struct uring_rings *rings = uring->rings;
    unsigned short number = (unsigned short)(buffer - rings->buffers);
    io_uring_buf_ring_add(rings->pool, buffer->bytes, URING_RECEIVE_BYTES, number,
                          io_uring_buf_ring_mask(URING_BUFFERS), 0);
    io_uring_buf_ring_advance(rings->pool, 1);
}

static struct uring_buffer *own_take(struct uring *uring)
{
    struct uring_buffer *buffer = uring->own_buffers;
    if (buffer)
        uring->own_buffers = buffer->next;
    else
        buffer = memory_alloc(sizeof *buffer);
    return buffer;
}

static void buffer_release(struct uring *uring, struct uring_conn *conn)
{
    if (!conn->in)
        return;
    if (conn->pooled) {
        pool_give(uring, conn->in);
    } else {
        conn->in->next = uring->own_buffers;
        uring->own_buffers = conn->in;
    }
    conn->in = NULL;
    conn->pooled = false;
    conn->in_at = conn->in_bytes = 0;
}

/* What is left in a buffer moves to the front of one of its own; false: no memory now. */
static bool buffer_keep(struct uring *uring, struct uring_conn *conn)
{
    struct uring_buffer *own = conn->pooled ? own_take(uring) : conn->in;
    if (!own)
        return false;
    memmove(own->bytes, conn->in->bytes + conn->in_at, conn->in_bytes);
    if (conn->pooled)
        pool_give(uring, conn->in);
    conn->in = own;
    conn->pooled = false;
    conn->in_at = 0;
    return true;
}

void uring_settle(struct uring *uring, struct slab_handle handle, struct uring_conn *conn)
{
    if (conn->receiving || conn->ended || conn->connecting)
        return;
    if (conn->in_bytes == 0)
        buffer_release(uring, conn);
    else if ((conn->pooled || conn->in_at > 0) && !buffer_keep(uring, conn))
        return; /* it holds one of the pool until there is memory */
    if (conn->in_bytes == URING_RECEIVE_BYTES)
        return;
    struct io_uring_sqe *sqe = uring_request(uring, URING_RECEIVE, handle);
    if (conn->in) {
        uint32_t end = conn->in_bytes; /* in_at is 0 */
        io_uring_prep_recv(sqe, conn->fd, conn->in->bytes + end, URING_RECEIVE_BYTES - end, 0);
    } else {
        io_uring_prep_recv(sqe, conn->fd, NULL, URING_RECEIVE_BYTES, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
    }
    conn->receiving = true;
}

/* ---- life ---- */

struct uring_conn *uring_add(struct uring *uring, int fd, struct slab_handle *handle)
{
    struct uring_conn *conn = slab_take(&uring->conns, handle);
    if (!conn) {
        (void)close(fd);
        return NULL;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->fd = fd;
    return conn;
}

static bool in_flight(const struct uring_conn *conn)
{
    return conn->receiving || conn->sending || conn->connecting;
}

/* Closed, and perhaps its last completion has come. */
void uring_wane(struct uring *uring, struct slab_handle handle, struct uring_conn *conn)
{
    assert(conn->closing);
    if (in_flight(conn))
        return;
    if (conn->fd >= 0)
        (void)close(conn->fd);
    conn->fd = -1;
    uring->accept_failed = false; /* perhaps it was for want of this descriptor */
    buffer_release(uring, conn);
    if (!conn->pending)
        slab_give(&uring->conns, handle);
}

void uring_drop(struct uring *uring, struct slab_handle handle, struct uring_conn *conn, bool reset)
{
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    conn->closing = true;
    if (in_flight(conn))
        (void)shutdown(conn->fd, SHUT_RDWR); /* ends it; no byte of the owner's is read any more */
    else
        uring_wane(uring, handle, conn);
}

static void end(struct uring *uring, struct slab_handle handle, struct uring_conn *conn,
                enum status status)
{
    conn->ended = true;
    conn->end_status = status;
    uring_pending_add(uring, handle, conn);
}

/* ---- completions ---- */

bool uring_received(struct uring *uring, struct slab_handle handle, const struct io_uring_cqe *cqe,
                    struct net_event *out)
{
    struct uring_conn *conn = slab_find(&uring->conns, handle);
    assert(conn && conn->receiving);
    conn->receiving = false;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        conn->in = &uring->rings->buffers[cqe->flags >> IORING_CQE_BUFFER_SHIFT];
        conn->pooled = true;
    }
    if (conn->closing) {
        uring_wane(uring, handle, conn);
        return false;
    }
    uring_pending_add(uring, handle, conn); /* its buffer, and its wish for more */
    if (cqe->res == -EINTR || cqe->res == -EAGAIN || cqe->res == -ENOBUFS)
        return false;
    if (cqe->res <= 0) {
        end(uring, handle, conn, cqe->res == 0 ? STATUS_CLOSED : status_of_errno(-cqe->res));
        return false;
    }
    conn->in_bytes += (uint32_t)cqe->res;
    *out = (struct net_event){.kind = NET_RECEIVED,
                              .conn = uring_name(handle),
                              .tag = conn->tag,
                              .bytes = conn->in->bytes + conn->in_at,
                              .bytes_count = conn->in_bytes};
    return true;
}

static void send_rest(struct uring *uring, struct slab_handle handle, struct uring_conn *conn)
{
    struct io_uring_sqe *sqe = uring_request(uring, URING_SEND, handle);
    io_uring_prep_send(sqe, conn->fd, conn->out.at, conn->out.bytes, MSG_NOSIGNAL | MSG_WAITALL);
    conn->sending = true;
}

/* Whether anybody is there or not: a peer that is gone shows when it is read. */
bool uring_sent(struct uring *uring, struct slab_handle handle, const struct io_uring_cqe *cqe,
                struct net_event *out)
{
    struct uring_conn *conn = slab_find(&uring->conns, handle);
    assert(conn && conn->sending);
    conn->sending = false;
    if (conn->closing) {
        uring_wane(uring, handle, conn);
        return false;
    }
    bool again = cqe->res == -EINTR || cqe->res == -EAGAIN;
    if (cqe->res > 0)
        conn->out = slice_sub(conn->out, (size_t)cqe->res, conn->out.bytes);
    if (again || (cqe->res > 0 && conn->out.bytes > 0)) {
        send_rest(uring, handle, conn);
        return false;
    }
    *out = (struct net_event){
        .kind = NET_SENT, .conn = uring_name(handle), .tag = conn->tag, .sent = conn->out_total};
    return true;
}

bool uring_connected(struct uring *uring, struct slab_handle handle, const struct io_uring_cqe *cqe,
                     struct net_event *out)
{
    struct uring_conn *conn = slab_find(&uring->conns, handle);
    assert(conn && conn->connecting);
    conn->connecting = false;
    if (conn->closing) {
        uring_wane(uring, handle, conn);
        return false;
    }
    int error = 0;
    socklen_t error_bytes = sizeof error;
    (void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
    if (cqe->res < 0 || error != 0) {
        end(uring, handle, conn, status_of_errno(error != 0 ? error : -cqe->res));
        return false;
    }
    uring_pending_add(uring, handle, conn);
    *out = (struct net_event){.kind = NET_CONNECTED, .conn = uring_name(handle), .tag = conn->tag};
    return true;
}

/* ---- the port ---- */

void uring_net_consume(struct net *net, net_conn name, size_t bytes)
{
    struct uring *uring = uring_of(net);
    struct slab_handle handle = handle_of(name);
    struct uring_conn *conn = uring_find(uring, handle);
    if (!conn || bytes == 0)
        return;
    assert(bytes <= conn->in_bytes);
    conn->in_at += (uint32_t)bytes;
    conn->in_bytes -= (uint32_t)bytes;
    uring_pending_add(uring, handle, conn);
}

void uring_net_tag(struct net *net, net_conn name, uint64_t tag)
{
    struct uring_conn *conn = uring_find(uring_of(net), handle_of(name));
    if (conn)
        conn->tag = tag;
}

void uring_net_send(struct net *net, net_conn name, struct slice bytes)
{
    struct uring *uring = uring_of(net);
    struct slab_handle handle = handle_of(name);
    struct uring_conn *conn = uring_find(uring, handle);
    if (!conn)
        return;
    assert(!conn->sending);
    if (conn->ended)
        return; /* NET_CLOSED is on its way */
    conn->out = bytes;
    conn->out_total = bytes.bytes;
    send_rest(uring, handle, conn);
}

void uring_net_close(struct net *net, net_conn name, bool reset)
{
    struct uring *uring = uring_of(net);
    struct uring_conn *conn = uring_find(uring, handle_of(name));
    if (conn)
        uring_drop(uring, handle_of(name), conn, reset);
}

enum status uring_net_connect(struct net *net, const uint8_t peer[16], uint16_t port, net_conn *out)
{
    struct uring *uring = uring_of(net);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return STATUS_BUSY;
    int off = 0;
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&address.sin6_addr, peer, 16);
    struct slab_handle handle;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        enum status status = status_of_errno(errno);
        (void)close(fd);
        return status;
    }
    struct uring_conn *conn = uring_add(uring, fd, &handle);
    if (!conn)
        return STATUS_BUSY;
    conn->connecting = true;
    io_uring_prep_poll_add(uring_request(uring, URING_CONNECT, handle), fd, POLLOUT);
    *out = uring_name(handle);
    return STATUS_OK;
}
