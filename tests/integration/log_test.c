/* SPDX-License-Identifier: Apache-2.0
 * The log on the simulated disk: order, rolling, seals, back-pressure, the verdicts of recovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "log_rig.h"

static struct rig *rig_new(uint64_t seed)
{
    struct disk_options disk = disk_options_cruel();
    struct rig *rig = memory_alloc(sizeof *rig);
    rig_init(rig, &disk, seed);
    rig_start(rig);
    rig_recover(rig);
    return rig;
}

static void rig_free(struct rig *rig)
{
    rig_deinit(rig);
    memory_free(rig);
}

static void append_some(struct rig *rig, uint64_t count)
{
    for (uint64_t end = rig->appended + count; rig->appended < end;)
        if (!rig_append(rig))
            assert_true(rig_step(rig, UINT64_MAX));
}

static void test_append_consume(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1);
    assert_int_equal(rig->log.state, LOG_READY);
    append_some(rig, 500);
    rig_settle(rig);
    assert_int_equal(rig->acked, 500);
    assert_int_equal(rig->next, 500);
    assert_true(rig->log.segments_count > 2); /* it rolled */
    rig_check_acked(rig);
    struct bus_ends ends = rig->log.bus.vtable->ends(&rig->log.bus, TOPIC_MESSAGES, 0);
    assert_int_equal(ends.first, 0);
    assert_int_equal(ends.next, 500);
    rig_stop(rig);
    rig_start(rig);
    rig_settle(rig);
    assert_int_equal(rig->next, 500);
    assert_int_equal(rig->log.report.verdict, LOG_SOUND);
    append_some(rig, 10);
    rig_settle(rig);
    assert_int_equal(rig->next, 510);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_consume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
