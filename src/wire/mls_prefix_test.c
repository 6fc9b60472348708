/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mls_prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const uint8_t chat[ID_BYTES] = {0xC4, [15] = 0x01};

/* Epoch 7 of the second generation, by leaf 5; 3 bytes of authenticated data. */
static const uint8_t by_member[] = {
    0, 1, 0, 1, 18, 0xC4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   0,   0, 0x01,
    0, 2, 0, 0, 0,  0,    0, 0, 0, 7, 1, 0, 0, 0, 5, 3, 'a', 'b', 'c', 3,
};

enum { GROUP_AT = 4, EPOCH_AT = 23, SENDER_AT = 31, DATA_AT = 36, CONTENT_AT = 40 };

static void a_commit_by_hand(void **state)
{
    struct mls_prefix prefix;
    (void)state;
    assert_int_equal(mls_prefix_read(SLICE_OF(by_member), &prefix), STATUS_OK);
    assert_int_equal(prefix.epoch, 7);
    assert_false(prefix.external);
    assert_true(slice_equal(prefix.authenticated_data, SLICE_LITERAL("abc")));
    assert_true(mls_prefix_fits(&prefix, chat, 2, 7));
    assert_false(mls_prefix_fits(&prefix, chat, 1, 7));
    assert_false(mls_prefix_fits(&prefix, chat, 0x0102, 7));
    assert_false(mls_prefix_fits(&prefix, chat, 2, 6));
    assert_false(mls_prefix_fits(&prefix, chat, 2, 8));
    const uint8_t other[ID_BYTES] = {0xC4, [15] = 0x02};
    assert_false(mls_prefix_fits(&prefix, other, 2, 7));
    /* What follows is not looked at. */
    uint8_t longer[sizeof by_member + 9] = {0};
    memcpy(longer, by_member, sizeof by_member);
    assert_int_equal(mls_prefix_read(SLICE_OF(longer), &prefix), STATUS_OK);
}

/* The first bytes of public_message_commit 0 of mlswg's messages.json. */
static void a_commit_of_another_implementation(void **state)
{
    static const uint8_t vector[] = {0x00, 0x01, 0x00, 0x01, 0x10, 0x57, 0xf8, 0x9b, 0xad, 0x9b,
                                     0x38, 0xb9, 0x06, 0xd1, 0x51, 0x00, 0xf7, 0x20, 0x42, 0x2e,
                                     0x90, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
                                     0x00, 0x00, 0x00, 0x00, 0x03, 0x61, 0x61, 0x64, 0x03};
    struct mls_prefix prefix;
    (void)state;
    assert_int_equal(mls_prefix_read(SLICE_OF(vector), &prefix), STATUS_OK);
    assert_int_equal(prefix.group_id.bytes, 16);
    assert_int_equal(prefix.epoch, 0);
    assert_false(prefix.external);
    assert_false(mls_prefix_fits(&prefix, prefix.group_id.at, 0, 0)); /* no group of ours */
    assert_int_equal(mls_prefix_read(slice_make(vector, sizeof vector - 1), &prefix),
                     STATUS_INVALID);
}

static void who_joins_itself_has_no_leaf_yet(void **state)
{
    uint8_t bytes[sizeof by_member - 4];
    struct mls_prefix prefix;
    (void)state;
    memcpy(bytes, by_member, SENDER_AT);
    bytes[SENDER_AT] = 4;
    memcpy(bytes + SENDER_AT + 1, by_member + DATA_AT, sizeof by_member - DATA_AT);
    assert_int_equal(mls_prefix_read(SLICE_OF(bytes), &prefix), STATUS_OK);
    assert_true(prefix.external);
    assert_true(mls_prefix_fits(&prefix, chat, 2, 7));
}

static void what_is_no_commit(void **state)
{
    static const struct {
        size_t at;
        uint8_t byte;
    } cases[] = {
        {0, 1},           {1, 0},           {1, 2},          {2, 1},
        {3, 0},           {3, 2},           {3, 3},          {3, 5}, /* welcome, key package … */
        {GROUP_AT, 0xC0},                                            /* no such length */
        {GROUP_AT, 0x40},                                            /* not its shortest form */
        {GROUP_AT, 0x80}, {GROUP_AT, 0xBF},                          /* longer than all there is */
        {GROUP_AT, 63},   {SENDER_AT, 0},   {SENDER_AT, 2},  {SENDER_AT, 3},
        {SENDER_AT, 5},   {DATA_AT, 4},     {DATA_AT, 2},    {DATA_AT, 0xFF},
        {CONTENT_AT, 0},  {CONTENT_AT, 1},  {CONTENT_AT, 2}, {CONTENT_AT, 4},
    };
    struct mls_prefix prefix;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t bytes[sizeof by_member];
        memcpy(bytes, by_member, sizeof bytes);
        assert_int_not_equal(bytes[cases[i].at], cases[i].byte);
        bytes[cases[i].at] = cases[i].byte;
        if (mls_prefix_read(SLICE_OF(bytes), &prefix) != STATUS_INVALID)
            fail_msg("byte %zu = %u is taken", cases[i].at, cases[i].byte);
    }
    for (size_t cut = 0; cut < sizeof by_member; cut++)
        assert_int_equal(mls_prefix_read(slice_make(by_member, cut), &prefix), STATUS_INVALID);
}

/* Lengths of 1, 2 and 4 bytes, at the edges, and each in a longer form than it needs. */
static void lengths_are_in_their_shortest_form(void **state)
{
    static const struct {
        uint8_t form; /* bytes of the length */
        uint32_t length;
        bool taken;
    } cases[] = {
        {1, 0, true},     {1, 63, true},     {2, 63, false},   {2, 64, true},
        {2, 16383, true}, {4, 16383, false}, {4, 16384, true}, {4, 40000, true},
    };
    static uint8_t bytes[41000];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out = buf_over(bytes, sizeof bytes);
        struct mls_prefix prefix;
        uint32_t length = cases[i].length;
        buf_put(&out, slice_make(by_member, DATA_AT));
        if (cases[i].form == 1)
            buf_u8(&out, (uint8_t)length);
        else if (cases[i].form == 2)
            buf_u16be(&out, (uint16_t)(0x4000 | length));
        else
            buf_u32be(&out, UINT32_C(0x80000000) | length);
        buf_zero(&out, length);
        buf_u8(&out, 3);
        assert_false(out.overflow);
        assert_int_equal(mls_prefix_read(buf_slice(&out), &prefix),
                         cases[i].taken ? STATUS_OK : STATUS_INVALID);
        if (cases[i].taken)
            assert_int_equal(prefix.authenticated_data.bytes, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_by_hand),
        cmocka_unit_test(a_commit_of_another_implementation),
        cmocka_unit_test(who_joins_itself_has_no_leaf_yet),
        cmocka_unit_test(what_is_no_commit),
        cmocka_unit_test(lengths_are_in_their_shortest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
