/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/faults.h"
#include "base/memory.h"

static void test_life(void **state)
{
    (void)state;
    struct timers timers;
    struct slab_handle a, b, c, d;
    uint64_t token = 0;
    assert_int_equal(timer_open(&timers, 3), STATUS_OK);
    assert_true(timer_next_ms(&timers) == TIMER_NEVER);
    assert_false(timer_expired(&timers, UINT64_MAX, &token));
    assert_false(timer_cancel(&timers, SLAB_NONE));
    assert_int_equal(timer_arm(&timers, 20, 200, &a), STATUS_OK);
    assert_int_equal(timer_arm(&timers, 10, 100, &b), STATUS_OK);
    assert_int_equal(timer_arm(&timers, 10, 101, &c), STATUS_OK);
    assert_int_equal(timer_arm(&timers, 1, 1, &d), STATUS_BUSY);
    assert_true(timer_next_ms(&timers) == 10);
    assert_false(timer_expired(&timers, 9, &token));
    assert_true(timer_expired(&timers, 10, &token) && token == 100); /* as they were armed */
    assert_false(timer_cancel(&timers, b));                          /* has expired */
    assert_true(timer_cancel(&timers, c));
    assert_false(timer_cancel(&timers, c));
    assert_false(timer_expired(&timers, 10, &token));
    assert_true(timer_next_ms(&timers) == 20);
    assert_int_equal(timer_arm(&timers, 5, 50, &d), STATUS_OK); /* in a slot used before */
    assert_false(timer_cancel(&timers, c));
    assert_true(timer_expired(&timers, 99, &token) && token == 50);
    assert_true(timer_expired(&timers, 99, &token) && token == 200);
    assert_false(timer_expired(&timers, 99, &token));
    timer_close(&timers);
    timer_close(&timers);
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct timers timers;
        enum status opened = timer_open(&timers, 3);
        assert_int_equal(opened, memory_fault_fired() ? STATUS_BUSY : STATUS_OK);
        if (opened == STATUS_OK)
            timer_close(&timers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
