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

static void no_acks(struct host *host)
{
    while (host->frame_count && host->frames[0].body_case == PB_FRAME_BODY_ACK)
        expect(host, PB_FRAME_BODY_ACK);
}

/* Ann's first and second message are in the log, at 2 and 3; her third is on its way. */
static struct pair three_sent(struct pb_send sends[3])
{
    struct pair pair = talking();
    sends[0] = pair.send;
    for (uint64_t i = 0; i < 2; i++) {
        struct pb_entry entry = message(&sends[i], pair.ann, 2 + i),
                        receipt = {.body_case = PB_ENTRY_BODY_RECEIPT};
        receipt.body.receipt =
            (struct pb_receipt_entry){.chat_id = pair.send.chat_id, .delivered_by_all = 2 + i};
        push(pair.ann, 2 + 2 * i, &entry);
        push(pair.ann, 3 + 2 * i, &receipt);
        no_acks(pair.ann);
        send_to(pair.ann, "bob", "again");
        sends[i + 1] = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    }
    return pair;
}

/* The server comes back from a copy that holds the first message only. */
static void a_restored_server(void **state)
{
    struct pb_send sends[3];
    struct pair pair = three_sent(sends);
    struct host *ann = pair.ann;
    struct pb_chat_state chat = {.chat_id = pair.send.chat_id,
                                 .cseq = 2,
                                 .gen = 1,
                                 .mls_epoch = 1,
                                 .floor = 1,
                                 .policy = pair.created.body.member.policy,
                                 .last_sctr = 1,
                                 .last_mid = pair.send.mid,
                                 .last_cseq = 2};
    (void)state;
    restart(ann); /* the journal is stored */
    ann->epoch = 2;
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, 2, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    page(ann, 2, &chat);
    assert_true(ann->client.useq == 2 && ann->client.log_epoch == 2);
    assert_int_equal(client_tick(client_chat_find(&ann->client, pair.send.chat_id.at), 3),
                     PB_TICK_SENT); /* the receipt was for what is gone */
    no_acks(ann);
    size_t shown = ann->shown;
    for (uint64_t i = 1; i < 3; i++) {
        struct pb_send again = expect(ann, PB_FRAME_BODY_SEND).body.send;
        assert_true(again.sctr == i + 1 && again.start == (i == 1));
        assert_true(slice_equal(again.mid, sends[i].mid));
        sends[i] = again;
    }
    silent(ann);
    for (uint64_t i = 1; i < 3; i++) {
        struct pb_entry entry = message(&sends[i], ann, 2 + i);
        push(ann, 2 + i, &entry);
    }
    assert_int_equal(ann->shown, shown + 2); /* also the one whose number was taken */
    assert_int_equal(ann->client.outbox_count, 0);
    assert_int_equal(ann->client.journal_count, 3);
    assert_int_equal(ann->failed, 0);
    end(pair);
}

/* The copy is older than the chat: it is created again, and everything sent again. */
static void a_server_without_the_chat(void **state)
{
    struct pb_send sends[3];
    struct pair pair = three_sent(sends);
    struct host *ann = pair.ann;
    (void)state;
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    ann->frame_count = 0;
    ann->epoch = 2;
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, 0, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    page(ann, 0, NULL);
    no_acks(ann);
    struct pb_chat_create create = expect(ann, PB_FRAME_BODY_CHAT_CREATE).body.chat_create;
    assert_true(slice_equal(create.chat_id, pair.send.chat_id));
    silent(ann);
    struct pb_entry entry = created(&create, ann, 1);
    push(ann, 1, &entry);
    no_acks(ann);
    for (uint64_t i = 0; i < 3; i++) {
        struct pb_send again = expect(ann, PB_FRAME_BODY_SEND).body.send;
        assert_true(again.sctr == i + 1 && slice_equal(again.mid, sends[i].mid));
    }
    silent(ann);
    end(pair);
}

/* What is in the journal is bounded in number and in time. */
static void the_journal_is_bounded(void **state)
{
    struct pb_send sends[3];
    struct pair pair = three_sent(sends);
    struct pb_entry entry = message(&sends[2], pair.ann, 4);
    (void)state;
    assert_int_equal(pair.ann->client.journal_count, 2);
    simple(pair.ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    pair.ann->now += CLIENT_JOURNAL_MS + 1;
    reconnect(pair.ann, 6, PB_RESUME_KIND_TAIL);
    push(pair.ann, 6, &entry);
    assert_int_equal(pair.ann->client.journal_count, 1);
    end(pair);
}

/* The restored server knows an older device list: it gets the newest one again. */
static void the_list_is_put_again(void **state)
{
    struct host *ann = signed_up("ann", 1);
    (void)state;
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_READY};
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    frame.req = ann->last_req;
    frame.body.ready =
        (struct pb_ready){.user_id = slice_make(ann->client.user, 16), .log_epoch = 1, .dl_n = 0};
    feed(ann, &frame);
    struct pb_frame put = expect(ann, PB_FRAME_BODY_DEVLIST_PUT);
    assert_true(slice_equal(put.body.devlist_put.dl, list_of(ann)));
    ok(ann, 1);
    silent(ann);
    host_free(ann);
}

/* The counter of a SNAPSHOT may be newer than its head: what it was given for is looked for above
 * that head, before it is called gone. */
static void a_counter_newer_than_its_head(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_chat_state chat = {.chat_id = pair.send.chat_id,
                                 .cseq = 1,
                                 .gen = 1,
                                 .mls_epoch = 1,
                                 .floor = 1,
                                 .policy = pair.created.body.member.policy,
                                 .last_sctr = 1,
                                 .last_mid = pair.send.mid,
                                 .last_cseq = 2};
    struct pb_entry entry = message(&pair.send, ann, 2);
    struct pb_frame rows = {.body_case = PB_FRAME_BODY_HISTORY_PAGE};
    (void)state;
    reconnect(ann, 1, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    page(ann, 1, &chat);
    assert_int_equal(ann->failed, 0);
    struct pb_history asked = expect(ann, PB_FRAME_BODY_HISTORY).body.history;
    assert_true(asked.before == 3 && asked.after == 1);
    rows.req = ann->last_req;
    rows.body.history_page = (struct pb_history_page){
        .chat_id = chat.chat_id, .entries = &entry, .entries_count = 1, .before = 3, .after = 1};
    feed(ann, &rows);
    assert_int_equal(ann->client.outbox_count, 0);
    assert_int_equal(ann->failed, 0);
    end(pair);
}

/* Pushes that were on their way when a SYNC left: its answer brings them again. Acknowledged before
 * it, they would lie above what the server has begun to send anew: it calls that ACK wrong, and
 * their receipt never comes. */
static void a_repair_is_waited_for(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_push entry = {.useq = 2,
                            .prev_useq = 1,
                            .log_epoch = 1,
                            .entry = message(&pair.send, ann, 2),
                            .has_entry = true};
    struct pb_frame part = {.body_case = PB_FRAME_BODY_SYNC_PART};
    (void)state;
    refuse(ann, PB_ERROR_CODE_RETRY, 0);
    assert_true(expect(ann, PB_FRAME_BODY_SYNC).body.sync.from_useq == 1);
    push(ann, 2, &entry.entry);
    silent(ann);
    assert_true(ann->client.useq == 1);
    refuse(ann, PB_ERROR_CODE_BUSY, 0);
    wait_ms(ann, 2000);
    expect(ann, PB_FRAME_BODY_SYNC);
    part.req = ann->last_req;
    expect(ann, PB_FRAME_BODY_SEND);
    part.body.sync_part =
        (struct pb_sync_part){.from_useq = 1, .entries = &entry, .entries_count = 1};
    feed(ann, &part);
    assert_true(expect(ann, PB_FRAME_BODY_ACK).body.ack.useq == 2);
    assert_int_equal(ann->client.outbox_count, 0);
    push(ann, 3, &pair.created); /* an entry again, known by now */
    assert_true(expect(ann, PB_FRAME_BODY_ACK).body.ack.useq == 3);
    end(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_from_the_future),      cmocka_unit_test(a_restored_server),
        cmocka_unit_test(a_server_without_the_chat),     cmocka_unit_test(the_journal_is_bounded),
        cmocka_unit_test(the_list_is_put_again),         cmocka_unit_test(a_repair_is_waited_for),
        cmocka_unit_test(a_counter_newer_than_its_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
