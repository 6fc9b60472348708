/* SPDX-License-Identifier: Apache-2.0
 * upkeep.h: what a running server does for its next start: the rows go to synced files (flush) and
 * into checkpoints, and the log's old end goes once both have it.
 *
 *   flush       every flush_mib of log, or flush_s after the last one, if anything came
 *   checkpoint  every checkpoint_s, or keep_mib / 2 of log; the newest two are kept
 *   trim        whole segments beyond the newest keep_mib, or older than keep_days; never above
 *               what is flushed, the older of the two checkpoints, a backup under way, a record
 *               whose only copy the log is
 *
 * Invariant: whatever becomes of the store, a checkpoint and the log give it back (storage §4).
 * One task at a time, done by the keeper of the store; here it is only begun and noted.
 * Owner: shard 0's thread. */
#pragma once

#include "adapters/log/log.h"
#include "apps/parleyd/checkpoint.h"
#include "runtime/config.h"

#define UPKEEP_CHECKPOINTS 2u
#define UPKEEP_TELL_US     600000000u

enum upkeep_backup { BACKUP_NONE, BACKUP_WANTED, BACKUP_READY, BACKUP_FAILED };

struct upkeep {
    const struct config *config;
    struct log *log;
    struct rocks_db *db;
    struct rocks_task task;
    bool running, backing; /* a task is under way; it is the backup's */
    char folder[CHECKPOINT_PATH_BYTES];
    struct checkpoints kept;
    uint64_t flushed; /* part in synced files; not known before the first flush: 0 */
    uint64_t flushed_bytes, flushed_us;
    uint64_t checkpoint_bytes, checkpoint_us;
    uint64_t failures, told_us;
    /* A backup under way: where its rows are, and how far the log goes with it. */
    enum upkeep_backup backup;
    uint64_t backup_part, backup_end, backup_end_at, backup_base, backup_number;
    char backup_folder[CHECKPOINT_PATH_BYTES];
};

void upkeep_open(struct upkeep *upkeep, const struct config *config, struct log *log,
                 struct rocks_db *db, struct clock_reading now);
void upkeep_turn(struct upkeep *upkeep, struct clock_reading now);
/* Monotonic time of the next thing to do; UINT64_MAX: nothing by itself. */
uint64_t upkeep_deadline_us(const struct upkeep *upkeep);

/* The task under way has ended: before the store is closed. Blocks. */
void upkeep_finish(struct upkeep *upkeep);

/* Make a copy of the rows for a backup, and trim nothing it needs until the end. What an earlier
 * one left is dropped. */
void upkeep_backup_begin(struct upkeep *upkeep);
void upkeep_backup_end(struct upkeep *upkeep);
