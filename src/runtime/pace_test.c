/* SPDX-License-Identifier: Apache-2.0
 * The pace of receipts: when the next one is due, what is durable, who gives way when it is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/pace.h"

static const uint8_t chats[4][ID_BYTES] = {{1}, {2}, {3}, {4}}, user[ID_BYTES] = {9};
static uint8_t keys[4][PACE_KEY_BYTES];
static struct pace pace;

static int open_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++)
        pace_key(chats[i], user, keys[i]);
    return pace_open(&pace, 3) == STATUS_OK ? 0 : -1;
}

static int close_it(void **state)
{
    (void)state;
    pace_close(&pace);
    return 0;
}

static void the_next_is_due_after_a_second(void **state)
{
    (void)state;
    assert_int_equal(pace_due_ms(&pace, keys[0], 5), 0);
    pace_leave(&pace, keys[0], 5);
    assert_int_equal(pace_due_ms(&pace, keys[0], 5), 5 + PACE_MS);
    assert_int_equal(pace_due_ms(&pace, keys[0], 4 + PACE_MS), 5 + PACE_MS);
    assert_int_equal(pace_due_ms(&pace, keys[0], 5 + PACE_MS), 0);
    assert_int_equal(pace_due_ms(&pace, keys[1], 5), 0); /* others are free */
}

static void what_is_durable_never_falls(void **state)
{
    (void)state;
    pace_raise(&pace, keys[0], 7); /* not here: not remembered */
    assert_int_equal(pace_upto(&pace, keys[0]), 0);
    pace_leave(&pace, keys[0], 5);
    pace_raise(&pace, keys[0], 7);
    pace_raise(&pace, keys[0], 6);
    pace_leave(&pace, keys[0], 5000);
    assert_int_equal(pace_upto(&pace, keys[0]), 7);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        pace_leave(&pace, keys[i], i);
    pace_leave(&pace, keys[0], 10); /* the second is the oldest now */
    pace_raise(&pace, keys[1], 7);
    pace_leave(&pace, keys[3], 11);
    assert_int_equal(pace.crowded, 1);
    assert_int_equal(pace_due_ms(&pace, keys[1], 11), 0);
    assert_int_equal(pace_upto(&pace, keys[1]), 0);
    assert_int_equal(pace_due_ms(&pace, keys[0], 11), 10 + PACE_MS);
    assert_int_equal(pace_due_ms(&pace, keys[2], 11), 2 + PACE_MS);
    pace_leave(&pace, keys[1], 2 + PACE_MS); /* over the third, whose second is over */
    assert_int_equal(pace.crowded, 1);
    assert_int_equal(pace_upto(&pace, keys[1]), 0);
    for (uint64_t i = 0; i < 1000; i++)
        pace_leave(&pace, keys[i * i % 4], 5000 + i);
    assert_int_equal(pace.used, 3);
    assert_int_equal(pace.index.used, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_it, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_is_due_after_a_second),
        TEST(what_is_durable_never_falls),
        TEST(the_oldest_gives_way),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
