/* SPDX-License-Identifier: Apache-2.0
 * Rows kept beside a store, against that store: whatever is answered is what it would answer,
 * however little is kept; memory goes back, and without memory nothing is wrong. */
#include "runtime/hot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"

#define ROWS_MAX  600u
#define CHATS     6
#define USERS     8
#define RANGE_MAX 6u

/* The store: all rows in the order of their keys. */
struct list {
    struct row rows[ROWS_MAX];
    size_t count;
    struct arena arena;
};

static struct row *list_find(struct list *list, const struct row_key *key)
{
    for (size_t i = 0; i < list->count; i++) {
        if (row_key_compare(&list->rows[i].key, key) == 0)
            return &list->rows[i];
    }
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    return row_key_compare(&((const struct row *)a)->key, &((const struct row *)b)->key);
}

static void list_write(struct list *list, const struct row *row)
{
    struct row_write write = {row->key.table == TABLE_MARK ? ROW_MAX : ROW_PUT,
                              row->key,
                              row->stamp,
                              arena_copy(&list->arena, row->value),
                              {0}};
    memcpy(write.columns, row->columns, sizeof write.columns);
    struct row *there = list_find(list, &row->key);
    if (there == NULL) {
        there = &list->rows[list->count++];
        *there = (struct row){.key = row->key};
    }
    (void)row_merge(there, &write);
    qsort(list->rows, list->count, sizeof *list->rows, by_key);
}

static void list_answer(struct list *list, struct fold_want *want, struct arena *arena)
{
    want->rows = ARENA_ARRAY(arena, struct row, want->rows_max);
    want->rows_count = 0;
    if (want->kind == FOLD_GET) {
        const struct row *there = list_find(list, &want->from);
        want->rows_count = 1;
        want->rows[0] = there != NULL ? *there : (struct row){.key = want->from};
        return;
    }
    for (size_t i = 0; i < list->count && want->rows_count < want->rows_max; i++) {
        const struct row *row = &list->rows[i];
        if (row_key_compare(&want->from, &row->key) <= 0 &&
            row_key_compare(&row->key, &want->to) <= 0)
            want->rows[want->rows_count++] = *row;
    }
}

static struct row_key random_key(struct prng *prng)
{
    static const enum table tables[] = {TABLE_CHAT_HEAD, TABLE_SENDER,    TABLE_MEMBER,
                                        TABLE_MARK,      TABLE_USER_HEAD, TABLE_USER_CHAT,
                                        TABLE_MSG,       TABLE_INBOX};
    enum table table = tables[prng_below(prng, 8)];
    uint8_t a[ID_BYTES] = {1, (uint8_t)prng_below(prng, CHATS)};
    uint8_t b[ID_BYTES] = {2, (uint8_t)prng_below(prng, USERS)};
    bool two = table != TABLE_CHAT_HEAD && table != TABLE_USER_HEAD;
    bool number = table == TABLE_MSG || table == TABLE_INBOX;
    return row_key_make(table, a, two && !number ? b : NULL, number ? prng_below(prng, 9) : 0);
}

static struct row random_row(struct prng *prng, uint64_t stamp, uint8_t value[200])
{
    struct row row = {.key = random_key(prng), .found = true};
    if (row.key.table == TABLE_MARK) {
        row.columns[prng_below(prng, 2)] = prng_below(prng, 100);
        return row;
    }
    memset(value, (int)prng_below(prng, 256), 200);
    row.value = slice_make(value, (size_t)prng_range(prng, 1, 200));
    /* sometimes below what is stored: written again after a crash */
    row.stamp = stamp > 5 && prng_chance(prng, 100) ? stamp - 5 : stamp;
    return row;
}

static struct fold_want random_want(struct prng *prng)
{
    struct row_key key = random_key(prng);
    struct fold_want want = {.kind = FOLD_GET, .from = key, .to = key, .rows_max = 1};
    if (key.table != TABLE_MEMBER && key.table != TABLE_MARK)
        return want;
    want.kind = FOLD_RANGE;
    want.rows_max = RANGE_MAX; /* below USERS: what is full may be cut, and is not kept */
    memset(want.to.b, 0xFF, ID_BYTES);
    want.to.n = UINT64_MAX;
    if (prng_chance(prng, 800))
        memset(want.from.b, 0, ID_BYTES);
    return want;
}

static void assert_same(const struct fold_want *a, const struct fold_want *b)
{
    assert_int_equal(a->rows_count, b->rows_count);
    for (size_t i = 0; i < a->rows_count; i++) {
        const struct row *left = &a->rows[i], *right = &b->rows[i];
        assert_int_equal(row_key_compare(&left->key, &right->key), 0);
        assert_int_equal(left->found, right->found);
        assert_int_equal(left->stamp, right->stamp);
        assert_memory_equal(left->columns, right->columns, sizeof left->columns);
        assert_true(slice_equal(left->value, right->value));
    }
}

/* One read as a lane does it: from here, or from the store and learnt. */
static void read_once(struct hot *hot, struct list *list, struct prng *prng, struct arena *arena)
{
    struct fold_want want = random_want(prng), stored = want;
    list_answer(list, &stored, arena);
    if (hot_answer(hot, &want, 1, arena))
        assert_same(&want, &stored);
    else
        hot_learn(hot, &stored);
    assert_true(hot->bytes <= hot->bytes_max);
}

static uint64_t run(uint64_t seed, size_t bytes_max, unsigned fails_every)
{
    static struct list list;
    struct arena arena;
    struct hot hot;
    struct prng prng;
    uint8_t value[200];
    prng_init(&prng, seed);
    list.count = 0;
    arena_init(&list.arena, 64u << 20);
    arena_init(&arena, 1u << 20);
    int64_t blocks = memory_live();
    assert_int_equal(hot_open(&hot, bytes_max), STATUS_OK);
    for (uint64_t step = 1; step < 6000; step++) {
        if (fails_every != 0 && step % fails_every == 0)
            memory_fault_plan(1 + step % 3, false);
        if (prng_chance(&prng, 300)) {
            struct row row = random_row(&prng, step, value);
            memory_fault_plan(0, false);
            list_write(&list, &row);
            if (fails_every != 0 && step % fails_every == 0)
                memory_fault_plan(1, false);
            hot_follow(&hot, &row);
        } else {
            read_once(&hot, &list, &prng, &arena);
        }
        memory_fault_plan(0, false);
        arena_reset(&arena);
    }
    uint64_t answered = hot.answered;
    hot_close(&hot);
    arena_deinit(&arena);
    blocks -= memory_live();
    arena_deinit(&list.arena);
    assert_true(blocks <= 0); /* the list's arena may hold some, hot none */
    return answered;
}

static void what_is_answered_is_what_is_stored(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 8; seed++) {
        assert_true(run(seed, 1u << 20, 0) > 2000);
        assert_true(run(seed, 4000, 0) > 20); /* so little that most gives way */
        assert_int_equal(run(seed, 0, 0), 0);
    }
}

static void without_memory_nothing_is_wrong(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 5; seed++)
        (void)run(seed, 100000, 7);
}

static void memory_goes_back(void **state)
{
    (void)state;
    struct hot hot;
    struct arena arena;
    int64_t blocks = memory_live();
    arena_init(&arena, 1u << 20);
    assert_int_equal(hot_open(&hot, 100000), STATUS_OK);
    for (uint64_t i = 0; i < 5000; i++) {
        uint8_t id[ID_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8)};
        struct row_key key = row_key_make(TABLE_USER_HEAD, id, NULL, 0);
        struct row row = {.key = key};
        struct fold_want want = {FOLD_GET, key, key, 0, 1, &row, 1};
        hot_learn(&hot, &want);
        want.rows = NULL;
        assert_true(hot_answer(&hot, &want, 0, &arena)); /* the newest is always there */
        assert_false(want.rows[0].found);
        arena_reset(&arena);
    }
    assert_true(hot.used > 200 && hot.bytes <= 100000);
    hot_close(&hot);
    arena_deinit(&arena);
    assert_int_equal(memory_live(), blocks);
    hot_close(&hot); /* a zeroed one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_answered_is_what_is_stored),
        cmocka_unit_test(without_memory_nothing_is_wrong),
        cmocka_unit_test(memory_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
