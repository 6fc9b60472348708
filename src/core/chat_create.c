/* SPDX-License-Identifier: Apache-2.0
 * CREATE (e2ee §6.5): the first record of a chat, or of its next generation. Order: repeat by mid →
 * exists → member → policy, id → rights → leaves → sizes → side rows, row + head. */
#include <string.h>

#include "core/chat_roles.h"
#include "core/chat_state.h"
#include "ports/crypto.h"
#include "wire/envelope.h"

struct creation {
    const struct pb_create *asked;
    struct policy policy;
    struct role_change change; /* `before` is empty in the first generation */
};

void chat_create_plan(const struct fold_record *record, struct fold_reads *reads)
{
    uint64_t n;
    if (chat_epoch_slot(record->body->body.create.gen, 0, &n))
        (void)fold_want_get(reads, TABLE_EPOCH, record->key, NULL, n);
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

static enum pb_error_code policy_reason(struct chat_state *chat, struct creation *creation)
{
    struct policy *policy = &creation->policy;
    if (chat_policy_large(creation->asked->policy))
        return PB_ERROR_CODE_TOO_LARGE;
    if (policy_read(creation->asked->policy, policy) != STATUS_OK)
        return PB_ERROR_CODE_NOT_ALLOWED;
    if (policy->kind != POLICY_GROUP && !direct_id_fits(chat->record->key, policy))
        return PB_ERROR_CODE_NOT_ALLOWED;
    if (policy_find(policy, creation->asked->user_id.at) < 0)
        return PB_ERROR_CODE_NOT_MEMBER;
    creation->change.after = *policy;
    return PB_ERROR_CODE_NONE;
}

/* Nobody who left the chat may be in its next generation. */
static bool left_in(const struct role_change *change)
{
    for (size_t i = 0; i < change->left_count; i++) {
        if (policy_find(&change->after, change->left[i].at) >= 0)
            return true;
    }
    return false;
}

/* The next generation: an admin's (direct: either side's), and no change its maker may not make. */
static bool next_allowed(struct chat_state *chat, struct creation *creation)
{
    struct role_change *change = &creation->change;
    if (!chat_left_read(chat, &change->left, &change->left_count) ||
        policy_read(chat->head.policy, &change->before) != STATUS_OK)
        return false;
    change->author = creation->asked->user_id.at;
    const struct chat_member *author = chat_member_find(chat, change->author);
    bool admin = author != NULL && author->is.role >= POLICY_ROLE_ADMIN;
    return (admin || creation->policy.kind != POLICY_GROUP) &&
           creation->policy.ver >= chat->head.policy_ver && !left_in(change) &&
           role_change_allowed(change);
}

static enum pb_error_code leaves_reason(struct chat_state *chat, const struct creation *creation)
{
    const struct pb_create *asked = creation->asked;
    bool large = false;
    if (asked->leaves_count == 0 || asked->leaves_count != asked->leaf_users_count)
        return PB_ERROR_CODE_NOT_ALLOWED;
    for (size_t i = 0; i < asked->leaves_count; i++) {
        size_t of_user = 0;
        for (size_t k = 0; k < asked->leaves_count; k++) {
            of_user += slice_equal(asked->leaf_users[k], asked->leaf_users[i]);
            if (k != i && slice_equal(asked->leaves[k], asked->leaves[i]))
                return PB_ERROR_CODE_NOT_ALLOWED;
        }
        large |= of_user > CHAT_LEAVES_MAX;
        if (policy_find(&creation->policy, asked->leaf_users[i].at) < 0 ||
            chat_device_removed(chat, asked->leaf_users[i], asked->leaves[i]))
            return PB_ERROR_CODE_NOT_ALLOWED;
    }
    return large ? PB_ERROR_CODE_TOO_LARGE : PB_ERROR_CODE_NONE;
}

static enum pb_error_code create_reason(struct chat_state *chat, struct creation *creation)
{
    const struct pb_create *asked = creation->asked;
    if (chat->found && asked->gen != chat->head.gen + 1)
        return PB_ERROR_CODE_CHAT_EXISTS;
    if ((!chat->found && asked->gen != 1) || asked->gen > UINT16_MAX)
        return PB_ERROR_CODE_NOT_ALLOWED;
    if (chat->found && (!chat_member_active(chat_member_find(chat, asked->user_id.at)) ||
                        chat_device_removed(chat, asked->user_id, asked->device_id)))
        return PB_ERROR_CODE_NOT_MEMBER;
    enum pb_error_code reason = policy_reason(chat, creation);
    if (reason != PB_ERROR_CODE_NONE)
        return reason;
    if (chat->found && !next_allowed(chat, creation))
        return PB_ERROR_CODE_NOT_ALLOWED;
    reason = leaves_reason(chat, creation);
    if (reason != PB_ERROR_CODE_NONE)
        return reason;
    return chat_members_fit(chat, &creation->change) ? PB_ERROR_CODE_NONE : PB_ERROR_CODE_TOO_LARGE;
}

static void head_start(struct chat_state *chat, const struct creation *creation)
{
    struct pb_chat_head *head = &chat->head;
    if (!chat->found)
        head->log_first = chat->record->place.log_epoch;
    chat_number(chat);
    head->gen = creation->asked->gen;
    head->mls_epoch = creation->asked->leaves_count > 1 ? 1 : 0; /* the adds are a commit */
    head->floor = head->mls_epoch;
    head->policy_ver = creation->policy.ver;
    head->kind = creation->policy.kind;
    head->policy = creation->asked->policy;
    head->pending_count = 0; /* of none of them is a leaf in this generation */
}

static void one_enters(struct chat_state *chat, const struct creation *creation, uint16_t index)
{
    struct policy_member entering = policy_member_at(&creation->policy, index);
    struct chat_member *member = chat_member_change(chat, entering.user);
    if (member == NULL)
        return;
    if (chat->found && role_fate_after(&creation->change, index) == ROLE_ANEW)
        chat_member_leave(member, chat->head.cseq - 1);
    chat_member_enter(chat, member);
    member->is.role = entering.role;
    member->is.leaves_count = 0;
    const struct pb_create *asked = creation->asked;
    for (size_t i = 0; i < asked->leaves_count; i++) {
        if (memcmp(asked->leaf_users[i].at, entering.user, ID_BYTES) == 0)
            member->is.leaves[member->is.leaves_count++] = asked->leaves[i];
    }
}

/* Who is not of the new generation keeps no leaf, and hears of it last. */
static void others_leave(struct chat_state *chat, const struct policy *policy)
{
    size_t count = chat->member_count;
    for (size_t i = 0; i < count; i++) {
        const struct chat_member *at = &chat->members[i];
        if (policy_find(policy, at->user) >= 0 ||
            (!chat_member_active(at) && at->is.leaves_count == 0))
            continue;
        struct chat_member *member = chat_member_change(chat, at->user);
        if (member == NULL)
            return;
        chat_member_leave(member, chat->head.cseq);
        member->is.leaves_count = 0;
    }
}

static void create_accept(struct chat_state *chat, const struct creation *creation, uint64_t n)
{
    const struct pb_create *asked = creation->asked;
    head_start(chat, creation);
    for (uint16_t i = 0; i < creation->policy.member_count; i++)
        one_enters(chat, creation, i);
    others_leave(chat, &creation->policy);
    if (chat->arena->exhausted)
        return;
    chat_members_write(chat);
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    entry.body.member =
        (struct pb_member_change){.chat_id = slice_make(chat->record->key, ID_BYTES),
                                  .cseq = chat->head.cseq,
                                  .ts = chat->head.wts / 1000,
                                  .kind = PB_MEMBER_CHANGE_KIND_CREATED,
                                  .user_id = asked->user_id,
                                  .device_id = asked->device_id,
                                  .mid = asked->mid,
                                  .gen = chat->head.gen,
                                  .mls_epoch = chat->head.mls_epoch,
                                  .floor = chat->head.floor,
                                  .policy = asked->policy};
    chat_epoch_write(chat, n, asked->mid);
    chat_row_write(chat, &entry);
    chat_announce(chat, &entry);
}

void chat_create_apply(struct chat_state *chat)
{
    struct creation creation = {.asked = &chat->record->body->body.create};
    const struct pb_create *asked = creation.asked;
    uint64_t n = 0;
    if (chat_epoch_slot(asked->gen, 0, &n) && chat_epoch_known(chat, n, asked->mid)) {
        chat->out->verdict = FOLD_REPEATED;
        return;
    }
    enum pb_error_code reason = create_reason(chat, &creation);
    if (reason == PB_ERROR_CODE_NONE)
        create_accept(chat, &creation, n);
    else
        chat_reject(chat, &(struct chat_refusal){.user = asked->user_id,
                                                 .device = asked->device_id,
                                                 .mid = asked->mid,
                                                 .reason = reason});
}
