/* SPDX-License-Identifier: Apache-2.0
 * open.c: the rings, the pool of buffers, taking the address, and the end. */
#include "adapters/uring/uring.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/uring/parts.h"
#include "base/assert.h"
#include "base/memory.h"

#define REQUESTS    1024u /* submitted at once at most; completions that wait: four times as many */
#define PAGE_BYTES  4096u
#define PORT_TRIES  50
#define PORT_TRY_MS 10
#define POOL_BYTES  (URING_BUFFERS * sizeof(struct io_uring_buf))

static enum status refused(struct failure *failure, const char *what, int error)
{
    return failure_set(failure, STATUS_UNSUPPORTED, "the kernel refuses io_uring: %s (%s)", what,
                       strerror(error));
}

static enum status pool_open(struct uring_rings *rings, struct failure *failure)
{
    rings->pool_memory = memory_alloc(POOL_BYTES + PAGE_BYTES);
    rings->buffers = memory_array(URING_BUFFERS, sizeof *rings->buffers);
    if (rings->pool_memory == NULL || rings->buffers == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory for receive buffers");
    uintptr_t at = ((uintptr_t)rings->pool_memory + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    rings->pool = (struct io_uring_buf_ring *)at;
    io_uring_buf_ring_init(rings->pool);
    struct io_uring_buf_reg pool = {.ring_addr = at, .ring_entries = URING_BUFFERS};
    int error = -io_uring_register_buf_ring(&rings->io, &pool, 0);
    if (error != 0)
        return refused(failure, "rings of buffers, Linux 5.19", error);
    int mask = io_uring_buf_ring_mask(URING_BUFFERS);
    for (unsigned i = 0; i < URING_BUFFERS; i++)
        io_uring_buf_ring_add(rings->pool, rings->buffers[i].bytes, URING_RECEIVE_BYTES,
                              (unsigned short)i, mask, (int)i);
    io_uring_buf_ring_advance(rings->pool, (int)URING_BUFFERS);
    return STATUS_OK;
}

static enum status rings_open(struct uring *uring, struct failure *failure)
{
    struct uring_rings *rings = memory_alloc(sizeof *rings);
    if (rings == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory for the rings");
    rings->io.ring_fd = -1;
    uring->rings = rings;
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE,
        .cq_entries = 4 * REQUESTS,
    };
    int error = -io_uring_queue_init_params(REQUESTS, &rings->io, &params);
    if (error != 0) {
        rings->io.ring_fd = -1;
        return refused(failure, error == EINVAL ? "it is older than Linux 6.1" : "a ring", error);
    }
    (void)io_uring_ring_dontfork(&rings->io);
    return pool_open(rings, failure);
}

static void rings_close(struct uring_rings *rings)
{
    if (rings == NULL)
        return;
    if (rings->io.ring_fd >= 0) {
        /* Of another thread's rings it is refused: that one ended, and its requests with it. */
        struct io_uring_sync_cancel_reg all = {.flags = IORING_ASYNC_CANCEL_ANY,
                                               .timeout = {.tv_sec = -1, .tv_nsec = -1}};
        (void)io_uring_register_sync_cancel(&rings->io, &all);
        io_uring_queue_exit(&rings->io);
    }
    memory_free(rings->buffers);
    memory_free(rings->pool_memory);
    memory_free(rings);
}

static enum status listen_on(struct uring *uring, const struct uring_options *options,
                             struct failure *failure)
{
    uring->listen_fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (uring->listen_fd < 0)
        return failure_set(failure, STATUS_IO, "cannot make a socket: %s", strerror(errno));
    int on = 1, off = 0;
    (void)setsockopt(uring->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(uring->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
    memcpy(&address.sin6_addr, options->address, 16);
    int bound = bind(uring->listen_fd, (struct sockaddr *)&address, sizeof address);
    /* The kernel ends the requests of a process that was killed a moment after it, and a request
     * for connections holds its port: without this a restart would find it taken. */
    for (int i = 0; bound != 0 && errno == EADDRINUSE && i < PORT_TRIES; i++) {
        (void)poll(NULL, 0, PORT_TRY_MS);
        bound = bind(uring->listen_fd, (struct sockaddr *)&address, sizeof address);
    }
    if (bound != 0)
        return failure_set(failure, errno == EADDRINUSE ? STATUS_CONFLICT : STATUS_IO,
                           "cannot listen on port %u: %s", options->port, strerror(errno));
    return STATUS_OK;
}

enum status uring_listen(struct uring *uring, struct failure *failure)
{
    assert(uring->listen_fd >= 0 && !uring->accepting);
    if (!uring->borrows && listen(uring->listen_fd, 4096) != 0)
        return failure_set(failure, errno == EADDRINUSE ? STATUS_CONFLICT : STATUS_IO,
                           "cannot listen on port %u: %s", uring_port(uring), strerror(errno));
    uring->accepting = true; /* the first wait asks */
    return STATUS_OK;
}

enum status uring_open(struct uring *uring, const struct uring_options *options,
                       struct failure *failure)
{
    *uring = (struct uring){.net.vtable = &uring_net_table,
                            .waker.vtable = &uring_waker_table,
                            .listen_fd = -1,
                            .wake_fd = -1};
    enum status status = rings_open(uring, failure);
    if (status == STATUS_OK) {
        status = slab_open(&uring->conns, options->connections_max, sizeof(struct uring_conn));
        if (status != STATUS_OK)
            (void)failure_set(failure, status, "no memory for %u connections",
                              options->connections_max);
    }
    if (status == STATUS_OK) {
        uring->wake_fd = eventfd(0, EFD_CLOEXEC);
        if (uring->wake_fd < 0)
            status = failure_set(failure, STATUS_IO, "no descriptors left: %s", strerror(errno));
    }
    if (status == STATUS_OK && options->listener) {
        uring->listen_fd = options->listener->listen_fd;
        uring->borrows = true;
    } else if (status == STATUS_OK && options->address) {
        status = listen_on(uring, options, failure);
    }
    if (status == STATUS_OK && uring->listen_fd >= 0 && !options->later)
        status = uring_listen(uring, failure);
    if (status != STATUS_OK)
        uring_close(uring);
    return status;
}

void uring_close(struct uring *uring)
{
    if (!uring->net.vtable)
        return;
    rings_close(uring->rings); /* first: nothing is in flight any more */
    struct slab_handle handle;
    struct uring_conn *conn;
    for (uint32_t index = 0; (conn = slab_next(&uring->conns, &index, &handle));) {
        if (conn->fd >= 0)
            (void)close(conn->fd);
        if (!conn->pooled)
            memory_free(conn->in);
    }
    while (uring->own_buffers) {
        struct uring_buffer *buffer = uring->own_buffers;
        uring->own_buffers = buffer->next;
        memory_free(buffer);
    }
    slab_close(&uring->conns);
    if (uring->listen_fd >= 0 && !uring->borrows)
        (void)close(uring->listen_fd);
    if (uring->wake_fd >= 0)
        (void)close(uring->wake_fd);
    *uring = (struct uring){0};
}

uint16_t uring_port(const struct uring *uring)
{
    struct sockaddr_in6 address = {0};
    socklen_t bytes = sizeof address;
    if (getsockname(uring->listen_fd, (struct sockaddr *)&address, &bytes) != 0)
        return 0;
    return ntohs(address.sin6_port);
}
