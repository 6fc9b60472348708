/* SPDX-License-Identifier: Apache-2.0
 * The rig behind dialogue.h; no test of its own: linked into each test of this room. */
#include "client/dialogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct stored *row_find(struct host *host, enum pb_table table, struct slice key)
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
    assert_int_equal(twin.journal_count, live->journal_count);
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
        assert_true(stored->stale_upto == chat->stale_upto &&
                    stored->voided_count == chat->voided_count);
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

void step(struct host *host, struct pb_host_event *event)
{
    static bool inserted[8192];
    uint8_t entropy[32] = {0};
    host->random++;
    memcpy(entropy, &host->random, 8);
    entropy[31] = host->number;
    event->entropy = slice_make(entropy, 32);
    event->now_ms = 1700000000000u + host->now;
    event->mono_ms = host->now;
    sweep(host, event);
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
            host->last = notice->body.message;
            host->shown += notice->body.message.readable && !notice->body.message.system;
        }
        if (notice->body_case == PB_NOTICE_BODY_RESULT)
            host->result = notice->body.result;
        if (notice->body_case == PB_NOTICE_BODY_TICK) {
            host->failed += notice->body.tick.tick == PB_TICK_FAILED;
            host->tick = notice->body.tick;
            host->ticks[notice->body.tick.tick]++;
        }
    }
    host->connect |= host->out.connect;
    host->close |= host->out.close;
    host->wipe |= host->out.wipe;
    event->entropy = SLICE_EMPTY; /* it was of this frame */
}

void simple(struct host *host, enum pb_host_event_body body)
{
    struct pb_host_event event = {.body_case = body};
    step(host, &event);
}

void command(struct host *host, struct pb_event_command *command)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    command->request = 7;
    event.body.command = *command;
    memset(&host->result, 0, sizeof host->result);
    step(host, &event);
}

void wait_ms(struct host *host, uint64_t ms)
{
    host->now += ms;
    simple(host, PB_HOST_EVENT_BODY_TIMER);
}

void feed(struct host *host, const struct pb_frame *frame)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_FRAME};
    event.body.frame.bytes = pb_frame_pack(frame, &host->memory);
    step(host, &event);
}

uint64_t ms_until(struct host *host, enum pb_frame_body body)
{
    const struct pb_frame pong = {.body_case = PB_FRAME_BODY_PONG};
    for (uint64_t ms = 500; ms <= 600000; ms += 500) {
        bool came = false;
        wait_ms(host, 500);
        for (size_t i = 0; i < host->frame_count; i++)
            came |= host->frames[i].body_case == body;
        host->frame_count = 0;
        feed(host, &pong);
        if (came)
            return ms;
    }
    return 0;
}

/* The oldest frame not yet looked at; its kind must be this. */
struct pb_frame expect(struct host *host, enum pb_frame_body body)
{
    assert_true(host->frame_count > 0);
    struct pb_frame frame = host->frames[0];
    assert_int_equal(frame.body_case, body);
    memmove(host->frames, host->frames + 1, --host->frame_count * sizeof frame);
    host->last_req = frame.req;
    return frame;
}

void silent(struct host *host)
{
    assert_int_equal(host->frame_count, 0);
}

struct host *host_new(void)
{
    static uint8_t hosts; /* no two that live at once have the same chance */
    struct host *host = calloc(1, sizeof *host);
    assert_non_null(host);
    host->number = ++hosts;
    host->epoch = 1;
    arena_init(&host->memory, 64u << 20);
    assert_int_equal(client_init(&host->client, CLIENT_BYTES_DEFAULT), STATUS_OK);
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    event.body.restore.last = true;
    step(host, &event);
    return host;
}

void host_free(struct host *host)
{
    client_deinit(&host->client);
    arena_deinit(&host->memory);
    free(host);
}

/* kill -9, and a start from the rows. */
void restart(struct host *host)
{
    client_deinit(&host->client);
    restore_into(&host->client, host);
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    event.body.restore.last = true;
    host->frame_count = 0;
    host->connect = false;
    step(host, &event);
}

void greet(struct host *host)
{
    static const uint8_t nonce[32] = {7};
    struct pb_frame welcome = {.body_case = PB_FRAME_BODY_WELCOME};
    welcome.body.welcome = (struct pb_welcome){.proto_min = 1,
                                               .proto_max = 1,
                                               .log_epoch = host->epoch,
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

void ok(struct host *host, uint64_t ver)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_OK};
    frame.body.ok.ver = ver;
    feed(host, &frame);
}

void refuse(struct host *host, enum pb_error_code code, uint64_t ver)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_ERROR};
    frame.body.error.code = code;
    frame.body.error.ver = ver;
    feed(host, &frame);
}

void ready(struct host *host, uint64_t useq, enum pb_resume_kind resume)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_READY};
    frame.body.ready = (struct pb_ready){.user_id = slice_make(host->client.user, 16),
                                         .useq = useq,
                                         .log_epoch = host->epoch,
                                         .dl_n = host->client.dl_n,
                                         .resume = resume};
    feed(host, &frame);
}

void all_lists(struct host *host, uint8_t first, const struct slice *lists, size_t count)
{
    uint8_t user[16] = {first};
    struct slice copy[8];
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_DEVLIST_ANSWER};
    assert_true(count <= 8);
    memcpy(copy, lists, count * sizeof *lists);
    frame.body.devlist_answer = (struct pb_devlist_answer){
        .user_id = slice_make(user, 16), .lists = copy, .lists_count = count};
    feed(host, &frame);
}

void lists(struct host *host, uint8_t first, struct slice list)
{
    all_lists(host, first, &list, 1);
}

struct slice list_of(struct host *host)
{
    struct client_user *self = client_user_find(&host->client, host->client.user);
    assert_non_null(self);
    return self->dl;
}

/* Sign up as `name` with user_id {first}; ends synced at useq 0, own list known. */
struct host *signed_up(const char *name, uint8_t first)
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

void reconnect(struct host *host, uint64_t useq, enum pb_resume_kind resume)
{
    simple(host, PB_HOST_EVENT_BODY_DISCONNECTED);
    host->frame_count = 0;
    greet(host);
    expect(host, PB_FRAME_BODY_HELLO);
    ready(host, useq, resume);
}

void send_to(struct host *host, const char *name, const char *text)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    event.body.command.request = 2;
    event.body.command.body_case = PB_EVENT_COMMAND_BODY_SEND;
    event.body.command.body.send.to_username = slice_text(name);
    event.body.command.body.send.text = slice_text(text);
    step(host, &event);
}

void push(struct host *host, uint64_t useq, const struct pb_entry *entry)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_PUSH};
    frame.body.push = (struct pb_push){.useq = useq,
                                       .prev_useq = useq - 1,
                                       .log_epoch = host->epoch,
                                       .entry = *entry,
                                       .has_entry = true};
    feed(host, &frame);
}

struct pb_entry created(const struct pb_chat_create *create, const struct host *by, uint64_t cseq)
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

struct pb_entry message(const struct pb_send *send, const struct host *by, uint64_t cseq)
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

struct pb_entry rejected(const struct pb_send *send, const struct host *by, enum pb_error_code why)
{
    struct pb_entry entry = {.body_case = PB_ENTRY_BODY_REJECTED};
    entry.body.rejected = (struct pb_rejected){.chat_id = send->chat_id,
                                               .mid = send->mid,
                                               .device_id = slice_make(by->client.device, 16),
                                               .sctr = send->sctr,
                                               .reason = (uint32_t)why,
                                               .consumed = why >= PB_ERROR_CODE_NOT_MEMBER};
    return entry;
}

struct pb_chat_create first_words(struct host *ann, struct host *bob)
{
    uint8_t bob_id[16] = {2};
    send_to(ann, "bob", "hello");
    expect(ann, PB_FRAME_BODY_LOOKUP);
    struct pb_frame found = {.req = ann->last_req, .body_case = PB_FRAME_BODY_LOOKUP_ANSWER};
    found.body.lookup_answer.user_id = slice_make(bob_id, 16);
    found.body.lookup_answer.dl_n = 1;
    feed(ann, &found);
    expect(ann, PB_FRAME_BODY_DEVLIST_GET);
    lists(ann, 2, list_of(bob));
    return expect(ann, PB_FRAME_BODY_CHAT_CREATE).body.chat_create;
}

struct pair talking(void)
{
    struct pair pair = {.ann = signed_up("ann", 1), .bob = signed_up("bob", 2)};
    struct host *ann = pair.ann;
    struct pb_chat_create create = first_words(ann, pair.bob);
    assert_int_equal(ann->result.request, 2);
    assert_int_equal(ann->result.error, 0);
    assert_int_equal(create.leaves_count, 2);
    silent(ann); /* content only after the own creation has returned */
    pair.created = created(&create, ann, 1);
    push(ann, 1, &pair.created);
    expect(ann, PB_FRAME_BODY_ACK);
    pair.send = expect(ann, PB_FRAME_BODY_SEND).body.send;
    assert_true(pair.send.start && pair.send.sctr == 1);
    silent(ann);
    return pair;
}

void end(struct pair pair)
{
    host_free(pair.ann);
    host_free(pair.bob);
}

void sent(struct host *host, struct slice mid)
{
    struct pb_frame frame = {.req = host->last_req, .body_case = PB_FRAME_BODY_SENT};
    frame.body.sent.mid = mid;
    feed(host, &frame);
}
