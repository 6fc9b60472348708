/* SPDX-License-Identifier: Apache-2.0
 * When rows are flushed and copied, and how far the log is trimmed then: the upkeep of parleyd over
 * a real store and a log on the simulated disk, under a clock turned by hand. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "apps/parleyd/upkeep.h"
#include "log_image.h"
#include "rocks_rig.h"

#define S_US     UINT64_C(1000000)
#define TURNS    UINT64_C(1000000000) /* a deadline: far more than any task takes */
#define START_US (100 * 86400 * S_US)

static struct rocks_rig rocks;
static struct upkeep work;
static struct config config;
static struct image *image;
static struct clock_reading now;
static uint64_t applied;

/* The rows have everything below `part`. */
static void apply(uint64_t part)
{
    while (applied < part)
        assert_int_equal(rig_commit(&rocks, applied++), STATUS_OK);
}

static void turn_until_idle(void)
{
    uint64_t turns = 0;
    do {
        upkeep_turn(&work, now);
        (void)sched_yield();
        assert_true(turns++ < TURNS);
    } while (work.running);
    while (rig_step(&image->rig, image->rig.now_us + 200000))
        ;
}

static void after(uint64_t seconds)
{
    now.mono_us += seconds * S_US;
    now.wall_us += seconds * S_US;
    turn_until_idle();
}

static uint64_t base_of(size_t segment)
{
    uint64_t base;
    assert_true(log_segment_name_read("log", image->segments[segment], &base));
    return base;
}

static int setup(void **state)
{
    (void)state;
    rig_make(&rocks);
    assert_int_equal(rig_open(&rocks), STATUS_OK);
    image = image_new(31, SEALED);
    image_start(image);
    applied = 0;
    uint64_t append_us = image->rig.log.writer.place.append_us; /* long ago */
    now = (struct clock_reading){.wall_us = append_us + START_US, .mono_us = START_US};
    config = (struct config){.flush_mib = 4096, .flush_s = 60, .checkpoint_s = 3600, .keep_mib = 1};
    (void)snprintf(config.data, sizeof config.data, "%s", rocks.folder);
    upkeep_open(&work, &config, &image->rig.log, &rocks.db, now);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    upkeep_finish(&work);
    image_free(image);
    rig_remove(&rocks);
    return 0;
}

static void flushes_and_checkpoints_when_due(void **state)
{
    (void)state;
    apply(base_of(1));
    after(1);
    assert_int_equal(work.kept.count, 0);
    after(3600);
    assert_int_equal(work.kept.count, 1);
    assert_int_equal(work.kept.parts[0], base_of(1));
    assert_int_equal(work.flushed, base_of(1));
    apply(base_of(1) + 1);
    after(58);
    assert_int_equal(work.flushed, base_of(1));
    assert_int_equal(upkeep_deadline_us(&work), now.mono_us + 2 * S_US);
    after(2);
    assert_int_equal(work.flushed, base_of(1) + 1);
    assert_int_equal(image->rig.log.meta.flushed, base_of(1) + 1);
    assert_int_equal(work.kept.count, 1);
    after(3600);
    assert_int_equal(work.kept.count, 2);
    apply(IMAGE_APPENDS);
    after(3600);
    assert_int_equal(work.kept.count, UPKEEP_CHECKPOINTS); /* the oldest went */
    assert_int_equal(work.kept.parts[1], IMAGE_APPENDS);
    assert_int_equal(upkeep_deadline_us(&work), UINT64_MAX); /* nothing new: it sleeps */
    assert_int_equal(work.failures, 0);
}

static void trims_behind_the_older_checkpoint(void **state)
{
    (void)state;
    config.keep_days = 1;
    apply(base_of(1));
    after(3600);
    apply(IMAGE_APPENDS);
    after(60);
    assert_int_equal(log_first(&image->rig.log), 0); /* one checkpoint is not enough */
    after(3600);
    assert_int_equal(work.kept.count, 2);
    assert_int_equal(log_first(&image->rig.log), base_of(1));
    after(60);
    assert_int_equal(log_first(&image->rig.log), base_of(1));
}

static void keeps_what_is_young_and_fits(void **state)
{
    (void)state;
    config.keep_days = 365;
    config.keep_mib = 1024;
    for (int i = 0; i < 3; i++) {
        apply(base_of(1) + (uint64_t)i + 1);
        after(3600);
    }
    assert_int_equal(work.kept.count, 2);
    assert_int_equal(log_first(&image->rig.log), 0);
}

static void a_backup_holds_the_log(void **state)
{
    struct stat about;
    (void)state;
    config.keep_days = 1;
    apply(base_of(1));
    after(3600);
    upkeep_backup_begin(&work);
    after(1);
    assert_int_equal(work.backup, BACKUP_READY);
    assert_int_equal(work.backup_part, base_of(1));
    assert_int_equal(work.backup_end, IMAGE_APPENDS);
    assert_int_equal(work.backup_end_at, image->rig.log.end_at);
    assert_int_equal(stat(work.backup_folder, &about), 0);
    char folder[CHECKPOINT_PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s", work.backup_folder);
    for (uint64_t part = base_of(2); part <= base_of(2) + 2; part++) {
        apply(part);
        after(3600);
    }
    assert_int_equal(log_first(&image->rig.log), base_of(1));
    upkeep_backup_end(&work);
    after(1);
    assert_int_equal(stat(folder, &about), -1);
    apply(base_of(2) + 3);
    after(60);
    assert_int_equal(log_first(&image->rig.log), base_of(2));
}

/* What a start finds of the life before. */
static void goes_on_where_it_was(void **state)
{
    (void)state;
    apply(base_of(1));
    after(3600);
    apply(base_of(2));
    after(3600);
    upkeep_open(&work, &config, &image->rig.log, &rocks.db, now);
    assert_int_equal(work.kept.count, 2);
    assert_int_equal(work.kept.parts[0], base_of(1));
    assert_int_equal(work.kept.parts[1], base_of(2));
    assert_int_equal(work.flushed, base_of(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flushes_and_checkpoints_when_due, setup, teardown),
        cmocka_unit_test_setup_teardown(trims_behind_the_older_checkpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_what_is_young_and_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backup_holds_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_where_it_was, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
