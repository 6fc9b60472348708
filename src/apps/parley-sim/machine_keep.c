/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-sim/machine_keep.h"

#include <string.h>

#include "base/assert.h"

#define STORE_BYTES ((size_t)256 << 20)
#define WRITES_MAX  256u
#define EVERY_US    UINT64_C(3000000)

void machine_keep_open(struct machine_keep *keep, struct sim_marks *marks, uint64_t seed)
{
    *keep = (struct machine_keep){.on = seed % 3 == 0, .marks = marks};
    prng_init(&keep->prng, seed);
}

void machine_keep_close(struct machine_keep *keep)
{
    for (size_t i = 0; i < keep->count; i++)
        memory_db_close(&keep->kept[i].db);
    keep->count = 0;
}

static bool has_columns(enum table table)
{
    return table == TABLE_MARK || table == TABLE_CURSOR || table == TABLE_META;
}

static void commit(struct memory_store *store, const struct row_write *writes, size_t count)
{
    struct store_request *done = NULL;
    struct store_request request = {.op = STORE_COMMIT, .writes = writes, .writes_count = count};
    store->port.vtable->submit(&store->port, &request);
    size_t polled = store->port.vtable->poll(&store->port, &done, 1);
    assert(polled == 1 && request.status == STATUS_OK);
}

/* All rows of `from`, into the empty `to`. */
static void copy(struct memory_db *to, struct memory_db *from)
{
    static struct row_write writes[WRITES_MAX]; /* one world at a time has the thread */
    static struct memory_store store;
    size_t count = 0;
    memory_store_open(&store, to);
    for (const struct row *row = memory_db_next(from, NULL); row != NULL;
         row = memory_db_next(from, &row->key)) {
        struct row_write *write = &writes[count++];
        *write = (struct row_write){.kind = has_columns(row->key.table) ? ROW_MAX : ROW_PUT,
                                    .key = row->key,
                                    .stamp = row->stamp,
                                    .value = row->value};
        memcpy(write->columns, row->columns, sizeof write->columns);
        if (count == WRITES_MAX) {
            commit(&store, writes, count);
            count = 0;
        }
    }
    if (count > 0)
        commit(&store, writes, count);
}

uint64_t machine_keep_choose(struct machine_keep *keep)
{
    keep->chosen = keep->count;
    if (keep->count == 0)
        return 0;
    if (keep->count == 2 && prng_chance(&keep->prng, 400))
        keep->chosen = 1; /* the newer one is damaged */
    return keep->kept[keep->chosen - 1].part;
}

void machine_keep_restore(struct machine_keep *keep, struct memory_db *db)
{
    if (keep->chosen == 0)
        return;
    keep->marks->count[SIM_MARK_STORE_LOST]++;
    copy(db, &keep->kept[keep->chosen - 1].db);
}

/* META_PART, as the rows have it. */
static uint64_t part_of(struct memory_db *db)
{
    struct row_key before = row_key_make(TABLE_META, NULL, NULL, META_PART - 1);
    const struct row *row = memory_db_next(db, &before);
    bool is = row != NULL && row->key.table == TABLE_META && row->key.n == META_PART;
    return is ? row->columns[1] : 0;
}

void machine_keep_turn(struct machine_keep *keep, struct log *log, struct memory_db *db,
                       uint64_t now_us)
{
    if (!keep->on || log->state != LOG_READY)
        return;
    if (log->upkeep.trimmed > keep->trimmed)
        keep->marks->count[SIM_MARK_LOG_TRIM]++;
    keep->trimmed = log->upkeep.trimmed;
    if (now_us < keep->due_us)
        return;
    keep->due_us = now_us + EVERY_US + prng_below(&keep->prng, EVERY_US);
    uint64_t part = part_of(db);
    if (part == 0 || (keep->count > 0 && keep->kept[keep->count - 1].part >= part))
        return;
    if (keep->count == MACHINE_CHECKPOINTS) {
        memory_db_close(&keep->kept[0].db);
        keep->kept[0] = keep->kept[1];
        keep->count--;
    }
    struct machine_checkpoint *made = &keep->kept[keep->count++];
    enum status status = memory_db_open(&made->db, STORE_BYTES);
    assert(status == STATUS_OK);
    copy(&made->db, db);
    made->part = part;
    log_flushed(log, part);
    if (keep->count == MACHINE_CHECKPOINTS)
        log_trim(log, keep->kept[0].part);
}
