/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/sqlite/sqlite_store.h"

#include <sqlite3.h>
#include <string.h>

#include "base/assert.h"

#define APPLICATION_ID 0x5061726c /* "Parl": tells file(1) and us whose file it is */
#define STRINGIFY(x)   #x
#define TEXT_OF(x)     STRINGIFY(x)

static const char schema[] = "PRAGMA application_id=" TEXT_OF(
    APPLICATION_ID) ";"
                    "CREATE TABLE rows(tbl INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT "
                    "NULL,"
                    " PRIMARY KEY(tbl, key)) WITHOUT ROWID;"
                    "PRAGMA user_version=" TEXT_OF(SQLITE_STORE_VERSION) ";";

static struct sqlite_store *store_of(struct cstore *cstore)
{
    return (struct sqlite_store *)cstore;
}

static enum status status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW: return STATUS_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return STATUS_BUSY;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return STATUS_CORRUPT;
    case SQLITE_CANTOPEN: return STATUS_NOT_FOUND;
    default: return STATUS_IO;
    }
}

static int run(struct sqlite_store *store, const char *sql)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL);
}

/* An empty slice is an empty blob, not NULL. */
static int bind_slice(struct sqlite3_stmt *statement, int at, struct slice bytes)
{
    return sqlite3_bind_blob64(statement, at, bytes.bytes ? (const void *)bytes.at : "",
                               bytes.bytes, SQLITE_STATIC);
}

/* ---- the port ---- */

static int write_one(struct sqlite_store *store, struct cstore_op *op)
{
    struct sqlite3_stmt *statement = op->kind == CSTORE_PUT      ? store->put
                                     : op->kind == CSTORE_INSERT ? store->insert
                                                                 : store->remove;
    int code = sqlite3_bind_int64(statement, 1, op->table);
    if (code == SQLITE_OK)
        code = bind_slice(statement, 2, op->key);
    if (code == SQLITE_OK && op->kind != CSTORE_DELETE)
        code = bind_slice(statement, 3, op->value);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    op->inserted = code == SQLITE_DONE && op->kind == CSTORE_INSERT && sqlite3_changes(store->db);
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static enum status sqlite_commit(struct cstore *cstore, struct cstore_op *ops, size_t count)
{
    struct sqlite_store *store = store_of(cstore);
    if (count == 0)
        return STATUS_OK;
    int code = run(store, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        code = write_one(store, &ops[i]);
    if (code == SQLITE_OK)
        code = run(store, "COMMIT");
    if (code != SQLITE_OK) {
        for (size_t i = 0; i < count; i++)
            ops[i].inserted = false;
        if (!sqlite3_get_autocommit(store->db))
            (void)run(store, "ROLLBACK");
    }
    return status_of(code);
}

/* EXCEPTION: the port's signature. */
static enum status sqlite_range(struct cstore *cstore, uint32_t table, struct slice from,
                                struct slice to, bool descending, struct cstore_row *out,
                                size_t max, size_t *count, struct arena *arena)
{
    struct sqlite_store *store = store_of(cstore);
    struct sqlite3_stmt *statement = descending ? store->down : store->up;
    *count = 0;
    int code = sqlite3_bind_int64(statement, 1, table);
    if (code == SQLITE_OK)
        code = bind_slice(statement, 2, from);
    if (code == SQLITE_OK)
        code = bind_slice(statement, 3, to);
    if (code == SQLITE_OK)
        code = sqlite3_bind_int64(statement, 4, (int64_t)max);
    while (code == SQLITE_OK && *count < max && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct cstore_row *row = &out[(*count)++];
        row->table = table;
        row->key = arena_copy(arena, slice_make(sqlite3_column_blob(statement, 0),
                                                (size_t)sqlite3_column_bytes(statement, 0)));
        row->value = arena_copy(arena, slice_make(sqlite3_column_blob(statement, 1),
                                                  (size_t)sqlite3_column_bytes(statement, 1)));
        code = SQLITE_OK;
    }
    (void)sqlite3_reset(statement);
    return arena->exhausted ? STATUS_BUSY : status_of(code);
}

static enum status sqlite_wipe(struct cstore *cstore)
{
    struct sqlite_store *store = store_of(cstore);
    int code = run(store, "DELETE FROM rows");
    if (code == SQLITE_OK)
        code = run(store, "PRAGMA wal_checkpoint(TRUNCATE)");
    return status_of(code);
}

static const struct cstore_vtable vtable = {sqlite_commit, sqlite_range, sqlite_wipe};

/* ---- open and close ---- */

static int pragma_number(struct sqlite_store *store, const char *sql, int64_t *out)
{
    struct sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int prepare_all(struct sqlite_store *store)
{
    const struct {
        const char *sql;
        struct sqlite3_stmt **out;
    } statements[] = {
        {"INSERT OR REPLACE INTO rows VALUES(?1, ?2, ?3)", &store->put},
        {"INSERT OR IGNORE INTO rows VALUES(?1, ?2, ?3)", &store->insert},
        {"DELETE FROM rows WHERE tbl = ?1 AND key = ?2", &store->remove},
        {"SELECT key, value FROM rows WHERE tbl = ?1 AND key BETWEEN ?2 AND ?3"
         " ORDER BY key LIMIT ?4",
         &store->up},
        {"SELECT key, value FROM rows WHERE tbl = ?1 AND key BETWEEN ?2 AND ?3"
         " ORDER BY key DESC LIMIT ?4",
         &store->down},
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof statements / sizeof *statements && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(store->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                  statements[i].out, NULL);
    return code;
}

static int make_schema(struct sqlite_store *store)
{
    int code = run(store, "BEGIN IMMEDIATE");
    if (code == SQLITE_OK)
        code = run(store, schema);
    return code == SQLITE_OK ? run(store, "COMMIT") : code;
}

static enum status check_version(struct sqlite_store *store, bool read_only,
                                 struct failure *failure)
{
    int64_t version = 0, application = 0, tables = 0;
    int code = pragma_number(store, "PRAGMA user_version", &version);
    if (code == SQLITE_OK)
        code = pragma_number(store, "PRAGMA application_id", &application);
    if (code == SQLITE_OK)
        code = pragma_number(store, "SELECT count(*) FROM sqlite_master", &tables);
    if (code == SQLITE_OK && version == 0 && tables == 0 && !read_only)
        code = make_schema(store);
    else if (code == SQLITE_OK && application != APPLICATION_ID)
        return failure_set(failure, STATUS_CORRUPT, "the file is not a store of Parley");
    else if (code == SQLITE_OK && version != SQLITE_STORE_VERSION)
        return failure_set(failure, STATUS_UNSUPPORTED, "the store has version %lld, this is %d",
                           (long long)version, SQLITE_STORE_VERSION);
    return code == SQLITE_OK
               ? STATUS_OK
               : failure_set(failure, status_of(code), "%s", sqlite3_errmsg(store->db));
}

enum status sqlite_store_open(struct sqlite_store *store, const char *path, bool read_only,
                              struct failure *failure)
{
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    memset(store, 0, sizeof *store);
    store->cstore.vtable = &vtable;
    int code = sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return failure_set(failure, status_of(code), "%s",
                           store->db ? sqlite3_errmsg(store->db) : "no memory");
    (void)sqlite3_extended_result_codes(store->db, 1);
    (void)sqlite3_busy_timeout(store->db, 2000); /* a reader's checkpoint, not another writer */
    if (!read_only)
        code = run(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;");
    if (code != SQLITE_OK)
        return failure_set(failure, status_of(code), "%s", sqlite3_errmsg(store->db));
    enum status status = check_version(store, read_only, failure);
    if (status != STATUS_OK)
        return status;
    code = prepare_all(store);
    return code == SQLITE_OK
               ? STATUS_OK
               : failure_set(failure, status_of(code), "%s", sqlite3_errmsg(store->db));
}

void sqlite_store_close(struct sqlite_store *store)
{
    struct sqlite3_stmt *statements[] = {store->put, store->insert, store->remove, store->up,
                                         store->down};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        (void)sqlite3_finalize(statements[i]);
    if (store->db) {
        int code = sqlite3_close(store->db);
        assert(code == SQLITE_OK);
    }
    memset(store, 0, sizeof *store);
}
