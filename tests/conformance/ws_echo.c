/* SPDX-License-Identifier: Apache-2.0 */
#include "ws_echo.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ports/crypto.h"
#include "runtime/output.h"
#include "wire/http1.h"
#include "wire/upgrade.h"
#include "wire/ws.h"

#define BACKLOG (1u << 20) /* above it nothing is heard */

struct ws_echo_conn {
    net_conn net;
    bool used, upgraded, ends, dirty;
    struct ws ws;
    struct output output;
    uint8_t *message, *in;
    size_t message_bytes, message_capacity, in_bytes;
};

void ws_echo_open(struct ws_echo *echo, uint32_t conns_max)
{
    static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    struct epoll_options options = {.address = loopback, .connections_max = conns_max};
    enum status status = epoll_open(&echo->net, &options, NULL);
    echo->conns = calloc(conns_max, sizeof *echo->conns);
    echo->conns_max = conns_max;
    assert(status == STATUS_OK && echo->conns != NULL);
}

static void drop(struct ws_echo_conn *conn)
{
    output_free(&conn->output);
    free(conn->message);
    *conn = (struct ws_echo_conn){.used = false};
}

void ws_echo_close(struct ws_echo *echo)
{
    for (uint32_t i = 0; i < echo->conns_max; i++)
        drop(&echo->conns[i]);
    free(echo->conns);
    epoll_close(&echo->net);
}

static void say(struct ws_echo_conn *conn, struct slice bytes)
{
    enum status status = output_put(&conn->output, bytes);
    assert(status == STATUS_OK);
}

static void say_frame(struct ws_echo_conn *conn, enum ws_opcode opcode, struct slice payload)
{
    uint8_t header[WS_HEADER_BYTES_MAX];
    say(conn, slice_make(header, ws_write_header(header, opcode, payload.bytes, NULL)));
    say(conn, payload);
}

static void say_close(struct ws_echo_conn *conn, uint16_t code)
{
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    say(conn, slice_make(frame, ws_write_close(frame, code, SLICE_EMPTY, NULL)));
    conn->ends = true;
}

static void take_piece(struct ws_echo_conn *conn, const struct ws_event *event)
{
    if (event->first)
        conn->message_bytes = 0;
    if (event->message_bytes > conn->message_capacity) {
        conn->message_capacity = 2 * (size_t)event->message_bytes;
        conn->message = realloc(conn->message, conn->message_capacity);
        assert(conn->message != NULL);
    }
    if (event->payload.bytes > 0)
        memcpy(conn->message + conn->message_bytes, event->payload.at, event->payload.bytes);
    conn->message_bytes += event->payload.bytes;
    if (event->last)
        say_frame(conn, WS_BINARY, slice_make(conn->message, conn->message_bytes));
}

static bool take_frame(struct ws_echo_conn *conn, size_t *used)
{
    struct ws_event event;
    size_t consumed;
    ws_feed(&conn->ws, conn->in + *used, conn->in_bytes - *used, &consumed, &event);
    *used += consumed;
    switch (event.kind) {
    case WS_NONE: return false;
    case WS_MESSAGE: say_frame(conn, WS_BINARY, event.payload); break;
    case WS_PIECE: take_piece(conn, &event); break;
    case WS_PING: say_frame(conn, WS_OPCODE_PONG, event.payload); break;
    case WS_PONG: break;
    case WS_CLOSE:
    case WS_ERROR: say_close(conn, event.code); break;
    }
    return true;
}

static size_t take_head(struct ws_echo_conn *conn)
{
    static struct http1_head head;
    struct upgrade upgrade = {.status = 0};
    struct slice in = slice_make(conn->in, conn->in_bytes);
    uint8_t bytes[512], input[UPGRADE_INPUT_BYTES], digest[SHA1_BYTES];
    struct buf out = buf_over(bytes, sizeof bytes);
    enum status status = http1_read_request(&in, 0, &head);
    if (status == STATUS_AGAIN)
        return 0;
    if (status != STATUS_OK || upgrade_read_request(&head, &upgrade) != STATUS_OK) {
        upgrade_write_refusal(&out, upgrade.status != 0 ? upgrade.status : head.status);
        conn->ends = true;
    } else {
        upgrade_accept_input(upgrade.key, input);
        crypto_sha1(SLICE_OF(input), digest);
        upgrade_write_response(&out, digest);
        conn->upgraded = true;
        ws_init(&conn->ws, WS_SERVER, EPOLL_RECEIVE_BYTES, WS_ECHO_MESSAGE_MAX);
    }
    say(conn, buf_slice(&out));
    return conn->in_bytes - in.bytes;
}

static void feed(struct ws_echo *echo, struct ws_echo_conn *conn)
{
    size_t used = 0;
    if (!conn->upgraded && !conn->ends)
        used = take_head(conn);
    while (conn->upgraded && !conn->ends && used < conn->in_bytes)
        if (output_bytes(&conn->output) > BACKLOG || !take_frame(conn, &used))
            break;
    if (conn->ends)
        used = conn->in_bytes;
    conn->in += used;
    conn->in_bytes -= used;
    echo->net.net.vtable->consume(&echo->net.net, conn->net, used);
}

/* At the end of a turn, when no event of it has anything to say about the input any more. */
static void flush(struct ws_echo *echo, struct ws_echo_conn *conn)
{
    struct net *net = &echo->net.net;
    conn->dirty = false;
    if (conn->in_bytes > 0)
        feed(echo, conn);
    if (conn->ends && output_bytes(&conn->output) == 0) {
        net->vtable->close(net, conn->net, false);
        drop(conn);
        return;
    }
    struct slice bytes = output_fly(&conn->output);
    if (bytes.bytes > 0)
        net->vtable->send(net, conn->net, bytes);
}

static void accepted(struct ws_echo *echo, net_conn net)
{
    uint32_t free_one = 0;
    while (free_one < echo->conns_max && echo->conns[free_one].used)
        free_one++;
    assert(free_one < echo->conns_max);
    echo->conns[free_one] = (struct ws_echo_conn){.net = net, .used = true};
    echo->net.net.vtable->tag(&echo->net.net, net, free_one);
}

static bool is(const struct ws_echo_conn *conn, net_conn net)
{
    return conn->used && conn->net.index == net.index && conn->net.generation == net.generation;
}

bool ws_echo_turn(struct ws_echo *echo)
{
    struct net_event events[64];
    size_t count = echo->net.net.vtable->wait(&echo->net.net, events, 64, 0);
    for (size_t i = 0; i < count; i++) {
        struct ws_echo_conn *conn = &echo->conns[events[i].tag];
        if (events[i].kind != NET_ACCEPTED && !is(conn, events[i].conn))
            continue; /* closed earlier in this turn */
        switch (events[i].kind) {
        case NET_ACCEPTED: accepted(echo, events[i].conn); continue;
        case NET_RECEIVED:
            conn->in = events[i].bytes;
            conn->in_bytes = events[i].bytes_count;
            break;
        case NET_SENT: output_landed(&conn->output); break;
        case NET_CLOSED: drop(conn); continue;
        case NET_CONNECTED:
        case NET_WOKEN: continue;
        }
        conn->dirty = true;
    }
    for (uint32_t i = 0; count > 0 && i < echo->conns_max; i++)
        if (echo->conns[i].dirty)
            flush(echo, &echo->conns[i]);
    return count > 0;
}
