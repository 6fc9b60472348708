/* SPDX-License-Identifier: Apache-2.0
 * A record of log C, in the order of e2ee §6.1:
 *
 *   at or below applied ── announce its row again, nothing else
 *   ENTRY          counter → member, device → gen → epoch, floor, pending → right → row + head
 *   CREATE         repeat by mid → exists → policy and leaves → side rows, row + head
 *   DEVICE_CHANGE  names a leaf or an unknown removal → side row, row + head
 *   RECEIPT        chat_receipt.c
 *
 * A final refusal consumes the counter of a known sender: that head write comes after its
 * REJECTED. */
#include "core/chat.h"

#include <string.h>

#include "base/assert.h"
#include "core/chat_state.h"
#include "ports/crypto.h"
#include "wire/envelope.h"
#include "wire/gen/frame.pb.h"
#include "wire/policy.h"

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
    case PB_RECORD_BODY_CREATE:
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
        (void)fold_want_all(reads, TABLE_MEMBER, record->key, FOLD_MEMBERS_MAX + 1);
        (void)fold_want_all(reads, TABLE_MARK, record->key, FOLD_MEMBERS_MAX + 1);
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

struct refusal {
    struct slice user, device, mid;
    uint64_t sctr, expected;
    enum pb_error_code reason;
    bool consumed;
};

static void reject(struct chat_state *chat, const struct refusal *refusal)
{
    struct pb_record *record =
        fold_emit(chat->out, chat->arena, TOPIC_DELIVERIES, refusal->user.at);
    chat->out->verdict = FOLD_REFUSED;
    chat->out->bare = true;
    if (record == NULL)
        return;
    record->body_case = PB_RECORD_BODY_REJECTED;
    record->body.rejected = (struct pb_rejected){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                                 .device_id = refusal->device,
                                                 .mid = refusal->mid,
                                                 .sctr = refusal->sctr,
                                                 .reason = (uint32_t)refusal->reason,
                                                 .consumed = refusal->consumed,
                                                 .expected = refusal->expected,
                                                 .gen = chat->head.gen,
                                                 .mls_epoch = chat->head.mls_epoch,
                                                 .floor = chat->head.floor};
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
    struct policy policy;
    return member->is.role >= POLICY_ROLE_ADMIN ||
           (policy_read(chat->head.policy, &policy) == STATUS_OK &&
            (policy.rights & POLICY_ALL_MAY_SEND) != 0);
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
    reject(chat, &(struct refusal){.user = send->entry->user_id,
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
    send.member =
        member != NULL && chat_member_active(member) && !chat_device_removed(chat, send.device);
    send.right = send.member && may_send(chat, member);
    uint64_t sctr = send.envelope.header.sctr;
    if (sctr <= send.sender.sctr) {
        send_repeat(chat, &send);
    } else if (sctr > send.sender.sctr + 1) {
        reject(chat, &(struct refusal){.user = send.entry->user_id,
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

/* ---- CREATE ---- */

static bool create_known(const struct chat_state *chat, const struct pb_create *create)
{
    for (size_t i = 0; i < chat->head.accepted_count; i++) {
        if (chat->head.accepted[i].gen == create->gen &&
            slice_equal(chat->head.accepted[i].mid, create->mid))
            return true;
    }
    return false;
}

/* A direct chat's id is a function of its two users: creation never races. */
static bool direct_id_fits(const uint8_t *key, const struct policy *policy)
{
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
    struct policy_member a = policy_member_at(policy, 0);
    struct policy_member b = policy_member_at(policy, (uint16_t)(policy->member_count - 1));
    direct_chat_input(a.user, b.user, input);
    struct slice part = SLICE_OF(input);
    crypto_sha256(&part, 1, hash);
    return memcmp(hash, key, ID_BYTES) == 0;
}

static bool leaves_fit(const struct chat_state *chat, const struct pb_create *create,
                       const struct policy *policy)
{
    if (create->leaves_count == 0 || create->leaves_count != create->leaf_users_count)
        return false;
    for (size_t i = 0; i < create->leaves_count; i++) {
        size_t of_user = 0;
        for (size_t k = 0; k < create->leaves_count; k++) {
            of_user += slice_equal(create->leaf_users[k], create->leaf_users[i]);
            if (k != i && slice_equal(create->leaves[k], create->leaves[i]))
                return false;
        }
        if (of_user > CHAT_LEAVES_MAX || policy_find(policy, create->leaf_users[i].at) < 0 ||
            chat_device_removed(chat, create->leaves[i]))
            return false;
    }
    return true;
}

static enum pb_error_code create_reason(struct chat_state *chat, const struct pb_create *create,
                                        struct policy *policy)
{
    if (chat->found && create->gen != chat->head.gen + 1)
        return PB_ERROR_CODE_CHAT_EXISTS;
    if (!chat->found && create->gen != 1)
        return PB_ERROR_CODE_NOT_ALLOWED;
    if (policy_read(create->policy, policy) != STATUS_OK || policy->kind == POLICY_GROUP ||
        !direct_id_fits(chat->record->key, policy) || !leaves_fit(chat, create, policy))
        return PB_ERROR_CODE_NOT_ALLOWED;
    if (policy_find(policy, create->user_id.at) < 0 || chat_device_removed(chat, create->device_id))
        return PB_ERROR_CODE_NOT_MEMBER;
    return PB_ERROR_CODE_NONE;
}

/* The side row of one member: in from this number on, with these leaves. */
static void member_enter(struct chat_state *chat, const struct pb_create *create,
                         const struct policy_member *entering)
{
    struct chat_member *member = chat_member_find(chat, entering->user);
    struct pb_member_row row = {.w_cseq = chat->head.cseq, .has_now = true};
    struct pb_membership *now = &row.now;
    size_t spans = 0;
    bool active = chat_member_active(member);
    if (member != NULL) {
        row.has_prev = true;
        row.prev = member->is;
        spans = member->is.spans_count;
    }
    now->role = entering->role;
    now->spans = ARENA_ARRAY(chat->arena, struct pb_span, spans + 1);
    now->leaves = ARENA_ARRAY(chat->arena, struct slice, CHAT_LEAVES_MAX);
    uint8_t *user = ARENA_ARRAY(chat->arena, uint8_t, ID_BYTES);
    if (now->spans == NULL || now->leaves == NULL || user == NULL)
        return;
    if (spans > 0)
        memcpy(now->spans, member->is.spans, spans * sizeof *now->spans);
    if (!active)
        now->spans[spans++] = (struct pb_span){chat->head.cseq, 0};
    now->spans_count = spans;
    for (size_t i = 0; i < create->leaves_count; i++) {
        if (memcmp(create->leaf_users[i].at, entering->user, ID_BYTES) == 0)
            now->leaves[now->leaves_count++] = create->leaves[i];
    }
    memcpy(user, entering->user, ID_BYTES);
    struct row_key key = row_key_make(TABLE_MEMBER, chat->record->key, user, 0);
    fold_put(chat->out, chat->arena, key, chat_stamp(chat),
             pb_member_row_pack_v1(&row, chat->arena));
    uint64_t before = chat->head.cseq - 1;
    key.table = TABLE_MARK;
    if (!active && before > 0) /* a joiner starts at its join − 1 */
        fold_max(chat->out, false, chat->arena, key, (uint64_t[STORE_COLUMNS]){before, before});
    if (member == NULL) {
        assert(chat->member_count < chat->member_room);
        member = &chat->members[chat->member_count++];
        member->user = user;
    }
    member->is = *now;
}

static void head_start(struct chat_state *chat, const struct pb_create *create,
                       const struct policy *policy)
{
    struct pb_chat_head *head = &chat->head;
    struct pb_epoch_mid *accepted =
        ARENA_ARRAY(chat->arena, struct pb_epoch_mid, head->accepted_count + 1);
    if (accepted == NULL)
        return;
    if (!chat->found)
        head->log_first = chat->record->place.log_epoch;
    chat_number(chat);
    head->gen = create->gen;
    head->mls_epoch = policy->member_count > 1 ? 1 : 0;
    head->floor = head->mls_epoch;
    head->policy_ver = policy->ver;
    head->kind = policy->kind;
    head->policy = create->policy;
    if (head->accepted_count > 0)
        memcpy(accepted, head->accepted, head->accepted_count * sizeof *accepted);
    accepted[head->accepted_count++] =
        (struct pb_epoch_mid){head->gen, head->mls_epoch, create->mid};
    head->accepted = accepted;
}

static void create_apply(struct chat_state *chat)
{
    const struct pb_create *create = &chat->record->body->body.create;
    struct policy policy = {0};
    if (create_known(chat, create)) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    enum pb_error_code reason = create_reason(chat, create, &policy);
    if (reason != PB_ERROR_CODE_NONE) {
        reject(chat, &(struct refusal){.user = create->user_id,
                                       .device = create->device_id,
                                       .mid = create->mid,
                                       .reason = reason});
        return;
    }
    head_start(chat, create, &policy);
    for (uint16_t i = 0; i < policy.member_count; i++) {
        struct policy_member entering = policy_member_at(&policy, i);
        member_enter(chat, create, &entering);
    }
    if (chat->arena->exhausted)
        return;
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    entry.body.member =
        (struct pb_member_change){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                  .cseq = chat->head.cseq,
                                  .ts = chat->head.wts / 1000,
                                  .kind = PB_MEMBER_CHANGE_KIND_CREATED,
                                  .user_id = create->user_id,
                                  .device_id = create->device_id,
                                  .mid = create->mid,
                                  .gen = chat->head.gen,
                                  .mls_epoch = chat->head.mls_epoch,
                                  .floor = chat->head.floor,
                                  .policy = create->policy};
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
}

/* ---- DEVICE_CHANGE ---- */

static bool listed(struct slice *ids, size_t count, struct slice id)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(ids[i], id))
            return true;
    }
    return false;
}

/* Remember the removals that are new; returns how many are. */
static size_t removals_add(struct chat_state *chat, const struct pb_device_change *change)
{
    struct pb_chat_head *head = &chat->head;
    size_t known = head->removed_count;
    struct slice *removed = ARENA_ARRAY(chat->arena, struct slice, known + change->removed_count);
    if (removed == NULL)
        return 0;
    if (known > 0)
        memcpy(removed, head->removed, known * sizeof *removed);
    head->removed = removed;
    for (size_t i = 0; i < change->removed_count; i++) {
        if (!listed(removed, head->removed_count, change->removed[i]))
            removed[head->removed_count++] = change->removed[i];
    }
    return head->removed_count - known;
}

static size_t leaves_drop(struct chat_state *chat, const struct pb_device_change *change,
                          struct chat_member *member, struct pb_membership *after)
{
    *after = member->is;
    after->leaves = ARENA_ARRAY(chat->arena, struct slice, member->is.leaves_count + 1);
    after->leaves_count = 0;
    for (size_t i = 0; after->leaves != NULL && i < member->is.leaves_count; i++) {
        if (!listed(change->removed, change->removed_count, member->is.leaves[i]))
            after->leaves[after->leaves_count++] = member->is.leaves[i];
    }
    return member->is.leaves_count - after->leaves_count;
}

static void device_change_apply(struct chat_state *chat)
{
    const struct pb_device_change *change = &chat->record->body->body.device_change;
    struct chat_member *member = chat_member_find(chat, change->user_id.at);
    struct pb_membership after;
    if (!chat->found || member == NULL) {
        chat->out->verdict = FOLD_REFUSED;
        return;
    }
    size_t dropped = leaves_drop(chat, change, member, &after);
    if (removals_add(chat, change) + dropped == 0) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    chat_number(chat);
    if (dropped > 0) {
        struct pb_member_row row = {chat->head.cseq, after, true, member->is, true};
        fold_put(chat->out, chat->arena,
                 row_key_make(TABLE_MEMBER, chat->record->key, member->user, 0), chat_stamp(chat),
                 pb_member_row_pack_v1(&row, chat->arena));
        member->is = after;
    }
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    entry.body.member =
        (struct pb_member_change){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                  .cseq = chat->head.cseq,
                                  .ts = chat->head.wts / 1000,
                                  .kind = PB_MEMBER_CHANGE_KIND_DEVICE_CHANGE,
                                  .user_id = change->user_id,
                                  .gen = chat->head.gen,
                                  .mls_epoch = chat->head.mls_epoch,
                                  .floor = chat->head.floor,
                                  .dl_n = change->dl_n,
                                  .removed = change->removed,
                                  .removed_count = change->removed_count};
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
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
        create_apply(chat);
    else if (record->body->body_case == PB_RECORD_BODY_DEVICE_CHANGE)
        device_change_apply(chat);
    else
        chat_receipt_apply(chat);
    return status;
}
