/* SPDX-License-Identifier: Apache-2.0
 * policy.h: the bytes of a chat's policy, extension 0xF0A1: who is in it, in which role.
 * v1 ‖ policy_ver u32 ‖ kind u8 ‖ rights u8 ‖ n u16 ‖ n × (user_id ‖ AIK 32 ‖ role u8), in join
 * order.
 * Invariants: what reads holds 1..256 distinct users, known kinds, roles and rights; a direct chat
 * has two members, a self chat one. Owner: no state; any thread. Source: e2ee §5. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

#define POLICY_MEMBERS_MAX  256
#define POLICY_MEMBER_BYTES (ID_BYTES + 32 + 1)
#define POLICY_HEAD_BYTES   9
#define POLICY_DIRECT_BYTES (POLICY_HEAD_BYTES + 2 * POLICY_MEMBER_BYTES)

enum policy_kind { POLICY_DIRECT = 1, POLICY_GROUP, POLICY_SELF };
enum policy_role { POLICY_ROLE_MEMBER = 1, POLICY_ROLE_ADMIN, POLICY_ROLE_OWNER };
enum policy_right {
    POLICY_ALL_MAY_ADD = 1,
    POLICY_ALL_MAY_SEND = 2,
    POLICY_ALL_MAY_EDIT = 4,
    POLICY_SHARES_HISTORY = 8,
};

struct policy_member {
    uint8_t user[ID_BYTES];
    uint8_t aik[32];
    uint8_t role; /* enum policy_role */
};

struct policy {
    uint32_t ver;
    uint8_t kind, rights;
    uint16_t member_count;
    struct slice members; /* packed, into the bytes that were read */
};

/* INVALID: malformed, or against an invariant; UNSUPPORTED: a version above 1. O(members²). */
enum status policy_read(struct slice bytes, struct policy *out) MUST_USE;

/* The member at `index` < member_count. */
struct policy_member policy_member_at(const struct policy *policy, uint16_t index);

/* The rights of a policy that was read before; 0 of anything shorter. O(1). */
uint8_t policy_rights(struct slice bytes);

/* Index of the user, or -1. O(members). */
int policy_find(const struct policy *policy, const uint8_t user[ID_BYTES]);

/* The first policy of a direct chat, or with a = b of a self chat: version 1, all may send; members
 * by ascending user_id, so that both sides write the same bytes. */
void policy_direct_write(const struct policy_member *a, const struct policy_member *b,
                         struct buf *out);
