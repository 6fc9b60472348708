/* SPDX-License-Identifier: Apache-2.0
 * What recovery finds, and what it says: the table of verdicts of storage §3, a cut at every byte
 * of the last 4 KiB, and bits flipped at random. The oracle is the list of acknowledged records:
 * each case ends with all of them readable, or with a log that says aloud that it is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log_image.h"

#define FLIPS 500u

static const struct {
    const char *name;
    enum how how;
    void (*damage)(struct image *);
    enum log_state state;
    enum log_verdict verdict;
    enum status failed;
} rows[] = {
    {"sound", SEALED, break_nothing, LOG_READY, LOG_SOUND, STATUS_OK},
    {"sound, killed", KILLED, break_nothing, LOG_READY, LOG_SOUND, STATUS_OK},
    {"sound, stopped", STOPPED, break_nothing, LOG_READY, LOG_SOUND, STATUS_OK},
    {"meta gone", SEALED, break_meta_gone, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"no valid slot", SEALED, break_meta_slots, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"first gone", SEALED, break_first_gone, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"middle gone", SEALED, break_middle_gone, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"newest gone", SEALED, break_newest_gone, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"all gone", SEALED, break_all_gone, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"short", SEALED, break_middle_short, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"foreign", SEALED, break_foreign, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"full segment", KILLED, break_full_segment, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"before valid", SEALED, break_before_valid, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"torn", SEALED, break_behind_end, LOG_READY, LOG_TORN_TAIL, STATUS_OK},
    {"torn below part", SEALED, break_behind_end_part, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"rolled back", SEALED, break_part_above, LOG_READ_ONLY, LOG_ROLLBACK, STATUS_CONFLICT},
    {"wiped after stop", STOPPED, break_wiped, LOG_READ_ONLY, LOG_DAMAGE, STATUS_CORRUPT},
    {"newer version", SEALED, break_newer, LOG_FAILED, LOG_SOUND, STATUS_UNSUPPORTED},
    {"a hole", SEALED, break_flushed, LOG_READY, LOG_SOUND, STATUS_OK},
};

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct image *image = image_new(3, rows[i].how);
        struct rig *rig = &image->rig;
        rows[i].damage(image);
        image_start(image);
        if (rig->log.state != rows[i].state || rig->log.report.verdict != rows[i].verdict)
            print_message("%s: %s\n", rows[i].name, rig->log.report.alarm);
        assert_int_equal(rig->log.state, rows[i].state);
        assert_int_equal(rig->log.report.verdict, rows[i].verdict);
        assert_int_equal(rig->log.failure.status, rows[i].failed);
        assert_int_equal(rig->failed, rows[i].failed != STATUS_OK);
        if (rows[i].state == LOG_READY) {
            assert_int_equal(rig->next, IMAGE_APPENDS);
            assert_int_equal(rig->holes, rows[i].damage == break_flushed);
            assert_true(rig_append(rig)); /* and it goes on */
            rig_settle(rig);
            assert_int_equal(rig->acked_end, IMAGE_APPENDS + 1);
        } else {
            assert_false(rig_append(rig));
        }
        image_free(image);
    }
}

/* A torn tail is zeroed: the start after the next finds nothing of it. A hole stays one. */
static void test_repair_lasts(void **state)
{
    (void)state;
    struct image *image = image_new(4, SEALED);
    break_behind_end(image);
    image_start(image);
    assert_int_equal(image->rig.log.report.torn_bytes, LOG_BLOCK_BYTES);
    rig_crash(&image->rig, true);
    image_start(image);
    assert_int_equal(image->rig.log.report.verdict, LOG_SOUND);
    image_restore(image);
    break_flushed(image);
    image_start(image);
    uint64_t lost = image->rig.hole_offsets;
    assert_true(lost > 0);
    assert_true(image->rig.log.report.alarm[0] != '\0'); /* a new one: somebody is told */
    rig_crash(&image->rig, true);
    image_start(image);
    assert_int_equal(image->rig.holes, 1);
    assert_int_equal(image->rig.hole_offsets, lost);
    assert_int_equal(image->rig.log.report.alarm[0], '\0');
    image_free(image);
}

/* --- every byte, and any bit --- */

static void cut_everywhere(struct image *image, bool truncate, uint64_t part)
{
    static const uint8_t zeros[LOG_BLOCK_BYTES];
    for (uint64_t back = 1; back <= LOG_BLOCK_BYTES; back++) {
        uint64_t at = image->end_at - back;
        if (truncate)
            disk_truncate(&image->rig.disk, image_newest(image), at);
        else
            disk_overwrite(&image->rig.disk, image_newest(image), at,
                           slice_make(zeros, (size_t)back));
        image->rig.options.part = part;
        image_start(image);
        image_restore(image);
    }
}

static void test_cut_tail(void **state)
{
    (void)state;
    struct image *sealed = image_new(5, SEALED);
    cut_everywhere(sealed, false, 0);
    cut_everywhere(sealed, true, 0);
    image_free(sealed);
    /* No seal yet: the store's `part` is the witness. */
    struct image *killed = image_new(6, KILLED);
    cut_everywhere(killed, false, IMAGE_APPENDS);
    cut_everywhere(killed, true, IMAGE_APPENDS);
    image_free(killed);
    /* No seal, no store: what was in flight, unacknowledged, is all that may go. A cut through the
     * last, acknowledged group is only seen by the clients (witness tokens), so it is not asked. */
}

static void test_flips(void **state)
{
    (void)state;
    struct image *image = image_new(7, SEALED);
    struct prng prng;
    uint64_t alarms = 0;
    prng_init(&prng, 11);
    for (uint32_t i = 0; i < FLIPS; i++) {
        const char *name = image->segments[prng_below(&prng, image->count)];
        uint64_t bytes;
        if (prng_chance(&prng, 100))
            name = "log/log.meta";
        (void)disk_bytes(&image->rig.disk, name, &bytes);
        disk_flip(&image->rig.disk, name, prng_below(&prng, bytes * 8));
        image_start(image);
        alarms += image->rig.failed;
        image_restore(image);
    }
    print_message("%u flips, %llu alarms\n", FLIPS, (unsigned long long)alarms);
    assert_true(alarms > 0 && alarms < FLIPS);
    image_free(image);
}

/* Bits that rot while the log is served are found by the reader that comes by. */
static void test_rot_while_served(void **state)
{
    (void)state;
    struct image *image = image_new(8, SEALED);
    struct rig *rig = &image->rig;
    rig_start(rig);
    rig_recover(rig);
    break_full_segment(image);
    rig_settle(rig);
    assert_int_equal(rig->log.state, LOG_READ_ONLY);
    assert_true(rig->failed && rig->failed_status == STATUS_CORRUPT);
    assert_true(rig->next < IMAGE_APPENDS);
    assert_false(rig_append(rig));
    image_free(image);
}

/* A start begins at the segment of `part`: what lies before it was applied. Who reads there, or
 * inspects, still finds what rotted. */
static void test_applied_is_not_scanned(void **state)
{
    (void)state;
    struct image *image = image_new(10, KILLED);
    struct rig *rig = &image->rig;
    uint64_t base;
    assert_true(log_segment_name_read("log", image->segments[2], &base));
    for (int where = 0; where < 3; where++) {
        image_restore(image);
        break_full_segment(image); /* the second one */
        rig->options.part = LOG_PART_LATER;
        rig_start(rig);
        while (!log_awaits_part(&rig->log))
            assert_true(rig_step(rig, UINT64_MAX));
        assert_false(rig_append(rig));
        uint64_t part = where == 0 ? IMAGE_APPENDS : where == 1 ? base : base - 1;
        log_part(&rig->log, part);
        rig_recover(rig);
        assert_int_equal(rig->log.committed, part);
        bool found = where == 2;
        assert_int_equal(rig->log.state, found ? LOG_READ_ONLY : LOG_READY);
        assert_int_equal(rig->log.report.first, 0);
        if (!found) {
            assert_int_equal(rig->log.report.end, IMAGE_APPENDS);
            assert_int_equal(rig->log.report.segments, where == 0 ? 1 : image->count - 2);
            rig_settle(rig); /* its reader begins at 0 */
            assert_int_equal(rig->log.state, LOG_READ_ONLY);
        }
        assert_int_equal(rig->log.report.verdict, LOG_DAMAGE);
        rig_check_never_silent(rig);
        rig_crash(rig, false);
    }
    rig->options.part = IMAGE_APPENDS;
    rig->options.inspect = true;
    image_start(image);
    assert_int_equal(rig->log.report.verdict, LOG_DAMAGE);
    image_free(image);
}

static void test_inspect(void **state)
{
    (void)state;
    struct image *image = image_new(9, SEALED);
    struct rig *rig = &image->rig;
    break_behind_end(image);
    rig->options.inspect = true;
    image_start(image);
    assert_int_equal(rig->log.state, LOG_READ_ONLY);
    assert_int_equal(rig->log.report.verdict, LOG_TORN_TAIL);
    assert_int_equal(rig->log.report.segments, image->count);
    assert_int_equal(rig->log.report.records, IMAGE_APPENDS);
    assert_int_equal(rig->log.report.seals, image->count);
    char text[600];
    log_report_text(&rig->log, text, sizeof text);
    assert_non_null(strstr(text, "260 records"));
    assert_non_null(strstr(text, "torn tail"));
    assert_false(rig_append(rig));
    rig_crash(rig, true);
    image_start(image);
    assert_int_equal(rig->log.report.verdict, LOG_TORN_TAIL); /* nothing was written */
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_repair_lasts),
        cmocka_unit_test(test_cut_tail),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_rot_while_served),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_applied_is_not_scanned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
