/* SPDX-License-Identifier: Apache-2.0
 * local.h: the rpc port of a node with one shard: a message is a copy in a queue, polled next turn.
 * Order holds; nothing is lost but what finds the queue full (the sender is told BUSY).
 * Owner: one thread. Bounds: LOCAL_BYTES_MAX of messages between two polls. */
#pragma once

#include "base/arena.h"
#include "base/queue.h"
#include "ports/rpc.h"

#define LOCAL_MESSAGES  4096u
#define LOCAL_BYTES_MAX (16u << 20)

struct local_rpc {
    struct rpc port; /* first */
    uint64_t instance;
    struct arena arenas[2]; /* one is filled while the other's messages are with the poller */
    struct queue messages;  /* struct slice, in arenas[filling] */
    int filling;
};

/* instance: this process' name among all that ever ran on the data; not 0. BUSY: no memory. */
MUST_USE enum status local_rpc_open(struct local_rpc *local, uint64_t instance);
void local_rpc_close(struct local_rpc *local); /* tolerates a zeroed one */
