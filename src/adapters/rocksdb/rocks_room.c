/* SPDX-License-Identifier: Apache-2.0
 * RocksDB is never let run into a full disk. Debian's archive has its assertions on, and whatever
 * touches a file after a write of it failed ends the process (7.8.3, AssertFalseAndGetStatusFor-
 * PrevError): so a batch that finds little room is not begun, and the folds keep it. What flush and
 * compaction write behind that, RocksDB itself tries again. */
#include <stdatomic.h>
#include <sys/statvfs.h>

#include "adapters/rocksdb/rocks.h"

uint64_t rocks_room_needed(const struct rocks_options *options)
{
    return (uint64_t)(options->small ? 8 : 64) << 20; /* what one flush takes */
}

bool rocks_room(struct rocks_db *db)
{
    struct statvfs disk;
    bool room = statvfs(db->path, &disk) != 0 || /* the write itself will tell */
                (uint64_t)disk.f_bavail * disk.f_frsize >= rocks_room_needed(&db->options);
    /* relaxed: a gauge for people */
    atomic_store_explicit(&db->full, !room, memory_order_relaxed);
    return room;
}

bool rocks_db_full(struct rocks_db *db)
{
    return atomic_load_explicit(&db->full, memory_order_relaxed); /* relaxed: as above */
}
