/* SPDX-License-Identifier: Apache-2.0
 * overlay.h: the rows that a batch has written and the store has not: later records of the batch
 * read through it. Invariants: one row per key, merged by the rules of base/row.h; reading through
 * it gives what the store would give after the batch. Owner: one lane of a processor.
 * Bounds: the rows given at open. Memory: about 150 bytes a row, taken as a batch grows, given back
 * at reset but for OVERLAY_KEPT rows. Cost: O(1) a get, a range O(rows of its partition here). */
#pragma once

#include "base/arena.h"
#include "base/row.h"
#include "base/status.h"
#include "core/fold.h"

#define OVERLAY_CHUNK_ROWS 512u  /* taken at once: about 70 KB */
#define OVERLAY_KEPT       4096u /* rows whose memory stays between batches */

struct overlay_row {
    struct row row;
    uint64_t key_hash, group_hash;
    uint32_t older; /* the row before it of the same (table, a), as index + 1; 0: none */
};

/* Two tables of open addressing over the same rows: by key, and by (table, a) the newest one. */
struct overlay {
    struct overlay_row **chunks;
    uint32_t *by_key, *by_group; /* index + 1; 0: empty */
    size_t slots;                /* of each table: a power of two, at least twice the rows */
    size_t chunks_count;         /* taken so far */
    size_t count, capacity;
};

/* BUSY: no memory. */
MUST_USE enum status overlay_open(struct overlay *overlay, uint32_t rows_max);
void overlay_close(struct overlay *overlay);
void overlay_reset(struct overlay *overlay);

/* Values stay borrowed. BUSY: full, or no memory. */
MUST_USE enum status overlay_write(struct overlay *overlay, const struct row_write *write);

/* Is the whole answer to this want here, so that the store need not be asked? */
bool overlay_covers(const struct overlay *overlay, const struct fold_want *want);

/* Rows written so far in the group (table, a) of this key: so many may a range gain. */
size_t overlay_group_rows(const struct overlay *overlay, const struct row_key *key);

/* The `at`-th row written first, as of all the writes to it. */
const struct row *overlay_row(const struct overlay *overlay, size_t at);

/* Merge what the batch wrote into what the store answered. BUSY: the arena is exhausted. */
MUST_USE enum status overlay_merge(const struct overlay *overlay, struct fold_want *want,
                                   struct arena *arena);
