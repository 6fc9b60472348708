/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <string.h>

#include "adapters/rocksdb/rocks.h"
#include "base/assert.h"

#define TIER_ALL   0
#define TIER_CACHE 1 /* kBlockCacheTier: memory and block cache */

void rocks_view_open(struct rocks_view *view, bool cached)
{
    view->point = rocksdb_readoptions_create();
    view->range = rocksdb_readoptions_create();
    view->cached = cached;
    rocksdb_readoptions_set_read_tier(view->point, cached ? TIER_CACHE : TIER_ALL);
    rocksdb_readoptions_set_read_tier(view->range, cached ? TIER_CACHE : TIER_ALL);
    rocksdb_readoptions_set_prefix_same_as_start(view->range, 1);
}

void rocks_view_close(struct rocks_view *view)
{
    if (view->point == NULL)
        return;
    rocksdb_readoptions_destroy(view->point);
    rocksdb_readoptions_destroy(view->range);
    view->point = view->range = NULL;
}

/* The row's value moves from where RocksDB holds it into the arena. */
static enum status row_take(struct slice bytes, struct row *row, struct arena *arena)
{
    enum status status = rocks_row_read(bytes, row);
    if (status != STATUS_OK || row->value.bytes == 0)
        return status;
    row->value = arena_copy(arena, row->value);
    return arena->exhausted ? STATUS_BUSY : STATUS_OK;
}

enum status rocks_get(struct rocks_db *db, struct rocks_view *view, struct row *row,
                      struct arena *arena)
{
    char *error = NULL;
    size_t bytes = 0;
    *row = (struct row){.key = row->key};
    rocks_key_write(&row->key, &view->low);
    rocksdb_pinnableslice_t *pinned =
        rocksdb_get_pinned_cf(db->rocks, view->point, db->families[rocks_family(row->key.table)],
                              view->low.at, view->low.bytes, &error);
    enum status status = rocks_status(error);
    if (status != STATUS_OK || pinned == NULL)
        return status;
    const char *at = rocksdb_pinnableslice_value(pinned, &bytes);
    /* A table that is not open at the moment: asked to read nothing from disk, RocksDB answers OK
     * and an empty value, where it means "may be there" (TableCache::Get). */
    if (bytes == 0 && view->cached)
        status = STATUS_AGAIN;
    else
        status = row_take(slice_make((const uint8_t *)at, bytes), row, arena);
    rocksdb_pinnableslice_destroy(pinned);
    return status;
}

/* ---- ranges ---- */

/* An iterator over low … high, both within; it stands at its first row. */
static rocksdb_iterator_t *iterator_open(struct rocks_db *db, struct rocks_view *view,
                                         const struct row_key keys[2], bool descending)
{
    rocks_key_write(&keys[0], &view->low);
    rocks_key_write(&keys[1], &view->end);
    view->end.at[view->end.bytes] = 0; /* the first key above */
    rocksdb_readoptions_set_iterate_lower_bound(view->range, view->low.at, view->low.bytes);
    rocksdb_readoptions_set_iterate_upper_bound(view->range, view->end.at, view->end.bytes + 1);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator_cf(
        db->rocks, view->range, db->families[rocks_family(keys[0].table)]);
    if (descending)
        rocksdb_iter_seek_for_prev(iterator, view->end.at, view->end.bytes);
    else
        rocksdb_iter_seek(iterator, view->low.at, view->low.bytes);
    return iterator;
}

/* Why it stopped: OK at an end. */
static enum status iterator_close(rocksdb_iterator_t *iterator, enum status status)
{
    char *error = NULL;
    if (status == STATUS_OK) {
        rocksdb_iter_get_error(iterator, &error);
        status = rocks_status(error);
    }
    rocksdb_iter_destroy(iterator);
    return status;
}

static struct slice value_of(const rocksdb_iterator_t *iterator)
{
    size_t bytes = 0;
    const char *at = rocksdb_iter_value(iterator, &bytes);
    return slice_make((const uint8_t *)at, bytes);
}

static enum status iterator_row(const rocksdb_iterator_t *iterator, enum table table,
                                struct row *row, struct arena *arena)
{
    size_t bytes = 0;
    const char *at = rocksdb_iter_key(iterator, &bytes);
    enum status status = rocks_key_read(table, slice_make((const uint8_t *)at, bytes), &row->key);
    return status == STATUS_OK ? row_take(value_of(iterator), row, arena) : status;
}

static void step(rocksdb_iterator_t *iterator, bool descending)
{
    if (descending)
        rocksdb_iter_prev(iterator);
    else
        rocksdb_iter_next(iterator);
}

/* DIR and META: the type leads the key, so that n is walked by gets; there are few types. */
static enum status range_of_types(struct rocks_db *db, struct rocks_view *view,
                                  struct store_request *request, struct arena *arena)
{
    uint64_t low = request->keys[0].n, high = request->keys[1].n;
    enum status status = STATUS_OK;
    high = high < ROCKS_TYPE_MAX ? high : ROCKS_TYPE_MAX;
    for (uint64_t i = low; status == STATUS_OK && i <= high; i++) {
        if (request->rows_count == request->rows_max)
            break;
        struct row *row = &request->rows[request->rows_count];
        row->key = request->keys[0];
        row->key.n = request->descending ? high - (i - low) : i;
        status = rocks_get(db, view, row, arena);
        request->rows_count += status == STATUS_OK && row->found;
    }
    return status;
}

static enum status range(struct rocks_db *db, struct rocks_view *view,
                         struct store_request *request, struct arena *arena)
{
    request->rows_count = 0;
    assert(request->keys_count == 2 && request->keys[0].table == request->keys[1].table);
    if (request->rows_max == 0 || row_key_compare(&request->keys[0], &request->keys[1]) > 0)
        return STATUS_OK;
    if (rocks_type_leads(request->keys[0].table))
        return range_of_types(db, view, request, arena);
    rocksdb_iterator_t *iterator = iterator_open(db, view, request->keys, request->descending);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && rocksdb_iter_valid(iterator)) {
        status = iterator_row(iterator, request->keys[0].table, &request->rows[request->rows_count],
                              arena);
        if (status == STATUS_OK && ++request->rows_count == request->rows_max)
            break;
        if (status == STATUS_OK)
            step(iterator, request->descending);
    }
    return iterator_close(iterator, status);
}

static enum status by_offset(struct rocks_db *db, struct rocks_view *view,
                             struct store_request *request, struct arena *arena)
{
    const struct row_key keys[2] = {row_key_make(TABLE_MSG, request->keys[0].a, NULL, 0),
                                    row_key_make(TABLE_MSG, request->keys[0].a, NULL, UINT64_MAX)};
    request->rows_count = 0;
    rocksdb_iterator_t *iterator = iterator_open(db, view, keys, true);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && request->rows_count < request->rows_max &&
           rocksdb_iter_valid(iterator)) {
        struct slice value = value_of(iterator);
        uint64_t stamp = value.bytes < ROCKS_STAMP_BYTES ? 0 : rocks_stamp_read(value.at);
        if (value.bytes < ROCKS_STAMP_BYTES)
            status = STATUS_CORRUPT;
        else if (stamp < request->stamp)
            break;
        else if (stamp == request->stamp)
            status =
                iterator_row(iterator, TABLE_MSG, &request->rows[request->rows_count++], arena);
        if (status == STATUS_OK)
            step(iterator, true);
    }
    return iterator_close(iterator, status);
}

static enum status get(struct rocks_db *db, struct rocks_view *view, struct store_request *request,
                       struct arena *arena)
{
    enum status status = STATUS_OK;
    request->rows_count = request->keys_count;
    for (size_t i = 0; status == STATUS_OK && i < request->keys_count; i++) {
        request->rows[i].key = request->keys[i];
        status = rocks_get(db, view, &request->rows[i], arena);
    }
    return status;
}

bool rocks_db_damaged(const struct rocks_db *db)
{
    return atomic_load_explicit(&db->damaged, memory_order_relaxed); /* says nothing else */
}

static enum status serve(struct rocks_db *db, struct rocks_view *view,
                         struct store_request *request, struct arena *arena)
{
    switch (request->op) {
    case STORE_GET: return get(db, view, request, arena);
    case STORE_RANGE: return range(db, view, request, arena);
    case STORE_BY_OFFSET: return by_offset(db, view, request, arena);
    case STORE_COMMIT:
    default: return STATUS_UNSUPPORTED;
    }
}

enum status rocks_read(struct rocks_db *db, struct rocks_view *view, struct store_request *request,
                       struct arena *arena)
{
    enum status status = serve(db, view, request, arena);
    if (status == STATUS_CORRUPT || status == STATUS_IO)
        atomic_store_explicit(&db->damaged, true, memory_order_relaxed);
    return status;
}

/* ---- a page of the directory ---- */

enum status rocks_db_page(struct rocks_db *db, struct rocks_page *page)
{
    struct rocks_view view = {0};
    uint8_t last[ID_BYTES];
    memset(last, 0xff, sizeof last);
    const struct row_key keys[2] = {row_key_make(TABLE_DIR, page->after, NULL, page->type),
                                    row_key_make(TABLE_DIR, last, NULL, page->type)};
    rocks_view_open(&view, false);
    page->rows_count = 0;
    rocksdb_iterator_t *iterator = iterator_open(db, &view, keys, false);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && page->rows_count < page->rows_max &&
           rocksdb_iter_valid(iterator)) {
        struct row *row = &page->rows[page->rows_count];
        status = iterator_row(iterator, TABLE_DIR, row, page->arena);
        if (page->after == NULL || memcmp(row->key.a, page->after, ID_BYTES) != 0)
            page->rows_count++;
        rocksdb_iter_next(iterator);
    }
    status = iterator_close(iterator, status);
    rocks_view_close(&view);
    return status;
}
