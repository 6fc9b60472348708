/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

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
    struct ring ring;
    uint64_t in = 0, out = 0, item;
    assert_int_equal(ring_open(&ring, 4, sizeof item), STATUS_OK);
    assert_false(ring_take(&ring, &item));
    for (unsigned round = 0; round < 9; round++) {
        for (; ring_put(&ring, &in) == STATUS_OK; in++)
            continue;
        assert_int_equal(ring_used(&ring), 4);
        assert_int_equal(ring_refused(&ring), round + 1);
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            assert_true(ring_take(&ring, &item));
            assert_int_equal(item, out++);
        }
    }
    while (ring_take(&ring, &item))
        assert_int_equal(item, out++);
    assert_int_equal(out, in);
    assert_int_equal(ring_used(&ring), 0);
    ring_close(&ring);
    ring_close(&ring);
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct ring ring;
        enum status opened = ring_open(&ring, 4, 8);
        assert_int_equal(opened, memory_fault_fired() ? STATUS_BUSY : STATUS_OK);
        ring_close(&ring);
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
