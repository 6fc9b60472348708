/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chat_roles.h"

#include <string.h>

static bool listed(const struct slice *users, size_t count, const uint8_t *user)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(users[i].at, user, ID_BYTES) == 0)
            return true;
    }
    return false;
}

/* Of somebody who stands in both policies. */
static enum role_fate fate_in_both(const struct role_change *change, const struct policy_member *a,
                                   const struct policy_member *b)
{
    bool same = memcmp(a->aik, b->aik, sizeof a->aik) == 0;
    return same && !listed(change->again, change->again_count, a->user) ? ROLE_STAYS : ROLE_ANEW;
}

enum role_fate role_fate_after(const struct role_change *change, uint16_t index)
{
    struct policy_member is = policy_member_at(&change->after, index);
    int was_at = policy_find(&change->before, is.user);
    if (was_at < 0)
        return ROLE_ENTERS;
    struct policy_member was = policy_member_at(&change->before, (uint16_t)was_at);
    return fate_in_both(change, &was, &is);
}

enum role_fate role_fate_before(const struct role_change *change, uint16_t index)
{
    struct policy_member was = policy_member_at(&change->before, index);
    int is_at = policy_find(&change->after, was.user);
    if (is_at < 0)
        return ROLE_LEAVES;
    struct policy_member is = policy_member_at(&change->after, (uint16_t)is_at);
    return fate_in_both(change, &was, &is);
}

static bool has_owner(const struct policy *policy)
{
    for (uint16_t i = 0; i < policy->member_count; i++) {
        if (policy_member_at(policy, i).role == POLICY_ROLE_OWNER)
            return true;
    }
    return false;
}

/* Who becomes owner because the last one goes; -1: nobody has to. An index of `after`. */
static int heir_of(const struct role_change *change)
{
    int admin = -1;
    if (!has_owner(&change->before))
        return -1;
    for (uint16_t i = 0; i < change->before.member_count; i++) {
        struct policy_member was = policy_member_at(&change->before, i);
        bool stays = role_fate_before(change, i) == ROLE_STAYS;
        if (stays && was.role == POLICY_ROLE_OWNER)
            return -1;
        if (stays && was.role == POLICY_ROLE_ADMIN && admin < 0)
            admin = policy_find(&change->after, was.user);
    }
    return admin >= 0 ? admin : 0;
}

static bool may_remove(const struct role_change *change, uint8_t author,
                       const struct policy_member *gone)
{
    if (memcmp(gone->user, change->author, ID_BYTES) == 0)
        return false;
    return author == POLICY_ROLE_OWNER ||
           (author == POLICY_ROLE_ADMIN && gone->role == POLICY_ROLE_MEMBER) ||
           listed(change->left, change->left_count, gone->user);
}

static bool removals_allowed(const struct role_change *change, uint8_t author)
{
    for (uint16_t i = 0; i < change->before.member_count; i++) {
        struct policy_member was = policy_member_at(&change->before, i);
        if (role_fate_before(change, i) != ROLE_STAYS && !may_remove(change, author, &was))
            return false;
    }
    return true;
}

static bool order_kept(const struct role_change *change)
{
    int last = -1;
    bool entered = false;
    for (uint16_t i = 0; i < change->after.member_count; i++) {
        struct policy_member is = policy_member_at(&change->after, i);
        if (role_fate_after(change, i) != ROLE_STAYS) {
            entered = true;
            continue;
        }
        int was_at = policy_find(&change->before, is.user);
        if (entered || was_at < last)
            return false;
        last = was_at;
    }
    return true;
}

static bool roles_allowed(const struct role_change *change, uint8_t author, int heir)
{
    bool may_add = author >= POLICY_ROLE_ADMIN || (change->before.rights & POLICY_ALL_MAY_ADD) != 0;
    for (uint16_t i = 0; i < change->after.member_count; i++) {
        struct policy_member is = policy_member_at(&change->after, i);
        uint8_t was = POLICY_ROLE_MEMBER;
        if (role_fate_after(change, i) == ROLE_STAYS) {
            int was_at = policy_find(&change->before, is.user);
            was = policy_member_at(&change->before, (uint16_t)was_at).role;
        } else if (!may_add) {
            return false;
        }
        if ((int)i == heir) {
            if (is.role != POLICY_ROLE_OWNER)
                return false;
        } else if (is.role != was && author != POLICY_ROLE_OWNER) {
            return false;
        }
    }
    return has_owner(&change->after) || !has_owner(&change->before);
}

/* A direct or self chat: the same people in the same roles; only the other one may be put in
 * anew. */
static bool pair_allowed(const struct role_change *change)
{
    if (change->before.member_count != change->after.member_count ||
        change->before.rights != change->after.rights)
        return false;
    for (uint16_t i = 0; i < change->after.member_count; i++) {
        struct policy_member is = policy_member_at(&change->after, i);
        struct policy_member was = policy_member_at(&change->before, i);
        if (memcmp(is.user, was.user, ID_BYTES) != 0 || is.role != was.role)
            return false;
        if (role_fate_after(change, i) != ROLE_STAYS &&
            memcmp(is.user, change->author, ID_BYTES) == 0)
            return false;
    }
    return true;
}

bool role_change_allowed(const struct role_change *change)
{
    int author_at = policy_find(&change->before, change->author);
    if (author_at < 0 || change->before.kind != change->after.kind)
        return false;
    if (change->before.kind != POLICY_GROUP)
        return pair_allowed(change);
    uint8_t author = policy_member_at(&change->before, (uint16_t)author_at).role;
    if (change->before.rights != change->after.rights && author < POLICY_ROLE_ADMIN)
        return false;
    return removals_allowed(change, author) && order_kept(change) &&
           roles_allowed(change, author, heir_of(change));
}
