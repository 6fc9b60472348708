/* SPDX-License-Identifier: Apache-2.0
 * The handshake: a good one, and tables of how each end goes wrong. The digest is that of the
 * example in RFC 6455 §1.3. */
#include "wire/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const uint8_t digest[UPGRADE_DIGEST_BYTES] = {0xb3, 0x7a, 0x4f, 0x2c, 0xc0, 0x62, 0x4f,
                                                     0x16, 0x90, 0xf6, 0x46, 0x06, 0xcf, 0x38,
                                                     0x59, 0x45, 0xb2, 0xbe, 0xc4, 0xea};

static struct http1_head head;

/* A request of the parts that are not NULL. */
struct request {
    const char *line, *upgrade, *connection, *key, *version, *protocol, *more;
    uint16_t status; /* 0: taken */
};

#define LINE "GET /v1/ws/new HTTP/1.1"
#define REST "websocket", "Upgrade", KEY, "13", "parley.v1"

static const struct request requests[] = {
    {LINE, REST, NULL, 0},
    {"GET /v1/ws/0123456789abcdef HTTP/1.1", REST, NULL, 0},
    {LINE, "WebSocket", "keep-alive, UPGRADE", KEY, "13", "parley.v1", NULL, 0},
    {LINE, "h2c, websocket", "upgrade", KEY, "13", "chat, parley.v1", NULL, 0},
    {LINE, REST, "Sec-WebSocket-Protocol: other", 0},
    {LINE, "websocket", "upgrade", KEY, "13", "x", "Sec-WebSocket-Protocol: parley.v1", 0},
    {LINE, REST, "Sec-WebSocket-Extensions: permessage-deflate", 0},
    {LINE, REST, "Origin: https://chat.example", 0},
    /* the path */
    {"GET / HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/ HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/New HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/news HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/new/ HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/new? HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/n%65w HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/../ws/new HTTP/1.1", REST, NULL, 404},
    {"GET /V1/ws/new HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/0123456789abcde HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/0123456789abcdef0 HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/0123456789ABCDEF HTTP/1.1", REST, NULL, 404},
    {"GET /v1/ws/0123456789abcdeg HTTP/1.1", REST, NULL, 404},
    /* the method */
    {"POST /v1/ws/new HTTP/1.1", REST, NULL, 405},
    {"HEAD /v1/ws/new HTTP/1.1", REST, NULL, 405},
    /* no handshake, or another one */
    {LINE, NULL, "Upgrade", KEY, "13", "parley.v1", NULL, 426},
    {LINE, "websocket", NULL, KEY, "13", "parley.v1", NULL, 426},
    {LINE, "h2c", "Upgrade", KEY, "13", "parley.v1", NULL, 426},
    {LINE, "websocket/13", "Upgrade", KEY, "13", "parley.v1", NULL, 426},
    {LINE, "websocket", "keep-alive", KEY, "13", "parley.v1", NULL, 426},
    {LINE, "websocket", "Upgrade", KEY, "8", "parley.v1", NULL, 426},
    {LINE, "websocket", "Upgrade", KEY, "013", "parley.v1", NULL, 426},
    {LINE, "websocket", "Upgrade", KEY, "13, 8", "parley.v1", NULL, 426},
    {LINE, "websocket", "Upgrade", KEY, NULL, "parley.v1", NULL, 426},
    {LINE, REST, "Sec-WebSocket-Version: 13", 400},
    /* the key */
    {LINE, "websocket", "Upgrade", NULL, "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "", "13", "parley.v1", NULL, 400},
    {LINE, REST, "Sec-WebSocket-Key: " KEY, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZQ", "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZQ=A", "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZR==", "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZQA=", "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZQAA", "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZ_==", "13", "parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZQA9QQ==", "13", "parley.v1", NULL, 400},
    /* the subprotocol, the origin */
    {LINE, "websocket", "Upgrade", KEY, "13", NULL, NULL, 400},
    {LINE, "websocket", "Upgrade", KEY, "13", "parley.v2", NULL, 400},
    {LINE, "websocket", "Upgrade", KEY, "13", "Parley.v1", NULL, 400},
    {LINE, "websocket", "Upgrade", KEY, "13", "parley.v10", NULL, 400},
    {LINE, "websocket", "Upgrade", KEY, "13", "xparley.v1", NULL, 400},
    {LINE, REST, "Origin: https://a\r\nOrigin: https://b", 400},
};

static void put_header(struct buf *out, const char *name, const char *value)
{
    if (value != NULL)
        http1_write_header(out, name, slice_text(value));
}

static struct slice write_request(const struct request *request, uint8_t memory[1024])
{
    struct buf out = buf_over(memory, 1024);
    buf_put(&out, slice_text(request->line));
    buf_put(&out, SLICE_LITERAL("\r\nHost: h\r\n"));
    put_header(&out, "Upgrade", request->upgrade);
    put_header(&out, "Connection", request->connection);
    put_header(&out, "Sec-WebSocket-Key", request->key);
    put_header(&out, "Sec-WebSocket-Version", request->version);
    put_header(&out, "Sec-WebSocket-Protocol", request->protocol);
    if (request->more != NULL) {
        buf_put(&out, slice_text(request->more));
        buf_put(&out, SLICE_LITERAL("\r\n"));
    }
    http1_write_end(&out);
    assert_false(out.overflow);
    return buf_slice(&out);
}

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        uint8_t memory[1024];
        struct slice in = write_request(&requests[i], memory);
        struct upgrade upgrade;
        assert_int_equal(http1_read_request(&in, 0, &head), STATUS_OK);
        enum status status = upgrade_read_request(&head, &upgrade);
        if ((status == STATUS_OK) != (requests[i].status == 0) ||
            upgrade.status != requests[i].status)
            fail_msg("request %zu: status %d", i, upgrade.status);
        if (status == STATUS_OK)
            assert_true(slice_equal(upgrade.key, SLICE_LITERAL(KEY)));
    }
}

static void test_origin_and_route(void **state)
{
    (void)state;
    uint8_t memory[1024];
    struct upgrade upgrade;
    struct slice in = write_request(&requests[7], memory);
    assert_int_equal(http1_read_request(&in, 0, &head), STATUS_OK);
    assert_int_equal(upgrade_read_request(&head, &upgrade), STATUS_OK);
    assert_true(slice_equal(upgrade.origin, SLICE_LITERAL("https://chat.example")));
    assert_true(slice_equal(upgrade.route, SLICE_LITERAL("new")));
    in = write_request(&requests[1], memory);
    assert_int_equal(http1_read_request(&in, 0, &head), STATUS_OK);
    assert_int_equal(upgrade_read_request(&head, &upgrade), STATUS_OK);
    assert_null(upgrade.origin.at);
    assert_true(slice_equal(upgrade.route, SLICE_LITERAL("0123456789abcdef")));
}

/* Our client speaks to our server. */
static void test_both_ends(void **state)
{
    (void)state;
    uint8_t memory[1024], key[UPGRADE_KEY_BYTES], input[UPGRADE_INPUT_BYTES];
    struct upgrade upgrade;
    upgrade_key((const uint8_t *)"the sample nonce", key);
    assert_memory_equal(key, KEY, sizeof key);
    struct buf out = buf_over(memory, sizeof memory);
    upgrade_write_request(&out, SLICE_LITERAL("h:8787"), SLICE_LITERAL("new"), key);
    struct slice in = buf_slice(&out);
    assert_int_equal(http1_read_request(&in, 0, &head), STATUS_OK);
    assert_int_equal(in.bytes, 0);
    assert_int_equal(upgrade_read_request(&head, &upgrade), STATUS_OK);
    upgrade_accept_input(upgrade.key, input);
    assert_memory_equal(input, KEY "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", sizeof input);

    out = buf_over(memory, sizeof memory);
    upgrade_write_response(&out, digest);
    in = buf_slice(&out);
    assert_int_equal(http1_read_response(&in, &head), STATUS_OK);
    assert_int_equal(in.bytes, 0);
    assert_true(slice_equal(http1_header(&head, "sec-websocket-accept"), SLICE_LITERAL(ACCEPT)));
    assert_int_equal(upgrade_read_response(&head, digest), STATUS_OK);
}

#define UP         "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPTED   "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define PROTOCOL   "Sec-WebSocket-Protocol: parley.v1\r\n"
#define SWITCH     "HTTP/1.1 101 Switching Protocols\r\n"

static const struct {
    const char *bytes;
    enum status status;
} responses[] = {
    {SWITCH UP CONNECTION ACCEPTED PROTOCOL "\r\n", STATUS_OK},
    {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", STATUS_DENIED},
    {"HTTP/1.1 200 OK\r\n" UP CONNECTION ACCEPTED PROTOCOL "\r\n", STATUS_DENIED},
    {SWITCH CONNECTION ACCEPTED PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH UP UP CONNECTION ACCEPTED PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH "Upgrade: h2c\r\n" CONNECTION ACCEPTED PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH UP ACCEPTED PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH UP CONNECTION PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH UP CONNECTION ACCEPTED ACCEPTED PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH UP CONNECTION "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" PROTOCOL "\r\n",
     STATUS_INVALID},
    {SWITCH UP CONNECTION ACCEPTED "\r\n", STATUS_INVALID},
    {SWITCH UP CONNECTION ACCEPTED PROTOCOL PROTOCOL "\r\n", STATUS_INVALID},
    {SWITCH UP CONNECTION ACCEPTED "Sec-WebSocket-Protocol: parley.v2\r\n\r\n", STATUS_INVALID},
    {SWITCH UP CONNECTION ACCEPTED PROTOCOL "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
     STATUS_INVALID},
};

static void test_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
        struct slice in = slice_text(responses[i].bytes);
        assert_int_equal(http1_read_response(&in, &head), STATUS_OK);
        assert_int_equal(upgrade_read_response(&head, digest), responses[i].status);
    }
}

static void test_refusal(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct buf out = buf_over(memory, sizeof memory);
    upgrade_write_refusal(&out, 426);
    struct slice in = buf_slice(&out);
    assert_int_equal(http1_read_response(&in, &head), STATUS_OK);
    assert_true(head.status == 426 && head.close);
    assert_true(slice_equal(http1_header(&head, "sec-websocket-version"), SLICE_LITERAL("13")));
    out = buf_over(memory, sizeof memory);
    upgrade_write_refusal(&out, 403);
    in = buf_slice(&out);
    assert_int_equal(http1_read_response(&in, &head), STATUS_OK);
    assert_true(head.status == 403 && head.close);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),  cmocka_unit_test(test_origin_and_route),
        cmocka_unit_test(test_both_ends), cmocka_unit_test(test_responses),
        cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
