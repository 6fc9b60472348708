/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: sign-in, devices, and commands whose only state is their answer. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/devlist.h"

static void marks_of_each(void **state)
{
    struct pair pair = talking();
    struct pb_event_command ask = {.body_case = PB_EVENT_COMMAND_BODY_MARKS};
    uint8_t ann_id[16] = {1}, bob_id[16] = {2};
    struct pb_mark_state marks[2] = {
        {.user_id = slice_make(ann_id, 16), .delivered_upto = 5, .read_upto = 5},
        {.user_id = slice_make(bob_id, 16), .delivered_upto = 4, .read_upto = 3}};
    (void)state;
    ask.body.marks.chat_id = pair.send.chat_id;
    command(pair.ann, &ask);
    struct pb_marks asked = expect(pair.ann, PB_FRAME_BODY_MARKS).body.marks;
    assert_true(slice_equal(asked.chat_id, pair.send.chat_id));
    struct pb_frame answer = {.req = pair.ann->last_req, .body_case = PB_FRAME_BODY_MARKS_ANSWER};
    answer.body.marks_answer =
        (struct pb_marks_answer){.chat_id = pair.send.chat_id, .marks = marks, .marks_count = 2};
    feed(pair.ann, &answer);
    assert_int_equal(pair.ann->result.request, 7);
    assert_int_equal(pair.ann->result.marks_count, 2);
    assert_true(slice_equal(pair.ann->result.marks[1].user_id, marks[1].user_id));
    assert_true(pair.ann->result.marks[1].delivered_upto == 4 &&
                pair.ann->result.marks[1].read_upto == 3);
    end(pair);
}

static void sign_up_at(struct host *host, struct slice server)
{
    struct pb_event_command ask = {.body_case = PB_EVENT_COMMAND_BODY_REGISTER};
    ask.body.register_ = (struct pb_command_register){
        .server = server, .username = SLICE_LITERAL("ann"), .password = SLICE_LITERAL("secret")};
    command(host, &ask);
}

/* A server that refused the sign-up is pinned for its own address only. */
static void another_server_after_a_refusal(void **state)
{
    struct host *host = host_new();
    (void)state;
    sign_up_at(host, SLICE_LITERAL("http://one"));
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    refuse(host, PB_ERROR_CODE_INVITE_USED, 0);
    sign_up_at(host, SLICE_LITERAL("http://one"));
    assert_true(slice_equal(host->client.server_name, SLICE_LITERAL("home")));
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    refuse(host, PB_ERROR_CODE_INVITE_USED, 0);
    sign_up_at(host, SLICE_LITERAL("http://two"));
    assert_int_equal(host->client.server_name.bytes, 0);
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_of_each),
        cmocka_unit_test(another_server_after_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
