/* SPDX-License-Identifier: Apache-2.0
 * Sweeps over a scripted run of the log: a crash at every step, a fault at every file operation.
 * PARLEY_LONG=1 in the environment runs many more seeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log_rig.h"

#define SCRIPT_APPENDS 60u

static uint32_t times(uint32_t few, uint32_t many)
{
    return getenv("PARLEY_LONG") != NULL ? many : few;
}

static struct rig *rig_new(uint64_t seed)
{
    struct disk_options disk = disk_options_cruel();
    struct rig *rig = memory_alloc(sizeof *rig);
    rig_init(rig, &disk, seed);
    return rig;
}

static void rig_free(struct rig *rig)
{
    rig_deinit(rig);
    memory_free(rig);
}

/* Append in bursts, with pauses long enough for seals; at most `steps` steps. True: it ran out. */
static bool script(struct rig *rig, uint64_t appends, uint32_t steps)
{
    uint64_t end = rig->appended + appends;
    for (uint32_t i = 0; i < steps; i++) {
        bool alive = rig->log.state == LOG_READY || rig->log.state == LOG_RECOVERING;
        if (alive && rig->appended < end && prng_chance(&rig->prng, 300))
            for (uint64_t n = prng_range(&rig->prng, 1, 6); n > 0 && rig->appended < end; n--)
                if (!rig_append(rig))
                    break;
        bool more = rig_step(rig, UINT64_MAX);
        if (!more && (rig->appended == end || !alive))
            return false;
    }
    return true;
}

/* A second life after a crash: it is served, holds what was acked, and takes more. */
static void next_life(struct rig *rig)
{
    rig_start(rig);
    rig_settle(rig);
    assert_int_equal(rig->log.state, LOG_READY);
    rig_check_acked(rig);
    for (int i = 0; i < 5; i++)
        (void)rig_append(rig);
    rig_settle(rig);
    rig_check_acked(rig);
}

static void test_crash_sweep(void **state)
{
    (void)state;
    uint64_t torn = 0, crashes = 0;
    for (uint64_t seed = 1; seed <= times(40, 1000); seed++) {
        bool cut = true;
        for (uint32_t steps = 1; cut; steps++) {
            struct rig *rig = rig_new(seed);
            rig_start(rig);
            cut = script(rig, SCRIPT_APPENDS, steps);
            rig_crash(rig, steps % 4 != 0); /* every fourth: the process dies, the machine lives */
            next_life(rig);
            torn += rig->log.report.verdict == LOG_TORN_TAIL;
            crashes++;
            rig_crash(rig, true);
            next_life(rig); /* and once more, over what recovery had repaired */
            rig_free(rig);
        }
    }
    print_message("%llu crashes, %llu torn tails\n", (unsigned long long)crashes,
                  (unsigned long long)torn);
    assert_true(torn > 0);
}

/* Crash during recovery itself, at each of its steps. */
static void test_crash_in_recovery(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= times(20, 400); seed++) {
        for (uint32_t steps = 1, done = 0; !done; steps++) {
            struct rig *rig = rig_new(seed);
            rig_start(rig);
            (void)script(rig, SCRIPT_APPENDS, 60 + (uint32_t)seed);
            rig_crash(rig, true);
            rig_start(rig);
            for (uint32_t i = 0; i < steps && rig->log.state == LOG_RECOVERING; i++)
                (void)rig_step(rig, UINT64_MAX);
            done = rig->log.state == LOG_READY;
            rig_crash(rig, true);
            next_life(rig);
            rig_free(rig);
        }
    }
}

/* The Nth file operation fails, once or from then on. Nothing is acked that is not durable, nothing
 * hangs, and a later life with a sound disk holds all that was acked. */
static void fault_run(uint64_t seed, uint64_t nth, bool for_ever, bool *fired)
{
    struct rig *rig = rig_new(seed);
    rig_start(rig);
    disk_fail_plan(&rig->disk, nth, for_ever);
    (void)script(rig, SCRIPT_APPENDS, 100000);
    rig_recover(rig);
    if (rig->log.state != LOG_READY)
        assert_true(rig->failed && rig->log.failure.text[0] != '\0');
    assert_int_equal(rig->answered, rig->appended); /* no append is left without an answer */
    *fired = rig->disk.fail_fired;
    if (*fired)
        assert_int_equal(rig->log.state, LOG_FAILED); /* never retried, never shrugged off */
    disk_fail_plan(&rig->disk, 0, false);
    rig_crash(rig, true);
    next_life(rig);
    rig_free(rig);
}

static void test_fault_sweep(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= times(8, 100); seed++) {
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            bool fired = true;
            for (uint64_t nth = 1; fired; nth++)
                fault_run(seed, nth, for_ever != 0, &fired);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_sweep),
        cmocka_unit_test(test_crash_in_recovery),
        cmocka_unit_test(test_fault_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
