/* SPDX-License-Identifier: Apache-2.0
 * gateway.c: connections: from accept to close.
 *
 *   accept ─▶ HTTP ──upgrade──▶ WEBSOCKET ──CLOSE, ws error──▶ LINGER ──output gone──▶ closed
 *              └──answered or refused────────────────────────────┘
 *   HTTP → WEBSOCKET: http_upgrade · any → LINGER: conn_linger · any → closed: conn_drop */
#include "runtime/gateway_conn.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "ports/crypto.h"
#include "wire/http1.h"
#include "wire/origin.h"
#include "wire/upgrade.h"

#define DEFAULT_HTTP_MS 10000u
#define LINGER_MS       5000u

static uint64_t mono_ms(const struct gateway *gateway)
{
    return gateway->now.mono_us / 1000;
}

/* ---- life of a connection ---- */

void conn_touch(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    conn->above = conn->above || output_bytes(&conn->output) > SESSION_OUTPUT_BYTES_MAX;
    if (conn->dirty)
        return;
    conn->dirty = true;
    enum status put = queue_put(&gateway->dirty, &handle);
    assert(put == STATUS_OK); /* as long as the slab is large, and each connection once */
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* One timer a connection, at the soonest of its deadlines; a later one is not moved forward. */
void conn_arm(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    uint64_t due = sooner(conn->session_due_ms, sooner(conn->http_due_ms, conn->stall_due_ms));
    if (due == 0 || (conn->timer_ms != 0 && conn->timer_ms <= due))
        return;
    (void)timer_cancel(&gateway->timers, conn->timer);
    conn->timer_ms = due;
    enum status armed = timer_arm(&gateway->timers, due, slab_token(handle), &conn->timer);
    assert(armed == STATUS_OK); /* one for each connection */
}

static void conn_drop(struct gateway *gateway, struct slab_handle handle, bool still_open)
{
    struct gateway_conn *conn = slab_find(&gateway->conns, handle);
    conn->closed = true; /* before the step: it must not be dropped twice */
    if (conn->session.state != SESSION_NEW) {
        struct event event = {.kind = EVENT_CLOSED};
        conn_step(gateway, handle, &event);
    }
    if (still_open)
        gateway->ports.net->vtable->close(gateway->ports.net, conn->net, true);
    (void)timer_cancel(&gateway->timers, conn->timer);
    if (conn->tls)
        tls_drop(gateway, conn);
    peer_drop(gateway, conn);
    output_free(&conn->output);
    memory_free(conn->kept);
    memory_free(conn->message);
    slab_give(&gateway->conns, handle);
}

void conn_linger(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    conn->phase = CONN_LINGER;
    conn->http_due_ms = mono_ms(gateway) + LINGER_MS;
    conn_arm(gateway, handle, conn);
    conn_touch(gateway, handle, conn);
}

static void fresh_entropy(struct gateway *gateway, uint8_t out[SESSION_ENTROPY_BYTES])
{
    if (gateway->entropy_used + SESSION_ENTROPY_BYTES > GATEWAY_ENTROPY_BYTES) {
        gateway->ports.entropy->vtable->fill(gateway->ports.entropy, gateway->entropy,
                                             sizeof gateway->entropy);
        gateway->entropy_used = 0;
    }
    uint8_t *from = gateway->entropy + gateway->entropy_used;
    memcpy(out, from, SESSION_ENTROPY_BYTES);
    memset(from, 0, SESSION_ENTROPY_BYTES);
    gateway->entropy_used += SESSION_ENTROPY_BYTES;
}

void conn_step(struct gateway *gateway, struct slab_handle handle, struct event *event)
{
    struct gateway_conn *conn = slab_find(&gateway->conns, handle);
    if (!conn || (conn->closed && event->kind != EVENT_CLOSED))
        return; /* its connection is gone, and with it whoever waited */
    event->now_ms = gateway->now.wall_us / 1000;
    event->mono_ms = mono_ms(gateway);
    event->output_bytes = output_bytes(&conn->output);
    fresh_entropy(gateway, event->entropy);
    arena_reset(&gateway->step);
    struct effects effects = {.at = gateway->effects, .max = SESSION_EFFECTS_MAX};
    session_step(&conn->session, &gateway->config, event, &gateway->step, &effects);
    conn_tally(gateway, conn, &effects.tally);
    if (event->kind == EVENT_CLOSED)
        effects_run_last(gateway, &effects);
    else
        effects_run(gateway, handle, conn, &effects);
}

/* ---- HTTP ---- */

static void http_answer(struct gateway *gateway, struct slab_handle handle,
                        struct gateway_conn *conn, const struct buf *head, struct slice body)
{
    if (head->overflow || output_put(&conn->output, buf_slice(head)) != STATUS_OK ||
        output_put(&conn->output, body) != STATUS_OK)
        conn->closed = true;
    conn_linger(gateway, handle, conn);
}

static void http_refuse(struct gateway *gateway, struct slab_handle handle,
                        struct gateway_conn *conn, uint16_t status)
{
    uint8_t bytes[512];
    struct buf out = buf_over(bytes, sizeof bytes);
    upgrade_write_refusal(&out, status);
    gateway->counts.refused_head++;
    conn_said_input(gateway, conn, "http", status);
    http_answer(gateway, handle, conn, &out, SLICE_EMPTY);
}

static void http_upgrade(struct gateway *gateway, struct slab_handle handle,
                         struct gateway_conn *conn, const struct http1_head *head)
{
    struct upgrade upgrade;
    if (upgrade_read_request(head, &upgrade) != STATUS_OK) {
        http_refuse(gateway, handle, conn, upgrade.status);
        return;
    }
    if (!origin_allowed(upgrade.origin, gateway->options.origins, gateway->options.origins_count)) {
        gateway->counts.refused_origin++;
        http_refuse(gateway, handle, conn, 403);
        return;
    }
    uint8_t input[UPGRADE_INPUT_BYTES], digest[SHA1_BYTES], bytes[512];
    upgrade_accept_input(upgrade.key, input);
    crypto_sha1(SLICE_OF(input), digest);
    struct buf out = buf_over(bytes, sizeof bytes);
    upgrade_write_response(&out, digest);
    if (out.overflow || output_put(&conn->output, buf_slice(&out)) != STATUS_OK) {
        conn->closed = true;
        return;
    }
    gateway->counts.upgraded++;
    conn->phase = CONN_WEBSOCKET;
    conn->http_due_ms = 0;
    ws_init(&conn->ws, WS_SERVER, FRAME_HOLD_STRANGER, FRAME_BYTES_STRANGER);
    session_init(&conn->session, slab_token(handle));
    struct event event = {.kind = EVENT_OPENED};
    conn_step(gateway, handle, &event);
}

static void http_serve(struct gateway *gateway, struct slab_handle handle,
                       struct gateway_conn *conn, const struct http1_head *head)
{
    struct slice body;
    const char *type = "text/plain";
    if (head->method != HTTP1_GET && head->method != HTTP1_HEAD) {
        http_refuse(gateway, handle, conn, 405);
        return;
    }
    if (slice_equal(head->target, SLICE_LITERAL("/health"))) {
        body = SLICE_LITERAL("ok\n");
    } else if (slice_equal(head->target, SLICE_LITERAL("/.well-known/parley"))) {
        body = gateway->options.discovery;
        type = "application/json";
    } else {
        http_refuse(gateway, handle, conn, 404);
        return;
    }
    uint8_t bytes[512];
    struct buf out = buf_over(bytes, sizeof bytes);
    http1_write_status(&out, 200);
    http1_write_header(&out, "Content-Type", slice_text(type));
    http1_write_header(&out, "X-Content-Type-Options", SLICE_LITERAL("nosniff"));
    http1_write_header(&out, "Connection", SLICE_LITERAL("close"));
    http1_write_length(&out, body.bytes);
    http1_write_end(&out);
    http_answer(gateway, handle, conn, &out, head->method == HTTP1_HEAD ? SLICE_EMPTY : body);
}

/* Returns how many bytes of the input are done with. */
static size_t http_feed(struct gateway *gateway, struct slab_handle handle,
                        struct gateway_conn *conn)
{
    struct http1_head head;
    struct slice in = slice_make(conn->in, conn->in_bytes);
    enum status status = http1_read_request(&in, 0, &head);
    if (status == STATUS_AGAIN)
        return 0;
    size_t used = conn->in_bytes - in.bytes;
    if (status != STATUS_OK) {
        http_refuse(gateway, handle, conn, head.status);
        return conn->in_bytes;
    }
    uint16_t refusal = peer_requests(gateway, conn, &head);
    if (refusal != 0)
        http_refuse(gateway, handle, conn, refusal);
    else if (upgrade_wanted(&head))
        http_upgrade(gateway, handle, conn, &head);
    else
        http_serve(gateway, handle, conn, &head);
    return used;
}

/* ---- WebSocket ---- */

static void ws_fail(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                    uint16_t code)
{
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    size_t bytes = ws_write_close(frame, code, SLICE_EMPTY, NULL);
    if (output_put(&conn->output, slice_make(frame, bytes)) != STATUS_OK)
        conn->closed = true;
    if (code != WS_CODE_NORMAL && code != WS_CODE_NONE && code != WS_CODE_GOING_AWAY)
        conn_said_input(gateway, conn, "websocket", code);
    gateway->counts.closed_protocol += code != WS_CODE_NORMAL && code != WS_CODE_NONE;
    conn_linger(gateway, handle, conn);
}

static void ws_pong(struct gateway_conn *conn, struct slice payload)
{
    uint8_t header[WS_HEADER_BYTES_MAX];
    size_t bytes = ws_write_header(header, WS_OPCODE_PONG, payload.bytes, NULL);
    if (output_put(&conn->output, slice_make(header, bytes)) != STATUS_OK ||
        output_put(&conn->output, payload) != STATUS_OK)
        conn->closed = true;
}

static void frame_in(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                     struct slice frame)
{
    struct event event = {.kind = EVENT_FRAME, .bytes = frame};
    event.limit_retry_ms = conn_rate(gateway, conn, frame);
    gateway->counts.frames_in++;
    conn_step(gateway, handle, &event);
}

/* A piece of a message that is larger than the receive buffer, or fragmented. */
static void piece_in(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                     const struct ws_event *event)
{
    if (event->first)
        conn->message_bytes = 0;
    if (event->message_bytes > conn->message_capacity) {
        uint8_t *larger = memory_alloc((size_t)event->message_bytes);
        if (!larger) {
            ws_fail(gateway, handle, conn, WS_CODE_TRY_LATER);
            return;
        }
        if (conn->message_bytes > 0)
            memcpy(larger, conn->message, conn->message_bytes);
        memory_free(conn->message);
        conn->message = larger;
        conn->message_capacity = (uint32_t)event->message_bytes;
    }
    assert(conn->message_bytes + event->payload.bytes <= conn->message_capacity);
    if (event->payload.bytes > 0)
        memcpy(conn->message + conn->message_bytes, event->payload.at, event->payload.bytes);
    conn->message_bytes += (uint32_t)event->payload.bytes;
    if (!event->last)
        return;
    frame_in(gateway, handle, conn, slice_make(conn->message, conn->message_bytes));
    memory_free(conn->message);
    conn->message = NULL;
    conn->message_bytes = conn->message_capacity = 0;
}

/* Take one event from the input; false when more bytes are needed. */
static bool ws_take(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                    size_t *used)
{
    struct ws_event event;
    size_t consumed;
    /* Signed in by whatever event it was: a HELLO is answered after its step. */
    if (conn->session.state > SESSION_WELCOMED)
        ws_raise(&conn->ws, GATEWAY_RECEIVE_BYTES, FRAME_BYTES_MAX);
    ws_feed(&conn->ws, conn->in + *used, conn->in_bytes - *used, &consumed, &event);
    *used += consumed;
    switch (event.kind) {
    case WS_NONE: return false;
    case WS_MESSAGE: frame_in(gateway, handle, conn, event.payload); break;
    case WS_PIECE: piece_in(gateway, handle, conn, &event); break;
    case WS_PING: ws_pong(conn, event.payload); break;
    case WS_PONG: break;
    case WS_CLOSE:
    case WS_ERROR: ws_fail(gateway, handle, conn, event.code); break;
    }
    return true;
}

void conn_feed(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    size_t used = 0;
    conn->held_back = false;
    if (conn->phase == CONN_HTTP)
        used = http_feed(gateway, handle, conn);
    while (conn->phase == CONN_WEBSOCKET && !conn->closed && used < conn->in_bytes) {
        conn->held_back = output_bytes(&conn->output) > SESSION_OUTPUT_BYTES_MAX;
        if (conn->held_back || !ws_take(gateway, handle, conn, &used))
            break;
    }
    if (conn->phase == CONN_LINGER)
        used = conn->in_bytes; /* nothing is heard any more */
    gateway->counts.bytes_in += used;
    conn->in += used;
    conn->in_bytes -= used;
    conn_touch(gateway, handle, conn);
    if (!conn->copied)
        gateway->ports.net->vtable->consume(gateway->ports.net, conn->net, used);
}

/* ---- completions ---- */

static void accepted(struct gateway *gateway, const struct net_event *event)
{
    struct slab_handle handle;
    struct gateway_conn *conn = slab_take(&gateway->conns, &handle);
    if (!conn) {
        gateway->counts.refused_full++;
        gateway->ports.net->vtable->close(gateway->ports.net, event->conn, true);
        return;
    }
    memcpy(conn->peer, event->peer, sizeof conn->peer);
    bool welcome = peer_accepted(gateway, conn);
    if (welcome && gateway->options.tls && !tls_begin(gateway, conn)) {
        gateway->counts.busy++;
        welcome = false;
    }
    if (!welcome) {
        peer_drop(gateway, conn);
        slab_give(&gateway->conns, handle);
        gateway->ports.net->vtable->close(gateway->ports.net, event->conn, true);
        return;
    }
    conn->net = event->conn;
    gateway->ports.net->vtable->tag(gateway->ports.net, conn->net, slab_token(handle));
    conn->http_due_ms = mono_ms(gateway) + gateway->options.http_ms;
    gateway->counts.accepted++;
    conn_arm(gateway, handle, conn);
}

static void sent(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn)
{
    if (conn->tls)
        tls_landed(conn);
    else
        output_landed(&conn->output);
    conn->stall_due_ms = 0;
    conn_touch(gateway, handle, conn);
    conn->resumes = conn->resumes || (conn->tls && conn->tls->stuck);
    /* It may fall in two steps: what flew, and what gathered meanwhile. */
    if (!conn->above || output_bytes(&conn->output) > SESSION_OUTPUT_BYTES_MAX / 2)
        return;
    conn->above = false;
    struct event event = {.kind = EVENT_WRITABLE};
    if (conn->phase == CONN_WEBSOCKET)
        conn_step(gateway, handle, &event);
    conn->resumes = conn->resumes || conn->held_back;
}

static void received(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                     struct net_event event)
{
    if (conn->closed || (conn->header_awaited && !peer_header(gateway, handle, conn, &event)))
        return;
    if (conn->tls) {
        tls_on_received(gateway, handle, conn, &event);
        return;
    }
    conn->in = event.bytes;
    conn->in_bytes = event.bytes_count;
    input_feed(gateway, handle, conn);
}

void gateway_on_net(struct gateway *gateway, const struct net_event *event)
{
    if (event->kind == NET_ACCEPTED) {
        accepted(gateway, event);
        return;
    }
    struct slab_handle handle = slab_handle_of(event->tag);
    struct gateway_conn *conn = slab_find(&gateway->conns, handle);
    if (!conn)
        return;
    switch (event->kind) {
    case NET_RECEIVED: received(gateway, handle, conn, *event); break;
    case NET_SENT: sent(gateway, handle, conn); break;
    case NET_CLOSED: conn_drop(gateway, handle, false); break;
    case NET_ACCEPTED:
    case NET_CONNECTED:
    case NET_WOKEN: break;
    }
}

static void tell_all(struct gateway *gateway, struct event event)
{
    uint32_t index = 0;
    struct slab_handle handle;
    struct gateway_conn *conn;
    while ((conn = slab_next(&gateway->conns, &index, &handle)))
        if (conn->phase == CONN_WEBSOCKET)
            conn_step(gateway, handle, &event);
}

void gateway_on_owner_changed(struct gateway *gateway, uint32_t partition, uint32_t partitions)
{
    struct event event = {.kind = EVENT_OWNER_CHANGED};
    uint32_t index = 0;
    struct slab_handle handle;
    struct gateway_conn *conn;
    while ((conn = slab_next(&gateway->conns, &index, &handle)))
        if (conn->phase == CONN_WEBSOCKET &&
            bus_partition(conn->session.user.at, partitions) == partition)
            conn_step(gateway, handle, &event);
}

void gateway_drain(struct gateway *gateway, uint32_t spread_ms)
{
    gateway->ports.net->vtable->accepting(gateway->ports.net, false);
    tell_all(gateway, (struct event){.kind = EVENT_DRAIN, .retry_ms = spread_ms});
}

/* ---- the end of a turn ---- */

static void expire(struct gateway *gateway, struct slab_handle handle)
{
    struct gateway_conn *conn = slab_find(&gateway->conns, handle);
    assert(conn);
    uint64_t now = mono_ms(gateway);
    conn->timer_ms = 0;
    if (conn->http_due_ms != 0 && conn->http_due_ms <= now) {
        conn_drop(gateway, handle, true); /* slow head, or a lingering peer that does not read */
        return;
    }
    if (conn->stall_due_ms != 0 && conn->stall_due_ms <= now) {
        gateway->counts.closed_slow++;
        conn_drop(gateway, handle, true);
        return;
    }
    if (conn->session_due_ms != 0 && conn->session_due_ms <= now) {
        conn->session_due_ms = 0;
        struct event event = {.kind = EVENT_TIMER};
        if (conn->phase == CONN_WEBSOCKET)
            conn_step(gateway, handle, &event);
    }
    conn_arm(gateway, handle, conn);
}

static void conn_flush(struct gateway *gateway, struct slab_handle handle)
{
    struct gateway_conn *conn = slab_find(&gateway->conns, handle);
    if (!conn)
        return;
    conn->dirty = false;
    if (conn->resumes && !conn->closed)
        input_resume(gateway, handle, conn);
    bool spent = conn->phase == CONN_LINGER && output_bytes(&conn->output) == 0 &&
                 (!conn->tls || tls_spent(gateway, conn));
    struct slice bytes = SLICE_EMPTY;
    if (!conn->closed && !spent)
        bytes = conn->tls ? tls_fly(gateway, conn) : output_fly(&conn->output);
    if (conn->closed || spent) {
        bool reset = conn->closed;
        if (!reset)
            gateway->ports.net->vtable->close(gateway->ports.net, conn->net, false);
        conn_drop(gateway, handle, reset);
        return;
    }
    if (bytes.bytes == 0)
        return;
    gateway->counts.bytes_out += bytes.bytes;
    conn->stall_due_ms = mono_ms(gateway) + gateway->options.write_stall_ms;
    conn_arm(gateway, handle, conn);
    gateway->ports.net->vtable->send(gateway->ports.net, conn->net, bytes);
}

void gateway_flush(struct gateway *gateway)
{
    uint64_t token;
    while (timer_expired(&gateway->timers, mono_ms(gateway), &token))
        expire(gateway, slab_handle_of(token));
    struct slab_handle handle;
    gateway_answer(gateway);
    if (gateway->options.tls)
        tls_handshakes(gateway);
    while (queue_take(&gateway->dirty, &handle))
        conn_flush(gateway, handle);
    /* The next chunks, outside any message's turn; without memory now, the next flush asks
     * again. */
    if (slab_grow(&gateway->conns) != STATUS_OK || slab_grow(&gateway->operations) != STATUS_OK ||
        map_grow(&gateway->addresses) != STATUS_OK ||
        map_grow(&gateway->limiter.buckets) != STATUS_OK)
        gateway->counts.busy++;
}

uint64_t gateway_next_ms(const struct gateway *gateway)
{
    return gateway->done.used > 0 || gateway->handshakes.used > 0 ? 0
                                                                  : timer_next_ms(&gateway->timers);
}

void gateway_turn(struct gateway *gateway, struct clock_reading now)
{
    assert(now.mono_us >= gateway->now.mono_us);
    gateway->now = now;
}

/* ---- open, close ---- */

enum status gateway_open(struct gateway *gateway, const struct gateway_ports *ports,
                         const struct gateway_options *options, const struct session_config *config)
{
    *gateway = (struct gateway){.ports = *ports,
                                .options = *options,
                                .config = *config,
                                .entropy_used = GATEWAY_ENTROPY_BYTES};
    if (gateway->options.http_ms == 0)
        gateway->options.http_ms = DEFAULT_HTTP_MS;
    arena_init(&gateway->step, SESSION_STEP_BYTES_MAX);
    uint8_t seed[SIPHASH_SEED_BYTES];
    ports->entropy->vtable->fill(ports->entropy, seed, sizeof seed);
    uint32_t conns = options->connections_max, operations = options->operations_max;
    enum status status = slab_open(&gateway->conns, conns, sizeof(struct gateway_conn));
    if (status == STATUS_OK)
        status = slab_open(&gateway->operations, operations, sizeof(struct gateway_operation));
    if (status == STATUS_OK)
        status = timer_open(&gateway->timers, conns);
    if (status == STATUS_OK)
        status = queue_open(&gateway->done, operations, sizeof(struct slab_handle));
    if (status == STATUS_OK)
        status = queue_open(&gateway->dirty, conns, sizeof(struct slab_handle));
    if (status == STATUS_OK)
        status = limiter_open(&gateway->limiter, options->limits, RATE_CLASSES, seed);
    if (status == STATUS_OK && options->address_max > 0)
        status = map_open(&gateway->addresses, conns, PEER_KEY_BYTES, seed);
    gateway->plain = memory_alloc(GATEWAY_RECEIVE_BYTES);
    if (status == STATUS_OK && gateway->plain == NULL)
        status = STATUS_BUSY;
    if (status == STATUS_OK && options->tls != NULL)
        status = tls_open(gateway);
    if (status != STATUS_OK)
        gateway_close(gateway);
    return status;
}

void gateway_close(struct gateway *gateway)
{
    uint32_t index = 0;
    struct slab_handle handle;
    while (slab_next(&gateway->conns, &index, &handle))
        conn_drop(gateway, handle, true);
    index = 0;
    while (slab_next(&gateway->operations, &index, &handle))
        operation_free(gateway, handle);
    tls_close(gateway);
    memory_free(gateway->plain);
    map_close(&gateway->addresses);
    limiter_close(&gateway->limiter);
    queue_close(&gateway->dirty);
    queue_close(&gateway->done);
    timer_close(&gateway->timers);
    slab_close(&gateway->operations);
    slab_close(&gateway->conns);
    arena_deinit(&gateway->step);
    *gateway = (struct gateway){0};
}

void gateway_check(const struct gateway *gateway)
{
    uint32_t index = 0;
    struct slab_handle handle;
    const struct gateway_conn *conn;
    assert(gateway->reads_in_flight <= STORE_REQUESTS_MAX);
    while ((conn = slab_next(&gateway->conns, &index, &handle))) {
        assert(output_bytes(&conn->output) <= OUTPUT_BYTES_MAX);
        if (conn->phase == CONN_WEBSOCKET)
            session_check(&conn->session, &gateway->config);
    }
}
