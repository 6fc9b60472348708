/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. Who may see what of a chat, and pages that are full before their end:
 * spans of membership, marks of the others, bounds in bytes. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SPANS_MAX 2

static void member(struct rig *rig, uint8_t chat, uint8_t user, const struct pb_span *spans,
                   size_t count)
{
    struct pb_member_row row = {.w_cseq = 1, .has_now = true};
    struct pb_span copy[SPANS_MAX] = {{0}};
    assert_true(count <= SPANS_MAX);
    for (size_t i = 0; i < count; i++)
        copy[i] = spans[i];
    row.now = (struct pb_membership){.role = 1, .spans = copy, .spans_count = count};
    rig_row(rig, key_two(TABLE_MEMBER, rig_id(rig, chat).at, rig_id(rig, user).at),
            &pb_member_row_type, &row);
}

/* The last page of this kind: pushes may stand behind it. */
static const struct pb_frame *page_of(const struct rig *rig, enum pb_frame_body body)
{
    for (size_t i = rig->frames_count; i-- > rig->mark;)
        if (rig->frames[i].body_case == body)
            return &rig->frames[i];
    fail();
    return NULL;
}

static void history(struct rig *rig, uint32_t req, uint64_t before, uint64_t after, uint32_t n)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_HISTORY};
    frame.body.history =
        (struct pb_history){.chat_id = rig_id(rig, 9), .before = before, .after = after, .n = n};
    rig_frame(rig, &frame);
}

static void history_is_read_span_by_span(void **state)
{
    struct rig *rig = *state;
    static const struct pb_span twice[] = {{.from = 2, .to = 5}, {.from = 11, .to = 20}};
    static const struct {
        uint64_t before, after;
        uint64_t newest, oldest; /* 0: an empty page */
        bool more;
    } table[] = {
        {0, 0, 20, 11, true},    /* the newer span, and something older is there */
        {11, 0, 5, 2, false},    /* … in the older one */
        {19, 14, 18, 15, false}, /* a part of one */
        {18, 4, 17, 11, true},   /* both, and the older goes on */
        {18, 10, 17, 11, false}, /* all that was asked for */
        {10, 5, 0, 0, false},    /* nothing between them is theirs */
        {2, 0, 0, 0, false},     /* nor before them */
        {7, 7, 0, 0, false},     /* an empty question */
        {99, 0, 20, 11, true},   /* an ex-member knows no number above its last */
    };
    rig_chat(rig, 9, 30, 10);
    member(rig, 9, 1, twice, 2);
    rig_live(rig, 30, 30);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        history(rig, 2, table[i].before, table[i].after, 100);
        const struct pb_history_page *page =
            &page_of(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
        uint64_t count = table[i].newest ? table[i].newest - table[i].oldest + 1 : 0;
        assert_int_equal(page->entries_count, count);
        assert_int_equal(page->more, table[i].more);
        if (count > 0) {
            assert_int_equal(page->entries[0].body.message.cseq, table[i].newest);
            assert_int_equal(page->entries[count - 1].body.message.cseq, table[i].oldest);
        }
    }
    member(rig, 9, 1, NULL, 0); /* never was in */
    history(rig, 3, 0, 0, 100);
    rig_expect_error(rig, 3, PB_ERROR_CODE_DENIED);
}

static void a_page_of_large_entries_ends_in_time(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 20, 60000);
    rig_live(rig, 20, 20);
    history(rig, 2, 0, 0, 100);
    const struct pb_history_page *page =
        &page_of(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 13); /* 768 KiB */
    assert_true(page->more);
    history(rig, 3, page->after + 1, 0, 100);
    page = &page_of(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 7); /* none is lost between them */
    assert_false(page->more);
}

static void a_join_that_is_announced_counts_from_its_own_number(void **state)
{
    struct rig *rig = *state;
    static const struct pb_span gone[] = {{.from = 1, .to = 2}};
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 3, 3);
    struct pb_span span = {.from = 4};
    struct pb_member_row row = {.w_cseq = 4, .has_now = true, .has_prev = true};
    row.now = (struct pb_membership){.spans = &span, .spans_count = 1};
    row.prev = (struct pb_membership){.spans = (struct pb_span *)(uintptr_t)gone, .spans_count = 1};
    rig_row(rig, key_two(TABLE_MEMBER, rig_id(rig, 9).at, rig_id(rig, 1).at), &pb_member_row_type,
            &row);
    history(rig, 2, 0, 0, 9); /* the head is 3: what stood before counts */
    const struct pb_history_page *page =
        &page_of(rig, PB_FRAME_BODY_HISTORY_PAGE)->body.history_page;
    assert_int_equal(page->entries_count, 2);
    row.w_cseq = 3;
    row.has_now = false; /* removed for good */
    rig_row(rig, key_two(TABLE_MEMBER, rig_id(rig, 9).at, rig_id(rig, 1).at), &pb_member_row_type,
            &row);
    history(rig, 3, 0, 0, 9);
    rig_expect_error(rig, 3, PB_ERROR_CODE_DENIED);
}

/* Users 1 … 5: 3 has left, 5 has no mark yet. */
static void five_members(struct rig *rig, bool fifth)
{
    static const struct pb_span in[] = {{.from = 1}}, left[] = {{.from = 1, .to = 2}};
    static const uint64_t marks[][2] = {{9, 8}, {6, 4}, {1, 1}, {7, 3}};
    rig_chat(rig, 9, 9, 10);
    for (uint8_t user = 1; user <= (fifth ? 5 : 4); user++) {
        member(rig, 9, user, user == 3 ? left : in, 1);
        if (user <= 4)
            rig_columns(rig, key_two(TABLE_MARK, rig_id(rig, 9).at, rig_id(rig, user).at),
                        marks[user - 1][0], marks[user - 1][1]);
    }
}

static void marks_are_of_those_who_are_in(void **state)
{
    struct rig *rig = *state;
    five_members(rig, true);
    rig_live(rig, 9, 9);
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_MARKS};
    frame.body.marks.chat_id = rig_id(rig, 9);
    rig_frame(rig, &frame);
    const struct pb_marks_answer *answer =
        &page_of(rig, PB_FRAME_BODY_MARKS_ANSWER)->body.marks_answer;
    static const uint64_t said[][3] = {{1, 9, 8}, {2, 6, 4}, {4, 7, 3}, {5, 0, 0}};
    assert_int_equal(answer->marks_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(answer->marks[i].user_id.at[0], said[i][0]);
        assert_int_equal(answer->marks[i].delivered_upto, said[i][1]);
        assert_int_equal(answer->marks[i].read_upto, said[i][2]);
    }
    member(rig, 9, 1, (struct pb_span[]){{.from = 1, .to = 4}}, 1); /* one who left asks */
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_DENIED);
}

static const struct pb_snapshot_page *snapshot(struct rig *rig, uint32_t page, uint8_t after,
                                               uint64_t useq)
{
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_SNAPSHOT};
    uint8_t id[ID_BYTES];
    memset(id, after, sizeof id);
    frame.body.snapshot =
        (struct pb_snapshot){.page = page, .after_chat = SLICE_OF(id), .useq = useq};
    rig_frame(rig, &frame);
    return &page_of(rig, PB_FRAME_BODY_SNAPSHOT_PAGE)->body.snapshot_page;
}

/* A tick says "all": the least of the others who are in; one without a mark has seen nothing. */
static void a_tick_waits_for_the_slowest_who_is_in(void **state)
{
    (void)state;
    for (int fifth = 0; fifth < 2; fifth++) {
        struct rig *rig = rig_new();
        five_members(rig, fifth);
        rig_live(rig, 9, 9);
        const struct pb_chat_state *chat = &snapshot(rig, 0, 0, 0)->chats[0];
        assert_int_equal(chat->delivered_by_all, fifth ? 0 : 6);
        assert_int_equal(chat->read_by_all, fifth ? 0 : 3);
        assert_int_equal(chat->own_read, 8);
        assert_int_equal(chat->members_count, fifth ? 5 : 4);
        rig_free(rig);
    }
}

static void large_chats_come_over_several_pages(void **state)
{
    struct rig *rig = *state;
    for (uint8_t chat = 11; chat <= 30; chat++)
        rig_chat(rig, chat, 1, 60000);
    static const struct pb_span none[SPANS_MAX];
    member(rig, 12, 1, none, 0); /* of a chat that is not theirs nothing is told */
    rig_live(rig, 1, 1);
    const struct pb_snapshot_page *page = snapshot(rig, 0, 0, 0);
    size_t first = page->chats_count;
    assert_int_equal(first, 13);
    assert_true(page->more);
    page = snapshot(rig, 1, 0, 1);
    size_t seen = page->chats_count;
    assert_true(page->more);
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_SNAPSHOT};
    frame.body.snapshot = (struct pb_snapshot){
        .page = 2, .after_chat = arena_copy(&rig->keep, page->after_chat), .useq = 1};
    rig_frame(rig, &frame);
    page = &page_of(rig, PB_FRAME_BODY_SNAPSHOT_PAGE)->body.snapshot_page;
    assert_false(page->more);
    assert_int_equal(seen + page->chats_count, 19);
    page = snapshot(rig, 3, 0xff, 1); /* behind the last possible chat: from the beginning */
    assert_int_equal(page->chats_count, 13);
}

static void a_page_that_is_too_old_begins_again(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    rig_hello(rig, 5, 0, 1);
    rig_attached(rig, 9, 4);
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_SNAPSHOT};
    frame.body.snapshot = (struct pb_snapshot){.page = 1, .useq = 3};
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_CONFLICT);
    frame.body.snapshot.useq = 10;
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    frame.body.snapshot.useq = 4;
    rig_frame(rig, &frame);
    (void)page_of(rig, PB_FRAME_BODY_SNAPSHOT_PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(history_is_read_span_by_span),
        RIG_TEST(a_page_of_large_entries_ends_in_time),
        RIG_TEST(a_join_that_is_announced_counts_from_its_own_number),
        RIG_TEST(marks_are_of_those_who_are_in),
        RIG_PLAIN(a_tick_waits_for_the_slowest_who_is_in),
        RIG_TEST(large_chats_come_over_several_pages),
        RIG_TEST(a_page_that_is_too_old_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
