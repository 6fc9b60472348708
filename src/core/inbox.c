/* SPDX-License-Identifier: Apache-2.0 */
#include "core/inbox.h"

#include <string.h>

#include "core/account.h"

static bool known_kind(const struct fold_record *record)
{
    enum pb_record_body body = record->body->body_case;
    if (body == PB_RECORD_BODY_ACCOUNT)
        return record->body->body.account.body_case != PB_ACCOUNT_BODY_NONE;
    return body == PB_RECORD_BODY_ANNOUNCE || body == PB_RECORD_BODY_USER_RECEIPT ||
           body == PB_RECORD_BODY_REJECTED || body == PB_RECORD_BODY_REPEAT ||
           body == PB_RECORD_BODY_OWN;
}

void inbox_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena)
{
    (void)arena;
    if (!known_kind(record))
        return;
    if (reads->rounds == 0) {
        (void)fold_want_get(reads, TABLE_USER_HEAD, record->key, NULL, 0);
        if (record->body->body_case == PB_RECORD_BODY_ANNOUNCE)
            (void)fold_want_get(reads, TABLE_USER_CHAT, record->key,
                                record->body->body.announce.chat_id.at, 0);
        if (record->body->body_case == PB_RECORD_BODY_REPEAT)
            (void)fold_want_get(reads, TABLE_USER_CHAT, record->key,
                                record->body->body.repeat.chat_id.at, 0);
    }
    if (record->body->body_case == PB_RECORD_BODY_ACCOUNT)
        account_plan(record, reads, arena);
}

uint64_t inbox_stamp(const struct inbox_state *inbox)
{
    return row_stamp(inbox->record->place.log_epoch, inbox->record->place.offset);
}

void inbox_entry(struct inbox_state *inbox, const struct pb_inbox_row *row,
                 const struct pb_entry *deliver)
{
    inbox->head.useq++;
    fold_put(inbox->out, inbox->arena,
             row_key_make(TABLE_INBOX, inbox->record->key, NULL, inbox->head.useq),
             inbox_stamp(inbox), pb_inbox_row_pack_v1(row, inbox->arena));
    inbox->out->deliver_useq = inbox->head.useq;
    inbox->out->deliver = deliver;
    inbox->out->deliver_new = true;
    if (row->counts && row->chat_id.bytes == ID_BYTES) {
        inbox->out->deliver_chat = row->chat_id.at;
        inbox->out->deliver_cseq = row->cseq;
    }
}

void inbox_head_write(struct inbox_state *inbox)
{
    const struct fold_place *place = &inbox->record->place;
    inbox->head.has_applied = true;
    inbox->head.applied = (struct pb_place){place->log_epoch, place->offset, place->sub};
    fold_put(inbox->out, inbox->arena, row_key_make(TABLE_USER_HEAD, inbox->record->key, NULL, 0),
             inbox_stamp(inbox), pb_user_head_pack_v1(&inbox->head, inbox->arena));
}

void inbox_device_change(struct inbox_state *inbox, const uint8_t *chat)
{
    struct pb_record *record = fold_emit(inbox->out, inbox->arena, TOPIC_MESSAGES, chat);
    if (record == NULL)
        return;
    record->body_case = PB_RECORD_BODY_DEVICE_CHANGE;
    struct pb_device_change *change = &record->body.device_change;
    change->user_id = slice_make(inbox->record->key, ID_BYTES);
    change->dl_n = inbox->head.dl_n;
    change->removed = inbox->head.removed;
    change->removed_count = inbox->head.removed_count;
    change->closed = inbox->head.closed;
}

/* Does this join name a leaf that the newest device list lacks? Then its chat must hear of it. */
static bool names_removed(const struct inbox_state *inbox, const struct pb_announce *announce)
{
    for (size_t i = 0; announce->first && i < announce->leaves_count; i++) {
        for (size_t k = 0; k < inbox->head.removed_count; k++) {
            if (slice_equal(announce->leaves[i], inbox->head.removed[k]))
                return true;
        }
    }
    return false;
}

static bool rides_along(const struct pb_announce *announce)
{
    if (!announce->has_entry)
        return false;
    const struct pb_message *message = &announce->entry.body.message;
    return announce->entry.body_case != PB_ENTRY_BODY_MESSAGE || message->tombstone ||
           message->envelope.bytes > 0;
}

static enum status announce_apply(struct inbox_state *inbox)
{
    const struct pb_announce *announce = &inbox->record->body->body.announce;
    const uint8_t *chat = announce->chat_id.at;
    const struct row *row = fold_row(inbox->reads, TABLE_USER_CHAT, inbox->record->key, chat, 0);
    struct pb_user_chat list = {0};
    if (row != NULL && !fold_decode(&pb_user_chat_type, row, inbox->arena, &list))
        return STATUS_CORRUPT;
    if (announce->first && announce->cseq > 0 && announce->cseq - 1 > list.last_cseq)
        list.last_cseq = announce->cseq - 1; /* never back: a repeat must not rewind the chain */
    if (announce->cseq <= list.last_cseq) {
        inbox->out->verdict = FOLD_REPEATED;
        return STATUS_OK;
    }
    if (announce->cseq > list.last_cseq + 1) {
        inbox->out->verdict = FOLD_OUT_OF_CHAIN;
        return STATUS_OK;
    }
    list.last_cseq = announce->cseq;
    if (list.first_cseq == 0)
        list.first_cseq = announce->cseq;
    if (!announce->void_) {
        struct pb_inbox_row pointer = {.chat_id = announce->chat_id,
                                       .cseq = announce->cseq,
                                       .counts = announce->has_entry && announce->entry.body_case ==
                                                                            PB_ENTRY_BODY_MESSAGE};
        inbox_entry(inbox, &pointer, rides_along(announce) ? &announce->entry : NULL);
        list.last_useq = inbox->head.useq;
    }
    fold_put(inbox->out, inbox->arena, row_key_make(TABLE_USER_CHAT, inbox->record->key, chat, 0),
             inbox_stamp(inbox), pb_user_chat_pack_v1(&list, inbox->arena));
    inbox_head_write(inbox);
    if (names_removed(inbox, announce))
        inbox_device_change(inbox, chat);
    return STATUS_OK;
}

/* The entry that a record of another kind becomes; false if it is to be dropped. */
static bool plain_entry(struct inbox_state *inbox, struct pb_entry *entry)
{
    const struct pb_record *body = inbox->record->body;
    if (body->body_case == PB_RECORD_BODY_USER_RECEIPT) {
        entry->body_case = PB_ENTRY_BODY_RECEIPT;
        entry->body.receipt = body->body.user_receipt;
    } else if (body->body_case == PB_RECORD_BODY_REJECTED) {
        entry->body_case = PB_ENTRY_BODY_REJECTED;
        entry->body.rejected = body->body.rejected;
    } else if (body->body_case == PB_RECORD_BODY_OWN) {
        entry->body_case = PB_ENTRY_BODY_OWN;
        entry->body.own = body->body.own;
    } else {
        const struct pb_repeat *repeat = &body->body.repeat;
        const struct row *row =
            fold_row(inbox->reads, TABLE_USER_CHAT, inbox->record->key, repeat->chat_id.at, 0);
        struct pb_user_chat list = {0};
        if (row != NULL && !fold_decode(&pb_user_chat_type, row, inbox->arena, &list))
            return false;
        /* It must not overtake the announcement of the number it speaks of. */
        if (repeat->last_cseq > list.last_cseq)
            return false;
        entry->body_case = PB_ENTRY_BODY_REPEAT;
        entry->body.repeat = *repeat;
    }
    return true;
}

static void plain_apply(struct inbox_state *inbox)
{
    struct pb_entry *entry = ARENA_NEW(inbox->arena, struct pb_entry);
    if (entry == NULL)
        return;
    if (!plain_entry(inbox, entry)) {
        inbox->out->verdict = FOLD_OUT_OF_CHAIN;
        return;
    }
    struct pb_inbox_row row = {.has_entry = true, .entry = *entry};
    inbox_entry(inbox, &row, entry);
    inbox_head_write(inbox);
}

/* Stored already: what it sent out goes out again. Attached devices read from their cursor:
 * nothing hangs on the one notification that a crash may have swallowed, so the head is told to
 * them again. */
static void replay(struct inbox_state *inbox)
{
    inbox->out->verdict = FOLD_REPLAYED;
    inbox->out->deliver_useq = inbox->head.useq;
    const struct pb_record *body = inbox->record->body;
    if (body->body_case == PB_RECORD_BODY_ACCOUNT)
        account_replay(inbox);
    else if (body->body_case == PB_RECORD_BODY_ANNOUNCE &&
             names_removed(inbox, &body->body.announce))
        inbox_device_change(inbox, body->body.announce.chat_id.at);
}

enum status inbox_apply(const struct fold_record *record, const struct fold_reads *reads,
                        struct arena *arena, struct fold_outcome *out)
{
    struct inbox_state inbox = {.record = record, .reads = reads, .arena = arena, .out = out};
    if (!known_kind(record)) {
        out->verdict = FOLD_UNREADABLE;
        return STATUS_OK;
    }
    const struct row *head = fold_row(reads, TABLE_USER_HEAD, record->key, NULL, 0);
    if (head != NULL && !fold_decode(&pb_user_head_type, head, arena, &inbox.head))
        return STATUS_CORRUPT;
    inbox.replay = inbox.head.has_applied && fold_applied(record, &inbox.head.applied);
    if (inbox.replay)
        replay(&inbox);
    else if (record->body->body_case == PB_RECORD_BODY_ANNOUNCE)
        return announce_apply(&inbox);
    else if (record->body->body_case == PB_RECORD_BODY_ACCOUNT)
        return account_apply(&inbox);
    else
        plain_apply(&inbox);
    return STATUS_OK;
}
