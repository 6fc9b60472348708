/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. HISTORY, MARKS, READ, SNAPSHOT. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void history(struct rig *rig, uint32_t req, uint64_t before, uint64_t after, uint32_t n)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_HISTORY};
    frame.body.history =
        (struct pb_history){.chat_id = rig_id(rig, 9), .before = before, .after = after, .n = n};
    rig_frame(rig, &frame);
}

static void history_pages_are_dense(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 150, 10);
    rig_live(rig, 150, 150);
    history(rig, 2, 0, 0, 101);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    history(rig, 3, 0, 0, 100);
    const struct pb_history_page *page =
        &rig_last(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 100);
    assert_int_equal(page->entries[0].body.message.cseq, 150);
    assert_int_equal(page->after, 50);
    assert_true(page->more);
    history(rig, 4, page->after + 1, 0, 100);
    page = &rig_last(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 50);
    assert_false(page->more);
    history(rig, 5, 140, 130, 100);
    page = &rig_last(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 9);
    assert_false(page->more);
}

static void history_never_steps_over_a_hole(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 10, 10);
    rig_live(rig, 10, 10);
    struct pb_chat_head head = {.cseq = 12};
    struct slice chat = rig_id(rig, 9);
    rig_row(rig, key_one(TABLE_CHAT_HEAD, chat.at, 0), &pb_chat_head_type, &head);
    history(rig, 2, 0, 0, 5); /* 11 and 12 are not there yet: a client would take them for none */
    rig_expect_error(rig, 2, PB_ERROR_CODE_BUSY);
    history(rig, 3, 13, 10, 5);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BUSY);
    history(rig, 4, 14, 13, 5); /* this head does not reach 13 yet */
    rig_expect_error(rig, 4, PB_ERROR_CODE_BUSY);
}

static void hidden_rows_are_tombstones_for_others(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 1, 10);
    struct pb_msg_row row = {.has_entry = true};
    row.entry.body_case = PB_ENTRY_BODY_MESSAGE;
    row.entry.body.message = (struct pb_message){.chat_id = rig_id(rig, 9),
                                                 .cseq = 1,
                                                 .user_id = rig_id(rig, 2),
                                                 .device_id = rig_id(rig, 2),
                                                 .mid = rig_id(rig, 3),
                                                 .hidden = true,
                                                 .envelope = SLICE_LITERAL("secret")};
    struct slice chat = rig_id(rig, 9);
    rig_row(rig, key_one(TABLE_MSG, chat.at, 1), &pb_msg_row_type, &row);
    rig_live(rig, 0, 1);
    history(rig, 2, 0, 0, 5);
    for (size_t i = 0; i < rig->frames_count; i++) {
        const struct pb_frame *frame = &rig->frames[i];
        const struct pb_message *message = frame->body_case == PB_FRAME_BODY_PUSH
                                               ? &frame->body.push.entry.body.message
                                           : frame->body_case == PB_FRAME_BODY_HISTORY_PAGE
                                               ? &frame->body.history_page.entries[0].body.message
                                               : NULL;
        if (message == NULL)
            continue;
        assert_true(message->tombstone);
        assert_false(message->hidden);
        assert_int_equal(message->envelope.bytes, 0);
    }
    rig->session.user.at[0] = 1;
    row.entry.body.message.user_id = rig_id(rig, 1); /* its sender sees it, marked */
    rig_row(rig, key_one(TABLE_MSG, chat.at, 1), &pb_msg_row_type, &row);
    history(rig, 3, 0, 0, 5);
    const struct pb_message *own =
        &rig_last(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page.entries[0].body.message;
    assert_true(own->hidden && !own->tombstone && own->envelope.bytes == 6);
}

static void span_set(struct rig *rig, uint64_t from, uint64_t to)
{
    struct slice chat = rig_id(rig, 9), self = rig_id(rig, 1);
    struct pb_span span = {.from = from, .to = to};
    struct pb_member_row member = {.w_cseq = 1, .has_now = true};
    member.now = (struct pb_membership){.role = 1, .spans = &span, .spans_count = 1};
    rig_row(rig, key_two(TABLE_MEMBER, chat.at, self.at), &pb_member_row_type, &member);
}

static void a_side_row_above_the_head_is_not_there_yet(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 3, 3);
    struct slice chat = rig_id(rig, 9), self = rig_id(rig, 1);
    struct pb_span span = {.from = 4};
    struct pb_member_row member = {.w_cseq = 4, .has_now = true}; /* a join at 4, head 3 */
    member.now = (struct pb_membership){.role = 1, .spans = &span, .spans_count = 1};
    rig_row(rig, key_two(TABLE_MEMBER, chat.at, self.at), &pb_member_row_type, &member);
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_READ};
    frame.body.read = (struct pb_read){.chat_id = chat, .upto = 3};
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_DENIED);
}

static void an_ex_member_reads_its_span_only(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 30, 10);
    span_set(rig, 11, 20);
    rig_live(rig, 30, 30);
    history(rig, 2, 0, 0, 100);
    const struct pb_history_page *page =
        &rig_last(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 10);
    assert_int_equal(page->entries[0].body.message.cseq, 20);
    assert_int_equal(page->entries[9].body.message.cseq, 11);
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_READ};
    frame.body.read = (struct pb_read){.chat_id = rig_id(rig, 9), .upto = 15};
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_DENIED);
    rig_ask(rig, 4, PB_FRAME_BODY_SNAPSHOT);
    for (size_t i = 0; i < rig->frames_count; i++) {
        if (rig->frames[i].body_case != PB_FRAME_BODY_SNAPSHOT_PAGE)
            continue;
        const struct pb_chat_state *chat = &rig->frames[i].body.snapshot_page.chats[0];
        assert_int_equal(chat->cseq, 20);
        assert_int_equal(chat->members_count, 1);
        assert_int_equal(chat->members[0].left, 20);
    }
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_SNAPSHOT_PAGE), 1);
}

static void anothers_chat_looks_absent(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 3, 3);
    struct slice chat = rig_id(rig, 7); /* a chat of others; 8 does not exist at all */
    struct pb_chat_head head = {.cseq = 4};
    rig_row(rig, key_one(TABLE_CHAT_HEAD, chat.at, 0), &pb_chat_head_type, &head);
    static const enum pb_frame_body bodies[] = {PB_FRAME_BODY_HISTORY, PB_FRAME_BODY_MARKS,
                                                PB_FRAME_BODY_READ, PB_FRAME_BODY_DELIVERED};
    for (size_t i = 0; i < 4; i++)
        for (uint8_t id = 7; id <= 8; id++) {
            struct pb_frame frame = {.req = 3, .body_case = bodies[i]};
            struct slice of = rig_id(rig, id);
            if (bodies[i] == PB_FRAME_BODY_HISTORY)
                frame.body.history = (struct pb_history){.chat_id = of, .n = 5};
            else if (bodies[i] == PB_FRAME_BODY_MARKS)
                frame.body.marks.chat_id = of;
            else if (bodies[i] == PB_FRAME_BODY_READ)
                frame.body.read = (struct pb_read){.chat_id = of, .upto = 1};
            else
                frame.body.delivered = (struct pb_delivered){.chat_id = of, .upto = 1};
            size_t reads = rig->reads_done;
            rig_frame(rig, &frame);
            rig_expect_error(rig, 3, PB_ERROR_CODE_DENIED);
            assert_int_equal(rig->reads_done - reads, 1);
        }
    assert_int_equal(rig->submits_count, 0);
}

static void read_is_receipt_then_own(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 3, 3);
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_READ};
    frame.body.read = (struct pb_read){.chat_id = rig_id(rig, 9), .upto = 2};
    rig_frame(rig, &frame);
    assert_int_equal(rig->submits_count, 1);
    assert_int_equal(rig_submitted(rig, 0).body.receipt.read_upto, 2);
    rig_appended(rig, 0, STATUS_OK);
    assert_int_equal(rig->submits_count, 2);
    assert_int_equal(rig_submitted(rig, 1).body.own.read_upto, 2);
    frame.body.read.upto = 100004; /* above the head and all that may be on its way to it */
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BAD_FRAME);
    frame = (struct pb_frame){.req = 4, .body_case = PB_FRAME_BODY_DELIVERED};
    frame.body.delivered = (struct pb_delivered){.chat_id = rig_id(rig, 9), .upto = 3};
    rig_frame(rig, &frame);
    size_t frames = rig->frames_count;
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_OK), 0);
    rig_appended(rig, 2, STATUS_OK);
    assert_int_equal(rig->frames_count, frames + 1);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_OK)->req, 4);
}

static void a_snapshot_fixes_its_useq_and_then_the_tail_goes_on(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 4, 10);
    rig_chat(rig, 8, 5, 10);
    struct slice self = rig_id(rig, 1), chat = rig_id(rig, 9), other = rig_id(rig, 2);
    struct pb_sender_row sender = {.sctr = 6, .cseq = 3, .mid = rig_id(rig, 50)};
    rig_row(rig, key_two(TABLE_SENDER, chat.at, self.at), &pb_sender_row_type, &sender);
    rig_columns(rig, key_two(TABLE_MARK, chat.at, other.at), 3, 2);
    rig_columns(rig, key_two(TABLE_MARK, chat.at, self.at), 4, 1);
    rig_open(rig);
    rig_hello(rig, 5, 9, 1); /* above the head, unproven */
    rig_attached(rig, 5, 0);
    rig_deliver(rig, 6, true);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 0); /* not before the snapshot */
    rig_ask(rig, 2, PB_FRAME_BODY_SNAPSHOT);
    const struct pb_snapshot_page *page = NULL;
    for (size_t i = 0; i < rig->frames_count; i++)
        if (rig->frames[i].body_case == PB_FRAME_BODY_SNAPSHOT_PAGE)
            page = &rig->frames[i].body.snapshot_page;
    assert_non_null(page);
    assert_int_equal(page->useq, 5);
    assert_int_equal(page->chats_count, 2);
    assert_false(page->more);
    const struct pb_chat_state *newest = &page->chats[0], *older = &page->chats[1];
    assert_int_equal(newest->chat_id.at[0], 8);
    assert_int_equal(older->last_sctr, 6);
    assert_int_equal(older->last_cseq, 3);
    assert_int_equal(older->delivered_by_all, 3);
    assert_int_equal(older->read_by_all, 2);
    assert_int_equal(older->own_read, 1);
    assert_int_equal(older->last_entry.body.message.cseq, 4);
    assert_false(rig->session.snapshot);
    assert_int_equal(rig->session.acked, 5);
}

/* What was sent as a SNAPSHOT is not yet had: a new owner must not make receipts of it. */
static void a_new_owner_hears_only_what_the_device_said(void **state)
{
    struct rig *rig = *state;
    struct event changed = {.kind = EVENT_OWNER_CHANGED};
    rig_chat(rig, 9, 5, 10);
    rig_open(rig);
    rig_hello(rig, 5, 9, 1); /* above the head, unproven */
    rig_attached(rig, 5, 0);
    rig_ask(rig, 2, PB_FRAME_BODY_SNAPSHOT);
    assert_int_equal(rig->session.acked, 5);
    assert_int_equal(rig->session.said, 0); /* not the 9 that nobody can have */
    rig->session.said = 2;                  /* as if HELLO had told of an old cursor */
    rig_event(rig, &changed);
    const struct pb_rpc *last = &rig->rpcs[rig->rpcs_count - 1];
    assert_int_equal(last->body_case, PB_RPC_BODY_ATTACH);
    assert_true(last->body.attach.again);
    assert_int_equal(last->body.attach.useq, 2);
    rig_ack(rig, 5);
    rig_event(rig, &changed);
    assert_int_equal(rig->rpcs[rig->rpcs_count - 1].body.attach.useq, 5);
}

static void one_snapshot_page_at_a_time(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 4, 10);
    rig_live(rig, 4, 4);
    rig->hold_reads = true;
    rig_ask(rig, 2, PB_FRAME_BODY_SNAPSHOT);
    rig_ask(rig, 3, PB_FRAME_BODY_SNAPSHOT);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BUSY);
    assert_int_equal(rig->reads_count, 1);
    rig_rows(rig, 0, STATUS_TIMEOUT); /* failed: the next may come */
    rig_expect_error(rig, 2, PB_ERROR_CODE_BUSY);
    rig->hold_reads = false;
    rig_ask(rig, 4, PB_FRAME_BODY_SNAPSHOT);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_SNAPSHOT_PAGE), 1);
}

static void a_snapshot_has_all_chats_over_its_pages(void **state)
{
    struct rig *rig = *state;
    struct pb_span span = {.from = 1};
    struct pb_member_row member = {.w_cseq = 1, .has_now = true};
    struct pb_user_head user = {.useq = 400};
    struct slice self = rig_id(rig, 1);
    member.now = (struct pb_membership){.role = 1, .spans = &span, .spans_count = 1};
    rig_row(rig, key_one(TABLE_USER_HEAD, self.at, 0), &pb_user_head_type, &user);
    for (uint64_t n = 1; n <= 120; n++) {
        struct slice id = rig_id(rig, (uint8_t)n);
        struct pb_chat_head head = {.cseq = 1};
        struct pb_user_chat listed = {.last_cseq = 1, .last_useq = (n * 37) % 121};
        rig_row(rig, key_one(TABLE_CHAT_HEAD, id.at, 0), &pb_chat_head_type, &head);
        rig_row(rig, key_two(TABLE_MEMBER, id.at, self.at), &pb_member_row_type, &member);
        rig_row(rig, key_two(TABLE_USER_CHAT, self.at, id.at), &pb_user_chat_type, &listed);
    }
    rig_open(rig);
    rig_hello(rig, 5, 0, 2);
    rig_attached(rig, 399, 0); /* the store is ahead of what the session was told */
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_SNAPSHOT};
    bool seen[121] = {false};
    size_t pages = 0;
    for (bool more = true; more && pages < 9; pages++) {
        rig_frame(rig, &frame);
        const struct pb_snapshot_page *page = NULL;
        for (size_t i = 0; i < rig->frames_count; i++)
            if (rig->frames[i].body_case == PB_FRAME_BODY_SNAPSHOT_PAGE)
                page = &rig->frames[i].body.snapshot_page;
        assert_non_null(page);
        assert_int_equal(page->useq, 400);
        for (size_t i = 0; i < page->chats_count; i++)
            seen[page->chats[i].chat_id.at[0]] = true;
        more = page->more;
        frame.body.snapshot = (struct pb_snapshot){
            .page = page->page + 1, .after_chat = page->after_chat, .useq = page->useq};
    }
    assert_int_equal(pages, 6); /* 25 newest, then 4 × 25 + 20 by id */
    for (size_t n = 1; n <= 120; n++)
        assert_true(seen[n]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(history_pages_are_dense),
        RIG_TEST(history_never_steps_over_a_hole),
        RIG_TEST(hidden_rows_are_tombstones_for_others),
        RIG_TEST(a_side_row_above_the_head_is_not_there_yet),
        RIG_TEST(an_ex_member_reads_its_span_only),
        RIG_TEST(anothers_chat_looks_absent),
        RIG_TEST(read_is_receipt_then_own),
        RIG_TEST(a_snapshot_fixes_its_useq_and_then_the_tail_goes_on),
        RIG_TEST(a_new_owner_hears_only_what_the_device_said),
        RIG_TEST(one_snapshot_page_at_a_time),
        RIG_TEST(a_snapshot_has_all_chats_over_its_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
