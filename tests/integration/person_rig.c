/* SPDX-License-Identifier: Apache-2.0 */
#include "person_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/system/system.h"
#include "ports/crypto.h"
#include "wire/upgrade.h"

#define STORE_OPS_MAX     8192u
#define MESSAGE_BYTES_MAX (1u << 20)

static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

static void step(struct person *person, struct pb_host_event *event);

/* ---- rows ---- */

static void commit(struct person *person, const struct pb_host_effects *out, bool inserted[])
{
    static struct cstore_op ops[STORE_OPS_MAX];
    static const enum cstore_op_kind kinds[] = {
        [PB_STORE_OP_KIND_PUT] = CSTORE_PUT,
        [PB_STORE_OP_KIND_INSERT] = CSTORE_INSERT,
        [PB_STORE_OP_KIND_DELETE] = CSTORE_DELETE,
    };
    assert_true(out->store_count <= STORE_OPS_MAX);
    for (size_t i = 0; i < out->store_count; i++)
        ops[i] = (struct cstore_op){.kind = kinds[out->store[i].kind],
                                    .table = (uint32_t)out->store[i].table,
                                    .key = out->store[i].key,
                                    .value = out->store[i].value};
    struct cstore *rows = &person->rows.cstore;
    assert_int_equal(rows->vtable->commit(rows, ops, out->store_count), STATUS_OK);
    for (size_t i = 0; i < out->store_count; i++)
        inserted[i] = ops[i].inserted;
}

/* All rows but the messages go back into a fresh mind. */
static void restore(struct person *person)
{
    static struct cstore_row rows[STORE_OPS_MAX];
    static struct pb_state_row states[STORE_OPS_MAX];
    uint8_t last_key[64];
    memset(last_key, 0xff, sizeof last_key);
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    struct cstore *store = &person->rows.cstore;
    struct arena arena;
    arena_init(&arena, 64u << 20);
    assert_int_equal(client_init(&person->client, CLIENT_BYTES_DEFAULT), STATUS_OK);
    for (uint32_t table = PB_TABLE_META; table <= PB_TABLE_JOURNAL; table++) {
        size_t count = 0;
        if (table == PB_TABLE_MESSAGE)
            continue;
        assert_int_equal(store->vtable->range(store, table, SLICE_EMPTY, SLICE_OF(last_key), false,
                                              rows, STORE_OPS_MAX, &count, &arena),
                         STATUS_OK);
        for (size_t i = 0; i < count; i++)
            states[event.body.restore.rows_count++] = (struct pb_state_row){
                .table = (enum pb_table)table, .key = rows[i].key, .value = rows[i].value};
    }
    event.body.restore.rows = states;
    event.body.restore.last = true;
    step(person, &event);
    arena_deinit(&arena);
}

/* ---- the socket ---- */

static const struct net_vtable *net_of(struct person *person)
{
    return person->options.sockets->net.vtable;
}

static void out_flush(struct person *person)
{
    if (!person->connected || person->sending || person->out_bytes == 0)
        return;
    memcpy(person->flying, person->out, person->out_bytes);
    person->sending = true;
    size_t bytes = person->out_bytes;
    person->out_bytes = 0;
    net_of(person)->send(&person->options.sockets->net, person->conn,
                         slice_make(person->flying, bytes));
}

static void out_put(struct person *person, enum ws_opcode opcode, struct slice payload)
{
    static const uint8_t mask[WS_MASK_BYTES] = {1, 2, 3, 4};
    assert_true(person->out_bytes + WS_HEADER_BYTES_MAX + payload.bytes <= PERSON_OUT_BYTES);
    person->out_bytes +=
        ws_write_header(person->out + person->out_bytes, opcode, payload.bytes, mask);
    if (payload.bytes > 0)
        memcpy(person->out + person->out_bytes, payload.at, payload.bytes);
    ws_mask(person->out + person->out_bytes, payload.bytes, mask, 0);
    person->out_bytes += payload.bytes;
}

static void hang_up(struct person *person)
{
    if (person->connected || person->connecting)
        net_of(person)->close(&person->options.sockets->net, person->conn, true);
    person->connected = person->connecting = person->upgraded = person->sending = false;
    person->out_bytes = person->message_bytes = 0;
}

static void lost(struct person *person)
{
    person->connected = person->connecting = person->upgraded = person->sending = false;
    person->out_bytes = person->message_bytes = 0;
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_DISCONNECTED};
    step(person, &event);
}

static void connect_now(struct person *person)
{
    hang_up(person);
    assert_int_equal(net_of(person)->connect(&person->options.sockets->net, loopback, person->port,
                                             &person->conn),
                     STATUS_OK);
    net_of(person)->tag(&person->options.sockets->net, person->conn, person->options.tag);
    person->connecting = true;
}

static void on_connected(struct person *person)
{
    static const uint8_t nonce[UPGRADE_NONCE_BYTES] = {7};
    uint8_t key[UPGRADE_KEY_BYTES];
    person->connecting = false;
    person->connected = true;
    ws_init(&person->ws, WS_CLIENT, WS_HOLD_BYTES_MIN, MESSAGE_BYTES_MAX);
    upgrade_key(nonce, key);
    struct buf out = buf_over(person->out, PERSON_OUT_BYTES);
    upgrade_write_request(&out, SLICE_LITERAL("localhost"), SLICE_LITERAL("new"), key);
    person->out_bytes = out.bytes;
}

static void on_message(struct person *person, struct slice bytes)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_FRAME};
    event.body.frame.bytes = bytes;
    step(person, &event);
}

static void on_piece(struct person *person, const struct ws_event *event)
{
    assert_true(person->message_bytes + event->payload.bytes <= PERSON_OUT_BYTES);
    if (event->payload.bytes > 0)
        memcpy(person->message + person->message_bytes, event->payload.at, event->payload.bytes);
    person->message_bytes += event->payload.bytes;
    if (!event->last)
        return;
    size_t bytes = person->message_bytes;
    person->message_bytes = 0;
    on_message(person, slice_make(person->message, bytes));
}

/* One event of the WebSocket; false when there is none, or the connection is over. */
static bool on_ws(struct person *person, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_NONE: return false;
    case WS_MESSAGE: on_message(person, event->payload); break;
    case WS_PIECE: on_piece(person, event); break;
    case WS_PING: out_put(person, WS_OPCODE_PONG, event->payload); break;
    case WS_PONG: break;
    case WS_CLOSE:
        hang_up(person);
        lost(person);
        return false;
    case WS_ERROR:
        fail_msg("the server broke the WebSocket protocol: %u", event->code);
        return false;
    }
    return person->connected;
}

static size_t on_head(struct person *person, const struct net_event *event)
{
    static const uint8_t end[] = "\r\n\r\n";
    uint8_t *found = memmem(event->bytes, event->bytes_count, end, 4);
    if (!found)
        return 0;
    assert_memory_equal(event->bytes, "HTTP/1.1 101 ", 13);
    person->upgraded = true;
    struct pb_host_event connected = {.body_case = PB_HOST_EVENT_BODY_CONNECTED};
    step(person, &connected);
    return (size_t)(found + 4 - event->bytes);
}

static void on_received(struct person *person, const struct net_event *event)
{
    size_t at = person->upgraded ? 0 : on_head(person, event);
    net_conn conn = person->conn;
    while (person->upgraded && at < event->bytes_count) {
        size_t consumed = 0;
        struct ws_event said;
        ws_feed(&person->ws, event->bytes + at, event->bytes_count - at, &consumed, &said);
        at += consumed;
        if (!on_ws(person, &said) && consumed == 0)
            break;
    }
    if (person->connected && memcmp(&conn, &person->conn, sizeof conn) == 0)
        net_of(person)->consume(&person->options.sockets->net, conn, at);
}

static void on_net(struct person *person, const struct net_event *event)
{
    switch (event->kind) {
    case NET_CONNECTED: on_connected(person); break;
    case NET_RECEIVED: on_received(person, event); break;
    case NET_SENT: person->sending = false; break;
    case NET_CLOSED: lost(person); break;
    case NET_ACCEPTED:
    case NET_WOKEN: break;
    }
}

/* ---- the person ---- */

static void show(struct person *person, const struct pb_notice_message *message)
{
    if (message->system)
        return;
    assert_true(message->readable);
    if (person->shown_count == PERSON_SHOWN_MAX)
        return;
    struct person_shown *shown = &person->shown[person->shown_count++];
    *shown = (struct person_shown){.cseq = message->cseq, .own = message->own};
    memcpy(shown->chat, message->chat_id.at, ID_BYTES);
    memcpy(shown->mid, message->mid.at, ID_BYTES);
    struct slice text = message->content.body.text.text;
    memcpy(shown->text, text.at, text.bytes < 31 ? text.bytes : 31);
}

static void tick(struct person *person, const struct pb_notice_tick *notice)
{
    struct person_tick *at = person->ticks, *end = at + person->ticks_count;
    while (at < end && memcmp(at->mid, notice->mid.at, ID_BYTES) != 0)
        at++;
    if (at == person->ticks + PERSON_SHOWN_MAX)
        return;
    person->ticks_count += at == end;
    memcpy(at->mid, notice->mid.at, ID_BYTES);
    at->tick = notice->tick;
}

static void notice(struct person *person, const struct pb_notice *notice, const bool inserted[])
{
    if (notice->body_case == PB_NOTICE_BODY_MESSAGE && inserted[notice->body.message.op])
        show(person, &notice->body.message);
    if (notice->body_case == PB_NOTICE_BODY_TICK)
        tick(person, &notice->body.tick);
    if (notice->body_case == PB_NOTICE_BODY_STATE)
        person->state = notice->body.state.state;
    if (notice->body_case == PB_NOTICE_BODY_RESULT) {
        person->result = notice->body.result;
        if (person->result.mid.bytes == ID_BYTES) {
            memcpy(person->result_mid, person->result.mid.at, ID_BYTES);
            person->result.mid = slice_make(person->result_mid, ID_BYTES);
        }
    }
}

static uint64_t mono_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

static void step(struct person *person, struct pb_host_event *event)
{
    static bool inserted[STORE_OPS_MAX];
    struct pb_host_effects out;
    uint8_t entropy[32];
    struct clock_reading now = system_clock()->vtable->read(system_clock());
    bool observed = person->options.history && event->body_case != PB_HOST_EVENT_BODY_RESTORE;
    system_entropy()->vtable->fill(system_entropy(), entropy, 32);
    event->entropy = slice_make(entropy, 32);
    event->now_ms = now.wall_us / 1000;
    event->mono_ms = now.mono_us / 1000 * person->options.clock_rate;
    if (observed)
        observer_before(&person->observer, &person->client, event, now.mono_us);
    assert_int_equal(client_step(&person->client, event, &out), STATUS_OK);
    client_check(&person->client);
    commit(person, &out, inserted);
    if (observed)
        observer_after(&person->observer, &person->client, &out, inserted, mono_us());
    if (person->dies) {
        person->dies = false;
        person_restart(person);
        return;
    }
    for (size_t i = 0; i < out.frames_count; i++)
        out_put(person, WS_BINARY, out.frames[i]);
    for (size_t i = 0; i < out.notices_count; i++)
        notice(person, &out.notices[i], inserted);
    person->wake_ms = out.wake_mono_ms;
    person->wiped = person->wiped || out.wipe;
    if (out.close) {
        out_flush(person);
        hang_up(person);
    }
    if (out.connect)
        connect_now(person);
}

void person_open(struct person *person, const struct person_options *options)
{
    memset(person, 0, sizeof *person);
    person->options = *options;
    memory_cstore_open(&person->rows);
    observer_open(&person->observer, options->history, options->tag);
    restore(person);
}

void person_close(struct person *person)
{
    hang_up(person);
    client_deinit(&person->client);
    observer_close(&person->observer);
    memory_cstore_close(&person->rows);
}

void person_restart(struct person *person)
{
    hang_up(person);
    client_deinit(&person->client);
    restore(person);
    if (person->options.history)
        observer_restart(&person->observer, &person->client, mono_us(), 0);
}

void person_command(struct person *person, struct pb_event_command *command)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    person->result = (struct pb_notice_result){.request = 0};
    command->request = 1;
    event.body.command = *command;
    step(person, &event);
}

void person_register(struct person *person, const char *username)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_REGISTER};
    command.body.register_ = (struct pb_command_register){
        .server = SLICE_LITERAL("http://localhost"),
        .username = slice_make((const uint8_t *)username, strlen(username)),
        .password = SLICE_LITERAL("correct horse battery staple"),
        .device_name = SLICE_LITERAL("test")};
    person_command(person, &command);
}

void person_send(struct person *person, const char *username, const char *text)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_SEND};
    command.body.send.to_username = slice_make((const uint8_t *)username, strlen(username));
    command.body.send.text = slice_make((const uint8_t *)text, strlen(text));
    person_command(person, &command);
}

void people_turn(struct person *const people[], size_t count)
{
    struct net *net = &people[0]->options.sockets->net;
    struct net_event events[64];
    size_t heard = net->vtable->wait(net, events, 64, 0);
    for (size_t i = 0; i < heard; i++)
        for (size_t m = 0; m < count; m++)
            if (events[i].tag == people[m]->options.tag)
                on_net(people[m], &events[i]);
    for (size_t m = 0; m < count; m++) {
        uint64_t now_ms = mono_us() / 1000 * people[m]->options.clock_rate;
        if (people[m]->wake_ms != 0 && people[m]->wake_ms <= now_ms) {
            struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_TIMER};
            step(people[m], &event);
        }
        out_flush(people[m]);
    }
}

enum pb_tick person_tick(const struct person *person, struct slice mid)
{
    for (size_t i = 0; i < person->shown_count; i++)
        if (slice_equal(slice_make(person->shown[i].mid, ID_BYTES), mid))
            return client_tick(client_chat_find(&person->client, person->shown[i].chat),
                               person->shown[i].cseq);
    for (size_t i = 0; i < person->ticks_count; i++)
        if (slice_equal(slice_make(person->ticks[i].mid, ID_BYTES), mid))
            return person->ticks[i].tick;
    return PB_TICK_CLOCK;
}
