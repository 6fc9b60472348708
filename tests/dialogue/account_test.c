/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. What a person does with the account: password, invites, device lists,
 * vault; by password alone (GRANTED) and as a device (LIVE). */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/username.h"

#define DAY_MS 86400000u

static void user_row(struct rig *rig, uint8_t user, bool owner)
{
    struct pb_name_row name = {.user_id = rig_id(rig, user)};
    struct pb_user_row row = {
        .username = SLICE_LITERAL("ann"), .password_hash = SLICE_LITERAL("$real$"), .owner = owner};
    struct row_key key = {.table = TABLE_DIR, .n = DIR_NAME};
    username_key(SLICE_LITERAL("ann"), key.a);
    rig_row(rig, key, &pb_name_row_type, &name);
    rig_row(rig, key_one(TABLE_DIR, name.user_id.at, DIR_USER), &pb_user_row_type, &row);
}

/* By password: the connection is this user's, and no device's. */
static void granted(struct rig *rig, uint8_t user)
{
    struct pb_frame frame = {.req = 4, .body_case = PB_FRAME_BODY_LOGIN};
    user_row(rig, user, false);
    rig_open(rig);
    frame.body.login.username = SLICE_LITERAL("ann");
    rig_frame(rig, &frame);
    rig_hashed(rig, 0, true);
    assert_int_equal(rig->session.state, SESSION_GRANTED);
}

static void new_password(struct rig *rig, uint32_t req, const char *password)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_PASSWORD_SET};
    frame.body.password_set = (struct pb_password_set){.old_password = SLICE_LITERAL("the old one"),
                                                       .new_password = slice_text(password)};
    rig_frame(rig, &frame);
}

static void a_password_is_set_by_who_knows_the_old_one(void **state)
{
    struct rig *rig = *state;
    user_row(rig, 1, false);
    rig_live(rig, 0, 0);
    new_password(rig, 2, "short");
    rig_expect_error(rig, 2, PB_ERROR_CODE_PASSWORD_WEAK);
    assert_int_equal(rig->passwords_count, 0);
    new_password(rig, 3, "a long enough password");
    assert_true(rig->passwords[0].verify);
    assert_true(slice_equal(rig->passwords[0].hash, SLICE_LITERAL("$real$")));
    rig_hashed(rig, 0, false);
    rig_expect_error(rig, 3, PB_ERROR_CODE_AUTH);
    new_password(rig, 4, "a long enough password");
    rig_hashed(rig, 1, true);
    assert_false(rig->passwords[2].verify); /* now the new one is hashed */
    assert_true(slice_equal(rig->passwords[2].bytes, SLICE_LITERAL("a long enough password")));
    assert_int_equal(rig->submits_count, 0);
    rig_hashed(rig, 2, false);
    const struct pb_account account = rig_submitted(rig, 0).body.account;
    assert_true(slice_equal(account.body.password.password_hash, SLICE_LITERAL("$hash$")));
    rig_appended(rig, 0, STATUS_OK);
    rig_outcome(rig, 4, true, 0, 2);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_OK)->body.ok.ver, 2);
}

static void who_may_invite(void **state)
{
    (void)state;
    static const struct {
        bool owner, members_invite;
        enum sign_up_policy policy;
        uint32_t uses, days;
        bool may;
        uint32_t uses_said, days_said;
    } table[] = {
        {false, true, POLICY_INVITE, 0, 0, true, 1, 7},
        {false, true, POLICY_OPEN, 100, 30, true, 100, 30},
        {false, true, POLICY_CLOSED, 0, 0, false, 0, 0},
        {false, false, POLICY_INVITE, 0, 0, false, 0, 0},
        {true, false, POLICY_CLOSED, 2, 1, true, 2, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rig *rig = rig_new();
        user_row(rig, 1, table[i].owner);
        rig->config.members_invite = table[i].members_invite;
        rig->config.sign_up = table[i].policy;
        rig_live(rig, 0, 0);
        struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_INVITE};
        frame.body.invite = (struct pb_invite){.uses = table[i].uses, .days = table[i].days};
        rig_frame(rig, &frame);
        if (table[i].may) {
            const struct pb_account_invite made = rig_submitted(rig, 0).body.account.body.invite;
            assert_int_equal(made.uses, table[i].uses_said);
            assert_int_equal(made.expires_ms,
                             1700000000000u + rig->mono_ms + (uint64_t)table[i].days_said * DAY_MS);
        } else {
            rig_expect_error(rig, 2, PB_ERROR_CODE_DENIED);
            assert_int_equal(rig->submits_count, 0);
        }
        rig_free(rig);
    }
}

static void an_invite_out_of_bounds_or_refused_makes_none(void **state)
{
    struct rig *rig = *state;
    user_row(rig, 1, true);
    rig_live(rig, 0, 0);
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_INVITE};
    frame.body.invite.uses = 101;
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    frame.body.invite = (struct pb_invite){.days = 31};
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    rig_ask(rig, 3, PB_FRAME_BODY_INVITE);
    rig_outcome(rig, 3, false, PB_ERROR_CODE_LIMIT, 0);
    rig_expect_error(rig, 3, PB_ERROR_CODE_LIMIT);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_INVITE_ANSWER), 0);
}

static void put_list(struct rig *rig, uint32_t req, const char *list)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_DEVLIST_PUT};
    frame.body.devlist_put.dl = slice_text(list);
    rig_frame(rig, &frame);
}

static void a_grant_enrols_one_device_and_reads_its_own_lists(void **state)
{
    struct rig *rig = *state;
    granted(rig, 1);
    put_list(rig, 5, "");
    rig_expect_error(rig, 5, PB_ERROR_CODE_BAD_FRAME);
    put_list(rig, 5, "list");
    assert_int_equal(rig_submitted(rig, 0).body.account.body.device_list.session_device.bytes, 0);
    put_list(rig, 6, "other");
    rig_expect_error(rig, 6, PB_ERROR_CODE_BUSY); /* one at a time */
    rig_outcome(rig, 5, false, PB_ERROR_CODE_CONFLICT, 3);
    rig_expect_error(rig, 5, PB_ERROR_CODE_CONFLICT);
    put_list(rig, 7, "list"); /* what was refused enrolled nobody */
    rig_outcome(rig, 7, true, 0, 4);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_OK)->body.ok.ver, 4);
    put_list(rig, 8, "second");
    rig_expect_error(rig, 8, PB_ERROR_CODE_DENIED);
    struct pb_frame frame = {.req = 9, .body_case = PB_FRAME_BODY_DEVLIST_GET};
    frame.body.devlist_get.user_id = rig_id(rig, 2); /* another's */
    rig_frame(rig, &frame);
    rig_expect_error(rig, 9, PB_ERROR_CODE_DENIED);
    frame.body.devlist_get.user_id = rig_id(rig, 1);
    rig_frame(rig, &frame);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_DEVLIST_ANSWER)->body.devlist_answer.lists_count,
                     0);
    rig_hello(rig, 5, 0, 1);
    assert_int_equal(rig->session.state, SESSION_ATTACHING);
}

static void a_grant_is_for_the_devices_of_its_user(void **state)
{
    struct rig *rig = *state;
    granted(rig, 2);
    rig_hello(rig, 5, 0, 1); /* a device of user 1, with its key */
    rig_expect_error(rig, 1, PB_ERROR_CODE_AUTH);
    assert_int_equal(rig->session.state, SESSION_GRANTED);
}

static void a_removed_device_is_told_so(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    rig_hello(rig, 5, 0, 1);
    struct event closed = {.kind = EVENT_CLOSED};
    rig_event(rig, &closed);
    struct row *row = &rig->rows[0];
    struct pb_device_row device;
    assert_int_equal(
        pb_decode(&pb_device_row_type, slice_sub(row->value, 1, SIZE_MAX), &rig->keep, &device),
        STATUS_OK);
    device.removed_n = 3;
    rig_row(rig, row->key, &pb_device_row_type, &device);
    session_init(&rig->session, 77);
    rig_open(rig);
    rig_hello(rig, 6, 0, 1);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                     PB_GOAWAY_REASON_SIGNED_OUT);
    assert_int_equal(rig->close_code, 1000);
}

static const struct pb_devlist_answer *get_lists(struct rig *rig, uint32_t req, uint64_t from)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_DEVLIST_GET};
    frame.body.devlist_get = (struct pb_devlist_get){.user_id = rig_id(rig, 2), .from_n = from};
    rig_frame(rig, &frame);
    return &rig_last(rig, PB_FRAME_BODY_DEVLIST_ANSWER)->body.devlist_answer;
}

/* A list cut short says so: the reader asks on, and misses none. */
static void lists_come_in_pages_by_count_and_bytes(void **state)
{
    struct rig *rig = *state;
    static uint8_t large[8192];
    struct slice user = rig_id(rig, 2);
    struct pb_device_list_row row = {.dl = SLICE_LITERAL("list")};
    for (uint64_t n = 1; n <= 101; n++)
        rig_row(rig, key_one(TABLE_DEVICE_LIST, user.at, n), &pb_device_list_row_type, &row);
    rig_live(rig, 0, 0);
    const struct pb_devlist_answer *answer = get_lists(rig, 2, 1);
    assert_int_equal(answer->lists_count, 100);
    assert_true(answer->more);
    answer = get_lists(rig, 3, 100);
    assert_int_equal(answer->lists_count, 2);
    assert_false(answer->more);
    row.dl = SLICE_OF(large);
    for (uint64_t n = 1; n <= 100; n++)
        rig_row(rig, key_one(TABLE_DEVICE_LIST, user.at, n), &pb_device_list_row_type, &row);
    answer = get_lists(rig, 4, 1);
    assert_in_range(answer->lists_count, 90, 96); /* 768 KiB */
    assert_true(answer->more);
}

static void put_vault(struct rig *rig, uint32_t req)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_VAULT_PUT};
    frame.body.vault_put = (struct pb_vault_put){.ver = 1, .blob = SLICE_LITERAL("b")};
    rig_frame(rig, &frame);
}

/* Answers of a fold find their request by its number, in one of four places. */
static void four_requests_wait_for_folds_each_with_its_number(void **state)
{
    struct rig *rig = *state;
    user_row(rig, 1, true);
    rig_live(rig, 0, 0);
    for (uint32_t req = 2; req <= 5; req++)
        put_vault(rig, req);
    put_vault(rig, 6);
    rig_expect_error(rig, 6, PB_ERROR_CODE_BUSY);
    put_list(rig, 7, "list");
    rig_expect_error(rig, 7, PB_ERROR_CODE_BUSY);
    rig_ask(rig, 8, PB_FRAME_BODY_INVITE);
    rig_expect_error(rig, 8, PB_ERROR_CODE_BUSY);
    new_password(rig, 9, "a long enough password");
    rig_hashed(rig, 0, true);
    rig_hashed(rig, 1, false);
    rig_expect_error(rig, 9, PB_ERROR_CODE_BUSY);
    assert_int_equal(rig->submits_count, 4);
    rig_outcome(rig, 4, true, 0, 1);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_OK)->req, 4);
    put_list(rig, 10, "list");
    assert_true(rig_submitted(rig, 4).body.account.body.device_list.session_device.bytes ==
                ID_BYTES);
    put_vault(rig, 2); /* its answer could not be told from the other's */
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    assert_int_equal(rig->submits_count, 5);
}

static void what_the_log_refuses_is_answered_at_once(void **state)
{
    struct rig *rig = *state;
    static const struct {
        enum status status;
        enum pb_error_code code;
    } table[] = {{STATUS_BUSY, PB_ERROR_CODE_BUSY},
                 {STATUS_TOO_LARGE, PB_ERROR_CODE_STORAGE_FULL},
                 {STATUS_TIMEOUT, PB_ERROR_CODE_RETRY}};
    rig_live(rig, 0, 0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        put_vault(rig, 2);
        rig_appended(rig, i, table[i].status);
        rig_expect_error(rig, 2, table[i].code);
    }
    struct pb_vault_row row = {.ver = 3, .blob = SLICE_LITERAL("sealed")};
    rig_row(rig, key_one(TABLE_DIR, rig->session.user.at, DIR_VAULT), &pb_vault_row_type, &row);
    rig_ask(rig, 3, PB_FRAME_BODY_VAULT_GET);
    const struct pb_frame *frame = rig_last(rig, PB_FRAME_BODY_VAULT_ANSWER);
    assert_int_equal(frame->body.vault_answer.ver, 3);
    assert_true(slice_equal(frame->body.vault_answer.blob, SLICE_LITERAL("sealed")));
}

/* The device of an outcome is gone by then, or its deadline: nobody is signed up twice or late. */
static void a_late_sign_up_is_nobodys(void **state)
{
    struct rig *rig = *state;
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_REGISTER};
    rig->config.sign_up = POLICY_OPEN;
    rig->config.sign_in_ms = 60000;
    rig_open(rig);
    frame.body.register_ = (struct pb_register){.username = SLICE_LITERAL("ann"),
                                                .password = SLICE_LITERAL("a long enough one")};
    rig_frame(rig, &frame);
    rig_hashed(rig, 0, false);
    assert_int_equal(rig_submitted(rig, 0).body.account.body.register_.invite_hash.bytes, 0);
    rig_advance(rig, 16000);
    rig_expect_error(rig, 3, PB_ERROR_CODE_RETRY);
    rig_outcome(rig, 3, true, 0, 0);
    assert_int_equal(rig->session.state, SESSION_WELCOMED);
    rig_frame(rig, &frame); /* it may ask again */
    rig_hashed(rig, 1, false);
    rig_outcome(rig, 3, false, PB_ERROR_CODE_NAME_TAKEN, 0);
    rig_expect_error(rig, 3, PB_ERROR_CODE_NAME_TAKEN);
    assert_int_equal(rig->given[RATE_INVITE_GUESS], 0); /* it showed none */
    rig_frame(rig, &frame);
    rig_hashed(rig, 2, false);
    rig_outcome(rig, 3, true, 0, 0);
    (void)rig_last(rig, PB_FRAME_BODY_GRANTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_password_is_set_by_who_knows_the_old_one),
        RIG_PLAIN(who_may_invite),
        RIG_TEST(an_invite_out_of_bounds_or_refused_makes_none),
        RIG_TEST(a_grant_enrols_one_device_and_reads_its_own_lists),
        RIG_TEST(a_grant_is_for_the_devices_of_its_user),
        RIG_PLAIN(a_removed_device_is_told_so),
        RIG_TEST(lists_come_in_pages_by_count_and_bytes),
        RIG_TEST(four_requests_wait_for_folds_each_with_its_number),
        RIG_TEST(what_the_log_refuses_is_answered_at_once),
        RIG_TEST(a_late_sign_up_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
