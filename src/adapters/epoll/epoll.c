/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/epoll/epoll.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/epoll/parts.h"
#include "base/assert.h"
#include "base/memory.h"

#define EVENTS_MAX       256
#define ACCEPTS_PER_TURN 64 /* a storm of connects must not starve those that stand */

static net_conn conn_of(struct slab_handle handle)
{
    return (net_conn){handle.index, handle.generation};
}

static struct slab_handle handle_of(net_conn conn)
{
    return (struct slab_handle){conn.index, conn.generation};
}

static struct epoll *epoll_of(struct net *net)
{
    return (struct epoll *)net; /* `net` is the first member */
}

static void pending_add(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn)
{
    if (conn->pending)
        return;
    conn->pending = true;
    conn->next_pending = SLAB_NONE;
    struct epoll_conn *last = slab_find(&epoll->conns, epoll->pending_last);
    if (last)
        last->next_pending = handle;
    else
        epoll->pending_first = handle;
    epoll->pending_last = handle;
}

/* The first connection with something to report that is still there. */
static struct epoll_conn *pending_take(struct epoll *epoll, struct slab_handle *handle)
{
    *handle = epoll->pending_first;
    struct epoll_conn *conn = slab_find(&epoll->conns, *handle);
    if (!conn)
        return NULL;
    epoll->pending_first = conn->next_pending;
    if (!slab_find(&epoll->conns, epoll->pending_first))
        epoll->pending_first = epoll->pending_last = SLAB_NONE;
    conn->pending = false;
    return conn;
}

static void pending_drop(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn)
{
    if (!conn->pending)
        return;
    struct slab_handle at = epoll->pending_first, before = SLAB_NONE;
    while (at.index != handle.index) {
        before = at;
        at = ((struct epoll_conn *)slab_find(&epoll->conns, at))->next_pending;
    }
    struct epoll_conn *previous = slab_find(&epoll->conns, before);
    if (previous)
        previous->next_pending = conn->next_pending;
    else
        epoll->pending_first = conn->next_pending;
    if (epoll->pending_last.index == handle.index)
        epoll->pending_last = before;
    if (!slab_find(&epoll->conns, epoll->pending_first))
        epoll->pending_first = epoll->pending_last = SLAB_NONE;
}

static void buffer_release(struct epoll *epoll, struct epoll_conn *conn)
{
    if (!conn->in)
        return;
    conn->in->next = epoll->free_buffers;
    epoll->free_buffers = conn->in;
    conn->in = NULL;
    conn->in_at = conn->in_bytes = 0;
}

static bool buffer_take(struct epoll *epoll, struct epoll_conn *conn)
{
    if (conn->in)
        return true;
    conn->in = epoll->free_buffers;
    if (conn->in)
        epoll->free_buffers = conn->in->next;
    else
        conn->in = memory_alloc(sizeof(struct epoll_buffer));
    return conn->in != NULL;
}

/* Watch for what can make progress now, and for nothing else. */
static void conn_arm(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn)
{
    uint32_t want = 0;
    if (conn->dead)
        return;
    if (!conn->ended && !conn->connecting && conn->in_bytes < EPOLL_RECEIVE_BYTES)
        want |= EPOLLIN;
    if (conn->connecting || conn->out.bytes > 0)
        want |= EPOLLOUT;
    if (want == conn->armed)
        return;
    struct epoll_event event = {.events = want, .data.u64 = slab_token(handle)};
    int done = epoll_ctl(epoll->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
    assert(done == 0);
    conn->armed = want;
}

static void conn_end(struct epoll_conn *conn, enum status status)
{
    if (conn->ended)
        return;
    conn->ended = true;
    conn->end_status = status;
    conn->out = SLICE_EMPTY;
}

static enum status status_of_errno(int error)
{
    return error == ECONNRESET || error == EPIPE ? STATUS_CLOSED
           : error == ETIMEDOUT                  ? STATUS_TIMEOUT
                                                 : STATUS_IO;
}

/* The peer is gone, and neither HUP nor ERR can be disarmed: stop watching. What it sent is handed
 * over as the owner makes room; what is sent to it leaves at once, to nobody. */
static void conn_die(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn)
{
    if (conn->dead)
        return;
    int done = epoll_ctl(epoll->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    assert(done == 0);
    conn->dead = true;
    conn->out = SLICE_EMPTY;
    conn->sent = conn->sent || conn->sending;
    conn->sending = false;
    pending_add(epoll, handle, conn);
}

static void conn_receive(struct epoll *epoll, struct epoll_conn *conn)
{
    if (!buffer_take(epoll, conn)) {
        if (conn->dead)
            conn_end(conn, STATUS_BUSY);
        return; /* level-triggered: tried again next turn */
    }
    if (conn->in_at > 0) {
        memmove(conn->in->bytes, conn->in->bytes + conn->in_at, conn->in_bytes);
        conn->in_at = 0;
    }
    ssize_t got =
        recv(conn->fd, conn->in->bytes + conn->in_bytes, EPOLL_RECEIVE_BYTES - conn->in_bytes, 0);
    if (got > 0)
        conn->in_bytes += (uint32_t)got;
    else if (got == 0)
        conn_end(conn, STATUS_CLOSED);
    else if (errno != EINTR && (errno != EAGAIN || conn->dead))
        conn_end(conn, status_of_errno(errno));
    if (conn->in_bytes == 0)
        buffer_release(epoll, conn);
}

static void conn_send(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn)
{
    while (conn->out.bytes > 0) {
        ssize_t gone = send(conn->fd, conn->out.at, conn->out.bytes, MSG_NOSIGNAL);
        if (gone < 0 && errno == EINTR)
            continue;
        if (gone < 0) {
            if (errno != EAGAIN)
                conn_die(epoll, handle, conn);
            return;
        }
        conn->out = slice_sub(conn->out, (size_t)gone, conn->out.bytes);
    }
    if (conn->sending) {
        conn->sending = false;
        conn->sent = true;
    }
}

static void conn_drop(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn,
                      bool reset)
{
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    (void)close(conn->fd); /* leaves the epoll set with it */
    pending_drop(epoll, handle, conn);
    buffer_release(epoll, conn);
    slab_give(&epoll->conns, handle);
}

/* Take a socket in; it is closed if there is no room. */
static struct epoll_conn *conn_add(struct epoll *epoll, int fd, bool connecting,
                                   struct slab_handle *handle)
{
    struct epoll_conn *conn = slab_take(&epoll->conns, handle);
    if (!conn) {
        (void)close(fd);
        return NULL;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->fd = fd;
    conn->connecting = connecting;
    conn->armed = connecting ? EPOLLOUT : EPOLLIN;
    struct epoll_event event = {.events = conn->armed, .data.u64 = slab_token(*handle)};
    if (epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        (void)close(fd);
        slab_give(&epoll->conns, *handle);
        return NULL;
    }
    return conn;
}

static size_t accept_some(struct epoll *epoll, struct net_event *out, size_t max)
{
    size_t count = 0;
    for (int i = 0; i < ACCEPTS_PER_TURN && count < max && epoll->accepting; i++) {
        struct sockaddr_in6 peer = {0};
        socklen_t peer_bytes = sizeof peer;
        int fd = accept4(epoll->listen_fd, (struct sockaddr *)&peer, &peer_bytes,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        struct slab_handle handle;
        if (!conn_add(epoll, fd, false, &handle))
            continue;
        out[count] = (struct net_event){.kind = NET_ACCEPTED, .conn = conn_of(handle)};
        memcpy(out[count].peer, &peer.sin6_addr, 16);
        out[count++].peer_port = ntohs(peer.sin6_port);
    }
    return count;
}

static void say_received(struct epoll_conn *conn, struct net_event *out)
{
    out->kind = NET_RECEIVED;
    out->bytes = conn->in->bytes + conn->in_at;
    out->bytes_count = conn->in_bytes;
}

/* One event of one connection, or false when it has nothing to say (any more). */
static bool conn_report(struct epoll *epoll, struct slab_handle handle, struct epoll_conn *conn,
                        struct net_event *out)
{
    *out = (struct net_event){.conn = conn_of(handle), .tag = conn->tag};
    uint32_t had = conn->in_bytes, had_at = conn->in_at;
    if (conn->dead && !conn->ended && !conn->sent && conn->in_bytes < EPOLL_RECEIVE_BYTES)
        conn_receive(epoll, conn);
    if (conn->sent) {
        conn->sent = false;
        out->kind = NET_SENT;
        out->sent = conn->out_total;
        pending_add(epoll, handle, conn);
    } else if (conn->in_bytes > had || conn->in_at != had_at) {
        say_received(conn, out);
        pending_add(epoll, handle, conn);
    } else if (conn->ended) {
        out->kind = NET_CLOSED;
        out->status = conn->end_status;
        conn_drop(epoll, handle, conn, false);
    } else {
        return false;
    }
    return true;
}

static bool conn_ready(struct epoll *epoll, struct slab_handle handle, uint32_t events,
                       struct net_event *out)
{
    struct epoll_conn *conn = slab_find(&epoll->conns, handle);
    if (!conn)
        return false; /* closed earlier in this turn */
    *out = (struct net_event){.conn = conn_of(handle), .tag = conn->tag};
    bool connected = false;
    if (conn->connecting) {
        int error = 0;
        socklen_t error_bytes = sizeof error;
        (void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
        conn->connecting = false;
        connected = error == 0;
        if (error != 0)
            conn_end(conn, status_of_errno(error));
    } else if (events & EPOLLOUT) {
        conn_send(epoll, handle, conn);
    }
    uint32_t had = conn->in_bytes, had_at = conn->in_at;
    bool hung = !connected && !conn->ended && events & (EPOLLHUP | EPOLLERR);
    if (!connected && !conn->ended && events & (EPOLLIN | EPOLLHUP | EPOLLERR) &&
        conn->in_bytes < EPOLL_RECEIVE_BYTES)
        conn_receive(epoll, conn);
    if (hung && !conn->ended)
        conn_die(epoll, handle, conn);
    if (conn->sent || conn->ended)
        pending_add(epoll, handle, conn);
    conn_arm(epoll, handle, conn);
    if (connected) {
        out->kind = NET_CONNECTED;
        return true;
    }
    if (conn->in_bytes == had && conn->in_at == had_at) /* moved: the owner's pointer is stale */
        return false;
    say_received(conn, out);
    return true;
}

static size_t epoll_net_wait(struct net *net, struct net_event *out, size_t max, int64_t timeout_ms)
{
    struct epoll *epoll = epoll_of(net);
    struct slab_handle handle;
    size_t count = 0;
    /* One event of each: the owner acts on it before the next, an end above all. */
    const struct slab_handle last = epoll->pending_last;
    struct epoll_conn *conn;
    while (count < max && (conn = pending_take(epoll, &handle)) != NULL) {
        if (conn_report(epoll, handle, conn, &out[count]))
            count++;
        if (handle.index == last.index)
            break;
    }
    if (count == max)
        return count;
    struct epoll_event events[EVENTS_MAX];
    size_t room = max - count < EVENTS_MAX ? max - count : EVENTS_MAX;
    int timeout = count > 0 || epoll->called ? 0
                  : timeout_ms > INT32_MAX   ? INT32_MAX
                                             : (int)timeout_ms;
    if (timeout != 0 && !nap_begin(&epoll->nap))
        timeout = 0;
    int got = epoll_wait(epoll->epoll_fd, events, (int)room, timeout);
    epoll->called = nap_end(&epoll->nap) || epoll->called;
    for (int i = 0; i < got && count < max; i++) {
        if (events[i].data.u64 == EPOLL_TOKEN_WAKE) {
            uint64_t wakes;
            (void)!read(epoll->wake_fd, &wakes, sizeof wakes);
        } else if (events[i].data.u64 == EPOLL_TOKEN_LISTEN) {
            /* Leave room for the events still to be looked at: none may be dropped. */
            count += accept_some(epoll, out + count, max - count - (size_t)(got - i - 1));
        } else if (conn_ready(epoll, slab_handle_of(events[i].data.u64), events[i].events,
                              &out[count])) {
            count++;
        }
    }
    if (epoll->called && count < max) {
        epoll->called = false;
        out[count++] = (struct net_event){.kind = NET_WOKEN};
    }
    return count;
}

static void epoll_net_consume(struct net *net, net_conn name, size_t bytes)
{
    struct epoll *epoll = epoll_of(net);
    struct slab_handle handle = handle_of(name);
    struct epoll_conn *conn = slab_find(&epoll->conns, handle);
    if (!conn || bytes == 0)
        return;
    assert(bytes <= conn->in_bytes);
    conn->in_at += (uint32_t)bytes;
    conn->in_bytes -= (uint32_t)bytes;
    if (conn->in_bytes == 0)
        buffer_release(epoll, conn);
    if (conn->dead)
        pending_add(epoll, handle, conn);
    conn_arm(epoll, handle, conn);
}

static void epoll_net_tag(struct net *net, net_conn name, uint64_t tag)
{
    struct epoll_conn *conn = slab_find(&epoll_of(net)->conns, handle_of(name));
    if (conn)
        conn->tag = tag;
}

static void epoll_net_send(struct net *net, net_conn name, struct slice bytes)
{
    struct epoll *epoll = epoll_of(net);
    struct slab_handle handle = handle_of(name);
    struct epoll_conn *conn = slab_find(&epoll->conns, handle);
    if (!conn)
        return;
    assert(!conn->sending && !conn->sent);
    if (conn->ended)
        return; /* NET_CLOSED is on its way */
    conn->out = bytes;
    conn->out_total = bytes.bytes;
    conn->sending = true;
    if (conn->dead) {
        conn->sending = false;
        conn->sent = true;
    } else {
        conn_send(epoll, handle, conn);
    }
    if (conn->sent || conn->ended)
        pending_add(epoll, handle, conn);
    conn_arm(epoll, handle, conn);
}

static void epoll_net_close(struct net *net, net_conn name, bool reset)
{
    struct epoll *epoll = epoll_of(net);
    struct epoll_conn *conn = slab_find(&epoll->conns, handle_of(name));
    if (conn)
        conn_drop(epoll, handle_of(name), conn, reset);
}

static enum status epoll_net_connect(struct net *net, const uint8_t peer[16], uint16_t port,
                                     net_conn *out)
{
    struct epoll *epoll = epoll_of(net);
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
    if (!conn_add(epoll, fd, true, &handle))
        return STATUS_BUSY;
    *out = conn_of(handle);
    return STATUS_OK;
}

static void epoll_net_accepting(struct net *net, bool on)
{
    struct epoll *epoll = epoll_of(net);
    if (epoll->listen_fd < 0 || epoll->accepting == on)
        return;
    if (!on) { /* an exclusive watch cannot be changed, only ended */
        int done = epoll_ctl(epoll->epoll_fd, EPOLL_CTL_DEL, epoll->listen_fd, NULL);
        assert(done == 0);
    } else if (epoll_watch(epoll, epoll->listen_fd, EPOLL_TOKEN_LISTEN, NULL) != STATUS_OK) {
        return; /* no memory now: asked again after the next close */
    }
    epoll->accepting = on;
}

static void epoll_wake(struct waker *waker)
{
    struct epoll *epoll = (struct epoll *)((char *)waker - offsetof(struct epoll, waker));
    uint64_t one = 1;
    if (nap_call(&epoll->nap))
        (void)!write(epoll->wake_fd, &one, sizeof one); /* full: a wake is already on its way */
}

const struct net_vtable epoll_net_table = {
    .wait = epoll_net_wait,
    .consume = epoll_net_consume,
    .tag = epoll_net_tag,
    .send = epoll_net_send,
    .close = epoll_net_close,
    .connect = epoll_net_connect,
    .accepting = epoll_net_accepting,
};
const struct waker_vtable epoll_waker_table = {.wake = epoll_wake};

void epoll_close(struct epoll *epoll)
{
    if (!epoll->net.vtable)
        return;
    struct slab_handle handle;
    struct epoll_conn *conn;
    for (uint32_t index = 0; (conn = slab_next(&epoll->conns, &index, &handle));)
        conn_drop(epoll, handle, conn, false);
    while (epoll->free_buffers) {
        struct epoll_buffer *buffer = epoll->free_buffers;
        epoll->free_buffers = buffer->next;
        memory_free(buffer);
    }
    slab_close(&epoll->conns);
    if (epoll->listen_fd >= 0 && !epoll->borrows)
        (void)close(epoll->listen_fd);
    if (epoll->wake_fd >= 0)
        (void)close(epoll->wake_fd);
    if (epoll->epoll_fd >= 0)
        (void)close(epoll->epoll_fd);
    *epoll = (struct epoll){0};
}
