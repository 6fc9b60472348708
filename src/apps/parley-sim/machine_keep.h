/* SPDX-License-Identifier: Apache-2.0
 * machine_keep.h: checkpoints of the rows, two kept, behind which the log is trimmed, as parleyd's
 * upkeep does it. The store of this world is lost with its process: a start has the newer or the
 * older of them, by chance, and folds the log from there.
 * Owner: the world. Memory: two copies of all rows. */
#pragma once

#include "adapters/log/log.h"
#include "adapters/memory/memory_store.h"
#include "base/prng.h"
#include "sim/marks.h"

#define MACHINE_CHECKPOINTS 2u

struct machine_checkpoint {
    struct memory_db db;
    uint64_t part;
};

struct machine_keep {
    bool on; /* in this seed */
    struct sim_marks *marks;
    struct prng prng;
    struct machine_checkpoint kept[MACHINE_CHECKPOINTS]; /* older first */
    size_t count, chosen; /* chosen: the one this life began with, + 1; 0: none */
    uint64_t due_us, trimmed;
};

void machine_keep_open(struct machine_keep *keep, struct sim_marks *marks, uint64_t seed);
void machine_keep_close(struct machine_keep *keep);

/* A start: the `part` of the rows it will have. */
uint64_t machine_keep_choose(struct machine_keep *keep);
/* … and the rows, into an empty store. */
void machine_keep_restore(struct machine_keep *keep, struct memory_db *db);

/* A turn of the server: make a checkpoint if one is due, let the log go behind the older one. */
void machine_keep_turn(struct machine_keep *keep, struct log *log, struct memory_db *db,
                       uint64_t now_us);
