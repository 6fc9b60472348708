/* SPDX-License-Identifier: Apache-2.0
 * The contract of the store port (storage §11), over any adapter (store_contract.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store_contract.h"

static struct store *store;
static struct arena arena;

static int open_store(void **state)
{
    (void)state;
    store = contract_store_open();
    arena_init(&arena, (size_t)64 << 20);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    contract_store_close();
    arena_deinit(&arena);
    return 0;
}

static void run(struct store_request *request)
{
    struct store_request *done = NULL;
    request->arena = &arena;
    store->vtable->submit(store, request);
    while (store->vtable->poll(store, &done, 1) == 0)
        continue;
    assert_ptr_equal(done, request);
    assert_int_equal(request->status, STATUS_OK);
}

static void put_all(const struct row_write *writes, size_t count)
{
    struct store_request request = {.op = STORE_COMMIT, .writes = writes, .writes_count = count};
    run(&request);
}

static struct row get_one(struct row_key key)
{
    struct row row;
    struct store_request request = {
        .op = STORE_GET, .keys = &key, .keys_count = 1, .rows = &row, .rows_max = 1};
    run(&request);
    return row;
}

static const uint8_t id_a[ID_BYTES] = {1}, id_b[ID_BYTES] = {2};

static struct row_write put(struct row_key key, uint64_t stamp, const char *text)
{
    return (struct row_write){ROW_PUT, key, stamp, slice_text(text), {0}};
}

static void higher_stamp_wins(void **state)
{
    (void)state;
    struct row_key key = row_key_make(TABLE_CHAT_HEAD, id_a, NULL, 0);
    struct row_write writes[] = {put(key, 5, "five"), put(key, 9, "nine"), put(key, 7, "seven"),
                                 put(key, 5, "five")};
    put_all(writes, 4);
    struct row row = get_one(key);
    assert_true(row.found);
    assert_true(slice_equal(row.value, slice_text("nine")));
    assert_int_equal(row.stamp, 9);
    struct row_write again = put(key, 9, "nine, longer than before, much longer than 32 bytes");
    put_all(&again, 1);
    assert_true(slice_equal(get_one(key).value, again.value));
    struct row_write edge[] = {put(key, UINT64_MAX, "end"), put(key, 0, "begin")};
    put_all(edge, 2);
    assert_true(slice_equal(get_one(key).value, slice_text("end")));
}

static void max_and_claim(void **state)
{
    (void)state;
    struct row_key mark = row_key_make(TABLE_MARK, id_a, id_b, 0);
    struct row_write writes[] = {
        {.kind = ROW_MAX, .key = mark, .columns = {4, 9, 0, UINT64_MAX}},
        {.kind = ROW_MAX, .key = mark, .columns = {7, 2, 0, 1}},
    };
    put_all(writes, 2);
    put_all(writes, 2);
    struct row row = get_one(mark);
    assert_true(row.found);
    assert_int_equal(row.columns[0], 7);
    assert_int_equal(row.columns[1], 9);
    assert_true(row.columns[3] == UINT64_MAX);
    struct row_key name = row_key_make(TABLE_DIR, id_a, NULL, DIR_NAME);
    struct row_write first = put(name, 1, "first"), second = put(name, 2, "second");
    first.kind = second.kind = ROW_CLAIM;
    put_all(&first, 1);
    put_all(&second, 1);
    assert_true(slice_equal(get_one(name).value, slice_text("first")));
    assert_false(get_one(row_key_make(TABLE_DIR, id_b, NULL, DIR_NAME)).found);
}

#define ROWS 501u

static void fill_messages(void)
{
    struct row_write writes[ROWS];
    for (uint64_t i = 0; i < ROWS; i++)
        writes[i] = put(row_key_make(TABLE_MSG, id_a, NULL, i + 1), 10 + i / 2, "row");
    put_all(writes, ROWS);
    struct row_write others[] = {put(row_key_make(TABLE_MSG, id_b, NULL, 7), 3, "other"),
                                 put(row_key_make(TABLE_MEMBER, id_a, id_b, 0), 3, "member")};
    put_all(others, 2);
}

static size_t read_range(uint64_t from, uint64_t to, size_t rows_max, bool descending,
                         struct row *rows)
{
    struct row_key keys[2] = {row_key_make(TABLE_MSG, id_a, NULL, from),
                              row_key_make(TABLE_MSG, id_a, NULL, to)};
    struct store_request request = {.op = STORE_RANGE,
                                    .keys = keys,
                                    .keys_count = 2,
                                    .rows = rows,
                                    .rows_max = rows_max,
                                    .descending = descending};
    run(&request);
    return request.rows_count;
}

static void ranges_at_their_edges(void **state)
{
    static struct row rows[ROWS + 1];
    static const struct {
        uint64_t from, to;
        size_t max, count;
        uint64_t first, first_descending;
    } cases[] = {
        {0, UINT64_MAX, 0, 0, 0, 0},       {0, UINT64_MAX, 1, 1, 1, 501},
        {0, UINT64_MAX, 500, 500, 1, 501}, {0, UINT64_MAX, 502, 501, 1, 501},
        {1, 501, 501, 501, 1, 501},        {2, 2, 10, 1, 2, 2},
        {502, UINT64_MAX, 10, 0, 0, 0},    {0, 0, 10, 0, 0, 0},
        {500, 600, 10, 2, 500, 501},
    };
    (void)state;
    fill_messages();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t up = read_range(cases[i].from, cases[i].to, cases[i].max, false, rows);
        assert_int_equal(up, cases[i].count);
        if (up > 0)
            assert_int_equal(rows[0].key.n, cases[i].first);
        for (size_t k = 1; k < up; k++)
            assert_int_equal(rows[k].key.n, rows[k - 1].key.n + 1);
        size_t down = read_range(cases[i].from, cases[i].to, cases[i].max, true, rows);
        assert_int_equal(down, cases[i].count);
        if (down > 0)
            assert_int_equal(rows[0].key.n, cases[i].first_descending);
        for (size_t k = 1; k < down; k++)
            assert_int_equal(rows[k].key.n + 1, rows[k - 1].key.n);
    }
}

static void messages_by_offset(void **state)
{
    struct row rows[8];
    (void)state;
    fill_messages();
    static const struct {
        uint64_t stamp;
        size_t count;
    } cases[] = {{9, 0}, {10, 2}, {100, 2}, {260, 1}, {261, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct row_key key = row_key_make(TABLE_MSG, id_a, NULL, 0);
        struct store_request request = {.op = STORE_BY_OFFSET,
                                        .keys = &key,
                                        .keys_count = 1,
                                        .rows = rows,
                                        .rows_max = 8,
                                        .stamp = cases[i].stamp};
        run(&request);
        assert_int_equal(request.rows_count, cases[i].count);
        for (size_t k = 0; k < request.rows_count; k++)
            assert_int_equal(rows[k].stamp, cases[i].stamp);
    }
}

#define WRITES 40u

/* Any write repeated in any order leaves the same rows. */
static void any_order_any_repeat(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 7);
    struct row_write writes[WRITES];
    static char texts[WRITES][16];
    for (size_t i = 0; i < WRITES; i++) {
        uint8_t user[ID_BYTES] = {(uint8_t)prng_below(&prng, 3)};
        uint64_t stamp = i + 1; /* one stamp, one value: R7 */
        texts[i][0] = (char)('a' + (char)(i % 26));
        memset(texts[i] + 1, 'x', i % 15);
        writes[i] = put(row_key_make(TABLE_MEMBER, id_a, user, 0), stamp, texts[i]);
        if (prng_chance(&prng, 500))
            writes[i] = (struct row_write){.kind = ROW_MAX,
                                           .key = row_key_make(TABLE_MARK, id_a, user, 0),
                                           .columns = {prng_below(&prng, 50), i}};
    }
    struct row want[6], got;
    for (int round = 0; round < 20; round++) {
        if (round > 0) {
            contract_store_close();
            store = contract_store_open();
            prng_shuffle(&prng, writes, WRITES, sizeof writes[0]);
        }
        put_all(writes, WRITES);
        put_all(writes, prng_below(&prng, WRITES));
        for (size_t i = 0; i < 6; i++) {
            uint8_t user[ID_BYTES] = {(uint8_t)(i / 2)};
            got = get_one(row_key_make(i % 2 ? TABLE_MARK : TABLE_MEMBER, id_a, user, 0));
            if (round == 0)
                want[i] = got;
            assert_true(got.found == want[i].found && slice_equal(got.value, want[i].value));
            assert_memory_equal(got.columns, want[i].columns, sizeof got.columns);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(higher_stamp_wins, open_store, close_store),
        cmocka_unit_test_setup_teardown(max_and_claim, open_store, close_store),
        cmocka_unit_test_setup_teardown(ranges_at_their_edges, open_store, close_store),
        cmocka_unit_test_setup_teardown(messages_by_offset, open_store, close_store),
        cmocka_unit_test_setup_teardown(any_order_any_repeat, open_store, close_store),
    };
    return cmocka_run_group_tests_name("store contract", tests, NULL, NULL);
}
