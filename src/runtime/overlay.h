/* SPDX-License-Identifier: Apache-2.0
 * overlay.h: the rows that a batch has written and the store has not: later records of the batch
 * read through it. Invariants: one row per key, merged by the rules of base/row.h; reading through
 * it gives what the store would give after the batch. Owner: one lane of a processor.
 * Bounds: the rows given at open, all taken then (about 240 bytes each). Cost: O(1) a get,
 * O(rows) a range. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "base/row.h"
#include "base/status.h"
#include "core/fold.h"

struct overlay {
    struct map index;
    struct row *rows;
    size_t count, capacity;
};

/* BUSY: no memory. */
MUST_USE enum status overlay_open(struct overlay *overlay, uint32_t rows_max);
void overlay_close(struct overlay *overlay);
void overlay_reset(struct overlay *overlay);

/* Values stay borrowed. BUSY: full. */
MUST_USE enum status overlay_write(struct overlay *overlay, const struct row_write *write);

/* Is the whole answer to this want here, so that the store need not be asked? */
bool overlay_covers(const struct overlay *overlay, const struct fold_want *want);

/* Merge what the batch wrote into what the store answered. BUSY: the arena is exhausted. */
MUST_USE enum status overlay_merge(const struct overlay *overlay, struct fold_want *want,
                                   struct arena *arena);
