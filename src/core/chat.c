/* SPDX-License-Identifier: Apache-2.0
 * A record of log C, in the order of e2ee §6.1:
 *
 *   at or below applied ── announce its row again, nothing else
 *   ENTRY          counter → member, device → gen → epoch, floor, pending → right → row + head
 *   COMMIT         chat_commit.c
 *   CREATE         chat_create.c
 *   LEAVE, DEVICE_CHANGE  chat_leave.c
 *   RECEIPT        chat_receipt.c
 *
 * A final refusal consumes the counter of a known sender: that head write comes after its
 * REJECTED. */
#include "core/chat.h"

#include <string.h>

#include "core/chat_state.h"
#include "wire/envelope.h"

/* A transient message has no counter and no place in a log. */
static bool envelope_of(const struct fold_record *record, struct envelope *envelope)
{
    return envelope_read(record->body->body.entry.envelope, envelope) == STATUS_OK &&
           envelope->header.kind != PB_MESSAGE_KIND_TRANSIENT &&
           memcmp(envelope->header.chat, record->key, ID_BYTES) == 0;
}

static bool known_kind(const struct fold_record *record)
{
    struct envelope envelope;
    switch (record->body->body_case) {
    case PB_RECORD_BODY_ENTRY: return envelope_of(record, &envelope);
    case PB_RECORD_BODY_COMMIT:
    case PB_RECORD_BODY_CREATE:
    case PB_RECORD_BODY_LEAVE:
    case PB_RECORD_BODY_DEVICE_CHANGE:
    case PB_RECORD_BODY_RECEIPT: return true;
    case PB_RECORD_BODY_NONE:
    case PB_RECORD_BODY_VERSION:
    case PB_RECORD_BODY_ANNOUNCE:
    case PB_RECORD_BODY_USER_RECEIPT:
    case PB_RECORD_BODY_REJECTED:
    case PB_RECORD_BODY_REPEAT:
    case PB_RECORD_BODY_ACCOUNT:
    case PB_RECORD_BODY_OWN:
    case PB_RECORD_BODY_QUARANTINED:
    default: return false;
    }
}

static struct chat_state *state_new(const struct fold_record *record,
                                    const struct fold_reads *reads, struct arena *arena,
                                    struct fold_outcome *out)
{
    struct chat_state *chat = ARENA_NEW(arena, struct chat_state);
    if (chat != NULL) {
        chat->record = record;
        chat->reads = reads;
        chat->arena = arena;
        chat->out = out;
    }
    return chat;
}

void chat_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena)
{
    if (!known_kind(record))
        return;
    if (reads->rounds == 0) {
        (void)fold_want_get(reads, TABLE_CHAT_HEAD, record->key, NULL, 0);
        (void)fold_want_all(reads, TABLE_MEMBER, record->key, FOLD_MEMBERS_EVER + 1);
        (void)fold_want_all(reads, TABLE_MARK, record->key, FOLD_MEMBERS_EVER + 1);
        struct envelope envelope;
        if (record->body->body_case == PB_RECORD_BODY_ENTRY && envelope_of(record, &envelope))
            (void)fold_want_get(reads, TABLE_SENDER, record->key, envelope.header.device, 0);
        return;
    }
    struct chat_state *chat = state_new(record, reads, arena, NULL);
    if (reads->rounds > 1 || chat == NULL || chat_state_read(chat) != STATUS_OK)
        return;
    if (chat->head.has_applied && fold_applied(record, &chat->head.applied)) {
        struct fold_want *want = fold_want_all(reads, TABLE_MSG, record->key, 64);
        want->kind = FOLD_BY_STAMP;
        want->stamp = chat_stamp(chat);
    } else if (record->body->body_case == PB_RECORD_BODY_RECEIPT) {
        chat_receipt_plan(chat, reads);
    } else if (chat->found && record->body->body_case == PB_RECORD_BODY_CREATE) {
        chat_create_plan(record, reads);
    } else if (chat->found && record->body->body_case == PB_RECORD_BODY_COMMIT) {
        chat_commit_plan(record, reads);
    }
}

/* Stored already: its announcements again, from what is stored. No row: it was refused or a
 * repeat. */
static void replay(struct chat_state *chat)
{
    const struct fold_want *rows = fold_range(chat->reads, FOLD_BY_STAMP, TABLE_MSG);
    chat->out->verdict = FOLD_REPLAYED;
    for (size_t i = 0; rows != NULL && i < rows->rows_count; i++) {
        struct pb_msg_row row;
        if (rows->rows[i].key.n > chat->head.cseq ||
            !fold_decode(&pb_msg_row_type, &rows->rows[i], chat->arena, &row) ||
            row.place.sub != chat->record->place.sub ||
            row.place.offset != chat->record->place.offset ||
            row.place.log_epoch != chat->record->place.log_epoch)
            continue;
        chat_announce(chat, &row.entry);
        /* Inlined, a replay must bear exactly what it bore before: one entry more would take a useq
         * at which a pointer of a later record, cut off from its head by a crash, stands. */
        if (!chat->record->inlined)
            chat_minima_again(chat);
    }
    chat->out->bare = chat->out->emissions_count > 0;
}

/* ---- SEND ---- */

struct send {
    const struct pb_chat_entry *entry;
    struct envelope envelope;
    struct slice device;
    struct pb_sender_row sender;
    bool known; /* the device has a counter, or its user was a member once */
    bool member, right;
};

static void send_repeat(struct chat_state *chat, const struct send *send)
{
    chat->out->verdict = FOLD_REPEATED;
    if (slice_equal(send->entry->mid, send->sender.mid))
        return;
    struct pb_record *record =
        fold_emit(chat->out, chat->arena, TOPIC_DELIVERIES, send->entry->user_id.at);
    chat->out->bare = true;
    if (record == NULL)
        return;
    record->body_case = PB_RECORD_BODY_REPEAT;
    record->body.repeat = (struct pb_repeat){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                             .device_id = send->device,
                                             .sctr = send->envelope.header.sctr,
                                             .last = send->sender.sctr,
                                             .last_mid = send->sender.mid,
                                             .last_cseq = send->sender.cseq};
}

/* The reason to refuse, or NONE. The counter was checked before. */
static enum pb_error_code send_reason(const struct chat_state *chat, const struct send *send)
{
    const struct envelope_header *header = &send->envelope.header;
    if (!send->member)
        return PB_ERROR_CODE_NOT_MEMBER;
    if (header->gen != chat->head.gen)
        return PB_ERROR_CODE_GEN_CHANGED;
    if (header->mls_epoch > chat->head.mls_epoch)
        return PB_ERROR_CODE_EPOCH_AHEAD;
    if (header->mls_epoch < chat->head.floor)
        return PB_ERROR_CODE_STALE_EPOCH;
    if (chat->head.pending_count > 0)
        return PB_ERROR_CODE_PENDING_REMOVAL;
    return send->right ? PB_ERROR_CODE_NONE : PB_ERROR_CODE_NOT_ALLOWED;
}

static bool may_send(const struct chat_state *chat, const struct chat_member *member)
{
    return member->is.role >= POLICY_ROLE_ADMIN ||
           (policy_rights(chat->head.policy) & POLICY_ALL_MAY_SEND) != 0;
}

static struct slice sender_pack(struct chat_state *chat, const struct send *send, uint64_t cseq)
{
    struct pb_sender_row row = {send->envelope.header.sctr, cseq, send->entry->mid};
    return pb_sender_row_pack_v1(&row, chat->arena);
}

static void send_refuse(struct chat_state *chat, const struct send *send, enum pb_error_code reason)
{
    bool final = reason == PB_ERROR_CODE_NOT_MEMBER || reason == PB_ERROR_CODE_NOT_ALLOWED;
    bool consumed = final && send->known && chat->found;
    chat_reject(chat, &(struct chat_refusal){.user = send->entry->user_id,
                                             .device = send->device,
                                             .mid = send->entry->mid,
                                             .sctr = send->envelope.header.sctr,
                                             .reason = reason,
                                             .consumed = consumed});
    if (!consumed)
        return;
    const uint8_t *key = chat->record->key;
    fold_put_late(chat->out, chat->arena, row_key_make(TABLE_SENDER, key, send->device.at, 0),
                  chat_stamp(chat), sender_pack(chat, send, send->sender.cseq));
    fold_put_late(chat->out, chat->arena, row_key_make(TABLE_CHAT_HEAD, key, NULL, 0),
                  chat_stamp(chat), chat_head_pack(chat));
}

static void send_accept(struct chat_state *chat, const struct send *send)
{
    chat_number(chat);
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MESSAGE};
    entry.body.message = (struct pb_message){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                             .cseq = chat->head.cseq,
                                             .ts = chat->head.wts / 1000,
                                             .user_id = send->entry->user_id,
                                             .device_id = send->device,
                                             .sctr = send->envelope.header.sctr,
                                             .mid = send->entry->mid,
                                             .kind = send->envelope.header.kind,
                                             .expire_s = send->entry->expire_s,
                                             .envelope = send->entry->envelope};
    fold_put(chat->out, chat->arena,
             row_key_make(TABLE_SENDER, chat->record->key, send->device.at, 0), chat_stamp(chat),
             sender_pack(chat, send, chat->head.cseq));
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
}

static enum status send_apply(struct chat_state *chat)
{
    struct send send = {.entry = &chat->record->body->body.entry};
    if (!envelope_of(chat->record, &send.envelope))
        return STATUS_INVALID;
    uint8_t *device = ARENA_ARRAY(chat->arena, uint8_t, ID_BYTES);
    if (device == NULL)
        return STATUS_BUSY;
    memcpy(device, send.envelope.header.device, ID_BYTES);
    send.device = slice_make(device, ID_BYTES);
    const struct row *row = fold_row(chat->reads, TABLE_SENDER, chat->record->key, device, 0);
    if (row != NULL && !fold_decode(&pb_sender_row_type, row, chat->arena, &send.sender))
        return STATUS_CORRUPT;
    struct chat_member *member = chat_member_find(chat, send.entry->user_id.at);
    send.known = row != NULL || member != NULL;
    send.member = chat_member_active(member) &&
                  !chat_listed(member->is.removed, member->is.removed_count, send.device);
    send.right = send.member && may_send(chat, member);
    uint64_t sctr = send.envelope.header.sctr;
    if (sctr <= send.sender.sctr) {
        send_repeat(chat, &send);
    } else if (sctr > send.sender.sctr + 1) {
        chat_reject(chat, &(struct chat_refusal){.user = send.entry->user_id,
                                                 .device = send.device,
                                                 .mid = send.entry->mid,
                                                 .sctr = sctr,
                                                 .expected = send.sender.sctr + 1,
                                                 .reason = PB_ERROR_CODE_SCTR_EXPECTED});
    } else {
        enum pb_error_code reason = send_reason(chat, &send);
        if (reason == PB_ERROR_CODE_NONE)
            send_accept(chat, &send);
        else
            send_refuse(chat, &send, reason);
    }
    return STATUS_OK;
}

enum status chat_apply(const struct fold_record *record, const struct fold_reads *reads,
                       struct arena *arena, struct fold_outcome *out)
{
    if (!known_kind(record)) {
        out->verdict = FOLD_UNREADABLE;
        return STATUS_OK;
    }
    struct chat_state *chat = state_new(record, reads, arena, out);
    if (chat == NULL)
        return STATUS_BUSY;
    enum status status = chat_state_read(chat);
    if (status != STATUS_OK)
        return status;
    if (chat->head.has_applied && fold_applied(record, &chat->head.applied))
        replay(chat);
    else if (record->body->body_case == PB_RECORD_BODY_ENTRY)
        status = send_apply(chat);
    else if (record->body->body_case == PB_RECORD_BODY_CREATE)
        chat_create_apply(chat);
    else if (record->body->body_case == PB_RECORD_BODY_COMMIT)
        chat_commit_apply(chat);
    else if (record->body->body_case == PB_RECORD_BODY_LEAVE)
        chat_leave_apply(chat);
    else if (record->body->body_case == PB_RECORD_BODY_DEVICE_CHANGE)
        chat_device_change_apply(chat);
    else
        chat_receipt_apply(chat);
    return status;
}
