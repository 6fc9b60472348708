/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define T SLICE_LITERAL

static void test_compare(void **state)
{
    (void)state;
    const struct row {
        struct slice a, b;
        int sign;
    } rows[] = {
        {SLICE_EMPTY, SLICE_EMPTY, 0}, {SLICE_EMPTY, T(""), 0},    {SLICE_EMPTY, T("a"), -1},
        {T("a"), SLICE_EMPTY, 1},      {T("abc"), T("abc"), 0},    {T("abc"), T("abd"), -1},
        {T("b"), T("abc"), 1},         {T("ab"), T("abc"), -1},    {T("abc"), T("ab"), 1},
        {T("\xff"), T("\x01"), 1},     {T("a\0b"), T("a\0c"), -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int order = slice_compare(rows[i].a, rows[i].b);
        assert_int_equal((order > 0) - (order < 0), rows[i].sign);
        assert_int_equal(slice_equal(rows[i].a, rows[i].b), rows[i].sign == 0);
        assert_int_equal(slice_equal_secret(rows[i].a, rows[i].b), rows[i].sign == 0);
    }
}

static void test_sub(void **state)
{
    (void)state;
    const struct row {
        size_t from, bytes;
        struct slice want;
    } rows[] = {
        {0, 3, T("abc")},
        {1, 1, T("b")},
        {1, 99, T("bc")},
        {1, SIZE_MAX, T("bc")},
        {3, 1, T("")},
        {4, 1, T("")},
        {SIZE_MAX, SIZE_MAX, T("")},
        {0, 0, T("")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(slice_equal(slice_sub(T("abc"), rows[i].from, rows[i].bytes), rows[i].want));
    assert_true(slice_equal(slice_text("abc"), T("abc")));
    assert_int_equal(slice_text("").bytes, 0);
    uint32_t number = 0;
    assert_int_equal(SLICE_OF(number).bytes, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_sub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
