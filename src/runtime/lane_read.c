/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/lane_read.h"

#include <string.h>

#include "base/assert.h"
#include "runtime/lane_batch.h"

void lane_submit(struct lane *lane, struct store_request *request)
{
    request->token = lane->token_base;
    request->arena = &lane->arena;
    lane->in_flight++;
    lane->store->vtable->submit(lane->store, request);
}

static bool covered(const struct lane *lane, const struct fold_want *want)
{
    return !lane->behind && (overlay_covers(&lane->batches[0].overlay, want) ||
                             overlay_covers(&lane->batches[1].overlay, want));
}

static bool answered_here(struct lane *lane, struct fold_want *want)
{
    if (!lane->facts.single)
        return false;
    size_t more = 0;
    for (size_t i = 0; want->kind == FOLD_RANGE && i < 2; i++)
        more += overlay_group_rows(&lane->batches[i].overlay, &want->from);
    return hot_answer(&lane->hot, want, more, &lane->arena);
}

void lane_read(struct lane *lane)
{
    lane->state = LANE_READ;
    for (size_t i = lane->reads.read; i < lane->reads.count; i++) {
        struct fold_want *want = &lane->reads.at[i];
        struct store_request *request = &lane->requests[i];
        request->rows = NULL;
        if (covered(lane, want) || answered_here(lane, want))
            continue;
        want->rows = ARENA_RAW(&lane->arena, struct row, want->rows_max);
        if (want->rows == NULL) {
            lane->state = LANE_FAILED;
            return;
        }
        lane->request_keys[i][0] = want->from;
        lane->request_keys[i][1] = want->to;
        *request = (struct store_request){.op = want->kind == FOLD_GET     ? STORE_GET
                                                : want->kind == FOLD_RANGE ? STORE_RANGE
                                                                           : STORE_BY_OFFSET,
                                          .keys = lane->request_keys[i],
                                          .keys_count = want->kind == FOLD_RANGE ? 2 : 1,
                                          .rows = want->rows,
                                          .rows_max = want->rows_max,
                                          .stamp = want->stamp};
        lane_submit(lane, request);
    }
}

/* The batch before first: what fills lies over it. */
static bool batches_merge(const struct lane *lane, struct fold_want *want, struct arena *arena)
{
    return overlay_merge(&lane->batches[1 - lane->filling].overlay, want, arena) == STATUS_OK &&
           overlay_merge(&lane->batches[lane->filling].overlay, want, arena) == STATUS_OK;
}

static bool rows_merge(struct lane *lane)
{
    for (size_t i = lane->reads.read; i < lane->reads.count; i++) {
        struct fold_want *want = &lane->reads.at[i];
        if (lane->requests[i].rows != NULL) {
            want->rows_count = lane->requests[i].rows_count;
            if (lane->facts.single)
                hot_learn(&lane->hot, want);
        }
        if (!batches_merge(lane, want, &lane->arena))
            return false;
    }
    lane->reads.read = lane->reads.count;
    return true;
}

/* ---- another owner ----
 * An owner who is ahead, or lives on after losing the partition, moves rows while they are read
 * here: head and side rows of two moments would give one record two numbers. What it wrote bears
 * stamps at or above this record's. Then: if the head says that the record is applied, read once
 * more, so that the rest is read after the head; if not, the head is read a last time, and if it
 * moved, everything again, past the overlay. If it stands, a row ahead of it is what a crash left:
 * the folds know those. */

enum reading { READING_WHOLE, READING_TORN, READING_DOUBTFUL };

static enum reading reading_judge(struct lane *lane)
{
    uint64_t own = row_stamp(lane->at->place.log_epoch, lane->at->place.offset);
    bool ahead = false;
    lane->head_stamp = 0;
    for (size_t i = 0; i < lane->reads.count; i++) {
        const struct fold_want *want = &lane->reads.at[i];
        for (size_t k = 0; k < want->rows_count; k++) {
            const struct row *row = &want->rows[k];
            if (!row->found || memcmp(row->key.a, lane->at->key, ID_BYTES) != 0)
                continue;
            enum table table = row->key.table;
            if (table == TABLE_CHAT_HEAD || table == TABLE_USER_HEAD)
                lane->head_stamp = row->stamp;
            else if (table != TABLE_MSG)
                ahead = ahead || row->stamp >= own;
        }
    }
    if (lane->head_stamp < own)
        return ahead ? READING_DOUBTFUL : READING_WHOLE;
    bool first = !lane->applied_seen;
    lane->applied_seen = true;
    return first ? READING_TORN : READING_WHOLE;
}

static void fold_again(struct lane *lane)
{
    fold_reads_reset(&lane->reads);
    lane->behind = true;
    lane->overtaken++;
}

/* The head once more, after all the rest. */
static void verify_begin(struct lane *lane)
{
    const struct row_key *head = &lane->reads.at[0].from; /* every plan begins with it */
    assert(lane->reads.count < FOLD_WANTS_MAX);
    assert(head->table == TABLE_CHAT_HEAD || head->table == TABLE_USER_HEAD);
    (void)fold_want_get(&lane->reads, head->table, head->a, NULL, 0);
    lane->behind = lane->verifying = true;
    lane->verified++;
    lane_read(lane);
}

static void verify_end(struct lane *lane)
{
    const struct row *head = lane->reads.at[lane->reads.count - 1].rows;
    lane->verifying = false;
    if ((head->found ? head->stamp : 0) != lane->head_stamp)
        fold_again(lane);
}

static void reads_judge(struct lane *lane)
{
    if (lane->verifying) {
        verify_end(lane);
        return;
    }
    enum reading reading = reading_judge(lane);
    if (reading == READING_TORN)
        fold_again(lane);
    else if (reading == READING_DOUBTFUL)
        verify_begin(lane);
}

void lane_read_done(struct lane *lane)
{
    lane->state = rows_merge(lane) ? LANE_FOLD : LANE_FAILED;
    if (lane->state == LANE_FOLD && !lane->facts.single)
        reads_judge(lane);
}

/* ---- for others ---- */

/* The batch may be emptied before they are read. */
static bool values_copy(struct store_request *request, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++)
        request->rows[i].value = arena_copy(request->arena, request->rows[i].value);
    return !request->arena->exhausted;
}

bool lane_look(const struct lane *lane, struct store_request *request, uint64_t dropped)
{
    if (lane->dropped != dropped)
        return false;
    if (request->op == STORE_RANGE) {
        struct fold_want want = {.kind = FOLD_RANGE,
                                 .from = request->keys[0],
                                 .to = request->keys[1],
                                 .rows = request->rows,
                                 .rows_count = request->rows_count,
                                 .rows_max = request->rows_max};
        if (!batches_merge(lane, &want, request->arena))
            return false;
        request->rows_count = want.rows_count;
        return values_copy(request, 0, want.rows_count);
    }
    for (size_t i = 0; request->op == STORE_GET && i < request->keys_count; i++) {
        const uint8_t *value = request->rows[i].value.at;
        struct fold_want want = {.kind = FOLD_GET,
                                 .from = request->keys[i],
                                 .rows = &request->rows[i],
                                 .rows_count = 1,
                                 .rows_max = 1};
        if (!batches_merge(lane, &want, request->arena) ||
            (request->rows[i].value.at != value && !values_copy(request, i, 1)))
            return false;
    }
    return true;
}
