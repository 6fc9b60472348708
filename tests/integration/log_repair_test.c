/* SPDX-License-Identifier: Apache-2.0
 * What `parleyctl recover` asks of the log: after any damage it is served again, holds everything
 * that can still be read, says what it lost, and begins a new epoch exactly if it lost anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "log_image.h"

static const struct {
    const char *name;
    enum how how;
    void (*damage)(struct image *);
    uint32_t segments; /* whose records may be gone at most */
    bool unknown;      /* nobody can say how much was there */
} rows[] = {
    {"meta gone", SEALED, break_meta_gone, 0, true},
    {"no valid slot", SEALED, break_meta_slots, 0, true},
    {"first gone", SEALED, break_first_gone, 1, false},
    {"middle gone", SEALED, break_middle_gone, 1, false},
    {"newest gone", SEALED, break_newest_gone, 1, true},
    {"all gone", SEALED, break_all_gone, 16, true},
    {"short", SEALED, break_middle_short, 1, false},
    {"foreign", SEALED, break_foreign, 1, true},
    {"full segment", KILLED, break_full_segment, 1, false},
    {"before valid", SEALED, break_before_valid, 1, false},
    {"torn below part", SEALED, break_behind_end_part, 0, false},
    {"rolled back", SEALED, break_part_above, 0, false},
    {"wiped after stop", STOPPED, break_wiped, 1, false},
};

static void life(struct image *image, uint64_t part, uint64_t from, bool repair)
{
    struct rig *rig = &image->rig;
    static uint8_t id[16];
    memcpy(id, image->log_id, sizeof id);
    rig->options.part = part;
    rig->options.repair = repair;
    rig->options.id = id;
    rig->from = from;
    rig_start(rig);
    rig_settle(rig);
    if (rig->log.state != LOG_READY)
        print_message("%s\n", rig->log.failure.text);
    assert_int_equal(rig->log.state, LOG_READY);
    assert_int_equal(rig->next, rig->log.end);
}

/* What stands above the end was lost: its offsets are given again, in another epoch. */
static void forget_above(struct rig *rig)
{
    for (uint64_t i = 0; i < RIG_TOKENS_MAX; i++) {
        if (i >= rig->log.end)
            rig->token_at[i] = RIG_NONE;
        if (rig->acked_at[i] != RIG_NONE && rig->acked_at[i] >= rig->log.end)
            rig->acked_at[i] = RIG_NONE;
    }
    rig->acked_end = rig->log.end;
}

static void repair(size_t row, uint64_t part)
{
    struct image *image = image_new(5, rows[row].how);
    struct rig *rig = &image->rig;
    rows[row].damage(image);
    part = rig->options.part > part ? rig->options.part : part;
    life(image, part, 0, true);
    uint64_t holes = rig->holes, offsets = rig->hole_offsets, end = rig->log.end;
    bool lost = rig->log.meta.log_epoch > 1;
    bool above = rig->log.end < IMAGE_APPENDS;
    for (uint32_t i = 0; i < rig->log.meta.holes_count; i++)
        lost |= rig->log.meta.holes[i].lost;
    assert_int_equal(rig->log.meta.log_epoch, lost ? 2 : 1);
    assert_true(!above || rows[row].unknown);
    if (part >= IMAGE_APPENDS && part == end && !rows[row].unknown)
        assert_int_equal(lost, part > IMAGE_APPENDS); /* the store held all of it */
    if (part == 0 && rows[row].segments > 0)
        assert_true(lost);
    assert_true(rows[row].segments > 1 || offsets + (above ? IMAGE_APPENDS - end : 0) <= 120);
    forget_above(rig);
    assert_true(rig_append(rig));
    rig_settle(rig);
    rig_crash(rig, true);
    life(image, part, 0, false); /* holes stay holes, all else is there */
    assert_int_equal(rig->hole_offsets, offsets);
    assert_int_equal(rig->holes, holes);
    assert_int_equal(rig->log.end, end + 1);
    assert_true(rig_append(rig));
    rig_settle(rig);
    rig_stop(rig);
    disk_kill(&rig->disk);
    life(image, end + 2, end, false);
    image_free(image);
}

static void every_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        print_message("%s\n", rows[i].name);
        repair(i, 0);
        repair(i, IMAGE_APPENDS / 2);
        repair(i, IMAGE_APPENDS);
    }
}

/* An epoch begins because it was asked for; nothing else changes. */
static void a_new_epoch_on_a_sound_log(void **state)
{
    (void)state;
    struct image *image = image_new(6, STOPPED);
    struct rig *rig = &image->rig;
    rig->options.new_epoch = true;
    life(image, IMAGE_APPENDS, 0, true);
    assert_int_equal(rig->log.meta.log_epoch, 2);
    assert_int_equal(rig->holes, 0);
    rig->options.new_epoch = false;
    rig_stop(rig);
    disk_kill(&rig->disk);
    life(image, IMAGE_APPENDS, IMAGE_APPENDS, false);
    assert_int_equal(rig->log.meta.log_epoch, 2);
    assert_true(rig_append(rig));
    rig_settle(rig);
    rig_check_acked(rig);
    image_free(image);
}

/* Holes that the store held are no holes for another, older store. */
static void a_hole_needs_the_store_that_holds_it(void **state)
{
    (void)state;
    struct image *image = image_new(7, SEALED);
    struct rig *rig = &image->rig;
    break_full_segment(image);
    life(image, IMAGE_APPENDS, 0, true);
    assert_int_equal(rig->log.meta.log_epoch, 1);
    assert_int_equal(rig->holes, 1);
    uint64_t hole_end = rig->log.meta.holes[0].end;
    rig_crash(rig, true);
    rig->options.repair = false;
    rig->options.part = rig->from = hole_end - 1;
    image_start(image);
    assert_int_equal(rig->log.state, LOG_READ_ONLY);
    assert_int_equal(rig->log.report.verdict, LOG_DAMAGE);
    rig_crash(rig, true);
    life(image, hole_end, hole_end, false);
    image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_damage),
        cmocka_unit_test(a_new_epoch_on_a_sound_log),
        cmocka_unit_test(a_hole_needs_the_store_that_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
