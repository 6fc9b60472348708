/* SPDX-License-Identifier: Apache-2.0
 * rocks.h: what the files of this adapter share. Nobody else includes it. */
#pragma once

#include <rocksdb/c.h>

#include "adapters/rocksdb/rocks_store.h"

#define ROCKS_WRITER 0u

/* Keys of META that are the adapter's: they begin with 0, rows with their meta_name. */
#define ROCKS_KEY_SCHEMA "\0schema"
#define ROCKS_KEY_STATE  "\0state"
/* Of STATE, which each batch writes: the highest stamp stored, the last milestone. */
#define ROCKS_STATE_BYTES 16u

/* What RocksDB says, as a status; gives the text back to it. OK for NULL. BUSY: stalled or full.
 * AGAIN: not in the cache. */
enum status rocks_status(char *error);
/* The same, with RocksDB's words in `failure`. */
enum status rocks_fail(char *error, struct failure *failure, const char *what);

/* ---- rocks_options.c: settings of storage §4 ---- */
struct rocks_settings {
    rocksdb_options_t *all, *families[ROCKS_FAMILIES];
};
enum rocks_wal_mode { ROCKS_WAL_STRICT = 0, ROCKS_WAL_PREFIX = 2 };
void rocks_settings_open(struct rocks_settings *settings, const struct rocks_options *options,
                         enum rocks_wal_mode mode);
void rocks_settings_close(struct rocks_settings *settings);

/* ---- rocks_room.c ---- */
/* Is there room on the disk for a batch, and for the flush that it may cause? Sets db->full. */
bool rocks_room(struct rocks_db *db);

/* ---- rocks_wal.c ---- */
/* Do the files of the write-ahead log follow each other? gap: the first that does not; 0: all. */
enum status rocks_wal_look(const char *path, uint64_t *gap, struct failure *failure);
enum status rocks_wal_copy(const char *path, struct failure *failure); /* to `path`.wal-N */
enum status rocks_wal_drop(const char *path, uint64_t from, struct failure *failure);

/* ---- rocks_milestone.c ---- */
/* To the batch at hand, if one is due; returns whether. */
bool rocks_milestone_add(struct rocks_db *db, bool due);
/* CORRUPT: something is missing in the middle. */
enum status rocks_milestones_check(struct rocks_db *db, struct failure *failure);

/* ---- rocks_read.c ---- */
/* cached: read nothing from disk; what would need it is AGAIN. */
void rocks_view_open(struct rocks_view *view, bool cached);
void rocks_view_close(struct rocks_view *view); /* tolerates a zeroed one */
/* Serve GET, RANGE, BY_OFFSET into request->rows and `arena`. OK AGAIN BUSY CORRUPT IO. */
enum status rocks_read(struct rocks_db *db, struct rocks_view *view, struct store_request *request,
                       struct arena *arena);
enum status rocks_get(struct rocks_db *db, struct rocks_view *view, struct row *row,
                      struct arena *arena);

/* ---- rocks_commit.c ---- */
enum status rocks_commit_open(struct rocks_db *db, struct failure *failure);
void rocks_commit_close(struct rocks_db *db);
/* The commits of `requests`, as one batch; fills their status. */
void rocks_commit(struct rocks_worker *worker, struct store_request **requests, size_t count);

/* ---- rocks_keep.c ---- */
enum status rocks_keeper_open(struct rocks_db *db, struct failure *failure);
void rocks_keeper_close(struct rocks_db *db);

/* ---- rocks_store.c ---- */
enum status rocks_workers_open(struct rocks_db *db, struct failure *failure);
void rocks_workers_close(struct rocks_db *db);
