/* SPDX-License-Identifier: Apache-2.0
 * open.c: taking the address, listening, and what a loop needs before it turns. */
#include "adapters/epoll/epoll.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapters/epoll/parts.h"
#include "base/assert.h"

/* A shared listener wakes one of its shards (EPOLLEXCLUSIVE), not all. */
enum status epoll_watch(struct epoll *epoll, int fd, uint64_t token, struct failure *failure)
{
    uint32_t events = token == EPOLL_TOKEN_LISTEN ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN;
    struct epoll_event event = {.events = events, .data.u64 = token};
    if (epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return failure_set(failure, STATUS_IO, "epoll refused a descriptor: %s", strerror(errno));
    return STATUS_OK;
}

static enum status listen_on(struct epoll *epoll, const struct epoll_options *options,
                             struct failure *failure)
{
    epoll->listen_fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (epoll->listen_fd < 0)
        return failure_set(failure, STATUS_IO, "cannot make a socket: %s", strerror(errno));
    int on = 1, off = 0;
    (void)setsockopt(epoll->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(epoll->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
    memcpy(&address.sin6_addr, options->address, 16);
    if (bind(epoll->listen_fd, (struct sockaddr *)&address, sizeof address) != 0)
        return failure_set(failure, errno == EADDRINUSE ? STATUS_CONFLICT : STATUS_IO,
                           "cannot listen on port %u: %s", options->port, strerror(errno));
    return STATUS_OK;
}

enum status epoll_listen(struct epoll *epoll, struct failure *failure)
{
    assert(epoll->listen_fd >= 0 && !epoll->accepting);
    if (!epoll->borrows && listen(epoll->listen_fd, 4096) != 0)
        return failure_set(failure, errno == EADDRINUSE ? STATUS_CONFLICT : STATUS_IO,
                           "cannot listen on port %u: %s", epoll_port(epoll), strerror(errno));
    enum status status = epoll_watch(epoll, epoll->listen_fd, EPOLL_TOKEN_LISTEN, failure);
    epoll->accepting = status == STATUS_OK;
    return status;
}

enum status epoll_open(struct epoll *epoll, const struct epoll_options *options,
                       struct failure *failure)
{
    *epoll = (struct epoll){.net.vtable = &epoll_net_table,
                            .waker.vtable = &epoll_waker_table,
                            .epoll_fd = -1,
                            .listen_fd = -1,
                            .wake_fd = -1};
    enum status status =
        slab_open(&epoll->conns, options->connections_max, sizeof(struct epoll_conn));
    if (status != STATUS_OK) {
        (void)failure_set(failure, status, "no memory for %u connections",
                          options->connections_max);
        goto fail;
    }
    epoll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (epoll->epoll_fd < 0 || epoll->wake_fd < 0) {
        status = failure_set(failure, STATUS_IO, "no descriptors left: %s", strerror(errno));
        goto fail;
    }
    status = epoll_watch(epoll, epoll->wake_fd, EPOLL_TOKEN_WAKE, failure);
    if (status == STATUS_OK && options->listener) {
        epoll->listen_fd = options->listener->listen_fd;
        epoll->borrows = true;
    } else if (status == STATUS_OK && options->address) {
        status = listen_on(epoll, options, failure);
    }
    if (status == STATUS_OK && epoll->listen_fd >= 0 && !options->later)
        status = epoll_listen(epoll, failure);
    if (status == STATUS_OK)
        return STATUS_OK;
fail:
    epoll_close(epoll);
    return status;
}

uint16_t epoll_port(const struct epoll *epoll)
{
    struct sockaddr_in6 address = {0};
    socklen_t bytes = sizeof address;
    if (getsockname(epoll->listen_fd, (struct sockaddr *)&address, &bytes) != 0)
        return 0;
    return ntohs(address.sin6_port);
}
