/* SPDX-License-Identifier: Apache-2.0
 * world.h: one run: servers (a cluster), devices and the people before them, all from one seed.
 * Phases: SIGN_UP (accounts, first devices) → FAULTS (people talk while things break) → HEAL
 * (everything is whole again and connects) → QUIET (30 s) → DONE: the history is checked.
 * What breaks, how often and how much is said is drawn from the seed (swarm.h); what really broke
 * is counted (marks.h).
 * Invariants: the same seed and options give the same hash. Owner: one thread.
 * Bounds: SIM_DEVICES_MAX devices. Source: proof §7, style §4. */
#pragma once

#include "sim/checker.h"
#include "sim/cluster.h"
#include "sim/device.h"
#include "sim/loop.h"
#include "sim/marks.h"
#include "sim/net.h"
#include "sim/swarm.h"

#define SIM_DEVICES_MAX  24u
#define SIM_DEVICE_FIRST (SIM_SERVER_FIRST + SIM_SERVERS_MAX)
#define SIM_WRONG_BYTES  200u

enum sim_phase { SIM_SIGN_UP, SIM_FAULTS, SIM_HEAL, SIM_QUIET, SIM_DONE };

struct sim_seat { /* a device and what the script has in mind for it */
    struct sim_device device;
    uint32_t user;
    bool late, signed_out;
    uint64_t back_us;    /* starts again, or hears again; SIM_NEVER: not planned */
    uint64_t enrol_us;   /* asks again then */
    uint64_t copy_us;    /* its copy was made then; 0: none */
    uint64_t restore_us; /* … and comes back then */
    struct cstore *copy;
};

struct sim_world {
    struct sim_loop loop;
    struct sim_marks marks;
    struct sim_wires wires;
    struct swarm swarm;
    struct cluster *cluster;
    struct prng prng; /* the script's */
    struct history history;
    struct sim_seat seats[SIM_DEVICES_MAX];
    uint32_t seats_count;
    uint64_t server_back_us[SIM_SERVERS_MAX + 1];
    enum sim_phase phase;
    uint64_t phase_us, action_us; /* began; next action of the script */
    uint64_t kill_us;             /* a server is to die then; SIM_NEVER: none */
    uint32_t kill_server;
    bool kill_power;
    uint64_t texts;              /* asked for */
    char wrong[SIM_WRONG_BYTES]; /* the first thing that went wrong besides the history; "" */
    struct verdict verdict;
};

struct sim_world_options {
    uint64_t seed, until_us; /* until: stop then, whatever the phase; 0: at its end */
    struct swarm swarm;
    struct cluster *cluster;
    struct cstore **stores; /* 2 × SIM_DEVICES_MAX, empty: profiles and their copies */
};

/* The loop, the marks and the wires, for the cluster to be built on; then sim_world_begin. */
MUST_USE enum status sim_world_open(struct sim_world *world, uint64_t seed);
MUST_USE enum status sim_world_begin(struct sim_world *world,
                                     const struct sim_world_options *options);
/* One moment. False: the run is over (DONE, wrong, or until). */
bool sim_world_step(struct sim_world *world);
/* Ask the oracles; the verdict stands in the world. True: all is well. */
MUST_USE bool sim_world_check(struct sim_world *world);
void sim_world_close(struct sim_world *world); /* the cluster's and the stores' memory is theirs */

/* script.c: what happens in FAULTS at its next moment. */
void sim_script_act(struct sim_world *world);
/* What was planned for now. */
void sim_script_due(struct sim_world *world);
/* Copy a profile now; it replaces the live one later. */
void sim_world_copy(struct sim_world *world, struct sim_seat *seat, uint64_t restore_us);
/* Something that must never happen: the first one is kept. */
void sim_world_wrong(struct sim_world *world, const char *text);
