/* SPDX-License-Identifier: Apache-2.0
 * EXCEPTION: one dialogue for every rule; they share one scripted server.
 * Dialogues: a scripted server on one side, one or two minds on the other; rows are kept as a host
 * keeps them, and every step is followed by client_check. */
#include "client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/policy.h"

#define ROWS_MAX 512

struct stored {
    enum pb_table table;
    struct slice key, value;
};

/* a device: its mind, its rows, what it sent and showed */
struct host {
    struct client client;
    struct arena memory;
    struct stored rows[ROWS_MAX];
    size_t row_count;
    struct pb_host_effects out;
    struct pb_frame frames[256]; /* not yet looked at */
    size_t frame_count, shown, failed;
    uint64_t now, random;
    struct pb_notice_result result;
    bool connect, close, wipe;
    uint32_t last_req;
};

static struct stored *row_find(struct host *host, enum pb_table table, struct slice key)
{
    for (size_t i = 0; i < host->row_count; i++)
        if (host->rows[i].table == table && slice_equal(host->rows[i].key, key))
            return &host->rows[i];
    return NULL;
}

static void commit(struct host *host, bool inserted[])
{
    for (size_t i = 0; i < host->out.store_count; i++) {
        const struct pb_store_op *op = &host->out.store[i];
        struct stored *row = row_find(host, op->table, op->key);
        inserted[i] = !row;
        if (op->kind == PB_STORE_OP_KIND_DELETE) {
            if (row)
                *row = host->rows[--host->row_count];
            continue;
        }
        if (row && op->kind == PB_STORE_OP_KIND_INSERT)
            continue;
        if (!row) {
            assert_true(host->row_count < ROWS_MAX);
            row = &host->rows[host->row_count++];
        }
        *row = (struct stored){op->table, arena_copy(&host->memory, op->key),
                               arena_copy(&host->memory, op->value)};
    }
}

static void restore_into(struct client *client, const struct host *host)
{
    static struct pb_state_row rows[ROWS_MAX];
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    struct pb_host_effects out;
    uint8_t entropy[32] = {0};
    assert_int_equal(client_init(client, CLIENT_BYTES_DEFAULT), STATUS_OK);
    for (size_t i = 0; i < host->row_count; i++)
        if (host->rows[i].table != PB_TABLE_MESSAGE)
            rows[event.body.restore.rows_count++] =
                (struct pb_state_row){.table = host->rows[i].table,
                                      .key = host->rows[i].key,
                                      .value = host->rows[i].value};
    event.body.restore.rows = rows;
    event.entropy = slice_make(entropy, 32);
    assert_int_equal(client_step(client, &event, &out), STATUS_OK);
}

/* A crash right now would lose nothing: what the rows give back is the state. */
static void same_from_rows(const struct host *host)
{
    static struct client twin;
    const struct client *live = &host->client;
    restore_into(&twin, host);
    assert_true(twin.useq == live->useq && twin.conn == live->conn &&
                twin.log_epoch == live->log_epoch);
    assert_true(twin.enrolled == live->enrolled && twin.dl_n == live->dl_n);
    assert_memory_equal(twin.user, live->user, 16);
    assert_memory_equal(twin.device, live->device, 16);
    assert_int_equal(twin.outbox_count, live->outbox_count);
    for (uint32_t i = 0; i < live->outbox_count; i++) {
        const struct client_entry *entry = &live->outbox[i],
                                  *stored = client_entry_find(&twin, entry->mid);
        assert_non_null(stored);
        assert_true(stored->sctr == entry->sctr && stored->state == entry->state);
        assert_true(stored->reseal == entry->reseal &&
                    slice_equal(stored->envelope, entry->envelope));
    }
    for (uint32_t i = 0; i < live->chat_count; i++) {
        const struct client_chat *chat = live->chats[i],
                                 *stored = client_chat_find(&twin, chat->id);
        assert_non_null(stored);
        assert_true(stored->head == chat->head && stored->next_sctr == chat->next_sctr);
        assert_true(stored->load_upto == chat->load_upto &&
                    stored->snapshot_sctr == chat->snapshot_sctr);
        assert_true(stored->delivered_by_all == chat->delivered_by_all &&
                    stored->created == chat->created);
        assert_true(stored->read_wish == chat->read_wish &&
                    stored->delivered_wish == chat->delivered_wish);
        assert_memory_equal(stored->create_mid, chat->create_mid, 16);
        assert_int_equal(stored->span_count, chat->span_count);
        assert_memory_equal(stored->spans, chat->spans, chat->span_count * sizeof chat->spans[0]);
    }
    for (uint32_t i = 0; i < live->user_count; i++) {
        const struct client_user *user = live->users[i],
                                 *stored = client_user_find(&twin, user->id);
        assert_true(stored ? stored->dl_n == user->dl_n && stored->broken == user->broken
                           : user->dl_n == 0 && !user->broken);
    }
    client_deinit(&twin);
}

static void step(struct host *host, struct pb_host_event *event)
{
    static bool inserted[8192];
    uint8_t entropy[32] = {0};
    host->random++;
    memcpy(entropy, &host->random, 8);
    entropy[31] = (uint8_t)((uintptr_t)host >> 8);
    event->entropy = slice_make(entropy, 32);
    event->now_ms = 1700000000000u + host->now;
    event->mono_ms = host->now;
    assert_int_equal(client_step(&host->client, event, &host->out), STATUS_OK);
    client_check(&host->client);
    commit(host, inserted);
    same_from_rows(host);
    for (size_t i = 0; i < host->out.frames_count; i++) {
        struct slice bytes = arena_copy(&host->memory, host->out.frames[i]);
        assert_true(host->frame_count < 256);
        assert_int_equal(pb_frame_decode(bytes, &host->memory, &host->frames[host->frame_count++]),
                         STATUS_OK);
    }
    for (size_t i = 0; i < host->out.notices_count; i++) {
        const struct pb_notice *notice = &host->out.notices[i];
        if (notice->body_case == PB_NOTICE_BODY_MESSAGE) {
            assert_true(inserted[notice->body.message.op]); /* no notice for a row that was there */
            host->shown += notice->body.message.readable && !notice->body.message.system;
        }
        if (notice->body_case == PB_NOTICE_BODY_RESULT)
            host->result = notice->body.result;
        if (notice->body_case == PB_NOTICE_BODY_TICK)
            host->failed += notice->body.tick.tick == PB_TICK_FAILED;
    }
    host->connect |= host->out.connect;
    host->close |= host->out.close;
    host->wipe |= host->out.wipe;
    event->entropy = SLICE_EMPTY; /* it was of this frame */
}

static void simple(struct host *host, enum pb_host_event_body body)
{
    struct pb_host_event event = {.body_case = body};
    step(host, &event);
}

static void feed(struct host *host, const struct pb_frame *frame)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_FRAME};
    event.body.frame.bytes = pb_frame_pack(frame, &host->memory);
    step(host, &event);
}

/* The oldest frame not yet looked at; its kind must be this. */
static struct pb_frame expect(struct host *host, enum pb_frame_body body)
{
    assert_true(host->frame_count > 0);
    struct pb_frame frame = host->frames[0];
    assert_int_equal(frame.body_case, body);
    memmove(host->frames, host->frames + 1, --host->frame_count * sizeof frame);
    host->last_req = frame.req;
    return frame;
}

static void silent(struct host *host)
{
    assert_int_equal(host->frame_count, 0);
}

static struct host *host_new(void)
{
    struct host *host = calloc(1, sizeof *host);
    assert_non_null(host);
    arena_init(&host->memory, 64u << 20);
    assert_int_equal(client_init(&host->client, CLIENT_BYTES_DEFAULT), STATUS_OK);
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    event.body.restore.last = true;
    step(host, &event);
    return host;
}

static void host_free(struct host *host)
{
    client_deinit(&host->client);
    arena_deinit(&host->memory);
    free(host);
}

/* kill -9, and a start from the rows. */
static void restart(struct host *host)
{
    client_deinit(&host->client);
    restore_into(&host->client, host);
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    event.body.restore.last = true;
    host->frame_count = 0;
    host->connect = false;
    step(host, &event);
}

static void greet(struct host *host)
{
    static const uint8_t nonce[32] = {7};
    struct pb_frame welcome = {.body_case = PB_FRAME_BODY_WELCOME};
    welcome.body.welcome = (struct pb_welcome){.proto_min = 1,
                                               .proto_max = 1,
                                               .log_epoch = 1,
                                               .server_name = SLICE_LITERAL("home"),
                                               .nonce = slice_make(nonce, 32)};
    for (int i = 0; i < 200 && !host->connect; i++) {
        host->now += 1000;
        simple(host, PB_HOST_EVENT_BODY_TIMER);
    }
    assert_true(host->connect);
    host->connect = host->close = false;
    simple(host, PB_HOST_EVENT_BODY_CONNECTED);
    feed(host, &welcome);
}

static void ok(struct host *host, uint64_t ver)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_OK};
    frame.body.ok.ver = ver;
    feed(host, &frame);
}

static void error(struct host *host, enum pb_error_code code, uint64_t ver)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_ERROR};
    frame.body.error.code = code;
    frame.body.error.ver = ver;
    feed(host, &frame);
}

static void ready(struct host *host, uint64_t useq, enum pb_resume_kind resume)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_READY};
    frame.body.ready = (struct pb_ready){.user_id = slice_make(host->client.user, 16),
                                         .useq = useq,
                                         .log_epoch = 1,
                                         .dl_n = host->client.dl_n,
                                         .resume = resume};
    feed(host, &frame);
}

static void lists(struct host *host, uint8_t first, struct slice list)
{
    uint8_t user[16] = {first};
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_DEVLIST_ANSWER};
    frame.body.devlist_answer = (struct pb_devlist_answer){
        .user_id = slice_make(user, 16), .lists = &list, .lists_count = 1};
    feed(host, &frame);
}

static struct slice list_of(struct host *host)
{
    struct client_user *self = client_user_find(&host->client, host->client.user);
    assert_non_null(self);
    return self->dl;
}

/* Sign up as `name` with user_id {first}; ends synced at useq 0, own list known. */
static struct host *signed_up(const char *name, uint8_t first)
{
    struct host *host = host_new();
    uint8_t user[16] = {first};
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    event.body.command.request = 1;
    event.body.command.body_case = PB_EVENT_COMMAND_BODY_REGISTER;
    event.body.command.body.register_ =
        (struct pb_command_register){.server = SLICE_LITERAL("http://h"),
                                     .username = slice_text(name),
                                     .password = SLICE_LITERAL("secret"),
                                     .invite = SLICE_LITERAL("i")};
    step(host, &event);
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER);
    struct pb_frame granted = {.req = host->last_req, .body_case = PB_FRAME_BODY_GRANTED};
    granted.body.granted.user_id = slice_make(user, 16);
    feed(host, &granted);
    expect(host, PB_FRAME_BODY_VAULT_PUT);
    ok(host, 1);
    struct pb_frame put = expect(host, PB_FRAME_BODY_DEVLIST_PUT);
    ok(host, 1);
    assert_int_equal(host->result.request, 1);
    assert_int_equal(host->result.error, 0);
    struct pb_frame hello = expect(host, PB_FRAME_BODY_HELLO);
    assert_true(hello.body.hello.conn == 1);
    host->client.dl_n = 1;
    ready(host, 0, PB_RESUME_KIND_TAIL);
    expect(host, PB_FRAME_BODY_DEVLIST_GET);
    lists(host, first, put.body.devlist_put.dl);
    assert_true(host->client.synced);
    silent(host);
    return host;
}

static void reconnect(struct host *host, uint64_t useq, enum pb_resume_kind resume)
{
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    host->frame_count = 0;
    greet(host);
    expect(host, PB_FRAME_BODY_HELLO);
    ready(host, useq, resume);
}

static void send_to(struct host *host, const char *name, const char *text)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    event.body.command.request = 2;
    event.body.command.body_case = PB_EVENT_COMMAND_BODY_SEND;
    event.body.command.body.send.to_username = slice_text(name);
    event.body.command.body.send.text = slice_text(text);
    step(host, &event);
}

static void push(struct host *host, uint64_t useq, const struct pb_entry *entry)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_PUSH};
    frame.body.push = (struct pb_push){
        .useq = useq, .prev_useq = useq - 1, .log_epoch = 1, .entry = *entry, .has_entry = true};
    feed(host, &frame);
}

static struct pb_entry created(const struct pb_chat_create *create, const struct host *by,
                               uint64_t cseq)
{
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MEMBER};
    entry.body.member = (struct pb_member_change){.chat_id = create->chat_id,
                                                  .cseq = cseq,
                                                  .ts = 1,
                                                  .kind = PB_MEMBER_CHANGE_KIND_CREATED,
                                                  .user_id = slice_make(by->client.user, 16),
                                                  .device_id = slice_make(by->client.device, 16),
                                                  .mid = create->mid,
                                                  .gen = 1,
                                                  .mls_epoch = 1,
                                                  .floor = 1,
                                                  .policy = create->policy};
    return entry;
}

static struct pb_entry message(const struct pb_send *send, const struct host *by, uint64_t cseq)
{
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_MESSAGE};
    entry.body.message = (struct pb_message){.chat_id = send->chat_id,
                                             .cseq = cseq,
                                             .ts = 2,
                                             .user_id = slice_make(by->client.user, 16),
                                             .device_id = slice_make(by->client.device, 16),
                                             .sctr = send->sctr,
                                             .mid = send->mid,
                                             .envelope = send->envelope};
    return entry;
}

static struct pb_entry rejected(const struct pb_send *send, const struct host *by,
                                enum pb_error_code why)
{
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_REJECTED};
    entry.body.rejected = (struct pb_rejected){.chat_id = send->chat_id,
                                               .mid = send->mid,
                                               .device_id = slice_make(by->client.device, 16),
                                               .sctr = send->sctr,
                                               .reason = (uint32_t)why};
    return entry;
}

/* Ann and Bob signed up; Ann wrote to Bob, her chat is created (useq 1), her SEND is on its way. */
struct pair {
    struct host *ann, *bob;
    struct pb_entry created;
    struct pb_send send;
};

static struct pair talking(void)
{
    struct pair pair = {.ann = signed_up("ann", 1), .bob = signed_up("bob", 2)};
    struct host *ann = pair.ann;
    uint8_t bob_id[16] = {2};
    send_to(ann, "bob", "hello");
    expect(ann, PB_FRAME_BODY_LOOKUP);
    struct pb_frame found = {.req = ann->last_req, .body_case = PB_FRAME_BODY_LOOKUP_ANSWER};
    found.body.lookup_answer.user_id = slice_make(bob_id, 16);
    found.body.lookup_answer.dl_n = 1;
    feed(ann, &found);
    expect(ann, PB_FRAME_BODY_DEVLIST_GET);
    lists(ann, 2, list_of(pair.bob));
    assert_int_equal(ann->result.request, 2);
    assert_int_equal(ann->result.error, 0);
    struct pb_frame create = expect(ann, PB_FRAME_BODY_CHAT_CREATE);
    assert_int_equal(create.body.chat_create.leaves_count, 2);
    silent(ann); /* content only after the own creation has returned */
    pair.created = created(&create.body.chat_create, ann, 1);
    push(ann, 1, &pair.created);
    expect(ann, PB_FRAME_BODY_ACK);
    pair.send = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(pair.send.start && pair.send.sctr == 1);
    silent(ann);
    return pair;
}

static void end(struct pair pair)
{
    host_free(pair.ann);
    host_free(pair.bob);
}

static void sent(struct host *host, struct slice mid)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_SENT};
    frame.body.sent.mid = mid;
    feed(host, &frame);
}

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
    error(pair.ann, PB_ERROR_CODE_RETRY, 0);
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
    error(host, PB_ERROR_CODE_CONFLICT, 50);
    greet(host);
    assert_true(expect(host, PB_FRAME_BODY_HELLO).body.hello.conn == 51);
    error(host, PB_ERROR_CODE_CONFLICT, 60); /* twice within a day: cloned */
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
    error(host, PB_ERROR_CODE_AUTH, 0);
    greet(host);
    expect(host, PB_FRAME_BODY_REGISTER); /* it had not */
    error(host, PB_ERROR_CODE_NAME_TAKEN, 0);
    assert_int_equal(host->result.error, PB_ERROR_CODE_NAME_TAKEN);
    host_free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives),    cmocka_unit_test(a_lost_ack),
        cmocka_unit_test(resent_byte_for_byte), cmocka_unit_test(refusals),
        cmocka_unit_test(repeat_moves_one),     cmocka_unit_test(both_create),
        cmocka_unit_test(gaps_and_snapshot),    cmocka_unit_test(snapshot_without_it_fails),
        cmocka_unit_test(forged_lists),         cmocka_unit_test(tampered_message),
        cmocka_unit_test(regressions),          cmocka_unit_test(goaways),
        cmocka_unit_test(unanswered_register),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
