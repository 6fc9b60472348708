/* SPDX-License-Identifier: Apache-2.0
 * rpc.h: simulated links between the nodes of a fleet (storage §8). Each node is a gateway and may
 * own inboxes; a message to the owner of a user goes to whom this node believes to own the user's
 * partition, which may be out of date.
 * A link may break: what is under way on it, both ways, is lost, and so is what is sent until it is
 * mended; then each end hears RPC_OWNER_CHANGED for what the other one owns. sim_rpc_announce is an
 * owner telling every node of its partition: the nodes hear it one after the other.
 * Invariants: order holds per (from, to) while the link stands; a link with oneself never breaks;
 * the same seed and calls give the same links. Owner: one thread. Memory: base/memory.
 * Bounds: SIM_RPC_NODES_MAX, SIM_RPC_PARTITIONS_MAX, SIM_RPC_MESSAGES_MAX under way to one node
 * (then BUSY). Contract: tests/integration/rpc_contract.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "ports/rpc.h"

#define SIM_RPC_NODES_MAX      16u
#define SIM_RPC_PARTITIONS_MAX 16u
#define SIM_RPC_MESSAGES_MAX   1024u
#define SIM_RPC_NOBODY         UINT32_MAX

/* Probabilities are per 1000. */
struct sim_rpc_options {
    uint32_t partitions;
    uint64_t latency_min_us, latency_max_us;
    uint32_t broken; /* a message breaks its link … */
    uint64_t broken_max_us;
};

struct sim_rpc_message {
    uint64_t due_us, number;
    uint32_t from;
    struct rpc_event event;
    uint32_t owner; /* OWNER_CHANGED: who it is */
};

struct sim_rpc_link {
    uint64_t last_due_us; /* order */
    uint64_t mended_us;   /* broken until then */
};

struct sim_rpc;

struct sim_rpc_node {
    struct rpc port; /* first */
    struct sim_rpc *rpc;
    uint32_t index;
    uint64_t instance;                       /* 0: it is down */
    uint32_t owners[SIM_RPC_PARTITIONS_MAX]; /* as far as it knows */
    struct sim_rpc_message messages[SIM_RPC_MESSAGES_MAX];
    size_t messages_count;
    void *handed[SIM_RPC_MESSAGES_MAX]; /* bytes of the last poll */
    size_t handed_count;
};

struct sim_rpc {
    struct sim_rpc_options options;
    struct prng prng;
    uint64_t now_us, numbers;
    struct sim_rpc_node nodes[SIM_RPC_NODES_MAX];
    struct sim_rpc_link links[SIM_RPC_NODES_MAX][SIM_RPC_NODES_MAX]; /* from, to */
    uint32_t broken;                      /* links not mended yet: each direction is one */
    uint64_t sent, breaks, lost, unknown; /* marks */
};

void sim_rpc_init(struct sim_rpc *rpc, const struct sim_rpc_options *options, uint64_t seed);
void sim_rpc_deinit(struct sim_rpc *rpc);

/* The node begins as `instance` (not 0, never used before); it knows of no owner. */
struct rpc *sim_rpc_start(struct sim_rpc *rpc, uint32_t node, uint64_t instance);
/* It dies: what is under way to and from it is lost. */
void sim_rpc_kill(struct sim_rpc *rpc, uint32_t node);

/* The owner tells every node, itself included. */
void sim_rpc_announce(struct sim_rpc *rpc, uint32_t owner, uint32_t partition);
void sim_rpc_break(struct sim_rpc *rpc, uint32_t a, uint32_t b, uint64_t until_us);

void sim_rpc_advance(struct sim_rpc *rpc, uint64_t now_us);
/* When something is due for this node; UINT64_MAX: never. */
uint64_t sim_rpc_next_due_us(const struct sim_rpc *rpc, uint32_t node);
void sim_rpc_heal(struct sim_rpc *rpc); /* no link breaks any more; broken ones are mended */
