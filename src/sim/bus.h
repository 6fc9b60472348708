/* SPDX-License-Identifier: Apache-2.0
 * bus.h: the simulated bus of a fleet: 3 topics of N partitions each, durable, shared by several
 * nodes, and no kinder than a real one (storage §§2.4, 6, 11).
 * Each node has a handle, a struct bus. An append lands (becomes durable and visible) after a delay
 * and is reported after another; a report of TIMEOUT means that it landed, that it never will, or
 * that it will later. What one node appends to one partition lands in its order and is answered in
 * it.
 * Consumers: sim_bus_assign moves a partition. The new owner hears ASSIGNED, the old one REVOKED,
 * by chance long afterwards: until then it is a zombie that reads and appends on; its commits are
 * refused. Records are delivered at least once: by chance from an earlier offset again.
 * Invariants: the logs only grow; a node's events come in order of time; the same seed and calls
 * give the same bus. Owner: one thread. Memory: base/memory, grows with what is stored.
 * Bounds: SIM_BUS_NODES_MAX, SIM_BUS_PARTITIONS_MAX, SIM_BUS_APPENDS_MAX in flight a node (then
 * BUSY). Contract: tests/integration/bus_contract.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "ports/bus.h"

#define SIM_BUS_NODES_MAX      16u
#define SIM_BUS_PARTITIONS_MAX 16u
#define SIM_BUS_TOPICS         3u
#define SIM_BUS_APPENDS_MAX    512u
#define SIM_BUS_NOBODY         UINT32_MAX

/* Probabilities are per 1000. Zeroed but for `partitions`: a bus that is fast and never fails. */
struct sim_bus_options {
    uint32_t partitions;
    uint64_t land_min_us, land_max_us;     /* append → durable */
    uint64_t report_max_us;                /* durable → APPENDED, at most */
    uint32_t timeout_lost, timeout_landed; /* TIMEOUT, and the record is not, or is there */
    uint32_t timeout_late;                 /* TIMEOUT, and it lands later … */
    uint64_t late_max_us;                  /* … at most by this */
    uint32_t redelivered;                  /* a poll goes back to an earlier offset */
    uint32_t commit_lost;
    uint32_t zombie;        /* a revoked owner hears of it late … */
    uint64_t zombie_max_us; /* … at most by this */
    uint64_t skew_max_us;   /* append_us may run back by this */
};

struct sim_bus_entry {
    uint64_t landed_us, append_us;
    uint8_t key[ID_BYTES];
    struct slice bytes;
};

struct sim_bus_log { /* one partition of one topic */
    struct sim_bus_entry *entries;
    size_t count, room;
    uint64_t committed;
    uint32_t owner;
    uint64_t generation;
};

struct sim_bus_flight { /* an append on its way */
    uint64_t number, land_us, report_us, token;
    uint32_t node, life;
    enum topic topic;
    uint32_t partition;
    enum status status;
    bool landing, reporting; /* still to come */
    uint8_t key[ID_BYTES];
    struct slice bytes;
    uint64_t offset;
};

struct sim_bus_notice { /* an assignment on its way */
    uint64_t number, due_us, generation;
    struct bus_event event;
};

struct sim_bus_feed { /* a node's reading of one partition */
    bool assigned, consuming, paused;
    uint64_t generation; /* of the assignment it knows of */
    uint64_t position, low;
};

#define SIM_BUS_NOTICES_MAX 256u

struct sim_bus;

struct sim_bus_node {
    struct bus port; /* first */
    struct sim_bus *bus;
    uint32_t index, life; /* life: raised by every crash */
    uint32_t appends;     /* in flight */
    uint64_t last_land_us[SIM_BUS_TOPICS][SIM_BUS_PARTITIONS_MAX];
    uint64_t last_report_us[SIM_BUS_TOPICS][SIM_BUS_PARTITIONS_MAX];
    struct sim_bus_feed feeds[SIM_BUS_TOPICS][SIM_BUS_PARTITIONS_MAX];
    struct bus_event done[SIM_BUS_APPENDS_MAX]; /* reported, not yet polled */
    size_t done_count;
    struct sim_bus_notice notices[SIM_BUS_NOTICES_MAX];
    size_t notices_count;
    uint32_t turn; /* which partition is read first */
};

struct sim_bus {
    struct sim_bus_options options;
    struct prng prng;
    uint64_t now_us, numbers;
    struct sim_bus_log logs[SIM_BUS_TOPICS][SIM_BUS_PARTITIONS_MAX];
    struct sim_bus_node nodes[SIM_BUS_NODES_MAX];
    struct sim_bus_flight *flights;
    size_t flights_count, flights_room;
    /* Marks: that each fault really fired. */
    uint64_t appended, lost, landed_unknown, landed_late, redeliveries, commits_lost, moves;
    uint64_t zombies, zombie_records, zombie_appends, zombie_commits, crashed_landed, crashed_lost;
};

void sim_bus_init(struct sim_bus *bus, const struct sim_bus_options *options, uint64_t seed);
void sim_bus_deinit(struct sim_bus *bus);

/* The handle of a node. */
struct bus *sim_bus_port(struct sim_bus *bus, uint32_t node);

/* A record of nobody's lands now, with the time it says. */
void sim_bus_put(struct sim_bus *bus, const struct bus_record *record);

/* The clock stands at now_us (never falls): what is due lands, is reported. */
void sim_bus_advance(struct sim_bus *bus, uint64_t now_us);
/* When something is due next; UINT64_MAX: never. */
uint64_t sim_bus_next_due_us(const struct sim_bus *bus);

/* When something is due for this node, given what it consumes. */
uint64_t sim_bus_node_due_us(const struct sim_bus *bus, uint32_t node);
/* Does the node know that it owns the partition, as the group sees it? The assignment's number, or
 * 0. */
uint64_t sim_bus_knows(const struct sim_bus *bus, enum topic topic, uint32_t partition,
                       uint32_t node);

/* The partition has a new owner (SIM_BUS_NOBODY: none). Nothing if it is the owner already. */
void sim_bus_assign(struct sim_bus *bus, enum topic topic, uint32_t partition, uint32_t node);
uint32_t sim_bus_owner(const struct sim_bus *bus, enum topic topic, uint32_t partition);

/* The node dies: what it appended and has not landed lands by chance; its handle starts anew, its
 * partitions belong to nobody until they are assigned. */
void sim_bus_crash(struct sim_bus *bus, uint32_t node);

/* From now on no fault is thrown; what is on its way stays as it was drawn. */
void sim_bus_heal(struct sim_bus *bus);

/* Nothing on its way, of any node. */
bool sim_bus_quiet(const struct sim_bus *bus);
