/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chat_state.h"

#include <string.h>

#include "base/assert.h"

#define PROOFS_MAX 64u /* of one REJECTED (entry.proto) */

/* How many members this record may bring in. */
static size_t entering_max(const struct pb_record *body)
{
    if (body->body_case == PB_RECORD_BODY_COMMIT)
        return body->body.commit.users_added_count;
    return body->body_case == PB_RECORD_BODY_CREATE ? POLICY_MEMBERS_MAX : 0;
}

static enum status members_read(struct chat_state *chat)
{
    const struct fold_want *range = fold_range(chat->reads, FOLD_RANGE, TABLE_MEMBER);
    size_t rows = range != NULL ? range->rows_count : 0;
    if (rows > FOLD_MEMBERS_EVER)
        return STATUS_CORRUPT;
    chat->member_rows = rows;
    chat->member_room = rows + entering_max(chat->record->body);
    chat->members = ARENA_RAW(chat->arena, struct chat_member, chat->member_room + 1);
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
        *member =
            (struct chat_member){.user = range->rows[i].key.b, .is = there ? row.now : row.prev};
    }
    return STATUS_OK;
}

/* Both ranges ascend by user. */
static void marks_read(struct chat_state *chat)
{
    const struct fold_want *marks = fold_range(chat->reads, FOLD_RANGE, TABLE_MARK);
    size_t at = 0;
    for (size_t i = 0; marks != NULL && i < marks->rows_count; i++) {
        const struct row *row = &marks->rows[i];
        while (at < chat->member_count && memcmp(chat->members[at].user, row->key.b, ID_BYTES) < 0)
            at++;
        if (at < chat->member_count && memcmp(chat->members[at].user, row->key.b, ID_BYTES) == 0)
            memcpy(chat->members[at].marks, row->columns, sizeof chat->members[at].marks);
    }
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
    marks_read(chat);
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

bool chat_member_ends(const struct chat_member *member, uint64_t cseq)
{
    for (size_t i = 0; i < member->is.spans_count; i++) {
        if (member->is.spans[i].to == cseq)
            return true;
    }
    return false;
}

bool chat_listed(const struct slice *ids, size_t count, struct slice id)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(ids[i], id))
            return true;
    }
    return false;
}

bool chat_device_removed(struct chat_state *chat, struct slice user, struct slice device)
{
    const struct chat_member *member = chat_member_find(chat, user.at);
    return member != NULL && chat_listed(member->is.removed, member->is.removed_count, device);
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

/* The records that prove what is pending, each once. */
static void proofs_fill(struct chat_state *chat, struct pb_rejected *rejected)
{
    uint64_t last = 0;
    rejected->proofs = ARENA_ARRAY(chat->arena, uint64_t, PROOFS_MAX);
    for (size_t i = 0; rejected->proofs != NULL && i < chat->head.pending_count; i++) {
        uint64_t cseq = chat->head.pending[i].cseq;
        if (cseq > last && rejected->proofs_count < PROOFS_MAX)
            rejected->proofs[rejected->proofs_count++] = last = cseq;
    }
}

void chat_reject(struct chat_state *chat, const struct chat_refusal *refusal)
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
    if (refusal->reason == PB_ERROR_CODE_PENDING_REMOVAL)
        proofs_fill(chat, &record->body.rejected);
}

/* ---- members that change ---- */

static struct chat_member *member_add(struct chat_state *chat, const uint8_t *user)
{
    uint8_t *copy = ARENA_ARRAY(chat->arena, uint8_t, ID_BYTES);
    if (copy == NULL)
        return NULL;
    assert(chat->member_count < chat->member_room);
    memcpy(copy, user, ID_BYTES);
    struct chat_member *member = &chat->members[chat->member_count++];
    *member = (struct chat_member){.user = copy, .fresh = true};
    return member;
}

struct chat_member *chat_member_change(struct chat_state *chat, const uint8_t *user)
{
    struct chat_member *member = chat_member_find(chat, user);
    if (member == NULL)
        member = member_add(chat, user);
    if (member == NULL || member->was != NULL)
        return member;
    struct pb_membership *was = ARENA_NEW(chat->arena, struct pb_membership);
    struct pb_span *spans = ARENA_ARRAY(chat->arena, struct pb_span, member->is.spans_count + 1);
    struct slice *leaves = ARENA_ARRAY(chat->arena, struct slice, CHAT_LEAVES_MAX);
    if (was == NULL || spans == NULL || leaves == NULL)
        return NULL;
    *was = member->is;
    for (size_t i = 0; i < was->spans_count; i++)
        spans[i] = was->spans[i];
    for (size_t i = 0; i < was->leaves_count; i++)
        leaves[i] = was->leaves[i];
    member->was = was;
    member->is.spans = spans;
    member->is.leaves = leaves;
    return member;
}

void chat_member_enter(const struct chat_state *chat, struct chat_member *member)
{
    if (!chat_member_active(member))
        member->is.spans[member->is.spans_count++] = (struct pb_span){chat->head.cseq, 0};
}

bool chat_members_fit(struct chat_state *chat, const struct role_change *change)
{
    size_t rows = chat->member_rows;
    for (uint16_t i = 0; i < change->after.member_count; i++) {
        struct policy_member is = policy_member_at(&change->after, i);
        const struct chat_member *member = chat_member_find(chat, is.user);
        rows += member == NULL;
        bool enters = !chat_member_active(member) || role_fate_after(change, i) == ROLE_ANEW;
        if (member != NULL && enters && member->is.spans_count >= CHAT_SPANS_MAX)
            return false;
    }
    return rows <= FOLD_MEMBERS_EVER;
}

void chat_member_leave(struct chat_member *member, uint64_t last)
{
    if (chat_member_active(member))
        member->is.spans[member->is.spans_count - 1].to = last;
}

static bool enters_at(const struct chat_member *member, uint64_t cseq)
{
    for (size_t i = 0; i < member->is.spans_count; i++) {
        if (member->is.spans[i].from == cseq)
            return true;
    }
    return false;
}

void chat_members_write(struct chat_state *chat)
{
    uint64_t before = chat->head.cseq - 1;
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *member = &chat->members[i];
        if (member->was == NULL)
            continue;
        struct pb_member_row row = {.w_cseq = chat->head.cseq, .now = member->is, .has_now = true};
        if (!member->fresh) {
            row.prev = *member->was;
            row.has_prev = true;
        }
        struct row_key key = row_key_make(TABLE_MEMBER, chat->record->key, member->user, 0);
        fold_put(chat->out, chat->arena, key, chat_stamp(chat),
                 pb_member_row_pack_v1(&row, chat->arena));
        key.table = TABLE_MARK;
        if (before > 0 && enters_at(member, chat->head.cseq))
            fold_max(chat->out, false, chat->arena, key, (uint64_t[STORE_COLUMNS]){before, before});
    }
}

/* ---- epochs ---- */

#define SLOT_BITS 48u

bool chat_epoch_slot(uint32_t gen, uint64_t slot, uint64_t *n)
{
    if (gen > UINT16_MAX || slot >> SLOT_BITS != 0)
        return false;
    *n = (uint64_t)gen << SLOT_BITS | slot;
    return true;
}

bool chat_epoch_known(const struct chat_state *chat, uint64_t n, struct slice mid)
{
    struct pb_epoch_row epoch;
    const struct row *row = fold_row(chat->reads, TABLE_EPOCH, chat->record->key, NULL, n);
    return row != NULL && fold_decode(&pb_epoch_row_type, row, chat->arena, &epoch) &&
           slice_equal(epoch.mid, mid);
}

void chat_epoch_write(struct chat_state *chat, uint64_t n, struct slice mid)
{
    struct pb_epoch_row row = {mid, chat->head.cseq};
    fold_put(chat->out, chat->arena, row_key_make(TABLE_EPOCH, chat->record->key, NULL, n),
             chat_stamp(chat), pb_epoch_row_pack_v1(&row, chat->arena));
}

/* ---- policies ---- */

bool chat_policy_large(struct slice policy)
{
    struct policy read;
    return policy_read(policy, &read) != STATUS_OK && read.kind == POLICY_GROUP &&
           read.member_count > POLICY_MEMBERS_MAX;
}

bool chat_left_read(struct chat_state *chat, const struct slice **left, size_t *count)
{
    struct slice *users = ARENA_ARRAY(chat->arena, struct slice, chat->head.pending_count + 1);
    *left = users;
    *count = 0;
    for (size_t i = 0; users != NULL && i < chat->head.pending_count; i++) {
        if (chat->head.pending[i].device_id.bytes == 0)
            users[(*count)++] = chat->head.pending[i].user_id;
    }
    return users != NULL;
}

/* ---- row, head, announcements ---- */

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

/* What rides along is small, alone and times the members; else the row is read. A message leaves
 * its envelope behind, so that the inbox knows that it counts; anything else all of it. */
static bool ride(const struct chat_state *chat, const struct pb_entry *entry, struct pb_entry *copy)
{
    bool message = entry->body_case == PB_ENTRY_BODY_MESSAGE;
    size_t bytes = message ? entry->body.message.envelope.bytes : pb_entry_size(entry);
    bool fits = bytes <= FOLD_BODY_BYTES_MAX && bytes * chat->member_count <= FOLD_BODIES_BYTES_MAX;
    *copy = *entry;
    if (message && !fits)
        copy->body.message.envelope = SLICE_EMPTY;
    return message || fits;
}

static uint64_t number_of(const struct pb_entry *entry)
{
    if (entry->body_case == PB_ENTRY_BODY_MESSAGE)
        return entry->body.message.cseq;
    if (entry->body_case == PB_ENTRY_BODY_COMMIT)
        return entry->body.commit.cseq;
    assert(entry->body_case == PB_ENTRY_BODY_MEMBER);
    return entry->body.member.cseq;
}

static void announce_one(struct chat_state *chat, const struct chat_member *member,
                         const struct pb_entry *entry, const struct pb_entry *riding)
{
    struct pb_record *record = fold_emit(chat->out, chat->arena, TOPIC_DELIVERIES, member->user);
    if (record == NULL)
        return;
    record->body_case = PB_RECORD_BODY_ANNOUNCE;
    struct pb_announce *announce = &record->body.announce;
    announce->chat_id = slice_make(chat->record->key, ID_BYTES);
    announce->cseq = number_of(entry);
    announce->first = enters_at(member, announce->cseq);
    if (announce->first) {
        announce->leaves = member->is.leaves;
        announce->leaves_count = member->is.leaves_count;
    }
    bool message = entry->body_case == PB_ENTRY_BODY_MESSAGE;
    announce->void_ = message && entry->body.message.hidden &&
                      memcmp(entry->body.message.user_id.at, member->user, ID_BYTES) != 0;
    if (!announce->void_ && riding != NULL) {
        announce->has_entry = true;
        announce->entry = *riding;
    }
}

void chat_announce(struct chat_state *chat, const struct pb_entry *entry)
{
    struct pb_entry copy;
    uint64_t cseq = number_of(entry);
    bool rides = ride(chat, entry, &copy), ended = false;
    for (size_t i = 0; i < chat->member_count; i++) {
        const struct chat_member *member = &chat->members[i];
        if (!chat_member_spans(member, cseq))
            continue;
        ended |= chat_member_ends(member, cseq);
        announce_one(chat, member, entry, rides ? &copy : NULL);
    }
    if (ended)
        chat_minima_ended(chat, cseq);
}
