/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/assert.h"
#include "rocks_rig.h"

#define PAGE 100u

static void wake(struct waker *waker)
{
    (void)sem_post(&((struct rocks_rig *)waker)->woken);
}

static const struct waker_vtable waker_vtable = {wake};

static void await(struct rocks_rig *rig)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RIG_DEADLINE_S;
    int late = sem_clockwait(&rig->woken, CLOCK_MONOTONIC, &until);
    assert(late == 0);
}

void rig_make(struct rocks_rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->waker.vtable = &waker_vtable;
    (void)sem_init(&rig->woken, 0, 0);
    (void)snprintf(rig->folder, sizeof rig->folder, "/tmp/parley-rocks-XXXXXX");
    const char *made = mkdtemp(rig->folder);
    assert(made != NULL);
    (void)snprintf(rig->path, sizeof rig->path, "%s/store", rig->folder);
    rig->options = rocks_options_default();
    rig->options.waker = &rig->waker;
    arena_init(&rig->arena, (size_t)64 << 20);
}

void rig_remove(struct rocks_rig *rig)
{
    char command[96];
    rig_close(rig);
    arena_deinit(&rig->arena);
    (void)sem_destroy(&rig->woken);
    (void)snprintf(command, sizeof command, "rm -rf %s", rig->folder);
    int result = system(command);
    assert(result == 0);
}

enum status rig_open(struct rocks_rig *rig)
{
    enum status status =
        rocks_db_open(&rig->db, rig->path, &rig->options, &rig->outcome, &rig->failure);
    rig->is_open = status == STATUS_OK;
    if (rig->is_open)
        rocks_store_open(&rig->store, &rig->db, &rig->waker);
    return status;
}

void rig_close(struct rocks_rig *rig)
{
    if (!rig->is_open)
        return;
    rocks_store_close(&rig->store);
    rocks_db_close(&rig->db);
    rig->is_open = false;
}

enum status rig_run(struct rocks_rig *rig, struct store_request *request)
{
    struct store_request *done = NULL;
    request->arena = &rig->arena;
    rig->store.port.vtable->submit(&rig->store.port, request);
    while (rig->store.port.vtable->poll(&rig->store.port, &done, 1) == 0)
        await(rig);
    assert(done == request);
    return request->status;
}

enum status rig_task(struct rocks_rig *rig, struct rocks_task *task)
{
    task->part.key = rig_part();
    enum status status = rocks_db_task(&rig->db, task);
    assert(status == STATUS_OK);
    while (rocks_db_task_done(&rig->db) != task)
        await(rig);
    return task->status;
}

/* ---- batches ---- */

struct row_key rig_part(void)
{
    return row_key_make(TABLE_META, NULL, NULL, META_PART);
}

static struct row_key key_of(enum table table, uint64_t chat, uint64_t n)
{
    uint8_t id[ID_BYTES] = {0x10, (uint8_t)chat};
    return row_key_make(table, id, NULL, n);
}

/* Hardly compressible, and known from its number alone. */
static void text_fill(uint64_t batch, uint64_t n, uint8_t out[RIG_TEXT_BYTES])
{
    uint64_t state = (batch + 1) * UINT64_C(0x9e3779b97f4a7c15) + n;
    for (size_t i = 0; i < RIG_TEXT_BYTES; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        out[i] = (uint8_t)(state >> 56);
    }
}

enum status rig_commit(struct rocks_rig *rig, uint64_t number)
{
    static uint8_t texts[RIG_ROWS][RIG_TEXT_BYTES];
    uint64_t chat = number % RIG_CHATS, first = number / RIG_CHATS * RIG_ROWS + 1;
    uint64_t last = first + RIG_ROWS - 1, stamp = row_stamp(1, number);
    struct row_write writes[RIG_ROWS + 3];
    for (uint64_t i = 0; i < RIG_ROWS; i++) {
        text_fill(number, first + i, texts[i]);
        writes[i] = (struct row_write){.kind = ROW_PUT,
                                       .key = key_of(TABLE_MSG, chat, first + i),
                                       .stamp = stamp,
                                       .value = SLICE_OF(texts[i])};
    }
    writes[RIG_ROWS] = (struct row_write){.kind = ROW_PUT,
                                          .key = key_of(TABLE_CHAT_HEAD, chat, 0),
                                          .stamp = stamp,
                                          .value = SLICE_OF(last)};
    writes[RIG_ROWS + 1] = (struct row_write){
        .kind = ROW_MAX, .key = key_of(TABLE_MARK, chat, 0), .columns = {last, last - 1}};
    writes[RIG_ROWS + 2] =
        (struct row_write){.kind = ROW_MAX, .key = rig_part(), .columns = {1, number + 1}};
    struct store_request request = {
        .op = STORE_COMMIT, .writes = writes, .writes_count = RIG_ROWS + 3};
    while (rig_run(rig, &request) == STATUS_BUSY)
        continue;
    return request.status;
}

/* ---- what is there ---- */

static bool readable(struct rig_finding *finding, enum status status)
{
    if (status == STATUS_OK)
        return true;
    assert_true(status == STATUS_CORRUPT || status == STATUS_IO);
    finding->unreadable++;
    return false;
}

static bool get(struct rocks_rig *rig, struct rig_finding *finding, struct row *row)
{
    struct row_key key = row->key;
    struct store_request request = {
        .op = STORE_GET, .keys = &key, .keys_count = 1, .rows = row, .rows_max = 1};
    return readable(finding, rig_run(rig, &request));
}

static void check_row(const struct row *row, uint64_t chat, uint64_t n)
{
    uint8_t text[RIG_TEXT_BYTES];
    uint64_t batch = (n - 1) / RIG_ROWS * RIG_CHATS + chat;
    text_fill(batch, n, text);
    assert_int_equal(row->key.n, n);
    assert_true(row->stamp == row_stamp(1, batch));
    assert_true(slice_equal(row->value, SLICE_OF(text)));
}

static void check_messages(struct rocks_rig *rig, struct rig_finding *finding, uint64_t chat,
                           uint64_t last)
{
    static struct row rows[PAGE];
    for (uint64_t n = 1;;) {
        struct row_key keys[2] = {key_of(TABLE_MSG, chat, n), key_of(TABLE_MSG, chat, UINT64_MAX)};
        struct store_request request = {
            .op = STORE_RANGE, .keys = keys, .keys_count = 2, .rows = rows, .rows_max = PAGE};
        arena_reset(&rig->arena);
        if (!readable(finding, rig_run(rig, &request)))
            return;
        for (size_t i = 0; i < request.rows_count; i++)
            check_row(&rows[i], chat, n++);
        if (request.rows_count < PAGE) {
            assert_int_equal(n, last + 1);
            return;
        }
    }
}

struct rig_finding rig_check(struct rocks_rig *rig)
{
    struct rig_finding finding = {0};
    struct row part = {.key = rig_part()};
    arena_reset(&rig->arena);
    if (!get(rig, &finding, &part))
        return finding;
    finding.next = part.columns[1];
    for (uint64_t chat = 0; chat < RIG_CHATS; chat++) {
        uint64_t batches = finding.next / RIG_CHATS + (finding.next % RIG_CHATS > chat);
        uint64_t last = batches * RIG_ROWS;
        struct row head = {.key = key_of(TABLE_CHAT_HEAD, chat, 0)};
        struct row mark = {.key = key_of(TABLE_MARK, chat, 0)};
        if (get(rig, &finding, &head)) {
            assert_int_equal(head.found, last > 0);
            assert_true(!head.found || slice_equal(head.value, SLICE_OF(last)));
        }
        if (get(rig, &finding, &mark))
            assert_int_equal(mark.columns[0], last);
        check_messages(rig, &finding, chat, last);
    }
    assert_true(finding.unreadable == 0 || rocks_db_damaged(&rig->db)); /* and it is said */
    return finding;
}
