/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: cursors, snapshots, what a server may have lost. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void page(struct host *host, uint64_t useq, struct pb_chat_state *chat)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    frame.body.snapshot_page =
        (struct pb_snapshot_page){.useq = useq, .chats = chat, .chats_count = chat ? 1 : 0};
    feed(host, &frame);
}

/* The cursor lies above what the server has: it goes back, and new entries are shown. */
static void a_cursor_from_the_future(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_entry own = {.body_case = PB_ENTRY_BODY_OWN},
                    entry = message(&pair.send, pair.ann, 2);
    struct pb_chat_state chat = {.chat_id = pair.send.chat_id,
                                 .cseq = 1,
                                 .gen = 1,
                                 .mls_epoch = 1,
                                 .floor = 1,
                                 .policy = pair.created.body.member.policy};
    (void)state;
    own.body.own.chat_id = pair.send.chat_id;
    for (uint64_t useq = 2; useq <= 100; useq++) {
        push(ann, useq, &own);
        expect(ann, PB_FRAME_BODY_ACK);
    }
    reconnect(ann, 50, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    page(ann, 50, &chat);
    assert_true(ann->client.useq == 50);
    size_t shown = ann->shown;
    push(ann, 51, &entry);
    assert_int_equal(ann->shown, shown + 1);
    assert_true(ann->client.useq == 51);
    end(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_from_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
