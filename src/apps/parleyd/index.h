/* SPDX-License-Identifier: Apache-2.0
 * index.h: the rows of a server, in DATA/store: an index behind the log, which may be thrown away.
 * What it has applied (`part`) is replayed from; what is damaged is put aside and built again.
 *
 *   opened ──────────────────────────────▶ part = as its newest whole batch says
 *   its write-ahead log is damaged ──────▶ alarm; part = what is left, a prefix
 *   gone, damaged beyond that, or RocksDB
 *   died of it (opening.h), or it ends
 *   before the log begins ───────────────▶ alarm; from the newest checkpoint that is whole and that
 *                                          the log reaches back to; else from nothing, if the log
 *                                          is there from its first record; else refused, nothing
 *                                          changed. What was there is moved to DATA/store.damaged-N
 *   of a newer version, taken, no room ──▶ refused, nothing changed
 *
 * Invariant: part never speaks of rows that are not there (ADR 0040); whether the log holds what
 * the rows have, and reaches back to what they lack, the log judges (log_options.part).
 * Owner: the main thread; handles belong to their shards. */
#pragma once

#include "adapters/rocksdb/rocks_store.h"

#define INDEX_DAMAGED_MAX 9u /* folders put aside; then the operator must look */

struct index {
    struct rocks_db db;
    struct rocks_store processor;
    bool opened;
    uint64_t part; /* one past the last offset applied, as found at open */
};

struct index_options {
    const char *data;
    bool large; /* the profile */
    uint32_t cache_mib;
    uint32_t shards;
    struct waker *waker; /* of the processor's thread */
    uint64_t log_first;  /* the log's oldest offset */
    const char *program; /* in front of what is said */
};

/* Handles for `shards` gateways and the processor. */
MUST_USE enum status index_open(struct index *index, const struct index_options *options,
                                struct failure *failure);
/* Move the store out of the way, to DATA/store.damaged-N: the next open builds it again. `why` in
 * words. */
MUST_USE enum status index_put_aside(const struct index_options *options, const char *why,
                                     struct failure *failure);
/* All rows go to tables; part: as it stands there. */
MUST_USE enum status index_flush(struct index *index, uint64_t *part, struct failure *failure);
/* With `flushed` all rows go to tables first: the next start has little to replay. Tolerates a
 * zeroed one. */
void index_close(struct index *index, bool flushed);
