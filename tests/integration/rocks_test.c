/* SPDX-License-Identifier: Apache-2.0
 * The RocksDB adapter beyond its port: how it opens, what its tasks leave on disk, reads that miss
 * the cache, and several handles at once. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rocksdb/c.h>

#include "base/memory.h"
#include "rocks_rig.h"

static struct rocks_rig rig;

static int setup(void **state)
{
    (void)state;
    rig_make(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_remove(&rig);
    return 0;
}

static void reopen(void)
{
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), STATUS_OK);
}

/* ---- open ---- */

static void fresh_once_then_opened(void **state)
{
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig.outcome, ROCKS_FRESH);
    reopen();
    assert_int_equal(rig.outcome, ROCKS_OPENED);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    reopen();
    assert_int_equal(rig.outcome, ROCKS_OPENED);
    assert_int_equal(rig_check(&rig).next, 20);
}

static void a_locked_store_is_said(void **state)
{
    struct rocks_db second;
    enum rocks_outcome outcome;
    struct failure failure;
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rocks_db_open(&second, rig.path, &rig.options, &outcome, &failure),
                     STATUS_CONFLICT);
    assert_non_null(strstr(failure.text, "in use"));
    assert_int_equal(rig_commit(&rig, 0), STATUS_OK);
}

/* Something newer than us writes into the store. */
static void newer_writes(bool family, bool schema)
{
    char *error = NULL;
    const char *names[ROCKS_FAMILIES];
    const rocksdb_options_t *options[ROCKS_FAMILIES];
    rocksdb_column_family_handle_t *handles[ROCKS_FAMILIES];
    rocksdb_options_t *plain = rocksdb_options_create();
    for (size_t i = 0; i < ROCKS_FAMILIES; i++) {
        names[i] = rocks_layouts[i].name;
        options[i] = plain;
    }
    rocksdb_t *rocks = rocksdb_open_column_families(plain, rig.path, ROCKS_FAMILIES, names, options,
                                                    handles, &error);
    assert_null(error);
    rocksdb_writeoptions_t *writing = rocksdb_writeoptions_create();
    if (schema)
        rocksdb_put_cf(rocks, writing, handles[ROCKS_META], "\0schema", 7, "\2\0\0\0", 4, &error);
    assert_null(error);
    if (family)
        rocksdb_column_family_handle_destroy(
            rocksdb_create_column_family(rocks, plain, "tomorrow", &error));
    assert_null(error);
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        rocksdb_column_family_handle_destroy(handles[i]);
    rocksdb_close(rocks);
    rocksdb_writeoptions_destroy(writing);
    rocksdb_options_destroy(plain);
}

static void a_newer_store_is_refused(void **state)
{
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    rig_close(&rig);
    newer_writes(false, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_open(&rig), STATUS_UNSUPPORTED);
        assert_non_null(strstr(rig.failure.text, "newer"));
    }
    newer_writes(true, false);
    assert_int_equal(rig_open(&rig), STATUS_UNSUPPORTED);
    assert_non_null(strstr(rig.failure.text, "tomorrow"));
}

/* ---- rules across a restart ---- */

static struct row_key name_key(uint8_t first)
{
    uint8_t id[ID_BYTES] = {first};
    return row_key_make(TABLE_DIR, id, NULL, DIR_USER);
}

static void put(uint8_t first, uint64_t stamp, const char *text)
{
    struct row_write write = {
        .kind = ROW_PUT, .key = name_key(first), .stamp = stamp, .value = slice_text(text)};
    struct store_request request = {.op = STORE_COMMIT, .writes = &write, .writes_count = 1};
    assert_int_equal(rig_run(&rig, &request), STATUS_OK);
}

static struct row got(uint8_t first)
{
    struct row row;
    struct row_key key = name_key(first);
    struct store_request request = {
        .op = STORE_GET, .keys = &key, .keys_count = 1, .rows = &row, .rows_max = 1};
    assert_int_equal(rig_run(&rig, &request), STATUS_OK);
    return row;
}

static void an_older_stamp_loses_after_a_restart_too(void **state)
{
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    put(1, 50, "new");
    put(2, 70, "other");
    reopen();
    put(1, 40, "old");
    assert_true(slice_equal(got(1).value, slice_text("new")));
    put(1, 60, "newer");
    assert_true(slice_equal(got(1).value, slice_text("newer")));
    put(3, 30, "first");
    assert_int_equal(got(3).stamp, 30);
    assert_int_equal(rig.db.blind, 0); /* all below 70: read first */
    put(3, 90, "last");
    put(4, 91, "last");
    assert_int_equal(rig.db.blind, 2);
}

static void the_directory_comes_in_pages(void **state)
{
    struct row rows[4];
    struct rocks_page page = {.type = DIR_USER, .rows = rows, .rows_max = 4, .arena = &rig.arena};
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint8_t i = 1; i <= 6; i++)
        put(i, i, "user");
    struct row_write name = {.kind = ROW_CLAIM, .key = name_key(3), .value = slice_text("name")};
    name.key.n = DIR_NAME;
    struct store_request request = {.op = STORE_COMMIT, .writes = &name, .writes_count = 1};
    assert_int_equal(rig_run(&rig, &request), STATUS_OK);
    assert_int_equal(rocks_db_page(&rig.db, &page), STATUS_OK);
    assert_int_equal(page.rows_count, 4);
    assert_int_equal(rows[3].key.a[0], 4);
    uint8_t after[ID_BYTES] = {4};
    page.after = after;
    assert_int_equal(rocks_db_page(&rig.db, &page), STATUS_OK);
    assert_int_equal(page.rows_count, 2);
    assert_int_equal(rows[1].key.a[0], 6);
    assert_int_equal(rows[1].key.n, DIR_USER);
}

/* Row i of six, two of a chat, holds the bytes "message N" with N = i mod 5. */
static void messages_put(void)
{
    char text[32];
    for (uint8_t i = 0; i < 6; i++) {
        const uint8_t chat[ID_BYTES] = {(uint8_t)(1 + i / 2)};
        (void)snprintf(text, sizeof text, "head message %8d tail", i % 5);
        struct row_write row = {.kind = ROW_PUT,
                                .key = row_key_make(TABLE_MSG, chat, NULL, 1 + i % 2),
                                .stamp = 100u + i,
                                .value = slice_text(text)};
        struct store_request request = {.op = STORE_COMMIT, .writes = &row, .writes_count = 1};
        assert_int_equal(rig_run(&rig, &request), STATUS_OK);
    }
}

static void a_message_is_found_by_what_it_holds(void **state)
{
    struct rocks_walk walk = {.rows_max = 2};
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    memcpy(walk.wanted, "message        3", ID_BYTES);
    assert_int_equal(rocks_db_walk(&rig.db, &walk, &rig.arena), STATUS_OK);
    assert_true(walk.end && !walk.row.found);
    messages_put();
    walk = (struct rocks_walk){.rows_max = 3};
    memcpy(walk.wanted, "message        3", ID_BYTES);
    assert_int_equal(rocks_db_walk(&rig.db, &walk, &rig.arena), STATUS_OK);
    assert_true(!walk.end && !walk.row.found && walk.looked == 3);
    assert_int_equal(rocks_db_walk(&rig.db, &walk, &rig.arena), STATUS_OK);
    assert_true(walk.row.found && walk.looked == 4);
    assert_int_equal(walk.row.key.a[0], 2);
    assert_int_equal(walk.row.key.n, 2);
    assert_int_equal(walk.row.stamp, 103);
    assert_int_equal(walk.row.value.bytes, 26);
    assert_int_equal(rocks_db_walk(&rig.db, &walk, &rig.arena), STATUS_OK); /* goes on behind it */
    assert_true(walk.end && !walk.row.found && walk.looked == 6);
    struct row_key key = row_key_make(TABLE_MSG, walk.at.a, NULL, 2);
    struct row row;
    struct store_request get = {
        .op = STORE_GET, .keys = &key, .keys_count = 1, .rows = &row, .arena = &rig.arena};
    assert_int_equal(rocks_db_look(&rig.db, &get), STATUS_OK);
    assert_true(row.found && row.stamp == 105);
}

/* ---- tasks ---- */

static void remove_wal(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm %s/*.log", rig.path);
    assert_int_equal(system(command), 0);
}

static void what_was_flushed_needs_no_wal(void **state)
{
    struct rocks_task flush = {.kind = ROCKS_FLUSH};
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint64_t i = 0; i < 30; i++)
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    assert_int_equal(rig_task(&rig, &flush), STATUS_OK);
    assert_int_equal(flush.part.columns[1], 30);
    for (uint64_t i = 30; i < 40; i++)
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    rig_close(&rig);
    remove_wal();
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig_check(&rig).next, 30);
    for (uint64_t i = 30; i < 35; i++) /* the replay */
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    assert_int_equal(rig_check(&rig).next, 35);
}

static void a_checkpoint_is_a_store(void **state)
{
    char folder[96], path[sizeof rig.path];
    struct rocks_task checkpoint = {.kind = ROCKS_CHECKPOINT, .folder = folder};
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/store.1", rig.folder);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint64_t i = 0; i < 30; i++)
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    assert_int_equal(rig_task(&rig, &checkpoint), STATUS_OK);
    assert_int_equal(checkpoint.part.columns[1], 30);
    for (uint64_t i = 30; i < 40; i++)
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    assert_int_not_equal(rig_task(&rig, &checkpoint), STATUS_OK); /* the folder is there */
    assert_int_equal(rig_check(&rig).next, 40);
    rig_close(&rig);
    memcpy(path, rig.path, sizeof path);
    memcpy(rig.path, folder, sizeof rig.path);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig.outcome, ROCKS_OPENED);
    assert_int_equal(rig_check(&rig).next, 30);
    memcpy(rig.path, path, sizeof path);
}

/* ---- threads ---- */

static void a_read_that_misses_comes_from_a_thread(void **state)
{
    struct rocks_task flush = {.kind = ROCKS_FLUSH};
    (void)state;
    rig.options.readers = 3;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    assert_int_equal(rig_task(&rig, &flush), STATUS_OK);
    reopen();
    assert_int_equal(rig_check(&rig).next, 100);
    assert_true(rig.store.missed > 0);
    uint64_t missed = rig.store.missed;
    assert_int_equal(rig_check(&rig).next, 100);
    assert_int_equal(rig.store.missed, missed); /* cached by now */
}

/* More tables than RocksDB opens at once (16): of those it says, asked for the cache alone, that
 * every key is there, with an empty value. */
static void tables_not_yet_open_hide_nothing(void **state)
{
    struct rocks_task flush = {.kind = ROCKS_FLUSH};
    (void)state;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint64_t i = 0; i < 3 * RIG_CHATS; i++) {
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
        assert_int_equal(rig_task(&rig, &flush), STATUS_OK);
        if (i % 3 > 0)
            continue;
        reopen();
        struct rig_finding found = rig_check(&rig);
        assert_int_equal(found.next, i + 1);
        assert_int_equal(found.unreadable, 0);
    }
}

#define HANDLES 4u
#define TURNS   400u

struct party {
    pthread_t thread;
    struct rocks_store store;
    uint32_t number;
};

/* Each thread raises its own mark and a shared one, and reads its own writes back. */
static void *party_run(void *argument)
{
    struct party *party = argument;
    struct store *port = &party->store.port;
    struct store_request *done;
    struct arena arena;
    uint8_t own[ID_BYTES] = {0x20, (uint8_t)party->number}, shared[ID_BYTES] = {0x20, 0xff};
    arena_init(&arena, (size_t)1 << 20);
    for (uint64_t i = 1; i <= TURNS; i++) {
        struct row row;
        struct row_write writes[2] = {
            {.kind = ROW_MAX, .key = row_key_make(TABLE_MARK, own, NULL, 0), .columns = {i}},
            {.kind = ROW_MAX, .key = row_key_make(TABLE_MARK, shared, NULL, 0)}};
        writes[1].columns[party->number % STORE_COLUMNS] = i;
        struct store_request commit = {
            .op = STORE_COMMIT, .writes = writes, .writes_count = 2, .arena = &arena};
        struct store_request read = {.op = STORE_GET,
                                     .keys = &writes[0].key,
                                     .keys_count = 1,
                                     .rows = &row,
                                     .rows_max = 1,
                                     .arena = &arena};
        port->vtable->submit(port, &commit);
        while (port->vtable->poll(port, &done, 1) == 0)
            (void)sched_yield();
        assert_true(done == &commit && commit.status == STATUS_OK);
        port->vtable->submit(port, &read);
        while (port->vtable->poll(port, &done, 1) == 0)
            (void)sched_yield();
        assert_true(done == &read && read.status == STATUS_OK && row.columns[0] == i);
    }
    arena_deinit(&arena);
    return NULL;
}

static void many_handles_one_writer(void **state)
{
    static struct party parties[HANDLES];
    struct row row = {0};
    uint8_t shared[ID_BYTES] = {0x20, 0xff};
    struct row_key key = row_key_make(TABLE_MARK, shared, NULL, 0);
    struct store_request request = {
        .op = STORE_GET, .keys = &key, .keys_count = 1, .rows = &row, .rows_max = 1};
    (void)state;
    rig.options.handles = HANDLES + 1;
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint32_t i = 0; i < HANDLES; i++) {
        parties[i].number = i;
        rocks_store_open(&parties[i].store, &rig.db, NULL);
    }
    for (uint32_t i = 0; i < HANDLES; i++)
        assert_int_equal(pthread_create(&parties[i].thread, NULL, party_run, &parties[i]), 0);
    for (uint32_t i = 0; i < HANDLES; i++)
        assert_int_equal(pthread_join(parties[i].thread, NULL), 0);
    assert_int_equal(rig_run(&rig, &request), STATUS_OK);
    for (uint32_t i = 0; i < HANDLES; i++) {
        assert_int_equal(row.columns[i], TURNS);
        rocks_store_close(&parties[i].store);
    }
}

/* What nobody polled is given back at close. */
/* Who ends gives up requests and their rows as soon as the threads rest. */
static void close_with_requests_in_flight(void **state)
{
    struct row_write *writes = memory_array(64, sizeof *writes);
    struct store_request *requests = memory_array(64, sizeof *requests);
    (void)state;
    assert_true(writes != NULL && requests != NULL);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint8_t i = 0; i < 64; i++) {
        writes[i] =
            (struct row_write){.kind = ROW_PUT, .key = name_key(i), .value = slice_text("x")};
        requests[i] = (struct store_request){
            .op = STORE_COMMIT, .writes = &writes[i], .writes_count = 1, .arena = &rig.arena};
        rig.store.port.vtable->submit(&rig.store.port, &requests[i]);
    }
    rocks_db_rest(&rig.db);
    memory_free(writes);
    memory_free(requests);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint8_t i = 0; i < 64; i++)
        assert_true(got(i).found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fresh_once_then_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_locked_store_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_store_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_stamp_loses_after_a_restart_too, setup, teardown),
        cmocka_unit_test_setup_teardown(the_directory_comes_in_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_is_found_by_what_it_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_flushed_needs_no_wal, setup, teardown),
        cmocka_unit_test_setup_teardown(a_checkpoint_is_a_store, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_that_misses_comes_from_a_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_not_yet_open_hide_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(many_handles_one_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(close_with_requests_in_flight, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
