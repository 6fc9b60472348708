/* SPDX-License-Identifier: Apache-2.0 */
#include "base/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint8_t low[ID_BYTES] = {1}, high[ID_BYTES] = {2};

static void test_order(void **state)
{
    (void)state;
    const struct row_key rising[] = {
        row_key_make(TABLE_CHAT_HEAD, low, NULL, 0), row_key_make(TABLE_CHAT_HEAD, high, NULL, 0),
        row_key_make(TABLE_SENDER, low, low, 0),     row_key_make(TABLE_SENDER, low, high, 0),
        row_key_make(TABLE_SENDER, high, low, 0),    row_key_make(TABLE_MSG, low, NULL, 1),
        row_key_make(TABLE_MSG, low, NULL, 256),     row_key_make(TABLE_META, NULL, NULL, 1),
    };
    int count = sizeof rising / sizeof rising[0];
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            int order = row_key_compare(&rising[i], &rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void test_partition(void **state)
{
    (void)state;
    const struct {
        struct row_key a, b;
        bool same;
    } rows[] = {
        {row_key_make(TABLE_CHAT_HEAD, low, NULL, 0), row_key_make(TABLE_MSG, low, NULL, 9), true},
        {row_key_make(TABLE_SENDER, low, high, 0), row_key_make(TABLE_MSG, low, NULL, 9), true},
        {row_key_make(TABLE_SENDER, low, high, 0), row_key_make(TABLE_MSG, high, NULL, 9), false},
        {row_key_make(TABLE_EPOCH, low, NULL, 3), row_key_make(TABLE_CHAT_HEAD, low, NULL, 0),
         true},
        {row_key_make(TABLE_USER_HEAD, low, NULL, 0), row_key_make(TABLE_USER_CHAT, low, high, 0),
         true},
        {row_key_make(TABLE_USER_HEAD, low, NULL, 0), row_key_make(TABLE_INBOX, low, NULL, 1),
         false},
        {row_key_make(TABLE_INBOX, low, NULL, 1), row_key_make(TABLE_INBOX, low, NULL, 2), false},
        {row_key_make(TABLE_MARK, low, high, 0), row_key_make(TABLE_MARK, low, high, 0), true},
        {row_key_make(TABLE_MARK, low, high, 0), row_key_make(TABLE_MARK, low, low, 0), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(row_same_partition(&rows[i].a, &rows[i].b), rows[i].same);
        assert_int_equal(row_same_partition(&rows[i].b, &rows[i].a), rows[i].same);
    }
}

static struct row_write write_of(enum row_write_kind kind, uint64_t stamp, struct slice value)
{
    return (struct row_write){kind, row_key_make(TABLE_DIR, low, NULL, 1), stamp, value, {0}};
}

static void test_merge(void **state)
{
    (void)state;
    struct row row = {.key = row_key_make(TABLE_DIR, low, NULL, 1)};
    const struct {
        struct row_write write;
        bool changed;
        uint64_t stamp;
        struct slice value;
    } steps[] = {
        {write_of(ROW_CLAIM, 5, SLICE_LITERAL("a")), true, 5, SLICE_LITERAL("a")},
        {write_of(ROW_CLAIM, 9, SLICE_LITERAL("b")), false, 5, SLICE_LITERAL("a")},
        {write_of(ROW_PUT, 4, SLICE_LITERAL("c")), false, 5, SLICE_LITERAL("a")},
        {write_of(ROW_PUT, 5, SLICE_LITERAL("d")), true, 5, SLICE_LITERAL("d")},
        {write_of(ROW_PUT, 6, SLICE_LITERAL("e")), true, 6, SLICE_LITERAL("e")},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        assert_int_equal(row_merge(&row, &steps[i].write), steps[i].changed);
        assert_true(row.found && row.stamp == steps[i].stamp);
        assert_true(slice_equal(row.value, steps[i].value));
    }
    assert_true(row_stamp(1, 0) > row_stamp(0, 1000000));
    assert_int_equal(row_stamp(0, 0), 1);
}

static void test_merge_max(void **state)
{
    (void)state;
    const struct row_key key = row_key_make(TABLE_MARK, low, high, 0);
    struct row row = {.key = key};
    struct row_write zeros = {.kind = ROW_MAX, .key = key};
    struct row_write first = {.kind = ROW_MAX, .key = key, .columns = {5, 1}};
    struct row_write crossed = {.kind = ROW_MAX, .key = key, .columns = {4, 2}};
    assert_true(row_merge(&row, &zeros)); /* it is there now */
    assert_false(row_merge(&row, &zeros));
    assert_true(row_merge(&row, &first));
    assert_true(row_merge(&row, &crossed));
    assert_false(row_merge(&row, &first)); /* repeated and late: nothing falls */
    assert_true(row.columns[0] == 5 && row.columns[1] == 2 && row.columns[3] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_partition),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_merge_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
