/* SPDX-License-Identifier: Apache-2.0
 * What every file port promises (ports/file.h), asked of the posix adapter in a fresh folder and of
 * the simulated disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/posix/file.h"
#include "base/memory.h"
#include "sim/disk.h"

#define DEADLINE_MS 20000

struct subject {
    struct file_port *port;
    struct disk *disk; /* NULL: posix */
    struct posix_file *posix;
    char path[64];
};

static struct subject subject;

static int posix_up(void **state)
{
    (void)state;
    struct failure failure;
    subject = (struct subject){.posix = memory_alloc(sizeof *subject.posix)};
    (void)snprintf(subject.path, sizeof subject.path, "/tmp/parley-file-XXXXXX");
    assert_non_null(mkdtemp(subject.path));
    assert_int_equal(posix_file_open(subject.posix, subject.path, NULL, &failure), STATUS_OK);
    subject.port = &subject.posix->port;
    return 0;
}

static int posix_down(void **state)
{
    (void)state;
    char command[128];
    posix_file_close(subject.posix);
    memory_free(subject.posix);
    (void)snprintf(command, sizeof command, "rm -rf %s", subject.path);
    return system(command);
}

static int disk_up(void **state)
{
    (void)state;
    struct disk_options options = disk_options_cruel();
    subject = (struct subject){.disk = memory_alloc(sizeof *subject.disk)};
    disk_init(subject.disk, &options, 7);
    subject.port = &subject.disk->port;
    return 0;
}

static int disk_down(void **state)
{
    (void)state;
    disk_deinit(subject.disk);
    memory_free(subject.disk);
    return 0;
}

/* Let time pass until a completion may be there. */
static void wait_a_bit(void)
{
    if (subject.disk != NULL)
        disk_advance(subject.disk, disk_next_due_us(subject.disk));
    else
        posix_file_wait(subject.posix, DEADLINE_MS);
}

static size_t poll_one(struct file_request **done)
{
    for (int i = 0; i < 1000; i++) {
        size_t count = subject.port->vtable->poll(subject.port, done, 1);
        if (count > 0)
            return count;
        wait_a_bit();
    }
    return 0;
}

static enum status call(struct file_request *request, enum file_op op)
{
    struct file_request *done;
    request->op = op;
    request->token = 77;
    subject.port->vtable->submit(subject.port, request);
    assert_int_equal(poll_one(&done), 1);
    assert_ptr_equal(done, request);
    assert_int_equal(done->token, 77);
    return done->status;
}

static enum status call_name(struct file_request *request, enum file_op op, const char *name)
{
    (void)snprintf(request->name, sizeof request->name, "%s", name);
    return call(request, op);
}

static uint32_t create(const char *name, uint64_t bytes)
{
    struct file_request request = {.bytes = bytes};
    assert_int_equal(call_name(&request, FILE_CREATE, name), STATUS_OK);
    return request.file;
}

static enum status write_with(enum file_op op, uint32_t file, uint64_t at, struct slice from)
{
    struct file_request request = {.file = file, .at = at, .from = from};
    return call(&request, op);
}

static enum status write_at(uint32_t file, uint64_t at, struct slice from)
{
    return write_with(FILE_WRITE, file, at, from);
}

static uint64_t read_at(uint32_t file, uint64_t at, uint8_t *into, size_t bytes)
{
    struct file_request request = {.file = file, .at = at, .into = into, .into_bytes = bytes};
    assert_int_equal(call(&request, FILE_READ), STATUS_OK);
    return request.bytes;
}

static void test_create(void **state)
{
    (void)state;
    uint8_t bytes[5000], zeros[5000] = {0};
    uint32_t file = create("log/a", 5000);
    assert_int_equal(read_at(file, 0, bytes, sizeof bytes), 5000);
    assert_memory_equal(bytes, zeros, sizeof zeros);
    assert_int_equal(write_at(file, 10, SLICE_LITERAL("hello")), STATUS_OK);
    struct file_request again = {.bytes = 9};
    assert_int_equal(call_name(&again, FILE_CREATE, "log/a"), STATUS_CONFLICT);
    assert_int_equal(read_at(file, 10, bytes, 5), 5);
    assert_memory_equal(bytes, "hello", 5); /* the one that stood there is untouched */
    (void)create("log/large", 1024 * 1024 + 1);
    struct file_request open = {0};
    assert_int_equal(call_name(&open, FILE_OPEN, "log/large"), STATUS_OK);
    assert_int_equal(open.bytes, 1024 * 1024 + 1);
    assert_int_equal(read_at(open.file, 1024 * 1024, bytes, 10), 1);
}

static void test_open(void **state)
{
    (void)state;
    struct file_request request = {0};
    assert_int_equal(call_name(&request, FILE_OPEN, "log/none"), STATUS_NOT_FOUND);
    assert_int_equal(call_name(&request, FILE_OPEN, "none/none"), STATUS_NOT_FOUND);
    uint32_t first = create("plain", 100);
    assert_int_equal(call_name(&request, FILE_OPEN, "plain"), STATUS_OK);
    assert_int_equal(request.bytes, 100);
    assert_int_equal(write_at(first, 0, SLICE_LITERAL("seen")), STATUS_OK);
    uint8_t bytes[4];
    assert_int_equal(read_at(request.file, 0, bytes, 4), 4); /* unsynced writes are read back */
    assert_memory_equal(bytes, "seen", 4);
    subject.port->vtable->close(subject.port, request.file);
    subject.port->vtable->close(subject.port, first);
}

static void test_edges(void **state)
{
    (void)state;
    uint8_t bytes[100];
    uint32_t file = create("log/edges", 100);
    static const struct {
        uint64_t at;
        size_t bytes;
        enum status write;
        uint64_t read;
    } rows[] = {
        {0, 100, STATUS_OK, 100},    {99, 1, STATUS_OK, 1},
        {100, 0, STATUS_OK, 0},      {99, 2, STATUS_INVALID, 1},
        {100, 1, STATUS_INVALID, 0}, {101, 0, STATUS_INVALID, 0},
        {0, 0, STATUS_OK, 0},        {1u << 30, 1, STATUS_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice from = slice_make(bytes, rows[i].bytes);
        assert_int_equal(write_at(file, rows[i].at, from), rows[i].write);
        assert_int_equal(write_with(FILE_WRITE_SYNC, file, rows[i].at, from), rows[i].write);
        assert_int_equal(read_at(file, rows[i].at, bytes, rows[i].bytes), rows[i].read);
    }
    struct file_request sync = {.file = file};
    assert_int_equal(call(&sync, FILE_SYNC), STATUS_OK);
}

static void test_list(void **state)
{
    (void)state;
    char names[3][FILE_NAME_BYTES];
    struct file_request request = {.names = names, .names_max = 3};
    assert_int_equal(call_name(&request, FILE_LIST, "log"), STATUS_OK);
    assert_int_equal(request.bytes, 0);
    (void)create("log/b", 1);
    (void)create("log/c", 1);
    (void)create("log/a", 1);
    (void)create("other", 1);
    assert_int_equal(call_name(&request, FILE_LIST, "log"), STATUS_OK);
    assert_int_equal(request.bytes, 3);
    assert_string_equal(names[0], "log/a");
    assert_string_equal(names[1], "log/b");
    assert_string_equal(names[2], "log/c");
    request.names_max = 2;
    assert_int_equal(call_name(&request, FILE_LIST, "log"), STATUS_TOO_LARGE);
}

static void test_rename_delete(void **state)
{
    (void)state;
    uint8_t bytes[4];
    uint32_t file = create("log/old", 10);
    assert_int_equal(write_at(file, 0, SLICE_LITERAL("move")), STATUS_OK);
    struct file_request request = {0};
    (void)snprintf(request.to, sizeof request.to, "log/new");
    assert_int_equal(call_name(&request, FILE_RENAME, "log/old"), STATUS_OK);
    assert_int_equal(call_name(&request, FILE_RENAME, "log/old"), STATUS_NOT_FOUND);
    assert_int_equal(call_name(&request, FILE_OPEN, "log/old"), STATUS_NOT_FOUND);
    assert_int_equal(read_at(file, 0, bytes, 4), 4); /* the handle stays good */
    assert_memory_equal(bytes, "move", 4);
    assert_int_equal(call_name(&request, FILE_DELETE, "log/new"), STATUS_OK);
    assert_int_equal(call_name(&request, FILE_DELETE, "log/new"), STATUS_NOT_FOUND);
}

/* Many in flight at once: each comes back once, and reads see their bytes. */
static void test_many(void **state)
{
    (void)state;
    enum { COUNT = 64, EACH = 64 };
    static struct file_request requests[COUNT];
    static uint8_t into[COUNT][EACH];
    static uint8_t from[COUNT][EACH];
    uint32_t file = create("log/many", COUNT * EACH);
    struct file_request *done;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            memset(from[i], (int)i, EACH);
            requests[i] = (struct file_request){.op = pass == 0 ? FILE_WRITE : FILE_READ,
                                                .token = i,
                                                .file = file,
                                                .at = (uint64_t)i * EACH,
                                                .from = slice_make(from[i], EACH),
                                                .into = into[i],
                                                .into_bytes = EACH};
            subject.port->vtable->submit(subject.port, &requests[i]);
        }
        uint64_t seen = 0;
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(poll_one(&done), 1);
            assert_int_equal(done->status, STATUS_OK);
            assert_true((seen & 1ull << done->token) == 0);
            seen |= 1ull << done->token;
        }
        assert_true(seen == UINT64_MAX);
    }
    assert_memory_equal(from, into, sizeof into);
    assert_int_equal(subject.port->vtable->poll(subject.port, &done, 1), 0);
}

/* Reads and writes go on while a large file is made. */
static void test_create_beside(void **state)
{
    (void)state;
    uint8_t bytes[4];
    uint32_t file = create("log/small", 10);
    struct file_request large = {.op = FILE_CREATE, .token = 1, .bytes = 8 << 20};
    (void)snprintf(large.name, sizeof large.name, "log/made");
    subject.port->vtable->submit(subject.port, &large);
    struct file_request write = {
        .op = FILE_WRITE, .token = 2, .file = file, .from = SLICE_LITERAL("ping")};
    subject.port->vtable->submit(subject.port, &write);
    struct file_request *done;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(poll_one(&done), 1);
        assert_int_equal(done->status, STATUS_OK);
    }
    assert_int_equal(read_at(file, 0, bytes, 4), 4);
    assert_memory_equal(bytes, "ping", 4);
}

/* --- the posix adapter alone --- */

static void test_lock(void **state)
{
    (void)state;
    struct failure failure = {0};
    int first, second;
    assert_int_equal(posix_lock_folder(subject.path, &first, &failure), STATUS_OK);
    assert_int_equal(posix_lock_folder(subject.path, &second, &failure), STATUS_CONFLICT);
    assert_non_null(strstr(failure.text, "in use by process"));
    posix_unlock_folder(first);
    assert_int_equal(posix_lock_folder(subject.path, &second, &failure), STATUS_OK);
    posix_unlock_folder(second);
    assert_int_equal(posix_lock_folder("/nowhere/at/all", &first, &failure), STATUS_IO);
}

/* A file whose making was cut off is not there. */
static void test_part_hidden(void **state)
{
    (void)state;
    char path[128];
    char names[4][FILE_NAME_BYTES];
    (void)create("log/a", 1);
    (void)snprintf(path, sizeof path, "%s/log/b.part", subject.path);
    FILE *part = fopen(path, "w");
    assert_non_null(part);
    (void)fclose(part);
    struct file_request request = {.names = names, .names_max = 4};
    assert_int_equal(call_name(&request, FILE_LIST, "log"), STATUS_OK);
    assert_int_equal(request.bytes, 1);
    (void)create("log/b", 3);
    assert_int_equal(call_name(&request, FILE_LIST, "log"), STATUS_OK);
    assert_int_equal(request.bytes, 2);
}

/* --- the simulated disk alone --- */

static void test_crash_keeps_synced(void **state)
{
    (void)state;
    static uint8_t bytes[64 * 1024], from[64 * 1024];
    memset(from, 0x5a, sizeof from);
    uint32_t file = create("log/s", sizeof from);
    assert_int_equal(write_at(file, 0, slice_make(from, sizeof from)), STATUS_OK);
    struct file_request sync = {.file = file};
    assert_int_equal(call(&sync, FILE_SYNC), STATUS_OK);
    uint8_t newer[64 * 1024];
    memset(newer, 0xa5, sizeof newer);
    assert_int_equal(write_at(file, 0, slice_make(newer, 32 * 1024)), STATUS_OK);
    disk_crash(subject.disk);
    struct file_request open = {0};
    assert_int_equal(call_name(&open, FILE_OPEN, "log/s"), STATUS_OK);
    (void)read_at(open.file, 0, bytes, sizeof bytes);
    assert_memory_equal(bytes + 32 * 1024, from, 32 * 1024); /* synced and not written since */
    size_t kept = 0, dropped = 0;
    for (size_t i = 0; i < 64; i++) {
        kept += bytes[i * 512] == 0xa5 && bytes[i * 512 + 511] == 0xa5;
        dropped += bytes[i * 512] == 0x5a && bytes[i * 512 + 511] == 0x5a;
    }
    assert_true(kept > 0 && dropped > 0 && kept + dropped < 64); /* some are torn */
}

/* Written and synced by one request; cut off before it came back, it may be anything. */
static void test_write_sync(void **state)
{
    (void)state;
    static uint8_t bytes[64 * 1024], from[64 * 1024];
    memset(from, 0x5a, sizeof from);
    uint32_t file = create("log/w", sizeof from);
    struct slice whole = slice_make(from, sizeof from);
    assert_int_equal(write_with(FILE_WRITE_SYNC, file, 0, whole), STATUS_OK);
    disk_crash(subject.disk);
    struct file_request open = {0};
    assert_int_equal(call_name(&open, FILE_OPEN, "log/w"), STATUS_OK);
    (void)read_at(open.file, 0, bytes, sizeof bytes);
    assert_memory_equal(bytes, from, sizeof from);
    memset(from, 0xa5, sizeof from);
    struct file_request cut = {.op = FILE_WRITE_SYNC, .file = open.file, .from = whole};
    subject.port->vtable->submit(subject.port, &cut);
    for (int i = 0; i < 2; i++) { /* the write is done, its sync is not */
        struct file_request *done;
        assert_int_equal(subject.port->vtable->poll(subject.port, &done, 1), 0);
        if (i == 0)
            disk_advance(subject.disk, disk_next_due_us(subject.disk));
    }
    disk_crash(subject.disk);
    assert_int_equal(call_name(&open, FILE_OPEN, "log/w"), STATUS_OK);
    (void)read_at(open.file, 0, bytes, sizeof bytes);
    assert_memory_not_equal(bytes, from, sizeof from);
}

/* Each half may fail, and then the whole has. */
static void test_failed_write_sync(void **state)
{
    (void)state;
    uint32_t file = create("log/h", 512);
    for (uint64_t half = 1; half <= 2; half++) {
        disk_fail_plan(subject.disk, half, false);
        assert_int_equal(write_with(FILE_WRITE_SYNC, file, 0, SLICE_LITERAL("half")), STATUS_IO);
        assert_true(subject.disk->fail_fired);
    }
}

static void test_failed_sync_is_final(void **state)
{
    (void)state;
    static uint8_t bytes[32 * 1024], from[32 * 1024];
    memset(from, 0x5a, sizeof from);
    uint32_t file = create("log/f", sizeof from);
    assert_int_equal(write_at(file, 0, slice_make(from, sizeof from)), STATUS_OK);
    disk_fail_plan(subject.disk, 1, false);
    struct file_request sync = {.file = file};
    assert_int_equal(call(&sync, FILE_SYNC), STATUS_IO);
    assert_int_equal(call(&sync, FILE_SYNC), STATUS_OK); /* and means nothing */
    disk_crash(subject.disk);
    assert_int_equal(call_name(&sync, FILE_OPEN, "log/f"), STATUS_OK);
    (void)read_at(sync.file, 0, bytes, sizeof bytes);
    assert_memory_not_equal(bytes, from, sizeof from);
}

static void test_disk_full(void **state)
{
    (void)state;
    subject.disk->options.capacity_bytes = 1000;
    (void)create("log/a", 600);
    struct file_request request = {.bytes = 600};
    assert_int_equal(call_name(&request, FILE_CREATE, "log/b"), STATUS_TOO_LARGE);
    assert_int_equal(call_name(&request, FILE_OPEN, "log/b"), STATUS_NOT_FOUND);
    assert_int_equal(call_name(&request, FILE_DELETE, "log/a"), STATUS_OK);
    (void)create("log/b", 600);
}

#define ON(test, which) cmocka_unit_test_setup_teardown(test, which##_up, which##_down)
#define BOTH(test)      ON(test, posix), ON(test, disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_create),
        BOTH(test_open),
        BOTH(test_edges),
        BOTH(test_list),
        BOTH(test_rename_delete),
        BOTH(test_many),
        BOTH(test_create_beside),
        ON(test_lock, posix),
        ON(test_part_hidden, posix),
        ON(test_crash_keeps_synced, disk),
        ON(test_write_sync, disk),
        ON(test_failed_write_sync, disk),
        ON(test_failed_sync_is_final, disk),
        ON(test_disk_full, disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
