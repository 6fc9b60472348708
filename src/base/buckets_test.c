/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buckets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/prng.h"

static uint32_t where(uint64_t value)
{
    struct buckets one = {.count = 0};
    buckets_add(&one, value);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.sum, value);
    for (uint32_t i = 0; i < BUCKETS; i++)
        if (one.at[i] == 1)
            return i;
    fail();
    return BUCKETS;
}

static void a_value_lies_in_the_first_bucket_that_reaches_it(void **state)
{
    (void)state;
    for (uint32_t i = 0; i + 1 < BUCKETS; i++) {
        uint64_t top = buckets_top(i);
        assert_int_equal(where(top), i);
        assert_int_equal(where(top + 1), i + 1);
        assert_true(top < buckets_top(i + 1));
        if (i > 0) /* at most a quarter wide, so a percentile is right to a quarter */
            assert_true(top - buckets_top(i - 1) <= 1 + top / 4);
    }
    assert_int_equal(where(UINT64_MAX), BUCKETS - 1);
    assert_true(buckets_top(BUCKETS - 1) == UINT64_MAX);
}

static void two_halves_are_the_whole(void **state)
{
    struct buckets all = {.count = 0}, odd = {.count = 0}, even = {.count = 0};
    struct prng prng;
    (void)state;
    prng_init(&prng, 7);
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t value = prng_next(&prng) >> (prng_next(&prng) % 64);
        buckets_add(&all, value);
        buckets_add(i % 2 == 0 ? &even : &odd, value);
    }
    buckets_merge(&even, &odd);
    assert_memory_equal(&even, &all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_lies_in_the_first_bucket_that_reaches_it),
        cmocka_unit_test(two_halves_are_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
