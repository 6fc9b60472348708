/* SPDX-License-Identifier: Apache-2.0
 * processor.h: the role that folds the logs: one lane per owned partition (lane.h), and the live
 * side of the inboxes it owns (live.h). On one machine: one lane over the whole log.
 * The shard polls bus and rpc, which it shares with its gateway, and hands over what is the
 * processor's (role.h); the store handle is the processor's own.
 * Owner: one thread (a shard). Bounds: PROCESSOR_LANES_MAX partitions, PROCESSOR_LAG_MAX records of
 * lag before new sends are answered BUSY. Source: storage §2, design §5.10. */
#pragma once

#include "runtime/lane.h"
#include "runtime/live.h"

#define PROCESSOR_LANES_MAX 32u
#define PROCESSOR_LAG_MAX   100000u

struct processor_options {
    uint32_t devices_max;      /* attached devices */
    struct lane_bounds bounds; /* of each lane; zero: the defaults */
};

struct processor {
    struct bus *bus;
    struct store *store;
    struct bus_facts facts;
    struct lane_bounds bounds;
    struct lane *lanes[PROCESSOR_LANES_MAX];
    bool leaving[PROCESSOR_LANES_MAX]; /* revoked: closed when nothing is in flight */
    bool paused[PROCESSOR_LANES_MAX];
    struct live live;
    bool failed;
    bool leaves; /* the process ends: commits wait for no company */
    /* Records that batches of this step leave out, oldest first: to be kept before the next step,
     * which finishes them. */
    struct lane_unreadable *unreadable, *unreadable_last;
    uint64_t unreadable_count; /* since processor_open, a replay's too */
};

/* On one machine the lane opens at once; in a fleet with BUS_ASSIGNED. BUSY: no memory. */
MUST_USE enum status processor_open(struct processor *processor, struct bus *bus,
                                    struct store *store, struct rpc *rpc,
                                    const struct processor_options *options);
/* Requests in flight must have completed, or their adapters be gone. */
void processor_close(struct processor *processor);

/* Records, holes and assignments; completions of its own appends (role.h). */
void processor_on_bus(struct processor *processor, const struct bus_event *event);
/* ATTACH, DETACH, ACKED. */
void processor_on_rpc(struct processor *processor, const struct pb_rpc *rpc);

/* One turn: everything that can go on, and completions of the store as they come. `now_ms`:
 * monotonic. True if a batch was finished or there is more to do at once. */
bool processor_step(struct processor *processor, uint64_t now_ms);
/* When to step again at the latest, though nothing comes in; TIMER_NEVER. */
uint64_t processor_next_ms(const struct processor *processor);

/* The process is about to end: what is folded is committed at once from now on. */
void processor_leave(struct processor *processor);

/* Records whose rows are not in the store yet, of all lanes. */
uint64_t processor_lag(const struct processor *processor);
bool processor_busy(const struct processor *processor);      /* lag above its maximum */
bool processor_caught_up(const struct processor *processor); /* to the end as of now */
bool processor_read_only(const struct processor *processor);
/* The lane that met a newer program's records (its `stop` says which) and failed; or NULL. */
const struct lane *processor_stopped(const struct processor *processor);
