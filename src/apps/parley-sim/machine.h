/* SPDX-License-Identifier: Apache-2.0
 * machine.h: the world of one machine: one server process over the log on a simulated disk, with
 * the memory store as index. A kill leaves the disk's cache, a power cut what was synced.
 * In one seed of three rows outlive the process as checkpoints (machine_keep.h), and the log is
 * trimmed behind them; in the others every start folds the whole log again.
 * Owner: one thread. */
#pragma once

#include "adapters/log/log.h"
#include "adapters/memory/memory_store.h"
#include "adapters/ring/ring.h"
#include "apps/parley-sim/machine_keep.h"
#include "sim/cluster.h"
#include "sim/node.h"
#include "sim/swarm.h"

struct machine {
    struct cluster cluster; /* first */
    struct sim_wires *wires;
    const struct swarm *swarm;
    uint64_t seed, starts;
    struct disk disk;
    uint64_t disk_well_us; /* a full or slow disk is itself again then */
    bool up, serves;       /* serves: the log is recovered */
    struct log log;
    struct memory_db db;
    struct machine_keep keep;
    struct memory_store store, processor_store;
    struct ring_links links;
    struct ring_bus bus;
    struct ring_rpc rpc;
    int64_t clock_offset_us; /* of wall time; stands over restarts */
    struct sim_clock clock;  /* of the log */
    struct sim_entropy entropy;
    struct sim_node node;
};

/* The disk is empty, nothing runs. */
void machine_open(struct machine *machine, struct sim_wires *wires, const struct swarm *swarm,
                  uint64_t seed);
