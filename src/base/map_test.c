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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
