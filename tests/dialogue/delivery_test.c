/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. The window, PUSH, ACK, SYNC. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every PUSH so far continues the one before it. */
static void expect_dense_pushes(const struct rig *rig, uint64_t from, uint64_t upto)
{
    uint64_t next = from;
    for (size_t i = 0; i < rig->frames_count; i++) {
        if (rig->frames[i].body_case != PB_FRAME_BODY_PUSH)
            continue;
        assert_int_equal(rig->frames[i].body.push.useq, next + 1);
        assert_int_equal(rig->frames[i].body.push.prev_useq, next);
        next++;
    }
    assert_int_equal(next, upto);
}

static void the_window_ends_at_256_and_opens_with_an_ack(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 300, 10);
    rig_live(rig, 0, 300);
    expect_dense_pushes(rig, 0, 256);
    size_t reads = rig->reads_done;
    rig_ack(rig, 257); /* below the head, but nobody pushed it */
    rig_expect_error(rig, 0, PB_ERROR_CODE_BAD_FRAME);
    rig_deliver(rig, 301,
                true); /* 257 in flight would be one too many: not even the store is asked */
    assert_int_equal(rig->reads_done, reads);
    rig_ack(rig, 1);
    expect_dense_pushes(rig, 0, 257);
    rig_ack(rig, 257);
    expect_dense_pushes(rig, 0, 300); /* the 301st has no row yet */
}

static void bytes_bound_the_window_but_one_entry_always_fits(void **state)
{
    struct rig *rig = *state;
    rig->config.window_bytes = 3000;
    rig_chat(rig, 9, 6, 1300); /* two fit, three do not */
    rig_live(rig, 0, 6);
    expect_dense_pushes(rig, 0, 2);
    size_t reads = rig->reads_done;
    rig_advance(rig, 10);
    assert_int_equal(rig->reads_done, reads); /* shut until an ACK: no reading in vain */
    rig_ack(rig, 2);
    expect_dense_pushes(rig, 0, 4);
    rig->config.window_bytes = 1000; /* each is larger than the whole window now */
    rig_ack(rig, 4);
    expect_dense_pushes(rig, 0, 5);
    rig_ack(rig, 5);
    expect_dense_pushes(rig, 0, 6);
}

static void a_slow_reader_is_not_written_to(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 3, 3);
    rig->output_bytes = SESSION_OUTPUT_BYTES_MAX + 1;
    rig_deliver(rig, 4, true);
    rig_deliver(rig, 5, true);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 0);
    struct pb_inbox_row row = {.has_entry = true};
    row.entry.body_case = PB_ENTRY_BODY_OWN;
    row.entry.body.own.chat_id = rig_id(rig, 9);
    for (uint64_t n = 4; n <= 5; n++)
        rig_row(rig, key_one(TABLE_INBOX, rig->session.user.at, n), &pb_inbox_row_type, &row);
    rig->output_bytes = 0;
    struct event event = {.kind = EVENT_WRITABLE};
    rig_event(rig, &event);
    expect_dense_pushes(rig, 3, 5); /* nothing was queued, nothing is lost */
}

static void deliveries_in_any_order_become_one_line(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 5, 10);
    rig_live(rig, 2, 2);
    rig->hold_reads = true;
    rig_deliver(rig, 5, false); /* 3, 4 were lost on the way */
    assert_int_equal(rig->reads_count, 1);
    rig_deliver(rig, 3, true); /* late, while the tail is being read: the reading has it */
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 0);
    rig->hold_reads = false;
    rig_rows(rig, 0, STATUS_OK);
    rig_advance(rig, 1);
    expect_dense_pushes(rig, 2, 5);
    rig_deliver(rig, 4, true); /* a repeat */
    expect_dense_pushes(rig, 2, 5);
}

static void a_store_behind_its_head_is_asked_again(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 2); /* the owner says 2, the store has none */
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 0);
    size_t reads = rig->reads_done;
    rig_advance(rig, 1);
    assert_int_equal(rig->reads_done, reads);
    rig_chat(rig, 9, 2, 10);
    rig_advance(rig, 100);
    expect_dense_pushes(rig, 0, 2);
}

static void an_ack_is_forwarded_and_the_future_is_an_offence(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 0, 3);
    rig_ack(rig, 2);
    const struct pb_rpc *rpc = &rig->rpcs[rig->rpcs_count - 1];
    assert_int_equal(rpc->body_case, PB_RPC_BODY_ACKED);
    assert_int_equal(rpc->body.acked.useq, 2);
    size_t told = rig->rpcs_count;
    rig_ack(rig, 4);
    rig_expect_error(rig, 0, PB_ERROR_CODE_BAD_FRAME);
    assert_int_equal(rig->rpcs_count, told);
    assert_int_equal(rig->session.acked, 2);
    rig_ack(rig, 1); /* an old one moves nothing */
    assert_int_equal(rig->session.acked, 2);
}

static void a_ping_finds_a_lost_delivery(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 2, 2);
    rig_ask(rig, 2, PB_FRAME_BODY_PING);
    rig_advance(rig, 1);
    expect_dense_pushes(rig, 2, 3);
}

static void sync_gives_500_at_most(void **state)
{
    (void)state;
    for (uint64_t count = 499; count <= 501; count++) {
        struct rig *rig = rig_new();
        rig_chat(rig, 9, count, 100);
        rig_live(rig, 0, count);
        rig_sync(rig, 2, 0);
        const struct pb_sync_part *part = NULL;
        for (size_t i = 0; i < rig->frames_count; i++)
            if (rig->frames[i].body_case == PB_FRAME_BODY_SYNC_PART)
                part = &rig->frames[i].body.sync_part;
        assert_non_null(part);
        assert_int_equal(part->entries_count, count < 500 ? count : 500);
        assert_int_equal(part->more, count > 500);
        for (size_t i = 0; i < part->entries_count; i++) {
            assert_int_equal(part->entries[i].useq, i + 1);
            assert_int_equal(part->entries[i].entry.body_case, PB_ENTRY_BODY_MESSAGE);
        }
        size_t pushes = rig_count(rig, PB_FRAME_BODY_PUSH);
        rig_ack(rig, 500 < count ? 500 : count);
        assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH) - pushes, count > 500 ? 1 : 0);
        rig_free(rig);
    }
}

static void sync_is_cut_by_bytes_and_dense(void **state)
{
    struct rig *rig = *state;
    rig->config.window_bytes = 64 * 1024;
    rig_chat(rig, 9, 200, 1000);
    rig_live(rig, 200, 200);
    rig_sync(rig, 2, 0);
    const struct pb_sync_part *part = &rig_last(rig, PB_FRAME_BODY_SYNC_PART)->body.sync_part;
    assert_in_range(part->entries_count, 40, 64);
    assert_true(part->more);
    assert_int_equal(rig->session.pushed, part->entries_count);
}

static void sync_ends_before_a_hole(void **state)
{
    struct rig *rig = *state;
    struct pb_inbox_row row = {.has_entry = true};
    row.entry.body_case = PB_ENTRY_BODY_OWN;
    rig_live(rig, 5, 5);
    for (uint64_t n = 1; n <= 5; n++) { /* the store has 5 already, but not yet 4 */
        row.entry.body.own = (struct pb_own){.chat_id = rig_id(rig, 9), .read_upto = n};
        if (n != 4)
            rig_row(rig, key_one(TABLE_INBOX, rig->session.user.at, n), &pb_inbox_row_type, &row);
    }
    rig_sync(rig, 2, 0);
    const struct pb_sync_part *part = &rig_last(rig, PB_FRAME_BODY_SYNC_PART)->body.sync_part;
    assert_int_equal(part->entries_count, 3);
    assert_true(part->more);
    for (size_t i = 0; i < part->entries_count; i++) {
        assert_int_equal(part->entries[i].useq, i + 1);
        assert_int_equal(part->entries[i].entry.body.own.read_upto, i + 1);
    }
}

static void sync_below_the_floor_is_a_snapshot(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    rig_hello(rig, 5, 9, 1);
    rig_attached(rig, 9, 4);
    rig_sync(rig, 2, 3);
    assert_true(rig_last(rig, PB_FRAME_BODY_SYNC_PART)->body.sync_part.snapshot);
    rig_sync(rig, 3, 10);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BAD_FRAME);
}

/* What a held read of the tail brings late may meet a window that a SYNC has filled. */
static void a_late_tail_does_not_overfill_the_window(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 250, 10);
    rig_live(rig, 250, 260);
    rig->hold_reads = true;
    rig_advance(rig, 100);
    assert_int_equal(rig->reads_count, 1); /* of 251 … 260 */
    rig_sync(rig, 2, 0);
    rig_sync(rig, 3, 0);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BUSY);
    rig_ask(rig, 4, PB_FRAME_BODY_SNAPSHOT);
    rig_expect_error(rig, 4, PB_ERROR_CODE_BUSY);
    while (rig->reads_count > 1)
        rig_rows(rig, 1, STATUS_OK);
    assert_int_equal(rig->session.pushed, 250);
    rig_chat(rig, 9, 260, 10);
    rig_rows(rig, 0, STATUS_OK);
    rig_rows(rig, 0, STATUS_OK);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 6);
    assert_int_equal(rig->session.pushed, 256);
    rig->hold_reads = false;
    rig_ack(rig, 256);
    assert_int_equal(rig->session.pushed, 260);
}

static void a_store_that_stays_behind_is_asked_ever_more_rarely(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 2);
    static const uint64_t waits[] = {100, 200, 400, 800, 1600, 2000, 2000, 2000};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        size_t reads = rig->reads_done;
        rig_advance(rig, waits[i] - 1);
        assert_int_equal(rig->reads_done, reads);
        rig_advance(rig, 1);
        assert_int_equal(rig->reads_done, reads + 1);
    }
}

/* A row that points nowhere, or at a body that is not there, stops the line: no hole, no guess. */
static void a_pointer_to_nothing_stops_the_line(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    struct pb_inbox_row row = {.cseq = 2, .counts = true};
    rig_row(rig, key_one(TABLE_INBOX, rig_id(rig, 1).at, 2), &pb_inbox_row_type, &row);
    rig_live(rig, 0, 3);
    expect_dense_pushes(rig, 0, 1);
    rig_sync(rig, 2, 1);
    const struct pb_sync_part *part = &rig_last(rig, PB_FRAME_BODY_SYNC_PART)->body.sync_part;
    assert_int_equal(part->entries_count, 0);
    assert_true(part->more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_window_ends_at_256_and_opens_with_an_ack),
        RIG_PLAIN(bytes_bound_the_window_but_one_entry_always_fits),
        RIG_TEST(a_slow_reader_is_not_written_to),
        RIG_TEST(deliveries_in_any_order_become_one_line),
        RIG_TEST(a_store_behind_its_head_is_asked_again),
        RIG_TEST(an_ack_is_forwarded_and_the_future_is_an_offence),
        RIG_TEST(a_ping_finds_a_lost_delivery),
        RIG_TEST(sync_gives_500_at_most),
        RIG_TEST(sync_is_cut_by_bytes_and_dense),
        RIG_TEST(sync_ends_before_a_hole),
        RIG_TEST(sync_below_the_floor_is_a_snapshot),
        RIG_TEST(a_late_tail_does_not_overfill_the_window),
        RIG_TEST(a_store_that_stays_behind_is_asked_ever_more_rarely),
        RIG_TEST(a_pointer_to_nothing_stops_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
