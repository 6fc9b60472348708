/* SPDX-License-Identifier: Apache-2.0
 * Milestones: numbered rows of META, one at the first batch after an open, a flush or a checkpoint,
 * and one in every MILESTONE_BYTES of batches. The newest MILESTONES are kept, each in the place of
 * the one that many before it; each batch says which was the last.
 * RocksDB keeps flushed rows by a list of files and the newest by its write-ahead log, and may open
 * with the end of the list missing (a flipped length looks like a torn end) or a file of the log
 * missing, and the rest there: part and heads would speak of rows that are gone. Such a stretch
 * holds a milestone, and its number is missing. */
#include <string.h>

#include "adapters/rocksdb/rocks.h"
#include "base/memory.h"

#define MILESTONES      4096u /* × MILESTONE_BYTES: twice the longest write-ahead log */
#define MILESTONE_BYTES ((uint64_t)256 << 10)
#define NAME            "\0milestone"
#define NAME_BYTES      (sizeof NAME - 1)
#define KEY_BYTES       (NAME_BYTES + 2)

static void key_write(uint64_t number, char out[KEY_BYTES])
{
    memcpy(out, NAME, NAME_BYTES);
    out[NAME_BYTES] = (char)(uint8_t)(number % MILESTONES >> 8);
    out[NAME_BYTES + 1] = (char)(uint8_t)(number % MILESTONES);
}

bool rocks_milestone_add(struct rocks_db *db, bool due)
{
    char key[KEY_BYTES], value[ROCKS_STAMP_BYTES];
    size_t bytes = 0;
    (void)rocksdb_writebatch_data(db->batch, &bytes);
    db->unmarked_bytes += bytes;
    if (!due && db->unmarked_bytes < MILESTONE_BYTES)
        return false;
    key_write(db->milestone + 1, key);
    rocks_stamp_write(db->milestone + 1, value);
    rocksdb_writebatch_put_cf(db->batch, db->families[ROCKS_META], key, sizeof key, value,
                              sizeof value);
    return true;
}

static enum status numbers_read(struct rocks_db *db, uint64_t *numbers)
{
    char *error = NULL, end[KEY_BYTES];
    size_t bytes = 0;
    memset(end, 0xff, sizeof end);
    memcpy(end, NAME, NAME_BYTES);
    rocksdb_readoptions_t *reading = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(reading, end, sizeof end);
    rocksdb_iterator_t *iterator =
        rocksdb_create_iterator_cf(db->rocks, reading, db->families[ROCKS_META]);
    rocksdb_iter_seek(iterator, NAME, NAME_BYTES);
    for (; rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        const char *at = rocksdb_iter_value(iterator, &bytes);
        uint64_t number = bytes == ROCKS_STAMP_BYTES ? rocks_stamp_read((const uint8_t *)at) : 0;
        numbers[number % MILESTONES] = number;
    }
    rocksdb_iter_get_error(iterator, &error);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(reading);
    return rocks_status(error);
}

enum status rocks_milestones_check(struct rocks_db *db, struct failure *failure)
{
    uint64_t *numbers = memory_array(MILESTONES, sizeof *numbers);
    if (numbers == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory for the store");
    enum status status = numbers_read(db, numbers);
    uint64_t last = db->milestone, first = last < MILESTONES ? 1 : last - MILESTONES + 1;
    if (status != STATUS_OK)
        (void)failure_set(failure, status, "the store's milestones cannot be read, rebuild it");
    for (uint64_t i = first; status == STATUS_OK && i <= last; i++)
        if (numbers[i % MILESTONES] != i)
            status = failure_set(failure, STATUS_CORRUPT,
                                 "a stretch in the middle of the store in %.50s is missing, "
                                 "rebuild it",
                                 db->path);
    memory_free(numbers);
    return status;
}
