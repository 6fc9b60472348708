/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: heads, ticks, receipts; what a device loads after a SNAPSHOT. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void no_acks(struct host *host)
{
    while (host->frame_count && host->frames[0].body_case == PB_FRAME_BODY_ACK)
        expect(host, PB_FRAME_BODY_ACK);
}

static struct client_chat *chat_of(struct host *host, const struct pair *pair)
{
    return client_chat_find(&host->client, pair->send.chat_id.at);
}

/* HELLO's answer after a lost ACK: the tail brings the own message and its receipt: two ticks. */
static void two_ticks_after_a_lost_ack(void **state)
{
    struct pair pair = talking();
    struct pb_entry entry = message(&pair.send, pair.ann, 2),
                    receipt = {.body_case = PB_ENTRY_BODY_RECEIPT};
    (void)state;
    receipt.body.receipt =
        (struct pb_receipt_entry){.chat_id = pair.send.chat_id, .delivered_by_all = 2};
    reconnect(pair.ann, 3, PB_RESUME_KIND_TAIL);
    silent(pair.ann);
    push(pair.ann, 2, &entry);
    push(pair.ann, 3, &receipt);
    no_acks(pair.ann);
    silent(pair.ann);
    assert_int_equal(client_tick(chat_of(pair.ann, &pair), 2), PB_TICK_DELIVERED);
    assert_int_equal(pair.ann->client.outbox_count, 0);
    restart(pair.ann); /* and so it stays */
    assert_int_equal(client_tick(chat_of(pair.ann, &pair), 2), PB_TICK_DELIVERED);
    end(pair);
}

/* The head rises with each row, pushed or loaded, and READ reaches up to it. */
static void the_head_rises_with_rows(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_event_command read = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    struct pb_entry entry = message(&pair.send, ann, 2);
    (void)state;
    assert_true(chat_of(ann, &pair)->head == 1);
    push(ann, 2, &entry);
    assert_true(chat_of(ann, &pair)->head == 2);
    no_acks(ann);
    read.body.read = (struct pb_command_read){.chat_id = pair.send.chat_id, .upto = 99};
    command(ann, &read);
    assert_true(expect(ann, PB_FRAME_BODY_READ).body.read.upto == 2);
    restart(ann);
    assert_true(chat_of(ann, &pair)->head == 2);
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, 2, PB_RESUME_KIND_TAIL);
    assert_true(expect(ann, PB_FRAME_BODY_READ).body.read.upto == 2); /* until its OWN returns */
    struct pb_entry own = {.body_case = PB_ENTRY_BODY_OWN};
    own.body.own = (struct pb_own){.chat_id = pair.send.chat_id, .read_upto = 2};
    push(ann, 3, &own);
    assert_true(chat_of(ann, &pair)->read_wish == 0);
    end(pair);
}

/* READ has no answer but its OWN: an append that failed is made good on the same connection. */
static void read_until_it_is_true(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_event_command read = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    struct pb_entry entry = message(&pair.send, ann, 2), own = {.body_case = PB_ENTRY_BODY_OWN};
    (void)state;
    push(ann, 2, &entry);
    assert_int_equal(ms_until(ann, PB_FRAME_BODY_READ), 0); /* nothing was read */
    read.body.read = (struct pb_command_read){.chat_id = pair.send.chat_id, .upto = 2};
    command(ann, &read);
    assert_true(expect(ann, PB_FRAME_BODY_READ).body.read.upto == 2);
    uint64_t first_ms = ms_until(ann, PB_FRAME_BODY_READ);
    assert_true(first_ms >= 10000 && first_ms <= 13000);
    assert_true(ms_until(ann, PB_FRAME_BODY_READ) >= 20000);
    own.body.own = (struct pb_own){.chat_id = pair.send.chat_id, .read_upto = 2};
    push(ann, 3, &own);
    assert_int_equal(ms_until(ann, PB_FRAME_BODY_READ), 0);
    end(pair);
}

static struct pb_chat_state state_of(const struct pair *pair, uint8_t *id, uint64_t cseq)
{
    return (struct pb_chat_state){.chat_id = id ? slice_make(id, 16) : pair->send.chat_id,
                                  .cseq = cseq,
                                  .gen = 1,
                                  .mls_epoch = 1,
                                  .floor = 1};
}

static void history(struct host *host, struct slice chat, struct pb_entry *rows, size_t count)
{
    struct pb_history asked = expect(host, PB_FRAME_BODY_HISTORY).body.history;
    assert_true(slice_equal(asked.chat_id, chat));
    struct pb_frame answer = {.req = host->last_req, .body_case = PB_FRAME_BODY_HISTORY_PAGE};
    answer.body.history_page = (struct pb_history_page){.chat_id = chat,
                                                        .entries = rows,
                                                        .entries_count = count,
                                                        .before = asked.before,
                                                        .after = asked.after};
    feed(host, &answer);
}

/* EXCEPTION: one conversation, told in one piece.
 * Two chats load after a SNAPSHOT. While one still does, ACKs are lazy and only the loaded one is
 * receipted; with the last one, DELIVERED goes for all: also for what came by lazy ACKs meanwhile.
 */
static void delivered_for_all_with_the_last(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    static uint8_t other[16] = {0xee};
    struct pb_chat_state chats[2] = {state_of(&pair, NULL, 3), state_of(&pair, other, 2)};
    struct pb_entry rows[2] = {message(&pair.send, ann, 3), message(&pair.send, ann, 2)};
    (void)state;
    for (int i = 0; i < 2; i++) {
        rows[i].body.message.tombstone = true;
        rows[i].body.message.envelope = SLICE_EMPTY;
        rows[i].body.message.sctr = 0;
    }
    reconnect(ann, 9, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    struct pb_frame page = {.req = ann->last_req, .body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    page.body.snapshot_page =
        (struct pb_snapshot_page){.useq = 9, .chats = chats, .chats_count = 2};
    feed(ann, &page);
    struct pb_ack ack = expect(ann, PB_FRAME_BODY_ACK).body.ack;
    assert_true(ack.lazy && ack.useq == 9);
    history(ann, pair.send.chat_id, rows, 2);
    struct pb_delivered said = {0};
    uint32_t asked = 0;
    for (size_t i = 0; i < ann->frame_count; i++) {
        if (ann->frames[i].body_case == PB_FRAME_BODY_DELIVERED)
            said = ann->frames[i].body.delivered;
        if (ann->frames[i].body_case == PB_FRAME_BODY_HISTORY)
            asked = ann->frames[i].req;
    }
    assert_true(slice_equal(said.chat_id, pair.send.chat_id) && said.upto == 3);
    assert_true(asked && client_is_lazy(&ann->client));
    ann->frame_count = 0;
    /* A message comes meanwhile: the ACK is lazy and makes no receipt. */
    struct pb_entry entry = message(&pair.send, ann, 4);
    push(ann, 10, &entry);
    ack = expect(ann, PB_FRAME_BODY_ACK).body.ack;
    assert_true(ack.lazy && ack.useq == 10);
    ann->frame_count = 0;
    rows[0].body.message.chat_id = rows[1].body.message.chat_id = slice_make(other, 16);
    rows[0].body.message.cseq = 2;
    rows[1].body.message.cseq = 1;
    struct pb_frame answer = {.req = asked, .body_case = PB_FRAME_BODY_HISTORY_PAGE};
    answer.body.history_page = (struct pb_history_page){.chat_id = slice_make(other, 16),
                                                        .entries = rows,
                                                        .entries_count = 2,
                                                        .before = 3,
                                                        .after = 0};
    feed(ann, &answer);
    assert_false(client_is_lazy(&ann->client));
    uint64_t upto[2] = {0};
    for (size_t i = 0; i < ann->frame_count; i++)
        if (ann->frames[i].body_case == PB_FRAME_BODY_DELIVERED)
            upto[ann->frames[i].body.delivered.chat_id.at[0] == 0xee] =
                ann->frames[i].body.delivered.upto;
    assert_true(upto[0] == 4 && upto[1] == 2);
    ann->frame_count = 0;
    entry = message(&pair.send, ann, 5);
    push(ann, 11, &entry);
    assert_false(expect(ann, PB_FRAME_BODY_ACK).body.ack.lazy);
    /* Unanswered wishes are said again at the next sync, after a crash as well. */
    restart(ann);
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, 11, PB_RESUME_KIND_TAIL);
    expect(ann, PB_FRAME_BODY_DELIVERED);
    expect(ann, PB_FRAME_BODY_DELIVERED);
    end(pair);
}

/* Both write at once; each sees both, in the order of the log, and each own message settles. */
static void sends_that_cross(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann, *bob = pair.bob;
    (void)state;
    push(bob, 1, &pair.created);
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    lists(bob, 1, list_of(ann));
    no_acks(bob);
    struct pb_event_command reply = {.body_case = PB_EVENT_COMMAND_BODY_SEND};
    reply.body.send.chat_id = pair.send.chat_id;
    reply.body.send.text = SLICE_LITERAL("hi");
    command(bob, &reply);
    struct pb_send crossing = expect(bob, PB_FRAME_BODY_SEND).body.send;
    assert_true(crossing.sctr == 1 && crossing.start);
    struct pb_entry entries[2] = {message(&crossing, bob, 2), message(&pair.send, ann, 3)};
    for (size_t i = 0; i < 2; i++) {
        push(ann, 2 + i, &entries[i]);
        assert_true(ann->last.readable && ann->last.own == (i == 1));
        push(bob, 2 + i, &entries[i]);
        assert_true(bob->last.readable && bob->last.own == (i == 0));
    }
    assert_int_equal(ann->shown, 2);
    assert_int_equal(bob->shown, 2);
    assert_int_equal(ann->client.outbox_count, 0);
    assert_int_equal(bob->client.outbox_count, 0);
    end(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_ticks_after_a_lost_ack),
        cmocka_unit_test(the_head_rises_with_rows),
        cmocka_unit_test(read_until_it_is_true),
        cmocka_unit_test(delivered_for_all_with_the_last),
        cmocka_unit_test(sends_that_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
