/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/faults.h"
#include "base/memory.h"

static void test_alloc(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (unsigned round = 0; round < 3; round++) {
        uint8_t *before = NULL;
        for (size_t bytes = 0; bytes < 600; bytes++) {
            uint8_t *at = arena_alloc(&arena, bytes);
            assert_non_null(at);
            assert_ptr_not_equal(at, before);
            assert_int_equal((uintptr_t)at % 16, 0);
            for (size_t i = 0; i < bytes; i++)
                assert_int_equal(at[i], 0);
            memset(at, 0x5a, bytes);
            before = at;
        }
        assert_true(arena.used >= 600 * 599 / 2 && arena.used <= arena.bytes_max);
        size_t held = arena.held;
        arena_reset(&arena);
        assert_int_equal(arena.used, 0);
        assert_int_equal(arena.held, held); /* chunks are kept */
    }
    assert_non_null(ARENA_NEW(&arena, uint64_t));
    assert_non_null(ARENA_ARRAY(&arena, uint64_t, 3));
    arena_deinit(&arena);
    assert_int_equal(arena.held, 0);
    arena_deinit(&arena);
}

static void test_raw(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    uint8_t *at = ARENA_RAW(&arena, uint8_t, 100);
    assert_non_null(at);
    memset(at, 0x5a, 100);
    arena_reset(&arena);
    assert_ptr_equal(ARENA_RAW(&arena, uint8_t, 50), at);
    assert_int_equal(at[7], 0x5a); /* as it was */
    arena_reset(&arena);
    assert_ptr_equal(ARENA_ARRAY(&arena, uint8_t, 50), at);
    assert_int_equal(at[7], 0);
    assert_null(arena_raw(&arena, SIZE_MAX / 2, 3));
    assert_true(arena.exhausted);
    arena_reset(&arena);
    assert_null(ARENA_RAW(&arena, uint8_t, 1001));
    assert_true(arena.exhausted);
    arena_deinit(&arena);
}

static void test_limits(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    assert_non_null(arena_alloc(&arena, 48));
    assert_null(arena_alloc(&arena, 17));
    assert_true(arena.exhausted);
    assert_non_null(arena_alloc(&arena, 16)); /* the last bytes; still marked */
    assert_true(arena.exhausted);
    assert_null(arena_alloc(&arena, 0));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    arena_reset(&arena);
    assert_false(arena.exhausted);
    assert_non_null(arena_alloc(&arena, 64));
    arena_deinit(&arena);

    arena_init(&arena, SIZE_MAX); /* a ceiling that is not a multiple of anything */
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_array(&arena, SIZE_MAX / 2, 3));
    assert_non_null(arena_array(&arena, SIZE_MAX, 0));
    arena_deinit(&arena);

    arena_init(&arena, 20);
    assert_null(arena_alloc(&arena, 20)); /* rounded up it is over the ceiling */
    assert_non_null(arena_alloc(&arena, 3));
    arena_deinit(&arena);
}

static void test_copy(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    struct slice text = SLICE_LITERAL("abc");
    struct slice copy = arena_copy(&arena, text);
    assert_true(slice_equal(copy, text));
    assert_ptr_not_equal(copy.at, text.at);
    assert_int_equal(arena_copy(&arena, SLICE_EMPTY).bytes, 0);
    assert_false(arena.exhausted);
    static const uint8_t large[65];
    assert_int_equal(arena_copy(&arena, SLICE_OF(large)).bytes, 0);
    assert_true(arena.exhausted);
    arena_deinit(&arena);
}

static void test_rewind(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4 << 20);
    struct arena_mark start = arena_mark(&arena);
    char *kept = arena_alloc(&arena, 100);
    memset(kept, 'k', 100);
    struct arena_mark mark = arena_mark(&arena);
    char *first = arena_alloc(&arena, 100);
    for (unsigned i = 0; i < 40; i++) /* into further chunks, one of them larger than usual */
        memset(arena_alloc(&arena, i == 20 ? 200000 : 20000), 'x', 20000);
    size_t held = 0;
    for (unsigned round = 0; round < 10; round++) {
        arena_rewind(&arena, mark);
        assert_int_equal(arena.used, mark.used);
        char *again = arena_alloc(&arena, 100);
        assert_ptr_equal(again, first);
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(again[i], 0);
            assert_int_equal(kept[i], 'k');
        }
        for (unsigned i = 0; i < 40; i++) /* the large one comes at other places */
            memset(arena_alloc(&arena, i == 8 * (round % 5) ? 200000 : 20000), 'x', 20000);
        assert_true(round < 5 || arena.held == held); /* known orders need no new chunk */
        held = arena.held;
    }
    arena_rewind(&arena, start);
    assert_int_equal(arena.used, 0);
    assert_ptr_equal(arena_alloc(&arena, 1), kept);
    arena_deinit(&arena);
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        bool all =
            arena_alloc(&arena, 60000) && arena_alloc(&arena, 60001) && arena_alloc(&arena, 300000);
        assert_int_equal(all, !memory_fault_fired());
        assert_int_equal(arena.exhausted, memory_fault_fired());
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc), cmocka_unit_test(test_limits), cmocka_unit_test(test_raw),
        cmocka_unit_test(test_copy),  cmocka_unit_test(test_rewind), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
