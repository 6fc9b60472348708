/* SPDX-License-Identifier: Apache-2.0
 * Threads that ask one limiter: together they get what one would, and clocks may lag. */
#include "adapters/limits/shared_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define THREADS 4
#define ASKED   2000

enum { FREE, LOGIN };
static const struct limit limits[] = {[FREE] = {0}, [LOGIN] = {1000, 3600000, true}};
static const uint8_t seed[SIPHASH_SEED_BYTES] = {1};
static const uint8_t anna[ID_BYTES] = {1};

struct asker {
    struct shared_limits *shared;
    uint32_t passed;
    pthread_t thread;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    struct limits *port = &asker->shared->port;
    for (int i = 0; i < ASKED; i++) {
        asker->passed += port->vtable->take(port, LOGIN, anna, 1000) == 0;
        if (i % 4 == 0 && asker->passed > 0) { /* a right one costs nothing */
            port->vtable->give(port, LOGIN, anna);
            asker->passed--;
        }
    }
    return NULL;
}

static void threads_share_one_count(void **state)
{
    (void)state;
    static struct shared_limits shared;
    static struct asker askers[THREADS];
    uint32_t passed = 0;
    assert_int_equal(shared_limits_open(&shared, limits, 2, seed), STATUS_OK);
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.shared = &shared};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        passed += askers[i].passed;
    }
    while (shared.port.vtable->take(&shared.port, LOGIN, anna, 1000) == 0)
        passed++;
    assert_int_equal(passed, 1000);
    shared_limits_close(&shared);
}

static void a_clock_that_lags_gives_nothing(void **state)
{
    (void)state;
    static struct shared_limits shared;
    assert_int_equal(shared_limits_open(&shared, limits, 2, seed), STATUS_OK);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(shared.port.vtable->take(&shared.port, LOGIN, anna, 5000 - i % 3), 0);
    assert_int_equal(shared.port.vtable->take(&shared.port, LOGIN, anna, 1), 3600000);
    assert_int_equal(shared.port.vtable->take(&shared.port, LOGIN, anna, 5000 + 3600000), 0);
    shared_limits_close(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_one_count),
        cmocka_unit_test(a_clock_that_lags_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
