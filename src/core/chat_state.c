/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chat_state.h"

#include <string.h>

#include "base/assert.h"

static enum status members_read(struct chat_state *chat)
{
    const struct fold_want *range = fold_range(chat->reads, FOLD_RANGE, TABLE_MEMBER);
    size_t rows = range != NULL ? range->rows_count : 0;
    if (rows > FOLD_MEMBERS_MAX)
        return STATUS_CORRUPT;
    chat->member_room = rows + CHAT_ENTER_MAX;
    chat->members = ARENA_RAW(chat->arena, struct chat_member, chat->member_room);
    if (chat->members == NULL)
        return STATUS_BUSY;
    for (size_t i = 0; i < rows; i++) {
        struct pb_member_row row;
        if (!fold_decode(&pb_member_row_type, &range->rows[i], chat->arena, &row))
            return STATUS_CORRUPT;
        bool there = row.w_cseq <= chat->head.cseq;
        if (there ? !row.has_now : !row.has_prev)
            continue;
        struct chat_member *member = &chat->members[chat->member_count++];
        *member = (struct chat_member){range->rows[i].key.b, there ? row.now : row.prev, {0, 0}};
    }
    return STATUS_OK;
}

enum status chat_state_read(struct chat_state *chat)
{
    const struct row *head = fold_row(chat->reads, TABLE_CHAT_HEAD, chat->record->key, NULL, 0);
    if (head != NULL && !fold_decode(&pb_chat_head_type, head, chat->arena, &chat->head))
        return STATUS_CORRUPT;
    chat->found = head != NULL && chat->head.cseq > 0;
    enum status status = members_read(chat);
    if (status != STATUS_OK)
        return status;
    const struct fold_want *marks = fold_range(chat->reads, FOLD_RANGE, TABLE_MARK);
    for (size_t i = 0; marks != NULL && i < marks->rows_count; i++) {
        struct chat_member *member = chat_member_find(chat, marks->rows[i].key.b);
        if (member != NULL)
            memcpy(member->marks, marks->rows[i].columns, sizeof member->marks);
    }
    return STATUS_OK;
}

struct chat_member *chat_member_find(struct chat_state *chat, const uint8_t *user)
{
    for (size_t i = 0; i < chat->member_count; i++) {
        if (memcmp(chat->members[i].user, user, ID_BYTES) == 0)
            return &chat->members[i];
    }
    return NULL;
}

bool chat_member_active(const struct chat_member *member)
{
    return member != NULL && member->is.spans_count > 0 &&
           member->is.spans[member->is.spans_count - 1].to == 0;
}

bool chat_member_spans(const struct chat_member *member, uint64_t cseq)
{
    for (size_t i = 0; i < member->is.spans_count; i++) {
        const struct pb_span *span = &member->is.spans[i];
        if (span->from <= cseq && (span->to == 0 || cseq <= span->to))
            return true;
    }
    return false;
}

bool chat_device_removed(const struct chat_state *chat, struct slice device)
{
    for (size_t i = 0; i < chat->head.removed_count; i++) {
        if (slice_equal(chat->head.removed[i], device))
            return true;
    }
    return false;
}

uint64_t chat_stamp(const struct chat_state *chat)
{
    return row_stamp(chat->record->place.log_epoch, chat->record->place.offset);
}

struct slice chat_head_pack(struct chat_state *chat)
{
    const struct fold_place *place = &chat->record->place;
    chat->head.has_applied = true;
    chat->head.applied = (struct pb_place){place->log_epoch, place->offset, place->sub};
    return pb_chat_head_pack_v1(&chat->head, chat->arena);
}

void chat_number(struct chat_state *chat)
{
    chat->head.cseq++;
    uint64_t next = chat->head.wts + 1;
    chat->head.wts = chat->record->append_us > next ? chat->record->append_us : next;
}

void chat_row_write(struct chat_state *chat, const struct pb_entry *entry)
{
    const struct fold_place *place = &chat->record->place;
    struct pb_msg_row row = {.has_place = true,
                             .place = {place->log_epoch, place->offset, place->sub},
                             .has_entry = true,
                             .entry = *entry,
                             .gen = chat->head.gen,
                             .mls_epoch = chat->head.mls_epoch};
    fold_put(chat->out, chat->arena,
             row_key_make(TABLE_MSG, chat->record->key, NULL, chat->head.cseq), chat_stamp(chat),
             pb_msg_row_pack_v1(&row, chat->arena));
    fold_put(chat->out, chat->arena, row_key_make(TABLE_CHAT_HEAD, chat->record->key, NULL, 0),
             chat_stamp(chat), chat_head_pack(chat));
    chat->out->head_moved = true;
}

/* A body rides along if it is small, alone and times the members; else the row is read. */
static struct pb_entry riding(const struct chat_state *chat, const struct pb_entry *entry)
{
    struct pb_entry copy = *entry;
    if (copy.body_case == PB_ENTRY_BODY_MESSAGE) {
        size_t bytes = copy.body.message.envelope.bytes;
        if (bytes > FOLD_BODY_BYTES_MAX || bytes * chat->member_count > FOLD_BODIES_BYTES_MAX)
            copy.body.message.envelope = SLICE_EMPTY;
    }
    return copy;
}

void chat_announce(struct chat_state *chat, const struct pb_entry *entry)
{
    bool message = entry->body_case == PB_ENTRY_BODY_MESSAGE;
    assert(message || entry->body_case == PB_ENTRY_BODY_MEMBER);
    uint64_t cseq = message ? entry->body.message.cseq : entry->body.member.cseq;
    bool created = !message && entry->body.member.kind == PB_MEMBER_CHANGE_KIND_CREATED;
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *member = &chat->members[i];
        if (!chat_member_spans(member, cseq))
            continue;
        struct pb_record *record =
            fold_emit(chat->out, chat->arena, TOPIC_DELIVERIES, member->user);
        if (record == NULL)
            return;
        record->body_case = PB_RECORD_BODY_ANNOUNCE;
        struct pb_announce *announce = &record->body.announce;
        announce->chat_id = slice_make(chat->record->key, ID_BYTES);
        announce->cseq = cseq;
        for (size_t k = 0; created && k < member->is.spans_count; k++)
            announce->first |= member->is.spans[k].from == cseq;
        if (announce->first) {
            announce->leaves = member->is.leaves;
            announce->leaves_count = member->is.leaves_count;
        }
        announce->void_ = message && entry->body.message.hidden &&
                          memcmp(entry->body.message.user_id.at, member->user, ID_BYTES) != 0;
        if (!announce->void_) {
            announce->has_entry = true;
            announce->entry = riding(chat, entry);
        }
    }
}
