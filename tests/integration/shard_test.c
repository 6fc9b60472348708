/* SPDX-License-Identifier: Apache-2.0
 * A whole node in one thread, over real sockets and a real log: a stranger connects, is welcomed,
 * asks for what it may not have, and is timed out; bad heads get their answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "node_rig.h"
#include "wire/gen/frame.pb.h"

struct stranger {
    struct node node;
    net_conn conn;
};

static int setup_with(void **state, uint32_t operations_max)
{
    static struct stranger stranger;
    struct node_options options = {
        .shards = 1, .connections_max = 16, .operations_max = operations_max};
    node_open(&stranger.node, &options);
    struct epoll *client = &stranger.node.client;
    assert_int_equal(client->net.vtable->connect(&client->net, node_loopback,
                                                 epoll_port(&stranger.node.shards[0].net),
                                                 &stranger.conn),
                     STATUS_OK);
    *state = &stranger;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 64);
}

static int setup_narrow(void **state)
{
    return setup_with(state, 2);
}

static int teardown(void **state)
{
    struct stranger *stranger = *state;
    node_close(&stranger->node);
    return 0;
}

/* Turn the node until the client has `least` unconsumed bytes or is closed. */
static struct net_event hear(struct stranger *stranger, size_t least)
{
    struct net_event event;
    for (int i = 0; i < NODE_TURNS; i++) {
        (void)node_turn(&stranger->node, 1);
        gateway_check(&stranger->node.shards[0].shard.gateway);
        if (stranger->node.client.net.vtable->wait(&stranger->node.client.net, &event, 1, 0) == 0)
            continue;
        if (event.kind == NET_CLOSED || (event.kind == NET_RECEIVED && event.bytes_count >= least))
            return event;
    }
    fail_msg("nothing was heard");
    return event;
}

static void say(struct stranger *stranger, struct slice bytes)
{
    stranger->node.client.net.vtable->send(&stranger->node.client.net, stranger->conn, bytes);
}

static void await_connected(struct stranger *stranger)
{
    struct net_event event = {.kind = NET_WOKEN};
    for (int i = 0; i < NODE_TURNS && event.kind != NET_CONNECTED; i++)
        (void)stranger->node.client.net.vtable->wait(&stranger->node.client.net, &event, 1, 1);
    assert_int_equal(event.kind, NET_CONNECTED);
}

#define UPGRADE                                                                                   \
    "GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                \
    "Sec-WebSocket-Protocol: parley.v1\r\n\r\n"

static void a_stranger_is_welcomed(void **state)
{
    struct stranger *stranger = *state;
    await_connected(stranger);
    say(stranger, SLICE_LITERAL(UPGRADE));
    struct net_event got = hear(stranger, 200);
    assert_int_equal(got.kind, NET_RECEIVED);
    assert_memory_equal(got.bytes, "HTTP/1.1 101 ", 13);
    uint8_t *frame = memmem(got.bytes, got.bytes_count, "\r\n\r\n", 4);
    assert_non_null(frame);
    frame += 4;
    assert_int_equal(frame[0], 0x82);
    assert_true(frame[1] < 126);
    struct arena arena;
    struct pb_frame welcome;
    arena_init(&arena, 4 << 20);
    assert_int_equal(pb_frame_decode(slice_make(frame + 2, frame[1]), &arena, &welcome), STATUS_OK);
    assert_int_equal(welcome.body_case, PB_FRAME_BODY_WELCOME);
    assert_int_equal(welcome.body.welcome.nonce.bytes, 32);
    arena_deinit(&arena);
}

static void an_unmasked_frame_closes_with_1002(void **state)
{
    struct stranger *stranger = *state;
    await_connected(stranger);
    say(stranger, SLICE_LITERAL(UPGRADE "\x82\x01x"));
    struct net_event got = hear(stranger, 200);
    assert_int_equal(got.kind, NET_RECEIVED);
    assert_memory_equal(got.bytes + got.bytes_count - 4, "\x88\x02\x03\xea", 4);
}

static void health_and_strangers_paths(void **state)
{
    struct stranger *stranger = *state;
    await_connected(stranger);
    say(stranger, SLICE_LITERAL("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    struct net_event got = hear(stranger, 40);
    assert_memory_equal(got.bytes, "HTTP/1.1 200 ", 13);
    assert_memory_equal(got.bytes + got.bytes_count - 3, "ok\n", 3);
}

static void a_foreign_page_is_refused(void **state)
{
    struct stranger *stranger = *state;
    await_connected(stranger);
    say(stranger,
        SLICE_LITERAL("GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      "Sec-WebSocket-Protocol: parley.v1\r\nOrigin: https://evil.example\r\n\r\n"));
    struct net_event got = hear(stranger, 13);
    assert_memory_equal(got.bytes, "HTTP/1.1 403 ", 13);
}

/* A masked frame (the mask is zero) with a LOGIN of nobody. */
static struct slice login_frame(uint8_t out[128])
{
    struct pb_frame frame = {.req = 1, .body_case = PB_FRAME_BODY_LOGIN};
    frame.body.login.username = SLICE_LITERAL("nobody");
    frame.body.login.password = SLICE_LITERAL("a long enough password");
    struct buf buf = buf_over(out + 6, 122);
    pb_frame_encode(&frame, &buf);
    out[0] = 0x82;
    out[1] = (uint8_t)(0x80 | buf.bytes);
    memset(out + 2, 0, 4);
    return slice_make(out, buf.bytes + 6);
}

/* A LOGIN's next operation begins before its last is given back: with two in all, one stranger of
 * two is told to come back (1013), the other gets its answer, and the server stands. */
static void past_its_operations_the_server_says_come_back(void **state)
{
    struct stranger *stranger = *state;
    const struct net_vtable *net = stranger->node.client.net.vtable;
    static const uint8_t upgrade[] = UPGRADE;
    uint8_t text[2][sizeof upgrade + 128], login[128];
    struct slice frame = login_frame(login);
    net_conn conns[2] = {stranger->conn};
    await_connected(stranger);
    assert_int_equal(net->connect(&stranger->node.client.net, node_loopback,
                                  epoll_port(&stranger->node.shards[0].net), &conns[1]),
                     STATUS_OK);
    await_connected(stranger);
    for (int i = 0; i < 2; i++) {
        memcpy(text[i], upgrade, sizeof upgrade - 1);
        memcpy(text[i] + sizeof upgrade - 1, frame.at, frame.bytes);
        net->send(&stranger->node.client.net, conns[i],
                  slice_make(text[i], sizeof upgrade - 1 + frame.bytes));
    }
    int busy = 0, answered = 0;
    struct net_event event;
    for (int i = 0; i < NODE_TURNS && (busy == 0 || answered == 0); i++) {
        (void)node_turn(&stranger->node, 1);
        if (net->wait(&stranger->node.client.net, &event, 1, 0) == 0 || event.kind != NET_RECEIVED)
            continue;
        static const uint8_t come_back[] = {0x88, 0x02, 0x03, 0xf5};
        bool closed = memmem(event.bytes, event.bytes_count, come_back, sizeof come_back) != NULL;
        busy += closed;
        net->consume(&stranger->node.client.net, event.conn, event.bytes_count);
        answered += !closed && stranger->node.shards[0].shard.gateway.counts.frames_out >=
                                   3; /* two WELCOMEs and an ERROR */
    }
    assert_int_equal(busy, 1);
    assert_true(answered > 0);
    assert_int_equal(stranger->node.shards[0].shard.gateway.operations.used, 0);
}

/* When as many reads are in flight as the store takes, the next is answered BUSY, not submitted. */
static void past_its_reads_the_server_says_busy(void **state)
{
    struct stranger *stranger = *state;
    struct gateway *gateway = &stranger->node.shards[0].shard.gateway;
    static const uint8_t upgrade[] = UPGRADE;
    uint8_t text[sizeof upgrade + 128], login[128];
    struct slice frame = login_frame(login);
    await_connected(stranger);
    memcpy(text, upgrade, sizeof upgrade - 1);
    memcpy(text + sizeof upgrade - 1, frame.at, frame.bytes);
    gateway->reads_in_flight = STORE_REQUESTS_MAX;
    say(stranger, slice_make(text, sizeof upgrade - 1 + frame.bytes));
    for (int i = 0; i < NODE_TURNS && gateway->counts.frames_out < 2; i++)
        (void)node_turn(&stranger->node, 1);
    assert_int_equal(gateway->counts.frames_out, 2); /* WELCOME, ERROR */
    assert_int_equal(gateway->counts.busy, 1);
    assert_int_equal(stranger->node.shards[0].passwords.in_flight, 0); /* nobody was looked up */
    assert_int_equal(gateway->reads_in_flight, STORE_REQUESTS_MAX);
    gateway->reads_in_flight = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stranger_is_welcomed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unmasked_frame_closes_with_1002, setup, teardown),
        cmocka_unit_test_setup_teardown(health_and_strangers_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(a_foreign_page_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(past_its_reads_the_server_says_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(past_its_operations_the_server_says_come_back, setup_narrow,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
