/* SPDX-License-Identifier: Apache-2.0
 * Tables of COMMIT (e2ee §6 rules 1, 6, 7): every refusal with its reason, what an accepted one
 * makes of leaves, people, policy, epoch and floor, and who hears of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/chat_group_rig.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    struct group_commit commit;
    enum pb_error_code reason;
} refusals[] = {
    {{BY(3, 1, 1)}, PB_ERROR_CODE_NONE}, /* an update of one's own leaf */
    /* member, device */
    {{BY(5, 1, 1)}, PB_ERROR_CODE_NOT_MEMBER},
    {{BY(5, 1, 9)}, PB_ERROR_CODE_NOT_MEMBER},
    /* gen, epoch */
    {{BY(3, 1, 0)}, PB_ERROR_CODE_STALE_EPOCH},
    {{BY(3, 1, 2)}, PB_ERROR_CODE_STALE_EPOCH},
    {{BY(3, 1, UINT64_MAX)}, PB_ERROR_CODE_STALE_EPOCH},
    /* the policy and its lists */
    {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "e", .leaves_added = "e1"},
     PB_ERROR_CODE_NONE},
    {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "e", .leaves_added = "e1", .ver = 2},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(3, 1, 1), .people = "Ab'cde", .users_added = "e", .leaves_added = "e1"},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'cde", .leaves_added = "e1"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "ef", .leaves_added = "e1"},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "f", .leaves_added = "e1"},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "ee", .leaves_added = "e1"},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .users_added = "e", .leaves_added = "e1"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .users_removed = "d", .leaves_removed = "d1"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'c", .users_removed = "d", .leaves_removed = "d1"},
     PB_ERROR_CODE_NONE},
    {{BY(2, 1, 1), .people = "Ab'c", .leaves_removed = "d1"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'c", .users_removed = "c", .leaves_removed = "d1"},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'c", .users_removed = "d"},
     PB_ERROR_CODE_NOT_ALLOWED}, /* a leaf stays */
    {{BY(4, 1, 1), .people = "Ab'd", .users_removed = "c", .leaves_removed = "c1"},
     PB_ERROR_CODE_NOT_ALLOWED}, /* no right */
    {{BY(2, 1, 1), .people = "b'cd", .users_removed = "a", .leaves_removed = "a1"},
     PB_ERROR_CODE_NOT_ALLOWED}, /* the owner */
    {{BY(2, 1, 1), .people = "Ab'c'd"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(1, 1, 1), .people = "Ab'c'd"}, PB_ERROR_CODE_NONE},
    {{BY(3, 1, 1), .people = "Ab'cd", .rights = POLICY_ALL_MAY_ADD}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 1, 1), .people = "Ab'cd", .rights = POLICY_ALL_MAY_ADD}, PB_ERROR_CODE_NONE},
    /* leaves */
    {{BY(3, 1, 1), .leaves_added = "c2"}, PB_ERROR_CODE_NONE},
    {{BY(3, 1, 1), .leaves_added = "d2"}, PB_ERROR_CODE_NONE},        /* of another member */
    {{BY(3, 1, 1), .leaves_added = "e1"}, PB_ERROR_CODE_NOT_ALLOWED}, /* of nobody here */
    {{BY(3, 1, 1), .leaves_added = "c2c2"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(3, 1, 1), .leaves_added = "c1"}, PB_ERROR_CODE_NOT_ALLOWED}, /* it is there */
    {{BY(3, 1, 1), .leaves_added = "c1", .leaves_removed = "c1"}, PB_ERROR_CODE_NONE},
    {{BY(3, 1, 1), .leaves_removed = "c1"}, PB_ERROR_CODE_NONE},
    {{BY(3, 1, 1), .leaves_removed = "c1c1"}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(3, 1, 1), .leaves_removed = "c5"}, PB_ERROR_CODE_NOT_ALLOWED}, /* there is none */
    {{BY(3, 1, 1), .leaves_removed = "d1"}, PB_ERROR_CODE_NOT_ALLOWED}, /* of another */
    {{BY(1, 1, 1), .leaves_removed = "d1"}, PB_ERROR_CODE_NOT_ALLOWED}, /* even by the owner */
    {{BY(3, 1, 1), .leaves_added = "c2c3c4c5c6c7c8c9"}, PB_ERROR_CODE_TOO_LARGE},
    {{BY(3, 1, 1), .leaves_added = "c2c3c4c5c6c7c8"}, PB_ERROR_CODE_NONE},
    {{BY(3, 1, 1), .leaves_added = "c2c3c4c5c6c7c8c9", .leaves_removed = "c1"}, PB_ERROR_CODE_NONE},
    /* a device comes in by itself */
    {{BY(3, 2, 1), .leaves_added = "c2", .external = true}, PB_ERROR_CODE_NONE},
    {{BY(3, 1, 1), .leaves_added = "c1", .leaves_removed = "c1", .external = true},
     PB_ERROR_CODE_NONE},
    {{BY(3, 2, 1), .leaves_added = "c3", .external = true}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(3, 2, 1), .leaves_added = "c2c3", .external = true}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(3, 2, 1), .leaves_added = "c2", .leaves_removed = "c1", .external = true},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(3, 2, 1), .external = true}, PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 2, 1), .people = "Ab'cde", .users_added = "e", .leaves_added = "b2", .external = true},
     PB_ERROR_CODE_NOT_ALLOWED},
    {{BY(2, 2, 1), .people = "Ab'cd", .leaves_added = "b2", .external = true},
     PB_ERROR_CODE_NOT_ALLOWED},
};

static void every_refusal_of_a_commit(void **state)
{
    struct group_rig *group = *state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        group_usual(group);
        bool accepted = refusals[i].reason == PB_ERROR_CODE_NONE;
        enum fold_verdict verdict = group_commit(group, &refusals[i].commit);
        if ((verdict == FOLD_APPLIED) != accepted)
            fail_msg("case %zu: verdict %d", i, verdict);
        group_check_refused(group, refusals[i].commit.person, refusals[i].reason);
        assert_int_equal(group_head(group).mls_epoch, accepted ? 2 : 1);
        assert_int_equal(group_head(group).cseq, accepted ? 2 : 1);
        group_again(group);
    }
}

/* The leaf that a removed device had may be taken away by anyone, and none is added to it. */
static void a_removed_device(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    assert_int_equal(group_devices_go(group, 4, "d1", false), FOLD_APPLIED);
    struct group_commit by_it = {BY(4, 1, 1)};
    assert_int_equal(group_commit(group, &by_it), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_MEMBER);
    struct group_commit back = {BY(4, 2, 1), .leaves_added = "d1d2", .leaves_removed = "d1"};
    assert_int_equal(group_commit(group, &back), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_ALLOWED);
    struct group_commit away = {BY(3, 1, 1), .leaves_removed = "d1"};
    assert_int_equal(group_commit(group, &away), FOLD_APPLIED);
    assert_int_equal(group_head(group).floor, 2);
    away.mls_epoch = 2; /* it is gone: there is nothing to take away */
    assert_int_equal(group_commit(group, &away), FOLD_REFUSED);
    group_check_refused(group, 3, PB_ERROR_CODE_NOT_ALLOWED);
}

/* In a direct chat the leaf went with its device; the commit that takes it out of the group's tree
 * names it all the same. */
static void a_removed_device_of_a_direct_chat(void **state)
{
    struct group_rig *group = *state;
    group_pair(group, 1, 2);
    struct pb_record record = group_create(group, 1, 1, "ab", "a1b1b2");
    record.body.create.policy = group_policy(group, "ab", POLICY_DIRECT, 1, POLICY_ALL_MAY_SEND);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    assert_int_equal(group_devices_go(group, 2, "b2", false), FOLD_APPLIED);
    assert_int_equal(group_membership(group, 2).leaves_count, 1);
    assert_int_equal(group_head(group).pending_count, 0);
    assert_int_equal(group_send(group, 1, 1, 1, 1), FOLD_APPLIED);
    struct group_commit strange = {BY(1, 1, 1), .leaves_removed = "b3"};
    assert_int_equal(group_commit(group, &strange), FOLD_REFUSED);
    group_check_refused(group, 1, PB_ERROR_CODE_NOT_ALLOWED);
    struct group_commit away = {BY(1, 1, 1), .leaves_removed = "b2"};
    assert_int_equal(group_commit(group, &away), FOLD_APPLIED);
    assert_int_equal(group_head(group).floor, 2);
    assert_int_equal(group_membership(group, 2).leaves_count, 1);
}

static void the_same_mid_is_a_repeat_another_is_late(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    struct group_commit update = {BY(3, 1, 1)};
    struct pb_record first = group_commit_record(group, &update);
    struct pb_record other = group_commit_record(group, &update);
    assert_int_equal(group_fold(group, &first), FOLD_APPLIED);
    assert_int_equal(group_fold(group, &first), FOLD_REPEATED);
    assert_int_equal(group->rig.out.emissions_count + group->rig.out.writes_count, 0);
    assert_int_equal(group_fold(group, &other), FOLD_REFUSED);
    group_check_refused(group, 3, PB_ERROR_CODE_STALE_EPOCH);
    for (update.mls_epoch = 2; update.mls_epoch < 40; update.mls_epoch++)
        assert_int_equal(group_commit(group, &update), FOLD_APPLIED);
    assert_int_equal(group_fold(group, &first), FOLD_REPEATED); /* however old it is */
    assert_int_equal(group_head(group).mls_epoch, 40);
}

static void the_floor_rises_with_people_and_foreign_leaves(void **state)
{
    struct group_rig *group = *state;
    static const struct {
        struct group_commit commit;
        bool rises;
    } cases[] = {
        {{BY(3, 1, 1)}, false},
        {{BY(3, 1, 1), .leaves_added = "c2"}, false},
        {{BY(3, 1, 1), .leaves_added = "d2"}, false},
        {{BY(3, 1, 1), .leaves_added = "c1", .leaves_removed = "c1"}, false}, /* its own old one */
        {{BY(3, 2, 1), .leaves_added = "c2", .external = true}, false},
        {{BY(3, 2, 1), .leaves_removed = "c1"}, true}, /* a sibling's */
        {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "e", .leaves_added = "e1"}, true},
        {{BY(2, 1, 1), .people = "Ab'cde", .users_added = "e"},
         true}, /* it joins by itself, later */
        {{BY(2, 1, 1), .people = "Ab'c", .users_removed = "d", .leaves_removed = "d1"}, true},
        {{BY(1, 1, 1), .people = "Ab'c'd"}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        group_usual(group);
        assert_int_equal(group_commit(group, &cases[i].commit), FOLD_APPLIED);
        if (group_head(group).floor != (cases[i].rises ? 2 : 1))
            fail_msg("case %zu", i);
        /* What was sealed before it: refused where the floor rose. */
        assert_int_equal(group_send(group, 1, 1, 1, 1),
                         cases[i].rises ? FOLD_REFUSED : FOLD_APPLIED);
        group_check_refused(group, 1,
                            cases[i].rises ? PB_ERROR_CODE_STALE_EPOCH : PB_ERROR_CODE_NONE);
        assert_int_equal(group_send(group, 1, 1, cases[i].rises ? 1 : 2, 2), FOLD_APPLIED);
        group_again(group);
    }
}

static void joins_and_removals_take_effect_at_their_number(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    struct group_commit swap = {
        BY(2, 1, 1),          .people = "Ab'ce",      .users_added = "e",
        .users_removed = "d", .leaves_added = "e1e2", .leaves_removed = "d1"};
    assert_int_equal(group_commit(group, &swap), FOLD_APPLIED);
    const struct pb_record *told =
        rig_bore(&group->rig, group_user(group, 5).at, PB_RECORD_BODY_ANNOUNCE);
    assert_true(told->body.announce.first);
    assert_int_equal(told->body.announce.leaves_count, 2);
    assert_int_equal(told->body.announce.entry.body_case, PB_ENTRY_BODY_COMMIT);
    assert_int_equal(told->body.announce.entry.body.commit.mls_epoch, 2);
    assert_non_null(rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_ANNOUNCE));
    assert_non_null(rig_bore(&group->rig, group_user(group, 3).at, PB_RECORD_BODY_USER_RECEIPT));
    assert_null(rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_USER_RECEIPT));
    assert_int_equal(group_membership(group, 4).spans[0].to, 2);
    assert_int_equal(group_membership(group, 4).leaves_count, 0);
    assert_int_equal(group_membership(group, 5).spans[0].from, 2);
    assert_int_equal(group_send(group, 3, 1, 1, 2), FOLD_APPLIED);
    assert_null(rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_ANNOUNCE));
    assert_non_null(rig_bore(&group->rig, group_user(group, 5).at, PB_RECORD_BODY_ANNOUNCE));
    assert_int_equal(group_send(group, 4, 1, 1, 2), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_MEMBER);
    /* And back: another span. */
    struct group_commit back = {BY(2, 1, 2), .people = "Ab'ced", .users_added = "d",
                                .leaves_added = "d1"};
    assert_int_equal(group_commit(group, &back), FOLD_APPLIED);
    struct pb_membership member = group_membership(group, 4);
    assert_int_equal(member.spans_count, 2);
    assert_int_equal(member.spans[1].from, 4);
    assert_int_equal(member.spans[1].to, 0);
    assert_int_equal(group_send(group, 4, 1, 2, 3), FOLD_APPLIED); /* counters go on: 1 is spent */
}

/* Put in anew: out up to the number before, in from this one. */
static void somebody_is_put_in_anew(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    struct group_commit anew = {BY(2, 1, 1),          .people = "Ab'cd",    .users_added = "d",
                                .users_removed = "d", .leaves_added = "d2", .leaves_removed = "d1"};
    assert_int_equal(group_commit(group, &anew), FOLD_APPLIED);
    struct pb_membership member = group_membership(group, 4);
    assert_int_equal(member.spans_count, 2);
    assert_int_equal(member.spans[0].to, 1);
    assert_int_equal(member.spans[1].from, 2);
    assert_int_equal(member.leaves_count, 1);
    assert_true(rig_bore(&group->rig, group_user(group, 4).at, PB_RECORD_BODY_ANNOUNCE)
                    ->body.announce.first);
}

static void a_new_policy_gives_new_rights(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    struct group_commit mute = {BY(1, 1, 1), .people = "Ab'c'd", .rights = POLICY_ALL_MAY_ADD};
    assert_int_equal(group_commit(group, &mute), FOLD_APPLIED);
    assert_int_equal(group_membership(group, 3).role, POLICY_ROLE_ADMIN);
    assert_int_equal(group_head(group).policy_ver, 2);
    assert_int_equal(group_send(group, 3, 1, 1, 2), FOLD_APPLIED);
    assert_int_equal(group_send(group, 4, 1, 1, 2), FOLD_REFUSED);
    group_check_refused(group, 4, PB_ERROR_CODE_NOT_ALLOWED);
    struct group_commit add = {BY(4, 1, 2), .people = "Ab'c'de", .users_added = "e",
                               .leaves_added = "e1", .rights = POLICY_ALL_MAY_ADD};
    assert_int_equal(group_commit(group, &add), FOLD_APPLIED);
}

/* A pair's policy stays; leaves come and go. */
static void a_commit_of_a_self_chat(void **state)
{
    struct group_rig *group = *state;
    group_pair(group, 1, 1);
    struct pb_record record = group_create(group, 1, 1, "A", "a1");
    record.body.create.policy = group_policy(group, "A", POLICY_SELF, 1, POLICY_ALL_MAY_SEND);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    struct group_commit add = {BY(1, 1, 0), .leaves_added = "a2"};
    assert_int_equal(group_commit(group, &add), FOLD_APPLIED);
    assert_int_equal(group_head(group).mls_epoch, 1);
    struct group_commit policy = {BY(1, 1, 1), .people = "A"};
    assert_int_equal(group_commit(group, &policy), FOLD_APPLIED);
    struct group_commit other = {BY(1, 1, 2), .people = "Ab", .users_added = "b"};
    assert_int_equal(group_commit(group, &other), FOLD_REFUSED);
    group_check_refused(group, 1, PB_ERROR_CODE_NOT_ALLOWED);
}

static void a_large_commit_does_not_ride_along(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    struct group_commit update = {BY(3, 1, 1)};
    struct pb_record record = group_commit_record(group, &update);
    uint8_t *bytes = ARENA_ARRAY(&group->rig.arena, uint8_t, FOLD_BODY_BYTES_MAX);
    record.body.commit.commit = slice_make(bytes, FOLD_BODY_BYTES_MAX);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    const struct pb_record *told =
        rig_bore(&group->rig, group_user(group, 1).at, PB_RECORD_BODY_ANNOUNCE);
    assert_false(told->body.announce.has_entry);
    assert_int_equal(told->body.announce.cseq, 2);
}

static void a_replay_bears_what_it_bore(void **state)
{
    struct group_rig *group = *state;
    group_usual(group);
    group->rig.inlined = true;
    struct group_commit swap = {BY(2, 1, 1),          .people = "Ab'ce",    .users_added = "e",
                                .users_removed = "d", .leaves_added = "e1", .leaves_removed = "d1"};
    struct pb_record record = group_commit_record(group, &swap);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
    struct fold_outcome before = group->rig.out;
    uint64_t offset = group->rig.offset - 1;
    assert_int_equal(group_send(group, 3, 1, 1, 2), FOLD_APPLIED);
    group_replay(group, &record, offset, &before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, group_setup, group_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_refusal_of_a_commit),
        TEST(a_removed_device),
        TEST(a_removed_device_of_a_direct_chat),
        TEST(the_same_mid_is_a_repeat_another_is_late),
        TEST(the_floor_rises_with_people_and_foreign_leaves),
        TEST(joins_and_removals_take_effect_at_their_number),
        TEST(somebody_is_put_in_anew),
        TEST(a_new_policy_gives_new_rights),
        TEST(a_commit_of_a_self_chat),
        TEST(a_large_commit_does_not_ride_along),
        TEST(a_replay_bears_what_it_bore),
    };
    return cmocka_run_group_tests_name("commits", tests, NULL, NULL);
}
