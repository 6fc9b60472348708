/* SPDX-License-Identifier: Apache-2.0
 * fleet.h: the world of a fleet: several nodes, each a gateway and a processor, over one simulated
 * bus, simulated links and one database seen through chaos. Partitions are spread over the nodes
 * that live; they move when one dies or comes back, and when the script says so.
 * Owner: one thread. */
#pragma once

#include "adapters/memory/memory_store.h"
#include "sim/bus.h"
#include "sim/chaos.h"
#include "sim/cluster.h"
#include "sim/node.h"
#include "sim/rpc.h"
#include "sim/swarm.h"

#define FLEET_NODES      3u
#define FLEET_PARTITIONS 5u

struct fleet_node {
    bool up;
    uint64_t held_until_us; /* its process stands still */
    uint64_t announce_us;
    uint64_t announced[FLEET_PARTITIONS]; /* the assignment of which it told the gateways */
    struct memory_store under, processor_under;
    struct chaos store, processor_store;
    struct sim_node node;
};

struct fleet {
    struct cluster cluster; /* first */
    struct sim_wires *wires;
    const struct swarm *swarm;
    uint64_t seed, starts;
    uint64_t spread_us; /* partitions are spread anew then */
    struct prng prng;
    struct memory_db db;
    struct sim_bus bus;
    struct sim_rpc rpc;
    struct fleet_node nodes[FLEET_NODES];
};

/* Nothing is stored, nothing runs. */
void fleet_open(struct fleet *fleet, struct sim_wires *wires, const struct swarm *swarm,
                uint64_t seed);
