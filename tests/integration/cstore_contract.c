/* SPDX-License-Identifier: Apache-2.0
 * The contract of the cstore port, over both adapters; and what is the file's alone: it survives
 * its process, refuses a newer version and what is not a store, and lets a reader in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "adapters/memory/memory_cstore.h"
#include "adapters/sqlite/sqlite_store.h"

struct bench {
    bool is_file;
    struct cstore *store;
    struct memory_cstore memory;
    struct sqlite_store file;
    struct arena arena;
    char folder[32], path[48];
};

#define TEXT(text) SLICE_LITERAL(text)

static struct cstore_op put(uint32_t table, struct slice key, struct slice value)
{
    return (struct cstore_op){.kind = CSTORE_PUT, .table = table, .key = key, .value = value};
}

static struct cstore_op insert(uint32_t table, struct slice key, struct slice value)
{
    return (struct cstore_op){.kind = CSTORE_INSERT, .table = table, .key = key, .value = value};
}

static struct cstore_op removal(uint32_t table, struct slice key)
{
    return (struct cstore_op){.kind = CSTORE_DELETE, .table = table, .key = key};
}

static void commit(struct bench *bench, struct cstore_op *ops, size_t count)
{
    assert_int_equal(bench->store->vtable->commit(bench->store, ops, count), STATUS_OK);
}

/* The keys of a range, joined by blanks. EXCEPTION: one parameter each for what a range takes. */
static const char *keys(struct bench *bench, uint32_t table, const char *from, const char *to,
                        bool descending, size_t max)
{
    static char text[256];
    struct cstore_row rows[16];
    size_t count = 0, at = 0;
    assert_int_equal(bench->store->vtable->range(bench->store, table, slice_text(from),
                                                 slice_text(to), descending, rows, max, &count,
                                                 &bench->arena),
                     STATUS_OK);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].table, table);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.*s", i ? " " : "",
                               (int)rows[i].key.bytes, (const char *)rows[i].key.at);
    }
    return text;
}

static struct slice value_of(struct bench *bench, uint32_t table, struct slice key)
{
    struct cstore_row row;
    size_t count = 0;
    assert_int_equal(bench->store->vtable->range(bench->store, table, key, key, false, &row, 1,
                                                 &count, &bench->arena),
                     STATUS_OK);
    return count ? row.value : SLICE_EMPTY;
}

static void assert_value(struct bench *bench, uint32_t table, struct slice key, struct slice value)
{
    assert_true(slice_equal(value_of(bench, table, key), value));
}

static void the_last_put_stands(void **state)
{
    struct bench *bench = *state;
    struct cstore_op ops[] = {put(1, TEXT("k"), TEXT("old")), put(1, TEXT("k"), TEXT("new")),
                              put(2, TEXT("k"), TEXT("other table"))};
    commit(bench, ops, 3);
    assert_value(bench, 1, TEXT("k"), TEXT("new"));
    assert_value(bench, 2, TEXT("k"), TEXT("other table"));
    assert_false(ops[0].inserted || ops[1].inserted);
}

static void insert_ignores_what_stands_and_says_so(void **state)
{
    struct bench *bench = *state;
    struct cstore_op ops[] = {insert(1, TEXT("a"), TEXT("1")), insert(1, TEXT("a"), TEXT("2")),
                              put(1, TEXT("b"), TEXT("3")),    insert(1, TEXT("b"), TEXT("4")),
                              removal(1, TEXT("a")),           insert(1, TEXT("a"), TEXT("5"))};
    commit(bench, ops, 6);
    const bool expected[] = {true, false, false, false, false, true};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(ops[i].inserted, expected[i]);
    assert_value(bench, 1, TEXT("a"), TEXT("5"));
    assert_value(bench, 1, TEXT("b"), TEXT("3"));
}

static void ranges_are_closed_ordered_and_bounded(void **state)
{
    struct bench *bench = *state;
    struct cstore_op ops[] = {put(1, TEXT("c"), TEXT("")),  put(1, TEXT("a"), TEXT("")),
                              put(1, TEXT("ab"), TEXT("")), put(1, TEXT("b"), TEXT("")),
                              put(2, TEXT("aa"), TEXT("")), put(1, TEXT("d"), TEXT(""))};
    commit(bench, ops, 6);
    assert_string_equal(keys(bench, 1, "a", "c", false, 16), "a ab b c");
    assert_string_equal(keys(bench, 1, "a", "c", true, 16), "c b ab a");
    assert_string_equal(keys(bench, 1, "a", "c", true, 2), "c b");
    assert_string_equal(keys(bench, 1, "a", "c", false, 1), "a");
    assert_string_equal(keys(bench, 1, "", "zz", false, 16), "a ab b c d");
    assert_string_equal(keys(bench, 1, "x", "z", false, 16), "");
    assert_string_equal(keys(bench, 3, "a", "z", false, 16), "");
}

static void bytes_are_bytes(void **state)
{
    struct bench *bench = *state;
    static uint8_t large[131072];
    const uint8_t low[] = {0}, high[] = {0xff, 0x00, 0x80};
    memset(large, 0xa5, sizeof large);
    struct cstore_op ops[] = {put(1, SLICE_OF(high), SLICE_OF(large)),
                              put(1, SLICE_OF(low), SLICE_EMPTY)};
    commit(bench, ops, 2);
    assert_value(bench, 1, SLICE_OF(high), SLICE_OF(large));
    struct cstore_row rows[2];
    size_t count = 0;
    assert_int_equal(bench->store->vtable->range(bench->store, 1, SLICE_OF(low), SLICE_OF(high),
                                                 false, rows, 2, &count, &bench->arena),
                     STATUS_OK);
    assert_int_equal(count, 2);
    assert_true(slice_equal(rows[0].key, SLICE_OF(low)));
    assert_int_equal(rows[0].value.bytes, 0);
}

static void removing_nothing_is_fine_and_wipe_leaves_nothing(void **state)
{
    struct bench *bench = *state;
    struct cstore_op ops[] = {removal(1, TEXT("k")), put(1, TEXT("a"), TEXT("1")),
                              put(2, TEXT("b"), TEXT("2"))};
    commit(bench, ops, 3);
    commit(bench, NULL, 0);
    assert_int_equal(bench->store->vtable->wipe(bench->store), STATUS_OK);
    assert_string_equal(keys(bench, 1, "", "z", false, 16), "");
    assert_string_equal(keys(bench, 2, "", "z", false, 16), "");
}

static void an_exhausted_arena_is_told(void **state)
{
    struct bench *bench = *state;
    struct cstore_op op = put(1, TEXT("k"), TEXT("0123456789"));
    struct cstore_row row;
    struct arena small;
    size_t count;
    commit(bench, &op, 1);
    arena_init(&small, 4);
    assert_int_equal(bench->store->vtable->range(bench->store, 1, TEXT("a"), TEXT("z"), false, &row,
                                                 1, &count, &small),
                     STATUS_BUSY);
    arena_deinit(&small);
}

/* ---- the file alone ---- */

static void a_file_survives_and_lets_a_reader_in(void **state)
{
    struct bench *bench = *state;
    struct sqlite_store reader;
    struct cstore_op op = put(1, TEXT("k"), TEXT("v"));
    commit(bench, &op, 1);
    assert_int_equal(sqlite_store_open(&reader, bench->path, true, NULL), STATUS_OK);
    struct cstore *writer = bench->store;
    bench->store = &reader.cstore;
    assert_value(bench, 1, TEXT("k"), TEXT("v"));
    assert_int_not_equal(reader.cstore.vtable->commit(&reader.cstore, &op, 1), STATUS_OK);
    sqlite_store_close(&reader);
    bench->store = writer;
    sqlite_store_close(&bench->file);
    assert_int_equal(sqlite_store_open(&bench->file, bench->path, false, NULL), STATUS_OK);
    assert_value(bench, 1, TEXT("k"), TEXT("v"));
}

static void set_by_hand(struct bench *bench, const char *sql)
{
    sqlite3 *db;
    sqlite_store_close(&bench->file);
    assert_int_equal(sqlite3_open(bench->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void a_strange_file_is_refused(void **state)
{
    struct bench *bench = *state;
    struct failure failure;
    set_by_hand(bench, "PRAGMA user_version=2");
    assert_int_equal(sqlite_store_open(&bench->file, bench->path, false, &failure),
                     STATUS_UNSUPPORTED);
    assert_string_equal(failure.text, "the store has version 2, this is 1");
    set_by_hand(bench, "PRAGMA user_version=1; PRAGMA application_id=7");
    assert_int_equal(sqlite_store_open(&bench->file, bench->path, false, &failure), STATUS_CORRUPT);
    sqlite_store_close(&bench->file);
    FILE *file = fopen(bench->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        assert_true(fputs("this is no database ", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(sqlite_store_open(&bench->file, bench->path, false, &failure), STATUS_CORRUPT);
}

/* A batch that fails half-way leaves nothing of itself. */
static void a_failed_batch_leaves_nothing(void **state)
{
    struct bench *bench = *state;
    set_by_hand(bench, "CREATE TRIGGER refuse BEFORE INSERT ON rows WHEN NEW.tbl = 9"
                       " BEGIN SELECT RAISE(ABORT, 'no'); END");
    assert_int_equal(sqlite_store_open(&bench->file, bench->path, false, NULL), STATUS_OK);
    struct cstore_op ops[] = {insert(1, TEXT("a"), TEXT("1")), put(9, TEXT("b"), TEXT("2"))};
    assert_int_not_equal(bench->store->vtable->commit(bench->store, ops, 2), STATUS_OK);
    assert_false(ops[0].inserted);
    assert_string_equal(keys(bench, 1, "", "z", false, 16), "");
    struct cstore_op again = insert(1, TEXT("a"), TEXT("1"));
    commit(bench, &again, 1);
    assert_true(again.inserted);
}

static int open_memory(void **state)
{
    static struct bench bench;
    memset(&bench, 0, sizeof bench);
    arena_init(&bench.arena, 1 << 20);
    memory_cstore_open(&bench.memory);
    bench.store = &bench.memory.cstore;
    *state = &bench;
    return 0;
}

static int open_file(void **state)
{
    struct failure failure = {.text = ""};
    (void)open_memory(state);
    struct bench *bench = *state;
    bench->is_file = true;
    memcpy(bench->folder, "/tmp/parley-cstore-XXXXXX", 26);
    assert_non_null(mkdtemp(bench->folder));
    (void)snprintf(bench->path, sizeof bench->path, "%s/rows", bench->folder);
    if (sqlite_store_open(&bench->file, bench->path, false, &failure) != STATUS_OK)
        fail_msg("%s", failure.text);
    bench->store = &bench->file.cstore;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *bench = *state;
    char command[64];
    memory_cstore_close(&bench->memory);
    arena_deinit(&bench->arena);
    if (!bench->is_file)
        return 0;
    sqlite_store_close(&bench->file);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", bench->folder);
    return system(command);
}

#define BOTH(test)                                            \
    {"memory: " #test, test, open_memory, close_bench, NULL}, \
    {                                                         \
        "sqlite: " #test, test, open_file, close_bench, NULL  \
    }
#define FILE_ONLY(test)                                      \
    {                                                        \
        "sqlite: " #test, test, open_file, close_bench, NULL \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(the_last_put_stands),
        BOTH(insert_ignores_what_stands_and_says_so),
        BOTH(ranges_are_closed_ordered_and_bounded),
        BOTH(bytes_are_bytes),
        BOTH(removing_nothing_is_fine_and_wipe_leaves_nothing),
        BOTH(an_exhausted_arena_is_told),
        FILE_ONLY(a_file_survives_and_lets_a_reader_in),
        FILE_ONLY(a_strange_file_is_refused),
        FILE_ONLY(a_failed_batch_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
