/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/password/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DEADLINE_MS 60000

static struct password_done await(struct password_pool *pool)
{
    struct password_done done;
    struct timespec pause = {0, 1000000};
    for (int ms = 0; ms < DEADLINE_MS; ms++) {
        if (pool->port.vtable->poll(&pool->port, &done, 1) == 1)
            return done;
        nanosleep(&pause, NULL);
    }
    fail_msg("no answer within %d ms", DEADLINE_MS);
    return done;
}

static void what_was_hashed_matches_and_nothing_else(void **state)
{
    (void)state;
    struct password_pool pool;
    assert_int_equal(password_pool_open(&pool, 1, NULL, NULL), STATUS_OK);
    const struct password_vtable *port = pool.port.vtable;
    struct slice right = SLICE_LITERAL("correct horse battery");
    assert_int_equal(port->hash(&pool.port, right, 7), STATUS_OK);
    struct password_done hashed = await(&pool);
    assert_int_equal(hashed.token, 7);
    assert_non_null(strstr(hashed.hash, "$argon2id$v=19$m=19456,t=2,p=1$"));
    struct slice hash = slice_text(hashed.hash);

    assert_int_equal(port->verify(&pool.port, right, hash, 8), STATUS_OK);
    assert_true(await(&pool).match);
    assert_int_equal(port->verify(&pool.port, SLICE_LITERAL("correct horse batterx"), hash, 9),
                     STATUS_OK);
    assert_false(await(&pool).match);
    assert_int_equal(port->verify(&pool.port, right, SLICE_EMPTY, 10), STATUS_OK);
    assert_false(await(&pool).match);
    password_pool_close(&pool);
}

static void the_queue_has_an_end_and_every_job_an_answer(void **state)
{
    (void)state;
    struct password_pool pool;
    assert_int_equal(password_pool_open(&pool, 2, NULL, NULL), STATUS_OK);
    const struct password_vtable *port = pool.port.vtable;
    uint8_t long_text[PASSWORD_BYTES_MAX + 1] = {0};
    assert_int_equal(port->hash(&pool.port, SLICE_OF(long_text), 0), STATUS_TOO_LARGE);
    for (uint64_t i = 0; i < PASSWORD_QUEUE; i++) /* a hash that cannot be read costs nothing */
        assert_int_equal(port->verify(&pool.port, SLICE_EMPTY, SLICE_LITERAL("$"), i), STATUS_OK);
    assert_int_equal(port->verify(&pool.port, SLICE_EMPTY, SLICE_LITERAL("$"), 99), STATUS_BUSY);
    assert_int_equal(pool.refused, 1);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < PASSWORD_QUEUE; i++)
        seen |= UINT64_C(1) << await(&pool).token;
    assert_true(seen == UINT64_MAX);
    assert_int_equal(pool.in_flight, 0);
    password_pool_close(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_hashed_matches_and_nothing_else),
        cmocka_unit_test(the_queue_has_an_end_and_every_job_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
