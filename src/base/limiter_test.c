/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { FREE, SEND, LOGIN };
static const struct limit limits[] = {
    [FREE] = {0}, [SEND] = {60, 1000, false}, [LOGIN] = {5, 180000, true}};
static const uint8_t seed[SIPHASH_SEED_BYTES] = {1};
static const uint8_t anna[ID_BYTES] = {1}, bert[ID_BYTES] = {2};

static int setup(void **state)
{
    static struct limiter limiter;
    assert_int_equal(limiter_open(&limiter, limits, 3, seed), STATUS_OK);
    *state = &limiter;
    return 0;
}

static int teardown(void **state)
{
    limiter_close(*state);
    return 0;
}

static void a_burst_then_one_back_at_a_time(void **state)
{
    for (int i = 0; i < 60; i++)
        assert_int_equal(limiter_take(*state, SEND, anna, 5000), 0);
    assert_int_equal(limiter_take(*state, SEND, anna, 5000), 1000);
    assert_int_equal(limiter_take(*state, SEND, anna, 5400), 600);
    assert_int_equal(limiter_take(*state, SEND, anna, 6000), 0);
    assert_int_equal(limiter_take(*state, SEND, anna, 6000), 1000);
}

static void keys_and_classes_do_not_share(void **state)
{
    for (int i = 0; i < 5; i++)
        assert_int_equal(limiter_take(*state, LOGIN, anna, 0), 0);
    assert_int_equal(limiter_take(*state, LOGIN, anna, 0), 180000);
    assert_int_equal(limiter_take(*state, LOGIN, bert, 0), 0);
    assert_int_equal(limiter_take(*state, SEND, anna, 0), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(limiter_take(*state, FREE, anna, 0), 0);
}

static void what_is_given_back_was_never_taken(void **state)
{
    struct limiter *limiter = *state;
    limiter_give(limiter, LOGIN, anna); /* nothing was taken: nothing is gained */
    for (int i = 0; i < 100; i++) {
        assert_int_equal(limiter_take(limiter, LOGIN, anna, 0), 0);
        limiter_give(limiter, LOGIN, anna);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(limiter_take(limiter, LOGIN, anna, 1), 0);
    assert_true(limiter_take(limiter, LOGIN, anna, 1) > 0);
    limiter_give(limiter, LOGIN, anna);
    assert_int_equal(limiter_take(limiter, LOGIN, anna, 1), 0);
    assert_true(limiter_take(limiter, LOGIN, anna, 1) > 0);
    limiter_give(limiter, FREE, anna);
}

static void full_of_strangers_closed_classes_refuse_until_buckets_fill(void **state)
{
    struct limiter *limiter = *state;
    for (uint32_t i = 0; i < LIMITER_BUCKETS; i++) {
        uint8_t key[ID_BYTES] = {0xff};
        memcpy(key + 1, &i, sizeof i);
        assert_int_equal(limiter_take(limiter, LOGIN, key, 2000), 0);
    }
    assert_int_equal(limiter_take(limiter, LOGIN, anna, 2000), 180000);
    assert_int_equal(limiter_take(limiter, SEND, anna, 2000), 0);
    assert_int_equal(limiter_take(limiter, LOGIN, anna, 2000 + 180000), 0);
    assert_true(limiter->buckets.used < LIMITER_BUCKETS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_burst_then_one_back_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_and_classes_do_not_share, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_back_was_never_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(full_of_strangers_closed_classes_refuse_until_buckets_fill,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
