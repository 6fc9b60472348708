/* SPDX-License-Identifier: Apache-2.0
 * uring.c: turns. Requests gather in the submission queue between two waits; a wait first makes
 * every connection that was touched ready (settle), then submits, sleeps and takes completions with
 * one system call. With DEFER_TASKRUN the kernel works for us only inside that call. */
#include "adapters/uring/uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/uring/parts.h"
#include "base/assert.h"

/* A request's number: op (4) ‖ generation (32) ‖ index (24). */
#define OP_SHIFT         60
#define GENERATION_SHIFT 24
#define INDEX_MASK       ((UINT64_C(1) << GENERATION_SHIFT) - 1)

static uint64_t number_of(enum uring_op op, struct slab_handle handle)
{
    assert(handle.index <= INDEX_MASK);
    return (uint64_t)op << OP_SHIFT | (uint64_t)handle.generation << GENERATION_SHIFT |
           handle.index;
}

static enum uring_op op_of(uint64_t number)
{
    return (enum uring_op)(number >> OP_SHIFT);
}

static struct slab_handle handle_of_number(uint64_t number)
{
    return (struct slab_handle){(uint32_t)(number & INDEX_MASK),
                                (uint32_t)(number >> GENERATION_SHIFT)};
}

/* The rings belong to whoever is the first to submit. */
static void begin(struct uring *uring)
{
    if (uring->enabled)
        return;
    int enabled = io_uring_enable_rings(&uring->rings->io);
    assert(enabled == 0);
    uring->enabled = true;
}

struct io_uring_sqe *uring_request(struct uring *uring, enum uring_op op, struct slab_handle handle)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->rings->io);
    while (!sqe) { /* as many as the queue holds in one turn: send them off */
        begin(uring);
        (void)io_uring_submit(&uring->rings->io);
        sqe = io_uring_get_sqe(&uring->rings->io);
    }
    io_uring_sqe_set_data64(sqe, number_of(op, handle)); /* which no prep touches */
    return sqe;
}

/* ---- listening, waking ---- */

static void arm(struct uring *uring)
{
    if (!uring->wake_armed) {
        struct io_uring_sqe *sqe = uring_request(uring, URING_WAKE, SLAB_NONE);
        io_uring_prep_read(sqe, uring->wake_fd, &uring->wakes, sizeof uring->wakes, 0);
        uring->wake_armed = true;
    }
    if (uring->accepting && !uring->accept_armed && !uring->accept_failed) {
        struct io_uring_sqe *sqe = uring_request(uring, URING_ACCEPT, SLAB_NONE);
        io_uring_prep_multishot_accept(sqe, uring->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        uring->accept_armed = true;
    }
}

static void uring_net_accepting(struct net *net, bool on)
{
    struct uring *uring = uring_of(net);
    if (uring->listen_fd < 0 || uring->accepting == on)
        return;
    uring->accepting = on;
    if (on || !uring->accept_armed)
        return;
    /* At once: what comes from now on is for those who share the listener. */
    begin(uring);
    struct io_uring_sqe *sqe = uring_request(uring, URING_CANCEL, SLAB_NONE);
    io_uring_prep_cancel64(sqe, number_of(URING_ACCEPT, SLAB_NONE), 0);
    (void)io_uring_submit(&uring->rings->io);
}

static bool accepted(struct uring *uring, const struct io_uring_cqe *cqe, struct net_event *out)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        uring->accept_armed = false;
    if (cqe->res < 0) { /* without descriptors: when one is given back, or at the next idle wait */
        uring->accept_failed = cqe->res != -ECANCELED && cqe->res != -ECONNABORTED;
        return false;
    }
    struct slab_handle handle;
    struct uring_conn *conn = uring_add(uring, cqe->res, &handle);
    if (!conn)
        return false;
    struct sockaddr_in6 peer = {0};
    socklen_t peer_bytes = sizeof peer;
    (void)getpeername(conn->fd, (struct sockaddr *)&peer, &peer_bytes);
    uring_pending_add(uring, handle, conn);
    *out = (struct net_event){.kind = NET_ACCEPTED, .conn = uring_name(handle)};
    memcpy(out->peer, &peer.sin6_addr, 16);
    out->peer_port = ntohs(peer.sin6_port);
    return true;
}

static void uring_wake(struct waker *waker)
{
    struct uring *uring = (struct uring *)((char *)waker - offsetof(struct uring, waker));
    uint64_t one = 1;
    if (nap_call(&uring->nap))
        (void)!write(uring->wake_fd, &one, sizeof one);
}

/* ---- a turn ---- */

/* Connections touched since the last wait; ends are said here. */
static size_t look(struct uring *uring, struct net_event *out, size_t max)
{
    struct slab_handle handle;
    size_t count = 0;
    /* Each once: what becomes pending meanwhile is looked at next time. */
    const struct slab_handle last = uring->pending_last;
    struct uring_conn *conn;
    while (count < max && (conn = uring_pending_take(uring, &handle)) != NULL) {
        if (conn->closing) {
            uring_wane(uring, handle, conn);
        } else if (conn->ended) {
            out[count++] = (struct net_event){.kind = NET_CLOSED,
                                              .conn = uring_name(handle),
                                              .tag = conn->tag,
                                              .status = conn->end_status};
            uring_drop(uring, handle, conn, false);
        } else {
            uring_settle(uring, handle, conn);
        }
        if (handle.index == last.index)
            break;
    }
    return count;
}

static bool complete(struct uring *uring, const struct io_uring_cqe *cqe, struct net_event *out)
{
    struct slab_handle handle = handle_of_number(cqe->user_data);
    switch (op_of(cqe->user_data)) {
    case URING_ACCEPT: return accepted(uring, cqe, out);
    case URING_WAKE: uring->wake_armed = false; return false;
    case URING_CANCEL: return false;
    case URING_CONNECT: return uring_connected(uring, handle, cqe, out);
    case URING_RECEIVE: return uring_received(uring, handle, cqe, out);
    case URING_SEND: return uring_sent(uring, handle, cqe, out);
    }
    return false;
}

static void submit_and_sleep(struct uring *uring, int64_t timeout_ms)
{
    struct io_uring *io = &uring->rings->io;
    struct io_uring_cqe *first;
    if (timeout_ms != 0 && !nap_begin(&uring->nap))
        timeout_ms = 0;
    if (timeout_ms == 0) {
        (void)io_uring_submit_and_get_events(io);
    } else if (timeout_ms < 0) {
        (void)io_uring_submit_and_wait(io, 1);
    } else {
        struct __kernel_timespec until = {.tv_sec = timeout_ms / 1000,
                                          .tv_nsec = timeout_ms % 1000 * 1000000};
        (void)io_uring_submit_and_wait_timeout(io, &first, 1, &until, NULL);
    }
    uring->called = nap_end(&uring->nap) || uring->called;
}

static size_t uring_net_wait(struct net *net, struct net_event *out, size_t max, int64_t timeout_ms)
{
    struct uring *uring = uring_of(net);
    struct io_uring *io = &uring->rings->io;
    begin(uring);
    size_t count = look(uring, out, max);
    if (count == max)
        return count;
    arm(uring);
    bool more = count > 0 || uring->called || io_uring_cq_ready(io) > 0 ||
                slab_find(&uring->conns, uring->pending_first) != NULL;
    submit_and_sleep(uring, more ? 0 : timeout_ms);
    unsigned head, seen = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(io, head, cqe)
    {
        if (count == max)
            break;
        seen++;
        if (complete(uring, cqe, &out[count]))
            count++;
    }
    io_uring_cq_advance(io, seen);
    if (seen == 0)
        uring->accept_failed = false;
    if (uring->called && count < max) {
        uring->called = false;
        out[count++] = (struct net_event){.kind = NET_WOKEN};
    }
    return count;
}

const struct net_vtable uring_net_table = {
    .wait = uring_net_wait,
    .consume = uring_net_consume,
    .tag = uring_net_tag,
    .send = uring_net_send,
    .close = uring_net_close,
    .connect = uring_net_connect,
    .accepting = uring_net_accepting,
};
const struct waker_vtable uring_waker_table = {.wake = uring_wake};
