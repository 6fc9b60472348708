/* SPDX-License-Identifier: Apache-2.0
 * Dialogues: the straight road, gaps, forged lists, connections. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/policy.h"

static void a_message_arrives(void **state)
{
    struct pair pair = talking();
    struct pb_entry entry = message(&pair.send, pair.ann, 2),
                    receipt = {.body_case = PB_ENTRY_BODY_RECEIPT};
    (void)state;
    sent(pair.ann, pair.send.mid);
    assert_int_equal(pair.ann->client.outbox[0].state, PB_OUTBOX_STATE_SENT);
    push(pair.ann, 2, &entry);
    assert_int_equal(pair.ann->client.outbox_count, 0);
    const struct client_chat *chat = client_chat_find(&pair.ann->client, pair.send.chat_id.at);
    assert_int_equal(client_tick(chat, 2), PB_TICK_SENT);
    receipt.body.receipt =
        (struct pb_receipt_entry){.chat_id = pair.send.chat_id, .delivered_by_all = 2};
    push(pair.ann, 3, &receipt);
    assert_int_equal(client_tick(chat, 2), PB_TICK_DELIVERED);
    receipt.body.receipt.delivered_by_all = 1; /* late: no mark goes back */
    push(pair.ann, 4, &receipt);
    assert_int_equal(client_tick(chat, 2), PB_TICK_DELIVERED);
    /* Bob: the sender's list is unknown, so the message waits for it, and the cursor with it. */
    push(pair.bob, 1, &pair.created);
    expect(pair.bob, PB_FRAME_BODY_DEVLIST_GET);
    uint32_t get = pair.bob->last_req;
    expect(pair.bob, PB_FRAME_BODY_ACK);
    push(pair.bob, 2, &entry);
    assert_true(pair.bob->client.useq == 1);
    silent(pair.bob);
    pair.bob->last_req = get;
    lists(pair.bob, 1, list_of(pair.ann));
    assert_true(expect(pair.bob, PB_FRAME_BODY_SYNC).body.sync.from_useq == 1);
    struct pb_push again = {
        .useq = 2, .prev_useq = 1, .log_epoch = 1, .entry = entry, .has_entry = true};
    struct pb_frame part = {.req = pair.bob->last_req, .body_case = PB_FRAME_BODY_SYNC_PART};
    part.body.sync_part =
        (struct pb_sync_part){.from_useq = 1, .entries = &again, .entries_count = 1};
    feed(pair.bob, &part);
    assert_int_equal(pair.bob->shown, 1);
    assert_true(expect(pair.bob, PB_FRAME_BODY_ACK).body.ack.useq == 2);
    feed(pair.bob, &part); /* again: nothing */
    assert_int_equal(pair.bob->shown, 1);
    end(pair);
}

static void a_lost_ack(void **state)
{
    struct pair pair = talking();
    struct pb_entry entry = message(&pair.send, pair.ann, 2);
    (void)state;
    restart(pair.ann); /* before SENT */
    assert_int_equal(pair.ann->client.outbox_count, 1);
    greet(pair.ann);
    assert_true(expect(pair.ann, PB_FRAME_BODY_HELLO).body.hello.useq == 1);
    ready(pair.ann, 2, PB_RESUME_KIND_TAIL);
    silent(pair.ann); /* it syncs its inbox first */
    push(pair.ann, 2, &entry);
    expect(pair.ann, PB_FRAME_BODY_ACK);
    silent(pair.ann); /* and finds that nothing is to be sent again */
    assert_int_equal(pair.ann->client.outbox_count, 0);
    end(pair);
}

/* Acknowledged, yet neither numbered nor refused 10 s later: sent again (design §5.9). */
static void sent_but_never_seen(void **state)
{
    struct pair pair = talking();
    (void)state;
    sent(pair.ann, pair.send.mid);
    pair.ann->now += 9999;
    simple(pair.ann, PB_HOST_EVENT_BODY_TIMER);
    silent(pair.ann);
    pair.ann->now += 2501; /* and up to a quarter more */
    simple(pair.ann, PB_HOST_EVENT_BODY_TIMER);
    struct pb_send again = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(again.start && slice_equal(again.envelope, pair.send.envelope));
    assert_int_equal(pair.ann->client.outbox_count, 1);
    end(pair);
}

static void is_about(uint64_t ms, uint64_t least_ms)
{
    if (ms < least_ms || ms > least_ms + least_ms / 4 + 500)
        fail_msg("%lu ms, not %lu to a quarter more", ms, least_ms);
}

/* A server that takes it and never shows it is asked ever less often, at most 5 min apart, and not
 * by all devices at once; progress or a new connection, and it is asked as often as at first. */
static void repeats_back_off(void **state)
{
    static const uint64_t waits[] = {10000, 20000, 40000, 80000, 160000, 240000, 240000};
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_entry entry = message(&pair.send, ann, 2);
    uint64_t spread = 0;
    (void)state;
    sent(ann, pair.send.mid);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        uint64_t ms = ms_until(ann, PB_FRAME_BODY_SEND);
        is_about(ms, waits[i]);
        spread += ms - waits[i];
    }
    assert_true(spread > 4000);
    send_to(ann, "bob", "second");
    struct pb_send second = expect(ann, PB_FRAME_BODY_SEND).body.send;
    sent(ann, second.mid);
    is_about(ms_until(ann, PB_FRAME_BODY_SEND), 10000); /* the server took something new */
    is_about(ms_until(ann, PB_FRAME_BODY_SEND), 20000);
    push(ann, 2, &entry);
    is_about(ms_until(ann, PB_FRAME_BODY_SEND), 10000); /* one of two was seen */
    is_about(ms_until(ann, PB_FRAME_BODY_SEND), 20000);
    reconnect(ann, 2, PB_RESUME_KIND_TAIL);
    expect(ann, PB_FRAME_BODY_SEND);
    is_about(ms_until(ann, PB_FRAME_BODY_SEND), 10000);
    end(pair);
}

static void resent_byte_for_byte(void **state)
{
    struct pair pair = talking();
    (void)state;
    send_to(pair.ann, "bob", "second");
    struct pb_send second = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(second.sctr == 2 && !second.start);
    reconnect(pair.ann, 1, PB_RESUME_KIND_TAIL);
    struct pb_send again = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(again.start && again.sctr == 1);
    assert_true(slice_equal(again.envelope, pair.send.envelope));
    again = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(!again.start && again.sctr == 2);
    assert_true(slice_equal(again.envelope, second.envelope));
    refuse(pair.ann, PB_ERROR_CODE_RETRY, 0);
    expect(pair.ann, PB_FRAME_BODY_SYNC);
    pair.ann->now += 5000;
    simple(pair.ann, PB_HOST_EVENT_BODY_TIMER);
    assert_true(expect(pair.ann, PB_FRAME_BODY_SEND).body.send.start);
    end(pair);
}

static void refusals(void **state)
{
    struct pair pair = talking();
    struct pb_entry entry = rejected(&pair.send, pair.ann, PB_ERROR_CODE_SCTR_EXPECTED);
    (void)state;
    sent(pair.ann, pair.send.mid);
    push(pair.ann, 2, &entry);
    assert_int_equal(pair.ann->client.outbox[0].state, PB_OUTBOX_STATE_OPEN);
    expect(pair.ann, PB_FRAME_BODY_ACK);
    pair.ann->now += 500;
    simple(pair.ann, PB_HOST_EVENT_BODY_TIMER);
    struct pb_send again = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(slice_equal(again.mid, pair.send.mid) &&
                slice_equal(again.envelope, pair.send.envelope));
    entry = rejected(&pair.send, pair.ann, PB_ERROR_CODE_NOT_MEMBER);
    push(pair.ann, 3, &entry);
    assert_int_equal(pair.ann->failed, 1);
    assert_int_equal(pair.ann->client.outbox_count, 0);
    uint8_t key[24] = {0};
    memcpy(key, pair.send.chat_id.at, 16);
    key[23] = 1;
    assert_non_null(row_find(pair.ann, PB_TABLE_OUTBOX, slice_make(key, 24)));
    entry = message(&pair.send, pair.ann, 2); /* own mid in the log wins, even now */
    push(pair.ann, 4, &entry);
    assert_null(row_find(pair.ann, PB_TABLE_OUTBOX, slice_make(key, 24)));
    end(pair);
}

static void repeat_moves_one(void **state)
{
    struct pair pair = talking();
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_REPEAT};
    uint8_t other[16] = {9};
    (void)state;
    entry.body.repeat = (struct pb_repeat){.chat_id = pair.send.chat_id,
                                           .sctr = 1,
                                           .last = 1,
                                           .device_id = slice_make(pair.ann->client.device, 16),
                                           .last_mid = pair.send.mid,
                                           .last_cseq = 2};
    push(pair.ann, 2, &entry);
    assert_true(pair.ann->client.outbox[0].sctr == 1); /* its own mid: nothing moves */
    entry.body.repeat.last = 5;
    entry.body.repeat.last_mid = slice_make(other, 16);
    push(pair.ann, 3, &entry);
    assert_true(pair.ann->client.outbox[0].sctr == 6);
    expect(pair.ann, PB_FRAME_BODY_ACK);
    expect(pair.ann, PB_FRAME_BODY_ACK);
    struct pb_send again = expect(pair.ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(again.sctr == 6 && slice_equal(again.mid, pair.send.mid));
    end(pair);
}

static void both_create(void **state)
{
    struct pair pair = talking();
    (void)state;
    /* The same chat from Bob's side: his creation loses. */
    uint8_t ann_id[16] = {1};
    send_to(pair.bob, "ann", "hi");
    expect(pair.bob, PB_FRAME_BODY_LOOKUP);
    struct pb_frame found = {.req = pair.bob->last_req, .body_case = PB_FRAME_BODY_LOOKUP_ANSWER};
    found.body.lookup_answer.user_id = slice_make(ann_id, 16);
    found.body.lookup_answer.dl_n = 1;
    feed(pair.bob, &found);
    expect(pair.bob, PB_FRAME_BODY_DEVLIST_GET);
    lists(pair.bob, 1, list_of(pair.ann));
    struct pb_chat_create create = expect(pair.bob, PB_FRAME_BODY_CHAT_CREATE).body.chat_create;
    assert_true(slice_equal(create.chat_id, pair.send.chat_id));
    assert_true(slice_equal(create.policy, pair.created.body.member.policy));
    push(pair.bob, 1, &pair.created);
    expect(pair.bob, PB_FRAME_BODY_ACK);
    expect(pair.bob, PB_FRAME_BODY_SEND);
    struct pb_send as_send = {.chat_id = create.chat_id, .mid = create.mid};
    struct pb_entry entry = rejected(&as_send, pair.bob, PB_ERROR_CODE_CHAT_EXISTS);
    push(pair.bob, 2, &entry);
    assert_int_equal(pair.bob->failed, 0);
    assert_int_equal(pair.bob->client.outbox_count, 1);
    end(pair);
}

static void gaps_and_snapshot(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    struct pb_entry own = {.body_case = PB_ENTRY_BODY_OWN};
    (void)state;
    own.body.own.chat_id = pair.send.chat_id;
    uint32_t awaited = ann->client.request_count;
    push(ann, 5, &own); /* prev 4, cursor 1 */
    assert_true(expect(ann, PB_FRAME_BODY_SYNC).body.sync.from_useq == 1);
    assert_true(ann->client.useq == 1);
    struct pb_push hole = {
        .useq = 4, .prev_useq = 3, .log_epoch = 1, .entry = own, .has_entry = true};
    struct pb_frame part = {.req = ann->last_req, .body_case = PB_FRAME_BODY_SYNC_PART};
    part.body.sync_part =
        (struct pb_sync_part){.from_useq = 1, .entries = &hole, .entries_count = 1};
    feed(ann, &part);
    expect(ann, PB_FRAME_BODY_SYNC); /* one failed */
    part.req = ann->last_req;
    feed(ann, &part);
    expect(ann, PB_FRAME_BODY_SNAPSHOT); /* two: snapshot, never a third */
    struct pb_chat_state chat = {.chat_id = pair.send.chat_id,
                                 .cseq = 3,
                                 .gen = 1,
                                 .mls_epoch = 1,
                                 .floor = 1,
                                 .policy = pair.created.body.member.policy,
                                 .last_sctr = 1,
                                 .last_mid = pair.send.mid,
                                 .last_cseq = 3};
    struct pb_frame page = {.req = ann->last_req, .body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    page.body.snapshot_page =
        (struct pb_snapshot_page){.useq = 9, .chats = &chat, .chats_count = 1};
    feed(ann, &page);
    /* Two SYNCs and a SNAPSHOT were answered: their places are free; the HISTORY below waits. */
    assert_int_equal(ann->client.request_count, awaited + 1);
    assert_true(ann->client.useq == 9);
    struct pb_ack ack = expect(ann, PB_FRAME_BODY_ACK).body.ack;
    assert_true(ack.useq == 9 && ack.lazy);
    struct pb_history history = expect(ann, PB_FRAME_BODY_HISTORY).body.history;
    uint32_t asked = ann->last_req;
    assert_true(history.before == 4 && history.after == 1);
    expect(ann, PB_FRAME_BODY_SEND);
    struct pb_entry rows[2] = {message(&pair.send, ann, 3), message(&pair.send, ann, 2)};
    rows[1].body.message.tombstone = true;
    rows[1].body.message.envelope = SLICE_EMPTY;
    rows[1].body.message.sctr = 0;
    struct pb_frame answer = {.req = asked, .body_case = PB_FRAME_BODY_HISTORY_PAGE};
    answer.body.history_page = (struct pb_history_page){
        .chat_id = pair.send.chat_id, .entries = rows, .entries_count = 2, .before = 4, .after = 1};
    feed(ann, &answer);
    assert_int_equal(ann->client.outbox_count, 0); /* settled by its mid, not by number */
    assert_int_equal(ann->failed, 0);
    struct pb_delivered delivered = expect(ann, PB_FRAME_BODY_DELIVERED).body.delivered;
    assert_true(delivered.upto == 3);
    assert_false(client_is_lazy(&ann->client));
    ok(ann, 0);
    assert_true(client_chat_find(&ann->client, pair.send.chat_id.at)->delivered_wish == 0);
    end(pair);
}

static void snapshot_without_it_fails(void **state)
{
    struct pair pair = talking();
    struct host *ann = pair.ann;
    (void)state;
    reconnect(ann, 9, PB_RESUME_KIND_SNAPSHOT);
    expect(ann, PB_FRAME_BODY_SNAPSHOT);
    struct pb_chat_state chat = {.chat_id = pair.send.chat_id,
                                 .cseq = 1,
                                 .gen = 1,
                                 .mls_epoch = 1,
                                 .floor = 1,
                                 .policy = pair.created.body.member.policy,
                                 .last_sctr = 1};
    struct pb_frame page = {.req = ann->last_req, .body_case = PB_FRAME_BODY_SNAPSHOT_PAGE};
    page.body.snapshot_page =
        (struct pb_snapshot_page){.useq = 9, .chats = &chat, .chats_count = 1};
    feed(ann, &page);
    assert_int_equal(ann->failed, 1);
    assert_int_equal(ann->client.outbox_count, 0);
    end(pair);
}

static void forged_lists(void **state)
{
    struct pair pair = talking();
    uint8_t forged[1024];
    struct slice list = list_of(pair.bob);
    struct client_user *bob;
    (void)state;
    memcpy(forged, list.at, list.bytes);
    forged[list.bytes - 1] ^= 1; /* the same number, another signature: a fork */
    bob = client_user_named(&pair.ann->client, SLICE_LITERAL("bob"));
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    entry.body.member = (struct pb_member_change){.chat_id = pair.send.chat_id,
                                                  .cseq = 2,
                                                  .dl_n = 2,
                                                  .kind = PB_MEMBER_CHANGE_KIND_DEVICE_CHANGE,
                                                  .user_id = slice_make(bob->id, 16)};
    push(pair.ann, 2, &entry);
    expect(pair.ann, PB_FRAME_BODY_DEVLIST_GET);
    uint32_t get = pair.ann->last_req;
    expect(pair.ann, PB_FRAME_BODY_ACK);
    pair.ann->last_req = get;
    lists(pair.ann, 2, slice_make(forged, list.bytes));
    assert_true(bob->broken);
    restart(pair.ann);
    greet(pair.ann);
    expect(pair.ann, PB_FRAME_BODY_HELLO);
    ready(pair.ann, 2, PB_RESUME_KIND_TAIL);
    silent(pair.ann); /* nothing is sent to him, not even what waited */
    send_to(pair.ann, "bob", "x");
    assert_int_equal(pair.ann->result.error, PB_ERROR_CODE_DENIED);
    end(pair);
}

static void tampered_message(void **state)
{
    struct pair pair = talking();
    uint8_t bytes[512];
    struct pb_entry entry = message(&pair.send, pair.ann, 2);
    (void)state;
    memcpy(bytes, pair.send.envelope.at, pair.send.envelope.bytes);
    bytes[90] ^= 1;
    entry.body.message.envelope = slice_make(bytes, pair.send.envelope.bytes);
    push(pair.ann, 2, &entry);
    assert_int_equal(pair.ann->shown, 0); /* a placeholder; the cursor goes on */
    assert_true(pair.ann->client.useq == 2);
    end(pair);
}

static void regressions(void **state)
{
    struct host *host = signed_up("ann", 1);
    (void)state;
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(host);
    assert_true(expect(host, PB_FRAME_BODY_HELLO).body.hello.conn == 2);
    refuse(host, PB_ERROR_CODE_CONFLICT, 50);
    greet(host);
    assert_true(expect(host, PB_FRAME_BODY_HELLO).body.hello.conn == 51);
    refuse(host, PB_ERROR_CODE_CONFLICT, 60); /* twice within a day: cloned */
    assert_int_equal(host->client.state, PB_CLIENT_STATE_CLONED);
    host->now += 200000;
    simple(host, PB_HOST_EVENT_BODY_TIMER);
    assert_false(host->connect);
    host_free(host);
}

static void goaways(void **state)
{
    struct host *host = signed_up("ann", 1);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_GOAWAY};
    (void)state;
    frame.body.goaway.reason = PB_GOAWAY_REASON_DRAIN;
    feed(host, &frame);
    assert_true(host->close && !host->wipe);
    greet(host);
    expect(host, PB_FRAME_BODY_HELLO);
    ready(host, 0, PB_RESUME_KIND_TAIL);
    frame.body.goaway.reason = PB_GOAWAY_REASON_SIGNED_OUT;
    feed(host, &frame);
    assert_true(host->wipe);
    assert_int_equal(host->client.state, PB_CLIENT_STATE_SIGNED_OUT);
    host_free(host);
}

static void welcomed_as(struct host *host, struct slice name)
{
    static const uint8_t nonce[32] = {7};
    struct pb_frame welcome = {.body_case = PB_FRAME_BODY_WELCOME};
    welcome.body.welcome = (struct pb_welcome){.proto_min = 1,
                                               .proto_max = 1,
                                               .log_epoch = 1,
                                               .server_name = name,
                                               .nonce = slice_make(nonce, 32)};
    for (int i = 0; i < 200 && !host->connect; i++)
        wait_ms(host, 1000);
    assert_true(host->connect);
    host->connect = host->close = false;
    simple(host, PB_HOST_EVENT_BODY_CONNECTED);
    feed(host, &welcome);
}

static void says(struct host *host, const char *detail)
{
    size_t states = 0;
    for (size_t i = 0; i < host->out.notices_count; i++) {
        const struct pb_notice *notice = &host->out.notices[i];
        if (notice->body_case != PB_NOTICE_BODY_STATE)
            continue;
        states++;
        if (!slice_equal(notice->body.state.detail, slice_text(detail)))
            fail_msg("'%.*s', not '%s'", (int)notice->body.state.detail.bytes,
                     (const char *)notice->body.state.detail.at, detail);
    }
    assert_int_equal(states, 1);
}

/* Who is not the pinned server gets nothing, and the person hears of it, once; its name is a
 * stranger's word: cut, and no escapes. */
static void another_server(void **state)
{
    static const char longest[] = "\x1b[31mevil and a name of more than thirty-two bytes";
    struct host *host = signed_up("ann", 1);
    uint64_t conn = host->client.conn;
    (void)state;
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    host->connect = false;
    welcomed_as(host, slice_text(longest));
    assert_true(host->close && host->client.conn == conn);
    silent(host);
    says(host, "this server is \"?[31mevil?and?a?name?of?more?tha...\", not \"home\": it was told "
               "nothing; give it its old name back, or sign in to it with a new profile");
    welcomed_as(host, SLICE_LITERAL("evil"));
    says(host, ""); /* not again */
    silent(host);
    greet(host); /* it is itself again */
    expect(host, PB_FRAME_BODY_HELLO);
    ready(host, 0, PB_RESUME_KIND_TAIL);
    assert_int_equal(host->client.doubt, CLIENT_DOUBT_NONE);
    assert_true(host->client.synced);
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    host->connect = false;
    welcomed_as(host, SLICE_LITERAL("evil")); /* a new story: told again */
    says(host, "this server is \"evil\", not \"home\": it was told nothing; give it its old name "
               "back, or sign in to it with a new profile");
    host_free(host);
}

/* The name is right, but it is not the server it was: it knows the device not, or otherwise. */
static void a_server_that_forgot(void **state)
{
    struct host *host = signed_up("ann", 1);
    (void)state;
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(host);
    expect(host, PB_FRAME_BODY_HELLO);
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_READY};
    uint8_t other[16] = {9};
    frame.body.ready = (struct pb_ready){.user_id = slice_make(other, 16), .log_epoch = 1};
    feed(host, &frame);
    says(host, "the server takes this device for another account's: it was told nothing; sign in "
               "anew with a new profile");
    greet(host);
    expect(host, PB_FRAME_BODY_HELLO);
    ready(host, 0, PB_RESUME_KIND_TAIL);
    assert_true(host->client.synced);
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    host->client.attempts = 0;
    for (int i = 0; i < 2; i++) { /* once may be a server that is behind */
        greet(host);
        expect(host, PB_FRAME_BODY_HELLO);
        refuse(host, PB_ERROR_CODE_AUTH, 0);
        says(host, i == 0 ? ""
                          : "the server does not know this device: was its data lost, or is it "
                            "another one? If it stays so, sign in anew with a new profile");
    }
    host_free(host);
}

static void unanswered_register(void **state)
{
    struct host *host = host_new();
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    (void)state;
    event.body.command.request = 1;
    event.body.command.body_case = PB_EVENT_COMMAND_BODY_REGISTER;
    event.body.command.body.register_ =
        (struct pb_command_register){.server = SLICE_LITERAL("http://h"),
                                     .username = SLICE_LITERAL("ann"),
                                     .password = SLICE_LITERAL("secret")};
    step(host, &event);
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    greet(host);
    expect(host, PB_FRAME_BODY_LOGIN); /* did it happen? */
    refuse(host, PB_ERROR_CODE_AUTH, 0);
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER); /* it had not */
    refuse(host, PB_ERROR_CODE_NAME_TAKEN, 0);
    assert_int_equal(host->result.error, PB_ERROR_CODE_NAME_TAKEN);
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives),    cmocka_unit_test(a_lost_ack),
        cmocka_unit_test(sent_but_never_seen),  cmocka_unit_test(repeats_back_off),
        cmocka_unit_test(resent_byte_for_byte), cmocka_unit_test(refusals),
        cmocka_unit_test(repeat_moves_one),     cmocka_unit_test(both_create),
        cmocka_unit_test(gaps_and_snapshot),    cmocka_unit_test(snapshot_without_it_fails),
        cmocka_unit_test(forged_lists),         cmocka_unit_test(tampered_message),
        cmocka_unit_test(regressions),          cmocka_unit_test(goaways),
        cmocka_unit_test(unanswered_register),  cmocka_unit_test(another_server),
        cmocka_unit_test(a_server_that_forgot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
