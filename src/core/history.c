/* SPDX-License-Identifier: Apache-2.0
 * HISTORY, MARKS: what a member may read of a chat again.
 * A page covers the numbers after < cseq < before of its answer, newest first, without a hole (a
 * client takes what an answer leaves out for not its own, so a hole must be BUSY). The next page
 * asks with before = after + 1. It ends at the edge of one span of membership; `more`
 * says whether anything older is the person's to see. */
#include <string.h>

#include "core/command.h"
#include "core/fold.h"

#define PAGE_ENTRIES_MAX 100u

static void chat_ask(struct step *step, const struct pb_frame *frame, struct slice chat, uint8_t op)
{
    const struct row_key keys[] = {key_one(TABLE_CHAT_HEAD, chat.at, 0),
                                   key_two(TABLE_MEMBER, chat.at, step->session->user.at)};
    step_read_keys(step, keys, 2, step_ticket(op, frame->req), step->event->bytes);
}

void history_on_frame(struct step *step, const struct pb_frame *frame)
{
    if (frame->body.history.n == 0 || frame->body.history.n > PAGE_ENTRIES_MAX) {
        step_offence(step, frame->req);
        return;
    }
    chat_ask(step, frame, frame->body.history.chat_id, PB_FRAME_BODY_HISTORY);
}

/* Newest span with numbers inside (after, before): its part of them. */
static bool span_of_page(const struct pb_membership *membership, uint64_t after, uint64_t before,
                         uint64_t *low, uint64_t *high)
{
    for (size_t i = membership->spans_count; i-- > 0;) {
        const struct pb_span *span = &membership->spans[i];
        *low = span->from > after + 1 ? span->from : after + 1;
        *high = span->to != 0 && span->to < before - 1 ? span->to : before - 1;
        if (*low <= *high)
            return true;
    }
    return false;
}

static void history_answer(struct step *step, struct pb_history_page *page, struct slice chat)
{
    struct pb_frame frame = {.req = step->event->ticket.req,
                             .body_case = PB_FRAME_BODY_HISTORY_PAGE};
    page->chat_id = chat;
    frame.body.history_page = *page;
    step_send(step, &frame);
}

static void history_span(struct step *step, const struct pb_history *asked)
{
    struct pb_chat_head head;
    struct pb_member_row row;
    struct ticket ticket = step->event->ticket;
    const struct pb_membership *membership = NULL;
    if (step_row_message(step, step_row(step, 0, 0), &pb_chat_head_type, &head) &&
        step_row_message(step, step_row(step, 0, 1), &pb_member_row_type, &row))
        membership = membership_at(&row, head.cseq);
    if (membership == NULL || membership->spans_count == 0) {
        step_error(step, ticket.req, PB_ERROR_CODE_DENIED);
        return;
    }
    if (asked->before > head.cseq + 1 && membership_active(membership)) {
        /* It knows of numbers that this head does not reach yet: they are there, and its own. */
        step_error_retry(step, ticket.req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        return;
    }
    bool from_head = asked->before == 0 || asked->before > head.cseq + 1;
    uint64_t before = from_head ? head.cseq + 1 : asked->before;
    uint64_t low, high;
    if (asked->after >= before || !span_of_page(membership, asked->after, before, &low, &high)) {
        struct pb_history_page page = {.before = before, .after = asked->after};
        history_answer(step, &page, asked->chat_id);
        return;
    }
    const uint8_t *chat = asked->chat_id.at;
    const struct row_key keys[] = {key_one(TABLE_MSG, chat, low), key_one(TABLE_MSG, chat, high)};
    const struct read read = {
        .keys = keys, .keys_count = 2, .range = true, .descending = true, .rows_max = asked->n};
    uint64_t oldest = membership->spans[0].from;
    ticket.round = 1;
    /* something older is there, in another span */
    ticket.seq = oldest < low && asked->after + 1 < low;
    ticket.a = low;
    ticket.b = high;
    step_read(step, &read, 1, ticket, step->event->held);
}

void history_on_rows(struct step *step)
{
    const struct ticket *ticket = &step->event->ticket;
    struct pb_frame frame;
    if (!step_held_frame(step, &frame))
        return;
    const struct pb_history *asked = &frame.body.history;
    if (ticket->round == 0) {
        history_span(step, asked);
        return;
    }
    struct pb_history_page page = {.before = ticket->b + 1};
    page.entries = ARENA_ARRAY(step->arena, struct pb_entry, asked->n);
    size_t bytes = 0;
    uint64_t next = ticket->b;
    for (size_t i = 0; i < asked->n && page.entries != NULL && next >= ticket->a; i++) {
        const struct row *row = step_row(step, 0, i);
        struct pb_msg_row msg;
        if (row == NULL || row->key.n != next ||
            !step_row_message(step, row, &pb_msg_row_type, &msg))
            break;
        entry_show_to(&msg.entry, &step->session->user);
        bytes += pb_entry_size(&msg.entry) + 8;
        if (bytes > ANSWER_BYTES_MAX)
            break;
        page.entries[page.entries_count++] = msg.entry;
        next--;
    }
    if (page.entries_count == 0) { /* a row below the head that is not there: never a silent hole */
        step_error_retry(step, ticket->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        return;
    }
    page.after = next;
    page.more = next >= ticket->a || ticket->seq != 0;
    history_answer(step, &page, asked->chat_id);
}

/* ---- MARKS ---- */

void marks_on_frame(struct step *step, const struct pb_frame *frame)
{
    static const uint8_t first[ID_BYTES];
    uint8_t last[ID_BYTES];
    memset(last, 0xff, sizeof last);
    const uint8_t *chat = frame->body.marks.chat_id.at;
    const struct row_key head = key_one(TABLE_CHAT_HEAD, chat, 0);
    const struct row_key members[] = {key_two(TABLE_MEMBER, chat, first),
                                      key_two(TABLE_MEMBER, chat, last)};
    const struct row_key marks[] = {key_two(TABLE_MARK, chat, first),
                                    key_two(TABLE_MARK, chat, last)};
    const struct read reads[] = {
        {.keys = &head, .keys_count = 1},
        {.keys = members, .keys_count = 2, .range = true, .rows_max = FOLD_MEMBERS_EVER},
        {.keys = marks, .keys_count = 2, .range = true, .rows_max = FOLD_MEMBERS_EVER}};
    step_read(step, reads, 3, step_ticket(PB_FRAME_BODY_MARKS, frame->req), step->event->bytes);
}

static const struct row *mark_of(const struct step *step, const uint8_t user[ID_BYTES])
{
    const struct row *row;
    for (size_t i = 0; (row = step_row(step, 2, i)) != NULL; i++)
        if (memcmp(row->key.b, user, ID_BYTES) == 0)
            return row;
    return NULL;
}

void marks_on_rows(struct step *step)
{
    struct pb_frame asked,
        frame = {.req = step->event->ticket.req, .body_case = PB_FRAME_BODY_MARKS_ANSWER};
    struct pb_marks_answer *answer = &frame.body.marks_answer;
    struct pb_chat_head head = {0};
    bool entitled = false;
    if (!step_held_frame(step, &asked))
        return;
    answer->chat_id = asked.body.marks.chat_id;
    answer->marks = ARENA_ARRAY(step->arena, struct pb_mark_state, FOLD_MEMBERS_MAX);
    (void)step_row_message(step, step_row(step, 0, 0), &pb_chat_head_type, &head);
    const struct row *row;
    for (size_t i = 0; answer->marks != NULL && (row = step_row(step, 1, i)) != NULL; i++) {
        struct pb_member_row member;
        if (answer->marks_count == FOLD_MEMBERS_MAX ||
            !step_row_message(step, row, &pb_member_row_type, &member) ||
            !membership_active(membership_at(&member, head.cseq)))
            continue;
        entitled |= memcmp(row->key.b, step->session->user.at, ID_BYTES) == 0;
        const struct row *mark = mark_of(step, row->key.b);
        answer->marks[answer->marks_count++] =
            (struct pb_mark_state){.user_id = slice_make(row->key.b, ID_BYTES),
                                   .delivered_upto = mark ? mark->columns[MARK_DELIVERED] : 0,
                                   .read_upto = mark ? mark->columns[MARK_READ] : 0};
    }
    if (entitled)
        step_send(step, &frame);
    else
        step_error(step, frame.req, PB_ERROR_CODE_DENIED);
}
