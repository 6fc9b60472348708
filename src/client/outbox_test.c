/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: what becomes of unsettled messages when much comes at once: a SNAPSHOT, a server that
 * asks to wait, a disk that was put back. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct client_chat *chat_of(struct host *host, const struct pair *pair)
{
    return client_chat_find(&host->client, pair->send.chat_id.at);
}

static void no_acks(struct host *host)
{
    while (host->frame_count && host->frames[0].body_case == PB_FRAME_BODY_ACK)
        expect(host, PB_FRAME_BODY_ACK);
}

/* The one frame of this kind among those not looked at; all others go. */
static struct pb_frame pick(struct host *host, enum pb_frame_body body)
{
    struct pb_frame found = {.body_case = PB_FRAME_BODY_NONE};
    for (size_t i = 0; i < host->frame_count; i++)
        if (host->frames[i].body_case == body)
            found = host->frames[i];
    host->frame_count = 0;
    assert_int_equal(found.body_case, body);
    host->last_req = found.req;
    return found;
}

static size_t outbox_rows(const struct host *host, enum pb_outbox_state state)
{
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 1u << 20);
    for (size_t i = 0; i < host->row_count; i++) {
        struct pb_client_outbox row;
        count += host->rows[i].table == PB_TABLE_OUTBOX &&
                 pb_client_outbox_decode_v1(host->rows[i].value, &arena, &row) == STATUS_OK &&
                 row.state == state;
    }
    arena_deinit(&arena);
    return count;
}

/* What nobody could open is no message: it is refused before it has a number. */
static void no_text_is_refused(void **state)
{
    (void)state;
    struct pair pair = talking();
    uint64_t next = chat_of(pair.ann, &pair)->next_sctr;
    send_to(pair.ann, "bob", "half of an \xc3");
    assert_int_equal(pair.ann->result.error, PB_ERROR_CODE_BAD_FRAME);
    char *text = malloc(16386);
    assert_non_null(text);
    memset(text, 'x', 16385);
    text[16385] = 0;
    send_to(pair.ann, "bob", text);
    assert_int_equal(pair.ann->result.error, PB_ERROR_CODE_TOO_LARGE);
    silent(pair.ann);
    assert_int_equal(chat_of(pair.ann, &pair)->next_sctr, next);
    text[16384] = 0;
    send_to(pair.ann, "bob", text); /* the longest one goes */
    pick(pair.ann, PB_FRAME_BODY_SEND);
    free(text);
    end(pair);
}

/* ---- a SNAPSHOT with all kinds of unsettled messages ---- */

/* 1 and 2 acknowledged, 3 refused for now, 4 on its way, 5 composed without a connection. */
static struct pair five_unsettled(struct pb_send sends[5])
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    sends[0] = pair.send;
    for (size_t i = 1; i < 4; i++) {
        send_to(ann, "bob", "more");
        sends[i] = expect(ann, PB_FRAME_BODY_SEND).body.send;
    }
    for (size_t i = 0; i < 3; i++)
        sent(ann, sends[i].mid);
    struct pb_entry entry = rejected(&sends[2], ann, PB_ERROR_CODE_SCTR_EXPECTED);
    push(ann, 2, &entry);
    assert_int_equal(client_entry_find(&ann->client, sends[2].mid.at)->state, PB_OUTBOX_STATE_OPEN);
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    ann->frame_count = 0;
    send_to(ann, "bob", "fifth");
    silent(ann);
    assert_int_equal(ann->client.outbox_count, 5);
    sends[4] = (struct pb_send){
        .chat_id = pair.send.chat_id, .sctr = 5, .mid = arena_copy(&ann->memory, ann->tick.mid)};
    return pair;
}

static void snapshot_up_to(struct host *host, struct pair *pair, uint64_t cseq, uint64_t last_sctr)
{
    struct pb_chat_state chat = {.chat_id = pair->send.chat_id,
                                 .cseq = cseq,
                                 .gen = 1,
                                 .mls_epoch = 1,
                                 .floor = 1,
                                 .policy = pair->created.body.member.policy,
                                 .last_sctr = last_sctr};
    struct pb_frame page = {.body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    greet(host);
    expect(host, PB_FRAME_BODY_HELLO);
    ready(host, 20, PB_RESUME_KIND_SNAPSHOT);
    expect(host, PB_FRAME_BODY_SNAPSHOT);
    page.req = host->last_req;
    page.body.snapshot_page =
        (struct pb_snapshot_page){.useq = 20, .chats = &chat, .chats_count = 1};
    feed(host, &page);
}

static void history_answer(struct host *host, struct pb_entry *rows, size_t count)
{
    struct pb_history asked = pick(host, PB_FRAME_BODY_HISTORY).body.history;
    struct pb_frame answer = {.req = host->last_req, .body_case = PB_FRAME_BODY_HISTORY_PAGE};
    answer.body.history_page = (struct pb_history_page){.chat_id = asked.chat_id,
                                                        .entries = rows,
                                                        .entries_count = count,
                                                        .before = asked.before,
                                                        .after = asked.after};
    feed(host, &answer);
}

/* Number 2 of the chat bears the first; the second was given up by the server (its counter is
 * spent, its mid nowhere): it fails, with the reason GONE. What is above goes out, in order. */
static void every_entry_is_settled(void **state)
{
    struct pb_send sends[5];
    struct pair pair = five_unsettled(sends);
    struct host *ann = pair.ann;
    (void)state;
    snapshot_up_to(ann, &pair, 3, 2);
    assert_int_equal(ann->client.outbox_count, 5); /* not by number: by mid, when rows are here */
    struct pb_entry rows[2] = {message(&sends[0], ann, 3), message(&sends[0], ann, 2)};
    rows[0].body.message.tombstone = true;
    rows[0].body.message.envelope = SLICE_EMPTY;
    rows[0].body.message.sctr = 0;
    rows[0].body.message.mid = pair.created.body.member.mid;
    history_answer(ann, rows, 2);
    assert_int_equal(ann->client.outbox_count, 3);
    assert_int_equal(ann->failed, 1);
    assert_null(client_entry_find(&ann->client, sends[0].mid.at));
    assert_null(client_entry_find(&ann->client, sends[1].mid.at));
    assert_int_equal(outbox_rows(ann, PB_OUTBOX_STATE_FAILED), 1);
    reconnect(ann, 20, PB_RESUME_KIND_TAIL);
    uint64_t sctr = 3;
    for (size_t i = 0; i < ann->frame_count; i++)
        if (ann->frames[i].body_case == PB_FRAME_BODY_SEND) {
            struct pb_send *send = &ann->frames[i].body.send;
            assert_true(send->sctr == sctr && slice_equal(send->mid, sends[sctr - 1].mid));
            assert_true(send->start == (sctr == 3));
            sends[sctr++ - 1] = *send;
        }
    assert_true(sctr == 6);
    ann->frame_count = 0;
    for (uint64_t i = 2; i < 5; i++) {
        struct pb_entry entry = message(&sends[i], ann, i + 2);
        push(ann, 19 + i, &entry);
        assert_true(ann->last.readable && ann->last.own);
    }
    assert_int_equal(ann->client.outbox_count, 0);
    assert_int_equal(
        outbox_rows(ann, PB_OUTBOX_STATE_OPEN) + outbox_rows(ann, PB_OUTBOX_STATE_SENT), 0);
    assert_int_equal(ann->failed, 1);
    assert_true(chat_of(ann, &pair)->next_sctr == 6);
    end(pair);
}

/* Everything is here already: nothing is loaded, and what is not in it fails at once. */
static void a_snapshot_of_what_is_held(void **state)
{
    struct pb_send sends[5];
    struct pair pair = five_unsettled(sends);
    struct host *ann = pair.ann;
    (void)state;
    snapshot_up_to(ann, &pair, 1, 2);
    assert_false(client_is_lazy(&ann->client));
    assert_int_equal(ann->failed, 2);
    assert_int_equal(ann->client.outbox_count, 3);
    assert_true(pick(ann, PB_FRAME_BODY_SEND).body.send.sctr == 5);
    end(pair);
}

/* ---- BUSY, with how long to wait ---- */

static void busy(struct host *host, uint64_t retry_ms)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_ERROR};
    frame.body.error = (struct pb_error){.code = PB_ERROR_CODE_BUSY, .retry_ms = retry_ms};
    feed(host, &frame);
}

/* Nothing of the chat leaves before the time is over: not the refused one, nor one written since;
 * then both, in order. */
static void busy_is_waited_for(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    busy(ann, 6000);
    send_to(ann, "bob", "second");
    silent(ann);
    wait_ms(ann, 6000);
    silent(ann);
    wait_ms(ann, 4000); /* the jitter is over too */
    struct pb_send first = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(first.sctr == 1 && first.start);
    assert_true(slice_equal(first.envelope, pair.send.envelope));
    assert_true(expect(ann, PB_FRAME_BODY_SEND).body.send.sctr == 2);
    sent(ann, first.mid);
    silent(ann);
    end(pair);
}

/* The same for the chat's creation, a name, a list, a part of the inbox, a page, a snapshot. */
static void every_busy_is_waited_for(void **state)
{
    struct host *ann = signed_up("ann", 1), *bob = signed_up("bob", 2);
    struct pb_chat_create create = first_words(ann, bob);
    (void)state;
    busy(ann, 3000);
    wait_ms(ann, 3000);
    silent(ann);
    wait_ms(ann, 3000);
    assert_true(
        slice_equal(expect(ann, PB_FRAME_BODY_CHAT_CREATE).body.chat_create.mid, create.mid));
    struct pb_entry entry = created(&create, ann, 1), own = {.body_case = PB_ENTRY_BODY_OWN};
    own.body.own.chat_id = create.chat_id;
    push(ann, 1, &entry);
    pick(ann, PB_FRAME_BODY_SEND);
    push(ann, 3, &own); /* a gap */
    expect(ann, PB_FRAME_BODY_SYNC);
    busy(ann, 3000);
    push(ann, 3, &own);
    silent(ann);
    wait_ms(ann, 3000);
    silent(ann);
    wait_ms(ann, 2000);
    assert_true(expect(ann, PB_FRAME_BODY_SYNC).body.sync.from_useq == 1);
    push(bob, 1, &entry); /* bob does not know ann's devices */
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    busy(bob, 3000);
    no_acks(bob);
    wait_ms(bob, 3000);
    silent(bob);
    wait_ms(bob, 2000);
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    lists(bob, 1, list_of(ann));
    assert_int_equal(client_user_find(&bob->client, ann->client.user)->dl_n, 1);
    host_free(ann);
    host_free(bob);
}

static void a_busy_page_comes_later(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    snapshot_up_to(ann, &pair, 3, 0);
    pick(ann, PB_FRAME_BODY_HISTORY);
    busy(ann, 3000);
    wait_ms(ann, 3000);
    silent(ann);
    wait_ms(ann, 2000);
    struct pb_history again = pick(ann, PB_FRAME_BODY_HISTORY).body.history;
    assert_true(again.before == 4 && again.after == 1);
    /* a snapshot itself: by a new connection, with back-off */
    simple(ann, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, 30, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    busy(ann, 3000);
    assert_true(ann->close);
    assert_true(ann->client.useq == 20);
    end(pair);
}

/* ---- a disk that was put back ---- */

struct copy {
    struct stored rows[ROWS_MAX];
    size_t count;
};

static void copy_take(struct copy *copy, const struct host *host)
{
    memcpy(copy->rows, host->rows, sizeof copy->rows);
    copy->count = host->row_count;
}

static void copy_put_back(struct host *host, const struct copy *copy)
{
    memcpy(host->rows, copy->rows, sizeof copy->rows);
    host->row_count = copy->count;
    restart(host);
}

/* The copy knows the first message as on its way. Since then it and a second are in the log. The
 * device writes a third under the counter of the second, and is told. No message is lost, doubled
 * or bound to a counter that another has. */
static void a_device_from_an_old_copy(void **state)
{
    static struct copy copy;
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    copy_take(&copy, ann);
    struct pb_entry first = message(&pair.send, ann, 2);
    push(ann, 2, &first);
    no_acks(ann);
    reconnect(ann, 2, PB_RESUME_KIND_TAIL); /* conn 2 */
    send_to(ann, "bob", "second");
    struct pb_send send = pick(ann, PB_FRAME_BODY_SEND).body.send;
    struct pb_entry second = message(&send, ann, 3);
    assert_true(send.sctr == 2);
    copy_put_back(ann, &copy);
    assert_true(ann->client.conn == 1 && ann->client.useq == 1);
    send_to(ann, "bob", "third");
    struct slice third = arena_copy(&ann->memory, ann->tick.mid);
    greet(ann);
    assert_true(expect(ann, PB_FRAME_BODY_HELLO).body.hello.conn == 2);
    refuse(ann, PB_ERROR_CODE_CONFLICT, 2); /* that number is taken */
    assert_true(ann->close && ann->client.state != PB_CLIENT_STATE_CLONED);
    greet(ann);
    assert_true(expect(ann, PB_FRAME_BODY_HELLO).body.hello.conn == 3);
    ready(ann, 3, PB_RESUME_KIND_TAIL);
    silent(ann); /* first the inbox, then the outbox */
    push(ann, 2, &first);
    assert_true(ann->last.own && ann->last.readable);
    push(ann, 3, &second);
    assert_true(ann->last.own && ann->last.readable);
    struct pb_send again = pick(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(slice_equal(again.mid, third) && again.sctr == 2);
    struct pb_entry repeat = {.body_case = PB_ENTRY_BODY_REPEAT};
    repeat.body.repeat = (struct pb_repeat){.chat_id = send.chat_id,
                                            .sctr = 2,
                                            .last = 2,
                                            .device_id = slice_make(ann->client.device, 16),
                                            .last_mid = send.mid,
                                            .last_cseq = 3};
    push(ann, 4, &repeat);
    struct pb_send moved = pick(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(slice_equal(moved.mid, third) && moved.sctr == 3 && moved.start);
    assert_false(
        slice_equal(moved.envelope, again.envelope)); /* sealed anew: it holds the number */
    struct pb_entry entry = message(&moved, ann, 4);
    push(ann, 5, &entry);
    assert_true(ann->last.own && ann->last.readable);
    assert_int_equal(ann->client.outbox_count, 0);
    assert_int_equal(ann->failed, 0);
    assert_true(chat_of(ann, &pair)->next_sctr == 4);
    end(pair);
}

/* Twice in a day: both copies live. It stops, for it would fight the other for ever. */
static void two_copies_stop(void **state)
{
    static struct copy copy;
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    copy_take(&copy, ann);
    copy_put_back(ann, &copy);
    for (uint64_t i = 0; i < 2; i++) {
        greet(ann);
        expect(ann, PB_FRAME_BODY_HELLO);
        refuse(ann, PB_ERROR_CODE_CONFLICT, 10 + i);
        assert_true(ann->close);
    }
    assert_int_equal(ann->client.state, PB_CLIENT_STATE_CLONED);
    wait_ms(ann, 1000000);
    assert_false(ann->connect);
    struct pb_event_command read = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    command(ann, &read);
    assert_int_equal(ann->result.error, PB_ERROR_CODE_DENIED);
    end(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_settled),  cmocka_unit_test(a_snapshot_of_what_is_held),
        cmocka_unit_test(busy_is_waited_for),      cmocka_unit_test(every_busy_is_waited_for),
        cmocka_unit_test(a_busy_page_comes_later), cmocka_unit_test(a_device_from_an_old_copy),
        cmocka_unit_test(two_copies_stop),         cmocka_unit_test(no_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
