/* SPDX-License-Identifier: Apache-2.0 */
#include "net_contract.h"

#include "adapters/epoll/epoll.h"

_Static_assert(EPOLL_RECEIVE_BYTES == CONTRACT_RECEIVE_BYTES, "what a connection may hold unread");
_Static_assert(sizeof(struct epoll) <= sizeof(((struct subject *)0)->space),
               "a subject has room for it");

static struct epoll *epoll_of(const struct subject *subject)
{
    return (struct epoll *)(uintptr_t)subject->space;
}

bool contract_net_offered(struct failure *failure)
{
    (void)failure;
    return true;
}

enum status subject_open(struct subject *subject, const struct subject_options *options,
                         struct failure *failure)
{
    struct epoll *epoll = epoll_of(subject);
    const struct epoll_options to = {.address = options->address,
                                     .port = options->port,
                                     .listener =
                                         options->listener ? epoll_of(options->listener) : NULL,
                                     .connections_max = options->connections_max};
    enum status status = epoll_open(epoll, &to, failure);
    subject->net = &epoll->net;
    subject->waker = &epoll->waker;
    subject->conns = &epoll->conns;
    subject->nap = &epoll->nap;
    subject->wake_fd = &epoll->wake_fd;
    return status;
}

void subject_close(struct subject *subject)
{
    epoll_close(epoll_of(subject));
}

uint16_t subject_port(const struct subject *subject)
{
    return epoll_port(epoll_of(subject));
}
