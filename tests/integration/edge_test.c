/* SPDX-License-Identifier: Apache-2.0
 * Who may come in, over real sockets: the PROXY protocol and whose it is believed, the share of one
 * address, hosts and origins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "caller_rig.h"
#include "runtime/gateway_conn.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct node_clock test_clock;
static struct node node;
static struct caller callers[5];

static void start(struct node_options options)
{
    options.shards = 1;
    options.connections_max = 16;
    options.operations_max = 64;
    options.clock = &test_clock.port;
    node_clock_open(&test_clock, 1000);
    node_open(&node, &options);
}

/* Loopback is a proxy that is trusted. */
static struct node_options behind(bool header)
{
    struct node_options options = {.forwarded = {.proxies_count = 1, .header = header}};
    assert_true(forwarded_read(SLICE_LITERAL("127.0.0.1"), options.forwarded.proxies[0]));
    return options;
}

static struct gateway *gateway(void)
{
    return &node.shards[0].shard.gateway;
}

static const struct gateway_conn *the_only_one(void)
{
    uint32_t index = 0;
    struct slab_handle handle;
    assert_int_equal(gateway()->conns.used, 1);
    return slab_next(&gateway()->conns, &index, &handle);
}

/* With nobody open the callers' turns have nothing to turn. */
static void all_are_gone(void)
{
    for (int turns = 0; turns < NODE_TURNS && gateway()->conns.used > 0; turns++)
        (void)node_turn(&node, 1);
    assert_int_equal(gateway()->conns.used, 0);
}

#define LINE(address) "PROXY TCP4 " address " 127.0.0.1 12345 443\r\n"
#define HEAD(host)                                                        \
    "GET /v1/ws/new HTTP/1.1\r\nHost: " host "\r\nUpgrade: websocket\r\n" \
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define TAIL "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n"

static void say(struct caller *caller, uint64_t tag, const char *text)
{
    caller_open(caller, &node, tag);
    caller_bytes(caller, slice_text(text));
}

static void expect_status(struct caller *caller, const char *status)
{
    HEAR(caller->gone);
    char expected[16];
    (void)snprintf(expected, sizeof expected, "HTTP/1.1 %s", status);
    if (memcmp(caller->head, expected, 12) != 0)
        fail_msg("%.13s, not %s", caller->head, status);
}

static void expect_peer(const char *address)
{
    uint8_t expected[16];
    assert_true(forwarded_read(slice_text(address), expected));
    assert_memory_equal(the_only_one()->peer, expected, 16);
}

/* ---- the PROXY protocol ---- */

static void a_header_says_who_it_is(void **state)
{
    static const char binary[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
                                 "\xcb\x00\x71\x09\x7f\x00\x00\x01\x30\x39\x01\xbb" HEAD("a") TAIL;
    struct caller *caller = &callers[0];
    (void)state;
    start(behind(true));
    /* Its own X-Forwarded-For means nothing now: it is no proxy's. */
    say(caller, 1, LINE("203.0.113.9") HEAD("a") "X-Forwarded-For: 198.51.100.1\r\n" TAIL);
    HEAR(caller->frames_count == 1);
    expect_peer("203.0.113.9");
    caller_close(caller);
    all_are_gone();

    caller_open(caller, &node, 2);
    caller_bytes(caller, slice_make(binary, sizeof binary - 1));
    HEAR(caller->frames_count == 1);
    expect_peer("203.0.113.9");
    caller_close(caller);
    all_are_gone();

    caller_open(caller, &node, 3); /* byte by byte, each as far as it goes */
    for (size_t i = 0; i + 1 < sizeof binary; i++) {
        caller_bytes(caller, slice_make(binary + i, 1));
        HEAR(caller->out_bytes == 0);
    }
    HEAR(caller->frames_count == 1);
    expect_peer("203.0.113.9");
    caller_close(caller);

    say(caller, 4, "PROXY UNKNOWN\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"); /* its own check */
    expect_status(caller, "200");
    caller_close(caller);
    node_close(&node);
}

static void without_its_header_a_proxy_is_not_heard(void **state)
{
    static const char *const refused[] = {
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        HEAD("a") TAIL,
        "PROXY TCP4 203.0.113.9\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\n\r\n",
    };
    (void)state;
    start(behind(true));
    for (size_t i = 0; i < COUNT(refused); i++) {
        say(&callers[0], i + 1, refused[i]);
        HEAR(callers[0].gone);
        assert_int_equal(callers[0].in_bytes, 0); /* not a byte in answer */
        assert_int_equal(gateway()->counts.refused_peer, i + 1);
        caller_close(&callers[0]);
    }
    say(&callers[0], 9, "PROXY TCP4 203."); /* the deadline of the first head holds for it */
    HEAR(gateway()->conns.used == 1 && callers[0].out_bytes == 0);
    test_clock.ms += 10000;
    HEAR(callers[0].gone);
    caller_close(&callers[0]);
    node_close(&node);
}

/* Nobody's header is believed who is no proxy, or while the setting is off. */
static void a_header_of_others_is_no_request(void **state)
{
    const struct node_options others[] = {{.shards = 1}, behind(false)};
    (void)state;
    for (size_t i = 0; i < COUNT(others); i++) {
        start(others[i]);
        say(&callers[0], 1, LINE("203.0.113.9") HEAD("a") TAIL);
        expect_status(&callers[0], "501"); /* a method that nobody knows */
        caller_close(&callers[0]);
        caller_open(&callers[0], &node, 2);
        caller_bytes(&callers[0], SLICE_LITERAL("\r\n\r\n\0\r\nQUIT\n"));
        expect_status(&callers[0], "400");
        caller_close(&callers[0]);
        node_close(&node);
    }
}

/* ---- the share of one address ---- */

static void an_address_has_a_share(void **state)
{
    (void)state;
    start((struct node_options){.address_max = 3});
    for (uint64_t i = 0; i < 3; i++)
        caller_open(&callers[i], &node, i + 1);
    HEAR(gateway()->conns.used == 3);
    caller_open(&callers[3], &node, 4);
    HEAR(callers[3].gone);
    assert_int_equal(gateway()->counts.refused_address, 1);
    caller_close(&callers[3]);
    caller_close(&callers[0]); /* one goes, one may come */
    HEAR(gateway()->conns.used == 2);
    caller_open(&callers[0], &node, 5);
    caller_upgrade(&callers[0]);
    assert_int_equal(gateway()->addresses.used, 1);
    for (size_t i = 0; i < 3; i++)
        caller_close(&callers[i]);
    all_are_gone();
    assert_int_equal(gateway()->addresses.used, 0);
    node_close(&node);
}

/* Behind a proxy each person has one; the proxy itself is not counted. */
static void behind_a_proxy_each_has_its_own(void **state)
{
    static const char *const heads[2][3] = {
        {HEAD("a") "X-Forwarded-For: 203.0.113.9\r\n" TAIL,
         HEAD("a") "X-Forwarded-For: 203.0.113.8\r\n" TAIL, HEAD("a") TAIL},
        {LINE("203.0.113.9") HEAD("a") TAIL, LINE("203.0.113.8") HEAD("a") TAIL,
         "PROXY UNKNOWN\r\n" HEAD("a") TAIL},
    };
    (void)state;
    for (size_t header = 0; header < 2; header++) {
        struct node_options options = behind(header != 0);
        options.address_max = 1;
        start(options);
        for (size_t i = 0; i < 3; i++) {
            say(&callers[i], i + 1, heads[header][i]);
            HEAR(callers[i].frames_count == 1);
        }
        say(&callers[3], 4, heads[header][0]);
        if (header)
            HEAR(callers[3].gone);
        else
            expect_status(&callers[3], "429");
        assert_int_equal(gateway()->counts.refused_address, 1);
        say(&callers[4], 5, heads[header][2]); /* the proxy's next */
        HEAR(callers[4].frames_count == 1);
        for (size_t i = 0; i < 5; i++)
            caller_close(&callers[i]);
        all_are_gone();
        assert_int_equal(gateway()->addresses.used, 0);
        node_close(&node);
    }
}

/* A customer's /64 is one address; IPv4 addresses are each their own. */
static void neighbours_count_together(void **state)
{
    static const char *const lines[] = {
        "PROXY TCP6 2001:db8:1:2::1 ::1 1 2\r\n" HEAD("a") TAIL,
        "PROXY TCP6 2001:db8:1:2:ffff:: ::1 1 2\r\n" HEAD("a") TAIL,
        "PROXY TCP6 2001:db8:1:3::1 ::1 1 2\r\n" HEAD("a") TAIL,
        "PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n" HEAD("a") TAIL,
        "PROXY TCP4 203.0.113.8 127.0.0.1 1 2\r\n" HEAD("a") TAIL,
    };
    (void)state;
    struct node_options options = behind(true);
    options.address_max = 1;
    start(options);
    for (size_t i = 0; i < COUNT(lines); i++) {
        say(&callers[i], i + 1, lines[i]);
        if (i == 1)
            HEAR(callers[i].gone);
        else
            HEAR(callers[i].frames_count == 1);
    }
    for (size_t i = 0; i < COUNT(lines); i++)
        caller_close(&callers[i]);
    node_close(&node);
}

/* ---- hosts and origins ---- */

#define REQUEST(host) "GET /health HTTP/1.1\r\nHost: " host "\r\n\r\n"

static void another_host_is_not_served(void **state)
{
    static const struct {
        const char *bytes, *status;
    } cases[] = {
        {REQUEST("chat.example"), "200"},      {REQUEST("CHAT.example:8443"), "200"},
        {REQUEST("chat.example."), "421"},     {REQUEST("a.chat.example"), "421"},
        {REQUEST("chat.example.evil"), "421"}, {REQUEST("evilchat.example"), "421"},
        {REQUEST("127.0.0.1"), "421"},         {REQUEST("[::1]"), "421"},
        {REQUEST("chat.example@evil"), "400"}, {REQUEST(""), "400"},
        {HEAD("other.example") TAIL, "421"},
    };
    const struct slice host = SLICE_LITERAL("chat.example");
    (void)state;
    start((struct node_options){.hosts = &host});
    for (size_t i = 0; i < COUNT(cases); i++) {
        say(&callers[0], i + 1, cases[i].bytes);
        expect_status(&callers[0], cases[i].status);
        caller_close(&callers[0]);
    }
    assert_int_equal(gateway()->counts.refused_host, 7);
    say(&callers[0], 99, HEAD("chat.example") TAIL);
    HEAR(callers[0].frames_count == 1);
    caller_close(&callers[0]);
    node_close(&node);
}

static void a_foreign_page_gets_403(void **state)
{
    static const char *const foreign[] = {
        "null",
        "https://a.chat.example",
        "https://example",
        "https://evilchat.example",
        "https://chat.example.evil.example",
        "https://chat.example.",
        "https://chat.example:443",
        "https://chat.example:8443",
        "http://chat.example",
        "wss://chat.example",
        "HTTPS://chat.example",
        "https://Chat.example",
        "https://chat.example/",
        "https://chat.example https://evil.example",
        "https://user@chat.example",
        "file://",
        "*",
    };
    const struct slice origin = SLICE_LITERAL("https://chat.example");
    char head[512];
    (void)state;
    start((struct node_options){.origins = &origin});
    for (size_t i = 0; i < COUNT(foreign); i++) {
        (void)snprintf(head, sizeof head, HEAD("a") "Origin: %s\r\n" TAIL, foreign[i]);
        say(&callers[0], i + 1, head);
        expect_status(&callers[0], "403");
        caller_close(&callers[0]);
    }
    assert_int_equal(gateway()->counts.refused_origin, COUNT(foreign));
    say(&callers[0], 98, HEAD("a") "Origin: https://chat.example\r\n" TAIL);
    HEAR(callers[0].frames_count == 1);
    caller_close(&callers[0]);
    say(&callers[0], 99, HEAD("a") TAIL); /* a native client names none */
    HEAR(callers[0].frames_count == 1);
    caller_close(&callers[0]);
    node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_says_who_it_is),
        cmocka_unit_test(without_its_header_a_proxy_is_not_heard),
        cmocka_unit_test(a_header_of_others_is_no_request),
        cmocka_unit_test(an_address_has_a_share),
        cmocka_unit_test(behind_a_proxy_each_has_its_own),
        cmocka_unit_test(neighbours_count_together),
        cmocka_unit_test(another_host_is_not_served),
        cmocka_unit_test(a_foreign_page_gets_403),
    };
    return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}
