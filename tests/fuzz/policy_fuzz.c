/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a policy: what is taken has known members, each once, and is rebuilt from its parts
 * byte by byte. */
#include "base/assert.h"
#include "wire/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    static uint8_t memory[POLICY_HEAD_BYTES + POLICY_MEMBERS_MAX * POLICY_MEMBER_BYTES];
    struct slice in = slice_make(at, bytes);
    struct policy policy;
    if (policy_read(in, &policy) != STATUS_OK)
        return 0;
    struct buf again = buf_over(memory, sizeof memory);
    buf_u8(&again, 1);
    buf_u32be(&again, policy.ver);
    buf_u8(&again, policy.kind);
    buf_u8(&again, policy.rights);
    buf_u16be(&again, policy.member_count);
    assert(policy.member_count >= 1 && policy.member_count <= POLICY_MEMBERS_MAX);
    for (uint16_t i = 0; i < policy.member_count; i++) {
        struct policy_member member = policy_member_at(&policy, i);
        assert(policy_find(&policy, member.user) == i);
        assert(member.role >= POLICY_ROLE_MEMBER && member.role <= POLICY_ROLE_OWNER);
        buf_put(&again, slice_make(member.user, ID_BYTES));
        buf_put(&again, slice_make(member.aik, 32));
        buf_u8(&again, member.role);
    }
    assert(!again.overflow && slice_equal(buf_slice(&again), in));
    return 0;
}
