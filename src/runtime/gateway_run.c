/* SPDX-License-Identifier: Apache-2.0
 * gateway_run.c: effects of sessions, and the way back of their completions. */
#include "runtime/gateway_conn.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "core/session.h"
#include "wire/gen/rpc.pb.h"

#define READ_ARENA_BYTES (4u << 20)

static struct gateway_operation *operation_new(struct gateway *gateway, enum operation_kind kind,
                                               struct slab_handle conn, const struct effect *effect,
                                               struct slab_handle *handle)
{
    struct gateway_operation *operation = slab_take(&gateway->operations, handle);
    if (!operation)
        return NULL;
    operation->kind = kind;
    operation->conn = conn;
    operation->ticket = effect->ticket;
    arena_init(&operation->arena, READ_ARENA_BYTES);
    if (effect->held.bytes > 0) {
        operation->held = memory_alloc(effect->held.bytes);
        if (!operation->held) {
            operation_free(gateway, *handle);
            return NULL;
        }
        memcpy(operation->held, effect->held.at, effect->held.bytes);
        operation->held_bytes = (uint32_t)effect->held.bytes;
    }
    return operation;
}

/* `held` may be a password: wiped, in a way that the compiler cannot drop. */
static void wipe(volatile uint8_t *at, size_t bytes)
{
    while (bytes > 0)
        at[--bytes] = 0;
}

void operation_free(struct gateway *gateway, struct slab_handle handle)
{
    struct gateway_operation *operation = slab_find(&gateway->operations, handle);
    wipe(operation->held, operation->held_bytes);
    memory_free(operation->held);
    arena_deinit(&operation->arena);
    slab_give(&gateway->operations, handle);
}

/* Complete an operation; its session hears of it before the turn ends, never inside its own
 * step. */
static void operation_done(struct gateway *gateway, struct slab_handle handle, enum status status)
{
    struct gateway_operation *operation = slab_find(&gateway->operations, handle);
    operation->status = status;
    enum status put = queue_put(&gateway->done, &handle);
    assert(put == STATUS_OK); /* as long as the slab is large */
}

/* No place for an operation: the client is told to come back later (1013), and does with its
 * outbox. What was acknowledged is not touched. */
static void no_room(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    size_t bytes = ws_write_close(frame, WS_CODE_TRY_LATER, SLICE_EMPTY, NULL);
    gateway->counts.busy++;
    gateway->counts.refused_operations++;
    if (output_put(&conn->output, slice_make(frame, bytes)) != STATUS_OK)
        conn->closed = true;
    conn_linger(gateway, handle, conn);
}

static void run_submit(struct gateway *gateway, struct slab_handle conn,
                       const struct effect *effect)
{
    struct slab_handle handle;
    struct gateway_operation *operation =
        operation_new(gateway, OPERATION_APPEND, conn, effect, &handle);
    if (!operation) {
        no_room(gateway, conn, slab_find(&gateway->conns, conn));
        return;
    }
    operation->begun_us = gateway->now.mono_us;
    enum status status = gateway->ports.bus->vtable->append(
        gateway->ports.bus, (enum topic)effect->topic, effect->key, effect->bytes,
        slab_token(handle) | GATEWAY_TOKEN);
    gateway->counts.refused_appends += status == STATUS_BUSY;
    if (status != STATUS_OK)
        operation_done(gateway, handle, status);
}

static bool read_build(struct gateway_operation *operation, const struct effect *effect,
                       uint64_t token)
{
    struct arena *arena = &operation->arena;
    operation->requests = ARENA_ARRAY(arena, struct store_request, effect->reads_count);
    if (!operation->requests)
        return false;
    operation->requests_count = (uint32_t)effect->reads_count;
    for (size_t i = 0; i < effect->reads_count; i++) {
        const struct read *read = &effect->reads[i];
        struct store_request *request = &operation->requests[i];
        request->op = read->range ? STORE_RANGE : STORE_GET;
        request->token = token;
        request->keys = ARENA_ARRAY(arena, struct row_key, read->keys_count);
        request->keys_count = read->keys_count;
        request->rows_max = read->range ? read->rows_max : read->keys_count;
        request->rows = ARENA_ARRAY(arena, struct row, request->rows_max);
        request->descending = read->descending;
        request->arena = arena;
        if (arena->exhausted)
            return false;
        if (read->keys_count > 0) /* a read of nothing has no keys */
            memcpy(request->keys, read->keys, read->keys_count * sizeof *read->keys);
    }
    return true;
}

static void run_read(struct gateway *gateway, struct slab_handle conn, const struct effect *effect)
{
    struct slab_handle handle;
    struct gateway_operation *operation =
        operation_new(gateway, OPERATION_READ, conn, effect, &handle);
    if (!operation) {
        no_room(gateway, conn, slab_find(&gateway->conns, conn));
        return;
    }
    bool room = effect->reads_count <= STORE_REQUESTS_MAX - gateway->reads_in_flight;
    if (!room || !read_build(operation, effect, slab_token(handle) | GATEWAY_TOKEN)) {
        gateway->counts.busy++;
        gateway->counts.refused_reads++;
        operation->requests_count = 0;
        operation_done(gateway, handle, STATUS_BUSY);
        return;
    }
    operation->left = operation->requests_count;
    gateway->reads_in_flight += operation->requests_count;
    for (uint32_t i = 0; i < operation->requests_count; i++)
        gateway->ports.store->vtable->submit(gateway->ports.store, &operation->requests[i]);
}

static void run_password(struct gateway *gateway, struct slab_handle conn,
                         const struct effect *effect)
{
    struct slab_handle handle;
    struct gateway_operation *operation =
        operation_new(gateway, OPERATION_PASSWORD, conn, effect, &handle);
    if (!operation) {
        no_room(gateway, conn, slab_find(&gateway->conns, conn));
        return;
    }
    struct password_port *port = gateway->ports.password;
    uint64_t token = slab_token(handle);
    enum status status = effect->verify
                             ? port->vtable->verify(port, effect->bytes, effect->hash, token)
                             : port->vtable->hash(port, effect->bytes, token);
    gateway->counts.refused_passwords += status == STATUS_BUSY;
    if (status != STATUS_OK)
        operation_done(gateway, handle, status);
}

static void run_send(struct gateway *gateway, struct gateway_conn *conn, struct slice frame)
{
    uint8_t header[WS_HEADER_BYTES_MAX];
    size_t header_bytes = ws_write_header(header, WS_BINARY, frame.bytes, NULL);
    if (output_put(&conn->output, slice_make(header, header_bytes)) != STATUS_OK ||
        output_put(&conn->output, frame) != STATUS_OK) {
        /* A half-written frame must not be followed by another: the reader is too slow. */
        conn->closed = true;
        gateway->counts.closed_slow++;
        return;
    }
    gateway->counts.frames_out++;
}

static void run_close(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                      const struct effect *effect)
{
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    struct slice reason = effect->reason ? slice_text(effect->reason) : SLICE_EMPTY;
    size_t bytes = ws_write_close(frame, effect->close_code, reason, NULL);
    if (output_put(&conn->output, slice_make(frame, bytes)) != STATUS_OK)
        conn->closed = true;
    gateway->counts.closed_session++;
    conn_linger(gateway, handle, conn);
}

static void run_alarm(struct gateway *gateway, const struct gateway_conn *conn,
                      const struct effect *effect)
{
    if (effect->alarm == ALARM_CLAIM) {
        gateway->counts.claims++;
        return;
    }
    gateway->counts.rollback_alarms++;
    conn_said_rollback(gateway, conn);
    gateway->rollback = true;
    gateway->rollback_claim = effect->claim;
    gateway->rollback_head = effect->head;
    gateway->config.read_only = true;
}

static void run_rpc(struct gateway *gateway, const struct effect *effect)
{
    struct rpc_peer owner = {.gateway = 0};
    memcpy(owner.user, effect->key, ID_BYTES);
    if (gateway->ports.rpc->vtable->send(gateway->ports.rpc, &owner, effect->bytes) != STATUS_OK)
        gateway->counts.busy++; /* may be lost: the session's timer asks again */
}

static void effect_run(struct gateway *gateway, struct slab_handle handle,
                       struct gateway_conn *conn, const struct effect *effect)
{
    switch (effect->kind) {
    case EFFECT_SEND: run_send(gateway, conn, effect->bytes); break;
    case EFFECT_SUBMIT: run_submit(gateway, handle, effect); break;
    case EFFECT_READ: run_read(gateway, handle, effect); break;
    case EFFECT_PASSWORD: run_password(gateway, handle, effect); break;
    case EFFECT_RPC: run_rpc(gateway, effect); break;
    case EFFECT_ARM:
        conn->session_due_ms = effect->at_mono_ms;
        conn_arm(gateway, handle, conn);
        break;
    case EFFECT_CLOSE: run_close(gateway, handle, conn, effect); break;
    case EFFECT_ALARM: run_alarm(gateway, conn, effect); break;
    case EFFECT_RATE_BACK: conn_rate_back(gateway, conn, effect); break;
    }
}

void effects_run(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                 const struct effects *effects)
{
    for (size_t i = 0; i < effects->count && !conn->closed && conn->phase != CONN_LINGER; i++)
        effect_run(gateway, handle, conn, &effects->at[i]);
    conn_touch(gateway, handle, conn);
}

void effects_run_last(struct gateway *gateway, const struct effects *effects)
{
    for (size_t i = 0; i < effects->count; i++)
        if (effects->at[i].kind == EFFECT_RPC)
            run_rpc(gateway, &effects->at[i]);
}

void gateway_on_appended(struct gateway *gateway, const struct bus_event *event)
{
    struct slab_handle handle = slab_handle_of(event->token & ~GATEWAY_TOKEN);
    struct gateway_operation *operation = slab_find(&gateway->operations, handle);
    assert(operation && operation->kind == OPERATION_APPEND);
    operation->log_epoch = event->log_epoch;
    operation->partition = event->partition;
    operation->offset = event->offset;
    if (event->status == STATUS_OK)
        buckets_add(&gateway->counts.append_us, gateway->now.mono_us - operation->begun_us);
    operation_done(gateway, handle, event->status);
}

void gateway_on_store(struct gateway *gateway, struct store_request *request)
{
    struct slab_handle handle = slab_handle_of(request->token & ~GATEWAY_TOKEN);
    struct gateway_operation *operation = slab_find(&gateway->operations, handle);
    assert(operation && operation->kind == OPERATION_READ && operation->left > 0);
    operation->left--;
    gateway->reads_in_flight--;
    if (request->status != STATUS_OK)
        operation->status = request->status;
    if (operation->left == 0)
        operation_done(gateway, handle, operation->status);
}

void gateway_on_password(struct gateway *gateway, const struct password_done *done)
{
    struct slab_handle handle = slab_handle_of(done->token);
    struct gateway_operation *operation = slab_find(&gateway->operations, handle);
    assert(operation && operation->kind == OPERATION_PASSWORD);
    operation->match = done->match;
    memcpy(operation->hash, done->hash, sizeof operation->hash);
    operation_done(gateway, handle, STATUS_OK);
}

static void deliver_rows(struct gateway *gateway, struct gateway_operation *operation,
                         struct event *event)
{
    event->kind = EVENT_ROWS;
    event->results_count = operation->requests_count;
    if (operation->requests_count == 0)
        return;
    struct rows *results = ARENA_ARRAY(&operation->arena, struct rows, operation->requests_count);
    if (!results) {
        event->status = STATUS_BUSY;
        event->results_count = 0;
        return;
    }
    for (uint32_t i = 0; i < operation->requests_count; i++)
        results[i] = (struct rows){operation->requests[i].rows, operation->requests[i].rows_count};
    event->results = results;
    (void)gateway;
}

void operation_deliver(struct gateway *gateway, struct slab_handle handle)
{
    struct gateway_operation *operation = slab_find(&gateway->operations, handle);
    struct event event = {.status = operation->status,
                          .ticket = operation->ticket,
                          .held = slice_make(operation->held, operation->held_bytes)};
    switch (operation->kind) {
    case OPERATION_APPEND:
        event.kind = EVENT_APPENDED;
        event.log_epoch = operation->log_epoch;
        event.partition = operation->partition;
        event.offset = operation->offset;
        break;
    case OPERATION_READ: deliver_rows(gateway, operation, &event); break;
    case OPERATION_PASSWORD:
        event.kind = EVENT_HASHED;
        event.match = operation->match;
        event.bytes = slice_text(operation->hash);
        if (event.status == STATUS_OK && !operation->match && operation->hash[0] == 0)
            event.bytes = SLICE_EMPTY;
        break;
    }
    conn_step(gateway, operation->conn, &event);
    operation_free(gateway, handle);
}

void gateway_answer(struct gateway *gateway)
{
    struct slab_handle handle;
    while (queue_take(&gateway->done, &handle))
        operation_deliver(gateway, handle);
}

/* The session a message is for: 0 if it names none here. */
static uint64_t rpc_session(const struct pb_rpc *rpc)
{
    switch (rpc->body_case) {
    case PB_RPC_BODY_ATTACHED: return rpc->body.attached.session;
    case PB_RPC_BODY_FENCE: return rpc->body.fence.session;
    case PB_RPC_BODY_REVOKE: return rpc->body.revoke.session;
    case PB_RPC_BODY_OUTCOME: return rpc->body.outcome.session;
    case PB_RPC_BODY_NONE:
    case PB_RPC_BODY_ATTACH:
    case PB_RPC_BODY_DETACH:
    case PB_RPC_BODY_ACKED:
    case PB_RPC_BODY_DELIVER: return 0;
    }
    return 0;
}

void gateway_on_rpc(struct gateway *gateway, const struct pb_rpc *rpc)
{
    struct event event = {.kind = EVENT_RPC, .rpc = rpc};
    if (rpc->body_case == PB_RPC_BODY_DELIVER) {
        for (size_t i = 0; i < rpc->body.deliver.sessions_count; i++)
            conn_step(gateway, slab_handle_of(rpc->body.deliver.sessions[i]), &event);
        return;
    }
    conn_step(gateway, slab_handle_of(rpc_session(rpc)), &event);
}
