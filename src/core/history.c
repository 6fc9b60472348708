/* SPDX-License-Identifier: Apache-2.0
 * HISTORY and MARKS: rows of a chat, newest first, within the person's own spans, and who has
 * what. */
#include <string.h>

#include "core/command.h"

#define HISTORY_MAX 100u
#define MEMBERS_MAX 256u

static struct row_key key_msg(const uint8_t chat[ID_BYTES], uint64_t cseq)
{
    return key_one(TABLE_MSG, chat, cseq);
}

/* The person's membership of the chat in rows 0 (head) and 1 (member) of read 0; NULL, and DENIED
 * answered, for a stranger: absent and forbidden look the same. */
static const struct pb_membership *own_membership(struct step *step, struct pb_chat_head *head,
                                                  struct pb_member_row *member)
{
    if (step_row_message(step, step_row(step, 0, 0), &pb_chat_head_type, head) &&
        step_row_message(step, step_row(step, 0, 1), &pb_member_row_type, member)) {
        const struct pb_membership *membership = membership_at(member, head->cseq);
        if (membership)
            return membership;
    }
    step_error(step, step->event->ticket.req, PB_ERROR_CODE_DENIED);
    return NULL;
}

static bool within(const struct pb_membership *membership, uint64_t cseq)
{
    for (size_t i = 0; i < membership->spans_count; i++) {
        const struct pb_span *span = &membership->spans[i];
        if (span->from <= cseq && (span->to == 0 || cseq <= span->to))
            return true;
    }
    return false;
}

void history_on_frame(struct step *step, const struct pb_frame *frame)
{
    const struct pb_history *asked = &frame->body.history;
    struct ticket ticket = step_ticket(PB_FRAME_BODY_HISTORY, frame->req);
    (void)id_take(ticket.id, asked->chat_id);
    ticket.a = asked->before;
    ticket.b = asked->after;
    if (asked->n == 0 || asked->n > HISTORY_MAX) {
        step_offence(step, frame->req);
        return;
    }
    uint64_t top = asked->before == 0 ? UINT64_MAX : asked->before - 1;
    if (asked->after >= top) { /* nothing lies between */
        step_offence(step, frame->req);
        return;
    }
    const struct row_key rights[] = {key_one(TABLE_CHAT_HEAD, ticket.id, 0),
                                     key_two(TABLE_MEMBER, ticket.id, step->session->user.at)};
    const struct row_key rows[] = {key_msg(ticket.id, asked->after + 1), key_msg(ticket.id, top)};
    const struct read reads[] = {
        {.keys = rights, .keys_count = 2},
        {.keys = rows,
         .keys_count = 2,
         .range = true,
         .descending = true,
         .rows_max = asked->n + 1},
    };
    step_read(step, reads, 2, ticket, step->event->bytes);
}

void history_on_rows(struct step *step)
{
    const struct ticket *ticket = &step->event->ticket;
    struct pb_chat_head head;
    struct pb_member_row member;
    struct pb_frame asked;
    const struct pb_membership *membership = own_membership(step, &head, &member);
    if (!membership || !step_held_frame(step, &asked))
        return;
    uint32_t most = asked.body.history.n;
    struct pb_frame frame = {.req = ticket->req, .body_case = PB_FRAME_BODY_HISTORY_PAGE};
    struct pb_history_page *page = &frame.body.history_page;
    page->chat_id = slice_make(ticket->id, ID_BYTES);
    page->before = ticket->a;
    page->after = ticket->b;
    page->entries = ARENA_ARRAY(step->arena, struct pb_entry, most);
    size_t bytes = 0;
    const struct row *row;
    for (size_t i = 0; page->entries && (row = step_row(step, 1, i)) != NULL; i++) {
        struct pb_msg_row msg;
        page->more = i == most || bytes + row->value.bytes > ANSWER_BYTES_MAX;
        if (page->more)
            break;
        bytes += row->value.bytes;
        if (!within(membership, row->key.n) ||
            !step_row_message(step, row, &pb_msg_row_type, &msg))
            continue;
        entry_show_to(&msg.entry, &step->session->user);
        page->entries[page->entries_count++] = msg.entry;
    }
    step_send(step, &frame);
}

void marks_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct ticket ticket = step_ticket(PB_FRAME_BODY_MARKS, frame->req);
    (void)id_take(ticket.id, frame->body.marks.chat_id);
    uint8_t first[ID_BYTES], last[ID_BYTES];
    memset(first, 0, sizeof first);
    memset(last, 0xff, sizeof last);
    const struct row_key rights[] = {key_one(TABLE_CHAT_HEAD, ticket.id, 0),
                                     key_two(TABLE_MEMBER, ticket.id, step->session->user.at)};
    const struct row_key marks[] = {key_two(TABLE_MARK, ticket.id, first),
                                    key_two(TABLE_MARK, ticket.id, last)};
    const struct read reads[] = {
        {.keys = rights, .keys_count = 2},
        {.keys = marks, .keys_count = 2, .range = true, .rows_max = MEMBERS_MAX},
    };
    step_read(step, reads, 2, ticket, SLICE_EMPTY);
}

void marks_on_rows(struct step *step)
{
    const struct ticket *ticket = &step->event->ticket;
    struct pb_chat_head head;
    struct pb_member_row member;
    const struct pb_membership *membership = own_membership(step, &head, &member);
    if (!membership)
        return;
    if (!membership_active(membership)) {
        step_error(step, ticket->req, PB_ERROR_CODE_DENIED);
        return;
    }
    struct pb_frame frame = {.req = ticket->req, .body_case = PB_FRAME_BODY_MARKS_ANSWER};
    struct pb_marks_answer *answer = &frame.body.marks_answer;
    answer->chat_id = slice_make(ticket->id, ID_BYTES);
    answer->marks = ARENA_ARRAY(step->arena, struct pb_mark_state, MEMBERS_MAX);
    const struct row *row;
    for (size_t i = 0; answer->marks && i < MEMBERS_MAX && (row = step_row(step, 1, i)); i++)
        answer->marks[answer->marks_count++] =
            (struct pb_mark_state){.user_id = slice_make(row->key.b, ID_BYTES),
                                   .delivered_upto = row->columns[0],
                                   .read_upto = row->columns[1]};
    step_send(step, &frame);
}
