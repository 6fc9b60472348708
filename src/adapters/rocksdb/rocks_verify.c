/* SPDX-License-Identifier: Apache-2.0
 * Everything once, past the cache: RocksDB checks each block against its checksum as it reads. */
#include <string.h>

#include "adapters/rocksdb/rocks.h"

enum status rocks_db_verify(struct rocks_db *db, struct failure *failure)
{
    rocksdb_readoptions_t *all = rocksdb_readoptions_create();
    enum status status = STATUS_OK;
    rocksdb_readoptions_set_verify_checksums(all, 1);
    rocksdb_readoptions_set_fill_cache(all, 0);
    rocksdb_readoptions_set_total_order_seek(all, 1);
    for (size_t i = 0; status == STATUS_OK && i < ROCKS_FAMILIES; i++) {
        char *error = NULL;
        rocksdb_iterator_t *at = rocksdb_create_iterator_cf(db->rocks, all, db->families[i]);
        for (rocksdb_iter_seek_to_first(at); rocksdb_iter_valid(at); rocksdb_iter_next(at))
            ;
        rocksdb_iter_get_error(at, &error);
        rocksdb_iter_destroy(at);
        status = rocks_fail(error, failure, "the index cannot be read");
    }
    rocksdb_readoptions_destroy(all);
    return status;
}
