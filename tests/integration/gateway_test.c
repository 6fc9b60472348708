/* SPDX-License-Identifier: Apache-2.0
 * Bad bytes over real sockets: every one has its exact answer, costs bounded memory, and hurts
 * nobody else. Heads, WebSocket frames, messages; deadlines by a clock of the test's; readers that
 * stop. What a signed-in device may not do: devices_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "caller_rig.h"
#include "runtime/gateway_conn.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct node_clock test_clock;
static struct node node;
static struct caller good, bad;

static int setup_with(struct clock_port *clock)
{
    struct node_options options = {.shards = 1,
                                   .connections_max = 16,
                                   .operations_max = 64,
                                   .sign_up = POLICY_OPEN,
                                   .clock = clock};
    node_open(&node, &options);
    caller_open(&good, &node, 1);
    caller_upgrade(&good);
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
    node_clock_open(&test_clock, 1000);
    return setup_with(&test_clock.port);
}

static int teardown(void **state)
{
    (void)state;
    caller_close(&good);
    node_close(&node);
    return 0;
}

static struct gateway *gateway(void)
{
    return &node.shards[0].shard.gateway;
}

/* The other one is served as if nothing had been. */
static void good_is_served(void)
{
    uint64_t next = good.pongs + 1;
    caller_ping(&good, next);
    HEAR(good.pongs == next);
}

/* ---- heads ---- */

#define HEAD                                                               \
    "GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" \
    "Connection: Upgrade\r\n"
#define KEY  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define TAIL "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n"

static void bad_heads_have_their_status(void **state)
{
    static const struct {
        const char *bytes, *status;
    } cases[] = {
        {"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405"},
        {"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"},
        {"GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"},
        {"GET /health HTTP/1.0\r\n\r\n", "505"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "501"},
        {"\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n", "400"}, /* somebody speaks TLS */
        /* two readers must never count differently */
        {"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
         "\r\n",
         "400"},
        {"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
         "400"},
        {"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n", "400"},
        {"POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "501"},
        {"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET /health HTTP/1.1\r\n\r\n", "400"},
        {"GET /health HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"},
        {"GET /health HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"GET /health HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400"},
        {"GET /health HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400"},
        {"GET /health HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400"},
        {"GET  /health HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        /* upgrades that are none */
        {HEAD TAIL, "400"},
        {HEAD KEY "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n", "426"},
        {HEAD KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n", "400"},
        {HEAD KEY "Sec-WebSocket-Version: 13\r\n\r\n", "400"},
        {HEAD "Sec-WebSocket-Key: dG9vIHNob3J0\r\n" TAIL, "400"},
        {HEAD KEY "Origin: null\r\n" TAIL, "403"},
        {HEAD KEY "Origin: https://localhost.evil.example\r\n" TAIL, "403"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        caller_open(&bad, &node, 2);
        caller_bytes(&bad, slice_text(cases[i].bytes));
        HEAR(bad.gone);
        char expected[16] = "HTTP/1.1 ";
        memcpy(expected + 9, cases[i].status, 3);
        if (memcmp(bad.head, expected, 12) != 0)
            fail_msg("case %zu: %.13s, not %s", i, bad.head, cases[i].status);
        caller_close(&bad);
        good_is_served();
        assert_int_equal(gateway()->conns.used, 1);
    }
}

static void a_head_without_end_is_refused(void **state)
{
    static uint8_t line[32 * 1024];
    (void)state;
    memset(line, 'a', sizeof line);
    memcpy(line, "GET /", 5);
    caller_open(&bad, &node, 2);
    caller_bytes(&bad, SLICE_OF(line));
    HEAR(bad.gone);
    assert_memory_equal(bad.head, "HTTP/1.1 4", 10);
    caller_close(&bad);
    good_is_served();
}

static void a_head_byte_by_byte_is_read(void **state)
{
    static const char head[] = HEAD KEY TAIL;
    (void)state;
    caller_open(&bad, &node, 2);
    for (size_t i = 0; i + 1 < sizeof head; i++) {
        caller_bytes(&bad, slice_make((const uint8_t *)head + i, 1));
        HEAR(bad.out_bytes == 0);
    }
    HEAR(bad.frames_count == 1);
    (void)caller_last(&bad, PB_FRAME_BODY_WELCOME);
    caller_close(&bad);
}

/* ---- frames of the WebSocket ---- */

#define ZERO_MASK "\0\0\0\0"

static void bad_frames_have_their_code(void **state)
{
    static const struct {
        const char *bytes;
        size_t count;
        uint16_t code;
    } cases[] = {
#define CASE(text, code) {(text), sizeof(text) - 1, (code)}
        CASE("\x82\x01x", 1002),                                    /* unmasked */
        CASE("\x81\x81" ZERO_MASK "x", 1003),                       /* text */
        CASE("\x01\x81" ZERO_MASK "x", 1003),                       /* the start of one */
        CASE("\x09\x81" ZERO_MASK "x", 1002),                       /* a ping in pieces */
        CASE("\x89\xfe\x00\x7e" ZERO_MASK, 1002),                   /* a ping of 126 */
        CASE("\xc2\x81" ZERO_MASK "x", 1002),                       /* compressed: nobody offered */
        CASE("\x83\x81" ZERO_MASK "x", 1002),                       /* an opcode of the future */
        CASE("\x80\x81" ZERO_MASK "x", 1002),                       /* goes on with nothing */
        CASE("\x02\x81" ZERO_MASK "x\x82\x81" ZERO_MASK "x", 1002), /* begins within another */
        CASE("\x82\xfe\x00\x05" ZERO_MASK "xxxxx", 1002),           /* five, in two bytes */
        CASE("\x82\xff\x80\0\0\0\0\0\0\0" ZERO_MASK, 1002),         /* 2^63 */
        CASE("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" ZERO_MASK, 1002),
        CASE("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" ZERO_MASK, 1009),
        CASE("\x82\xfe\x10\x01" ZERO_MASK, 1009),           /* 4,097: a stranger's limit */
        CASE("\x82\xff\0\0\0\0\0\x10\0\0" ZERO_MASK, 1009), /* 1 MiB, of a stranger */
        CASE("\x88\x81" ZERO_MASK "x", 1002),               /* half a close code */
        CASE("\x88\x82" ZERO_MASK "\x03\xed", 1002),        /* 1005 is never sent */
        CASE("\x88\x83" ZERO_MASK "\x03\xe8\xff", 1007),    /* a reason that is no text */
        CASE("\x88\x82" ZERO_MASK "\x03\xe8", 1000),        /* a goodbye is answered */
#undef CASE
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        caller_open(&bad, &node, 2);
        caller_upgrade(&bad);
        caller_bytes(&bad, slice_make((const uint8_t *)cases[i].bytes, cases[i].count));
        caller_ping(&bad, 1); /* nothing is heard any more */
        HEAR(bad.gone);
        if (bad.close_code != cases[i].code)
            fail_msg("case %zu: closed with %u, not %u", i, bad.close_code, cases[i].code);
        assert_int_equal(bad.pongs, 0);
        caller_close(&bad);
        good_is_served();
        assert_int_equal(gateway()->conns.used, 1);
    }
}

/* ---- messages ---- */

static void expect_error(struct caller *caller, uint32_t req, enum pb_error_code code)
{
    size_t before = caller->frames_count;
    HEAR(caller->frames_count > before);
    const struct pb_frame *error = caller_last(caller, PB_FRAME_BODY_ERROR);
    assert_int_equal(error->req, req);
    assert_int_equal(error->body.error.code, code);
}

static void what_cannot_be_read_is_said_three_times(void **state)
{
    static const char *const garbage[] = {"\xff\xff\xff", "\x0a\xff", "\x08"};
    (void)state;
    caller_open(&bad, &node, 2);
    caller_upgrade(&bad);
    for (size_t i = 0; i < COUNT(garbage); i++) {
        assert_int_equal(bad.close_code, 0);
        caller_message(&bad, slice_text(garbage[i]));
        expect_error(&bad, 0, PB_ERROR_CODE_BAD_FRAME);
    }
    HEAR(bad.gone);
    assert_int_equal(bad.close_code, 1008);
    caller_close(&bad);
    good_is_served();
}

static void unknown_words_are_unsupported_for_ever(void **state)
{
    static const enum pb_frame_body words[] = {PB_FRAME_BODY_KP_PUT, PB_FRAME_BODY_GOAWAY,
                                               PB_FRAME_BODY_OK};
    (void)state;
    caller_open(&bad, &node, 2);
    caller_upgrade(&bad);
    for (uint32_t i = 0; i < 12; i++) {
        struct pb_frame frame = {.req = i + 1, .body_case = words[i % COUNT(words)]};
        caller_frame(&bad, &frame);
        expect_error(&bad, i + 1, PB_ERROR_CODE_UNSUPPORTED);
    }
    caller_message(&bad, SLICE_LITERAL("\x08\x07\xca\x3e\x00")); /* req 7, field 1001 */
    expect_error(&bad, 7, PB_ERROR_CODE_UNSUPPORTED);
    caller_ping(&bad, 1);
    HEAR(bad.pongs == 1);
    assert_int_equal(bad.close_code, 0);
    caller_close(&bad);
}

static void a_stranger_may_only_sign_in(void **state)
{
    static const enum pb_frame_body words[] = {
        PB_FRAME_BODY_SEND,         PB_FRAME_BODY_ACK,         PB_FRAME_BODY_SYNC,
        PB_FRAME_BODY_SNAPSHOT,     PB_FRAME_BODY_HISTORY,     PB_FRAME_BODY_MARKS,
        PB_FRAME_BODY_READ,         PB_FRAME_BODY_DELIVERED,   PB_FRAME_BODY_LOOKUP,
        PB_FRAME_BODY_INVITE,       PB_FRAME_BODY_VAULT_PUT,   PB_FRAME_BODY_VAULT_GET,
        PB_FRAME_BODY_CHAT_CREATE,  PB_FRAME_BODY_DEVLIST_PUT, PB_FRAME_BODY_DEVLIST_GET,
        PB_FRAME_BODY_PASSWORD_SET,
    };
    static const uint8_t id[ID_BYTES] = {1};
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        struct pb_frame frame = {.req = 3, .body_case = words[i]};
        struct slice any = SLICE_OF(id);
        switch ((uint8_t)words[i]) { /* whole, so that only the state is wrong */
        case PB_FRAME_BODY_SEND:
            frame.body.send = (struct pb_send){.chat_id = any, .mid = any};
            break;
        case PB_FRAME_BODY_HISTORY: frame.body.history.chat_id = any; break;
        case PB_FRAME_BODY_MARKS: frame.body.marks.chat_id = any; break;
        case PB_FRAME_BODY_READ: frame.body.read.chat_id = any; break;
        case PB_FRAME_BODY_DELIVERED: frame.body.delivered.chat_id = any; break;
        case PB_FRAME_BODY_DEVLIST_GET: frame.body.devlist_get.user_id = any; break;
        case PB_FRAME_BODY_CHAT_CREATE:
            frame.body.chat_create = (struct pb_chat_create){.chat_id = any, .mid = any};
            break;
        default: break;
        }
        caller_open(&bad, &node, 2);
        caller_upgrade(&bad);
        caller_frame(&bad, &frame);
        expect_error(&bad, 3, PB_ERROR_CODE_BAD_FRAME);
        caller_close(&bad);
    }
    HEAR(gateway()->conns.used == 1);
    assert_int_equal(gateway()->operations.used, 0);
}

/* ---- deadlines ---- */

static void a_slow_head_is_dropped_at_ten_seconds(void **state)
{
    static const char head[] = HEAD KEY TAIL;
    (void)state;
    caller_open(&bad, &node, 2);
    good_is_served(); /* and the server has accepted it */
    HEAR(gateway()->conns.used == 2);
    for (size_t i = 0; i < 100; i++) { /* a byte every 99 ms moves no deadline */
        caller_bytes(&bad, slice_make((const uint8_t *)head + i, 1));
        HEAR(bad.out_bytes == 0);
        test_clock.ms += 99;
        assert_false(bad.gone);
    }
    test_clock.ms += 99;
    for (int i = 0; i < 20; i++)
        callers_turn();
    assert_int_equal(gateway()->conns.used, 2); /* 9,999 ms */
    test_clock.ms++;
    HEAR(bad.gone);
    assert_int_equal(bad.in_bytes, 0);
    caller_close(&bad);
    HEAR(gateway()->conns.used <= 1);
}

static void who_does_not_sign_in_is_closed(void **state)
{
    (void)state;
    caller_open(&bad, &node, 2);
    caller_upgrade(&bad);
    for (uint64_t t = 1; t <= 9; t++) { /* a PING does not extend it */
        test_clock.ms += 1000;
        caller_ping(&bad, t);
        HEAR(bad.pongs == t);
    }
    test_clock.ms += 1000;
    HEAR(bad.gone);
    assert_int_equal(bad.close_code, 1008);
    caller_close(&bad);
}

/* ---- readers that stop ---- */

#define FLOOD 200000u /* echoes for 25 MB: more than the buffers of two sockets take */

static struct gateway_conn *conn_of_bad(void)
{
    uint32_t index = 0;
    struct slab_handle handle;
    struct gateway_conn *conn = NULL, *found = NULL;
    while ((conn = slab_next(&gateway()->conns, &index, &handle)) != NULL)
        found = conn->held_back ? conn : found;
    return found;
}

/* Ask for echoes and hear none, until the server holds back; returns for how many. */
static uint64_t flood(void)
{
    uint64_t number = 0;
    size_t still = 0;
    bad.deaf = true;
    for (int turns = 0; turns < NODE_TURNS && still < 50; turns++) {
        while (number < FLOOD && bad.out_bytes < 512 * 1024 && !bad.sending)
            caller_echo(&bad, ++number);
        callers_turn();
        still = conn_of_bad() != NULL ? still + 1 : 0;
    }
    assert_true(still >= 50);
    assert_true(number < FLOOD); /* the server held back, not we */
    return number;
}

static void a_reader_that_stops_is_not_read(void **state)
{
    (void)state;
    caller_open(&bad, &node, 2);
    caller_upgrade(&bad);
    uint64_t said = flood();
    const struct gateway_conn *conn = conn_of_bad();
    assert_non_null(conn);
    /* One input buffer's answers above the bound, no more. */
    assert_true(output_bytes(&conn->output) > SESSION_OUTPUT_BYTES_MAX);
    assert_true(output_bytes(&conn->output) < 2 * SESSION_OUTPUT_BYTES_MAX);
    assert_true(conn->output.waiting.capacity <= 4 * SESSION_OUTPUT_BYTES_MAX);
    for (int i = 0; i < 20; i++)
        good_is_served();
    /* It reads again: every answer comes, in order (the rig checks), and the rest is taken. */
    caller_listen(&bad);
    HEAR(bad.echoes == said);
    assert_int_equal(gateway()->counts.closed_slow, 0);
    caller_ping(&bad, 1);
    HEAR(bad.pongs == 1);
    caller_close(&bad);
}

static void a_reader_that_never_reads_is_dropped(void **state)
{
    (void)state;
    struct caller_account account;
    caller_open(&bad, &node, 2);
    caller_upgrade(&bad);
    caller_sign_up(&bad, &account, "mallory"); /* no deadline but that of what is written */
    (void)flood();
    test_clock.ms += 29999;
    for (int i = 0; i < 5; i++)
        callers_turn();
    test_clock.ms += 2;
    HEAR(gateway()->counts.closed_slow == 1);
    HEAR(gateway()->conns.used <= 1);
    caller_close(&bad);
}

/* A goodbye that is not read: five seconds, then the connection is gone. */
static void a_lingering_peer_is_not_waited_for(void **state)
{
    (void)state;
    caller_open(&bad, &node, 2);
    caller_upgrade(&bad);
    (void)flood();
    struct gateway_conn *conn = conn_of_bad();
    assert_non_null(conn);
    /* What is held back is not heard, so that only a drain or the session itself can close it. */
    gateway_drain(gateway(), 1000);
    HEAR(conn->phase == CONN_LINGER);
    test_clock.ms += 4999;
    for (int i = 0; i < 5; i++)
        callers_turn();
    assert_int_equal(conn->phase, CONN_LINGER);
    test_clock.ms += 1;
    HEAR(gateway()->conns.used == 0);
    caller_close(&bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bad_heads_have_their_status, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_without_end_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_byte_by_byte_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_frames_have_their_code, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_said_three_times, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_words_are_unsupported_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stranger_may_only_sign_in, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_head_is_dropped_at_ten_seconds, setup_clock,
                                        teardown),
        cmocka_unit_test_setup_teardown(who_does_not_sign_in_is_closed, setup_clock, teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_stops_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_never_reads_is_dropped, setup_clock,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_lingering_peer_is_not_waited_for, setup_clock, teardown),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
