/* SPDX-License-Identifier: Apache-2.0
 * lane_batch.h: the rows of a lane on their way to the store. Two batches: one fills while the one
 * before it is committed.
 * Invariants: a batch holds whole turns; the one before is committed first; what stands in a batch
 * is read through it until the store has it (lane_read.h, lane_look). A batch is emptied between
 * two turns only, since what a turn reads may point into it.
 * Owner: the lane. Bounds: above LANE_BATCH_* a batch takes no further turn (lane_batch_full); one
 * record may go above them as far as lane_bounds allows. Source: storage §2.5, ADR 0061. */
#pragma once

#include "runtime/lane.h"

MUST_USE enum status lane_batches_open(struct lane *lane, uint32_t rows); /* BUSY: no memory */
void lane_batches_close(struct lane *lane); /* tolerates zeroed ones; requests are gone */

static inline struct lane_batch *lane_filling(struct lane *lane)
{
    return &lane->batches[lane->filling];
}

static inline struct lane_batch *lane_before(struct lane *lane)
{
    return &lane->batches[1 - lane->filling];
}

static inline bool lane_batch_empty(const struct lane_batch *batch)
{
    return batch->writes_count == 0 && !batch->passed && !batch->begun;
}

/* Add to the batch that fills; values are copied. False: no memory, or no room for rows. */
bool lane_write(struct lane *lane, const struct row_write *writes, size_t count);

/* Does the batch that fills take no further turn? */
bool lane_batch_full(const struct lane *lane);

/* One machine: may somebody who is told of it go and read it? Then it is told when committed. */
bool lane_waits_for(const struct fold_outcome *outcome);

/* Commit the batch that fills; `begun` until it is emptied. One machine: with the offset behind all
 * that is folded. False: no memory. */
bool lane_batch_begin(struct lane *lane);
/* It is in the store: kept rows follow it, its offset is finished. */
void lane_batch_finish(struct lane *lane, struct lane_batch *batch);
void lane_batch_drop(struct lane *lane, struct lane_batch *batch);

/* One machine, between two turns: finish what was committed, begin what is due. False: no memory.
 */
bool lane_batches_step(struct lane *lane);

/* The completion of a batch's commit; false: it is another request. */
bool lane_batch_on_store(struct lane *lane, const struct store_request *request);
/* Commits that the store turned away go out again. */
void lane_batches_retry(struct lane *lane);
