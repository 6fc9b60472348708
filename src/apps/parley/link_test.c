/* SPDX-License-Identifier: Apache-2.0
 * A scripted server speaks to a link: the handshake, whole and byte by byte, and its refusals;
 * messages small and in pieces; pings; the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "apps/parley/link.h"
#include "ports/crypto.h"

static const uint8_t nonce[UPGRADE_NONCE_BYTES] = {1, 2, 3};
static const uint8_t mask[WS_MASK_BYTES] = {9, 8, 7, 6};

struct server {
    struct link link;
    uint8_t bytes[300000]; /* what it says */
    struct buf say;
};

static int setup(void **state)
{
    static struct server server;
    memset(&server, 0, sizeof server);
    server.say = buf_over(server.bytes, sizeof server.bytes);
    assert_int_equal(
        link_start(&server.link, SLICE_LITERAL("localhost:8787"), SLICE_LITERAL("new"), nonce),
        STATUS_OK);
    *state = &server;
    return 0;
}

static int teardown(void **state)
{
    link_deinit(&((struct server *)*state)->link);
    return 0;
}

static void say_yes(struct server *server)
{
    uint8_t input[UPGRADE_INPUT_BYTES], digest[UPGRADE_DIGEST_BYTES];
    upgrade_accept_input(slice_make(server->link.key, UPGRADE_KEY_BYTES), input);
    crypto_sha1(slice_make(input, sizeof input), digest);
    upgrade_write_response(&server->say, digest);
}

static void say_frame(struct server *server, enum ws_opcode opcode, struct slice payload)
{
    uint8_t header[WS_HEADER_BYTES_MAX];
    buf_put(&server->say, slice_make(header, ws_write_header(header, opcode, payload.bytes, NULL)));
    buf_put(&server->say, payload);
}

/* Hand over what was said, `step` bytes at a time; every event is noted by its letter, and the
 * bytes of frames are compared with `expected`. */
static const char *hear(struct server *server, size_t step, struct slice expected)
{
    static const char letters[] = {
        [LINK_NONE] = '-', [LINK_UP] = 'U', [LINK_FRAME] = 'F', [LINK_CLOSED] = 'C'};
    static char heard[64];
    size_t count = 0;
    struct slice left = buf_slice(&server->say);
    memset(heard, 0, sizeof heard);
    for (;;) {
        struct link_event event;
        link_next(&server->link, mask, &event);
        if (event.kind == LINK_FRAME)
            assert_true(slice_equal(event.bytes, expected));
        if (event.kind != LINK_NONE) {
            heard[count++] = letters[event.kind];
            continue;
        }
        if (left.bytes == 0)
            break;
        size_t part = step < left.bytes ? step : left.bytes;
        part = part < link_room(&server->link) ? part : link_room(&server->link);
        assert_true(part > 0);
        link_take(&server->link, slice_sub(left, 0, part));
        left = slice_sub(left, part, left.bytes);
    }
    return heard;
}

static void the_request_names_host_route_and_protocol(void **state)
{
    struct server *server = *state;
    struct slice in = slice_make(server->link.out.at, server->link.out.bytes);
    struct http1_head head;
    struct upgrade upgrade;
    assert_int_equal(http1_read_request(&in, 0, &head), STATUS_OK);
    assert_int_equal(upgrade_read_request(&head, &upgrade), STATUS_OK);
    assert_true(slice_equal(head.host, SLICE_LITERAL("localhost:8787")));
    assert_true(slice_equal(upgrade.route, SLICE_LITERAL("new")));
}

static void frames_come_whole_however_they_are_split(void **state)
{
    const size_t steps[] = {1, 7, 4096, 300000};
    for (size_t i = 0; i < 4; i++) {
        struct server *server = *state;
        say_yes(server);
        say_frame(server, WS_BINARY, SLICE_LITERAL("hello"));
        say_frame(server, WS_BINARY, SLICE_LITERAL("hello"));
        assert_string_equal(hear(server, steps[i], SLICE_LITERAL("hello")), "UFF");
        (void)teardown(state);
        (void)setup(state);
    }
}

static void a_large_message_comes_in_pieces_and_is_given_whole(void **state)
{
    static uint8_t large[200000];
    struct server *server = *state;
    memset(large, 0x5a, sizeof large);
    say_yes(server);
    say_frame(server, WS_BINARY, SLICE_OF(large));
    say_frame(server, WS_OPCODE_CLOSE, SLICE_EMPTY);
    assert_string_equal(hear(server, 10000, SLICE_OF(large)), "UFC");
}

static void a_ping_is_answered_and_our_frames_are_masked(void **state)
{
    struct server *server = *state;
    struct ws ws;
    struct ws_event event;
    size_t consumed;
    say_yes(server);
    say_frame(server, WS_OPCODE_PING, SLICE_LITERAL("are you there"));
    server->link.out.bytes = 0; /* the request left */
    assert_string_equal(hear(server, 1, SLICE_EMPTY), "U");
    assert_int_equal(link_send(&server->link, WS_BINARY, SLICE_LITERAL("mine"), mask), STATUS_OK);
    ws_init(&ws, WS_SERVER, WS_HOLD_BYTES_MIN, 1000);
    ws_feed(&ws, server->link.out.at, server->link.out.bytes, &consumed, &event);
    assert_int_equal(event.kind, WS_PONG);
    assert_true(slice_equal(event.payload, SLICE_LITERAL("are you there")));
    ws_feed(&ws, server->link.out.at + consumed, server->link.out.bytes - consumed, &consumed,
            &event);
    assert_int_equal(event.kind, WS_MESSAGE);
    assert_true(slice_equal(event.payload, SLICE_LITERAL("mine")));
}

static void what_is_no_parley_server_is_told_apart(void **state)
{
    static const struct {
        const char *answer;
        uint16_t code;
    } cases[] = {
        {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
         0},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct server *server = *state;
        struct link_event event;
        link_take(&server->link, slice_text(cases[i].answer));
        link_next(&server->link, mask, &event);
        assert_int_equal(event.kind, LINK_CLOSED);
        assert_int_equal(event.code, cases[i].code);
        link_next(&server->link, mask, &event);
        assert_int_equal(event.kind, LINK_NONE); /* said once */
        (void)teardown(state);
        (void)setup(state);
    }
}

static void a_broken_frame_ends_it(void **state)
{
    struct server *server = *state;
    say_yes(server);
    say_frame(server, WS_TEXT, SLICE_LITERAL("text"));
    say_frame(server, WS_BINARY, SLICE_LITERAL("never heard"));
    assert_string_equal(hear(server, 300000, SLICE_EMPTY), "UC");
}

static void too_much_unsent_is_refused(void **state)
{
    static uint8_t mega[1 << 20];
    struct server *server = *state;
    int sent = 0;
    while (sent < 64 && link_send(&server->link, WS_BINARY, SLICE_OF(mega), mask) == STATUS_OK)
        sent++;
    assert_int_equal(sent, 31);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(the_request_names_host_route_and_protocol),
        TEST(frames_come_whole_however_they_are_split),
        TEST(a_large_message_comes_in_pieces_and_is_given_whole),
        TEST(a_ping_is_answered_and_our_frames_are_masked),
        TEST(what_is_no_parley_server_is_told_apart),
        TEST(a_broken_frame_ends_it),
        TEST(too_much_unsent_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
