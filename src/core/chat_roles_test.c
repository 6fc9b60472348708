/* SPDX-License-Identifier: Apache-2.0
 * A table of changes of a policy: who may make which (e2ee §5). A policy is written as text: a
 * letter for each user, upper case an owner, with ' an admin, with ! under another account key. */
#include "core/chat_roles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define PEOPLE        8
#define POLICY_BYTES_ (POLICY_HEAD_BYTES + PEOPLE * POLICY_MEMBER_BYTES)

static struct policy policy_of(const char *text, uint8_t kind, uint8_t rights, uint8_t *bytes)
{
    struct buf out = buf_over(bytes, POLICY_BYTES_);
    struct policy policy;
    uint16_t count = 0;
    for (const char *at = text; *at != '\0'; at++)
        count = (uint16_t)(count + (*at != '\'' && *at != '!'));
    buf_u8(&out, 1);
    buf_u32be(&out, 1);
    buf_u8(&out, kind);
    buf_u8(&out, rights);
    buf_u16be(&out, count);
    for (const char *at = text; *at != '\0';) {
        uint8_t id[ID_BYTES] = {(uint8_t)(*at | 0x20)}, aik[32] = {id[0]};
        uint8_t role = *at < 'a' ? POLICY_ROLE_OWNER : POLICY_ROLE_MEMBER;
        for (at++; *at == '\'' || *at == '!'; at++) {
            if (*at == '\'')
                role = POLICY_ROLE_ADMIN;
            else
                aik[1] = 1;
        }
        buf_put(&out, SLICE_OF(id));
        buf_put(&out, SLICE_OF(aik));
        buf_u8(&out, role);
    }
    assert_int_equal(policy_read(buf_slice(&out), &policy), STATUS_OK);
    return policy;
}

struct change {
    const char *before, *after;
    char author;
    bool allowed;
    uint8_t was, is; /* rights */
};

static void check(const struct change *cases, size_t count, uint8_t kind)
{
    for (size_t i = 0; i < count; i++) {
        const struct change *at = &cases[i];
        uint8_t bytes[2][POLICY_BYTES_], by[ID_BYTES] = {(uint8_t)at->author};
        uint8_t gone[ID_BYTES] = {'z'};
        struct slice left = SLICE_OF(gone); /* z has left */
        struct role_change change = {.before = policy_of(at->before, kind, at->was, bytes[0]),
                                     .after = policy_of(at->after, kind, at->is, bytes[1]),
                                     .author = by,
                                     .left = &left,
                                     .left_count = 1};
        bool is = role_change_allowed(&change);
        if (is != at->allowed)
            fail_msg("%s to %s by %c: %d", at->before, at->after, at->author, is);
    }
}

static const struct change of_a_group[] = {
    {"Ab'c", "Ab'c", 'c', true, 0, 0}, /* nothing changes */
    /* adding */
    {"Ab'c", "Ab'cd", 'a', true, 0, 0},
    {"Ab'c", "Ab'cd", 'b', true, 0, 0},
    {"Ab'c", "Ab'cd", 'c', false, 0, 0},
    {"Ab'c", "Ab'cd", 'c', true, POLICY_ALL_MAY_ADD, POLICY_ALL_MAY_ADD},
    {"Ab'c", "Ab'cd'", 'c', false, POLICY_ALL_MAY_ADD, POLICY_ALL_MAY_ADD},
    {"Ab'c", "Ab'cd'", 'b', false, 0, 0},
    {"Ab'c", "Ab'cD", 'b', false, 0, 0},
    {"Ab'c", "Ab'cd'", 'a', true, 0, 0},
    {"Ab'c", "Ab'cd", 'x', false, 0, 0}, /* a stranger */
    /* removing */
    {"Ab'c", "Ab'", 'a', true, 0, 0},
    {"Ab'c", "Ab'", 'b', true, 0, 0},
    {"Ab'cd", "Ab'd", 'd', false, POLICY_ALL_MAY_ADD, POLICY_ALL_MAY_ADD},
    {"Ab'c", "Ac", 'a', true, 0, 0},
    {"Ab'c'", "Ac'", 'c', false, 0, 0}, /* an admin by an admin */
    {"Ab'c", "b'c", 'b', false, 0, 0},  /* the owner */
    {"AB", "A", 'a', true, 0, 0},       /* an owner by an owner */
    {"Ab'c", "Ab'", 'c', false, 0, 0},  /* itself: one leaves */
    {"AB", "A", 'b', false, 0, 0},
    /* who has left goes by anyone */
    {"Ab'cz", "Ab'c", 'c', true, 0, 0},
    {"Ab'cz'", "Ab'c", 'c', true, 0, 0},
    {"Ab'cz", "Ab'", 'c', false, 0, 0},
    /* the last owner: the first admin, else the first entry, and nobody else */
    {"Zab'c'", "aB'c'", 'a', false, 0, 0},
    {"Zab'c'", "aBc'", 'a', true, 0, 0},
    {"Zab'c'", "ab'C", 'a', false, 0, 0},
    {"Zab'c'", "ab'c'", 'a', false, 0, 0},
    {"Zab", "Ab", 'b', true, 0, 0},
    {"Zab", "aB", 'b', false, 0, 0},
    {"ZabC", "abC", 'b', true, 0, 0},
    {"ZabC", "AbC", 'b', false, 0, 0}, /* another owner is there */
    /* roles */
    {"Ab'c", "Ab'c'", 'a', true, 0, 0},
    {"Ab'c", "Ab'c'", 'b', false, 0, 0},
    {"Ab'c", "Abc", 'b', false, 0, 0},
    {"Ab'c", "ABc", 'a', true, 0, 0},
    {"AB", "aB", 'a', true, 0, 0},
    {"Ab", "ab", 'a', false, 0, 0}, /* nobody would own it */
    /* rights */
    {"Ab'c", "Ab'c", 'b', true, 0, POLICY_ALL_MAY_SEND},
    {"Ab'c", "Ab'c", 'c', false, 0, POLICY_ALL_MAY_SEND},
    /* account keys: only by removing and adding */
    {"Ab'c", "Ab'c!", 'b', true, 0, 0},
    {"Ab'cd", "Ab'c!d", 'b', false, 0, 0}, /* who enters stands behind */
    {"Ab'cd", "Ab'dc!", 'b', true, 0, 0},
    {"Ab'c", "Ab'c!", 'c', false, 0, 0},
    {"Ab'c", "Acb!", 'b', false, 0, 0},
    {"Ab'c'", "Ac'b!", 'c', false, 0, 0},
    /* the order is that of joining */
    {"Abc", "Acb", 'a', false, 0, 0},
    {"Abc", "Adbc", 'a', false, 0, 0},
};

static void who_may_change_a_group(void **state)
{
    (void)state;
    check(of_a_group, COUNT(of_a_group), POLICY_GROUP);
}

static const struct change of_a_pair[] = {
    {"ab", "ab", 'a', true, 0, 0},   {"ab", "ab!", 'a', true, 0, 0},
    {"ab", "ab!", 'b', false, 0, 0}, {"AB", "Ac", 'a', false, 0, 0},
    {"AB", "Ab", 'a', false, 0, 0},  {"AB", "AB", 'a', false, 0, POLICY_ALL_MAY_SEND},
};
static const struct change of_a_self_chat[] = {
    {"a", "a", 'a', true, 0, 0},
    {"a", "a!", 'a', false, 0, 0},
    {"A", "b", 'a', false, 0, 0},
};

static void a_pair_and_a_self_chat_stay_what_they_are(void **state)
{
    (void)state;
    check(of_a_pair, COUNT(of_a_pair), POLICY_DIRECT);
    check(of_a_self_chat, COUNT(of_a_self_chat), POLICY_SELF);
}

static void nobody_changes_the_kind(void **state)
{
    uint8_t bytes[2][POLICY_BYTES_], by[ID_BYTES] = {'a'};
    struct role_change change = {.before = policy_of("Ab", POLICY_GROUP, 0, bytes[0]),
                                 .after = policy_of("Ab", POLICY_DIRECT, 0, bytes[1]),
                                 .author = by};
    (void)state;
    assert_false(role_change_allowed(&change));
}

/* Put in anew with the same key: as if it left and entered. */
static void again_is_a_removal_and_an_addition(void **state)
{
    uint8_t bytes[2][POLICY_BYTES_], by[ID_BYTES] = {'b'}, again[ID_BYTES] = {'c'};
    struct slice who = SLICE_OF(again);
    struct role_change change = {.before = policy_of("Ab'c", POLICY_GROUP, 0, bytes[0]),
                                 .after = policy_of("Ab'c", POLICY_GROUP, 0, bytes[1]),
                                 .author = by,
                                 .again = &who,
                                 .again_count = 1};
    (void)state;
    assert_int_equal(role_fate_before(&change, 2), ROLE_ANEW);
    assert_int_equal(role_fate_after(&change, 2), ROLE_ANEW);
    assert_int_equal(role_fate_after(&change, 1), ROLE_STAYS);
    assert_true(role_change_allowed(&change));
    by[0] = 'c';
    assert_false(role_change_allowed(&change));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_change_a_group),
        cmocka_unit_test(a_pair_and_a_self_chat_stay_what_they_are),
        cmocka_unit_test(nobody_changes_the_kind),
        cmocka_unit_test(again_is_a_removal_and_an_addition),
    };
    return cmocka_run_group_tests_name("chat roles", tests, NULL, NULL);
}
