/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static size_t direct(uint8_t out[POLICY_DIRECT_BYTES])
{
    struct policy_member a = {.user = {0xaa}, .aik = {0x0a}};
    struct policy_member b = {.user = {0x11}, .aik = {0x01}};
    struct buf buf = buf_over(out, POLICY_DIRECT_BYTES);
    policy_direct_write(&a, &b, &buf);
    assert_false(buf.overflow);
    return buf.bytes;
}

static void direct_by_hand(void **state)
{
    uint8_t bytes[POLICY_DIRECT_BYTES], expected[107] = {1, 0, 0, 0, 1, 1, 2, 0, 2};
    struct policy policy;
    (void)state;
    expected[9] = 0x11;
    expected[25] = 0x01;
    expected[57] = 1;
    expected[58] = 0xaa;
    expected[74] = 0x0a;
    expected[106] = 1;
    assert_int_equal(direct(bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
    assert_int_equal(policy_read(slice_make(bytes, sizeof bytes), &policy), STATUS_OK);
    assert_int_equal(policy.ver, 1);
    assert_int_equal(policy.kind, POLICY_DIRECT);
    assert_int_equal(policy.rights, POLICY_ALL_MAY_SEND);
    struct policy_member second = policy_member_at(&policy, 1);
    assert_int_equal(second.user[0], 0xaa);
    assert_int_equal(second.aik[0], 0x0a);
    assert_int_equal(second.role, POLICY_ROLE_MEMBER);
    assert_int_equal(policy_find(&policy, second.user), 1);
    second.user[1] = 9;
    assert_int_equal(policy_find(&policy, second.user), -1);
}

static void refusals(void **state)
{
    static const struct {
        size_t at;
        uint8_t byte;
        enum status status;
    } cases[] = {
        {0, 0, STATUS_INVALID},           {0, 2, STATUS_UNSUPPORTED},
        {4, 0, STATUS_INVALID},           {5, 0, STATUS_INVALID},
        {5, 4, STATUS_INVALID},           {6, 16, STATUS_INVALID},
        {8, 1, STATUS_INVALID},           {8, 3, STATUS_INVALID},
        {57, 0, STATUS_INVALID},          {57, 4, STATUS_INVALID},
        {5, POLICY_SELF, STATUS_INVALID}, {58, 0x11, STATUS_INVALID}, /* the same user twice */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[POLICY_DIRECT_BYTES];
        struct policy policy;
        direct(bytes);
        bytes[cases[i].at] = cases[i].byte;
        assert_int_equal(policy_read(slice_make(bytes, sizeof bytes), &policy), cases[i].status);
    }
    for (size_t cut = 0; cut < POLICY_DIRECT_BYTES; cut++) {
        uint8_t bytes[POLICY_DIRECT_BYTES];
        struct policy policy;
        direct(bytes);
        assert_int_equal(policy_read(slice_make(bytes, cut), &policy), STATUS_INVALID);
    }
}

static void self_chat(void **state)
{
    struct policy_member me = {.user = {5}};
    uint8_t bytes[POLICY_DIRECT_BYTES];
    struct buf buf = buf_over(bytes, sizeof bytes);
    struct policy policy;
    (void)state;
    policy_direct_write(&me, &me, &buf);
    assert_int_equal(buf.bytes, 9 + 49);
    assert_int_equal(policy_read(buf_slice(&buf), &policy), STATUS_OK);
    assert_int_equal(policy.kind, POLICY_SELF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(direct_by_hand),
        cmocka_unit_test(refusals),
        cmocka_unit_test(self_chat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
