/* SPDX-License-Identifier: Apache-2.0
 * node_rig.h: a whole node in one thread, for tests: shards on real sockets, a real log in a folder
 * of its own, the memory store. Turned by the test, asserts by cmocka. */
#pragma once

#include "adapters/epoll/epoll.h"
#include "adapters/log/log.h"
#include "adapters/memory/memory_store.h"
#include "adapters/password/pool.h"
#include "adapters/posix/file.h"
#include "adapters/ring/ring.h"
#include "adapters/system/system.h"
#include "runtime/shard.h"

#define NODE_TURNS 20000

extern const uint8_t node_loopback[16];

#define NODE_SHARDS_MAX 2

struct node_shard {
    struct epoll net;
    struct ring_bus bus;
    struct ring_rpc rpc;
    struct memory_store store;
    struct password_pool passwords;
    struct shard shard;
};

struct node {
    char folder[64];
    struct epoll client; /* the sockets of the test's clients */
    struct posix_file file;
    struct log log;
    struct memory_db db;
    struct memory_store processor_store;
    struct ring_links links;
    struct node_shard shards[NODE_SHARDS_MAX];
    uint32_t shards_count;
    uint32_t asleep; /* 1 + the shard that does not turn: another takes what comes; 0: none */
};

/* Time that passes only as the test says: both clocks of a reading are `ms`. */
struct node_clock {
    struct clock_port port; /* first */
    uint64_t ms;
};

void node_clock_open(struct node_clock *clock, uint64_t ms);

struct node_options {
    uint32_t shards, connections_max, operations_max;
    enum sign_up_policy sign_up;
    const struct limit *limits;   /* NULL: none */
    struct limits *limits_shared; /* of all shards; NULL: each for itself */
    struct clock_port *clock;     /* of the shards; NULL: the system's */
    struct tls *tls;              /* of the shards; NULL: plain */
    struct forwarded forwarded;
    uint32_t address_max;                /* 0: no limit */
    const struct slice *hosts, *origins; /* one of each; NULL: any host, no page */
};

/* A new folder, then node_start; the clients' sockets outlive restarts. */
void node_open(struct node *node, const struct node_options *options);
void node_close(struct node *node); /* and the folder is gone */

/* Recover the log, fold it again, listen. */
void node_start(struct node *node, const struct node_options *options);
/* One turn of every shard. True if anything happened. */
bool node_turn(struct node *node, int64_t wait_ms);
/* As kill -9 leaves it: nothing is sealed, no close frame is sent. */
void node_kill(struct node *node);
