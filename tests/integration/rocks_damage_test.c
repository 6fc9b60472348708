/* SPDX-License-Identifier: Apache-2.0
 * The RocksDB adapter after a kill and over damaged files. Whatever the damage, it ends in one of
 * storage §4's outcomes: refused with words, or open with all rows that `part` speaks of. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/prng.h"
#include "rocks_rig.h"

#define CYCLES        20
#define FLIPS         30
#define KILL_FORK_ARG "commit"

static struct rocks_rig rig;
static struct prng prng;

static int setup(void **state)
{
    (void)state;
    rig_make(&rig);
    prng_init(&prng, 11);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_remove(&rig);
    return 0;
}

/* ---- killed ---- */

/* The child: commits for ever, from where the store stands, and tells each number when it is done.
 */
static int child(const char *path)
{
    static struct rocks_rig own;
    struct rig_finding found;
    rig_make(&own);
    (void)rmdir(own.folder);
    (void)snprintf(own.path, sizeof own.path, "%s", path);
    if (rig_open(&own) != STATUS_OK) {
        (void)fprintf(stderr, "child: %s\n", own.failure.text);
        return 1;
    }
    found = rig_check(&own);
    for (uint64_t i = found.next;; i++) {
        enum status status = rig_commit(&own, i);
        if (status != STATUS_OK) {
            (void)fprintf(stderr, "child: batch %llu: %s\n", (unsigned long long)i,
                          status_text(status));
            return 1;
        }
        if (write(STDOUT_FILENO, &i, sizeof i) != (ssize_t)sizeof i)
            return 1;
    }
}

static pid_t child_start(int *told)
{
    int ends[2];
    pid_t pid;
    char *const arguments[] = {"rocks_damage_test", KILL_FORK_ARG, rig.path, NULL};
    posix_spawn_file_actions_t actions;
    assert_int_equal(pipe(ends), 0);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    *told = ends[0];
    return pid;
}

/* Let it do `count` batches, kill it, and return one past the last that it told of. */
static uint64_t kill_after(uint64_t count)
{
    int told, how;
    uint64_t number, next = 0;
    pid_t pid = child_start(&told);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(read(told, &number, sizeof number), sizeof number);
        next = number + 1;
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(told, &number, sizeof number) == (ssize_t)sizeof number)
        next = number + 1;
    (void)close(told);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFSIGNALED(how));
    return next;
}

static void a_kill_loses_no_finished_batch(void **state)
{
    uint64_t told = 0;
    (void)state;
    for (int i = 0; i < CYCLES; i++) {
        told = kill_after(1 + prng_below(&prng, 150));
        assert_int_equal(rig_open(&rig), STATUS_OK);
        assert_int_equal(rig.outcome, ROCKS_OPENED);
        struct rig_finding found = rig_check(&rig);
        assert_int_equal(found.unreadable, 0);
        assert_true(found.next >= told);
        rig_close(&rig);
    }
    assert_true(told > 500); /* enough for buffers to be flushed in between */
}

/* ---- damaged ---- */

/* The `number`-th file whose name ends so; its size. */
static size_t file_find(const char *end, size_t number, char out[300])
{
    struct dirent **names = NULL;
    int count = scandir(rig.path, &names, NULL, alphasort);
    struct stat stat_of = {0};
    size_t seen = 0, end_bytes = strlen(end);
    out[0] = '\0';
    for (int i = 0; i < count; i++) {
        size_t bytes = strlen(names[i]->d_name);
        bool match = bytes >= end_bytes && strcmp(names[i]->d_name + bytes - end_bytes, end) == 0;
        if (match && seen++ == number)
            (void)snprintf(out, 300, "%s/%.200s", rig.path, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (out[0] == '\0' || stat(out, &stat_of) != 0)
        return 0;
    return (size_t)stat_of.st_size;
}

static void flip(const char *path, size_t at)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
    (void)fputc(byte ^ 0x10, file);
    assert_int_equal(fclose(file), 0);
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[700];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

/* A store of 60 batches, 30 of them in files, 30 in the write-ahead log; a copy to begin anew. */
static void build(void)
{
    struct rocks_task flush = {.kind = ROCKS_FLUSH};
    assert_int_equal(rig_open(&rig), STATUS_OK);
    for (uint64_t i = 0; i < 60; i++) {
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
        if (i == 29)
            assert_int_equal(rig_task(&rig, &flush), STATUS_OK);
    }
    rig_close(&rig);
    shell("cp -r %s %s.good", rig.path, rig.path);
}

static void restore(void)
{
    rig_close(&rig);
    shell("rm -rf %s %s.wal-*", rig.path, rig.path);
    shell("cp -r %s.good %s", rig.path, rig.path);
}

/* A refusal has words and changes nothing about the next. */
static void assert_refused(enum status status)
{
    assert_int_equal(rig_open(&rig), status);
    assert_int_equal(rig.failure.status, status);
    assert_non_null(strstr(rig.failure.text, "rebuild"));
}

static void a_flipped_wal_opens_as_a_prefix_and_is_kept(void **state)
{
    char log[300], copy[500];
    (void)state;
    build();
    size_t bytes = file_find(".log", 0, log);
    flip(log, bytes / 2);
    (void)snprintf(copy, sizeof copy, "%s.wal-1/%s", rig.path, strrchr(log, '/') + 1);
    shell("cp %s %s.flipped", log, rig.path);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig.outcome, ROCKS_PREFIX);
    struct rig_finding found = rig_check(&rig);
    assert_int_equal(found.unreadable, 0);
    assert_true(found.next > 30 && found.next < 60);
    shell("cmp %s %s.flipped", copy, rig.path);
    for (uint64_t i = found.next; i < 60; i++) /* the replay */
        assert_int_equal(rig_commit(&rig, i), STATUS_OK);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig.outcome, ROCKS_OPENED);
    assert_int_equal(rig_check(&rig).next, 60);
}

static void a_flip_anywhere_in_the_wal_leaves_a_prefix(void **state)
{
    char log[300];
    (void)state;
    build();
    for (int i = 0; i < FLIPS; i++) {
        restore();
        size_t bytes = file_find(".log", 0, log);
        flip(log, (size_t)prng_below(&prng, bytes));
        if (rig_open(&rig) != STATUS_OK) {
            assert_int_equal(rig.failure.status, STATUS_CORRUPT);
            continue;
        }
        struct rig_finding found = rig_check(&rig);
        assert_int_equal(found.unreadable, 0);
        assert_true(found.next >= 30 && found.next <= 60);
    }
}

static void a_wal_cut_or_deleted_leaves_a_prefix(void **state)
{
    char log[300], keep[32];
    (void)state;
    build();
    for (int i = 0; i < FLIPS / 2; i++) {
        restore();
        size_t bytes = file_find(".log", 0, log);
        (void)snprintf(keep, sizeof keep, "%zu", (size_t)prng_below(&prng, bytes));
        shell("truncate -s %s %s", keep, log);
        assert_int_equal(rig_open(&rig), STATUS_OK);
        struct rig_finding found = rig_check(&rig);
        assert_int_equal(found.unreadable, 0);
        assert_true(found.next >= 30 && found.next <= 60);
    }
    restore();
    shell("rm %s/*.log", rig.path);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig_check(&rig).next, 30);
}

static void without_current_it_is_refused_and_kept(void **state)
{
    char table[300];
    (void)state;
    build();
    shell("mv %s/CURRENT %s.current", rig.path, rig.path);
    assert_refused(STATUS_CORRUPT);
    assert_refused(STATUS_CORRUPT);
    assert_true(file_find(".sst", 0, table) > 0);
    shell("mv %s.current %s/CURRENT", rig.path, rig.path);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig_check(&rig).next, 60);
}

static void a_lost_table_is_refused(void **state)
{
    char table[300];
    (void)state;
    build();
    for (size_t i = 0; restore(), file_find(".sst", i, table) > 0; i++) {
        assert_int_equal(unlink(table), 0);
        assert_refused(STATUS_CORRUPT);
    }
}

/* Open or not; read or not: what is read is right. */
static void a_flipped_table_is_never_read_as_absence(void **state)
{
    char table[300];
    uint64_t refused = 0, unreadable = 0;
    (void)state;
    build();
    for (size_t i = 0; i < 3 * FLIPS; i++) {
        restore();
        size_t bytes = file_find(".sst", (size_t)prng_below(&prng, 20), table);
        if (bytes == 0)
            continue;
        flip(table, (size_t)prng_below(&prng, bytes));
        if (rig_open(&rig) == STATUS_OK) {
            unreadable += rig_check(&rig).unreadable;
            continue;
        }
        assert_true(rig.failure.status == STATUS_CORRUPT || rig.failure.status == STATUS_IO);
        refused++;
    }
    assert_true(unreadable > 0);
    print_message("table flips: %llu refused, %llu reads refused\n", (unsigned long long)refused,
                  (unsigned long long)unreadable);
}

/* A flip in a length may look like a torn tail: then RocksDB goes back to an older list of files,
 * and that is a prefix too. */
static void a_flipped_manifest_is_refused_or_a_prefix(void **state)
{
    char manifest[300];
    int refused = 0;
    (void)state;
    build();
    for (int i = 0; i < FLIPS; i++) {
        restore();
        shell("mv %s/MANIFEST-* %s/the.manifest", rig.path, rig.path);
        size_t bytes = file_find(".manifest", 0, manifest);
        flip(manifest, (size_t)prng_below(&prng, bytes));
        shell("mv %s %s/$(cat %s/CURRENT)", manifest, rig.path, rig.path);
        if (rig_open(&rig) == STATUS_OK) {
            assert_int_equal(rig_check(&rig).unreadable, 0);
            continue;
        }
        assert_int_equal(rig.failure.status, STATUS_CORRUPT);
        refused++;
    }
    assert_true(refused > FLIPS / 2);
}

/* ---- checkpoints ---- */

/* What a lost store is built from: opened and read whole, or refused; never less than its name
 * says. */
static void a_damaged_checkpoint_is_refused(void **state)
{
    char folder[100], table[300];
    int refused = 0;
    struct rocks_task task = {.kind = ROCKS_CHECKPOINT, .folder = folder, .numbered = true};
    (void)state;
    build();
    (void)snprintf(folder, sizeof folder, "%s.kept", rig.path);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rig_task(&rig, &task), STATUS_OK);
    assert_int_equal(rig_task(&rig, &task), STATUS_OK); /* it is there */
    rig_close(&rig);
    shell("rm -rf %s.good && mv %s/%016x %s.good", rig.path, folder, 60, rig.path);
    for (int i = 0; i < 2 * FLIPS; i++) {
        restore();
        size_t bytes = file_find(".sst", (size_t)prng_below(&prng, 12), table);
        if (bytes == 0)
            continue;
        if (i % 5 == 4)
            assert_int_equal(unlink(table), 0);
        else
            flip(table, (size_t)prng_below(&prng, bytes));
        enum status status = rig_open(&rig);
        if (status == STATUS_OK)
            status = rocks_db_verify(&rig.db, &rig.failure);
        if (status == STATUS_OK) { /* a byte that nobody needs */
            struct rig_finding found = rig_check(&rig);
            assert_int_equal(found.unreadable, 0);
            assert_int_equal(found.next, 60);
        } else {
            assert_true(status == STATUS_CORRUPT || status == STATUS_IO);
            refused++;
        }
    }
    restore();
    assert_int_equal(rig_open(&rig), STATUS_OK);
    assert_int_equal(rocks_db_verify(&rig.db, &rig.failure), STATUS_OK);
    assert_int_equal(rig_check(&rig).next, 60);
    assert_true(refused > FLIPS);
}

/* ---- a write-ahead log in two files ---- */

/* Kill it while rows of the first file are still being flushed. Returns one past the last number
 * told. */
static uint64_t kill_between_two_files(void)
{
    char log[300];
    int told, how;
    uint64_t number, next = 0;
    shell("rm -rf %s %s.good %s.wal-*", rig.path, rig.path, rig.path);
    pid_t pid = child_start(&told);
    while (file_find(".log", 1, log) == 0) {
        assert_int_equal(read(told, &number, sizeof number), sizeof number);
        next = number + 1;
        assert_true(next < 20000);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(told, &number, sizeof number) == (ssize_t)sizeof number)
        next = number + 1;
    (void)close(told);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    shell("cp -r %s %s.good", rig.path, rig.path);
    return next;
}

static void a_first_file_cut_short_ends_the_log(void **state)
{
    char log[300];
    (void)state;
    for (int i = 0; i < 3; i++) {
        uint64_t told = kill_between_two_files();
        for (int cut = 0; cut < 5; cut++) {
            restore();
            size_t bytes = file_find(".log", 0, log);
            if (cut > 0) /* 0: as it was */
                shell("truncate -s %zu %s", bytes - 1 - (size_t)prng_below(&prng, bytes / 2), log);
            assert_int_equal(rig_open(&rig), STATUS_OK);
            struct rig_finding found = rig_check(&rig);
            assert_int_equal(found.unreadable, 0);
            assert_int_equal(rig.outcome, cut > 0 ? ROCKS_PREFIX : ROCKS_OPENED);
            assert_true(cut > 0 || found.next >= told);
            if (cut > 0)
                shell("test -s %s.wal-1/%s", rig.path, strrchr(log, '/') + 1);
        }
    }
}

/* Unless it was flushed a moment before the kill, and needed no more. */
static void without_the_first_file_it_is_refused(void **state)
{
    char log[300];
    int refused = 0;
    (void)state;
    for (int i = 0; i < 3; i++) {
        uint64_t told = kill_between_two_files();
        assert_true(file_find(".log", 0, log) > 0);
        assert_int_equal(unlink(log), 0);
        if (rig_open(&rig) == STATUS_OK) {
            assert_true(rig_check(&rig).next >= told);
            rig_close(&rig);
            continue;
        }
        assert_int_equal(rig.failure.status, STATUS_CORRUPT);
        assert_non_null(strstr(rig.failure.text, "middle"));
        refused++;
    }
    assert_true(refused > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_kill_loses_no_finished_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_wal_opens_as_a_prefix_and_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_flip_anywhere_in_the_wal_leaves_a_prefix, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wal_cut_or_deleted_leaves_a_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(without_current_it_is_refused_and_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_table_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_table_is_never_read_as_absence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_manifest_is_refused_or_a_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_checkpoint_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_first_file_cut_short_ends_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_first_file_it_is_refused, setup, teardown),
    };
    if (argc == 3 && strcmp(argv[1], KILL_FORK_ARG) == 0)
        return child(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
