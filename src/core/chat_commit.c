/* SPDX-License-Identifier: Apache-2.0
 * COMMIT (e2ee §6 rules 1, 6, 7, 9): compare-and-set on (gen, epoch), then the lists that it
 * carries in clear become the tables. Order: repeat by mid → member, device → gen, epoch →
 * pending → rights → sizes → side rows, epoch, row + head. That the lists are true of the commit
 * itself is checked by every client; here they have to agree with each other and the tables. */
#include <string.h>

#include "core/chat_roles.h"
#include "core/chat_state.h"

struct commit {
    const struct pb_commit *asked;
    struct policy policy;      /* that holds after it */
    struct role_change change; /* if it brings a policy */
};

static bool slot_of(const struct pb_commit *asked, uint64_t *n)
{
    return asked->mls_epoch < UINT64_MAX && chat_epoch_slot(asked->gen, asked->mls_epoch + 1, n);
}

void chat_commit_plan(const struct fold_record *record, struct fold_reads *reads)
{
    uint64_t n;
    if (slot_of(&record->body->body.commit, &n))
        (void)fold_want_get(reads, TABLE_EPOCH, record->key, NULL, n);
}

static bool adds_user(const struct pb_commit *asked, struct slice user)
{
    return chat_listed(asked->users_added, asked->users_added_count, user);
}

static bool removes_user(const struct pb_commit *asked, struct slice user)
{
    return chat_listed(asked->users_removed, asked->users_removed_count, user);
}

static bool removes_leaf(const struct pb_commit *asked, struct slice leaf)
{
    return chat_listed(asked->leaves_removed, asked->leaves_removed_count, leaf);
}

static bool covers_pending(const struct chat_state *chat, const struct pb_commit *asked)
{
    for (size_t i = 0; i < chat->head.pending_count; i++) {
        const struct pb_pending *pending = &chat->head.pending[i];
        bool covered = pending->device_id.bytes == 0 ? removes_user(asked, pending->user_id)
                                                     : removes_leaf(asked, pending->device_id);
        if (!covered)
            return false;
    }
    return true;
}

/* ---- rights ---- */

/* A device comes in by itself: its leaf, and at most its own old one goes. */
static bool external_allowed(const struct pb_commit *asked)
{
    return asked->leaves_added_count == 1 &&
           slice_equal(asked->leaves_added[0], asked->device_id) &&
           slice_equal(asked->leaf_users[0], asked->user_id) && asked->leaves_removed_count <= 1 &&
           (asked->leaves_removed_count == 0 || removes_leaf(asked, asked->device_id)) &&
           asked->users_added_count + asked->users_removed_count + asked->policy.bytes == 0;
}

/* Do the lists of users name exactly those whom the new policy brings and takes? */
static bool users_told(const struct commit *commit)
{
    const struct pb_commit *asked = commit->asked;
    size_t added = 0, removed = 0;
    for (uint16_t i = 0; i < commit->change.after.member_count; i++) {
        struct policy_member is = policy_member_at(&commit->change.after, i);
        if (role_fate_after(&commit->change, i) == ROLE_STAYS)
            continue;
        added++;
        if (!adds_user(asked, slice_make(is.user, ID_BYTES)))
            return false;
    }
    for (uint16_t i = 0; i < commit->change.before.member_count; i++) {
        struct policy_member was = policy_member_at(&commit->change.before, i);
        if (role_fate_before(&commit->change, i) == ROLE_STAYS)
            continue;
        removed++;
        if (!removes_user(asked, slice_make(was.user, ID_BYTES)))
            return false;
    }
    return added == asked->users_added_count && removed == asked->users_removed_count;
}

/* Who stands in both lists leaves and enters at once. */
static bool again_read(struct chat_state *chat, struct commit *commit)
{
    const struct pb_commit *asked = commit->asked;
    struct slice *again = ARENA_ARRAY(chat->arena, struct slice, asked->users_added_count + 1);
    if (again == NULL)
        return false;
    for (size_t i = 0; i < asked->users_added_count; i++) {
        if (removes_user(asked, asked->users_added[i]))
            again[commit->change.again_count++] = asked->users_added[i];
    }
    commit->change.again = again;
    return true;
}

static bool policy_allowed(struct chat_state *chat, struct commit *commit)
{
    const struct pb_commit *asked = commit->asked;
    if (policy_read(chat->head.policy, &commit->policy) != STATUS_OK)
        return false;
    if (asked->policy.bytes == 0)
        return asked->users_added_count + asked->users_removed_count == 0;
    commit->change.before = commit->policy;
    if (policy_read(asked->policy, &commit->change.after) != STATUS_OK ||
        commit->change.after.ver != commit->policy.ver + 1)
        return false;
    commit->policy = commit->change.after;
    commit->change.author = asked->user_id.at;
    return chat_left_read(chat, &commit->change.left, &commit->change.left_count) &&
           again_read(chat, commit) && users_told(commit) && role_change_allowed(&commit->change);
}

static bool has_leaf(const struct chat_member *member, struct slice leaf)
{
    return chat_listed(member->is.leaves, member->is.leaves_count, leaf);
}

/* Whose leaf it is; in a direct chat, where the leaf went with its device, whose it was (ADR 0081).
 * NULL: nobody's. */
static struct chat_member *owner_of(struct chat_state *chat, struct slice leaf)
{
    for (size_t i = 0; i < chat->member_count; i++) {
        if (has_leaf(&chat->members[i], leaf))
            return &chat->members[i];
    }
    for (size_t i = 0; chat->head.kind == POLICY_DIRECT && i < chat->member_count; i++) {
        struct chat_member *member = &chat->members[i];
        if (chat_listed(member->is.removed, member->is.removed_count, leaf))
            return member;
    }
    return NULL;
}

/* A leaf goes by its own user, because its device was removed, or with its user. */
static bool removals_allowed(struct chat_state *chat, const struct pb_commit *asked)
{
    for (size_t i = 0; i < asked->leaves_removed_count; i++) {
        struct slice leaf = asked->leaves_removed[i];
        const struct chat_member *owner = owner_of(chat, leaf);
        if (owner == NULL || chat_listed(asked->leaves_removed, i, leaf))
            return false;
        struct slice user = slice_make(owner->user, ID_BYTES);
        if (!slice_equal(user, asked->user_id) && !removes_user(asked, user) &&
            !chat_listed(owner->is.removed, owner->is.removed_count, leaf))
            return false;
    }
    for (size_t i = 0; i < asked->users_removed_count; i++) { /* no leaf of theirs stays behind */
        const struct chat_member *gone = chat_member_find(chat, asked->users_removed[i].at);
        for (size_t k = 0; gone != NULL && k < gone->is.leaves_count; k++) {
            if (!removes_leaf(asked, gone->is.leaves[k]))
                return false;
        }
    }
    return true;
}

static bool additions_allowed(struct chat_state *chat, const struct commit *commit)
{
    const struct pb_commit *asked = commit->asked;
    if (asked->leaf_users_count != asked->leaves_added_count)
        return false;
    for (size_t i = 0; i < asked->leaves_added_count; i++) {
        struct slice leaf = asked->leaves_added[i], user = asked->leaf_users[i];
        const struct chat_member *member = chat_member_find(chat, user.at);
        if (policy_find(&commit->policy, user.at) < 0 ||
            chat_listed(asked->leaves_added, i, leaf) || chat_device_removed(chat, user, leaf))
            return false;
        if (member != NULL && has_leaf(member, leaf) && !removes_leaf(asked, leaf))
            return false;
    }
    return true;
}

/* ---- sizes ---- */

static bool leaves_fit(struct chat_state *chat, const struct pb_commit *asked)
{
    for (size_t i = 0; i < asked->leaves_added_count; i++) {
        const struct chat_member *member = chat_member_find(chat, asked->leaf_users[i].at);
        size_t leaves = 0;
        for (size_t k = 0; member != NULL && k < member->is.leaves_count; k++)
            leaves += !removes_leaf(asked, member->is.leaves[k]);
        for (size_t k = 0; k < asked->leaves_added_count; k++)
            leaves += slice_equal(asked->leaf_users[k], asked->leaf_users[i]);
        if (leaves > CHAT_LEAVES_MAX)
            return false;
    }
    return true;
}

static enum pb_error_code commit_reason(struct chat_state *chat, struct commit *commit)
{
    const struct pb_commit *asked = commit->asked;
    if (!chat->found || !chat_member_active(chat_member_find(chat, asked->user_id.at)) ||
        chat_device_removed(chat, asked->user_id, asked->device_id))
        return PB_ERROR_CODE_NOT_MEMBER;
    if (asked->gen != chat->head.gen || asked->mls_epoch != chat->head.mls_epoch)
        return PB_ERROR_CODE_STALE_EPOCH;
    if (!asked->external && !covers_pending(chat, asked))
        return PB_ERROR_CODE_PENDING_REMOVAL;
    if (chat_policy_large(asked->policy))
        return PB_ERROR_CODE_TOO_LARGE;
    if ((asked->external && !external_allowed(asked)) || !policy_allowed(chat, commit) ||
        !removals_allowed(chat, asked) || !additions_allowed(chat, commit))
        return PB_ERROR_CODE_NOT_ALLOWED;
    bool fits = leaves_fit(chat, asked) &&
                (asked->policy.bytes == 0 || chat_members_fit(chat, &commit->change));
    return fits ? PB_ERROR_CODE_NONE : PB_ERROR_CODE_TOO_LARGE;
}

/* ---- what it does ---- */

static bool raises_floor(const struct pb_commit *asked)
{
    for (size_t i = 0; i < asked->leaves_removed_count; i++) {
        if (!slice_equal(asked->leaves_removed[i], asked->device_id))
            return true;
    }
    return asked->users_added_count + asked->users_removed_count > 0;
}

static void head_move(struct chat_state *chat, const struct commit *commit)
{
    chat_number(chat);
    chat->head.mls_epoch++;
    if (raises_floor(commit->asked))
        chat->head.floor = chat->head.mls_epoch;
    if (commit->asked->policy.bytes > 0) {
        chat->head.policy = commit->asked->policy;
        chat->head.policy_ver = commit->policy.ver;
    }
    if (!commit->asked->external)
        chat->head.pending_count = 0; /* all of it is covered */
}

static void leaves_move(struct chat_state *chat, const struct pb_commit *asked)
{
    for (size_t i = 0; i < asked->leaves_removed_count; i++) {
        struct chat_member *owner = owner_of(chat, asked->leaves_removed[i]);
        if (owner == NULL || !has_leaf(owner, asked->leaves_removed[i]))
            continue; /* a direct chat: it went with its device */
        owner = chat_member_change(chat, owner->user);
        size_t kept = 0;
        for (size_t k = 0; owner != NULL && k < owner->is.leaves_count; k++) {
            if (!slice_equal(owner->is.leaves[k], asked->leaves_removed[i]))
                owner->is.leaves[kept++] = owner->is.leaves[k];
        }
        if (owner != NULL)
            owner->is.leaves_count = kept;
    }
    for (size_t i = 0; i < asked->leaves_added_count; i++) {
        struct chat_member *owner = chat_member_change(chat, asked->leaf_users[i].at);
        if (owner != NULL)
            owner->is.leaves[owner->is.leaves_count++] = asked->leaves_added[i];
    }
}

static void users_move(struct chat_state *chat, const struct commit *commit)
{
    const struct pb_commit *asked = commit->asked;
    uint64_t cseq = chat->head.cseq;
    for (size_t i = 0; i < asked->users_removed_count; i++) {
        struct chat_member *gone = chat_member_change(chat, asked->users_removed[i].at);
        if (gone != NULL)
            chat_member_leave(gone, adds_user(asked, asked->users_removed[i]) ? cseq - 1 : cseq);
    }
    for (uint16_t i = 0; asked->policy.bytes > 0 && i < commit->policy.member_count; i++) {
        struct policy_member is = policy_member_at(&commit->policy, i);
        const struct chat_member *now = chat_member_find(chat, is.user);
        bool enters = adds_user(asked, slice_make(is.user, ID_BYTES));
        if (now != NULL && !enters && now->is.role == is.role)
            continue;
        struct chat_member *member = chat_member_change(chat, is.user);
        if (member == NULL)
            return;
        member->is.role = is.role;
        if (enters)
            chat_member_enter(chat, member);
    }
}

static void commit_accept(struct chat_state *chat, const struct commit *commit, uint64_t n)
{
    head_move(chat, commit);
    users_move(chat, commit);
    leaves_move(chat, commit->asked);
    if (chat->arena->exhausted)
        return;
    chat_members_write(chat);
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_COMMIT};
    entry.body.commit = (struct pb_commit_entry){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                                 .cseq = chat->head.cseq,
                                                 .ts = chat->head.wts / 1000,
                                                 .mls_epoch = chat->head.mls_epoch,
                                                 .floor = chat->head.floor,
                                                 .has_commit = true,
                                                 .commit = *commit->asked};
    chat_epoch_write(chat, n, commit->asked->mid);
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
}

void chat_commit_apply(struct chat_state *chat)
{
    struct commit commit = {.asked = &chat->record->body->body.commit};
    uint64_t n = 0;
    if (slot_of(commit.asked, &n) && chat_epoch_known(chat, n, commit.asked->mid)) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    enum pb_error_code reason = commit_reason(chat, &commit);
    if (reason == PB_ERROR_CODE_NONE)
        commit_accept(chat, &commit, n);
    else
        chat_reject(chat, &(struct chat_refusal){.user = commit.asked->user_id,
                                                 .device = commit.asked->device_id,
                                                 .mid = commit.asked->mid,
                                                 .reason = reason});
}
