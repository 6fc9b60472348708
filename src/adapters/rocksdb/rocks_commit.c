/* SPDX-License-Identifier: Apache-2.0
 * Commits become one batch. A row may need what stands in its place: MAX and CLAIM always, PUT only
 * where a higher stamp can be stored. Stamps rise with the log, so that hardly ever is the case:
 * `highest` bounds, by a hash of the key, the stamps of all stored rows; a PUT at or above the
 * bound is written unread. The bounds begin at the highest stamp ever stored, which is kept in META
 * by the same batches. */
#include <stdatomic.h>
#include <string.h>

#include "adapters/rocksdb/rocks.h"
#include "base/assert.h"
#include "base/memory.h"

#define BUCKETS 4096u

/* One key that the group writes. */
struct change {
    struct row row; /* as it stands with the writes so far */
    uint64_t hash;
    bool changed;
    struct change *next; /* in the order of first writes */
    struct change *same; /* of this slot */
};

struct changes {
    struct rocks_worker *worker;
    struct change **slots;
    uint64_t mask;
    struct change *first, **last;
};

static uint64_t hash_of(const struct row_key *key)
{
    uint64_t words[5], hash = (uint64_t)key->table;
    memcpy(&words[0], key->a, ID_BYTES);
    memcpy(&words[2], key->b, ID_BYTES);
    words[4] = key->n;
    for (size_t i = 0; i < 5; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

enum status rocks_commit_open(struct rocks_db *db, struct failure *failure)
{
    db->batch = rocksdb_writebatch_create();
    db->highest = memory_array(BUCKETS, sizeof *db->highest);
    if (db->highest == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory for the store");
    for (size_t i = 0; i < BUCKETS; i++)
        db->highest[i] = db->stamp_max;
    return STATUS_OK;
}

void rocks_commit_close(struct rocks_db *db)
{
    if (db->batch != NULL)
        rocksdb_writebatch_destroy(db->batch);
    memory_free(db->highest);
    db->batch = NULL;
    db->highest = NULL;
}

static enum status changes_init(struct changes *changes, struct rocks_worker *worker, size_t writes)
{
    uint64_t slots = 16;
    while (slots < 2 * writes)
        slots *= 2;
    arena_reset(&worker->arena);
    *changes = (struct changes){.worker = worker, .mask = slots - 1};
    changes->last = &changes->first;
    changes->slots = ARENA_ARRAY(&worker->arena, struct change *, slots);
    return changes->slots == NULL ? STATUS_BUSY : STATUS_OK;
}

/* The change of that key; made, with what is stored, if it is the first. */
static enum status change_find(struct changes *changes, const struct row_write *write,
                               struct change **out)
{
    struct rocks_db *db = changes->worker->db;
    uint64_t hash = hash_of(&write->key);
    struct change **slot = &changes->slots[hash & changes->mask];
    for (struct change *at = *slot; at != NULL; at = at->same) {
        if (at->hash == hash && row_key_compare(&at->row.key, &write->key) == 0) {
            *out = at;
            return STATUS_OK;
        }
    }
    struct change *made = ARENA_NEW(&changes->worker->arena, struct change);
    if (made == NULL)
        return STATUS_BUSY;
    *made = (struct change){.row = {.key = write->key}, .hash = hash, .same = *slot};
    *slot = *changes->last = *out = made;
    changes->last = &made->next;
    if (write->kind == ROW_PUT && write->stamp >= db->highest[hash % BUCKETS]) {
        db->blind++;
        return STATUS_OK;
    }
    db->compared++;
    return rocks_get(db, &changes->worker->view, &made->row, &changes->worker->arena);
}

static enum status merge_all(struct changes *changes, const struct store_request *request)
{
    for (size_t i = 0; i < request->writes_count; i++) {
        const struct row_write *write = &request->writes[i];
        struct change *change = NULL;
        assert(rocks_is_max(write->key.table) == (write->kind == ROW_MAX));
        enum status status = change_find(changes, write, &change);
        if (status != STATUS_OK)
            return status;
        change->changed |= row_merge(&change->row, write);
    }
    return STATUS_OK;
}

/* A failed write leaves the bounds raised: still bounds. */
static void batch_add(struct rocks_db *db, const struct change *change)
{
    const struct row *row = &change->row;
    char lead[STORE_COLUMNS * 8];
    struct rocks_key key;
    const char *keys[1] = {key.at}, *values[2] = {lead, (const char *)row->value.at};
    size_t values_bytes[2] = {0, row->value.bytes};
    rocks_key_write(&row->key, &key);
    if (rocks_is_max(row->key.table)) {
        values_bytes[0] = rocks_columns_write(row->columns, lead);
    } else {
        uint64_t *highest = &db->highest[change->hash % BUCKETS];
        *highest = row->stamp > *highest ? row->stamp : *highest;
        db->stamp_max = row->stamp > db->stamp_max ? row->stamp : db->stamp_max;
        rocks_stamp_write(row->stamp, lead);
        values_bytes[0] = ROCKS_STAMP_BYTES;
    }
    rocksdb_writebatch_putv_cf(db->batch, db->families[rocks_family(row->key.table)], 1, keys,
                               &key.bytes, row->value.bytes > 0 ? 2 : 1, values, values_bytes);
}

/* What the next open needs to know of this batch and all before it. Returns whether it is a
 * milestone. */
static bool state_add(struct rocks_db *db, uint64_t flushes)
{
    char state[ROCKS_STATE_BYTES];
    bool milestone = rocks_milestone_add(db, db->marked_flushes != flushes);
    rocks_stamp_write(db->stamp_max, state);
    rocks_stamp_write(db->milestone + milestone, state + ROCKS_STAMP_BYTES);
    rocksdb_writebatch_put_cf(db->batch, db->families[ROCKS_META], ROCKS_KEY_STATE,
                              sizeof ROCKS_KEY_STATE - 1, state, sizeof state);
    return milestone;
}

/* ---- neighbours together ----
 * A memtable finds the place of a key from that of the one before it: what stands side by side is
 * inserted for a fraction. Order within a batch means nothing, since each key is there once. */

struct place {
    uint64_t order; /* of what two keys of a chat or user share */
    const struct change *change;
};

static uint64_t order_of(const struct row_key *key)
{
    uint64_t order = (uint64_t)rocks_family(key->table);
    for (size_t i = 0; i < 7; i++)
        order = order << 8 | key->a[i];
    return order;
}

/* `from` has two sorted runs: [0, middle) and [middle, count). */
static void runs_merge(const struct place *from, size_t middle, size_t count, struct place *to)
{
    size_t a = 0, b = middle;
    for (size_t i = 0; i < count; i++)
        to[i] =
            b == count || (a < middle && from[a].order <= from[b].order) ? from[a++] : from[b++];
}

/* The changed ones, sorted; of one order, as they were written. NULL: no memory. */
static const struct place *places_sort(const struct changes *changes, size_t *count)
{
    struct arena *arena = &changes->worker->arena;
    size_t all = 0;
    for (const struct change *at = changes->first; at != NULL; at = at->next)
        all += at->changed;
    *count = all;
    struct place *from = ARENA_RAW(arena, struct place, all);
    struct place *to = ARENA_RAW(arena, struct place, all);
    if (from == NULL || to == NULL)
        return NULL;
    all = 0;
    for (const struct change *at = changes->first; at != NULL; at = at->next)
        if (at->changed)
            from[all++] = (struct place){order_of(&at->row.key), at};
    for (size_t run = 1; run < all; run *= 2) {
        for (size_t i = 0; i < all; i += 2 * run) {
            size_t left = all - i, both = left < 2 * run ? left : 2 * run;
            runs_merge(from + i, run < both ? run : both, both, to + i);
        }
        struct place *sorted = to;
        to = from;
        from = sorted;
    }
    return from;
}

static enum status write_all(const struct changes *changes)
{
    struct rocks_db *db = changes->worker->db;
    char *error = NULL;
    size_t count = 0;
    const struct place *places = places_sort(changes, &count);
    if (places == NULL)
        return STATUS_BUSY;
    rocksdb_writebatch_clear(db->batch);
    for (size_t i = 0; i < count; i++)
        batch_add(db, places[i].change);
    if (rocksdb_writebatch_count(db->batch) == 0)
        return STATUS_OK;
    if (!rocks_room(db))
        return STATUS_BUSY;
    /* relaxed: see keeper's run */
    uint64_t flushes = atomic_load_explicit(&db->keeper.flushes, memory_order_relaxed) + 1;
    bool milestone = state_add(db, flushes);
    rocksdb_write(db->rocks, db->writing, db->batch, &error);
    enum status status = rocks_status(error);
    if (status == STATUS_AGAIN) /* "incomplete: write stall" */
        status = STATUS_BUSY;
    if (status != STATUS_OK)
        return status;
    db->batches++;
    if (milestone) {
        db->milestone++;
        db->unmarked_bytes = 0;
        db->marked_flushes = flushes;
    }
    return STATUS_OK;
}

void rocks_commit(struct rocks_worker *worker, struct store_request **requests, size_t count)
{
    struct changes changes;
    size_t writes = 0;
    for (size_t i = 0; i < count; i++)
        writes += requests[i]->writes_count;
    enum status status = changes_init(&changes, worker, writes);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = merge_all(&changes, requests[i]);
    if (status == STATUS_OK)
        status = write_all(&changes);
    for (size_t i = 0; i < count; i++)
        requests[i]->status = status;
}
