/* SPDX-License-Identifier: Apache-2.0
 * chat_roles.h: may this person replace the policy of a chat by that one? (e2ee §5, "policy")
 * All is judged under the old policy, with the roles it gives. A group: admins add, remove plain
 * members and set rights; only owners change or remove admins and owners, or make new ones; with
 * the right, everybody adds plain members. Nobody removes itself: one leaves. Who has left or
 * closed the account may be removed by anyone. If the last owner goes, the first admin who stays,
 * else the first entry, must become owner in the same change, by whomever it is made. Who stays
 * keeps the place in the order; who enters stands behind. A direct chat: either side may put the
 * other in anew, under another account key; nothing else changes. A self chat: nothing.
 * Owner: no state; any thread. Cost: O(members²). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "wire/policy.h"

struct role_change {
    struct policy before, after;
    const uint8_t *author;    /* in both */
    const struct slice *left; /* users who may be removed by anyone */
    size_t left_count;
    const struct slice *again; /* users who are put in anew although their key is the same */
    size_t again_count;
};

/* What the change does to one user of a policy. */
enum role_fate {
    ROLE_STAYS,
    ROLE_ENTERS,
    ROLE_LEAVES,
    ROLE_ANEW, /* leaves and enters at once: another account key */
};

/* Of the entry at `index` of `after`: STAYS, ENTERS or ANEW. */
enum role_fate role_fate_after(const struct role_change *change, uint16_t index);
/* Of the entry at `index` of `before`: STAYS, LEAVES or ANEW. */
enum role_fate role_fate_before(const struct role_change *change, uint16_t index);

/* Does the author have the right? Kinds must be equal; versions are not looked at. */
bool role_change_allowed(const struct role_change *change);
