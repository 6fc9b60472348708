/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: refusals, what is given up, and counters that nobody else can fill. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/envelope.h"

static struct slice outbox_row(struct host *host, const struct pb_send *send, uint8_t sctr)
{
    static uint8_t key[24];
    memset(key, 0, sizeof key);
    memcpy(key, send->chat_id.at, 16);
    key[23] = sctr;
    struct stored *row = row_find(host, PB_TABLE_OUTBOX, slice_make(key, 24));
    return row ? row->value : SLICE_EMPTY;
}

static struct pb_client_outbox failed_row(struct host *host, const struct pb_send *send,
                                          uint8_t sctr)
{
    struct pb_client_outbox row;
    assert_int_equal(pb_client_outbox_decode_v1(outbox_row(host, send, sctr), &host->memory, &row),
                     STATUS_OK);
    assert_int_equal(row.state, PB_OUTBOX_STATE_FAILED);
    return row;
}

/* The next frame but ACKs and PINGs. */
static struct pb_frame next_but_acks(struct host *host, enum pb_frame_body body)
{
    while (host->frame_count && (host->frames[0].body_case == PB_FRAME_BODY_ACK ||
                                 host->frames[0].body_case == PB_FRAME_BODY_PING))
        expect(host, host->frames[0].body_case);
    return expect(host, body);
}

static bool is_kind(const struct pb_send *send, enum pb_message_kind kind)
{
    struct envelope envelope;
    assert_int_equal(envelope_read(send->envelope, &envelope), STATUS_OK);
    return envelope.header.kind == kind && envelope.header.sctr == send->sctr;
}

/* Refused five times for a reason that repairs itself: "not sent", and the counter is filled, so
 * that the next message does not wait for ever. */
static void given_up(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_entry entry = rejected(&pair.send, ann, PB_ERROR_CODE_STALE_EPOCH);
    struct pb_send send = pair.send;
    uint64_t useq = 2;
    (void)state;
    entry.body.rejected.gen = 1;
    entry.body.rejected.mls_epoch = 1;
    for (int i = 0; i < 4; i++) {
        push(ann, useq++, &entry);
        push(ann, useq++, &entry); /* the same refusal of a doubled send is no try of its own */
        assert_int_equal(ann->failed, 0);
        assert_int_equal(ann->tick.tick, PB_TICK_CLOCK);
        assert_int_equal(ann->tick.reason, PB_ERROR_CODE_STALE_EPOCH);
        wait_ms(ann, 30000);
        send = next_but_acks(ann, PB_FRAME_BODY_SEND).body.send;
        assert_true(send.sctr == 1 && slice_equal(send.mid, pair.send.mid));
        assert_true(is_kind(&send, PB_MESSAGE_KIND_NORMAL));
    }
    restart(ann); /* tries are not forgotten */
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, ann->client.useq, PB_RESUME_KIND_TAIL);
    expect(ann, PB_FRAME_BODY_SEND);
    push(ann, useq++, &entry);
    assert_int_equal(ann->failed, 1);
    assert_int_equal(ann->tick.reason, PB_ERROR_CODE_STALE_EPOCH);
    send_to(ann, "bob", "second");
    wait_ms(ann, 60000);
    struct pb_send filler = next_but_acks(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(filler.sctr == 1 && slice_equal(filler.mid, pair.send.mid));
    assert_true(is_kind(&filler, PB_MESSAGE_KIND_SILENT));
    struct pb_send second = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(second.sctr == 2 && is_kind(&second, PB_MESSAGE_KIND_NORMAL));
    size_t shown = ann->shown;
    entry = message(&filler, ann, 2);
    entry.body.message.kind = PB_MESSAGE_KIND_SILENT;
    push(ann, useq++, &entry);
    assert_int_equal(ann->shown, shown); /* no line for it */
    assert_int_equal(ann->tick.tick, PB_TICK_CLOCK);
    assert_int_equal(ann->client.outbox_count, 1);
    assert_false(failed_row(ann, &pair.send, 1).filler); /* what the person wrote is still there */
    entry = message(&second, ann, 3);
    push(ann, useq++, &entry);
    assert_int_equal(ann->client.outbox_count, 0);
    end(pair);
}

/* Refused for good, but the counter is free: the device was never known there. */
static void refused_unspent(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_entry entry = rejected(&pair.send, ann, PB_ERROR_CODE_NOT_MEMBER);
    (void)state;
    send_to(ann, "bob", "second");
    struct pb_send second = expect(ann, PB_FRAME_BODY_SEND).body.send;
    entry.body.rejected.consumed = false;
    push(ann, 2, &entry);
    assert_int_equal(ann->failed, 2); /* and so is all that waits behind it */
    entry = rejected(&second, ann, PB_ERROR_CODE_SCTR_EXPECTED);
    entry.body.rejected.expected = 1;
    push(ann, 3, &entry);
    wait_ms(ann, 5000);
    expect(ann, PB_FRAME_BODY_ACK);
    expect(ann, PB_FRAME_BODY_ACK);
    silent(ann); /* no loop */
    send_to(ann, "bob", "third");
    for (uint64_t sctr = 1; sctr <= 3; sctr++) {
        struct pb_send send = expect(ann, PB_FRAME_BODY_SEND).body.send;
        assert_true(send.sctr == sctr);
        assert_true(is_kind(&send, sctr < 3 ? PB_MESSAGE_KIND_SILENT : PB_MESSAGE_KIND_NORMAL));
        entry = message(&send, ann, 1 + sctr);
        entry.body.message.kind = sctr < 3 ? PB_MESSAGE_KIND_SILENT : PB_MESSAGE_KIND_NORMAL;
        push(ann, 3 + sctr, &entry);
        while (ann->frame_count && ann->frames[ann->frame_count - 1].body_case == PB_FRAME_BODY_ACK)
            ann->frame_count--;
    }
    assert_int_equal(ann->client.outbox_count, 0);
    assert_int_equal(ann->failed, 2);
    assert_false(failed_row(ann, &pair.send, 2).filler);
    end(pair);
}

/* The next message tells its readers which counters were spent without a row. */
static void voided_is_told(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann, *bob = pair.bob;
    struct pb_entry entry = rejected(&pair.send, ann, PB_ERROR_CODE_NOT_ALLOWED);
    (void)state;
    push(ann, 2, &entry);
    assert_int_equal(ann->failed, 1);
    assert_int_equal(ann->client.outbox_count, 0);
    expect(ann, PB_FRAME_BODY_ACK);
    send_to(ann, "bob", "second");
    struct pb_send second = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(second.sctr == 2);
    push(bob, 1, &pair.created);
    expect(bob, PB_FRAME_BODY_DEVLIST_GET);
    lists(bob, 1, list_of(ann));
    entry = message(&second, ann, 2);
    push(bob, 2, &entry);
    assert_int_equal(bob->shown, 1);
    assert_int_equal(bob->last.content.voided_count, 1);
    assert_true(bob->last.content.voided[0] == 1);
    push(ann, 3, &entry); /* told: not again */
    expect(ann, PB_FRAME_BODY_ACK);
    send_to(ann, "bob", "third");
    struct pb_send third = expect(ann, PB_FRAME_BODY_SEND).body.send;
    entry = message(&third, ann, 3);
    push(bob, 3, &entry);
    assert_int_equal(bob->shown, 2);
    assert_int_equal(bob->last.content.voided_count, 0);
    end(pair);
}

/* The server expects a counter that no row here bears: it is filled, once. */
static void a_hole_is_filled(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    for (size_t i = 0; i < ann->row_count; i++)
        if (ann->rows[i].table == PB_TABLE_OUTBOX)
            ann->rows[i] = ann->rows[--ann->row_count];
    restart(ann);
    greet(ann);
    expect(ann, PB_FRAME_BODY_HELLO);
    ready(ann, 1, PB_RESUME_KIND_TAIL);
    send_to(ann, "bob", "second");
    struct pb_send second = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(second.sctr == 2);
    struct pb_entry entry = rejected(&second, ann, PB_ERROR_CODE_SCTR_EXPECTED);
    entry.body.rejected.expected = 1;
    push(ann, 2, &entry);
    expect(ann, PB_FRAME_BODY_ACK);
    wait_ms(ann, 500);
    struct pb_send filler = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(filler.sctr == 1 && is_kind(&filler, PB_MESSAGE_KIND_SILENT));
    struct pb_send again = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(again.sctr == 2 && slice_equal(again.envelope, second.envelope));
    silent(ann);
    assert_int_equal(ann->failed, 0);
    /* It was bound after all, to a mid that is lost here: the filler is done. */
    uint8_t other[16] = {9};
    entry = (struct pb_entry){.body_case = PB_ENTRY_BODY_REPEAT};
    entry.body.repeat = (struct pb_repeat){.chat_id = pair.send.chat_id,
                                           .sctr = 1,
                                           .last = 1,
                                           .device_id = slice_make(ann->client.device, 16),
                                           .last_mid = slice_make(other, 16)};
    push(ann, 3, &entry);
    assert_int_equal(ann->client.outbox_count, 1);
    assert_int_equal(outbox_row(ann, &pair.send, 1).bytes, 0);
    end(pair);
}

/* The creation is refused: what waits for it is marked; if the chat comes to be after all, its
 * counters are filled before the next message. */
static void no_chat_for_it(void **state)
{
    struct host *ann = signed_up("ann", 1), *bob = signed_up("bob", 2);
    (void)state;
    struct pb_chat_create create = first_words(ann, bob);
    struct pb_send as_send = {.chat_id = create.chat_id, .mid = create.mid};
    struct pb_entry entry = rejected(&as_send, ann, PB_ERROR_CODE_NOT_ALLOWED);
    entry.body.rejected.consumed = false;
    push(ann, 1, &entry);
    assert_int_equal(ann->failed, 1);
    expect(ann, PB_FRAME_BODY_ACK);
    wait_ms(ann, 15000);
    silent(ann); /* nothing is created for a filler */
    entry = created(&create, bob, 1);
    push(ann, 2, &entry);
    expect(ann, PB_FRAME_BODY_ACK);
    send_to(ann, "bob", "again");
    struct pb_send filler = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(filler.sctr == 1 && is_kind(&filler, PB_MESSAGE_KIND_SILENT));
    assert_true(expect(ann, PB_FRAME_BODY_SEND).body.send.sctr == 2);
    host_free(ann);
    host_free(bob);
}

/* A leaf was signed out before the chat existed: nothing tells, so the lists are asked for. */
static void a_leaf_is_gone(void **state)
{
    struct host *ann = signed_up("ann", 1), *bob = signed_up("bob", 2);
    (void)state;
    (void)first_words(ann, bob);
    refuse(ann, PB_ERROR_CODE_DENIED, 0);
    expect(ann, PB_FRAME_BODY_DEVLIST_GET);
    expect(ann, PB_FRAME_BODY_DEVLIST_GET);
    lists(ann, 2, list_of(bob));
    assert_int_equal(ann->failed, 0);
    wait_ms(ann, 4000);
    expect(ann, PB_FRAME_BODY_CHAT_CREATE);
    host_free(ann);
    host_free(bob);
}

/* A later message is turned away: what the server has taken is not sent again with it, until it
 * failed to return for ten seconds; and turned away itself then, it comes once more. */
static void busy_is_for_one(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    sent(ann, pair.send.mid);
    send_to(ann, "bob", "second");
    assert_true(expect(ann, PB_FRAME_BODY_SEND).body.send.sctr == 2);
    refuse(ann, PB_ERROR_CODE_BUSY, 0);
    send_to(ann, "bob", "third");
    silent(ann); /* it waits with the second */
    wait_ms(ann, 2000);
    struct pb_send second = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(second.sctr == 2 && second.start);
    sent(ann, second.mid);
    struct pb_send third = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(third.sctr == 3 && !third.start);
    sent(ann, third.mid);
    silent(ann);
    wait_ms(ann, 12500);
    assert_true(next_but_acks(ann, PB_FRAME_BODY_SEND).body.send.sctr == 1);
    refuse(ann, PB_ERROR_CODE_BUSY, 0);
    assert_true(expect(ann, PB_FRAME_BODY_SEND).body.send.sctr == 2);
    assert_true(expect(ann, PB_FRAME_BODY_SEND).body.send.sctr == 3);
    wait_ms(ann, 2000);
    struct pb_send first = next_but_acks(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(first.sctr == 1 && first.start);
    silent(ann);
    end(pair);
}

/* More than a session takes at once would come back as BUSY for ever. */
static void not_all_at_once(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    for (int i = 0; i < 128; i++) {
        send_to(ann, "bob", "more");
        while (ann->frame_count > 0)
            expect(ann, PB_FRAME_BODY_SEND);
    }
    assert_int_equal(ann->client.outbox_count, 129);
    assert_int_equal(ann->client.request_count, 64);
    sent(ann, pair.send.mid); /* the answer to the newest, whichever it names: one more may go */
    expect(ann, PB_FRAME_BODY_SEND);
    silent(ann);
    end(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_up),        cmocka_unit_test(refused_unspent),
        cmocka_unit_test(voided_is_told),  cmocka_unit_test(a_hole_is_filled),
        cmocka_unit_test(no_chat_for_it),  cmocka_unit_test(a_leaf_is_gone),
        cmocka_unit_test(busy_is_for_one), cmocka_unit_test(not_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
