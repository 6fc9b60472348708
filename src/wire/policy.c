/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/policy.h"

#include <string.h>

#include "base/assert.h"

#define VERSION 1
#define RIGHTS_KNOWN \
    (POLICY_ALL_MAY_ADD | POLICY_ALL_MAY_SEND | POLICY_ALL_MAY_EDIT | POLICY_SHARES_HISTORY)

static bool members_valid(const struct policy *policy)
{
    for (uint16_t i = 0; i < policy->member_count; i++) {
        const uint8_t *at = policy->members.at + (size_t)i * POLICY_MEMBER_BYTES;
        uint8_t role = at[POLICY_MEMBER_BYTES - 1];
        if (role < POLICY_ROLE_MEMBER || role > POLICY_ROLE_OWNER)
            return false;
        if (policy_find(policy, at) != i) /* an earlier one has the same user */
            return false;
    }
    return true;
}

static bool count_valid(const struct policy *policy)
{
    switch (policy->kind) {
    case POLICY_DIRECT: return policy->member_count == 2;
    case POLICY_SELF: return policy->member_count == 1;
    case POLICY_GROUP:
        return policy->member_count >= 1 && policy->member_count <= POLICY_MEMBERS_MAX;
    default: return false;
    }
}

enum status policy_read(struct slice bytes, struct policy *out)
{
    uint8_t version;
    memset(out, 0, sizeof *out);
    if (!take_u8(&bytes, &version) || version == 0)
        return STATUS_INVALID;
    if (version != VERSION)
        return STATUS_UNSUPPORTED;
    if (!take_u32be(&bytes, &out->ver) || !take_u8(&bytes, &out->kind) ||
        !take_u8(&bytes, &out->rights) || !take_u16be(&bytes, &out->member_count))
        return STATUS_INVALID;
    out->members = bytes;
    if (out->ver == 0 || (out->rights & ~RIGHTS_KNOWN) != 0 || !count_valid(out) ||
        bytes.bytes != (size_t)out->member_count * POLICY_MEMBER_BYTES || !members_valid(out))
        return STATUS_INVALID;
    return STATUS_OK;
}

uint8_t policy_rights(struct slice bytes)
{
    return bytes.bytes >= POLICY_HEAD_BYTES ? bytes.at[6] : 0;
}

struct policy_member policy_member_at(const struct policy *policy, uint16_t index)
{
    struct policy_member member;
    assert(index < policy->member_count);
    const uint8_t *at = policy->members.at + (size_t)index * POLICY_MEMBER_BYTES;
    memcpy(member.user, at, ID_BYTES);
    memcpy(member.aik, at + ID_BYTES, 32);
    member.role = at[POLICY_MEMBER_BYTES - 1];
    return member;
}

int policy_find(const struct policy *policy, const uint8_t user[ID_BYTES])
{
    for (uint16_t i = 0; i < policy->member_count; i++)
        if (memcmp(policy->members.at + (size_t)i * POLICY_MEMBER_BYTES, user, ID_BYTES) == 0)
            return i;
    return -1;
}

static void member_write(const struct policy_member *member, struct buf *out)
{
    buf_put(out, slice_make(member->user, ID_BYTES));
    buf_put(out, slice_make(member->aik, 32));
    buf_u8(out, POLICY_ROLE_MEMBER);
}

void policy_direct_write(const struct policy_member *a, const struct policy_member *b,
                         struct buf *out)
{
    int order = memcmp(a->user, b->user, ID_BYTES);
    buf_u8(out, VERSION);
    buf_u32be(out, 1);
    buf_u8(out, order == 0 ? POLICY_SELF : POLICY_DIRECT);
    buf_u8(out, POLICY_ALL_MAY_SEND);
    buf_u16be(out, order == 0 ? 1 : 2);
    member_write(order <= 0 ? a : b, out);
    if (order != 0)
        member_write(order <= 0 ? b : a, out);
}
