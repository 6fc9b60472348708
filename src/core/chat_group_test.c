/* SPDX-License-Identifier: Apache-2.0
 * Tables of the chat fold for groups and self chats: creations and next generations, who hears of
 * what, bounds (e2ee §§5, 6). People are numbers from 1; device d of person p is p × 16 + d. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/chat_group_rig.h"

static void setup_group(struct group_rig *group)
{
    group_start(group, "Abcd", POLICY_ALL_MAY_SEND);
}

static void everybody_is_in_and_hears_of_it(void **state)
{
    struct group_rig *group = *state;
    setup_group(group);
    struct pb_chat_head head = group_head(group);
    assert_int_equal(head.cseq, 1);
    assert_int_equal(head.kind, POLICY_GROUP);
    assert_int_equal(head.mls_epoch, 1);
    assert_int_equal(head.floor, 1);
    for (uint8_t person = 1; person <= 4; person++) {
        const struct pb_record *told =
            rig_bore(&group->rig, group_user(group, person).at, PB_RECORD_BODY_ANNOUNCE);
        assert_non_null(told);
        assert_true(told->body.announce.first);
        assert_int_equal(told->body.announce.leaves_count, 1);
        assert_int_equal(group_membership(group, person).spans[0].from, 1);
    }
    assert_int_equal(group_send(group, 2, 1, 1, 1), FOLD_APPLIED);
    assert_int_equal(group->rig.out.emissions_count, 4);
}

static void a_group_and_its_first_epoch(void **state)
{
    struct group_rig *group = *state;
    static const struct {
        const char *people;
        const char *leaves; /* devices: person and number */
        uint64_t mls_epoch;
    } cases[] = {{"A", "a1", 0}, {"A", "a1a2", 1}, {"Ab", "a1", 0}, {"Ab", "a1b1", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb_record record = group_create(group, 1, 1, cases[i].people, cases[i].leaves);
        assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
        assert_int_equal(group_head(group).mls_epoch, cases[i].mls_epoch);
        assert_int_equal(group_head(group).floor, cases[i].mls_epoch);
        group_close(group);
        group_open(group);
    }
}

static void every_refusal_of_a_next_generation(void **state)
{
    struct group_rig *group = *state;
    static const struct {
        uint8_t person;
        uint32_t gen;
        const char *people, *leaves;
        enum pb_error_code reason;
    } cases[] = {
        {1, 2, "Abcd", "a1b1c1d1", PB_ERROR_CODE_NONE},
        {2, 2, "Abcd", "a1b1c1d1", PB_ERROR_CODE_NOT_ALLOWED}, /* no admin */
        {1, 1, "Abcd", "a1b1c1d1", PB_ERROR_CODE_CHAT_EXISTS},
        {1, 3, "Abcd", "a1b1c1d1", PB_ERROR_CODE_CHAT_EXISTS},
        {5, 2, "Abcde", "a1e1", PB_ERROR_CODE_NOT_MEMBER},
        {1, 2, "bcd", "b1", PB_ERROR_CODE_NOT_MEMBER},     /* it would not be in it */
        {1, 2, "Abcd", "a1e1", PB_ERROR_CODE_NOT_ALLOWED}, /* a leaf of a stranger */
        {1, 2, "Abcd", "a1a1", PB_ERROR_CODE_NOT_ALLOWED}, /* twice */
        {1, 2, "Abcd", "", PB_ERROR_CODE_NOT_ALLOWED},     /* none */
        {1, 2, "Abdc", "a1b1", PB_ERROR_CODE_NOT_ALLOWED}, /* another order */
        {1, 2, "Abcd", "a1b1b2b3b4b5b6b7b8b9", PB_ERROR_CODE_TOO_LARGE},
        {1, 2, "Abc", "a1b1c1", PB_ERROR_CODE_NONE},
        {1, 2, "Abcde", "a1", PB_ERROR_CODE_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setup_group(group);
        struct pb_record record =
            group_create(group, cases[i].person, cases[i].gen, cases[i].people, cases[i].leaves);
        bool accepted = cases[i].reason == PB_ERROR_CODE_NONE;
        assert_int_equal(group_fold(group, &record), accepted ? FOLD_APPLIED : FOLD_REFUSED);
        group_check_refused(group, cases[i].person, cases[i].reason);
        assert_int_equal(group_head(group).gen, accepted ? 2 : 1);
        group_close(group);
        group_open(group);
    }
}

/* Nothing after a removal reaches the removed, nothing before a join the joined. */
static void a_generation_removes_and_adds(void **state)
{
    struct group_rig *group = *state;
    setup_group(group);
    assert_int_equal(group_send(group, 4, 1, 1, 1), FOLD_APPLIED);
    struct pb_record record = group_create(group, 1, 2, "Abce", "a1b1c1e1");
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    struct pb_membership gone = group_membership(group, 4), come = group_membership(group, 5);
    assert_int_equal(gone.spans[0].to, 3);
    assert_int_equal(gone.leaves_count, 0);
    assert_int_equal(come.spans[0].from, 3);
    const struct row *mark =
        rig_row(&group->rig, TABLE_MARK, group->chat, group_user(group, 5).at, 0);
    assert_int_equal(mark->columns[MARK_DELIVERED], 2); /* a joiner starts at its join − 1 */
    const struct pb_record *told =
        rig_bore(&group->rig, group_user(group, 5).at, PB_RECORD_BODY_ANNOUNCE);
    assert_true(told->body.announce.first);
    told = rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_ANNOUNCE);
    assert_false(told->body.announce.first);
    /* Who stays hears where the marks are now; who is gone does not. */
    assert_non_null(rig_bore(&group->rig, group_user(group, 2).at, PB_RECORD_BODY_USER_RECEIPT));
    assert_null(rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_USER_RECEIPT));
    assert_int_equal(group_send_at(group, 2, 1, 1, 2, 1), FOLD_APPLIED);
    assert_null(rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_ANNOUNCE));
    assert_non_null(rig_bore(&group->rig, group_user(group, 5).at, PB_RECORD_BODY_ANNOUNCE));
    assert_int_equal(group_send_at(group, 4, 1, 2, 2, 1), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_MEMBER);
}

static void a_repeat_is_known_in_every_generation(void **state)
{
    struct group_rig *group = *state;
    setup_group(group);
    struct pb_record first = group_create(group, 1, 2, "Abcd", "a1b1");
    struct pb_record second = group_create(group, 1, 3, "Abcd", "a1b1");
    assert_int_equal(group_fold(group, &first), FOLD_APPLIED);
    assert_int_equal(group_fold(group, &second), FOLD_APPLIED);
    assert_int_equal(group_fold(group, &first), FOLD_REPEATED);
    assert_int_equal(group_fold(group, &second), FOLD_REPEATED);
    assert_int_equal(group_head(group).cseq, 3);
}

/* 256 people, 8 devices each would be the most; a creation brings 256 leaves, and one batch of it
 * stays small: no policy rides along 256 times. */
static void the_largest_group(void **state)
{
    struct group_rig *group = *state;
    struct pb_record record = group_create_many(group, 256, 1);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    assert_int_equal(group->rig.out.emissions_count, 256);
    assert_false(group->rig.out.emissions[0].body->body.announce.has_entry);
    assert_true(group->rig.out.writes_count <= 2 * 256 + 3);
    assert_int_equal(group_send(group, 200, 1, 1, 1), FOLD_APPLIED);
    assert_int_equal(group->rig.out.emissions_count, 256);
    struct pb_record more = group_create_many(group, 257, 2);
    assert_int_equal(group_fold(group, &more), FOLD_REFUSED);
    group_check_refused(group, 1, PB_ERROR_CODE_TOO_LARGE);
}

/* Who was in once keeps a row; there is a bound to that. */
static void so_many_people_ever(void **state)
{
    struct group_rig *group = *state;
    uint32_t gen = 1;
    struct pb_record record = group_create_range(group, 2, 255, gen);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    for (uint32_t from = 257; from <= FOLD_MEMBERS_EVER; from += 50) {
        record = group_create_range(group, (uint16_t)from, 50, ++gen);
        bool fits = from + 49 <= FOLD_MEMBERS_EVER;
        assert_int_equal(group_fold(group, &record), fits ? FOLD_APPLIED : FOLD_REFUSED);
        group_check_refused(group, 1, fits ? PB_ERROR_CODE_NONE : PB_ERROR_CODE_TOO_LARGE);
    }
}

static void a_self_chat(void **state)
{
    struct group_rig *group = *state;
    group_pair(group, 1, 1);
    struct pb_record record = group_create(group, 1, 1, "A", "a1a2");
    record.body.create.policy = group_policy(group, "A", POLICY_SELF, 1, POLICY_ALL_MAY_SEND);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    assert_int_equal(group_head(group).kind, POLICY_SELF);
    assert_int_equal(group_send(group, 1, 2, 1, 1), FOLD_APPLIED);
    assert_int_equal(group->rig.out.emissions_count, 1);
    struct pb_record other = group_create(group, 2, 1, "B", "b1"); /* under the id of another */
    other.body.create.policy = group_policy(group, "B", POLICY_SELF, 1, POLICY_ALL_MAY_SEND);
    group->chat[0] ^= 1;
    assert_int_equal(group_fold(group, &other), FOLD_REFUSED);
    group_check_refused(group, 2, PB_ERROR_CODE_NOT_ALLOWED);
}

static void a_replay_bears_what_it_bore(void **state)
{
    struct group_rig *group = *state;
    setup_group(group);
    group->rig.inlined = true;
    struct pb_record record = group_create(group, 1, 2, "Abce", "a1b1c1e1");
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    struct fold_outcome before = group->rig.out;
    uint64_t offset = group->rig.offset - 1;
    assert_int_equal(group_send_at(group, 2, 1, 1, 2, 1), FOLD_APPLIED);
    group_replay(group, &record, offset, &before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, group_setup, group_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everybody_is_in_and_hears_of_it),
        TEST(a_group_and_its_first_epoch),
        TEST(every_refusal_of_a_next_generation),
        TEST(a_generation_removes_and_adds),
        TEST(a_repeat_is_known_in_every_generation),
        TEST(the_largest_group),
        TEST(so_many_people_ever),
        TEST(a_self_chat),
        TEST(a_replay_bears_what_it_bore),
    };
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
