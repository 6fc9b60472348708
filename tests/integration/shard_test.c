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

#include "adapters/epoll/epoll.h"
#include "adapters/local/local.h"
#include "adapters/log/log.h"
#include "adapters/memory/memory_store.h"
#include "adapters/password/pool.h"
#include "adapters/posix/file.h"
#include "adapters/system/system.h"
#include "runtime/shard.h"
#include "wire/gen/frame.pb.h"

#define TURNS 20000

static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
static const struct limit limits[RATE_CLASSES];

struct node {
    char folder[64];
    struct epoll net, client;
    struct posix_file file;
    struct log log;
    struct memory_db db;
    struct memory_store gateway_store, processor_store;
    struct local_rpc rpc;
    struct password_pool passwords;
    struct shard shard;
    net_conn conn;
};

static int setup_with(void **state, uint32_t operations_max)
{
    static struct node node;
    memset(&node, 0, sizeof node);
    memcpy(node.folder, "/tmp/parley-shard-XXXXXX", 25);
    assert_non_null(mkdtemp(node.folder));
    struct epoll_options serve = {.address = loopback, .connections_max = 16};
    struct epoll_options call = {.connections_max = 16};
    assert_int_equal(epoll_open(&node.net, &serve, NULL), STATUS_OK);
    assert_int_equal(epoll_open(&node.client, &call, NULL), STATUS_OK);
    assert_int_equal(posix_file_open(&node.file, node.folder, &node.net.waker, NULL), STATUS_OK);
    struct log_options log = log_options_default();
    log.folder = "log";
    log.group_bytes = 512 << 10;
    log.segment_bytes = 2 << 20;
    assert_int_equal(log_open(&node.log, &node.file.port, system_clock(), system_entropy(), &log),
                     STATUS_OK);
    for (int i = 0; i < TURNS && node.log.state == LOG_RECOVERING; i++) {
        posix_file_wait(&node.file, 10);
        log_turn(&node.log);
    }
    assert_int_equal(node.log.state, LOG_READY);
    assert_int_equal(memory_db_open(&node.db, 64 << 20), STATUS_OK);
    memory_store_open(&node.gateway_store, &node.db);
    memory_store_open(&node.processor_store, &node.db);
    assert_int_equal(local_rpc_open(&node.rpc, 1), STATUS_OK);
    assert_int_equal(password_pool_open(&node.passwords, 1, &node.net.waker, NULL), STATUS_OK);
    struct gateway_ports ports = {.net = &node.net.net,
                                  .bus = &node.log.bus,
                                  .store = &node.gateway_store.port,
                                  .rpc = &node.rpc.port,
                                  .password = &node.passwords.port,
                                  .entropy = system_entropy()};
    struct shard_options options = {.gateway = {.connections_max = 16,
                                                .operations_max = operations_max,
                                                .discovery = SLICE_LITERAL("{}"),
                                                .limits = limits,
                                                .write_stall_ms = 30000},
                                    .processes = true,
                                    .processor_store = &node.processor_store.port,
                                    .devices_max = 16};
    session_config_init(&options.session);
    options.session.gateway = 1;
    assert_int_equal(shard_open(&node.shard, &ports, system_clock(), &options), STATUS_OK);
    assert_int_equal(node.client.net.vtable->connect(&node.client.net, loopback,
                                                     epoll_port(&node.net), &node.conn),
                     STATUS_OK);
    *state = &node;
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
    struct node *node = *state;
    shard_close(&node->shard);
    password_pool_close(&node->passwords);
    local_rpc_close(&node->rpc);
    memory_db_close(&node->db);
    posix_file_close(&node->file);
    log_close(&node->log);
    epoll_close(&node->net);
    epoll_close(&node->client);
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", node->folder);
    return system(command);
}

/* Turn the node until the client has `least` unconsumed bytes or is closed. */
static struct net_event hear(struct node *node, size_t least)
{
    struct net_event event;
    for (int i = 0; i < TURNS; i++) {
        (void)shard_turn(&node->shard, 1);
        gateway_check(&node->shard.gateway);
        if (node->client.net.vtable->wait(&node->client.net, &event, 1, 0) == 0)
            continue;
        if (event.kind == NET_CLOSED || (event.kind == NET_RECEIVED && event.bytes_count >= least))
            return event;
    }
    fail_msg("nothing was heard");
    return event;
}

static void say(struct node *node, struct slice bytes)
{
    node->client.net.vtable->send(&node->client.net, node->conn, bytes);
}

static void await_connected(struct node *node)
{
    struct net_event event = {.kind = NET_WOKEN};
    for (int i = 0; i < TURNS && event.kind != NET_CONNECTED; i++)
        (void)node->client.net.vtable->wait(&node->client.net, &event, 1, 1);
    assert_int_equal(event.kind, NET_CONNECTED);
}

#define UPGRADE                                                                                   \
    "GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                \
    "Sec-WebSocket-Protocol: parley.v1\r\n\r\n"

static void a_stranger_is_welcomed(void **state)
{
    struct node *node = *state;
    await_connected(node);
    say(node, SLICE_LITERAL(UPGRADE));
    struct net_event got = hear(node, 200);
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
    struct node *node = *state;
    await_connected(node);
    say(node, SLICE_LITERAL(UPGRADE "\x82\x01x"));
    struct net_event got = hear(node, 200);
    assert_int_equal(got.kind, NET_RECEIVED);
    assert_memory_equal(got.bytes + got.bytes_count - 4, "\x88\x02\x03\xea", 4);
}

static void health_and_strangers_paths(void **state)
{
    struct node *node = *state;
    await_connected(node);
    say(node, SLICE_LITERAL("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    struct net_event got = hear(node, 40);
    assert_memory_equal(got.bytes, "HTTP/1.1 200 ", 13);
    assert_memory_equal(got.bytes + got.bytes_count - 3, "ok\n", 3);
}

static void a_foreign_page_is_refused(void **state)
{
    struct node *node = *state;
    await_connected(node);
    say(node,
        SLICE_LITERAL("GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      "Sec-WebSocket-Protocol: parley.v1\r\nOrigin: https://evil.example\r\n\r\n"));
    struct net_event got = hear(node, 13);
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
    struct node *node = *state;
    const struct net_vtable *net = node->client.net.vtable;
    static const uint8_t upgrade[] = UPGRADE;
    uint8_t text[2][sizeof upgrade + 128], login[128];
    struct slice frame = login_frame(login);
    net_conn conns[2] = {node->conn};
    await_connected(node);
    assert_int_equal(net->connect(&node->client.net, loopback, epoll_port(&node->net), &conns[1]),
                     STATUS_OK);
    await_connected(node);
    for (int i = 0; i < 2; i++) {
        memcpy(text[i], upgrade, sizeof upgrade - 1);
        memcpy(text[i] + sizeof upgrade - 1, frame.at, frame.bytes);
        net->send(&node->client.net, conns[i],
                  slice_make(text[i], sizeof upgrade - 1 + frame.bytes));
    }
    int busy = 0, answered = 0;
    struct net_event event;
    for (int i = 0; i < TURNS && (busy == 0 || answered == 0); i++) {
        (void)shard_turn(&node->shard, 1);
        if (net->wait(&node->client.net, &event, 1, 0) == 0 || event.kind != NET_RECEIVED)
            continue;
        static const uint8_t come_back[] = {0x88, 0x02, 0x03, 0xf5};
        bool closed = memmem(event.bytes, event.bytes_count, come_back, sizeof come_back) != NULL;
        busy += closed;
        net->consume(&node->client.net, event.conn, event.bytes_count);
        answered +=
            !closed && node->shard.gateway.counts.frames_out >= 3; /* two WELCOMEs and an ERROR */
    }
    assert_int_equal(busy, 1);
    assert_true(answered > 0);
    assert_int_equal(node->shard.gateway.operations.used, 0);
}

/* When as many reads are in flight as the store takes, the next is answered BUSY, not submitted. */
static void past_its_reads_the_server_says_busy(void **state)
{
    struct node *node = *state;
    struct gateway *gateway = &node->shard.gateway;
    static const uint8_t upgrade[] = UPGRADE;
    uint8_t text[sizeof upgrade + 128], login[128];
    struct slice frame = login_frame(login);
    await_connected(node);
    memcpy(text, upgrade, sizeof upgrade - 1);
    memcpy(text + sizeof upgrade - 1, frame.at, frame.bytes);
    gateway->reads_in_flight = STORE_REQUESTS_MAX;
    say(node, slice_make(text, sizeof upgrade - 1 + frame.bytes));
    for (int i = 0; i < TURNS && gateway->counts.frames_out < 2; i++)
        (void)shard_turn(&node->shard, 1);
    assert_int_equal(gateway->counts.frames_out, 2); /* WELCOME, ERROR */
    assert_int_equal(gateway->counts.busy, 1);
    assert_int_equal(node->passwords.in_flight, 0); /* nobody was looked up */
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
