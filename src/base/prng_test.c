/* SPDX-License-Identifier: Apache-2.0 */
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* From the authors' C code: splitmix64 seeded with 0, then xoshiro256**. */
static void test_vectors(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 0);
    assert_true(prng.state[0] == 0xe220a8397b1dcdaf);
    assert_true(prng.state[3] == 0xf88bb8a8724c81ec);
    prng.state[0] = 1;
    prng.state[1] = 2;
    prng.state[2] = 3;
    prng.state[3] = 4;
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    for (unsigned i = 0; i < 4; i++)
        assert_true(prng_next(&prng) == want[i]);
}

static void test_ranges(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    unsigned counts[10] = {0}, chances = 0;
    for (unsigned i = 0; i < 10000; i++) {
        counts[prng_below(&prng, 10)]++;
        uint64_t number = prng_range(&prng, 7, 9);
        assert_true(number >= 7 && number <= 9);
        assert_int_equal(prng_range(&prng, 5, 5), 5);
        (void)prng_range(&prng, 0, UINT64_MAX);
        assert_false(prng_chance(&prng, 0));
        assert_true(prng_chance(&prng, 1000));
        chances += prng_chance(&prng, 250);
        assert_int_equal(prng_below(&prng, 1), 0);
        assert_true(prng_below(&prng, UINT64_MAX / 4 * 3) < UINT64_MAX / 4 * 3); /* may refuse */
    }
    for (unsigned i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    assert_in_range(chances, 2300, 2700);
}

static void test_bytes(void **state)
{
    (void)state;
    struct prng a, b;
    uint8_t x[41] = {0}, y[41] = {0};
    prng_init(&a, 3);
    b = a;
    prng_bytes(&a, x, 40);
    prng_bytes(&b, y, 40);
    assert_memory_equal(x, y, 41);
    assert_int_equal(x[40], 0);
    prng_bytes(&a, x, 3);
    assert_memory_not_equal(x, y, 3);
    prng_bytes(&a, x, 0);
}

static void test_shuffle(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4);
    unsigned seen[27] = {0};
    for (unsigned i = 0; i < 6000; i++) {
        uint16_t items[3] = {0, 1, 2};
        prng_shuffle(&prng, items, 3, sizeof items[0]);
        seen[items[0] * 9 + items[1] * 3 + items[2]]++;
    }
    unsigned orders = 0;
    for (unsigned i = 0; i < 27; i++) {
        orders += seen[i] > 0;
        if (seen[i] > 0)
            assert_in_range(seen[i], 850, 1150);
    }
    assert_int_equal(orders, 6);
    prng_shuffle(&prng, NULL, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_shuffle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
