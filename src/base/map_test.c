/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/faults.h"
#include "base/memory.h"

static const uint8_t seed[SIPHASH_SEED_BYTES] = "a seed of 16 by";

static void test_life(void **state)
{
    (void)state;
    struct map map;
    uint64_t value = 0;
    assert_int_equal(map_open(&map, 2, 3, seed), STATUS_OK);
    assert_false(map_find(&map, "aaa", &value));
    assert_int_equal(map_put(&map, "aaa", 1), STATUS_OK);
    assert_int_equal(map_put(&map, "bbb", 2), STATUS_OK);
    assert_int_equal(map_put(&map, "ccc", 3), STATUS_BUSY);
    assert_int_equal(map.refused, 1);
    assert_int_equal(map_put(&map, "aaa", 4), STATUS_OK); /* full, but not new */
    assert_true(map_find(&map, "aaa", &value) && value == 4);
    assert_true(map_find(&map, "bbb", NULL));
    assert_false(map_find(&map, "ccc", NULL));
    assert_true(map_remove(&map, "aaa", &value) && value == 4);
    assert_false(map_remove(&map, "aaa", NULL));
    assert_true(map_remove(&map, "bbb", NULL));
    assert_int_equal(map.used, 0);
    assert_int_equal(map_put(&map, "ccc", 3), STATUS_OK);
    map_reset(&map);
    assert_int_equal(map.used, 0);
    assert_false(map_find(&map, "ccc", NULL));
    map_close(&map);
    map_close(&map);
}

static void test_bounds(void **state)
{
    (void)state;
    for (uint32_t key_bytes = 1; key_bytes <= MAP_KEY_BYTES_MAX; key_bytes += 21) {
        struct map map;
        uint8_t key[MAP_KEY_BYTES_MAX] = {0};
        assert_int_equal(map_open(&map, 200, key_bytes, seed), STATUS_OK);
        for (uint8_t i = 0; i < 200; i++) {
            key[key_bytes - 1] = i;
            assert_int_equal(map_put(&map, key, i), STATUS_OK);
        }
        key[key_bytes - 1] = 200;
        assert_int_equal(map_put(&map, key, 1), STATUS_BUSY);
        bool seen[200] = {false};
        uint32_t at = 0, count = 0;
        const uint8_t *found;
        for (uint64_t value; map_next(&map, &at, &found, &value); count++) {
            assert_int_equal(found[key_bytes - 1], value);
            assert_false(seen[value]);
            seen[value] = true;
        }
        assert_int_equal(count, 200);
        map_close(&map);
    }
}

static void test_faults(void **state)
{
    (void)state;
    for (struct faults faults = {0}; faults_next(&faults);) {
        struct map map;
        enum status opened = map_open(&map, 10, 16, seed);
        assert_int_equal(opened, memory_fault_fired() ? STATUS_BUSY : STATUS_OK);
        if (opened == STATUS_OK)
            map_close(&map);
    }
}

static uint32_t filled(struct map *map, uint32_t from, uint32_t count)
{
    uint32_t i = from;
    while (i < from + count && map_put(map, &i, i) == STATUS_OK)
        i++;
    return i - from;
}

static void assert_holds(const struct map *map, uint32_t count)
{
    uint64_t value;
    assert_int_equal(map->used, count);
    for (uint32_t i = 0; i < count; i++)
        assert_true(map_find(map, &i, &value) && value == i);
}

/* A large capacity takes no memory until it is used; it grows ahead of need, and at the latest in
 * map_put. */
static void test_growth(void **state)
{
    (void)state;
    struct map map;
    assert_int_equal(map_open(&map, 1000, sizeof(uint32_t), seed), STATUS_OK);
    uint32_t slots = map.mask + 1;
    assert_true(slots < 100);
    assert_int_equal(map_grow(&map), STATUS_OK);
    assert_int_equal(map.mask + 1, slots); /* of an empty one nothing is needed */
    assert_int_equal(filled(&map, 0, slots / 2), slots / 2);
    assert_int_equal(map_grow(&map), STATUS_OK);
    assert_int_equal(map.mask + 1, 2 * slots);
    assert_holds(&map, slots / 2);
    assert_int_equal(filled(&map, slots / 2, 1000), 1000 - slots / 2);
    assert_int_equal(map.refused, 1);
    assert_holds(&map, 1000);
    slots = map.mask + 1;
    assert_int_equal(map_grow(&map), STATUS_OK);
    assert_int_equal(map.mask + 1, slots); /* as large as it may become */
    map_close(&map);
}

/* Without memory nothing is lost, what is removed may be put back, and later it grows. */
static void test_growth_without_memory(void **state)
{
    (void)state;
    struct map map;
    assert_int_equal(map_open(&map, 1000, sizeof(uint32_t), seed), STATUS_OK);
    memory_fault_plan(1, true);
    uint32_t first = filled(&map, 0, 1000), zero = 0;
    assert_true(first > 10 && first < 1000);
    assert_int_equal(map_grow(&map), STATUS_BUSY);
    assert_int_equal(map.refused, 1);
    assert_holds(&map, first);
    assert_true(map_remove(&map, &zero, NULL));
    assert_int_equal(map_put(&map, &zero, 0), STATUS_OK);
    memory_fault_plan(0, false);
    assert_int_equal(filled(&map, first, 1000 - first), 1000 - first);
    assert_holds(&map, 1000);
    map_close(&map);
}

/* The order of a walk does not tell how large the map has been. */
static void test_order(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 48; count++) { /* some of them run over the last slot */
        struct map small, large;
        assert_int_equal(map_open(&small, 48, sizeof(uint32_t), seed), STATUS_OK);
        assert_int_equal(map_open(&large, 3000, sizeof(uint32_t), seed), STATUS_OK);
        assert_int_equal(filled(&small, 0, count), count);
        assert_int_equal(filled(&large, 0, 3000), 3000);
        for (uint32_t i = 3000; i-- > count;)
            assert_true(map_remove(&large, &i, NULL));
        uint32_t at = 0, large_at = 0, walked = 0;
        const uint8_t *key, *large_key;
        uint64_t value, large_value;
        for (; map_next(&small, &at, &key, &value); walked++) {
            assert_true(map_next(&large, &large_at, &large_key, &large_value));
            assert_int_equal(value, large_value);
        }
        assert_int_equal(walked, count);
        assert_false(map_next(&large, &large_at, &large_key, &large_value));
        map_close(&small);
        map_close(&large);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_growth_without_memory),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
