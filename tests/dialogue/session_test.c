/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. States, the table of commands, deadlines. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/command.h"

static void a_welcome_has_the_nonce_and_arms_the_deadline(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    const struct pb_frame *frame = rig_last(rig, PB_FRAME_BODY_WELCOME);
    assert_memory_equal(frame->body.welcome.nonce.at, rig->session.nonce, 32);
    assert_int_equal(rig->armed_ms, 1000 + 10000);
    rig_advance(rig, 9999);
    assert_int_equal(rig->close_code, 0);
    rig_ask(rig, 0, PB_FRAME_BODY_PING); /* does not extend it */
    rig_advance(rig, 1);
    assert_int_equal(rig->close_code, 1008);
}

/* What the protocol allows in which state, said a second time (protocol §3, issue). */
static uint32_t allowed(uint8_t tag)
{
    switch (tag) {
    case PB_FRAME_BODY_REGISTER:
    case PB_FRAME_BODY_LOGIN: return IN(SESSION_WELCOMED);
    case PB_FRAME_BODY_HELLO: return IN(SESSION_WELCOMED) | IN(SESSION_GRANTED);
    case PB_FRAME_BODY_DEVLIST_PUT:
    case PB_FRAME_BODY_DEVLIST_GET:
    case PB_FRAME_BODY_VAULT_PUT:
    case PB_FRAME_BODY_VAULT_GET: return IN(SESSION_GRANTED) | IN(SESSION_LIVE);
    case PB_FRAME_BODY_PING: return 0x1e;
    default: return IN(SESSION_LIVE);
    }
}

static struct slice frame_of(struct rig *rig, uint8_t tag)
{
    struct pb_frame frame = {.req = 9, .body_case = tag};
    struct slice id = rig_id(rig, 1);
    uint8_t sig[64] = {1};
    switch (tag) { /* only what must be there to be read */
    case PB_FRAME_BODY_HELLO:
        frame.body.hello = (struct pb_hello){.device_id = id, .sig = SLICE_OF(sig)};
        break;
    case PB_FRAME_BODY_DEVLIST_GET: frame.body.devlist_get.user_id = id; break;
    case PB_FRAME_BODY_CHAT_CREATE:
        frame.body.chat_create = (struct pb_chat_create){.chat_id = id, .mid = id};
        break;
    case PB_FRAME_BODY_SEND: frame.body.send = (struct pb_send){.chat_id = id, .mid = id}; break;
    case PB_FRAME_BODY_DELIVERED: frame.body.delivered.chat_id = id; break;
    case PB_FRAME_BODY_HISTORY: frame.body.history.chat_id = id; break;
    case PB_FRAME_BODY_MARKS: frame.body.marks.chat_id = id; break;
    case PB_FRAME_BODY_READ: frame.body.read.chat_id = id; break;
    default: break;
    }
    return pb_frame_pack(&frame, &rig->keep);
}

static void every_command_in_every_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *command = command_at(i);
        assert_int_equal(command->states, allowed(command->tag));
        for (unsigned in = SESSION_WELCOMED; in < SESSION_CLOSING; in++) {
            struct rig *rig = rig_new();
            rig_live(rig, 0, 0);
            rig->session.state = (uint8_t)in;
            rig->session.deadline_ms = in == SESSION_LIVE ? 0 : rig->mono_ms + 5000;
            rig->hold_reads = true;
            struct slice frame = frame_of(rig, command->tag);
            assert_int_equal(session_rate(frame), command->rate);
            uint8_t offences = rig->session.offences;
            size_t frames = rig->frames_count;
            rig_bytes(rig, frame, command->rate == RATE_NONE ? 0 : 7);
            if ((command->states & IN(in)) == 0) {
                rig_expect_error(rig, 9, PB_ERROR_CODE_BAD_FRAME);
                assert_int_equal(rig->session.offences, offences + 1);
            } else if (command->rate != RATE_NONE) { /* the limiter speaks before the command */
                rig_expect_error(rig, 9, PB_ERROR_CODE_LIMIT);
                assert_int_equal(rig->frames[frames].body.error.retry_ms, 7);
            }
            rig_free(rig);
        }
    }
}

static void unknown_is_unsupported_and_garbage_counts(void **state)
{
    struct rig *rig = *state;
    rig_open(rig);
    for (int i = 0; i < 9; i++)
        rig_ask(rig, 4, PB_FRAME_BODY_KP_PUT);
    rig_expect_error(rig, 4, PB_ERROR_CODE_UNSUPPORTED);
    rig_ask(rig, 5, PB_FRAME_BODY_GOAWAY); /* the server's own word is no command */
    rig_expect_error(rig, 5, PB_ERROR_CODE_UNSUPPORTED);
    assert_int_equal(rig->close_code, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig->close_code, 0);
        rig_bytes(rig, SLICE_LITERAL("\xff\xff\xff"), 0);
    }
    assert_int_equal(rig->close_code, 1008);
    size_t before = rig->frames_count;
    rig_ask(rig, 1, PB_FRAME_BODY_PING);
    assert_int_equal(rig->frames_count, before); /* closing: no word more */
}

static void silence_closes(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    rig_advance(rig, 74999);
    assert_int_equal(rig->close_code, 0);
    rig_ask(rig, 0, PB_FRAME_BODY_PING);
    rig_advance(rig, 74999);
    assert_int_equal(rig->close_code, 0);
    rig_advance(rig, 1);
    assert_int_equal(rig->close_code, 1001);
    const struct pb_rpc *told = &rig->rpcs[rig->rpcs_count - 1]; /* its owner hears, and once */
    assert_int_equal(told->body_case, PB_RPC_BODY_DETACH);
    assert_int_equal(told->body.detach.conn, rig->session.conn);
    size_t rpcs = rig->rpcs_count;
    struct event closed = {.kind = EVENT_CLOSED};
    rig_event(rig, &closed);
    assert_int_equal(rig->rpcs_count, rpcs);
}

static void read_only_refuses_writes_only(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 1, 10);
    rig_live(rig, 1, 1);
    rig->config.read_only = true;
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 1);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_READ_ONLY);
    rig_sync(rig, 3, 1);
    (void)rig_last(rig, PB_FRAME_BODY_SYNC_PART);
}

static void folds_behind_answer_writes_busy(void **state)
{
    struct rig *rig = *state;
    rig_chat(rig, 9, 1, 10);
    rig_live(rig, 1, 1);
    rig->config.busy = true;
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 1);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BUSY);
    rig_sync(rig, 3, 1);
    (void)rig_last(rig, PB_FRAME_BODY_SYNC_PART);
    rig->config.busy = false;
    frame.req = 4;
    rig_frame(rig, &frame); /* out of step since: not before the client starts again */
    rig_expect_error(rig, 4, PB_ERROR_CODE_RETRY);
    frame.req = 5;
    frame.body.send.start = true;
    rig_frame(rig, &frame);
    assert_int_equal(rig->submits_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_welcome_has_the_nonce_and_arms_the_deadline),
        RIG_TEST(every_command_in_every_state),
        RIG_TEST(unknown_is_unsupported_and_garbage_counts),
        RIG_TEST(silence_closes),
        RIG_TEST(read_only_refuses_writes_only),
        RIG_TEST(folds_behind_answer_writes_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
