/* SPDX-License-Identifier: Apache-2.0
 * Everything once, past the cache: RocksDB checks each block against its checksum as it reads. That
 * no block is missing shows in the numbers: those of a chat, and of an inbox, have no hole. */
#include <string.h>

#include "adapters/rocksdb/rocks.h"

#define DENSE_KEY_BYTES (ID_BYTES + 8u)

/* a16 · n8: does n follow the one before, of the same a? */
static bool follows(const struct rocks_key *before, const char *at, size_t bytes)
{
    struct row_key one, next;
    if (before->bytes != DENSE_KEY_BYTES || bytes != DENSE_KEY_BYTES ||
        memcmp(before->at, at, ID_BYTES) != 0)
        return true;
    return rocks_key_read(TABLE_MSG, slice_make(before->at, before->bytes), &one) == STATUS_OK &&
           rocks_key_read(TABLE_MSG, slice_make(at, bytes), &next) == STATUS_OK &&
           next.n == one.n + 1;
}

static enum status family_verify(struct rocks_db *db, size_t family, rocksdb_readoptions_t *all,
                                 struct failure *failure)
{
    bool dense = family == ROCKS_MSG || family == ROCKS_INBOX, whole = true;
    struct rocks_key before = {.bytes = 0};
    char *error = NULL;
    rocksdb_iterator_t *at = rocksdb_create_iterator_cf(db->rocks, all, db->families[family]);
    rocksdb_iter_seek_to_first(at);
    for (; whole && rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        size_t bytes = 0;
        const char *key = rocksdb_iter_key(at, &bytes);
        if (!dense || bytes > sizeof before.at)
            continue;
        whole = follows(&before, key, bytes);
        before.bytes = bytes;
        memcpy(before.at, key, bytes);
    }
    rocksdb_iter_get_error(at, &error);
    rocksdb_iter_destroy(at);
    if (error == NULL && !whole)
        return failure_set(failure, STATUS_CORRUPT,
                           "a row of the family %s is missing in the index",
                           rocks_layouts[family].name);
    return rocks_fail(error, failure, "the index cannot be read");
}

enum status rocks_db_verify(struct rocks_db *db, struct failure *failure)
{
    rocksdb_readoptions_t *all = rocksdb_readoptions_create();
    enum status status = STATUS_OK;
    rocksdb_readoptions_set_verify_checksums(all, 1);
    rocksdb_readoptions_set_fill_cache(all, 0);
    rocksdb_readoptions_set_total_order_seek(all, 1);
    for (size_t i = 0; status == STATUS_OK && i < ROCKS_FAMILIES; i++)
        status = family_verify(db, i, all, failure);
    rocksdb_readoptions_destroy(all);
    return status;
}
