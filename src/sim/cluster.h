/* SPDX-License-Identifier: Apache-2.0
 * cluster.h: the servers of a world as the script sees them: processes 1 … count, which start, die
 * and take turns. Each kind of world is one: one machine (a log on a simulated disk), a fleet (many
 * nodes over a simulated bus). Their composition from adapters lies in apps/parley-sim.
 * Owner: one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "sim/marks.h"

#define SIM_SERVER_FIRST 1u /* process 0 is the script */
#define SIM_SERVERS_MAX  15u

struct cluster {
    const struct cluster_vtable *vtable;
    uint32_t count;
    const char *broken; /* what must never happen did: the run ends as a violation */
};

struct cluster_vtable {
    /* The process begins: it recovers, then serves. */
    void (*start)(struct cluster *, uint32_t server);
    /* It dies. `power`: its machine too. */
    void (*kill)(struct cluster *, uint32_t server, bool power);
    /* Its moment came: one turn; it wakes itself for the next (sim_wake). It may stop by itself. */
    void (*turn)(struct cluster *, uint32_t server);
    /* It has begun and not died. */
    bool (*up)(const struct cluster *, uint32_t server);
    /* It serves: recovered, folded. */
    bool (*ready)(const struct cluster *, uint32_t server);
    /* The fault of this name happens to the servers, by chance which; it counts its mark when it
     * does. A kind of world that has no such fault does nothing. */
    void (*fault)(struct cluster *, enum sim_mark, struct prng *);
    /* No fault is thrown any more. */
    void (*heal)(struct cluster *);
    /* All memory and disks are given back. */
    void (*close)(struct cluster *);
};
