/* SPDX-License-Identifier: Apache-2.0
 * node.h: a server process of the simulated world: one real shard (gateway, and processor if it
 * folds) over simulated net, clock, entropy and passwords, and over whatever bus, store and rpc its
 * world gives it.
 * cluster.h: the world's servers seen from outside; each kind of world is one (one machine: a log
 * on a simulated disk; a fleet: many nodes over a simulated bus).
 * Owner: one thread. */
#pragma once

#include "runtime/shard.h"
#include "sim/net.h"
#include "sim/ports.h"
#include "sim/swarm.h"

struct sim_node_options {
    uint32_t who;      /* process number, and the port it listens on */
    uint64_t seed;     /* of its entropy: another one for each start */
    uint64_t instance; /* its name among all that ever ran, not 0 */
    uint32_t shard;    /* number within the instance, as rpc knows it */
    bool read_only;
    enum sign_up_policy sign_up;
    uint64_t password_us;
    const struct limit *limits; /* RATE_CLASSES; NULL: none */
    const struct swarm *swarm;  /* bounds of a session */
};

struct sim_node {
    bool running;
    struct sim_net net;
    struct sim_clock clock; /* offset survives restarts: set by the world */
    struct sim_entropy entropy;
    struct sim_password password;
    struct shard shard;
};

/* The ports of the world: they stand until sim_node_kill. */
struct sim_node_ports {
    struct bus *bus;
    struct store *store, *processor_store;
    struct rpc *rpc;
};

MUST_USE enum status sim_node_start(struct sim_node *node, struct sim_wires *wires,
                                    const struct sim_node_options *options,
                                    const struct sim_node_ports *ports);
/* Its memory is gone. `power`: as sim_net_kill. */
void sim_node_kill(struct sim_node *node, bool power);

/* One turn of the shard, now; what its ports have to tell must be ready. Wakes itself for what is
 * due (again at once if anything happened); the world adds what only it knows of (disk, bus). */
void sim_node_turn(struct sim_node *node);
bool sim_node_failed(const struct sim_node *node); /* the process must stop */
