/* SPDX-License-Identifier: Apache-2.0
 * LEAVE and DEVICE_CHANGE (e2ee §6 rules 9, 10): what has to go is out at once, and stays pending
 * until a commit covers it, because the leaves are in the group's tree until then. A user who left
 * or closed the account is one removal, with all its leaves; else each leaf of a removed device is.
 *
 *   LEAVE          span known → member, device → gen → a group → side row, row + head
 *   DEVICE_CHANGE  a removal not known, a leaf not pending, or an account that closes → the same
 *
 * EXCEPTION: of direct chats the leaf goes with its device and nothing is pending: their clients do
 * not commit yet (ADR 0081). */
#include "core/chat_state.h"

/* In the order of their records; those of one leaf go when all of its user becomes one. */
static void pending_add(struct chat_state *chat, struct slice user, struct slice device)
{
    struct pb_chat_head *head = &chat->head;
    struct pb_pending *pending =
        ARENA_ARRAY(chat->arena, struct pb_pending, head->pending_count + 1);
    size_t kept = 0;
    if (pending == NULL)
        return;
    for (size_t i = 0; i < head->pending_count; i++) {
        if (device.bytes != 0 || !slice_equal(head->pending[i].user_id, user))
            pending[kept++] = head->pending[i];
    }
    pending[kept++] = (struct pb_pending){user, device, head->cseq};
    head->pending = pending;
    head->pending_count = kept;
}

static bool is_pending(const struct chat_state *chat, struct slice device)
{
    for (size_t i = 0; i < chat->head.pending_count; i++) {
        if (slice_equal(chat->head.pending[i].device_id, device))
            return true;
    }
    return false;
}

static void entry_write(struct chat_state *chat, struct pb_member_change change)
{
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    change.chat_id = slice_make(chat->record->key, ID_BYTES);
    change.cseq = chat->head.cseq;
    change.ts = chat->head.wts / 1000;
    change.gen = chat->head.gen;
    change.mls_epoch = chat->head.mls_epoch;
    change.floor = chat->head.floor;
    entry.body.member = change;
    chat_members_write(chat);
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
}

/* ---- LEAVE ---- */

static bool ended_already(const struct chat_member *member, uint64_t join_cseq)
{
    for (size_t i = 0; member != NULL && i < member->is.spans_count; i++) {
        if (member->is.spans[i].from == join_cseq && member->is.spans[i].to != 0)
            return true;
    }
    return false;
}

static enum pb_error_code leave_reason(struct chat_state *chat, const struct pb_leave *asked,
                                       const struct chat_member *member)
{
    if (!chat->found || !chat_member_active(member) ||
        chat_device_removed(chat, asked->user_id, asked->device_id))
        return PB_ERROR_CODE_NOT_MEMBER;
    if (asked->gen != chat->head.gen)
        return PB_ERROR_CODE_GEN_CHANGED;
    bool its_span = member->is.spans[member->is.spans_count - 1].from == asked->join_cseq;
    return chat->head.kind == POLICY_GROUP && its_span ? PB_ERROR_CODE_NONE
                                                       : PB_ERROR_CODE_NOT_ALLOWED;
}

void chat_leave_apply(struct chat_state *chat)
{
    const struct pb_leave *asked = &chat->record->body->body.leave;
    struct chat_member *member = chat_member_find(chat, asked->user_id.at);
    if (ended_already(member, asked->join_cseq)) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    enum pb_error_code reason = leave_reason(chat, asked, member);
    if (reason != PB_ERROR_CODE_NONE) {
        chat_reject(chat, &(struct chat_refusal){.user = asked->user_id,
                                                 .device = asked->device_id,
                                                 .mid = asked->mid,
                                                 .reason = reason});
        return;
    }
    member = chat_member_change(chat, asked->user_id.at);
    if (member == NULL)
        return;
    chat_number(chat);
    chat_member_leave(member, chat->head.cseq);
    pending_add(chat, asked->user_id, SLICE_EMPTY);
    entry_write(chat, (struct pb_member_change){.kind = PB_MEMBER_CHANGE_KIND_LEFT,
                                                .user_id = asked->user_id,
                                                .device_id = asked->device_id,
                                                .mid = asked->mid,
                                                .statement = asked->statement,
                                                .join_cseq = asked->join_cseq});
}

/* ---- DEVICE_CHANGE ---- */

/* Remember the removals that are new; returns how many are. */
static size_t removals_add(struct chat_state *chat, const struct pb_device_change *change,
                           struct pb_membership *after)
{
    size_t known = after->removed_count;
    struct slice *removed = ARENA_ARRAY(chat->arena, struct slice, known + change->removed_count);
    if (removed == NULL)
        return 0;
    for (size_t i = 0; i < known; i++)
        removed[i] = after->removed[i];
    after->removed = removed;
    for (size_t i = 0; i < change->removed_count; i++) {
        if (after->removed_count < FOLD_DEVICES_EVER &&
            !chat_listed(removed, after->removed_count, change->removed[i]))
            removed[after->removed_count++] = change->removed[i];
    }
    return after->removed_count - known;
}

static size_t leaves_drop(const struct pb_device_change *change, struct pb_membership *after)
{
    size_t kept = 0, had = after->leaves_count;
    for (size_t i = 0; i < had; i++) {
        if (!chat_listed(change->removed, change->removed_count, after->leaves[i]))
            after->leaves[kept++] = after->leaves[i];
    }
    after->leaves_count = kept;
    return had - kept;
}

/* Leaves of removed devices that nothing pending names yet; with `add` they become so. */
static size_t leaves_pend(struct chat_state *chat, const struct pb_device_change *change,
                          const struct chat_member *member, bool add)
{
    size_t count = 0;
    for (size_t i = 0; chat_member_active(member) && i < member->is.leaves_count; i++) {
        struct slice leaf = member->is.leaves[i];
        if (!chat_listed(change->removed, change->removed_count, leaf) || is_pending(chat, leaf))
            continue;
        count++;
        if (add)
            pending_add(chat, change->user_id, leaf);
    }
    return count;
}

void chat_device_change_apply(struct chat_state *chat)
{
    const struct pb_device_change *change = &chat->record->body->body.device_change;
    if (!chat->found || chat_member_find(chat, change->user_id.at) == NULL) {
        chat->out->verdict = FOLD_REFUSED;
        return;
    }
    struct chat_member *member = chat_member_change(chat, change->user_id.at);
    if (member == NULL)
        return;
    bool direct = chat->head.kind == POLICY_DIRECT;
    bool closes = !direct && change->closed && chat_member_active(member);
    size_t news = removals_add(chat, change, &member->is);
    news += direct ? leaves_drop(change, &member->is) : leaves_pend(chat, change, member, false);
    if (news == 0 && !closes) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    chat_number(chat);
    if (closes) {
        chat_member_leave(member, chat->head.cseq);
        pending_add(chat, change->user_id, SLICE_EMPTY);
    } else if (!direct) {
        (void)leaves_pend(chat, change, member, true);
    }
    entry_write(chat, (struct pb_member_change){.kind = PB_MEMBER_CHANGE_KIND_DEVICE_CHANGE,
                                                .user_id = change->user_id,
                                                .dl_n = change->dl_n,
                                                .removed = change->removed,
                                                .removed_count = change->removed_count,
                                                .closed = change->closed});
}
