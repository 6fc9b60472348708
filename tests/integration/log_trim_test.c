/* SPDX-License-Identifier: Apache-2.0
 * The log's old end: what may go, what must stay, and a crash at every step of it. And what a start
 * need not read after a clean stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log_image.h"

/* A served log of several segments, all of it handed out. */
static struct image *served(void)
{
    struct image *image = image_new(21, SEALED);
    image_start(image);
    assert_int_equal(image->rig.log.state, LOG_READY);
    return image;
}

/* Until nothing is left to note or to trim. */
static void upkeep(struct rig *rig)
{
    while (rig_step(rig, rig->now_us + 200000))
        ;
}

static uint64_t base_of(const struct image *image, size_t segment)
{
    uint64_t base;
    assert_true(log_segment_name_read("log", image->segments[segment], &base));
    return base;
}

static bool there(struct image *image, size_t segment)
{
    uint64_t bytes;
    return disk_bytes(&image->rig.disk, image->segments[segment], &bytes) != NULL;
}

/* A start whose store has applied `part` reads from there, and misses nothing. */
static void goes_on_from(struct image *image, uint64_t part, bool power)
{
    struct rig *rig = &image->rig;
    rig_crash(rig, power);
    rig->options.part = rig->from = part;
    rig_start(rig);
    rig_settle(rig);
    assert_int_equal(rig->log.state, LOG_READY);
    assert_int_equal(rig->next, rig->log.end);
    assert_int_equal(rig->holes, 0);
    assert_true(rig_append(rig));
    rig_settle(rig);
    rig_check_acked(rig);
}

static void only_below_what_is_flushed(void **state)
{
    (void)state;
    struct image *image = served();
    struct rig *rig = &image->rig;
    uint64_t first = base_of(image, 1);
    log_trim(&rig->log, IMAGE_APPENDS); /* asked for everything */
    upkeep(rig);
    assert_true(there(image, 0));
    assert_int_equal(log_first(&rig->log), 0);
    log_flushed(&rig->log, first); /* just the first segment is in the store's files */
    upkeep(rig);
    assert_false(there(image, 0));
    assert_true(there(image, 1));
    assert_int_equal(log_first(&rig->log), first);
    assert_int_equal(rig->log.bus.vtable->ends(&rig->log.bus, TOPIC_MESSAGES, 0).first, first);
    assert_int_equal(rig->log.upkeep.trimmed, 1);
    goes_on_from(image, first, true);
    assert_int_equal(rig->log.meta.flushed, first);
    image_free(image);
}

static void only_below_what_is_asked_and_never_the_newest(void **state)
{
    (void)state;
    struct image *image = served();
    struct rig *rig = &image->rig;
    log_flushed(&rig->log, IMAGE_APPENDS);
    log_trim(&rig->log, base_of(image, 1) - 1); /* one record of the first must stay */
    upkeep(rig);
    assert_true(there(image, 0));
    log_trim(&rig->log, UINT64_MAX);
    upkeep(rig);
    for (size_t i = 0; i < image->count; i++)
        assert_int_equal(there(image, i), i + 1 == image->count);
    goes_on_from(image, IMAGE_APPENDS, true);
    image_free(image);
}

static void a_spared_record_stays(void **state)
{
    (void)state;
    struct image *image = served();
    struct rig *rig = &image->rig;
    log_spare(&rig->log, base_of(image, 2));
    log_spare(&rig->log, base_of(image, 2) - 1); /* in the second segment */
    upkeep(rig);
    goes_on_from(image, IMAGE_APPENDS, true);
    log_flushed(&rig->log, IMAGE_APPENDS);
    log_trim(&rig->log, UINT64_MAX);
    upkeep(rig);
    assert_false(there(image, 0));
    assert_true(there(image, 1));
    image_free(image);
}

static void what_a_reader_is_still_to_read_stays(void **state)
{
    (void)state;
    struct image *image = served();
    struct rig *rig = &image->rig;
    rig->log.bus.vtable->pause(&rig->log.bus, TOPIC_MESSAGES, 0, true);
    rig->log.bus.vtable->consume(&rig->log.bus, TOPIC_MESSAGES, 0, base_of(image, 1));
    rig->next = base_of(image, 1);
    log_flushed(&rig->log, IMAGE_APPENDS);
    log_trim(&rig->log, UINT64_MAX);
    upkeep(rig);
    assert_true(there(image, 0));
    rig->log.bus.vtable->pause(&rig->log.bus, TOPIC_MESSAGES, 0, false);
    rig_settle(rig);
    assert_int_equal(rig->holes, 0);
    upkeep(rig);
    assert_false(there(image, 1));
    image_free(image);
}

static void how_old_is_old(void **state)
{
    (void)state;
    struct image *image = served();
    struct log *log = &image->rig.log;
    size_t last = image->count - 1;
    assert_int_equal(log_old(log, UINT64_MAX, 0), 0);
    assert_int_equal(log_old(log, 0, 0), base_of(image, last));
    assert_int_equal(log_old(log, log->end_at + 1, 0), base_of(image, last - 1));
    assert_int_equal(log_old(log, UINT64_MAX, UINT64_MAX), base_of(image, last));
    assert_int_equal(log_old(log, UINT64_MAX, log->segments[2].header.append_us + 1),
                     base_of(image, 2));
    image_free(image);
}

/* A crash after any number of steps: what is not flushed is all there. */
static void a_crash_at_every_step(void **state)
{
    uint64_t first_before = 0;
    bool more = true;
    (void)state;
    for (uint32_t steps = 0; more; steps++) {
        struct image *image = served();
        struct rig *rig = &image->rig;
        uint64_t part = base_of(image, 2);
        log_flushed(&rig->log, part);
        log_trim(&rig->log, IMAGE_APPENDS);
        for (uint32_t i = 0; more && i < steps; i++)
            more = rig_step(rig, rig->now_us + 200000);
        goes_on_from(image, part, steps % 3 != 0);
        assert_true(log_first(&rig->log) >= first_before || steps % 3 == 0);
        if (!more)
            assert_int_equal(log_first(&rig->log), part);
        image_free(image);
        assert_true(steps < 200);
    }
}

/* The rows end before the log begins: nothing is served, nothing is written. */
static void a_store_that_is_too_old_is_refused(void **state)
{
    (void)state;
    struct image *image = served();
    struct rig *rig = &image->rig;
    uint64_t first = base_of(image, 1);
    log_flushed(&rig->log, first);
    log_trim(&rig->log, first);
    upkeep(rig);
    rig_crash(rig, false);
    rig->options.part = rig->from = first - 1;
    rig_start(rig);
    rig_recover(rig);
    (void)rig_step(rig, UINT64_MAX);
    assert_int_equal(rig->log.state, LOG_FAILED);
    assert_int_equal(rig->log.report.verdict, LOG_STORE_LOST);
    assert_int_equal(rig->log.failure.status, STATUS_CORRUPT);
    assert_non_null(strstr(rig->log.failure.text, "parleyctl restore"));
    assert_false(rig_append(rig));
    rig_crash(rig, false);
    rig->options.part = rig->from = first;
    rig_start(rig);
    rig_settle(rig);
    assert_int_equal(rig->log.state, LOG_READY);
    image_free(image);
}

static void after_a_clean_stop_nothing_is_scanned(void **state)
{
    (void)state;
    struct image *image = image_new(22, STOPPED);
    struct rig *rig = &image->rig;
    rig->options.part = rig->from = IMAGE_APPENDS;
    image_start(image);
    assert_int_equal(rig->log.report.groups, 0);
    for (int life = 0; life < 3; life++)
        goes_on_from(image, rig->log.end, life % 2 == 0); /* now it is */
    assert_true(rig->log.report.groups > 0);
    rig_stop(rig);
    disk_kill(&rig->disk);
    rig->options.part = 0; /* something is to be read: so is all of it */
    rig->from = 0;
    rig_start(rig);
    rig_settle(rig);
    assert_true(rig->log.report.groups > 20);
    rig_check_acked(rig);
    image_free(image);
}

static void a_wiped_tail_is_seen_all_the_same(void **state)
{
    (void)state;
    struct image *image = image_new(23, STOPPED);
    struct rig *rig = &image->rig;
    break_wiped(image);
    rig->options.part = IMAGE_APPENDS;
    image_start(image);
    assert_int_equal(rig->log.state, LOG_READ_ONLY);
    assert_int_equal(rig->log.report.verdict, LOG_DAMAGE);
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_below_what_is_flushed),
        cmocka_unit_test(only_below_what_is_asked_and_never_the_newest),
        cmocka_unit_test(a_spared_record_stays),
        cmocka_unit_test(what_a_reader_is_still_to_read_stays),
        cmocka_unit_test(how_old_is_old),
        cmocka_unit_test(a_crash_at_every_step),
        cmocka_unit_test(a_store_that_is_too_old_is_refused),
        cmocka_unit_test(after_a_clean_stop_nothing_is_scanned),
        cmocka_unit_test(a_wiped_tail_is_seen_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
