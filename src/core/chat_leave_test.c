/* SPDX-License-Identifier: Apache-2.0
 * Tables of LEAVE, DEVICE_CHANGE and what is pending after them (e2ee §6 rules 8-10): who is out at
 * once, what it stops, and which commit covers it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/chat_group_rig.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct pb_record *bore(struct group_rig *group, uint16_t person,
                                    enum pb_record_body kind)
{
    return rig_bore(&group->rig, group_user(group, person).at, kind);
}

static void every_refusal_of_leaving(void **state)
{
    struct group_rig *group = *state;
    static const struct {
        uint16_t person;
        uint64_t join_cseq;
        uint32_t gen;
        enum pb_error_code reason;
    } cases[] = {
        {4, 1, 1, PB_ERROR_CODE_NONE},
        {1, 1, 1, PB_ERROR_CODE_NONE}, /* the owner too */
        {5, 1, 1, PB_ERROR_CODE_NOT_MEMBER},
        {4, 1, 2, PB_ERROR_CODE_GEN_CHANGED},
        {4, 1, 0, PB_ERROR_CODE_GEN_CHANGED},
        {4, 2, 1, PB_ERROR_CODE_NOT_ALLOWED}, /* no span begins there */
        {4, 0, 1, PB_ERROR_CODE_NOT_ALLOWED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        group_usual(group);
        struct pb_record record = group_leave_record(group, cases[i].person, cases[i].join_cseq);
        record.body.leave.gen = cases[i].gen;
        bool accepted = cases[i].reason == PB_ERROR_CODE_NONE;
        assert_int_equal(group_fold(group, &record), accepted ? FOLD_APPLIED : FOLD_REFUSED);
        group_check_refused(group, cases[i].person, cases[i].reason);
        assert_int_equal(group_head(group).pending_count, accepted);
        group_again(group);
    }
}

static void only_groups_can_be_left(void **state)
{
    struct group_rig *group = *state;
    group_pair(group, 1, 1);
    struct pb_record record = group_create(group, 1, 1, "A", "a1a2");
    record.body.create.policy = group_policy(group, "A", POLICY_SELF, 1, POLICY_ALL_MAY_SEND);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    assert_int_equal(group_leave(group, 1, 1), FOLD_REFUSED);
    group_check_refused(group, 1, PB_ERROR_CODE_NOT_ALLOWED);
}

static void who_leaves_is_out_at_once(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    assert_int_equal(group_leave(group, 4, 1), FOLD_APPLIED);
    const struct pb_record *told = bore(group, 4, PB_RECORD_BODY_ANNOUNCE); /* its last */
    const struct pb_member_change *left = &told->body.announce.entry.body.member;
    assert_int_equal(left->kind, PB_MEMBER_CHANGE_KIND_LEFT);
    assert_int_equal(left->join_cseq, 1);
    assert_true(slice_equal(left->statement, SLICE_LITERAL("I leave")));
    assert_int_equal(group_membership(group, 4).spans[0].to, 2);
    assert_int_equal(group_membership(group, 4).leaves_count, 1); /* in the tree still */
    assert_non_null(bore(group, 3, PB_RECORD_BODY_USER_RECEIPT));
    assert_null(bore(group, 4, PB_RECORD_BODY_USER_RECEIPT));
    /* Once more, by any mid: nothing. */
    assert_int_equal(group_leave(group, 4, 1), FOLD_REPEATED);
    assert_int_equal(group->rig.out.emissions_count + group->rig.out.writes_count, 0);
    assert_int_equal(group_send(group, 4, 1, 1, 1), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_MEMBER);
    struct group_commit by_it = {BY(4, 1, 1)};
    assert_int_equal(group_commit(group, &by_it), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_MEMBER);
    /* The commit that takes it away does not reach it. */
    struct group_commit cover = {BY(3, 1, 1), .people = "Ab'c", .users_removed = "d",
                                 .leaves_removed = "d1"};
    assert_int_equal(group_commit(group, &cover), FOLD_APPLIED);
    assert_null(bore(group, 4, PB_RECORD_BODY_ANNOUNCE));
    assert_int_equal(group_head(group).pending_count, 0);
    assert_int_equal(group_membership(group, 4).leaves_count, 0);
    /* Back in another span; the old statement ends nothing any more. */
    struct group_commit back = {BY(2, 1, 2), .people = "Ab'cd", .users_added = "d",
                                .leaves_added = "d1"};
    assert_int_equal(group_commit(group, &back), FOLD_APPLIED);
    assert_int_equal(group_leave(group, 4, 1), FOLD_REPEATED);
    assert_int_equal(group_leave(group, 4, group_membership(group, 4).spans[1].from), FOLD_APPLIED);
}

/* d leaves at 2, c's only device is removed at 3: both have to be covered at once. */
static void two_pending(struct group_rig *group)
{
    group_start(group, "Ab'cd", POLICY_ALL_MAY_SEND);
    struct group_commit second = {BY(3, 1, 1), .leaves_added = "c2"};
    assert_int_equal(group_commit(group, &second), FOLD_APPLIED); /* epoch 2, cseq 2 */
    assert_int_equal(group_leave(group, 4, 1), FOLD_APPLIED);
    assert_int_equal(group_devices_go(group, 3, "c1", false), FOLD_APPLIED);
    assert_int_equal(group_head(group).cseq, 4);
    assert_int_equal(group_head(group).pending_count, 2);
}

static const struct {
    struct group_commit commit;
    enum pb_error_code reason;
    size_t pending; /* after it */
} covers[] = {
    {{BY(1, 1, 2)}, PB_ERROR_CODE_PENDING_REMOVAL, 2},
    {{BY(1, 1, 2), .leaves_removed = "c1"}, PB_ERROR_CODE_PENDING_REMOVAL, 2},
    {{BY(1, 1, 2), .people = "Ab'c", .users_removed = "d", .leaves_removed = "d1"},
     PB_ERROR_CODE_PENDING_REMOVAL,
     2},
    {{BY(1, 1, 2), .people = "Ab'c", .users_removed = "d", .leaves_removed = "c1"},
     PB_ERROR_CODE_NOT_ALLOWED, /* covered, but a leaf of d's stays */
     2},
    {{BY(1, 1, 2), .users_removed = "d", .leaves_removed = "c1d1"},
     PB_ERROR_CODE_NOT_ALLOWED, /* covered, but d stays in the policy */
     2},
    {{BY(1, 1, 1)}, PB_ERROR_CODE_STALE_EPOCH, 2}, /* before pending */
    {{BY(1, 1, 2), .people = "Ab'c", .users_removed = "d", .leaves_removed = "c1d1"},
     PB_ERROR_CODE_NONE,
     0},
    {{BY(3, 2, 2), .people = "Ab'c", .users_removed = "d", .leaves_removed = "d1c1"},
     PB_ERROR_CODE_NONE, /* by anyone who is in */
     0},
    {{BY(3, 1, 2), .people = "Ab'c", .users_removed = "d", .leaves_removed = "d1c1"},
     PB_ERROR_CODE_NOT_MEMBER, /* by the removed device */
     2},
    {{BY(2, 1, 2), .people = "Ab'ce", .users_added = "e", .users_removed = "d",
      .leaves_added = "e1", .leaves_removed = "c1d1"},
     PB_ERROR_CODE_NONE,
     0},
    /* A device that comes in by itself is let through, and covers nothing. */
    {{BY(2, 2, 2), .leaves_added = "b2", .external = true}, PB_ERROR_CODE_NONE, 2},
    {{BY(4, 2, 2), .leaves_added = "d2", .external = true}, PB_ERROR_CODE_NOT_MEMBER, 2},
};

static void a_commit_covers_all_or_nothing(void **state)
{
    struct group_rig *group = *state;
    for (size_t i = 0; i < COUNT(covers); i++) {
        two_pending(group);
        bool accepted = covers[i].reason == PB_ERROR_CODE_NONE;
        enum fold_verdict verdict = group_commit(group, &covers[i].commit);
        if ((verdict == FOLD_APPLIED) != accepted)
            fail_msg("case %zu: verdict %d", i, verdict);
        group_check_refused(group, covers[i].commit.person, covers[i].reason);
        assert_int_equal(group_head(group).pending_count, covers[i].pending);
        group_again(group);
    }
}

static void what_is_pending_stops_sending_and_says_why(void **state)
{
    struct group_rig *group = *state;
    two_pending(group);
    assert_int_equal(group_send(group, 1, 1, 1, 2), FOLD_REFUSED);
    const struct pb_rejected *told = &bore(group, 1, PB_RECORD_BODY_REJECTED)->body.rejected;
    assert_int_equal(told->reason, PB_ERROR_CODE_PENDING_REMOVAL);
    assert_false(told->consumed);
    assert_int_equal(told->proofs_count, 2);
    assert_int_equal(told->proofs[0], 3);
    assert_int_equal(told->proofs[1], 4);
    assert_int_equal(group_send(group, 1, 1, 1, 3), FOLD_REFUSED); /* the epoch comes first */
    group_check_refused(group, 1, PB_ERROR_CODE_EPOCH_AHEAD);
    struct group_commit cover = {BY(1, 1, 2), .people = "Ab'c", .users_removed = "d",
                                 .leaves_removed = "c1d1"};
    assert_int_equal(group_commit(group, &cover), FOLD_APPLIED);
    assert_int_equal(group_send(group, 1, 1, 1, 2), FOLD_REFUSED); /* sealed for the removed */
    group_check_refused(group, 1, PB_ERROR_CODE_STALE_EPOCH);
    assert_int_equal(group_send(group, 1, 1, 1, 3), FOLD_APPLIED); /* the same counter */
}

/* The next generation covers everything too: nobody pending may be in it. */
static void a_next_generation_covers(void **state)
{
    struct group_rig *group = *state;
    static const struct {
        const char *people, *leaves;
        enum pb_error_code reason;
    } cases[] = {
        {"Ab'cd", "a1b1c2", PB_ERROR_CODE_NOT_ALLOWED},
        {"Ab'cd", "a1b1c2d1", PB_ERROR_CODE_NOT_ALLOWED},
        {"Ab'c", "a1b1c1", PB_ERROR_CODE_NOT_ALLOWED},
        {"Ab'c", "a1b1c2", PB_ERROR_CODE_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        two_pending(group);
        struct pb_record record = group_create(group, 1, 2, cases[i].people, cases[i].leaves);
        bool accepted = cases[i].reason == PB_ERROR_CODE_NONE;
        assert_int_equal(group_fold(group, &record), accepted ? FOLD_APPLIED : FOLD_REFUSED);
        group_check_refused(group, 1, cases[i].reason);
        assert_int_equal(group_head(group).pending_count, accepted ? 0 : 2);
        group_again(group);
    }
}

static void devices_and_accounts_that_go(void **state)
{
    struct group_rig *group = *state;
    static const struct {
        uint16_t person;
        const char *devices;
        bool closed;
        enum fold_verdict verdict;
        size_t pending;
        bool in; /* the person, after it */
    } steps[] = {
        {5, "e1", false, FOLD_REFUSED, 0, false}, /* never was in */
        {3, "c7", false, FOLD_APPLIED, 0, true},  /* it had no leaf: remembered */
        {3, "c7", false, FOLD_REPEATED, 0, true},
        {3, "c7c1", false, FOLD_APPLIED, 1, true},
        {3, "c7c1", false, FOLD_REPEATED, 1, true},
        {3, "c7c1", true, FOLD_APPLIED, 1, false}, /* the leaf's removal becomes the user's */
        {3, "c7c1", true, FOLD_REPEATED, 1, false},
        {3, "c7c1c8", true, FOLD_APPLIED, 1, false}, /* remembered, though it is out */
        {4, "d1", true, FOLD_APPLIED, 2, false},
    };
    group_usual(group);
    for (size_t i = 0; i < COUNT(steps); i++) {
        enum fold_verdict verdict =
            group_devices_go(group, steps[i].person, steps[i].devices, steps[i].closed);
        if (verdict != steps[i].verdict)
            fail_msg("step %zu: verdict %d", i, verdict);
        assert_int_equal(group_head(group).pending_count, steps[i].pending);
        struct pb_membership is = group_membership(group, steps[i].person);
        assert_int_equal(is.spans_count > 0 && is.spans[is.spans_count - 1].to == 0, steps[i].in);
    }
    assert_null(bore(group, 3, PB_RECORD_BODY_ANNOUNCE)); /* nothing after it was closed */
    struct group_commit cover = {BY(2, 1, 1), .people = "Ab'", .users_removed = "cd",
                                 .leaves_removed = "c1d1"};
    assert_int_equal(group_commit(group, &cover), FOLD_APPLIED);
    assert_int_equal(group_head(group).pending_count, 0);
}

/* The last owner leaves: whoever covers it makes the first admin owner. */
static void the_owner_leaves(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    assert_int_equal(group_leave(group, 1, 1), FOLD_APPLIED);
    struct group_commit cover = {BY(4, 1, 1), .people = "b'cd", .users_removed = "a",
                                 .leaves_removed = "a1"};
    assert_int_equal(group_commit(group, &cover), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_ALLOWED);
    cover.people = "Bcd";
    assert_int_equal(group_commit(group, &cover), FOLD_APPLIED);
    assert_int_equal(group_membership(group, 2).role, POLICY_ROLE_OWNER);
}

static void a_replay_bears_what_it_bore(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    group->rig.inlined = true;
    struct pb_record record = group_leave_record(group, 4, 1);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    struct fold_outcome before = group->rig.out;
    uint64_t offset = group->rig.offset - 1;
    struct group_commit cover = {BY(3, 1, 1), .people = "Ab'c", .users_removed = "d",
                                 .leaves_removed = "d1"};
    assert_int_equal(group_commit(group, &cover), FOLD_APPLIED);
    group_replay(group, &record, offset, &before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, group_setup, group_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_refusal_of_leaving),
        TEST(only_groups_can_be_left),
        TEST(who_leaves_is_out_at_once),
        TEST(a_commit_covers_all_or_nothing),
        TEST(what_is_pending_stops_sending_and_says_why),
        TEST(a_next_generation_covers),
        TEST(devices_and_accounts_that_go),
        TEST(the_owner_leaves),
        TEST(a_replay_bears_what_it_bore),
    };
    return cmocka_run_group_tests_name("leaving", tests, NULL, NULL);
}
