/* SPDX-License-Identifier: Apache-2.0
 * ring.h: the bus and rpc ports between the shards of one process (design §7). Shard 0 owns the log
 * and folds; the others append through it and hear from it. With one shard all of it is a queue to
 * itself.
 *
 *   shard k:  append ──→ up ──→ shard 0: inner bus ──→ (durable) ──→ down ──→ shard k: APPENDED
 *             rpc    ──→ up ──→ shard 0      shard 0: rpc ──→ down ──→ shard k
 *
 * Invariants: appends of one shard reach the log in their order; each is answered once; a sleeping
 * shard is woken for what comes, once for many; nothing is dropped: full is BUSY.
 * Owner: links are opened and closed by one thread while no shard runs; each ring_bus and ring_rpc
 * belongs to the thread of its shard. Bounds: RING_SHARDS_MAX shards, RING_APPENDS_MAX appends in
 * flight each, RING_MESSAGES_MAX rpc messages each way, RING_BYTES_MAX bytes a direction. */
#pragma once

#include "adapters/ring/pipe.h"
#include "base/slab.h"
#include "ports/bus.h"
#include "ports/rpc.h"
#include "ports/waker.h"

#define RING_SHARDS_MAX   16u
#define RING_APPENDS_MAX  1024u
#define RING_MESSAGES_MAX 4096u
#define RING_BYTES_MAX    (4u << 20)

struct ring_link { /* between shard 0 and one shard, itself included */
    struct pipe appends, appended, rpc_up, rpc_down;
};

struct ring_bell { /* wakes a shard once for many messages */
    struct waker *waker;
    _Atomic bool rung;
};

struct ring_links {
    uint32_t shards;
    uint64_t instance;
    struct bus_facts facts;
    struct ring_link links[RING_SHARDS_MAX];
    struct ring_bell bus_bells[RING_SHARDS_MAX], rpc_bells[RING_SHARDS_MAX];
};

struct ring_bus {
    struct bus port; /* first */
    struct ring_links *links;
    uint32_t shard;
    struct bus *inner;   /* shard 0: the log */
    struct slab flights; /* shard 0: appends of others on the log */
    uint32_t in_flight;  /* others: their own */
    struct ring_held {   /* shard 0: the next append of each shard, taken and not yet submitted */
        struct pipe_message message;
        bool used;
    } held[RING_SHARDS_MAX];
};

struct ring_rpc {
    struct rpc port; /* first */
    struct ring_links *links;
    uint32_t shard;
};

/* instance: this process' name among all that ever ran on the data; not 0. facts: of the log.
 * BUSY: no memory. */
MUST_USE enum status ring_links_open(struct ring_links *links, uint32_t shards, uint64_t instance,
                                     struct bus_facts facts);
void ring_links_close(struct ring_links *links); /* tolerates a zeroed one */
/* Before the shards run. NULL: it polls by itself. */
void ring_links_waker(struct ring_links *links, uint32_t shard, struct waker *waker);

/* inner: shard 0 names the log, the others NULL. BUSY: no memory. */
MUST_USE enum status ring_bus_open(struct ring_bus *bus, struct ring_links *links, uint32_t shard,
                                   struct bus *inner);
void ring_bus_close(struct ring_bus *bus); /* tolerates a zeroed one */
void ring_rpc_open(struct ring_rpc *rpc, struct ring_links *links, uint32_t shard);
