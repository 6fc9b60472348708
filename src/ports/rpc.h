/* SPDX-License-Identifier: Apache-2.0
 * rpc.h: messages between gateways and inbox owners (storage §8; the messages: rpc.proto).
 * Adapters:
 * ring (shards of one process), sim (loses, delays, breaks), later frames over mutual TLS.
 * A send may be lost when the link breaks: nothing hangs on one message (levels, not edges);
 * order holds per (from, to) while the link stands. Owner: one thread per handle. */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

#define RPC_BYTES_MAX (1024u * 1024u)

/* Where a message goes: a gateway shard by its instance, or the owner of a user's inbox. */
struct rpc_peer {
    uint64_t gateway; /* 0: to the owner of `user` */
    uint32_t shard;
    uint8_t user[ID_BYTES];
};

enum rpc_event_kind {
    RPC_MESSAGE,
    /* to gateways: sessions of users in deliveries partition `partition` ATTACH again */
    RPC_OWNER_CHANGED,
};

struct rpc_event {
    enum rpc_event_kind kind;
    struct slice bytes; /* an Rpc message; until the next poll */
    uint32_t partition;
};

struct rpc {
    const struct rpc_vtable *vtable;
};

struct rpc_vtable {
    /* Copies. BUSY when the ring is full or the peer unknown: the sender goes on without. */
    enum status (*send)(struct rpc *, const struct rpc_peer *, struct slice bytes) MUST_USE;
    size_t (*poll)(struct rpc *, struct rpc_event *out, size_t max);
    /* Own name, put into ATTACH. */
    uint64_t (*gateway)(const struct rpc *);
    uint32_t (*shard)(const struct rpc *);
};
