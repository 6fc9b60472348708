/* SPDX-License-Identifier: Apache-2.0
 * SNAPSHOT: the present state of a person's chats, for a device whose cursor cannot go on.
 * The useq is fixed first and read from the store, so that every row read later holds at least what
 * came up to it; then page 0 = the newest chats, then pages by chat_id, all chats once more. After
 * the last page the tail goes on from that useq. A page may hold fewer chats than it could: bytes.
 * Rounds: 0 user head → 1 the chat list → 2 everything of the chosen chats.
 * EXCEPTION: page 0 chooses among the first LIST_MAX chats by id; the pages by id reach all. */
#include <string.h>

#include "core/command.h"
#include "core/fold.h"

#define PAGE_CHATS_MAX 25u /* three reads each, of all who ever were in */
#define LIST_MAX       4096u
#define MEMBERS_MAX    256u /* of an answer: who is in comes first */
#define REMOVED_MAX    512u /* of an answer: all that both sides of a direct chat may ever remove */

struct listed {
    uint8_t chat[ID_BYTES];
    uint64_t last_useq, last_cseq;
};

static void list_read(struct step *step, struct ticket ticket, const struct pb_snapshot *asked)
{
    uint8_t from[ID_BYTES] = {0}, last[ID_BYTES];
    memset(last, 0xff, sizeof last);
    if (asked->page > 0 && asked->after_chat.bytes == ID_BYTES) {
        memcpy(from, asked->after_chat.at, ID_BYTES);
        for (size_t i = ID_BYTES; i-- > 0 && ++from[i] == 0;)
            ;
    }
    const uint8_t *user = step->session->user.at;
    const struct row_key keys[] = {key_two(TABLE_USER_CHAT, user, from),
                                   key_two(TABLE_USER_CHAT, user, last)};
    const struct read read = {.keys = keys,
                              .keys_count = 2,
                              .range = true,
                              .rows_max = asked->page == 0 ? LIST_MAX : PAGE_CHATS_MAX + 1};
    ticket.round = 1;
    step_read(step, &read, 1, ticket,
              step->event->kind == EVENT_FRAME ? step->event->bytes : step->event->held);
}

void snapshot_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    const struct pb_snapshot *asked = &frame->body.snapshot;
    struct ticket ticket = step_ticket(PB_FRAME_BODY_SNAPSHOT, frame->req);
    if (session->syncing || session->paging) { /* one at a time: a page is many reads */
        step_error_retry(step, frame->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        return;
    }
    if (asked->page > 0 && asked->useq > session->head) {
        step_offence(step, frame->req);
        return;
    }
    if (asked->page > 0 && asked->useq < session->floor) { /* too old to go on from: begin again */
        step_error(step, frame->req, PB_ERROR_CODE_CONFLICT);
        return;
    }
    session->snapshot = session->paging = true;
    ticket.a = asked->useq;
    if (asked->page > 0) {
        list_read(step, ticket, asked);
        return;
    }
    struct row_key key = key_one(TABLE_USER_HEAD, session->user.at, 0);
    step_read_keys(step, &key, 1, ticket, step->event->bytes);
}

/* Newest first; equal never, but a total order costs nothing. */
static bool newer(const struct listed *a, const struct listed *b)
{
    if (a->last_useq != b->last_useq)
        return a->last_useq > b->last_useq;
    return memcmp(a->chat, b->chat, ID_BYTES) < 0;
}

/* Keep the newest PAGE_CHATS_MAX of `count`, sorted: insertion into a short list. */
static size_t choose_newest(struct listed *list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct listed one = list[i];
        size_t at = kept < PAGE_CHATS_MAX ? kept++ : PAGE_CHATS_MAX;
        if (at == PAGE_CHATS_MAX) {
            if (!newer(&one, &list[PAGE_CHATS_MAX - 1]))
                continue;
            at = PAGE_CHATS_MAX - 1;
        }
        for (; at > 0 && newer(&one, &list[at - 1]); at--)
            list[at] = list[at - 1];
        list[at] = one;
    }
    return kept;
}

static size_t list_take(struct step *step, struct listed **out)
{
    size_t count = step->event->results_count > 0 ? step->event->results[0].count : 0;
    struct listed *list = ARENA_ARRAY(step->arena, struct listed, count + 1);
    *out = list;
    if (list == NULL)
        return 0;
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        struct pb_user_chat row;
        if (!step_row_message(step, step_row(step, 0, i), &pb_user_chat_type, &row))
            continue;
        memcpy(list[taken].chat, step_row(step, 0, i)->key.b, ID_BYTES);
        list[taken].last_useq = row.last_useq;
        list[taken++].last_cseq = row.last_cseq;
    }
    return taken;
}

static void finish(struct step *step, struct pb_snapshot_page *page)
{
    struct session *session = step->session;
    session->paging = false;
    struct pb_frame frame = {.req = step->event->ticket.req,
                             .body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    page->useq = step->event->ticket.a;
    frame.body.snapshot_page = *page;
    step_send(step, &frame);
    /* The store may be ahead of what this session was told; the next page names what it said. */
    session->head = page->useq > session->head ? page->useq : session->head;
    if (page->more)
        return;
    session->snapshot = false;
    delivery_reset(session, page->useq);
}

/* Three reads a chat: its head, this device's counter and last row; members; marks. */
static void chats_read(struct step *step, struct ticket ticket, struct listed *list, size_t count)
{
    static const uint8_t first[ID_BYTES];
    uint8_t last[ID_BYTES];
    memset(last, 0xff, sizeof last);
    struct read *reads = ARENA_ARRAY(step->arena, struct read, 3 * count);
    struct row_key *keys = ARENA_ARRAY(step->arena, struct row_key, 7 * count);
    if (reads == NULL || keys == NULL)
        return;
    for (size_t i = 0; i < count; i++, keys += 7) {
        const uint8_t *chat = list[i].chat;
        keys[0] = key_one(TABLE_CHAT_HEAD, chat, 0);
        keys[1] = key_two(TABLE_SENDER, chat, step->session->device.at);
        keys[2] = key_one(TABLE_MSG, chat, list[i].last_cseq);
        keys[3] = key_two(TABLE_MEMBER, chat, first);
        keys[4] = key_two(TABLE_MEMBER, chat, last);
        keys[5] = key_two(TABLE_MARK, chat, first);
        keys[6] = key_two(TABLE_MARK, chat, last);
        reads[3 * i] = (struct read){.keys = keys, .keys_count = 3};
        reads[3 * i + 1] = (struct read){
            .keys = keys + 3, .keys_count = 2, .range = true, .rows_max = FOLD_MEMBERS_EVER};
        reads[3 * i + 2] = (struct read){
            .keys = keys + 5, .keys_count = 2, .range = true, .rows_max = FOLD_MEMBERS_EVER};
    }
    ticket.round = 2;
    step_read(step, reads, 3 * count, ticket, step->event->held);
}

/* Members of one kind, who is in or who no longer is, while there is room. */
static void members_add(struct step *step, size_t read, struct pb_chat_state *chat, bool in)
{
    const struct row *row;
    for (size_t i = 0; (row = step_row(step, read, i)) != NULL; i++) {
        struct pb_member_row member;
        if (chat->members_count == MEMBERS_MAX ||
            !step_row_message(step, row, &pb_member_row_type, &member))
            continue;
        const struct pb_membership *now = membership_at(&member, chat->cseq);
        const struct pb_span *span = membership_span(now);
        if (span == NULL || membership_active(now) != in)
            continue;
        chat->members[chat->members_count++] =
            (struct pb_member_state){.user_id = slice_make(row->key.b, ID_BYTES),
                                     .role = now->role,
                                     .joined = span->from,
                                     .left = span->to};
    }
}

static void members_fill(struct step *step, size_t read, struct pb_chat_state *chat)
{
    chat->members = ARENA_ARRAY(step->arena, struct pb_member_state, MEMBERS_MAX);
    if (chat->members == NULL)
        return;
    members_add(step, read, chat, true);
    members_add(step, read, chat, false);
}

/* Of an ex-member: nobody's span but its own. */
static void member_fill_own(struct step *step, struct pb_chat_state *chat,
                            const struct pb_membership *own)
{
    chat->members = ARENA_ARRAY(step->arena, struct pb_member_state, 1);
    if (chat->members == NULL)
        return;
    const struct pb_span *span = membership_span(own);
    chat->members[chat->members_count++] =
        (struct pb_member_state){.user_id = ID_SLICE(step->session->user),
                                 .role = own->role,
                                 .joined = span->from,
                                 .left = span->to};
}

/* Devices that any list of theirs named once, and none will name again. */
static void removed_fill(struct step *step, size_t read, struct pb_chat_state *chat)
{
    const struct row *row;
    chat->removed = ARENA_ARRAY(step->arena, struct slice, REMOVED_MAX);
    for (size_t i = 0; chat->removed != NULL && (row = step_row(step, read, i)) != NULL; i++) {
        struct pb_member_row member;
        if (!step_row_message(step, row, &pb_member_row_type, &member))
            continue;
        const struct pb_membership *now = membership_at(&member, chat->cseq);
        for (size_t k = 0; now != NULL && k < now->removed_count; k++)
            if (chat->removed_count < REMOVED_MAX)
                chat->removed[chat->removed_count++] = now->removed[k];
    }
}

static const struct row *mark_of(const struct step *step, size_t read, struct slice user)
{
    const struct row *row;
    for (size_t i = 0; (row = step_row(step, read, i)) != NULL; i++)
        if (memcmp(row->key.b, user.at, ID_BYTES) == 0)
            return row;
    return NULL;
}

/* Minima over the other members who are in; nobody else there = 0. */
static void marks_fill(struct step *step, size_t read, struct pb_chat_state *chat)
{
    bool any = false;
    for (size_t m = 0; m < chat->members_count; m++) {
        const struct pb_member_state *member = &chat->members[m];
        const struct row *mark = mark_of(step, read, member->user_id);
        uint64_t delivered = mark ? mark->columns[MARK_DELIVERED] : 0;
        uint64_t seen = mark ? mark->columns[MARK_READ] : 0;
        if (slice_equal(member->user_id, ID_SLICE(step->session->user))) {
            chat->own_read = seen;
            continue;
        }
        if (member->left != 0)
            continue;
        chat->delivered_by_all =
            any && chat->delivered_by_all < delivered ? chat->delivered_by_all : delivered;
        chat->read_by_all = any && chat->read_by_all < seen ? chat->read_by_all : seen;
        any = true;
    }
}

static void state_fill(struct pb_chat_state *chat, const struct pb_chat_head *head)
{
    chat->gen = head->gen;
    chat->mls_epoch = head->mls_epoch;
    chat->floor = head->floor;
    chat->policy_ver = head->policy_ver;
    chat->policy = head->policy;
}

/* False: nothing of it is this person's to know (or the chat's head is not there). */
static bool chat_fill(struct step *step, size_t read, struct pb_chat_state *chat)
{
    struct pb_chat_head head;
    struct pb_sender_row sender;
    struct pb_msg_row msg;
    struct pb_member_row row;
    const struct row *own = NULL, *one;
    if (!step_row_message(step, step_row(step, read, 0), &pb_chat_head_type, &head))
        return false;
    for (size_t i = 0; own == NULL && (one = step_row(step, read + 1, i)) != NULL; i++)
        if (memcmp(one->key.b, step->session->user.at, ID_BYTES) == 0)
            own = one;
    if (!step_row_message(step, own, &pb_member_row_type, &row))
        return false;
    const struct pb_membership *membership = membership_at(&row, head.cseq);
    const struct pb_span *span = membership_span(membership);
    if (span == NULL)
        return false;
    chat->chat_id = slice_make(step->event->results[read].at[0].key.a, ID_BYTES);
    chat->cseq = head.cseq;
    if (membership_active(membership)) {
        state_fill(chat, &head);
        members_fill(step, read + 1, chat);
        removed_fill(step, read + 1, chat);
        marks_fill(step, read + 2, chat);
    } else {
        chat->cseq = span->to;
        member_fill_own(step, chat, membership);
    }
    if (step_row_message(step, step_row(step, read, 1), &pb_sender_row_type, &sender)) {
        chat->last_sctr = sender.sctr;
        chat->last_mid = sender.mid;
        chat->last_cseq = sender.cseq;
    }
    if (step_row_message(step, step_row(step, read, 2), &pb_msg_row_type, &msg)) {
        chat->last_entry = msg.entry;
        chat->has_last_entry = true;
        entry_show_to(&chat->last_entry, &step->session->user);
    }
    return true;
}

static void page_answer(struct step *step, const struct pb_snapshot *asked)
{
    struct pb_snapshot_page page = {.page = asked->page, .more = step->event->ticket.seq != 0};
    size_t count = step->event->results_count / 3, bytes = 0;
    page.chats = ARENA_ARRAY(step->arena, struct pb_chat_state, count);
    for (size_t i = 0; i < count && page.chats != NULL; i++) {
        struct pb_chat_state *chat = &page.chats[page.chats_count];
        memset(chat, 0, sizeof *chat);
        if (chat_fill(step, 3 * i, chat)) {
            bytes += pb_chat_state_size(chat) + 8;
            if (bytes > ANSWER_BYTES_MAX && page.chats_count > 0) {
                page.more = true;
                break;
            }
            page.chats_count++;
        }
        if (asked->page > 0) /* where the next page begins; after page 0 it is the very beginning */
            page.after_chat = slice_make(step->event->results[3 * i].at[0].key.a, ID_BYTES);
    }
    finish(step, &page);
}

/* What the device knows of, as far as it is there: the store may be behind it. */
static uint64_t told(const struct session *session)
{
    uint64_t useq = session->pushed > session->said ? session->pushed : session->said;
    return useq < session->head ? useq : session->head;
}

void snapshot_on_rows(struct step *step)
{
    struct ticket ticket = step->event->ticket;
    struct pb_frame frame;
    struct listed *list;
    if (!step_held_frame(step, &frame))
        return;
    const struct pb_snapshot *asked = &frame.body.snapshot;
    if (ticket.round == 2) {
        page_answer(step, asked);
        return;
    }
    if (ticket.round == 0) {
        struct pb_user_head head = {0};
        (void)step_row_message(step, step_row(step, 0, 0), &pb_user_head_type, &head);
        if (head.useq < told(step->session)) { /* marks would go back; nothing is pushed now */
            step->session->paging = false;
            step_error_retry(step, ticket.req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
            return;
        }
        ticket.a = head.useq;
        list_read(step, ticket, asked);
        return;
    }
    size_t count = list_take(step, &list);
    ticket.seq = count > PAGE_CHATS_MAX;
    if (asked->page == 0)
        count = choose_newest(list, count);
    count = count > PAGE_CHATS_MAX ? PAGE_CHATS_MAX : count;
    if (count > 0) {
        chats_read(step, ticket, list, count);
        return;
    }
    struct pb_snapshot_page page = {.page = asked->page};
    finish(step, &page);
}
