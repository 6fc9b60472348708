/* SPDX-License-Identifier: Apache-2.0
 * What an operator looks for, read on the caller's thread: rows by their keys, and a message that
 * no key names. */
#include <string.h>

#include "adapters/rocksdb/rocks.h"

enum status rocks_db_look(struct rocks_db *db, struct store_request *request)
{
    struct rocks_view view = {0};
    rocks_view_open(&view, false);
    request->status = rocks_read(db, &view, request, request->arena);
    rocks_view_close(&view);
    return request->status;
}

/* The row that the iterator stands at; whether its value holds what is wanted. */
static enum status walk_row(const rocksdb_iterator_t *iterator, struct rocks_walk *walk,
                            struct arena *arena)
{
    size_t key_bytes = 0, bytes = 0;
    const char *key = rocksdb_iter_key(iterator, &key_bytes);
    const char *value = rocksdb_iter_value(iterator, &bytes);
    enum status status = rocks_key_read(TABLE_MSG, slice_make(key, key_bytes), &walk->at);
    walk->looked++;
    if (status != STATUS_OK || memmem(value, bytes, walk->wanted, ID_BYTES) == NULL)
        return status;
    walk->row = (struct row){.key = walk->at};
    status = rocks_row_read(slice_make(value, bytes), &walk->row);
    walk->row.value = arena_copy(arena, walk->row.value);
    return arena->exhausted ? STATUS_BUSY : status;
}

enum status rocks_db_walk(struct rocks_db *db, struct rocks_walk *walk, struct arena *arena)
{
    struct rocks_key from;
    enum status status = STATUS_OK;
    char *error = NULL;
    uint64_t end = walk->looked + walk->rows_max;
    rocksdb_readoptions_t *all = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(all, 0);
    rocksdb_readoptions_set_total_order_seek(all, 1);
    rocksdb_iterator_t *iterator =
        rocksdb_create_iterator_cf(db->rocks, all, db->families[ROCKS_MSG]);
    walk->row = (struct row){.found = false};
    if (walk->looked == 0) {
        rocksdb_iter_seek_to_first(iterator);
    } else { /* no row of a chat goes while the chat is there */
        rocks_key_write(&walk->at, &from);
        rocksdb_iter_seek(iterator, from.at, from.bytes);
        if (rocksdb_iter_valid(iterator))
            rocksdb_iter_next(iterator);
    }
    while (status == STATUS_OK && !walk->row.found && walk->looked < end &&
           rocksdb_iter_valid(iterator)) {
        status = walk_row(iterator, walk, arena);
        rocksdb_iter_next(iterator);
    }
    walk->end = !rocksdb_iter_valid(iterator);
    rocksdb_iter_get_error(iterator, &error);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(all);
    return status == STATUS_OK ? rocks_status(error) : status;
}
