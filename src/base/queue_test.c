/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

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
    struct queue queue;
    uint32_t in = 0, out = 0, item;
    assert_int_equal(queue_open(&queue, 3, sizeof item), STATUS_OK);
    assert_false(queue_take(&queue, &item));
    assert_null(queue_find(&queue, 0));
    for (unsigned round = 0; round < 5; round++) { /* around the end, at every place */
        for (; queue_put(&queue, &in) == STATUS_OK; in++)
            continue;
        assert_int_equal(queue.used, 3);
        assert_int_equal(queue.refused, round + 1);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(*(uint32_t *)queue_find(&queue, i), out + i);
        assert_null(queue_find(&queue, 3));
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            assert_true(queue_take(&queue, &item));
            assert_int_equal(item, out++);
        }
    }
    queue_reset(&queue);
    assert_false(queue_take(&queue, &item));
    queue_close(&queue);
    queue_close(&queue);
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct queue queue;
        enum status opened = queue_open(&queue, 3, 8);
        assert_int_equal(opened, memory_fault_fired() ? STATUS_BUSY : STATUS_OK);
        queue_close(&queue);
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
