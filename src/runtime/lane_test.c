/* SPDX-License-Identifier: Apache-2.0
 * The bounds of a lane: which fit, and what they take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/lane.h"

static void bounds_fit(void **state)
{
    (void)state;
    static const struct {
        struct lane_bounds bounds;
        bool fit;
    } cases[] = {
        {{0, 0}, true}, /* the defaults */
        {{LANE_ROWS, FOLD_CHATS_MAX}, true},
        {{LANE_ROWS, 6368}, true}, /* 65,536 × 7/8 − 32, by 9 */
        {{LANE_ROWS, 6369}, false},
        {{LANE_ROWS_MIN, 0}, false}, /* 5,000 chats do not fit into 2,048 rows */
        {{LANE_ROWS_MIN, 195}, true},
        {{LANE_ROWS_MIN, 196}, false},
        {{LANE_ROWS_MIN - 1, 1}, false},
        {{1u << 20, UINT32_MAX}, false}, /* the product does not wrap */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(lane_bounds_fit(&cases[i].bounds), cases[i].fit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_fit),
    };
    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
