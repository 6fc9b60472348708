/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/faults.h"
#include "base/memory.h"

static void test_order(void **state)
{
    (void)state;
    static const struct heap_item in[] = {
        {5, 0, 0}, {1, 2, 3}, {1, 2, 1}, {1, 1, 2}, {UINT64_MAX, 0, 4}, {0, 9, 5},
    };
    static const uint64_t want[] = {5, 2, 1, 3, 0, 4};
    struct heap heap;
    struct heap_item item;
    assert_int_equal(heap_open(&heap, 6, false), STATUS_OK);
    assert_null(heap_first(&heap));
    assert_false(heap_take(&heap, &item));
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(heap_put(&heap, in[i]), STATUS_OK);
    assert_int_equal(heap_put(&heap, in[0]), STATUS_BUSY);
    assert_int_equal(heap.refused, 1);
    for (unsigned i = 0; i < 6; i++) {
        heap_check(&heap);
        assert_true(heap_first(&heap)->value == want[i]);
        assert_true(heap_take(&heap, &item));
        assert_true(item.value == want[i]);
    }
    heap_close(&heap);
    heap_close(&heap);
}

static void test_remove(void **state)
{
    (void)state;
    /* Every item in turn out of a heap in which the last item must rise into the hole. */
    static const uint64_t keys[] = {0, 10, 1, 11, 12, 2, 3, 13, 14, 15, 16, 4};
    enum { COUNT = sizeof keys / sizeof keys[0] };
    for (uint64_t gone = 0; gone < COUNT; gone++) {
        struct heap heap;
        assert_int_equal(heap_open(&heap, COUNT, true), STATUS_OK);
        for (uint64_t i = 0; i < COUNT; i++)
            assert_int_equal(heap_put(&heap, (struct heap_item){keys[i], 0, i}), STATUS_OK);
        heap_remove(&heap, gone);
        heap_check(&heap);
        struct heap_item item, before = {0};
        unsigned left = 0;
        for (; heap_take(&heap, &item); before = item, left++) {
            assert_true(item.key >= before.key && item.value != gone);
            heap_check(&heap);
        }
        assert_int_equal(left, COUNT - 1);
        heap_close(&heap);
    }
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct heap heap;
        enum status opened = heap_open(&heap, 3, true);
        assert_int_equal(opened, memory_fault_fired() ? STATUS_BUSY : STATUS_OK);
        if (opened == STATUS_OK)
            heap_close(&heap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
