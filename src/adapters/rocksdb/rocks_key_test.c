/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/rocksdb/rocks_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"

static const bool has_b[TABLE_COUNT] = {[TABLE_SENDER] = true,
                                        [TABLE_MEMBER] = true,
                                        [TABLE_MARK] = true,
                                        [TABLE_USER_CHAT] = true,
                                        [TABLE_CURSOR] = true};
static const bool has_n[TABLE_COUNT] = {
    [TABLE_MSG] = true, [TABLE_INBOX] = true, [TABLE_DEVICE_LIST] = true, [TABLE_EPOCH] = true};

static struct row_key any_key(struct prng *prng, enum table table)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, UINT64_C(1) << 56, UINT64_MAX};
    struct row_key key = {.table = table};
    key.a[ID_BYTES - 1] = (uint8_t)prng_below(prng, 2);
    if (has_b[table])
        key.b[prng_below(prng, ID_BYTES)] = (uint8_t)prng_below(prng, 256);
    if (has_n[table])
        key.n = numbers[prng_below(prng, sizeof numbers / sizeof numbers[0])];
    if (rocks_type_leads(table))
        key.n = prng_below(prng, ROCKS_TYPE_MAX + 1);
    return key;
}

static int order_of(const struct rocks_key *a, const struct rocks_key *b)
{
    return slice_compare(slice_make(a->at, a->bytes), slice_make(b->at, b->bytes));
}

/* Written, read back, and in the order of rows wherever a range may be asked for. */
static void keys_keep_what_they_name_and_their_order(void **state)
{
    struct prng prng;
    (void)state;
    prng_init(&prng, 4);
    for (uint32_t i = 0; i < 20000; i++) {
        enum table table = (enum table)(1 + prng_below(&prng, TABLE_COUNT - 1));
        struct row_key a = any_key(&prng, table), b = any_key(&prng, table), back;
        struct rocks_key x, y;
        rocks_key_write(&a, &x);
        rocks_key_write(&b, &y);
        assert_true(x.bytes <= ROCKS_KEY_BYTES);
        assert_int_equal(rocks_key_read(table, slice_make(x.at, x.bytes), &back), STATUS_OK);
        assert_int_equal(row_key_compare(&a, &back), 0);
        assert_int_equal(rocks_key_read(table, slice_make(x.at, x.bytes - 1), &back),
                         STATUS_CORRUPT);
        int want = row_key_compare(&a, &b), got = order_of(&x, &y);
        if (rocks_type_leads(table))
            assert_int_equal(want == 0, got == 0);
        else
            assert_int_equal((want > 0) - (want < 0), (got > 0) - (got < 0));
    }
}

/* Two tables of one family never share a key. */
static void tables_keep_apart(void **state)
{
    struct prng prng;
    (void)state;
    prng_init(&prng, 5);
    for (uint32_t i = 0; i < 20000; i++) {
        enum table table = (enum table)(1 + prng_below(&prng, TABLE_COUNT - 1));
        enum table other = (enum table)(1 + prng_below(&prng, TABLE_COUNT - 1));
        struct row_key a = any_key(&prng, table), b = any_key(&prng, other);
        struct rocks_key x, y;
        rocks_key_write(&a, &x);
        rocks_key_write(&b, &y);
        if (table != other && rocks_family(table) == rocks_family(other))
            assert_int_not_equal(order_of(&x, &y), 0);
    }
}

static void columns_and_stamps_come_back(void **state)
{
    static const uint64_t cases[][STORE_COLUMNS] = {
        {0}, {1}, {0, 1}, {UINT64_MAX, 0, 0, 5}, {1, 2, 3, UINT64_MAX}};
    static const size_t bytes[] = {8, 8, 16, 32, 32};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[STORE_COLUMNS * 8 + 8] = {0};
        struct row row = {.key.table = TABLE_MARK};
        assert_int_equal(rocks_columns_write(cases[i], out), bytes[i]);
        assert_int_equal(rocks_row_read(slice_make(out, bytes[i]), &row), STATUS_OK);
        assert_true(row.found);
        assert_memory_equal(row.columns, cases[i], sizeof row.columns);
        assert_int_equal(rocks_row_read(slice_make(out, bytes[i] + 1), &row), STATUS_CORRUPT);
    }
    struct row none = {.key.table = TABLE_MARK};
    assert_int_equal(rocks_row_read(SLICE_EMPTY, &none), STATUS_CORRUPT);
    char out[ROCKS_STAMP_BYTES + 3] = "????????abc";
    struct row row = {.key.table = TABLE_MSG};
    rocks_stamp_write(UINT64_C(0x0102030405060708), out);
    assert_int_equal(rocks_row_read(slice_make(out, sizeof out - 1), &row), STATUS_OK);
    assert_true(row.stamp == UINT64_C(0x0102030405060708));
    assert_true(row.value.bytes >= 2 && memcmp(row.value.at, "ab", 2) == 0);
    assert_int_equal(rocks_row_read(slice_make(out, 7), &row), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_keep_what_they_name_and_their_order),
        cmocka_unit_test(tables_keep_apart),
        cmocka_unit_test(columns_and_stamps_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
