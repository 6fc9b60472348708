/* SPDX-License-Identifier: Apache-2.0
 * shard.h: one thread's share of a node: its roles (role.h) over one set of ports. A shard is
 * stepped: parleyd calls shard_turn in a loop on a pinned thread, the simulator from its world.
 * Invariants: one clock reading, one net wait and one flush a turn; every event of a port goes to
 * exactly one role; nothing blocks but the wait.
 * Owner: one thread. Bounds: SHARD_EVENTS completions of each port a turn. Source: style §8. */
#pragma once

#include "runtime/gateway.h"
#include "runtime/processor.h"
#include "runtime/role.h"

#define SHARD_EVENTS         256u
#define SHARD_WAIT_MS        1000 /* the longest sleep; callers cut it to their adapters' timers */
#define SHARD_OPERATOR_TOKEN (UINT64_C(1) << 60) /* an append of whoever runs the node */

struct shard {
    struct gateway_ports ports;
    struct clock_port *clock;
    struct gateway gateway;
    struct processor processor;
    uint32_t roles; /* ROLE_BIT of those that run */
    struct clock_reading now;
    struct arena arena; /* RPC messages of one turn */
    struct net_event net_events[SHARD_EVENTS];
    struct bus_event bus_events[SHARD_EVENTS];
    struct rpc_event rpc_events[SHARD_EVENTS];
    bool failed;                 /* the log or a store cannot go on: the process must stop */
    bool operator_done;          /* shard_operate: the append came back, … */
    enum status operator_status; /* … so … */
    uint64_t operator_offset;    /* … there */
};

struct shard_options {
    struct gateway_options gateway;
    struct session_config session;
    uint32_t roles;                /* ROLE_BIT of those wanted */
    struct store *processor_store; /* its own handle; only the processor needs it */
    uint32_t devices_max;          /* attached to this owner */
    struct lane_bounds bounds;     /* of its lanes; zero: the defaults */
};

/* BUSY: no memory. INVALID: a role lacks a port. */
MUST_USE enum status shard_open(struct shard *shard, const struct gateway_ports *ports,
                                struct clock_port *clock, const struct shard_options *options);
void shard_close(struct shard *shard); /* tolerates a zeroed one */

/* When the shard must turn although nothing comes (monotonic); TIMER_NEVER: never. */
uint64_t shard_next_ms(const struct shard *shard);

/* Clients are asked to go elsewhere, spread over `spread_ms`. */
void shard_drain(struct shard *shard, uint32_t spread_ms);

/* Append a record of the operator's (an invite); `operator_done` says when it is durable. One at a
 * time. BUSY: no room now. */
MUST_USE enum status shard_operate(struct shard *shard, enum topic topic,
                                   const uint8_t key[ID_BYTES], struct slice bytes);

/* One turn; sleeps at most `wait_ms` (-1: as long as there is nothing to do). True if anything
 * happened: then the next turn must not sleep (wait_ms 0). */
bool shard_turn(struct shard *shard, int64_t wait_ms);
