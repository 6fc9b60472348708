/* SPDX-License-Identifier: Apache-2.0
 * SNAPSHOT: the chat list, page by page (design §5.7): page 0 fixes the useq and has the newest
 * chats,
 * the pages behind it all chats by chat_id. With the last page the session pushes from that useq
 * on.
 * Rounds of a page: 0 the user's list, 1 the heads and what stands beside them. */
#include <string.h>

#include "core/command.h"

#define CHATS_MAX 50u     /* of one page: four reads each */
#define LIST_MAX 4096u    /* chats looked at for the newest */
#define MEMBERS_MAX 256u

/* In a ticket: a = useq fixed, b = page ‖ more. */
static uint32_t ticket_page(const struct ticket *ticket)
{
    return (uint32_t)(ticket->b >> 1);
}

void snapshot_on_frame(struct step *step, const struct pb_frame *frame)
{
    const struct pb_snapshot *asked = &frame->body.snapshot;
    if (asked->page > 0 && asked->useq > step->session->head) {
        step_offence(step, frame->req);
        return;
    }
    struct ticket ticket = step_ticket(PB_FRAME_BODY_SNAPSHOT, frame->req);
    uint8_t from[ID_BYTES], to[ID_BYTES];
    memset(to, 0xff, sizeof to);
    if (asked->page == 0 || !id_take(from, asked->after_chat))
        memset(from, 0, sizeof from);
    memcpy(ticket.id, from, ID_BYTES);
    ticket.a = asked->useq;
    ticket.b = (uint64_t)asked->page << 1;
    step->session->snapshot = true;
    const uint8_t *user = step->session->user.at;
    const struct row_key head = key_one(TABLE_USER_HEAD, user, 0);
    const struct row_key list[] = {key_two(TABLE_USER_CHAT, user, from),
                                   key_two(TABLE_USER_CHAT, user, to)};
    const struct read reads[] = {
        {.keys = &head, .keys_count = 1},
        {.keys = list,
         .keys_count = 2,
         .range = true,
         .rows_max = asked->page == 0 ? LIST_MAX : CHATS_MAX + 2},
    };
    step_read(step, reads, 2, ticket, SLICE_EMPTY);
}

struct listed {
    const struct row *row;
    uint64_t last_useq;
};

/* Insert into the list of the newest, longest first out; O(CHATS_MAX). */
static void newest_add(struct listed *list, size_t *count, struct listed chat)
{
    size_t at = *count;
    while (at > 0 && list[at - 1].last_useq < chat.last_useq)
        at--;
    if (at == CHATS_MAX)
        return;
    size_t last = *count < CHATS_MAX ? (*count)++ : CHATS_MAX - 1;
    memmove(&list[at + 1], &list[at], (last - at) * sizeof *list);
    list[at] = chat;
}

/* The chats of this page, in `list`; returns how many, and whether others are left. */
static size_t choose(struct step *step, struct listed *list, bool *more)
{
    const struct ticket *ticket = &step->event->ticket;
    size_t count = 0, seen = 0;
    const struct row *row;
    for (size_t i = 0; (row = step_row(step, 1, i)) != NULL; i++) {
        struct pb_user_chat chat;
        bool after = ticket_page(ticket) > 0 && memcmp(row->key.b, ticket->id, ID_BYTES) == 0;
        if (after || !step_row_message(step, row, &pb_user_chat_type, &chat))
            continue;
        seen++;
        if (ticket_page(ticket) == 0)
            newest_add(list, &count, (struct listed){row, chat.last_useq});
        else if (count < CHATS_MAX)
            list[count++] = (struct listed){row, 0};
    }
    *more = seen > count;
    return count;
}

static void page_finish(struct step *step, struct pb_snapshot_page *page)
{
    struct session *session = step->session;
    struct pb_frame frame = {.req = step->event->ticket.req,
                             .body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    frame.body.snapshot_page = *page;
    step_send(step, &frame);
    if (page->more)
        return;
    session->snapshot = false;
    delivery_reset(session, page->useq);
    delivery_pump(step);
}

/* Round 1: four reads a chat; the chats' ids travel in `held`. */
static void read_chats(struct step *step, const struct listed *list, size_t count,
                       struct ticket ticket)
{
    uint8_t first[ID_BYTES], last[ID_BYTES];
    memset(first, 0, sizeof first);
    memset(last, 0xff, sizeof last);
    struct row_key *keys = ARENA_ARRAY(step->arena, struct row_key, count * 6);
    struct read *reads = ARENA_ARRAY(step->arena, struct read, count * 3);
    struct buf held = buf_in(step->arena, count * ID_BYTES);
    for (size_t i = 0; keys && reads && i < count; i++) {
        const uint8_t *chat = list[i].row->key.b;
        struct row_key *at = &keys[i * 6];
        at[0] = key_one(TABLE_CHAT_HEAD, chat, 0);
        at[1] = key_two(TABLE_SENDER, chat, step->session->device.at);
        at[2] = key_two(TABLE_MEMBER, chat, first);
        at[3] = key_two(TABLE_MEMBER, chat, last);
        at[4] = key_two(TABLE_MARK, chat, first);
        at[5] = key_two(TABLE_MARK, chat, last);
        reads[i * 3] = (struct read){.keys = at, .keys_count = 2};
        reads[i * 3 + 1] =
            (struct read){.keys = at + 2, .keys_count = 2, .range = true, .rows_max = MEMBERS_MAX};
        reads[i * 3 + 2] =
            (struct read){.keys = at + 4, .keys_count = 2, .range = true, .rows_max = MEMBERS_MAX};
        buf_put(&held, slice_make(chat, ID_BYTES));
    }
    step_read(step, reads, count * 3, ticket, buf_slice(&held));
}

/* Members of chat i as the person may see them; NULL: it never was one. A chat that was left shows
 * the own span only. */
static const struct pb_membership *fill_members(struct step *step, size_t i, uint64_t cseq,
                                                struct pb_chat_state *chat)
{
    const struct pb_membership *own = NULL;
    chat->members = ARENA_ARRAY(step->arena, struct pb_member_state, MEMBERS_MAX);
    const struct row *row;
    for (size_t k = 0; chat->members && (row = step_row(step, i * 3 + 1, k)) != NULL; k++) {
        struct pb_member_row *member = ARENA_NEW(step->arena, struct pb_member_row);
        if (!member || !step_row_message(step, row, &pb_member_row_type, member))
            continue;
        const struct pb_membership *membership = membership_at(member, cseq);
        const struct pb_span *span = membership_span(membership);
        if (!span)
            continue;
        if (memcmp(row->key.b, step->session->user.at, ID_BYTES) == 0)
            own = membership;
        chat->members[chat->members_count++] =
            (struct pb_member_state){.user_id = slice_make(row->key.b, ID_BYTES),
                                     .role = membership->role,
                                     .joined = span->from,
                                     .left = span->to};
    }
    if (!own || membership_active(own))
        return own;
    for (size_t k = 0; k < chat->members_count; k++)
        if (slice_equal(chat->members[k].user_id, ID_SLICE(step->session->user)))
            chat->members[0] = chat->members[k];
    chat->members_count = 1;
    return own;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The least of the other members' marks, and the own one. A member without a row has none: 0. */
static void fill_marks(struct step *step, size_t i, struct pb_chat_state *chat)
{
    uint64_t delivered = UINT64_MAX, read = UINT64_MAX;
    size_t others = 0;
    for (size_t k = 0; k < chat->members_count; k++) {
        const struct pb_member_state *member = &chat->members[k];
        bool own = slice_equal(member->user_id, ID_SLICE(step->session->user));
        const struct row *row;
        uint64_t columns[2] = {0, 0};
        for (size_t r = 0; (row = step_row(step, i * 3 + 2, r)) != NULL; r++)
            if (slice_equal(member->user_id, slice_make(row->key.b, ID_BYTES)))
                memcpy(columns, row->columns, sizeof columns);
        if (own) {
            chat->own_read = columns[1];
        } else if (member->left == 0) {
            delivered = least(delivered, columns[0]);
            read = least(read, columns[1]);
            others++;
        }
    }
    chat->delivered_by_all = others ? delivered : 0;
    chat->read_by_all = others ? read : 0;
}

static bool fill_chat(struct step *step, size_t i, struct slice id, struct pb_chat_state *chat)
{
    struct pb_chat_head head;
    struct pb_sender_row sender = {0};
    if (!step_row_message(step, step_row(step, i * 3, 0), &pb_chat_head_type, &head))
        return false;
    (void)step_row_message(step, step_row(step, i * 3, 1), &pb_sender_row_type, &sender);
    *chat = (struct pb_chat_state){.chat_id = id,
                                   .last_sctr = sender.sctr,
                                   .last_mid = sender.mid,
                                   .last_cseq = sender.cseq};
    const struct pb_membership *own = fill_members(step, i, head.cseq, chat);
    if (!own)
        return false;
    if (!membership_active(own)) { /* left: nothing behind the own span */
        chat->cseq = membership_span(own)->to;
        return true;
    }
    chat->cseq = head.cseq;
    chat->gen = head.gen;
    chat->mls_epoch = head.mls_epoch;
    chat->floor = head.floor;
    chat->policy_ver = head.policy_ver;
    chat->policy = head.policy;
    size_t removed = head.removed_count < 256 ? head.removed_count : 256;
    chat->removed = head.removed + (head.removed_count - removed); /* the newest */
    chat->removed_count = removed;
    fill_marks(step, i, chat);
    return true;
}

static void list_on_rows(struct step *step)
{
    struct ticket ticket = step->event->ticket;
    struct pb_user_head head = {0};
    (void)step_row_message(step, step_row(step, 0, 0), &pb_user_head_type, &head);
    if (ticket_page(&ticket) == 0)
        ticket.a = least(head.useq, step->session->head);
    struct listed list[CHATS_MAX + 1];
    bool more;
    size_t count = choose(step, list, &more);
    if (count == 0) {
        struct pb_snapshot_page page = {.useq = ticket.a, .page = ticket_page(&ticket)};
        page_finish(step, &page);
        return;
    }
    ticket.b |= more;
    ticket.round = 1;
    read_chats(step, list, count, ticket);
}

void snapshot_on_rows(struct step *step)
{
    const struct ticket *ticket = &step->event->ticket;
    if (ticket->round == 0) {
        list_on_rows(step);
        return;
    }
    struct slice ids = step->event->held;
    size_t count = ids.bytes / ID_BYTES;
    struct pb_snapshot_page page = {
        .useq = ticket->a, .page = ticket_page(ticket), .more = ticket->b & 1};
    page.chats = ARENA_ARRAY(step->arena, struct pb_chat_state, count);
    for (size_t i = 0; page.chats && i < count; i++) {
        struct slice id = slice_sub(ids, i * ID_BYTES, ID_BYTES);
        if (fill_chat(step, i, id, &page.chats[page.chats_count]))
            page.chats_count++;
    }
    /* Behind page 0 the list begins at its beginning: by chat_id, with repeats that do no harm. */
    if (page.page > 0 && count > 0)
        page.after_chat = slice_sub(ids, (count - 1) * ID_BYTES, ID_BYTES);
    page_finish(step, &page);
}
