/* SPDX-License-Identifier: Apache-2.0
 * Dialogues with one session. SEND and R1, CHAT_CREATE. */
#include "session_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ports/crypto.h"
#include "wire/envelope.h"

static void a_send_is_acknowledged_when_durable(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 1);
    rig_frame(rig, &frame);
    assert_int_equal(rig_count(rig, PB_FRAME_BODY_SENT), 0);
    assert_int_equal(rig->submits[0].topic, 1);
    assert_int_equal(rig->submits[0].key[0], 9);
    rig_appended(rig, 0, STATUS_OK);
    const struct pb_sent *sent = &rig_last(rig, PB_FRAME_BODY_SENT)->body.sent;
    assert_true(slice_equal(sent->mid, frame.body.send.mid));
    assert_true(sent->has_witness);
    frame = rig_send_frame(rig, 3, 9, 2);
    rig_frame(rig, &frame);
    rig_appended(rig, 1, STATUS_OK);
    assert_false(rig_last(rig, PB_FRAME_BODY_SENT)->body.sent.has_witness); /* one a second */
}

static void an_envelope_of_another_is_an_offence(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 1);
    frame.body.send.chat_id = rig_id(rig, 8);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    frame = rig_send_frame(rig, 3, 9, 1);
    frame.body.send.sctr = 2;
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BAD_FRAME);
    frame = rig_send_frame(rig, 4, 9, 1);
    rig->session.device.at[0] = 3;
    rig_frame(rig, &frame);
    rig_expect_error(rig, 4, PB_ERROR_CODE_BAD_FRAME);
    assert_int_equal(rig->submits_count, 0);
}

static void after_a_timeout_a_chat_waits_for_its_start(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame;
    for (uint32_t i = 1; i <= 3; i++) { /* three under way */
        frame = rig_send_frame(rig, i + 1, 9, i);
        rig_frame(rig, &frame);
    }
    frame = rig_send_frame(rig, 9, 8, 1); /* another chat */
    rig_frame(rig, &frame);
    rig_appended(rig, 0, STATUS_TIMEOUT);
    rig_expect_error(rig, 2, PB_ERROR_CODE_RETRY);
    rig_appended(rig, 1, STATUS_OK); /* durable, but #1 is not known to be */
    rig_expect_error(rig, 3, PB_ERROR_CODE_RETRY);
    rig_appended(rig, 3, STATUS_OK);
    (void)rig_last(rig, PB_FRAME_BODY_SENT); /* the other chat is not hurt */
    frame = rig_send_frame(rig, 10, 9, 4);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 10, PB_ERROR_CODE_RETRY);
    assert_int_equal(rig->submits_count, 4);
    frame = rig_send_frame(rig, 11, 9, 1);
    frame.body.send.start = true;
    rig_frame(rig, &frame);
    assert_int_equal(rig->submits_count, 5);
    rig_appended(rig, 2, STATUS_OK); /* submitted before the start: never acknowledged */
    rig_expect_error(rig, 4, PB_ERROR_CODE_RETRY);
    rig_appended(rig, 4, STATUS_OK);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_SENT)->req, 11);
    frame = rig_send_frame(rig, 12, 9, 2);
    rig_frame(rig, &frame);
    rig_appended(rig, 5, STATUS_OK);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_SENT)->req, 12);
}

static void a_refused_send_stalls_its_chat_too(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 1);
    rig_bytes(rig, pb_frame_pack(&frame, &rig->keep), 300);
    rig_expect_error(rig, 2, PB_ERROR_CODE_LIMIT);
    frame = rig_send_frame(rig, 3, 9, 2); /* would overtake it */
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_RETRY);
    assert_int_equal(rig->submits_count, 0);
}

static void device_row(struct rig *rig, uint8_t device, uint8_t user, uint64_t removed_n)
{
    uint8_t key[32] = {1};
    struct slice id = rig_id(rig, device);
    struct pb_device_row row = {
        .user_id = rig_id(rig, user), .sigpub = SLICE_OF(key), .removed_n = removed_n};
    rig_row(rig, key_one(TABLE_DIR, id.at, DIR_DEVICE), &pb_device_row_type, &row);
}

static struct pb_frame create_frame(struct rig *rig, uint8_t leaf, uint8_t *chat)
{
    struct pb_frame frame = {.req = 2, .body_case = PB_FRAME_BODY_CHAT_CREATE};
    struct slice *leaves = ARENA_ARRAY(&rig->keep, struct slice, 2);
    uint8_t text[DIRECT_CHAT_INPUT_BYTES];
    direct_chat_input(rig_id(rig, 1).at, rig_id(rig, 2).at, text);
    struct slice part = SLICE_OF(text);
    crypto_sha256(&part, 1, chat);
    leaves[0] = rig_id(rig, 1);
    leaves[1] = rig_id(rig, leaf);
    frame.body.chat_create = (struct pb_chat_create){.chat_id = slice_make(chat, ID_BYTES),
                                                     .gen = 1,
                                                     .mid = rig_id(rig, 70),
                                                     .mls_epoch = 1,
                                                     .policy = SLICE_LITERAL("policy"),
                                                     .leaves = leaves,
                                                     .leaves_count = 2};
    return frame;
}

static void a_chat_is_of_two_users_and_their_listed_devices(void **state)
{
    struct rig *rig = *state;
    static uint8_t chat[SHA256_BYTES];
    rig_live(rig, 0, 0);
    device_row(rig, 2, 2, 0);
    device_row(rig, 3, 3, 0);
    device_row(rig, 4, 2, 5);                   /* removed */
    for (uint8_t leaf = 3; leaf <= 5; leaf++) { /* a third user's, a removed, an unknown one */
        struct pb_frame frame = create_frame(rig, leaf, chat);
        rig_frame(rig, &frame);
        rig_expect_error(rig, 2, PB_ERROR_CODE_DENIED);
        struct slice leaves[] = {rig_id(rig, leaf), rig_id(rig, 1), rig_id(rig, 2)};
        frame.body.chat_create.leaves = leaves; /* beside the right ones */
        frame.body.chat_create.leaves_count = 3;
        rig_frame(rig, &frame);
        rig_expect_error(rig, 2, PB_ERROR_CODE_DENIED);
    }
    struct pb_frame frame = create_frame(rig, 2, chat);
    rig_frame(rig, &frame);
    struct pb_create create = rig_submitted(rig, 0).body.create;
    assert_int_equal(create.leaf_users_count, 2);
    assert_int_equal(create.leaf_users[1].at[0], 2);
    rig_appended(rig, 0, STATUS_OK);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_SENT)->req, 2);
}

static void a_send_does_not_overtake_the_creation(void **state)
{
    struct rig *rig = *state;
    static uint8_t chat[SHA256_BYTES];
    rig_live(rig, 0, 0);
    device_row(rig, 2, 2, 0);
    rig->hold_reads = true;
    struct pb_frame frame = create_frame(rig, 2, chat);
    rig_frame(rig, &frame);
    frame = rig_send_frame(rig, 3, 9, 1);
    uint8_t *envelope = arena_alloc(&rig->keep, frame.body.send.envelope.bytes);
    memcpy(envelope, frame.body.send.envelope.at, frame.body.send.envelope.bytes);
    memcpy(envelope + 2, chat, ID_BYTES); /* the header's chat */
    frame.body.send.envelope.at = envelope;
    frame.body.send.chat_id = slice_make(chat, ID_BYTES);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BUSY);
    assert_int_equal(rig->submits_count, 0);
    rig_rows(rig, 0, STATUS_OK);
    assert_int_equal(rig->submits_count, 1);
    frame.body.send.start = true;
    rig_frame(rig, &frame);
    assert_int_equal(rig->submits_count, 2);
}

/* Four chats may be out of step; with a fifth, a fresh connection is in step with every chat. */
static void a_connection_that_is_out_of_step_too_often_ends(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    for (uint8_t i = 1; i <= 5; i++) {
        struct pb_frame frame = rig_send_frame(rig, i, (uint8_t)(10 + i), 1);
        rig_bytes(rig, pb_frame_pack(&frame, &rig->keep), 300);
        assert_int_equal(rig->close_code, i < 5 ? 0 : 1013);
    }
}

static void a_chat_that_started_again_goes_on_before_the_old_ones_are_answered(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        struct pb_frame frame = rig_send_frame(rig, i + 1, 9, i);
        rig_frame(rig, &frame);
    }
    rig_appended(rig, 0, STATUS_BUSY);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BUSY);
    struct pb_frame frame = rig_send_frame(rig, 5, 9, 1);
    frame.body.send.start = true;
    rig_frame(rig, &frame);
    frame = rig_send_frame(rig, 6, 9, 2);
    rig_frame(rig, &frame);
    rig_appended(rig, 3, STATUS_OK);
    assert_int_equal(rig_last(rig, PB_FRAME_BODY_SENT)->req, 6);
    rig_appended(rig, 1, STATUS_OK); /* of before the start */
    rig_expect_error(rig, 3, PB_ERROR_CODE_RETRY);
}

/* Typing and the like go another way; a send under a transient header would be numbered. */
static void a_transient_envelope_is_no_send(void **state)
{
    struct rig *rig = *state;
    rig_live(rig, 0, 0);
    struct pb_frame frame = rig_send_frame(rig, 2, 9, 0);
    uint8_t *envelope = (uint8_t *)(uintptr_t)frame.body.send.envelope.at;
    struct envelope read;
    envelope[1] = PB_MESSAGE_KIND_TRANSIENT;
    assert_int_equal(envelope_read(frame.body.send.envelope, &read), STATUS_OK);
    rig_frame(rig, &frame);
    rig_expect_error(rig, 2, PB_ERROR_CODE_BAD_FRAME);
    frame = rig_send_frame(rig, 3, 9, 0); /* counters begin at 1 */
    rig_frame(rig, &frame);
    rig_expect_error(rig, 3, PB_ERROR_CODE_BAD_FRAME);
    assert_int_equal(rig->submits_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_send_is_acknowledged_when_durable),
        RIG_TEST(an_envelope_of_another_is_an_offence),
        RIG_TEST(after_a_timeout_a_chat_waits_for_its_start),
        RIG_TEST(a_refused_send_stalls_its_chat_too),
        RIG_TEST(a_chat_is_of_two_users_and_their_listed_devices),
        RIG_TEST(a_send_does_not_overtake_the_creation),
        RIG_TEST(a_connection_that_is_out_of_step_too_often_ends),
        RIG_TEST(a_chat_that_started_again_goes_on_before_the_old_ones_are_answered),
        RIG_TEST(a_transient_envelope_is_no_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
