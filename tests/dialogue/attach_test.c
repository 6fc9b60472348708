/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. What the owner of the inbox says to it, in any state, and what a
 * runtime may do out of turn. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pb_rpc attached(const struct rig *rig, uint64_t head)
{
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACHED};
    rpc.body.attached = (struct pb_attached){
        .session = 77, .conn = rig->session.conn, .useq = head, .dl_n = 1, .log_epoch = 1};
    return rpc;
}

static void a_new_owner_tells_the_session_what_it_knows(void **state)
{
    struct rig *rig = *state;
    struct event changed = {.kind = EVENT_OWNER_CHANGED};
    rig_open(rig);
    rig_event(rig, &changed); /* nobody yet: nothing to attach */
    assert_int_equal(rig->rpcs_count, 0);
    rig_hello(rig, 5, 3, 1);
    rig_event(rig, &changed);
    assert_int_equal(rig->rpcs_count, 2); /* the first one may have gone to the old owner */
    rig_attached(rig, 3, 0);
    rig_event(rig, &changed);
    assert_true(rig->rpcs[2].body.attach.again);
    struct pb_rpc rpc = attached(rig, 2); /* it lags: what was told stays */
    rig_rpc(rig, &rpc);
    assert_int_equal(rig->session.head, 3);
    rpc.body.attached.useq = 4;
    rpc.body.attached.floor = 1;
    rpc.body.attached.read_only = true;
    rig->hold_reads = true;
    rig_rpc(rig, &rpc);
    assert_int_equal(rig->session.head, 4);
    assert_int_equal(rig->session.floor, 1);
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 1);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_READ_ONLY);
    rpc.body.attached.log_epoch = 2; /* a restored log has other numbers: HELLO decides anew */
    rig_rpc(rig, &rpc);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                     PB_GOAWAY_REASON_DRAIN);
    assert_int_equal(rig->close_code, 1000);
}

/* A process that stood still may speak for a device that was signed out meanwhile (I18). */
static void no_sent_until_a_new_owner_has_spoken(void **state)
{
    struct rig *rig = *state;
    struct event changed = {.kind = EVENT_OWNER_CHANGED};
    rig_live(rig, 0, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        struct pb_frame frame = rig_send_frame(rig, i + 1, 9, i);
        rig_frame(rig, &frame);
    }
    rig_event(rig, &changed);
    rig_appended(rig, 0, STATUS_OK);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_SENT), 0);
    rig_expect_error(rig, 2, PB_ERROR_CODE_RETRY);
    struct pb_rpc rpc = attached(rig, 0);
    rig_rpc(rig, &rpc);
    rig_appended(rig, 1, STATUS_OK);
    (void)rig_last(rig, PB_FRAME_BODY_SENT);
}

static void an_owner_ends_a_session(void **state)
{
    (void)state;
    static const struct {
        bool live, signed_out, refused;
        uint64_t conn, last_conn; /* the session's is 5 */
        uint32_t reason;          /* 0: it lives on */
    } table[] = {
        {false, true, false, 5, 0, PB_GOAWAY_REASON_SIGNED_OUT},
        {true, true, false, 5, 0, PB_GOAWAY_REASON_SIGNED_OUT},
        {true, false, true, 5, 6, PB_GOAWAY_REASON_FENCED},
        {true, false, true, 5, 5, 0}, /* its own number: an answer to a repeat */
        {true, true, true, 4, 9, 0},  /* of an older connection of the device */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rig *rig = rig_new();
        rig_open(rig);
        rig_hello(rig, 5, 0, 1);
        if (table[i].live)
            rig_attached(rig, 0, 0);
        uint8_t before = rig->session.state;
        struct pb_rpc rpc = attached(rig, 0);
        rpc.body.attached.signed_out = table[i].signed_out;
        rpc.body.attached.refused = table[i].refused;
        rpc.body.attached.conn = table[i].conn;
        rpc.body.attached.last_conn = table[i].last_conn;
        rig_rpc(rig, &rpc);
        if (table[i].reason != 0)
            assert_int_equal(rig_last(rig, PB_FRAME_BODY_GOAWAY)->body.goaway.reason,
                             table[i].reason);
        assert_int_equal(rig->session.state, table[i].reason ? SESSION_CLOSING : before);
        rig_free(rig);
    }
}

/* What is meant for a device finds none: nothing is said, and nobody becomes anybody. */
static void words_for_a_device_pass_by_a_stranger(void **state)
{
    struct rig *rig = *state;
    static const enum pb_rpc_body bodies[] = {
        PB_RPC_BODY_NONE,    PB_RPC_BODY_ATTACH, PB_RPC_BODY_ATTACHED,
        PB_RPC_BODY_DELIVER, PB_RPC_BODY_FENCE,  PB_RPC_BODY_REVOKE,
        PB_RPC_BODY_OUTCOME, PB_RPC_BODY_DETACH, PB_RPC_BODY_ACKED};
    rig_open(rig);
    size_t frames = rig->frames_count;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct pb_rpc rpc = {.body_case = bodies[i]};
        if (bodies[i] == PB_RPC_BODY_FENCE)
            rpc.body.fence.conn = 9;
        rig_rpc(rig, &rpc);
    }
    assert_int_equal(rig->frames_count, frames);
    assert_int_equal(rig->session.state, SESSION_WELCOMED);
    assert_int_equal(rig->close_code, 0);
}

static void before_and_after_its_life_a_session_does_nothing(void **state)
{
    struct rig *rig = *state;
    static const enum event_kind kinds[] = {EVENT_TIMER, EVENT_WRITABLE, EVENT_CLOSED};
    rig_ask(rig, 2, PB_FRAME_BODY_PING); /* before OPENED */
    assert_int_equal(rig->frames_count, 0);
    rig_open(rig);
    rig_open(rig); /* twice: one WELCOME */
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_WELCOME), 1);
    for (size_t i = 0; i < 3; i++) {
        struct event event = {.kind = kinds[i]};
        rig_event(rig, &event);
    }
    assert_int_equal(rig->session.state, SESSION_CLOSING);
    struct event late = {.kind = EVENT_ROWS, .ticket = {.op = OP_TAIL}};
    rig_event(rig, &late);
    rig_ask(rig, 2, PB_FRAME_BODY_PING);
    assert_int_equal(rig->frames_count, 1);
    assert_int_equal(rig->rpcs_count, 0);
}

static void a_process_that_drains_says_when_to_come_back(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct event drain = {.kind = EVENT_DRAIN, .retry_ms = 1234};
    rig_event(rig, &drain);
    const struct pb_goaway *goaway = &rig_last(rig, PB_FRAME_BODY_GOAWAY)->body.goaway;
    assert_int_equal(goaway->reason, PB_GOAWAY_REASON_DRAIN);
    assert_int_equal(goaway->retry_ms, 1234);
    assert_int_equal(rig->rpcs[rig->rpcs_count - 1].body_case, PB_RPC_BODY_DETACH);
}

/* The deadline passes with a request under way: closed, and no word after the CLOSE. */
static void a_close_is_the_last_word(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_VAULT_PUT};
    rig_frame(rig, &frame);
    size_t frames = rig->frames_count;
    rig_advance(rig, 75000); /* both the silence and the fold's answer are due */
    assert_int_equal(rig->close_code, 1001);
    assert_int_equal(rig->frames_count, frames);
}

/* One message at a time is timed from the log to its ACK. */
static void the_age_of_a_delivery_is_tallied_at_its_ack(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct rig *rig = rig_new();
        rig_live(rig, 0, 0);
        struct pb_rpc rpc = {.body_case = PB_RPC_BODY_DELIVER};
        rpc.body.deliver = (struct pb_deliver){.user_id = rig_id(rig, 1), .has_entry = true};
        struct pb_entry *entry = &rpc.body.deliver.entry;
        entry->body_case = PB_ENTRY_BODY_MESSAGE;
        entry->body.message = (struct pb_message){
            .chat_id = rig_id(rig, 9), .cseq = 1, .user_id = rig_id(rig, 2), .sctr = 1};
        entry->body.message.device_id = entry->body.message.mid = rig_id(rig, 2);
        uint64_t now_ms = 1700000000000u + rig->mono_ms;
        for (uint64_t useq = 1; useq <= 3; useq++) {
            rpc.body.deliver.useq = useq;
            entry->body.message.ts = now_ms + (late ? 60000 : 0); /* a clock that is ahead */
            rig_rpc(rig, &rpc);
        }
        assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 3);
        assert_int_equal(rig->session.sampled, 1);
        rig->mono_ms += 40;
        rig_ack(rig, 2);
        assert_true(rig->tally.aged);
        assert_int_equal(rig->tally.age_ms, late ? 0 : 40);
        assert_int_equal(rig->tally.acked, 2);
        rig_ack(rig, 3);
        assert_false(rig->tally.aged);
        rig_free(rig);
    }
}

static void a_shut_window_takes_no_delivery(void **state)
{
    struct rig *rig = *state;
    rig->config.window_entries = 2;
    rig_live(rig, 0, 0);
    for (uint64_t useq = 1; useq <= 3; useq++)
        rig_deliver(rig, useq, true);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_PUSH), 2);
    assert_int_equal(rig->session.head, 3); /* known, and read again when there is room */
    rig->hold_reads = true;
    rig_ack(rig, 1);
    assert_int_equal(rig->reads_count, 1);
    rig_ask(rig, 2, PB_FRAME_BODY_PING);
    rig_ask(rig, 3, PB_FRAME_BODY_PING); /* one look at the head at a time */
    assert_int_equal(rig->reads_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_new_owner_tells_the_session_what_it_knows),
        RIG_TEST(no_sent_until_a_new_owner_has_spoken),
        RIG_PLAIN(an_owner_ends_a_session),
        RIG_TEST(words_for_a_device_pass_by_a_stranger),
        RIG_TEST(before_and_after_its_life_a_session_does_nothing),
        RIG_TEST(a_process_that_drains_says_when_to_come_back),
        RIG_TEST(a_close_is_the_last_word),
        RIG_PLAIN(the_age_of_a_delivery_is_tallied_at_its_ack),
        RIG_TEST(a_shut_window_takes_no_delivery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
