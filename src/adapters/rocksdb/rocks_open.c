/* SPDX-License-Identifier: Apache-2.0
 * What may be found at open, and what becomes of it:
 *
 *   no folder, or nothing of weight in it ──────────────────────────→ FRESH
 *   files, but no CURRENT ──→ CORRUPT (RocksDB would begin anew and delete them)
 *   a family or schema we do not know ──→ UNSUPPORTED; one of ours lost ──→ CORRUPT
 *   strict open ──→ OPENED
 *      └ Corruption, or a gap between WAL files ──→ the WAL is copied aside
 *            └→ open up to the damage ──→ PREFIX
 *                  └ Corruption ──→ CORRUPT
 *   open, but the schema or a milestone is missing ──→ CORRUPT
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/rocksdb/rocks.h"
#include "base/assert.h"
#include "base/buf.h"

#define SCHEMA_BYTES 4u

/* ---- what RocksDB says ---- */

static enum status status_of(const char *error)
{
    static const struct {
        const char *begin;
        enum status status;
    } known[] = {
        {"Result incomplete", STATUS_AGAIN},
        {"Corruption", STATUS_CORRUPT},
        {"Resource busy", STATUS_BUSY},
        {"Operation timed out", STATUS_BUSY},
        {"Operation failed. Try again", STATUS_BUSY},
        {"IO error: No space left", STATUS_BUSY},
        {"IO error: While lock file", STATUS_CONFLICT},
        {"IO error: lock ", STATUS_CONFLICT},
        {"Not implemented", STATUS_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strncmp(error, known[i].begin, strlen(known[i].begin)) == 0)
            return known[i].status;
    return STATUS_IO;
}

enum status rocks_fail(char *error, struct failure *failure, const char *what)
{
    if (error == NULL)
        return STATUS_OK;
    enum status status = failure_set(failure, status_of(error), "%s: %.100s", what, error);
    rocksdb_free(error);
    return status;
}

enum status rocks_status(char *error)
{
    return rocks_fail(error, NULL, "");
}

/* ---- the folder ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t bytes = strlen(name), end_bytes = strlen(end);
    return bytes >= end_bytes && strcmp(name + bytes - end_bytes, end) == 0;
}

/* Does this file hold rows, as far as its name and size tell? */
static bool weighs(int folder, const char *name)
{
    struct stat stat;
    if (ends_with(name, ".sst"))
        return true;
    return ends_with(name, ".log") && fstatat(folder, name, &stat, 0) == 0 && stat.st_size > 0;
}

/* RocksDB writes down its options and gives up at a value that has no name (rocks_options.c, of its
 * LOG). What it leaves it never removes. */
static bool is_vain(const char *name)
{
    return strncmp(name, "OPTIONS-", strlen("OPTIONS-")) == 0 && ends_with(name, ".dbtmp");
}

struct found {
    bool current, rows;
};

static enum status folder_look(DIR *folder, const char *path, struct found *found,
                               struct failure *failure)
{
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        found->current |= strcmp(entry->d_name, "CURRENT") == 0;
        found->rows |= weighs(dirfd(folder), entry->d_name);
        if (is_vain(entry->d_name))
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (!found->current && found->rows)
        return failure_set(failure, STATUS_CORRUPT,
                           "the store in %.60s has files but no CURRENT, which names them: "
                           "rebuild it",
                           path);
    return STATUS_OK;
}

static enum status folder_judge(const char *path, struct found *found, struct failure *failure)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failure_set(failure, STATUS_IO, "the folder %.60s cannot be made: %s", path,
                           strerror(errno));
    DIR *folder = opendir(path);
    if (folder == NULL)
        return failure_set(failure, STATUS_IO, "the folder %.60s cannot be read: %s", path,
                           strerror(errno));
    enum status status = folder_look(folder, path, found, failure);
    (void)closedir(folder);
    return status;
}

/* ---- families ---- */

static bool family_known(const char *name)
{
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        if (strcmp(name, rocks_layouts[i].name) == 0)
            return true;
    return false;
}

/* All are made before the first row. */
static enum status families_judge(const struct rocks_db *db, bool rows, struct failure *failure)
{
    size_t count = 0;
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    char **names = rocksdb_list_column_families(options, db->path, &count, &error);
    rocksdb_options_destroy(options);
    bool gone = error != NULL && strstr(error, "No such file") != NULL; /* what CURRENT names */
    enum status status =
        rocks_fail(error, failure, "the store's list of files cannot be read, rebuild it");
    if (gone)
        status = failure->status = STATUS_CORRUPT;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        if (!family_known(names[i]))
            status = failure_set(failure, STATUS_UNSUPPORTED,
                                 "the store in %.50s is of a newer version (it has a family "
                                 "%.20s); nothing was changed",
                                 db->path, names[i]);
    rocksdb_list_column_families_destroy(names, count);
    if (status == STATUS_OK && rows && count < ROCKS_FAMILIES)
        status = failure_set(failure, STATUS_CORRUPT,
                             "the store in %.60s has lost families, rebuild it", db->path);
    return status;
}

static char *open_once(struct rocks_db *db, enum rocks_wal_mode mode)
{
    struct rocks_settings settings;
    const char *names[ROCKS_FAMILIES];
    char *error = NULL;
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        names[i] = rocks_layouts[i].name;
    rocks_settings_open(&settings, &db->options, mode);
    db->rocks = rocksdb_open_column_families(settings.all, db->path, ROCKS_FAMILIES, names,
                                             (const rocksdb_options_t *const *)settings.families,
                                             db->families, &error);
    rocks_settings_close(&settings);
    return error;
}

/* What stands before the damage. */
static enum status open_prefix(struct rocks_db *db, uint64_t gap, struct failure *failure)
{
    enum status status = rocks_wal_copy(db->path, failure);
    if (status == STATUS_OK && gap != 0)
        status = rocks_wal_drop(db->path, gap, failure);
    if (status != STATUS_OK)
        return status;
    return rocks_fail(open_once(db, ROCKS_WAL_PREFIX), failure, "the store is damaged, rebuild it");
}

static enum status open_judged(struct rocks_db *db, bool fresh, enum rocks_outcome *outcome,
                               struct failure *failure)
{
    uint64_t gap;
    enum status status = rocks_wal_look(db->path, &gap, failure);
    if (status != STATUS_OK)
        return status;
    *outcome = fresh ? ROCKS_FRESH : ROCKS_OPENED;
    if (gap == 0) {
        status = rocks_fail(open_once(db, ROCKS_WAL_STRICT), failure, "the store cannot be opened");
        if (status == STATUS_CONFLICT)
            return failure_set(failure, status, "the store in %.80s is in use by another process",
                               db->path);
        if (status != STATUS_CORRUPT || fresh)
            return status;
    }
    *outcome = ROCKS_PREFIX;
    return open_prefix(db, gap, failure);
}

/* ---- what the adapter keeps in META ---- */

static enum status own_get(struct rocks_db *db, const char *key, size_t key_bytes, struct buf *out)
{
    char *error = NULL;
    size_t bytes = 0;
    struct rocks_view view = {0};
    rocks_view_open(&view, false);
    rocksdb_pinnableslice_t *value = rocksdb_get_pinned_cf(
        db->rocks, view.point, db->families[ROCKS_META], key, key_bytes, &error);
    rocks_view_close(&view);
    if (error != NULL)
        return rocks_status(error);
    if (value == NULL)
        return STATUS_NOT_FOUND;
    const char *at = rocksdb_pinnableslice_value(value, &bytes);
    buf_put(out, slice_make(at, bytes));
    rocksdb_pinnableslice_destroy(value);
    return out->overflow ? STATUS_CORRUPT : STATUS_OK;
}

/* On disk before the first row: whoever finds no schema finds no rows. */
static enum status schema_write(struct rocks_db *db, struct failure *failure)
{
    const char schema[SCHEMA_BYTES] = {(char)ROCKS_SCHEMA, 0, 0, 0};
    char *error = NULL;
    rocksdb_writeoptions_t *synced = rocksdb_writeoptions_create();
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_writeoptions_set_sync(synced, 1);
    rocksdb_put_cf(db->rocks, synced, db->families[ROCKS_META], ROCKS_KEY_SCHEMA,
                   sizeof ROCKS_KEY_SCHEMA - 1, schema, sizeof schema, &error);
    if (error == NULL)
        rocksdb_flush_cf(db->rocks, flush, db->families[ROCKS_META], &error);
    rocksdb_flushoptions_destroy(flush);
    rocksdb_writeoptions_destroy(synced);
    return rocks_fail(error, failure, "the new store cannot be written");
}

static enum status state_load(struct rocks_db *db, struct failure *failure)
{
    uint8_t bytes[ROCKS_STATE_BYTES];
    struct buf out = buf_over(bytes, sizeof bytes);
    enum status status = own_get(db, ROCKS_KEY_STATE, sizeof ROCKS_KEY_STATE - 1, &out);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK; /* no batch yet */
    if (status != STATUS_OK || out.bytes != sizeof bytes)
        return failure_set(failure, status == STATUS_OK ? STATUS_CORRUPT : status,
                           "the store's state cannot be read, rebuild it");
    db->stamp_max = rocks_stamp_read(bytes);
    db->milestone = rocks_stamp_read(bytes + ROCKS_STAMP_BYTES);
    return STATUS_OK;
}

static enum status schema_judge(struct rocks_db *db, struct failure *failure)
{
    uint8_t bytes[SCHEMA_BYTES];
    struct buf out = buf_over(bytes, sizeof bytes);
    enum status status = own_get(db, ROCKS_KEY_SCHEMA, sizeof ROCKS_KEY_SCHEMA - 1, &out);
    if (status == STATUS_NOT_FOUND && db->milestone == 0)
        return schema_write(db, failure);
    if (status != STATUS_OK || out.bytes != sizeof bytes)
        return failure_set(failure, STATUS_CORRUPT,
                           "the store's schema cannot be read, rebuild it");
    uint32_t schema = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                      (uint32_t)bytes[3] << 24;
    if (schema > ROCKS_SCHEMA)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "the store in %.50s is of a newer version (schema %u, this one knows "
                           "%u); no row was changed",
                           db->path, schema, ROCKS_SCHEMA);
    return STATUS_OK;
}

/* ---- open, close ---- */

static enum status open_all(struct rocks_db *db, enum rocks_outcome *outcome,
                            struct failure *failure)
{
    struct found found = {0};
    enum status status = folder_judge(db->path, &found, failure);
    if (status == STATUS_OK && !rocks_room(db))
        status = failure_set(failure, STATUS_BUSY,
                             "the disk is full: make %llu MiB free in %.60s, then start again; "
                             "nothing is lost",
                             (unsigned long long)(rocks_room_needed(&db->options) >> 20), db->path);
    if (status == STATUS_OK && found.current)
        status = families_judge(db, found.rows, failure);
    if (status == STATUS_OK)
        status = open_judged(db, !found.current, outcome, failure);
    if (status == STATUS_OK)
        status = state_load(db, failure);
    if (status == STATUS_OK)
        status = schema_judge(db, failure);
    if (status == STATUS_OK)
        status = rocks_milestones_check(db, failure);
    if (status == STATUS_OK)
        status = rocks_commit_open(db, failure);
    if (status == STATUS_OK)
        status = rocks_keeper_open(db, failure);
    if (status == STATUS_OK)
        status = rocks_workers_open(db, failure);
    return status;
}

enum status rocks_db_open(struct rocks_db *db, const char *path,
                          const struct rocks_options *options, enum rocks_outcome *outcome,
                          struct failure *failure)
{
    assert(options->handles >= 1 && options->handles <= ROCKS_HANDLES_MAX);
    assert(options->readers >= 1 && options->readers <= ROCKS_READERS_MAX);
    memset(db, 0, sizeof *db);
    db->options = *options;
    if (strlen(path) >= sizeof db->path)
        return failure_set(failure, STATUS_INVALID, "the path of the store is too long");
    memcpy(db->path, path, strlen(path) + 1);
    db->writing = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(db->writing, 0);
    rocksdb_writeoptions_set_no_slowdown(db->writing, 1);
    enum status status = open_all(db, outcome, failure);
    if (status != STATUS_OK)
        rocks_db_close(db);
    return status;
}

void rocks_db_close(struct rocks_db *db)
{
    rocks_workers_close(db);
    rocks_keeper_close(db);
    rocks_commit_close(db);
    if (db->rocks != NULL) {
        for (size_t i = 0; i < ROCKS_FAMILIES; i++)
            rocksdb_column_family_handle_destroy(db->families[i]);
        rocksdb_close(db->rocks);
    }
    if (db->writing != NULL)
        rocksdb_writeoptions_destroy(db->writing);
    memset(db, 0, sizeof *db);
}

static uint64_t property(struct rocks_db *db, size_t family, const char *name)
{
    uint64_t value = 0;
    (void)rocksdb_property_int_cf(db->rocks, db->families[family], name, &value);
    return value;
}

struct rocks_gauges rocks_db_gauges(struct rocks_db *db)
{
    struct rocks_gauges gauges = {
        .stopped = property(db, ROCKS_DEFAULT, "rocksdb.is-write-stopped") != 0,
        .delayed_rate = property(db, ROCKS_DEFAULT, "rocksdb.actual-delayed-write-rate"),
        .cache_bytes = property(db, ROCKS_DEFAULT, "rocksdb.block-cache-usage")};
    for (size_t i = 0; i < ROCKS_FAMILIES; i++) {
        gauges.memtable_bytes += property(db, i, "rocksdb.size-all-mem-tables");
        gauges.file_bytes += property(db, i, "rocksdb.total-sst-files-size");
    }
    return gauges;
}
