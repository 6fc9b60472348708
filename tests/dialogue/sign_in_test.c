/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. REGISTER, LOGIN, HELLO, and how a session ends; the directory and
 * invites. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/username.h"
#include "ports/crypto.h"

static void sign_up(struct rig *rig, const char *name, const char *password, const char *invite)
{
    struct pb_frame frame = {.req = 3, .body_case = PB_FRAME_BODY_REGISTER};
    frame.body.register_ = (struct pb_register){.username = slice_text(name),
                                                .password = slice_text(password),
                                                .invite = slice_text(invite)};
    rig_frame(rig, &frame);
}

static void register_is_answered_by_the_fold(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    sign_up(rig, "Ann", "a long enough password", "x");
    rig_expect_error(rig, 3, PB_ERROR_CODE_NAME_INVALID);
    sign_up(rig, "ann", "fourteen chars", "x");
    rig_expect_error(rig, 3, PB_ERROR_CODE_PASSWORD_WEAK);
    sign_up(rig, "ann", "passwordpassword", "x");
    rig_expect_error(rig, 3, PB_ERROR_CODE_PASSWORD_WEAK);
    sign_up(rig, "ann", "a long enough password", "");
    rig_expect_error(rig, 3, PB_ERROR_CODE_INVITE_USED);
    sign_up(rig, "ann", "a long enough password", "secret");
    assert_int_equal(rig->passwords_count, 1);
    sign_up(rig, "ann", "a long enough password", "secret");
    rig_expect_error(rig, 3, PB_ERROR_CODE_BUSY); /* one at a time */
    rig_hashed(rig, 0, false);
    struct pb_record record = rig_submitted(rig, 0);
    assert_int_equal(record.body_case, PB_RECORD_BODY_ACCOUNT);
    const struct pb_account *account = &record.body.account;
    uint8_t hash[SHA256_BYTES];
    struct slice secret = SLICE_LITERAL("secret");
    crypto_sha256(&secret, 1, hash);
    assert_true(slice_equal(account->body.register_.invite_hash, SLICE_OF(hash)));
    assert_int_equal(account->origin.session, 77);
    assert_int_equal(account->origin.req, 3);
    rig_appended(rig, 0, STATUS_OK);
    assert_int_equal(rig->session.state, SESSION_WELCOMED);
    rig_outcome(rig, 3, true, 0, 0);
    const struct pb_frame *frame = rig_last(rig, PB_FRAME_BODY_GRANTED);
    assert_memory_equal(frame->body.granted.user_id.at, rig->submits[0].key, ID_BYTES);
    rig_advance(rig, 119999);
    assert_int_equal(rig->close_code, 1001); /* a frame is due every 75 s, here as anywhere */
}

static void a_refused_sign_up_may_be_repeated(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    sign_up(rig, "ann", "a long enough password", "secret");
    rig_hashed(rig, 0, false);
    rig_outcome(rig, 3, false, PB_ERROR_CODE_NAME_TAKEN, 0);
    rig_expect_error(rig, 3, PB_ERROR_CODE_NAME_TAKEN);
    assert_int_equal(rig->given[RATE_INVITE_GUESS], 1); /* the invite was not at fault */
    sign_up(rig, "bob", "a long enough password", "secret");
    rig_hashed(rig, 1, false);
    rig_appended(rig, 1, STATUS_TIMEOUT);
    rig_expect_error(rig, 3, PB_ERROR_CODE_RETRY);
    sign_up(rig, "bob", "a long enough password", "secret");
    rig_hashed(rig, 2, false);
    rig_outcome(rig, 3, false, PB_ERROR_CODE_INVITE_USED, 0);
    assert_int_equal(rig->given[RATE_INVITE_GUESS], 1);
    rig->config.sign_up = POLICY_CLOSED;
    sign_up(rig, "bob", "a long enough password", "secret");
    rig_expect_error(rig, 3, PB_ERROR_CODE_SIGN_UP_CLOSED);
}

static void log_in(struct rig *rig, const char *name)
{
    struct pb_frame frame = {.req = 4, .body_case = PB_FRAME_BODY_LOGIN};
    frame.body.login = (struct pb_login){.username = slice_text(name),
                                         .password = SLICE_LITERAL("whatever it is")};
    rig_frame(rig, &frame);
}

static void wrong_name_and_wrong_password_are_one(void **state)
{
    struct rig *rig = *state;
    struct pb_name_row name = {.user_id = rig_id(rig, 1)};
    struct pb_user_row user = {.username = SLICE_LITERAL("ann"),
                               .password_hash = SLICE_LITERAL("$real$")};
    struct row_key key = {.table = TABLE_DIR, .n = DIR_NAME};
    username_key(SLICE_LITERAL("ann"), key.a);
    rig_row(rig, key, &pb_name_row_type, &name);
    rig_row(rig, key_one(TABLE_DIR, name.user_id.at, DIR_USER), &pb_user_row_type, &user);
    rig_open(rig);
    static const char *const strangers[] = {"nobody", "a.nn" /* her skeleton, not her name */};
    for (size_t i = 0; i < 2; i++) {
        size_t reads = rig->reads_done;
        log_in(rig, strangers[i]);
        assert_int_equal(rig->reads_done - reads, 2);      /* the same road … */
        assert_int_equal(rig->passwords[i].hash.bytes, 0); /* … to a hash of the same cost */
        rig_hashed(rig, i, false);
        rig_expect_error(rig, 4, PB_ERROR_CODE_AUTH);
    }
    log_in(rig, "ann");
    assert_true(slice_equal(rig->passwords[2].hash, SLICE_LITERAL("$real$")));
    rig_hashed(rig, 2, false);
    rig_expect_error(rig, 4, PB_ERROR_CODE_AUTH);
    assert_int_equal(rig->given[RATE_LOGIN_ACCOUNT], 0); /* wrong ones are counted */
    log_in(rig, "ann");
    rig_hashed(rig, 3, true);
    assert_int_equal(rig->given[RATE_LOGIN_ACCOUNT], 1);
    (void)rig_last(rig, PB_FRAME_BODY_GRANTED);
    struct pb_frame frame = {.req = 5, .body_case = PB_FRAME_BODY_DEVLIST_PUT};
    frame.body.devlist_put.dl = SLICE_LITERAL("list");
    rig_frame(rig, &frame);
    rig_outcome(rig, 5, true, 0, 1);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_OK)->body.ok.ver, 1);
    frame.req = 6; /* a grant enrols one device */
    rig_frame(rig, &frame);
    rig_expect_error(rig, 6, PB_ERROR_CODE_DENIED);
}

static void hello_needs_the_device_key_and_this_nonce(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    rig->session.nonce[0] ^= 1;
    uint8_t seen = rig->session.nonce[0];
    rig_hello(rig, 5, 0, 1); /* signs what the session holds: good */
    assert_int_equal(rig->session.state, SESSION_ATTACHING);
    struct rig *other = rig_new();
    rig_open(other);
    other->hold_reads = true;
    rig_hello(other, 5, 0, 1);
    other->session.nonce[0] = (uint8_t)(seen ^ 2); /* another connection's nonce */
    rig_rows(other, 0, STATUS_OK);
    rig_expect_error(other, 1, PB_ERROR_CODE_AUTH);
    assert_int_equal(other->session.state, SESSION_WELCOMED);
    rig_free(other);
}

static void resume(struct rig *rig, uint64_t cursor, uint32_t epoch, uint64_t head, uint64_t floor)
{
    rig_open(rig);
    rig_hello(rig, 5, cursor, epoch);
    rig_attached(rig, head, floor);
}

static void resume_is_tail_or_snapshot(void **state)
{
    (void)state;
    static const struct {
        uint64_t cursor, head, floor;
        uint32_t epoch;
        enum pb_resume_kind kind;
    } table[] = {
        {10, 10, 0, 1, PB_RESUME_KIND_TAIL},      {9, 10, 9, 1, PB_RESUME_KIND_TAIL},
        {8, 10, 9, 1, PB_RESUME_KIND_SNAPSHOT},   {11, 10, 0, 1, PB_RESUME_KIND_SNAPSHOT},
        {10, 10, 0, 2, PB_RESUME_KIND_SNAPSHOT},  {0, 5000, 0, 1, PB_RESUME_KIND_TAIL},
        {0, 5001, 0, 1, PB_RESUME_KIND_SNAPSHOT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rig *rig = rig_new();
        rig->hold_reads = false;
        resume(rig, table[i].cursor, table[i].epoch, table[i].head, table[i].floor);
        assert_int_equal(rig->session.state, SESSION_LIVE);
        for (size_t f = 0; f < rig->frames_count; f++)
            if (rig->frames[f].body_case == PB_FRAME_BODY_READY)
                assert_int_equal(rig->frames[f].body.ready.resume, table[i].kind);
        assert_int_equal(rig_count(rig, PB_FRAME_BODY_READY), 1);
        rig_free(rig);
    }
}

static void a_low_conn_is_told_and_may_try_again(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    rig_hello(rig, 5, 0, 1);
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACHED};
    rpc.body.attached =
        (struct pb_attached){.session = 77, .conn = 5, .refused = true, .last_conn = 8};
    rig_rpc(rig, &rpc);
    rig_expect_error(rig, 1, PB_ERROR_CODE_CONFLICT);
    assert_int_equal(rig->frames[rig->frames_count - 1].body.error.ver, 8);
    rig_hello(rig, 9, 0, 1);
    rig_attached(rig, 0, 0);
    assert_int_equal(rig->session.state, SESSION_LIVE);
}

static void a_lost_attach_is_repeated_as_the_same_session(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    rig_hello(rig, 5, 3, 1);
    assert_false(rig->rpcs[0].body.attach.again);
    rig_advance(rig, 2000);
    assert_int_equal(rig->rpcs_count, 2);
    assert_true(rig->rpcs[1].body.attach.again);
    assert_int_equal(rig->rpcs[1].body.attach.useq, 3);
}

static void a_proven_cursor_above_the_head_is_a_rollback(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 7, 7);
    rig_ask(rig, 2, PB_FRAME_BODY_PING);
    const struct pb_frame *pong = NULL;
    for (size_t i = 0; i < rig->frames_count; i++)
        if (rig->frames[i].body_case == PB_FRAME_BODY_PONG)
            pong = &rig->frames[i];
    assert_non_null(pong);
    assert_true(pong->body.pong.has_witness);
    for (int kind = 0; kind < 3; kind++) { /* good, forged, of an older log */
        struct rig *other = rig_new();
        struct pb_witness witness = pong->body.pong.witness;
        witness.useq += kind == 1;
        other->config.log_epoch = kind == 2 ? 2 : 1;
        rig_open(other);
        other->hold_reads = true;
        rig_hello(other, 6, 7, 1);
        struct pb_frame hello;
        assert_int_equal(pb_frame_decode(other->reads[0].held, &other->keep, &hello), STATUS_OK);
        hello.body.hello.witness = &witness;
        hello.body.hello.witness_count = 1;
        other->reads[0].held = pb_frame_pack(&hello, &other->keep);
        rig_rows(other, 0, STATUS_OK);
        other->hold_reads = false;
        rig_attached(other, 5, 0);
        assert_int_equal(other->alarms_count, 1);
        assert_int_equal(other->alarm, kind == 0 ? ALARM_ROLLBACK : ALARM_CLAIM);
        rig_free(other);
    }
}

static void fence_and_revoke_say_goodbye(void **state)
{
    (void)state;
    for (int revoke = 0; revoke < 3; revoke++) {
        struct rig *rig = rig_new();
        rig_live(rig, 0, 0);
        struct pb_rpc rpc = {.body_case = PB_RPC_BODY_FENCE};
        rpc.body.fence.conn = 5; /* its own: not newer */
        rig_rpc(rig, &rpc);
        assert_int_equal(rig->session.state, SESSION_LIVE);
        rpc.body.fence.conn = 6;
        if (revoke)
            rpc = (struct pb_rpc){.body_case = PB_RPC_BODY_REVOKE};
        if (revoke)
            rpc.body.revoke.suspended = revoke == 2;
        rig_rpc(rig, &rpc);
        assert_int_equal(rig_last(rig, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                         revoke == 2   ? PB_GOAWAY_REASON_SUSPENDED
                         : revoke == 1 ? PB_GOAWAY_REASON_SIGNED_OUT
                                       : PB_GOAWAY_REASON_FENCED);
        assert_int_equal(rig->close_code, 1000);
        rig_free(rig);
    }
}

static void lookup_finds_the_exact_name_only(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *asked;
        bool closed, found;
    } table[] = {{"bob", false, true},
                 {"b0b", false, false},
                 {"bob_", false, false},
                 {"carl", false, false},
                 {"bob", true, false}};
    rig_live(rig, 0, 0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct pb_name_row name = {.user_id = rig_id(rig, 2)};
        struct pb_user_row user = {
            .username = SLICE_LITERAL("bob"), .dl_n = 4, .closed = table[i].closed};
        struct row_key key = {.table = TABLE_DIR, .n = DIR_NAME};
        username_key(SLICE_LITERAL("bob"), key.a);
        rig_row(rig, key, &pb_name_row_type, &name);
        rig_row(rig, key_one(TABLE_DIR, name.user_id.at, DIR_USER), &pb_user_row_type, &user);
        struct pb_frame frame = {.req = 7, .body_case = PB_FRAME_BODY_LOOKUP};
        frame.body.lookup.username = slice_text(table[i].asked);
        rig_frame(rig, &frame);
        if (table[i].found)
            assert_int_equal(rig_last(rig, PB_FRAME_BODY_LOOKUP_ANSWER)->body.lookup_answer.dl_n,
                             4);
        else
            rig_expect_error(rig, 7, PB_ERROR_CODE_NOT_FOUND);
    }
}

static void an_invite_tells_the_secret_and_submits_its_hash(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    rig_ask(rig, 2, PB_FRAME_BODY_INVITE);
    struct pb_account_invite asked = rig_submitted(rig, 0).body.account.body.invite;
    rig_ask(rig, 3, PB_FRAME_BODY_INVITE);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BUSY);
    rig_outcome(rig, 2, true, 0, 0);
    struct slice secret = rig_last(rig, PB_FRAME_BODY_INVITE_ANSWER)->body.invite_answer.secret;
    uint8_t hash[SHA256_BYTES];
    crypto_sha256(&secret, 1, hash);
    assert_int_equal(secret.bytes, 22);
    assert_true(slice_equal(asked.invite_hash, SLICE_OF(hash)));
    rig->config.members_invite = false;
    rig_ask(rig, 4, PB_FRAME_BODY_INVITE);
    rig_expect_error(rig, 4, PB_ERROR_CODE_DENIED);
}

static void a_lost_outcome_becomes_retry(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_VAULT_PUT};
    frame.body.vault_put = (struct pb_vault_put){.ver = 3, .blob = SLICE_LITERAL("b")};
    rig_frame(rig, &frame);
    rig_appended(rig, 0, STATUS_OK);
    rig_advance(rig, 16000);
    rig_expect_error(rig, 2, PB_ERROR_CODE_RETRY);
    size_t frames = rig->frames_count;
    rig_outcome(rig, 2, true, 0, 3); /* too late */
    assert_int_equal(rig->frames_count, frames);
    frame.req = 3;
    rig_frame(rig, &frame);
    rig_outcome(rig, 3, false, PB_ERROR_CODE_CONFLICT, 7);
    rig_expect_error(rig, 3, PB_ERROR_CODE_CONFLICT);
    assert_int_equal(rig->frames[rig->frames_count - 1].body.error.ver, 7);
}

static void a_store_that_fails_is_busy_and_nothing_hangs(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 3, 10);
    rig_live(rig, 3, 3);
    rig->hold_reads = true;
    rig_sync(rig, 2, 1);
    rig_rows(rig, 0, STATUS_TIMEOUT);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BUSY);
    rig->hold_reads = false;
    rig_sync(rig, 3, 1);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_SYNC_PART), 1);
    assert_int_equal(rig->session.in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(register_is_answered_by_the_fold),
        RIG_TEST(a_refused_sign_up_may_be_repeated),
        RIG_TEST(wrong_name_and_wrong_password_are_one),
        RIG_TEST(hello_needs_the_device_key_and_this_nonce),
        RIG_TEST(resume_is_tail_or_snapshot),
        RIG_TEST(a_low_conn_is_told_and_may_try_again),
        RIG_TEST(a_lost_attach_is_repeated_as_the_same_session),
        RIG_TEST(a_proven_cursor_above_the_head_is_a_rollback),
        RIG_TEST(fence_and_revoke_say_goodbye),
        RIG_TEST(lookup_finds_the_exact_name_only),
        RIG_TEST(an_invite_tells_the_secret_and_submits_its_hash),
        RIG_TEST(a_lost_outcome_becomes_retry),
        RIG_TEST(a_store_that_fails_is_busy_and_nothing_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
