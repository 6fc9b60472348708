/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_id(void **state)
{
    (void)state;
    user_id a = {{0}}, b;
    assert_true(ID_IS_ZERO(a));
    a.at[15] = 1;
    assert_false(ID_IS_ZERO(a));
    assert_true(id_take(b.at, ID_SLICE(a)));
    assert_true(ID_EQUAL(a, b));
    assert_false(id_take(b.at, slice_make(a.at, 15)));
    assert_true(ID_IS_ZERO(b));
    assert_false(ID_EQUAL(a, b));
    assert_false(id_take(b.at, SLICE_EMPTY));
}

/* RFC 9562, appendix A.6: 2022-02-22 14:22:22.00 GMT-05:00 and its random bits. */
static void test_uuid7(void **state)
{
    (void)state;
    static const uint8_t want[16] = {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0, 0x7c, 0xc3,
                                     0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    uint8_t chance[10] = {0xfc, 0xc3, 0xd8, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    uint8_t at[16];
    uuid7_make(at, 0x017f22e279b0, chance);
    assert_memory_equal(at, want, 16);
    for (unsigned i = 0; i < 10; i++)
        chance[i] = 0xff;
    uuid7_make(at, UINT64_MAX, chance);
    assert_int_equal(at[6], 0x7f);
    assert_int_equal(at[8], 0xbf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_uuid7),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
