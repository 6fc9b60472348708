/* SPDX-License-Identifier: Apache-2.0
 * role.h: what a shard may be, as a table: a role's name, the ports it needs, which events are its
 * own, and its functions. One process runs all roles (shard 0 of parleyd), or a shard runs some.
 * Invariants: roles meet only in the bus, the store and rpc; every event of a port goes to exactly
 * one role (role_test); a role starts after the ports it needs are there, and stops in reverse.
 * Owner: the shard's thread. Source: style §3. */
#pragma once

#include "ports/bus.h"
#include "ports/net.h"
#include "wire/gen/rpc.pb.h"

struct shard;
struct shard_options;

enum role { ROLE_GATEWAY, ROLE_PROCESSOR, ROLE_COUNT };

#define ROLE_BIT(role) (1u << (role))
#define ROLES_ALL      (ROLE_BIT(ROLE_COUNT) - 1)

enum role_port {
    ROLE_PORT_NET = 1u << 0,
    ROLE_PORT_BUS = 1u << 1,
    ROLE_PORT_STORE = 1u << 2,
    ROLE_PORT_RPC = 1u << 3,
    ROLE_PORT_PASSWORD = 1u << 4,
    ROLE_PORT_ENTROPY = 1u << 5,
    ROLE_PORT_PROCESSOR_STORE = 1u << 6,
};

/* Functions that a role does not need are NULL. */
struct role_entry {
    const char *name;
    uint32_t ports;  /* enum role_port: without one of them the role does not start */
    uint64_t tokens; /* bits that mark its appends: their completions are its own */
    uint32_t rpcs;   /* by bit 1 << body_case: the messages it takes */
    bool consumes;   /* the bus's records, holes and assignments are its own */

    enum status (*start)(struct shard *, const struct shard_options *);
    void (*turn)(struct shard *); /* a turn begins: the clock was read */
    void (*on_net)(struct shard *, const struct net_event *);
    void (*on_bus)(struct shard *, const struct bus_event *);
    void (*on_rpc)(struct shard *, const struct pb_rpc *);
    void (*on_owner_changed)(struct shard *, uint32_t partition);
    bool (*step)(struct shard *);  /* what came is there: go on; true if anything happened */
    bool (*flush)(struct shard *); /* the turn's end: submit what was gathered */
    uint64_t (*next_ms)(const struct shard *); /* when it must step although nothing came */
    void (*drain)(struct shard *, uint32_t spread_ms);
    void (*stop)(struct shard *);
};

extern const struct role_entry roles[ROLE_COUNT];

/* The next role of `set` after `last` (NULL: the first), in the table's order; NULL: no more. */
const struct role_entry *role_next(uint32_t set, const struct role_entry *last);

/* The role whose event this is, among `set`; NULL: of none of them. */
const struct role_entry *role_of_bus(uint32_t set, const struct bus_event *event);
const struct role_entry *role_of_rpc(uint32_t set, const struct pb_rpc *rpc);
