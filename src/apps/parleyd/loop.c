/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/loop.h"

#include <stdio.h>

static enum status by_uring(struct loop *loop, const struct loop_options *options,
                            struct failure *failure)
{
    struct uring_options uring = {.address = options->address,
                                  .port = options->port,
                                  .later = true,
                                  .connections_max = options->connections_max};
    if (options->listener != NULL)
        uring.listener = &options->listener->uring;
    loop->net = &loop->uring.net;
    loop->waker = &loop->uring.waker;
    loop->by_uring = true;
    return uring_open(&loop->uring, &uring, failure);
}

static enum status by_epoll(struct loop *loop, const struct loop_options *options,
                            struct failure *failure)
{
    struct epoll_options epoll = {.address = options->address,
                                  .port = options->port,
                                  .later = true,
                                  .connections_max = options->connections_max};
    if (options->listener != NULL)
        epoll.listener = &options->listener->epoll;
    loop->net = &loop->epoll.net;
    loop->waker = &loop->epoll.waker;
    loop->by_uring = false;
    return epoll_open(&loop->epoll, &epoll, failure);
}

enum status loop_open(struct loop *loop, const struct loop_options *options,
                      struct failure *failure)
{
    *loop = (struct loop){0};
    bool uring =
        options->listener != NULL ? options->listener->by_uring : options->backend == LOOP_URING;
    if (!uring)
        return by_epoll(loop, options, failure);
    enum status status = by_uring(loop, options, failure);
    if (status != STATUS_UNSUPPORTED || options->listener != NULL)
        return status;
    (void)fprintf(stderr,
                  "parleyd: %s; the server goes on with epoll (net-backend = epoll says no more "
                  "about it)\n",
                  failure->text);
    return by_epoll(loop, options, failure);
}

enum status loop_listen(struct loop *loop, struct failure *failure)
{
    return loop->by_uring ? uring_listen(&loop->uring, failure)
                          : epoll_listen(&loop->epoll, failure);
}

void loop_close(struct loop *loop)
{
    epoll_close(&loop->epoll);
    uring_close(&loop->uring);
    *loop = (struct loop){0};
}

uint16_t loop_port(const struct loop *loop)
{
    return loop->by_uring ? uring_port(&loop->uring) : epoll_port(&loop->epoll);
}

const char *loop_name(const struct loop *loop)
{
    return loop->by_uring ? "io_uring" : "epoll";
}
