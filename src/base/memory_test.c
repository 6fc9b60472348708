/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_alloc(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 65535, 65536, 1000000};
    int64_t before = memory_live();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned round = 0; round < 3; round++) { /* the second may meet used memory */
            uint8_t *memory = memory_alloc(sizes[i]);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % MEMORY_ALIGN, 0);
            assert_int_equal(memory_live(), before + 1);
            for (size_t at = 0; at < sizes[i]; at++) {
                assert_int_equal(memory[at], 0);
                memory[at] = 0xa5;
            }
            memory_free(memory);
        }
    }
    memory_free(NULL);
    assert_int_equal(memory_live(), before);
}

static size_t resident_pages(void)
{
    long all, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &all, &resident), 2);
    (void)fclose(file);
    return (size_t)resident;
}

/* Of a large block only what is touched is taken from the system. */
static void test_reserve(void **state)
{
    (void)state;
    const size_t bytes = (size_t)64 << 20;
    size_t before = resident_pages();
    uint8_t *memory = memory_reserve(bytes);
    assert_non_null(memory);
    memory[0] = memory[bytes - 1] = 1;
    assert_true(resident_pages() < before + (bytes >> 13)); /* half of it, as 4 KiB pages */
    memory_free(memory);
    uint8_t *small = memory_reserve(10);
    assert_int_equal(small[9], 0);
    memory_free(small);
}

static void test_refused(void **state)
{
    (void)state;
    assert_null(memory_alloc(SIZE_MAX));
    assert_null(memory_alloc(SIZE_MAX / 2 - 4096)); /* no system has that much */
    assert_null(memory_array(SIZE_MAX / 2, 4));
    void *none = memory_array(SIZE_MAX, 0);
    assert_non_null(none);
    memory_free(none);
}

static void test_fault(void **state)
{
    (void)state;
    /* The answers to six allocations in a row under each plan. */
    const struct row {
        uint64_t nth;
        bool for_ever, fired;
        const char *answers;
    } rows[] = {
        {0, false, false, "++++++"}, {1, false, true, "-+++++"}, {3, false, true, "++-+++"},
        {1, true, true, "------"},   {3, true, true, "++----"},  {7, true, false, "++++++"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memory_fault_plan(rows[i].nth, rows[i].for_ever);
        assert_false(memory_fault_fired());
        for (const char *answer = rows[i].answers; *answer != '\0'; answer++) {
            void *memory = memory_alloc(8);
            assert_int_equal(memory != NULL, *answer == '+');
            memory_free(memory);
        }
        assert_int_equal(memory_fault_fired(), rows[i].fired);
    }
    memory_fault_plan(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
