/* SPDX-License-Identifier: Apache-2.0
 * swarm.h: what one seed is about: how many people, how much they say, and which faults there are.
 * Each fault is off in about half of the seeds: a fault that is always on hides those behind it.
 * Owner: none; a value. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sim/disk.h"
#include "sim/net.h"

struct swarm {
    uint32_t users, devices;             /* devices of each user at most */
    uint64_t texts_max, until_us;        /* FAULTS ends with the first of both */
    uint64_t gap_us;                     /* between two acts, on average */
    uint32_t text_bytes_max, long_texts; /* long: of 1000 texts, up to what a device takes */
    struct sim_net_options net;
    struct disk_options disk;
    uint64_t password_us;
    bool limits;                       /* the servers limit rates */
    uint32_t weights[SIM_MARKS_COUNT]; /* of what the script does; 0: never in this seed */
    uint32_t hot_bytes;                /* rows that a server keeps beside its store; 0: many */
    uint32_t send, read, ask;          /* weights of the ordinary */
    uint32_t tail_max, window_entries, window_bytes; /* of a session; 0: as parleyd */
    uint32_t burst_max;
};

/* Of `scale`: 1000 is the usual number of texts. */
void swarm_draw(struct swarm *swarm, uint64_t seed, uint32_t scale);
