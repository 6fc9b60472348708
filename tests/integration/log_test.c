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

static enum status try_append(struct rig *rig, size_t bytes)
{
    static const uint8_t zeros[BUS_RECORD_BYTES_MAX + 1], key[ID_BYTES];
    return rig->log.bus.vtable->append(&rig->log.bus, TOPIC_MESSAGES, key, slice_make(zeros, bytes),
                                       rig->appended);
}

/* A record at its limit is taken, one byte more is not; a full queue says BUSY, and then room
 * comes. */
static void test_limits(void **state)
{
    (void)state;
    struct rig *rig = rig_new(2);
    assert_int_equal(try_append(rig, rig->options.record_bytes_max + 1), STATUS_TOO_LARGE);
    uint64_t taken = 0;
    while (rig_append(rig))
        taken++;
    assert_true(taken >= (LOG_BUFFERS - 1) * (uint64_t)rig->options.group_records_max / 4);
    assert_int_equal(try_append(rig, 100), STATUS_BUSY);
    assert_int_equal(rig->log.refused, 2);
    rig_settle(rig);
    assert_int_equal(rig->acked, taken);
    assert_true(rig_append(rig));
    rig_settle(rig);
    assert_int_equal(rig->acked, taken + 1);
    rig_free(rig);
}

static void test_largest_record(void **state)
{
    (void)state;
    struct rig *rig = rig_new(2);
    struct bus_event events[4];
    size_t records = 0;
    rig->log.options.record_bytes_max = 4096;
    assert_int_equal(try_append(rig, 4096), STATUS_OK);
    for (int i = 0; records == 0 && i < 1000; i++) {
        size_t count = rig->log.bus.vtable->poll(&rig->log.bus, events, 4);
        for (size_t k = 0; k < count; k++) {
            records += events[k].kind == BUS_RECORD;
            if (events[k].kind == BUS_RECORD)
                assert_int_equal(events[k].record.bytes.bytes, 4096);
        }
        rig->now_us += 1000;
        disk_advance(&rig->disk, rig->now_us);
    }
    assert_int_equal(records, 1);
    rig_free(rig);
}

/* Nobody polls while appends come: answered buffers are not reused before their answers are out. */
static void test_unpolled_answers(void **state)
{
    (void)state;
    struct rig *rig = rig_new(3);
    for (int round = 0; round < 200; round++) {
        while (rig_append(rig))
            ;
        rig->now_us += 500;
        disk_advance(&rig->disk, rig->now_us);
        log_turn(&rig->log);
        if (rig->appended > 900)
            break;
    }
    rig_settle(rig);
    assert_int_equal(rig->acked, rig->appended);
    rig_check_acked(rig);
    rig_free(rig);
}

/* After a second without traffic the tail is sealed, once; the next record ends the quiet. */
static void test_idle_seal(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4);
    append_some(rig, 3);
    rig_settle(rig);
    uint64_t before = rig->log.writer.seals, at_us = rig->now_us;
    assert_int_equal(log_deadline_us(&rig->log), rig->log.writer.synced_us + LOG_IDLE_SEAL_US);
    rig_idle(rig);
    assert_int_equal(rig->log.writer.seals, before + 1);
    assert_true(rig->now_us >= at_us + LOG_IDLE_SEAL_US - 5000);
    assert_int_equal(log_deadline_us(&rig->log), UINT64_MAX);
    append_some(rig, 1);
    rig_idle(rig);
    assert_int_equal(rig->log.writer.seals, before + 2);
    rig_free(rig);
}

/* No room for a spare: appends are answered TOO_LARGE, reads go on, and it heals by itself. */
static void test_disk_full(void **state)
{
    (void)state;
    struct rig *rig = rig_new(5);
    rig->disk.options.capacity_bytes = 4 * 64 * 1024 + LOG_META_BYTES;
    while (rig->full == 0)
        append_some(rig, 5);
    rig_settle(rig);
    assert_int_equal(rig->log.state, LOG_READY);
    assert_int_equal(rig->acked + rig->full, rig->appended);
    assert_int_equal(rig->next, rig->acked_end);
    uint64_t acked = rig->acked;
    rig->disk.options.capacity_bytes = 0;
    while (rig->log.spare != SPARE_READY)
        assert_true(rig_step(rig, UINT64_MAX));
    append_some(rig, 50);
    rig_settle(rig);
    assert_int_equal(rig->acked, acked + 50);
    rig_check_acked(rig);
    rig_crash(rig, true);
    rig_start(rig);
    rig_settle(rig);
    assert_int_equal(rig->next, acked + 50);
    rig_check_acked(rig);
    rig_free(rig);
}

/* The first segment is small, since a start waits for it; those behind it are as large as asked,
 * and none is made before something was written. */
static void test_first_segment(void **state)
{
    (void)state;
    struct disk_options disk = disk_options_cruel();
    struct rig *rig = memory_alloc(sizeof *rig);
    rig_init(rig, &disk, 7);
    rig->options.first_bytes = 28 * 1024;
    rig->options.spare_at = 8 * 1024;
    rig_start(rig);
    rig_settle(rig);
    while (rig->log.segments_count == 0)
        assert_true(rig_step(rig, UINT64_MAX));
    rig_idle(rig);
    assert_int_equal(rig->log.segments[0].bytes, 28 * 1024);
    assert_int_equal(rig->log.spare, SPARE_NONE);
    append_some(rig, 1); /* a group, and then the seal: past 8 KiB */
    rig_idle(rig);
    assert_int_equal(rig->log.spare, SPARE_READY);
    append_some(rig, 500);
    rig_settle(rig);
    assert_true(rig->log.segments_count > 2);
    for (size_t i = 1; i < rig->log.segments_count; i++)
        assert_int_equal(rig->log.segments[i].bytes, 64 * 1024);
    rig_check_acked(rig);
    rig_crash(rig, true);
    rig_start(rig);
    rig_settle(rig);
    assert_int_equal(rig->next, 501);
    rig_check_acked(rig);
    rig_free(rig);
}

/* A record too large for what is left of a segment asks for a spare, whatever was written. */
static void test_spare_that_is_needed(void **state)
{
    (void)state;
    struct disk_options disk = disk_options_cruel();
    struct rig *rig = memory_alloc(sizeof *rig);
    rig_init(rig, &disk, 8);
    rig->options.spare_at = UINT32_MAX;
    rig_start(rig);
    rig_settle(rig);
    append_some(rig, 500);
    rig_settle(rig);
    assert_int_equal(rig->acked, 500);
    assert_true(rig->log.segments_count > 2);
    rig_check_acked(rig);
    rig_free(rig);
}

/* A disk that is full from the first day: served, but nothing is taken; then it is. */
static void test_born_full(void **state)
{
    (void)state;
    struct disk_options disk = disk_options_cruel();
    struct rig *rig = memory_alloc(sizeof *rig);
    disk.capacity_bytes = LOG_META_BYTES;
    rig_init(rig, &disk, 6);
    rig_start(rig);
    rig_recover(rig);
    assert_int_equal(rig->log.state, LOG_READY);
    append_some(rig, 1);
    while (rig->answered < rig->appended)
        assert_true(rig_step(rig, UINT64_MAX));
    assert_int_equal(rig->full, 1);
    rig->disk.options.capacity_bytes = 0;
    while (rig->log.segments_count == 0)
        assert_true(rig_step(rig, UINT64_MAX));
    append_some(rig, 1);
    rig_settle(rig);
    assert_int_equal(rig->acked, 1);
    rig_free(rig);
}

/* A paused consumer gets nothing; it begins where it says, also in the middle of a group. */
static void test_pause_and_place(void **state)
{
    (void)state;
    struct rig *rig = rig_new(7);
    append_some(rig, 200);
    rig_settle(rig);
    rig_stop(rig);
    for (uint64_t from = 0; from <= 201; from += 67) {
        rig_start(rig);
        rig->log.reader.next = rig->next = from; /* instead of 0 */
        rig->log.bus.vtable->pause(&rig->log.bus, TOPIC_MESSAGES, 0, true);
        rig_recover(rig);
        while (rig_step(rig, UINT64_MAX))
            ;
        assert_int_equal(rig->next, from);
        rig->log.bus.vtable->pause(&rig->log.bus, TOPIC_MESSAGES, 0, false);
        if (from > 200)
            rig->next = 200; /* past the end: it waits there */
        rig_settle(rig);
        assert_int_equal(rig->next, 200);
        rig_stop(rig);
    }
    rig_free(rig);
}

static void test_stop(void **state)
{
    (void)state;
    struct rig *rig = rig_new(8);
    append_some(rig, 20);
    while (rig_append(rig)) /* still queued when the stop comes */
        ;
    log_stop(&rig->log);
    assert_false(rig_append(rig));
    uint64_t appended = rig->appended;
    rig_stop(rig);
    assert_int_equal(rig->acked, appended);
    disk_crash(&rig->disk);
    rig_start(rig);
    rig_settle(rig);
    assert_true(rig->log.report.seals > 0);
    rig_check_acked(rig);
    rig_free(rig);
}

/* Nothing left behind, whatever allocation of open fails. */
static void test_no_memory(void **state)
{
    (void)state;
    struct disk_options disk = disk_options_cruel();
    struct rig *rig = memory_alloc(sizeof *rig);
    rig_init(rig, &disk, 9);
    for (uint64_t nth = 1;; nth++) {
        int64_t live = memory_live();
        memory_fault_plan(nth, false);
        enum status status =
            log_open(&rig->log, &rig->disk.port, &rig->clock, &rig->entropy, &rig->options);
        bool fired = memory_fault_fired();
        memory_fault_plan(0, false);
        if (!fired) {
            assert_int_equal(status, STATUS_OK);
            break;
        }
        assert_int_equal(status, STATUS_BUSY);
        assert_true(memory_live() == live);
    }
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_consume),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_largest_record),
        cmocka_unit_test(test_unpolled_answers),
        cmocka_unit_test(test_idle_seal),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_born_full),
        cmocka_unit_test(test_first_segment),
        cmocka_unit_test(test_spare_that_is_needed),
        cmocka_unit_test(test_pause_and_place),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
