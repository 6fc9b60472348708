/* SPDX-License-Identifier: Apache-2.0 */
#include "net_contract.h"

#include "adapters/uring/uring.h"

_Static_assert(URING_RECEIVE_BYTES == CONTRACT_RECEIVE_BYTES, "what a connection may hold unread");
_Static_assert(sizeof(struct uring) <= sizeof(((struct subject *)0)->space),
               "a subject has room for it");

static struct uring *uring_of(const struct subject *subject)
{
    return (struct uring *)(uintptr_t)subject->space;
}

bool contract_net_offered(struct failure *failure)
{
    struct uring uring;
    const struct uring_options options = {.connections_max = 1};
    if (uring_open(&uring, &options, failure) != STATUS_OK)
        return false;
    uring_close(&uring);
    return true;
}

enum status subject_open(struct subject *subject, const struct subject_options *options,
                         struct failure *failure)
{
    struct uring *uring = uring_of(subject);
    const struct uring_options to = {.address = options->address,
                                     .port = options->port,
                                     .listener =
                                         options->listener ? uring_of(options->listener) : NULL,
                                     .connections_max = options->connections_max};
    enum status status = uring_open(uring, &to, failure);
    subject->net = &uring->net;
    subject->waker = &uring->waker;
    subject->conns = &uring->conns;
    subject->nap = &uring->nap;
    subject->wake_fd = &uring->wake_fd;
    return status;
}

void subject_close(struct subject *subject)
{
    uring_close(uring_of(subject));
}

uint16_t subject_port(const struct subject *subject)
{
    return uring_port(uring_of(subject));
}
