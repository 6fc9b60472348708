/* SPDX-License-Identifier: Apache-2.0
 * Receipts: marks are max-merged, and when the minimum over the other members advances, the
 * authors of the passed numbers hear of it. The announcement goes first and the mark, which is its
 * head, last: a replay repeats, never swallows (storage §2.2 step 7). */
#include "core/chat_state.h"

#include <string.h>

struct minima {
    uint64_t at[2];
};

/* Minimum over the active members other than `author`; with `moved`, as if `mover` had these
 * marks. */
static struct minima minima_of(const struct chat_state *chat, size_t author,
                               const struct chat_member *mover, const uint64_t *moved)
{
    struct minima least = {{UINT64_MAX, UINT64_MAX}};
    bool any = false;
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *member = &chat->members[i];
        if (i == author || !chat_member_active(member))
            continue;
        const uint64_t *marks = member == mover && moved != NULL ? moved : member->marks;
        any = true;
        for (size_t k = 0; k < 2; k++)
            least.at[k] = marks[k] < least.at[k] ? marks[k] : least.at[k];
    }
    return any ? least : (struct minima){{0, 0}};
}

/* The marks this receipt leads to; false if it moves nothing. */
static bool moved_marks(const struct chat_state *chat, const struct chat_member *member,
                        uint64_t moved[2])
{
    const struct pb_receipt *receipt = &chat->record->body->body.receipt;
    uint64_t head = chat->head.cseq;
    uint64_t read = receipt->read_upto < head ? receipt->read_upto : head;
    uint64_t delivered = receipt->delivered_upto < head ? receipt->delivered_upto : head;
    delivered = delivered > read ? delivered : read;
    moved[MARK_DELIVERED] =
        delivered > member->marks[MARK_DELIVERED] ? delivered : member->marks[MARK_DELIVERED];
    moved[MARK_READ] = read > member->marks[MARK_READ] ? read : member->marks[MARK_READ];
    return memcmp(moved, member->marks, sizeof member->marks) != 0;
}

struct passed {
    struct minima before, after;
    bool any;
    uint64_t from, to; /* numbers that a minimum passed */
};

static struct passed passed_by(const struct chat_state *chat, size_t author,
                               const struct chat_member *mover, const uint64_t moved[2])
{
    struct passed passed = {minima_of(chat, author, NULL, NULL),
                            minima_of(chat, author, mover, moved), false, UINT64_MAX, 0};
    for (size_t k = 0; k < 2; k++) {
        if (passed.after.at[k] <= passed.before.at[k])
            continue;
        passed.any = true;
        if (passed.before.at[k] + 1 < passed.from)
            passed.from = passed.before.at[k] + 1;
        if (passed.after.at[k] > passed.to)
            passed.to = passed.after.at[k];
    }
    return passed;
}

void chat_receipt_plan(struct chat_state *chat, struct fold_reads *reads)
{
    struct slice user = chat->record->body->body.receipt.user_id;
    struct chat_member *mover = chat_member_find(chat, user.at);
    uint64_t moved[2], from = UINT64_MAX, to = 0;
    if (!chat_member_active(mover) || !moved_marks(chat, mover, moved))
        return;
    for (size_t i = 0; i < chat->member_count; i++) {
        if (&chat->members[i] == mover || !chat_member_active(&chat->members[i]))
            continue;
        struct passed passed = passed_by(chat, i, mover, moved);
        if (passed.any && passed.from < from)
            from = passed.from;
        if (passed.any && passed.to > to)
            to = passed.to;
    }
    if (from > to || to - from >= FOLD_PASSED_MAX)
        return;
    struct fold_want *want = fold_want_all(reads, TABLE_MSG, chat->record->key, FOLD_PASSED_MAX);
    if (want != NULL) {
        want->from.n = from;
        want->to.n = to;
        memset(want->to.b, 0, ID_BYTES);
    }
}

/* Did `user` write a message in the range? Unread rows (a long range) count as yes. Hidden numbers
 * of the range go to `hidden`. */
static bool wrote_in(const struct chat_state *chat, const uint8_t *user,
                     const struct passed *passed, struct pb_receipt_entry *entry)
{
    const struct fold_want *rows = fold_range(chat->reads, FOLD_RANGE, TABLE_MSG);
    bool wrote = rows == NULL;
    for (size_t i = 0; rows != NULL && i < rows->rows_count; i++) {
        uint64_t cseq = rows->rows[i].key.n;
        struct pb_msg_row row;
        if (cseq < passed->from || cseq > passed->to ||
            !fold_decode(&pb_msg_row_type, &rows->rows[i], chat->arena, &row) ||
            row.entry.body_case != PB_ENTRY_BODY_MESSAGE)
            continue;
        const struct pb_message *message = &row.entry.body.message;
        wrote |= memcmp(message->user_id.at, user, ID_BYTES) == 0;
        if (message->hidden && entry->hidden_count < FOLD_PASSED_MAX) {
            if (entry->hidden == NULL)
                entry->hidden = ARENA_ARRAY(chat->arena, uint64_t, FOLD_PASSED_MAX);
            if (entry->hidden != NULL)
                entry->hidden[entry->hidden_count++] = cseq;
        }
    }
    return wrote;
}

static void receipt_emit(struct chat_state *chat, const struct chat_member *author,
                         const struct minima *minima, const struct pb_receipt_entry *entry)
{
    struct pb_record *record = fold_emit(chat->out, chat->arena, TOPIC_DELIVERIES, author->user);
    if (record == NULL)
        return;
    record->body_case = PB_RECORD_BODY_USER_RECEIPT;
    record->body.user_receipt = *entry;
    record->body.user_receipt.chat_id = slice_make(chat->record->key, ID_BYTES);
    record->body.user_receipt.delivered_by_all = minima->at[MARK_DELIVERED];
    record->body.user_receipt.read_by_all = minima->at[MARK_READ];
}

void chat_receipt_apply(struct chat_state *chat)
{
    struct slice user = chat->record->body->body.receipt.user_id;
    struct chat_member *mover = chat_member_find(chat, user.at);
    uint64_t moved[2];
    if (!chat_member_active(mover)) {
        chat->out->verdict = FOLD_REFUSED;
        return;
    }
    if (!moved_marks(chat, mover, moved)) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *author = &chat->members[i];
        if (author == mover || !chat_member_active(author))
            continue;
        struct passed passed = passed_by(chat, i, mover, moved);
        struct pb_receipt_entry entry = {0};
        if (passed.any && wrote_in(chat, author->user, &passed, &entry))
            receipt_emit(chat, author, &passed.after, &entry);
    }
    /* Without an announcement nothing can be swallowed, and the mark keeps its place in the
     * order. */
    chat->out->bare = chat->out->emissions_count > 0;
    uint64_t columns[STORE_COLUMNS] = {moved[MARK_DELIVERED], moved[MARK_READ]};
    fold_max(chat->out, chat->out->bare, chat->arena,
             row_key_make(TABLE_MARK, chat->record->key, mover->user, 0), columns);
}

void chat_minima_again(struct chat_state *chat)
{
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *author = &chat->members[i];
        struct minima minima = minima_of(chat, i, NULL, NULL);
        struct pb_receipt_entry entry = {0};
        if (chat_member_active(author) && (minima.at[0] | minima.at[1]) != 0)
            receipt_emit(chat, author, &minima, &entry);
    }
}

/* Who stays is read from the spans, which are for ever: the same at every replay. */
void chat_minima_ended(struct chat_state *chat, uint64_t cseq)
{
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *author = &chat->members[i];
        struct minima minima = minima_of(chat, i, NULL, NULL);
        struct pb_receipt_entry entry = {0};
        if (chat_member_spans(author, cseq) && !chat_member_ends(author, cseq))
            receipt_emit(chat, author, &minima, &entry);
    }
}
