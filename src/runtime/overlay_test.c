/* SPDX-License-Identifier: Apache-2.0
 * The overlay against a list of the same rows: what is written is read, by key and by range,
 * however much a batch holds; memory goes back. */
#include "runtime/overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"

#define ROWS_MAX 6000u

static void an_overlay_takes_its_rows_and_no_more(void **state)
{
    (void)state;
    struct overlay overlay;
    assert_int_equal(overlay_open(&overlay, 100), STATUS_OK);
    for (uint64_t round = 0; round < 2; round++) {
        struct row_write write = {.kind = ROW_PUT, .stamp = 1 + round};
        for (uint64_t n = 0; n < 100; n++) {
            write.key = row_key_make(TABLE_MSG, NULL, NULL, n);
            assert_int_equal(overlay_write(&overlay, &write), STATUS_OK);
        }
        write.key = row_key_make(TABLE_MSG, NULL, NULL, 100);
        assert_int_equal(overlay_write(&overlay, &write), STATUS_BUSY);
        write.key = row_key_make(TABLE_MSG, NULL, NULL, 99); /* a row that is there: written over */
        assert_int_equal(overlay_write(&overlay, &write), STATUS_OK);
        assert_int_equal(overlay.count, 100);
        overlay_reset(&overlay);
    }
    overlay_close(&overlay);
}

static struct row_write random_write(struct prng *prng)
{
    static const enum table tables[] = {TABLE_MSG, TABLE_INBOX, TABLE_MEMBER, TABLE_MARK};
    uint8_t a[ID_BYTES] = {(uint8_t)prng_below(prng, 3)}, b[ID_BYTES] = {0};
    enum table table = tables[prng_below(prng, 4)];
    bool by_number = table == TABLE_MSG || table == TABLE_INBOX;
    b[3] = by_number ? 0 : (uint8_t)prng_below(prng, 250);
    struct row_write write = {
        .kind = table == TABLE_MARK ? ROW_MAX : ROW_PUT,
        .key = row_key_make(table, a, b, by_number ? prng_below(prng, 1500) : 0)};
    if (table == TABLE_MARK)
        write.columns[0] = prng_below(prng, 100);
    else
        write.stamp = 1 + prng_below(prng, 40);
    return write;
}

/* The same rows as a list without any index. */
struct list {
    struct row rows[ROWS_MAX];
    size_t count;
};

static void list_write(struct list *list, const struct row_write *write)
{
    size_t at = 0;
    while (at < list->count && row_key_compare(&list->rows[at].key, &write->key) != 0)
        at++;
    if (at == list->count)
        list->rows[list->count++] = (struct row){.key = write->key};
    (void)row_merge(&list->rows[at], write);
}

static int by_key(const void *a, const void *b)
{
    return row_key_compare(&((const struct row *)a)->key, &((const struct row *)b)->key);
}

static void assert_same(const struct row *a, const struct row *b)
{
    assert_int_equal(row_key_compare(&a->key, &b->key), 0);
    assert_int_equal(a->found, b->found);
    assert_true(a->stamp == b->stamp && a->columns[0] == b->columns[0]);
}

static void ranges_are_those_of_a_list(const struct overlay *overlay, struct list *list,
                                       struct prng *prng, struct arena *arena)
{
    struct row_write from = random_write(prng);
    struct fold_want want = {
        .kind = prng_chance(prng, 300) && from.key.table == TABLE_MSG ? FOLD_BY_STAMP : FOLD_RANGE,
        .from = from.key,
        .to = from.key,
        .stamp = 1 + prng_below(prng, 40),
        .rows_max = 1 + prng_below(prng, 600)};
    memset(want.to.b, 0xFF, ID_BYTES);
    want.to.n += prng_below(prng, 700);
    assert_int_equal(overlay_merge(overlay, &want, arena), STATUS_OK);
    size_t at = 0;
    for (size_t i = 0; i < list->count && at < want.rows_max; i++) {
        const struct row *row = &list->rows[i];
        bool in = want.kind == FOLD_BY_STAMP
                      ? row->key.table == TABLE_MSG && row->stamp == want.stamp &&
                            memcmp(row->key.a, want.from.a, ID_BYTES) == 0
                      : row_key_compare(&want.from, &row->key) <= 0 &&
                            row_key_compare(&row->key, &want.to) <= 0;
        if (in) {
            assert_true(at < want.rows_count);
            assert_same(&want.rows[at++], row);
        }
    }
    assert_int_equal(at, want.rows_count);
}

static void it_reads_as_a_list_of_rows(void **state)
{
    static struct list list;
    struct overlay overlay;
    struct arena arena;
    struct prng prng;
    (void)state;
    prng_init(&prng, 11);
    arena_init(&arena, 1u << 24);
    assert_int_equal(overlay_open(&overlay, ROWS_MAX), STATUS_OK);
    for (int round = 0; round < 12; round++) {
        list.count = 0;
        size_t writes = round % 3 == 0 ? 4500 : prng_below(&prng, 400);
        for (size_t i = 0; i < writes; i++) {
            struct row_write write = random_write(&prng);
            list_write(&list, &write);
            assert_int_equal(overlay_write(&overlay, &write), STATUS_OK);
        }
        assert_int_equal(overlay.count, list.count);
        qsort(list.rows, list.count, sizeof list.rows[0], by_key);
        for (size_t i = 0; i < list.count; i++) {
            struct fold_want want = {.kind = FOLD_GET, .from = list.rows[i].key, .rows_max = 1};
            assert_int_equal(overlay_merge(&overlay, &want, &arena), STATUS_OK);
            assert_same(&want.rows[0], &list.rows[i]);
        }
        for (int i = 0; i < 100; i++)
            ranges_are_those_of_a_list(&overlay, &list, &prng, &arena);
        overlay_reset(&overlay);
        arena_reset(&arena);
    }
    overlay_close(&overlay);
    arena_deinit(&arena);
}

static void memory_of_a_large_batch_goes_back(void **state)
{
    struct overlay overlay;
    struct row_write write = {.kind = ROW_PUT, .stamp = 1};
    (void)state;
    int64_t before = memory_live();
    assert_int_equal(overlay_open(&overlay, 100000), STATUS_OK);
    int64_t at_rest = memory_live();
    for (int round = 0; round < 2; round++) {
        for (uint64_t n = 0; n < 50000; n++) {
            write.key = row_key_make(TABLE_MSG, NULL, NULL, n);
            assert_int_equal(overlay_write(&overlay, &write), STATUS_OK);
        }
        overlay_reset(&overlay);
        assert_true(memory_live() - at_rest <= OVERLAY_KEPT / OVERLAY_CHUNK_ROWS);
    }
    overlay_close(&overlay);
    assert_int_equal(memory_live(), before);
}

static void without_memory_it_says_busy(void **state)
{
    struct overlay overlay;
    struct row_write write = {.kind = ROW_PUT, .stamp = 1};
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        int64_t before = memory_live();
        memory_fault_plan(nth, true);
        enum status status = overlay_open(&overlay, 5000);
        bool opened = status == STATUS_OK;
        for (uint64_t n = 0; n < 5000 && status == STATUS_OK; n++) {
            write.key = row_key_make(TABLE_MSG, NULL, NULL, n);
            status = overlay_write(&overlay, &write);
        }
        bool fired = memory_fault_fired();
        memory_fault_plan(0, false);
        assert_int_equal(status, fired ? STATUS_BUSY : STATUS_OK);
        if (opened)
            overlay_close(&overlay);
        assert_int_equal(memory_live(), before);
        if (!fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overlay_takes_its_rows_and_no_more),
        cmocka_unit_test(it_reads_as_a_list_of_rows),
        cmocka_unit_test(memory_of_a_large_batch_goes_back),
        cmocka_unit_test(without_memory_it_says_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
