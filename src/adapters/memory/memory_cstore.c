/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/memory/memory_cstore.h"

#include <string.h>

#include "base/memory.h"

struct memory_cstore_row {
    uint32_t table;
    struct slice key, value; /* behind the struct, in one block */
};

static struct memory_cstore *store_of(struct cstore *cstore)
{
    return (struct memory_cstore *)cstore;
}

static struct memory_cstore_row *row_make(const struct cstore_op *op)
{
    struct memory_cstore_row *row = memory_alloc(sizeof *row + op->key.bytes + op->value.bytes);
    if (!row)
        return NULL;
    uint8_t *at = (uint8_t *)(row + 1);
    if (op->key.bytes)
        memcpy(at, op->key.at, op->key.bytes);
    if (op->value.bytes)
        memcpy(at + op->key.bytes, op->value.at, op->value.bytes);
    *row = (struct memory_cstore_row){op->table, slice_make(at, op->key.bytes),
                                      slice_make(at + op->key.bytes, op->value.bytes)};
    return row;
}

static int order(const struct memory_cstore_row *row, uint32_t table, struct slice key)
{
    return row->table != table ? (row->table < table ? -1 : 1) : slice_compare(row->key, key);
}

/* The first row at or behind (table, key). */
static size_t lower(const struct memory_cstore *store, uint32_t table, struct slice key)
{
    size_t low = 0, high = store->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(store->rows[middle], table, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool grow(struct memory_cstore *store, size_t more)
{
    if (store->count + more <= store->capacity)
        return true;
    size_t capacity = 2 * (store->count + more);
    struct memory_cstore_row **rows = memory_array(capacity, sizeof(struct memory_cstore_row *));
    if (!rows)
        return false;
    if (store->count)
        memcpy(rows, store->rows, store->count * sizeof *rows);
    memory_free(store->rows);
    store->rows = rows;
    store->capacity = capacity;
    return true;
}

/* `made` is NULL for a DELETE; else it becomes the row, or is given back. */
static void apply(struct memory_cstore *store, struct cstore_op *op, struct memory_cstore_row *made)
{
    size_t at = lower(store, op->table, op->key);
    bool found = at < store->count && order(store->rows[at], op->table, op->key) == 0;
    op->inserted = op->kind == CSTORE_INSERT && !found;
    if (found && op->kind == CSTORE_INSERT) {
        memory_free(made);
    } else if (found && op->kind == CSTORE_PUT) {
        memory_free(store->rows[at]);
        store->rows[at] = made;
    } else if (found) {
        memory_free(store->rows[at]);
        store->count--;
        memmove(store->rows + at, store->rows + at + 1, (store->count - at) * sizeof *store->rows);
    } else if (made) {
        memmove(store->rows + at + 1, store->rows + at, (store->count - at) * sizeof *store->rows);
        store->rows[at] = made;
        store->count++;
    }
}

static enum status memory_commit(struct cstore *cstore, struct cstore_op *ops, size_t count)
{
    struct memory_cstore *store = store_of(cstore);
    if (count == 0)
        return STATUS_OK;
    struct memory_cstore_row **made = memory_array(count, sizeof(struct memory_cstore_row *));
    bool whole = made && grow(store, count);
    for (size_t i = 0; i < count && whole; i++)
        whole = ops[i].kind == CSTORE_DELETE || (made[i] = row_make(&ops[i])) != NULL;
    for (size_t i = 0; i < count; i++) {
        ops[i].inserted = false;
        if (whole)
            apply(store, &ops[i], made[i]);
        else if (made)
            memory_free(made[i]);
    }
    memory_free(made);
    return whole ? STATUS_OK : STATUS_BUSY;
}

/* EXCEPTION: the port's signature. */
static enum status memory_range(struct cstore *cstore, uint32_t table, struct slice from,
                                struct slice to, bool descending, struct cstore_row *out,
                                size_t max, size_t *count, struct arena *arena)
{
    const struct memory_cstore *store = store_of(cstore);
    size_t first = lower(store, table, from), end = first;
    while (end < store->count && order(store->rows[end], table, to) <= 0)
        end++;
    *count = 0;
    for (size_t i = 0; i < end - first && *count < max; i++) {
        const struct memory_cstore_row *row = store->rows[descending ? end - 1 - i : first + i];
        out[(*count)++] =
            (struct cstore_row){table, arena_copy(arena, row->key), arena_copy(arena, row->value)};
    }
    return arena->exhausted ? STATUS_BUSY : STATUS_OK;
}

static enum status memory_wipe(struct cstore *cstore)
{
    struct memory_cstore *store = store_of(cstore);
    while (store->count)
        memory_free(store->rows[--store->count]);
    return STATUS_OK;
}

static const struct cstore_vtable vtable = {memory_commit, memory_range, memory_wipe};

void memory_cstore_open(struct memory_cstore *store)
{
    memset(store, 0, sizeof *store);
    store->cstore.vtable = &vtable;
}

void memory_cstore_close(struct memory_cstore *store)
{
    (void)memory_wipe(&store->cstore);
    memory_free(store->rows);
    memset(store, 0, sizeof *store);
}
