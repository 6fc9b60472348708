/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/device.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "sim/profile.h"
#include "wire/upgrade.h"

#define EVENTS_PER_TURN 16u
#define OPS_MAX         4096u
#define CHECK_EVERY     64u
#define CLIENT_BYTES    ((size_t)32 << 20)

static void step(struct sim_device *device, struct pb_host_event *event);

/* ---- rows ---- */

/* Feed the rows of one table to the mind; the last part of all says so. */
static void restore_table(struct sim_device *device, uint32_t table)
{
    struct profile_walk walk;
    struct pb_state_row states[PROFILE_PAGE];
    profile_walk_begin(&walk, table);
    while (!walk.last) {
        struct arena arena;
        arena_init(&arena, CLIENT_BYTES);
        profile_walk_next(&walk, device->store, &arena);
        struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
        for (size_t i = 0; i < walk.count; i++)
            states[i] = (struct pb_state_row){
                .table = walk.rows[i].table, .key = walk.rows[i].key, .value = walk.rows[i].value};
        event.body.restore.rows = states;
        event.body.restore.rows_count = walk.count;
        event.body.restore.last = table == PB_TABLE_JOURNAL && walk.last;
        if (walk.count > 0 || event.body.restore.last)
            step(device, &event);
        arena_deinit(&arena);
    }
}

static void restore(struct sim_device *device)
{
    enum status status = client_init(&device->client, CLIENT_BYTES);
    assert(status == STATUS_OK);
    device->client_open = true;
    device->wake_ms = 0;
    for (uint32_t table = PB_TABLE_META; table <= PB_TABLE_JOURNAL; table++)
        if (table != PB_TABLE_MESSAGE)
            restore_table(device, table);
}

/* ---- the socket ---- */

static const struct net_vtable *net_of(struct sim_device *device)
{
    return device->net.net.vtable;
}

static void out_flush(struct sim_device *device)
{
    if (!device->connected || device->sending || device->out_bytes == 0)
        return;
    uint8_t *spare = device->flying;
    device->flying = device->out;
    device->out = spare;
    size_t bytes = device->out_bytes;
    device->out_bytes = 0;
    device->sending = true;
    net_of(device)->send(&device->net.net, device->conn, slice_make(device->flying, bytes));
}

static void out_put(struct sim_device *device, enum ws_opcode opcode, struct slice payload)
{
    uint8_t mask[WS_MASK_BYTES];
    prng_bytes(&device->prng, mask, sizeof mask);
    if (!device->upgraded)
        return; /* the connection was lost in between */
    assert(device->out_bytes + WS_HEADER_BYTES_MAX + payload.bytes <= SIM_OUT_BYTES);
    uint8_t *at = device->out + device->out_bytes;
    size_t header = ws_write_header(at, opcode, payload.bytes, mask);
    if (payload.bytes > 0)
        memcpy(at + header, payload.at, payload.bytes);
    ws_mask(at + header, payload.bytes, mask, 0);
    device->out_bytes += header + payload.bytes;
}

static void forget_connection(struct sim_device *device)
{
    device->connected = device->connecting = device->upgraded = device->sending = false;
    device->out_bytes = device->message_bytes = 0;
}

static void hang_up(struct sim_device *device, bool reset)
{
    if (device->connected || device->connecting)
        net_of(device)->close(&device->net.net, device->conn, reset);
    forget_connection(device);
}

static void lost(struct sim_device *device)
{
    forget_connection(device);
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_DISCONNECTED};
    step(device, &event);
}

static void connect_now(struct sim_device *device)
{
    static const uint8_t address[16];
    hang_up(device, true);
    uint16_t port = (uint16_t)(device->offline ? SIM_PROCESSES_MAX - 1 : device->server);
    enum status status = net_of(device)->connect(&device->net.net, address, port, &device->conn);
    assert(status == STATUS_OK);
    device->connecting = true;
}

static void on_connected(struct sim_device *device)
{
    uint8_t nonce[UPGRADE_NONCE_BYTES], key[UPGRADE_KEY_BYTES];
    prng_bytes(&device->prng, nonce, sizeof nonce);
    device->connecting = false;
    device->connected = true;
    ws_init(&device->ws, WS_CLIENT, WS_HOLD_BYTES_MIN, FRAME_BYTES_MAX);
    upgrade_key(nonce, key);
    struct buf out = buf_over(device->out, SIM_OUT_BYTES);
    upgrade_write_request(&out, SLICE_LITERAL("localhost"), SLICE_LITERAL("new"), key);
    device->out_bytes = out.bytes;
}

/* An honest device says nothing that a server may call wrong. */
static void note_error(struct sim_device *device, struct slice bytes)
{
    struct pb_frame frame;
    arena_reset(&device->arena);
    if (pb_frame_decode(bytes, &device->arena, &frame) == STATUS_OK &&
        frame.body_case == PB_FRAME_BODY_ERROR && frame.body.error.code == PB_ERROR_CODE_BAD_FRAME)
        device->wrong = "a frame was called wrong";
}

static void on_message(struct sim_device *device, struct slice bytes)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_FRAME};
    note_error(device, bytes);
    event.body.frame.bytes = bytes;
    step(device, &event);
}

static void on_piece(struct sim_device *device, const struct ws_event *event)
{
    assert(device->message_bytes + event->payload.bytes <= FRAME_BYTES_MAX);
    if (event->payload.bytes > 0)
        memcpy(device->message + device->message_bytes, event->payload.at, event->payload.bytes);
    device->message_bytes += event->payload.bytes;
    if (!event->last)
        return;
    size_t bytes = device->message_bytes;
    device->message_bytes = 0;
    on_message(device, slice_make(device->message, bytes));
}

static void on_ws(struct sim_device *device, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_NONE:
    case WS_PONG: break;
    case WS_MESSAGE: on_message(device, event->payload); break;
    case WS_PIECE: on_piece(device, event); break;
    case WS_PING: out_put(device, WS_OPCODE_PONG, event->payload); break;
    case WS_CLOSE:
        hang_up(device, false);
        lost(device);
        break;
    case WS_ERROR: assert(false && "the server broke the WebSocket protocol"); break;
    }
}

static size_t on_head(struct sim_device *device, const struct net_event *event)
{
    static const uint8_t end[] = "\r\n\r\n";
    uint8_t *found = memmem(event->bytes, event->bytes_count, end, 4);
    if (!found)
        return 0;
    assert(event->bytes_count > 13 && memcmp(event->bytes, "HTTP/1.1 101 ", 13) == 0);
    device->upgraded = true;
    struct pb_host_event connected = {.body_case = PB_HOST_EVENT_BODY_CONNECTED};
    step(device, &connected);
    return (size_t)(found + 4 - event->bytes);
}

static bool same_conn(net_conn a, net_conn b)
{
    return a.index == b.index && a.generation == b.generation;
}

static void on_received(struct sim_device *device, const struct net_event *event)
{
    size_t at = device->upgraded ? 0 : on_head(device, event);
    while (device->power == SIM_DEVICE_ON && device->upgraded && at < event->bytes_count &&
           same_conn(device->conn, event->conn)) {
        size_t consumed = 0;
        struct ws_event said;
        ws_feed(&device->ws, event->bytes + at, event->bytes_count - at, &consumed, &said);
        at += consumed;
        on_ws(device, &said);
        if (said.kind == WS_NONE && consumed == 0)
            break;
    }
    if (device->power == SIM_DEVICE_ON && device->connected && same_conn(device->conn, event->conn))
        net_of(device)->consume(&device->net.net, device->conn, at);
}

static void on_net(struct sim_device *device, const struct net_event *event)
{
    switch (event->kind) {
    case NET_CONNECTED: on_connected(device); break;
    case NET_RECEIVED: on_received(device, event); break;
    case NET_SENT: device->sending = false; break;
    case NET_CLOSED: lost(device); break;
    case NET_ACCEPTED:
    case NET_WOKEN: break;
    }
}

/* ---- one step ---- */

static void die(struct sim_device *device, enum sim_mark mark)
{
    device->marks->count[mark]++;
    sim_device_kill(device, false);
}

static bool strikes(const struct sim_device *device, enum sim_kill kill)
{
    return device->kill == kill && device->kill_in == 0;
}

static void commit(struct sim_device *device, const struct pb_host_effects *out, bool inserted[])
{
    struct cstore_op *ops = ARENA_ARRAY(&device->arena, struct cstore_op, out->store_count + 1);
    assert(ops && out->store_count <= OPS_MAX);
    for (size_t i = 0; i < out->store_count; i++) {
        const struct pb_store_op *op = &out->store[i];
        enum cstore_op_kind kind = op->kind == PB_STORE_OP_KIND_DELETE   ? CSTORE_DELETE
                                   : op->kind == PB_STORE_OP_KIND_INSERT ? CSTORE_INSERT
                                                                         : CSTORE_PUT;
        ops[i] = (struct cstore_op){
            .kind = kind, .table = op->table, .key = op->key, .value = op->value};
    }
    enum status status = device->store->vtable->commit(device->store, ops, out->store_count);
    assert(status == STATUS_OK);
    for (size_t i = 0; i < out->store_count; i++)
        inserted[i] = ops[i].inserted;
}

static void begin_anew(struct sim_device *device)
{
    device->marks->count[SIM_MARK_STORE_ERROR]++;
    device->awaited = device->commands_count = 0;
    device->awaited_error = PB_ERROR_CODE_RETRY;
    hang_up(device, true);
    client_deinit(&device->client);
    restore(device);
    observer_restart(&device->observer, &device->client, device->loop->now_us, 0);
}

/* Each command is answered once. */
static void answered(struct sim_device *device, uint32_t request)
{
    for (uint32_t i = 0; i < device->commands_count; i++)
        if (device->commands[i] == request) {
            device->commands[i] = device->commands[--device->commands_count];
            return;
        }
    device->wrong = "an answer to no command, or a second one";
}

static void on_notice(struct sim_device *device, const struct pb_notice *notice)
{
    if (notice->body_case == PB_NOTICE_BODY_STATE) {
        device->state = notice->body.state.state;
        sim_trace(device->loop, device->who, SIM_TRACE_STATE, device->state,
                  notice->body.state.read_only);
    } else if (notice->body_case == PB_NOTICE_BODY_RESULT) {
        const struct pb_notice_result *result = &notice->body.result;
        sim_trace(device->loop, device->who, SIM_TRACE_RESULT, result->request, result->error);
        answered(device, result->request);
        if (result->request == device->awaited) {
            device->awaited = 0;
            device->awaited_error = result->error;
        }
    } else if (notice->body_case == PB_NOTICE_BODY_TICK) {
        const struct pb_notice_tick *tick = &notice->body.tick;
        device->sent += tick->tick == PB_TICK_SENT && tick->cseq == 0;
        if (tick->tick == PB_TICK_FAILED || tick->reason != 0)
            device->marks->count[SIM_MARK_REJECTED]++;
    }
}

/* The number of a request's body: its second field, in one byte up to 15. */
static uint32_t body_of(struct slice frame)
{
    size_t at = 0;
    if (frame.bytes > 1 && frame.at[0] == 1 << 3)
        for (at = 1; at < frame.bytes && frame.at[at] & 0x80; at++)
            continue;
    at += at > 0;
    return at < frame.bytes ? frame.at[at] >> 3 : 0;
}

static void note_frame(struct sim_device *device, struct slice frame)
{
    uint64_t *marks = device->marks->count;
    uint32_t body = body_of(frame);
    device->asked += body == PB_FRAME_BODY_SEND;
    marks[SIM_MARK_RESEND] += body == PB_FRAME_BODY_SEND && device->asked > device->texts;
    marks[SIM_MARK_REPAIR] += body == PB_FRAME_BODY_SYNC;
    marks[SIM_MARK_SNAPSHOT] += body == PB_FRAME_BODY_SNAPSHOT;
    marks[SIM_MARK_FULL_OUTBOX] +=
        body == PB_FRAME_BODY_SNAPSHOT && device->client.outbox_count >= 3;
}

/* Frames, notices, and what the mind asks of its host; the rows are committed. */
static void carry_out(struct sim_device *device, const struct pb_host_effects *out)
{
    for (size_t i = 0; i < out->frames_count; i++) {
        note_frame(device, out->frames[i]);
        out_put(device, WS_BINARY, out->frames[i]);
    }
    if (strikes(device, SIM_KILL_AFTER_FRAMES)) {
        out_flush(device);
        die(device, SIM_MARK_KILL_AFTER_FRAMES);
        return;
    }
    for (size_t i = 0; i < out->notices_count; i++)
        on_notice(device, &out->notices[i]);
    device->wake_ms = out->wake_mono_ms;
    if (out->close) {
        out_flush(device);
        hang_up(device, false);
    }
    if (out->wipe) {
        enum status status = device->store->vtable->wipe(device->store);
        assert(status == STATUS_OK);
        sim_device_kill(device, false);
        device->power = SIM_DEVICE_GONE;
        return;
    }
    if (out->connect)
        connect_now(device);
}

static void step(struct sim_device *device, struct pb_host_event *event)
{
    struct pb_host_effects out;
    uint8_t entropy[32];
    struct clock_reading now = device->clock.clock.vtable->read(&device->clock.clock);
    prng_bytes(&device->prng, entropy, sizeof entropy);
    event->entropy = slice_make(entropy, sizeof entropy);
    event->now_ms = now.wall_us / 1000;
    event->mono_ms = now.mono_us / 1000;
    arena_reset(&device->arena);
    observer_before(&device->observer, &device->client, event, device->loop->now_us);
    enum status status = client_step(&device->client, event, &out);
    assert(status == STATUS_OK);
    if (device->loop->lines_count % CHECK_EVERY == 0)
        client_check(&device->client);
    sim_trace(device->loop, device->who, SIM_TRACE_STEP, event->body_case,
              out.store_count << 32 | out.frames_count << 16 | out.notices_count);
    if (device->kill != SIM_KILL_NONE && device->kill_in > 0 && out.store_count > 0)
        device->kill_in--;
    if (strikes(device, SIM_KILL_BEFORE_STORE)) {
        die(device, SIM_MARK_KILL_BEFORE_STORE);
        return;
    }
    if (strikes(device, SIM_FAIL_STORE)) {
        device->kill = SIM_KILL_NONE;
        begin_anew(device);
        return;
    }
    bool *inserted = ARENA_ARRAY(&device->arena, bool, out.store_count + 1);
    assert(inserted);
    commit(device, &out, inserted);
    observer_after(&device->observer, &device->client, &out, inserted, device->loop->now_us);
    device->known = device->known || device->client.enrolled;
    if (strikes(device, SIM_KILL_AFTER_STORE)) {
        die(device, SIM_MARK_KILL_AFTER_STORE);
        return;
    }
    carry_out(device, &out);
}

/* ---- the process ---- */

enum status sim_device_open(struct sim_device *device, struct sim_wires *wires,
                            struct history *history, const struct sim_device_options *options)
{
    memset(device, 0, sizeof *device);
    device->who = options->who;
    device->number = options->number;
    device->server = options->server;
    device->loop = wires->loop;
    device->marks = wires->marks;
    device->store = options->store;
    device->net.wires = wires;
    device->net.who = options->who;
    prng_init(&device->prng, options->seed);
    sim_clock_open(&device->clock, wires->loop);
    observer_open(&device->observer, history, options->who);
    arena_init(&device->arena, CLIENT_BYTES);
    (void)snprintf(device->username, sizeof device->username, "%s", options->username);
    device->out = memory_reserve_array(2, SIM_OUT_BYTES);
    device->message = memory_reserve(FRAME_BYTES_MAX);
    if (!device->out || !device->message)
        return STATUS_BUSY;
    device->flying = device->out + SIM_OUT_BYTES;
    return STATUS_OK;
}

void sim_device_close(struct sim_device *device)
{
    if (device->client_open)
        client_deinit(&device->client);
    memory_free(device->out < device->flying ? device->out : device->flying);
    memory_free(device->message);
    arena_deinit(&device->arena);
    observer_close(&device->observer);
    memset(device, 0, sizeof *device);
}

void sim_device_start(struct sim_device *device, uint64_t t_copy_us)
{
    assert(device->power == SIM_DEVICE_OFF);
    sim_trace(device->loop, device->who, SIM_TRACE_START, t_copy_us > 0, t_copy_us);
    sim_net_open(&device->net, device->net.wires, device->who, false);
    device->power = SIM_DEVICE_ON;
    device->kill = SIM_KILL_NONE;
    device->deaf = false;
    device->awaited = device->commands_count = 0;
    device->state = PB_CLIENT_STATE_NEW;
    if (device->client_open)
        client_deinit(&device->client);
    restore(device);
    if (device->client.enrolled)
        observer_restart(&device->observer, &device->client, device->loop->now_us, t_copy_us);
    sim_wake(device->loop, device->who, device->loop->now_us);
}

void sim_device_kill(struct sim_device *device, bool power)
{
    if (device->power != SIM_DEVICE_ON)
        return;
    sim_trace(device->loop, device->who, SIM_TRACE_KILL, (uint64_t)device->kill, power);
    forget_connection(device);
    sim_net_kill(&device->net, power);
    sim_sleep(device->loop, device->who);
    device->power = SIM_DEVICE_OFF; /* the mind's memory goes when nobody stands in its step */
    device->kill = SIM_KILL_NONE;
}

static void schedule(struct sim_device *device)
{
    if (device->wake_ms != 0)
        sim_wake(device->loop, device->who, device->wake_ms * 1000);
}

void sim_device_turn(struct sim_device *device)
{
    struct net_event events[EVENTS_PER_TURN];
    if (device->power != SIM_DEVICE_ON)
        return;
    size_t count =
        device->deaf ? 0 : net_of(device)->wait(&device->net.net, events, EVENTS_PER_TURN, 0);
    for (size_t i = 0; i < count && device->power == SIM_DEVICE_ON; i++)
        if (same_conn(events[i].conn, device->conn))
            on_net(device, &events[i]);
    if (device->power == SIM_DEVICE_ON && device->wake_ms != 0 &&
        device->wake_ms <= device->loop->now_us / 1000) {
        struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_TIMER};
        device->wake_ms = 0;
        step(device, &event);
    }
    if (device->power != SIM_DEVICE_ON)
        return;
    out_flush(device);
    schedule(device);
}

void sim_device_command(struct sim_device *device, struct pb_event_command *command)
{
    if (device->power != SIM_DEVICE_ON)
        return;
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    command->request = ++device->next_request;
    assert(device->commands_count < SIM_COMMANDS_MAX);
    device->commands[device->commands_count++] = command->request;
    sim_trace(device->loop, device->who, SIM_TRACE_COMMAND, command->body_case, command->request);
    event.body.command = *command;
    step(device, &event);
    if (device->power != SIM_DEVICE_ON)
        return;
    out_flush(device);
    schedule(device);
}
