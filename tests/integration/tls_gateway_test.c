/* SPDX-License-Identifier: Apache-2.0
 * A node under TLS, over real sockets: whoever speaks it is served as in plain; whoever does not
 * costs little and is gone in time. With OpenSSL on both sides, and, where a test wants to see the
 * wire or to count, with the stand-in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/openssl/cert_rig.h"
#include "adapters/openssl/client.h"
#include "adapters/openssl/server.h"
#include "caller_rig.h"
#include "runtime/gateway_conn.h"
#include "sim/tls.h"

#define CROWD 12u

static struct node_clock test_clock;
static struct node node;
static struct caller alice, bob, stranger;
static char folder[32];
static struct cert_authority authority;
static struct openssl_server server;
static struct openssl_client client;
static struct sim_tls sim_server, sim_client;

static const char *path(const char *name)
{
    static char paths[4][64];
    static unsigned at;
    at = (at + 1) % 4;
    (void)snprintf(paths[at], sizeof paths[at], "%s/%s", folder, name);
    return paths[at];
}

static void pair(const char *names)
{
    cert_make(&authority,
              &(struct cert_wish){.names = names, .cert = path("cert"), .key = path("key")});
}

static void start(struct tls *tls, struct clock_port *clock)
{
    struct node_options options = {.shards = 1,
                                   .connections_max = 32,
                                   .operations_max = 64,
                                   .sign_up = POLICY_OPEN,
                                   .clock = clock,
                                   .tls = tls};
    node_clock_open(&test_clock, 1000);
    node_open(&node, &options);
}

static int setup_with(struct clock_port *clock)
{
    memcpy(folder, "/tmp/parley-tls-XXXXXX", 23);
    assert_non_null(mkdtemp(folder));
    cert_authority_make(&authority, path("ca"));
    pair("IP:127.0.0.1");
    assert_int_equal(openssl_server_open(&server, path("cert"), path("key"), NULL), STATUS_OK);
    assert_int_equal(openssl_client_open(&client, "127.0.0.1", path("ca"), NULL), STATUS_OK);
    start(&server.tls, clock);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(NULL);
}

static int setup_clock(void **state)
{
    (void)state;
    return setup_with(&test_clock.port);
}

static int teardown(void **state)
{
    char command[64];
    (void)state;
    node_close(&node);
    openssl_client_close(&client);
    openssl_server_close(&server);
    cert_authority_free(&authority);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static int setup_sim(void **state)
{
    (void)state;
    sim_tls_init(&sim_server, false);
    sim_tls_init(&sim_client, true);
    start(&sim_server.tls, NULL);
    return 0;
}

static int teardown_sim(void **state)
{
    (void)state;
    node_close(&node);
    return 0;
}

static struct gateway *gateway(void)
{
    return &node.shards[0].shard.gateway;
}

static void answers(struct caller *caller)
{
    uint64_t next = caller->pongs + 1;
    caller_ping(caller, next);
    HEAR(caller->pongs == next);
}

/* ---- served ---- */

static void talk(struct tls *tls)
{
    static struct caller_account one, two;
    struct pb_frame frame;
    uint8_t chat[ID_BYTES];
    caller_open_tls(&alice, &node, 1, tls);
    caller_open_tls(&bob, &node, 2, tls);
    caller_upgrade(&alice);
    caller_upgrade(&bob);
    caller_sign_up(&alice, &one, "alice");
    caller_sign_up(&bob, &two, "bob");
    frame = caller_create_frame(&alice, &bob, chat);
    frame.req = 7;
    size_t pushed = caller_count(&bob, PB_FRAME_BODY_PUSH);
    caller_frame(&alice, &frame);
    HEAR(caller_count(&bob, PB_FRAME_BODY_PUSH) > pushed);
    pushed = caller_count(&bob, PB_FRAME_BODY_PUSH);
    size_t sent = caller_count(&alice, PB_FRAME_BODY_SENT);
    for (uint64_t i = 1; i <= 20; i++) {
        frame = caller_send_frame(&alice, chat, alice.device, i);
        caller_frame(&alice, &frame);
    }
    HEAR(caller_count(&alice, PB_FRAME_BODY_SENT) >= sent + 20);
    HEAR(caller_count(&bob, PB_FRAME_BODY_PUSH) >= pushed + 20);
    answers(&alice);
    caller_close(&alice);
    caller_close(&bob);
}

static void people_talk(void **state)
{
    (void)state;
    talk(&client.tls);
    assert_int_equal(gateway()->counts.tls_handshakes, 2);
    assert_int_equal(gateway()->counts.tls_failed, 0);
}

static void people_talk_over_the_stand_in(void **state)
{
    (void)state;
    talk(&sim_client.tls);
}

/* A message larger than a record, than the space for plain bytes, than a portion of output. */
static void large_messages_pass(void **state)
{
    static uint8_t large[200000];
    static const uint8_t mask[WS_MASK_BYTES];
    static struct caller_account one;
    uint8_t header[WS_HEADER_BYTES_MAX];
    (void)state;
    caller_open_tls(&alice, &node, 1, &client.tls);
    caller_upgrade(&alice);
    caller_sign_up(&alice, &one, "alice");
    /* A frame nobody knows, then many echoes: in and out beyond every buffer. */
    memset(large, 0, sizeof large);
    size_t bytes = ws_write_header(header, WS_BINARY, sizeof large, mask);
    caller_bytes(&alice, slice_make(header, bytes));
    caller_bytes(&alice, SLICE_OF(large));
    HEAR(caller_count(&alice, PB_FRAME_BODY_ERROR) >= 1);
    for (uint64_t i = 1; i <= 3000; i++)
        caller_echo(&alice, i);
    HEAR(alice.echoes == 3000);
    answers(&alice);
    caller_close(&alice);
}

static void a_new_certificate_leaves_connections_alone(void **state)
{
    struct openssl_client next;
    (void)state;
    caller_open_tls(&alice, &node, 1, &client.tls);
    caller_upgrade(&alice);
    pair("IP:127.0.0.1,DNS:new.example");
    assert_int_equal(openssl_server_reload(&server, 1, NULL), STATUS_OK);
    answers(&alice);
    assert_int_equal(openssl_client_open(&next, "new.example", path("ca"), NULL), STATUS_OK);
    caller_open_tls(&bob, &node, 2, &next.tls);
    caller_upgrade(&bob);
    answers(&bob);
    answers(&alice);
    caller_close(&bob);
    caller_again(&alice); /* its ticket still counts */
    caller_upgrade(&alice);
    assert_true(alice.session->resumed);
    assert_int_equal(gateway()->counts.tls_resumed, 1);
    caller_close(&alice);
    openssl_client_close(&next);
}

/* ---- the end ---- */

static void an_http_answer_ends_with_close_notify(void **state)
{
    (void)state;
    caller_open_tls(&alice, &node, 1, &client.tls);
    caller_bytes(&alice, SLICE_LITERAL("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"));
    HEAR(alice.gone);
    assert_memory_equal(alice.head, "HTTP/1.1 200 ", 13);
    assert_int_equal(alice.session->state, TLS_ENDED); /* not cut */
    caller_close(&alice);
    assert_int_equal(gateway()->conns.used, 0);
}

static void whoever_says_its_end_is_let_go(void **state)
{
    (void)state;
    caller_open_tls(&alice, &node, 1, &client.tls);
    caller_upgrade(&alice);
    alice.tls->vtable->end(alice.tls, alice.session, &alice.sealed);
    HEAR(alice.gone);
    assert_int_equal(alice.session->state, TLS_ENDED);
    assert_int_equal(gateway()->conns.used, 0);
    caller_close(&alice);
}

/* ---- strangers ---- */

static void plain_bytes_are_not_heard(void **state)
{
    (void)state;
    caller_open(&stranger, &node, 3);
    caller_bytes(&stranger, SLICE_LITERAL("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"));
    HEAR(stranger.gone);
    assert_int_not_equal(memcmp(stranger.head, "HTTP", 4), 0);
    caller_close(&stranger);
    assert_int_equal(gateway()->counts.tls_failed, 1);
    assert_int_equal(gateway()->conns.used, 0);
}

/* Every way to stop in the middle: by the deadline it is gone, and everybody else is served. */
static void a_slow_handshake_is_closed(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
    } cases[] = {
        {"", 0}, {"\x16\x03\x01", 3}, {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11}};
    static struct caller_account one;
    (void)state;
    caller_open_tls(&alice, &node, 1, &client.tls);
    caller_upgrade(&alice);
    caller_sign_up(&alice, &one, "alice");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        caller_open(&stranger, &node, 3);
        caller_bytes(&stranger, slice_make(cases[i].bytes, cases[i].count));
        HEAR(gateway()->conns.used == 2 && stranger.out_bytes == 0);
        test_clock.ms += 9999;
        answers(&alice);
        assert_false(stranger.gone);
        test_clock.ms += 1;
        HEAR(stranger.gone);
        answers(&alice);
        caller_close(&stranger);
        assert_int_equal(gateway()->counts.tls_failed, i + 1);
    }
    /* The handshake done in time does not move the deadline of the head. */
    caller_open_tls(&stranger, &node, 3, &client.tls);
    HEAR(stranger.session->state == TLS_OPEN);
    answers(&alice);
    test_clock.ms += 10000;
    HEAR(stranger.gone);
    caller_close(&stranger);
    caller_close(&alice);
}

static void many_handshakes_let_messages_by(void **state)
{
    static struct caller crowd[CROWD];
    (void)state;
    caller_open_tls(&alice, &node, 1, &sim_client.tls);
    caller_upgrade(&alice);
    uint64_t before = gateway()->counts.tls_handshakes, done = 0;
    for (size_t i = 0; i < CROWD; i++) {
        caller_open_tls(&crowd[i], &node, 10 + i, &sim_client.tls);
        crowd[i].sending = true; /* nothing is said yet */
    }
    HEAR(gateway()->conns.used == CROWD + 1);
    for (size_t i = 0; i < CROWD; i++)
        crowd[i].sending = false;
    caller_ping(&alice, 1);
    bool waited = false;
    for (int turns = 0; turns < NODE_TURNS && done < CROWD; turns++) {
        callers_turn();
        uint64_t now = gateway()->counts.tls_handshakes - before;
        assert_true(now - done <= GATEWAY_HANDSHAKES_TURN);
        done = now;
        waited = waited || gateway()->handshakes.used > 0;
        if (waited) /* answered before the last of them */
            assert_true(alice.pongs == 1 || done < CROWD);
    }
    assert_int_equal(done, CROWD);
    assert_true(waited);
    answers(&alice);
    for (size_t i = 0; i < CROWD; i++)
        caller_close(&crowd[i]);
    caller_close(&alice);
}

static void nothing_is_kept_for_an_idle_connection(void **state)
{
    uint32_t index = 0;
    struct slab_handle handle;
    (void)state;
    caller_open_tls(&alice, &node, 1, &client.tls);
    caller_upgrade(&alice);
    answers(&alice);
    const struct gateway_conn *conn = slab_next(&gateway()->conns, &index, &handle);
    HEAR(output_bytes(&conn->tls->sealed) == 0 && output_bytes(&conn->output) == 0);
    assert_null(conn->kept);
    assert_null(conn->in);
    assert_int_equal(output_bytes(&conn->output), 0);
    assert_null(conn->tls->sealed.flying.at);
    /* Half a head is kept, and only that. */
    caller_bytes(&alice, SLICE_LITERAL("\x82"));
    HEAR(alice.out_bytes == 0 && !alice.sending);
    HEAR(conn->kept_bytes <= 1 && conn->in == NULL);
    caller_close(&alice);
}

/* ---- behind a proxy ---- */

static void start_behind(const char *proxy, bool only)
{
    struct node_options options = {.shards = 1,
                                   .connections_max = 8,
                                   .operations_max = 8,
                                   .forwarded = {.proxies_count = 1, .only = only}};
    assert_true(forwarded_read(slice_text(proxy), options.forwarded.proxies[0]));
    node_open(&node, &options);
}

static void a_proxy_says_who_it_is(void **state)
{
    uint8_t expected[16];
    uint32_t index = 0;
    struct slab_handle handle;
    (void)state;
    start_behind("127.0.0.1", true);
    caller_open(&alice, &node, 1);
    caller_bytes(&alice, SLICE_LITERAL("GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\n"
                                       "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                       "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n"
                                       "Sec-WebSocket-Version: 13\r\n"
                                       "Sec-WebSocket-Protocol: parley.v1\r\n\r\n"));
    HEAR(alice.frames_count == 1);
    const struct gateway_conn *conn = slab_next(&gateway()->conns, &index, &handle);
    assert_true(forwarded_read(SLICE_LITERAL("203.0.113.9"), expected));
    assert_memory_equal(conn->peer, expected, 16);
    caller_close(&alice);
    node_close(&node);
}

static void others_do_not_connect_in_clear(void **state)
{
    (void)state;
    start_behind("10.0.0.1", true);
    caller_open(&alice, &node, 1);
    HEAR(alice.gone);
    assert_int_equal(gateway()->counts.refused_peer, 1);
    assert_int_equal(gateway()->conns.used, 0);
    caller_close(&alice);
    node_close(&node);
}

int main(void)
{
#define CASE(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CLOCK(name) cmocka_unit_test_setup_teardown(name, setup_clock, teardown)
#define SIM(name)   cmocka_unit_test_setup_teardown(name, setup_sim, teardown_sim)
    const struct CMUnitTest tests[] = {
        CASE(people_talk),
        SIM(people_talk_over_the_stand_in),
        CASE(large_messages_pass),
        CASE(a_new_certificate_leaves_connections_alone),
        CASE(an_http_answer_ends_with_close_notify),
        CASE(whoever_says_its_end_is_let_go),
        CASE(plain_bytes_are_not_heard),
        CLOCK(a_slow_handshake_is_closed),
        SIM(many_handshakes_let_messages_by),
        CASE(nothing_is_kept_for_an_idle_connection),
        cmocka_unit_test(a_proxy_says_who_it_is),
        cmocka_unit_test(others_do_not_connect_in_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
