/* SPDX-License-Identifier: Apache-2.0
 * Errors of the programmer against base: each must be met by an assertion, in every build. */
#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/prng.h"
#include "base/queue.h"
#include "base/ring.h"
#include "base/row.h"
#include "base/slab.h"
#include "base/status.h"

static jmp_buf back;

static void leap(const struct assert_report *report)
{
    (void)report;
    longjmp(back, 1);
}

/* The statement must fail an assertion. */
#define MUST_ASSERT(statement)                        \
    do {                                              \
        assert_handler_set(leap);                     \
        if (setjmp(back) == 0) {                      \
            statement;                                \
            assert_handler_set(NULL);                 \
            fail_msg("no assertion: %s", #statement); \
        }                                             \
    } while (0)

static const uint8_t seed[SIPHASH_SEED_BYTES];

static void test_open(void **state)
{
    (void)state;
    static struct map map;
    static struct slab slab;
    static struct queue queue;
    static struct heap heap;
    static struct ring ring;
    MUST_ASSERT((void)!map_open(&map, 0, 1, seed));
    MUST_ASSERT((void)!map_open(&map, (UINT32_C(1) << 30) + 1, 1, seed));
    MUST_ASSERT((void)!map_open(&map, 1, 0, seed));
    MUST_ASSERT((void)!map_open(&map, 1, MAP_KEY_BYTES_MAX + 1, seed));
    MUST_ASSERT((void)!slab_open(&slab, 0, 1));
    MUST_ASSERT((void)!slab_open(&slab, 1, 0));
    MUST_ASSERT((void)!slab_open(&slab, 1, SIZE_MAX));
    MUST_ASSERT((void)!queue_open(&queue, 0, 1));
    MUST_ASSERT((void)!queue_open(&queue, UINT32_MAX, 1));
    MUST_ASSERT((void)!queue_open(&queue, 1, 0));
    MUST_ASSERT((void)!heap_open(&heap, 0, false));
    MUST_ASSERT((void)!heap_open(&heap, UINT32_MAX, false));
    MUST_ASSERT((void)!ring_open(&ring, 0, 1));
    MUST_ASSERT((void)!ring_open(&ring, 3, 1));
    MUST_ASSERT((void)!ring_open(&ring, UINT32_MAX, 1));
    MUST_ASSERT((void)!ring_open(&ring, 4, 0));
}

static void test_use(void **state)
{
    (void)state;
    static struct slab slab;
    static struct slab_handle handle;
    assert_int_equal(slab_open(&slab, 2, 8), STATUS_OK);
    assert_non_null(slab_take(&slab, &handle));
    slab_give(&slab, handle);
    MUST_ASSERT(slab_give(&slab, handle)); /* twice */
    slab_close(&slab);

    static struct heap heap;
    assert_int_equal(heap_open(&heap, 2, true), STATUS_OK);
    MUST_ASSERT((void)!heap_put(&heap, (struct heap_item){0, 0, 2}));
    assert_int_equal(heap_put(&heap, (struct heap_item){7, 0, 1}), STATUS_OK);
    MUST_ASSERT(heap_remove(&heap, 0));
    MUST_ASSERT(heap_remove(&heap, 2));
    MUST_ASSERT(heap_remove(&heap, UINT64_C(1) << 32 | 1));
    heap.places[1] = 1;
    MUST_ASSERT(heap_check(&heap)); /* a place that is wrong */
    heap.places[1] = 0;
    assert_int_equal(heap_put(&heap, (struct heap_item){8, 0, 0}), STATUS_OK);
    heap.items[1].key = 6;
    MUST_ASSERT(heap_check(&heap)); /* an order that is wrong */
    heap.used = 3;
    MUST_ASSERT(heap_check(&heap));
    heap_close(&heap);
    assert_int_equal(heap_open(&heap, 2, false), STATUS_OK);
    MUST_ASSERT(heap_remove(&heap, 0)); /* not tracked */
    heap_close(&heap);

    static struct arena arena;
    arena_init(&arena, 1000);
    assert_non_null(arena_alloc(&arena, 10));
    static struct arena_mark mark;
    mark = arena_mark(&arena);
    arena_reset(&arena);
    MUST_ASSERT(arena_rewind(&arena, mark)); /* a mark from before the reset */
    arena_deinit(&arena);
}

static void test_values(void **state)
{
    (void)state;
    static struct prng prng;
    static uint8_t bytes[2];
    prng_init(&prng, 1);
    MUST_ASSERT((void)prng_below(&prng, 0));
    MUST_ASSERT((void)prng_range(&prng, 2, 1));
    MUST_ASSERT(prng_shuffle(&prng, bytes, 2, PRNG_ITEM_BYTES_MAX + 1));
    MUST_ASSERT((void)status_text((enum status)99));
    MUST_ASSERT((void)status_name((enum status)99));
    static struct row row;
    static struct row_write write;
    row.key.table = TABLE_DIR;
    MUST_ASSERT((void)row_merge(&row, &write)); /* of another row */
    static _Alignas(MEMORY_ALIGN) uint8_t foreign[2 * MEMORY_ALIGN];
    MUST_ASSERT(memory_free(foreign + MEMORY_ALIGN)); /* not ours */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_use),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
