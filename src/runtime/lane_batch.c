/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/lane_batch.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

#define WRITES_FIRST 1024u

/* ---- memory ---- */

enum status lane_batches_open(struct lane *lane, uint32_t rows)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 2; i++)
        arena_init(&lane->batches[i].arena, LANE_ARENA_BYTES_MAX);
    for (size_t i = 0; status == STATUS_OK && i < 2; i++)
        status = overlay_open(&lane->batches[i].overlay, rows);
    if (status != STATUS_OK)
        lane_batches_close(lane);
    return status;
}

void lane_batches_close(struct lane *lane)
{
    for (size_t i = 0; i < 2; i++) {
        struct lane_batch *batch = &lane->batches[i];
        overlay_close(&batch->overlay);
        arena_deinit(&batch->arena);
        memory_free(batch->writes);
        memset(batch, 0, sizeof *batch);
    }
}

/* The array stays between batches, so that what is above its usual size is copied once. */
static bool writes_room(struct lane_batch *batch, size_t more)
{
    size_t room = batch->writes_room == 0 ? WRITES_FIRST : batch->writes_room;
    while (room < batch->writes_count + more)
        room *= 2;
    if (room == batch->writes_room)
        return true;
    struct row_write *writes = memory_array(room, sizeof *writes);
    if (writes == NULL)
        return false;
    if (batch->writes_count > 0)
        memcpy(writes, batch->writes, batch->writes_count * sizeof *writes);
    memory_free(batch->writes);
    batch->writes = writes;
    batch->writes_room = room;
    return true;
}

/* ---- what is written ---- */

bool lane_write(struct lane *lane, const struct row_write *writes, size_t count)
{
    struct lane_batch *batch = lane_filling(lane);
    if (count == 0)
        return true;
    if (!writes_room(batch, count + 1)) /* and the offset */
        return false;
    for (size_t i = 0; i < count; i++) {
        struct row_write *write = &batch->writes[batch->writes_count];
        *write = writes[i];
        write->value = arena_copy(&batch->arena, writes[i].value);
        if (batch->arena.exhausted || overlay_write(&batch->overlay, write) != STATUS_OK)
            return false;
        batch->writes_count++;
    }
    return true;
}

bool lane_batch_full(const struct lane *lane)
{
    const struct lane_batch *batch = &lane->batches[lane->filling];
    return batch->overlay.count > batch->overlay.capacity / LANE_CUT_SHARE ||
           batch->writes_count > LANE_BATCH_WRITES || batch->arena.used > LANE_BATCH_BYTES;
}

/* ---- commit ---- */

/* Rows that a client reads only when it has missed something, or to be told BUSY while it knows
 * better (HISTORY). */
static bool of_messages(const struct row_write *writes, size_t count)
{
    static const uint32_t tables = 1u << TABLE_CHAT_HEAD | 1u << TABLE_SENDER | 1u << TABLE_MSG |
                                   1u << TABLE_MARK | 1u << TABLE_USER_HEAD |
                                   1u << TABLE_USER_CHAT | 1u << TABLE_INBOX;
    bool all = true;
    for (size_t i = 0; i < count; i++)
        all = all && (tables >> writes[i].key.table & 1) != 0;
    return all;
}

bool lane_waits_for(const struct fold_outcome *outcome)
{
    return outcome->answered || outcome->revoked_count > 0 ||
           (outcome->deliver_useq > 0 && outcome->deliver == NULL) ||
           !of_messages(outcome->writes, outcome->writes_count) ||
           !of_messages(outcome->late, outcome->late_count);
}

static void submit(struct lane *lane, struct lane_batch *batch)
{
    batch->again = false;
    batch->flying = true;
    batch->request = (struct store_request){.op = STORE_COMMIT,
                                            .token = lane->token_base,
                                            .writes = batch->writes,
                                            .writes_count = batch->writes_count,
                                            .arena = &batch->arena};
    lane->store->vtable->submit(lane->store, &batch->request);
}

bool lane_batch_begin(struct lane *lane)
{
    struct lane_batch *batch = lane_filling(lane);
    assert(!batch->begun);
    batch->next_offset = lane->folded == lane->records_count
                             ? lane->next_offset
                             : lane->records[lane->folded].place.offset;
    if (lane->facts.single) {
        struct row_write part = {.kind = ROW_MAX,
                                 .columns = {lane->facts.log_epoch, batch->next_offset}};
        lane_part_key(lane, &part.key);
        if (!lane_write(lane, &part, 1))
            return false;
    }
    batch->begun = true;
    lane->committed_ms = lane->now_ms;
    lane->hurry = false;
    if (batch->writes_count > 0)
        submit(lane, batch);
    return true;
}

bool lane_batch_on_store(struct lane *lane, const struct store_request *request)
{
    for (size_t i = 0; i < 2; i++) {
        struct lane_batch *batch = &lane->batches[i];
        if (request != &batch->request)
            continue;
        assert(batch->flying);
        batch->flying = false;
        batch->again = request->status == STATUS_BUSY || request->status == STATUS_TIMEOUT;
        if (!batch->again && request->status != STATUS_OK)
            lane->state = LANE_FAILED;
        return true;
    }
    return false;
}

void lane_batches_retry(struct lane *lane)
{
    for (size_t i = 0; i < 2; i++)
        if (lane->batches[i].again)
            submit(lane, &lane->batches[i]);
}

void lane_batch_finish(struct lane *lane, struct lane_batch *batch)
{
    assert(batch->begun && !batch->flying && !batch->again);
    lane->done_offset = batch->next_offset;
    for (size_t i = 0; lane->facts.single && i < batch->overlay.count; i++)
        hot_follow(&lane->hot, overlay_row(&batch->overlay, i));
    lane->bus->vtable->commit(lane->bus, lane->topic, lane->partition, batch->next_offset);
}

void lane_batch_drop(struct lane *lane, struct lane_batch *batch)
{
    overlay_reset(&batch->overlay);
    arena_reset(&batch->arena);
    batch->writes_count = 0;
    batch->begun = batch->passed = false;
    lane->dropped++;
}

static bool due(const struct lane *lane)
{
    return lane->hurry || lane->stop != LANE_STOP_NONE || lane_batch_full(lane) ||
           lane->now_ms >= lane->committed_ms + LANE_COMPANY_MS;
}

bool lane_batches_step(struct lane *lane)
{
    struct lane_batch *before = lane_before(lane);
    if (before->begun) {
        if (before->flying || before->again)
            return true;
        lane_batch_finish(lane, before);
        lane_batch_drop(lane, before);
    }
    if (lane_batch_empty(lane_filling(lane))) {
        if (!before->begun && lane->records_count == 0)
            lane->done_offset =
                lane->next_offset; /* a hole, behind which perhaps nothing follows */
        return true;
    }
    if (!due(lane))
        return true;
    if (!lane_batch_begin(lane))
        return false;
    lane->filling = 1 - lane->filling;
    return true;
}
