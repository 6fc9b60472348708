/* SPDX-License-Identifier: Apache-2.0
 * One turn may bring both: that output is gone, and that more has come. A gateway over a net port
 * of the test's, whose receive buffer moves as those of real ones do; the answers to a client that
 * reads slowly and goes on speaking must be the right ones, each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/system/system.h"
#include "runtime/gateway.h"

enum { IN_BYTES = 16384, PINGS = 4000, PING_BYTES = 6 + 125, HEARD_BYTES = 1 << 20 };

struct fake {
    struct net net;
    uint8_t in[IN_BYTES];
    size_t in_at, in_bytes;
    struct slice flying;
    bool sending, closed;
    uint64_t tag;
    uint8_t heard[HEARD_BYTES];
    size_t heard_bytes;
};

static struct fake fake;
static struct gateway gateway;

static void fake_consume(struct net *net, net_conn conn, size_t bytes)
{
    (void)net;
    (void)conn;
    assert_true(bytes <= fake.in_bytes);
    fake.in_at += bytes;
    fake.in_bytes -= bytes;
}

static void fake_tag(struct net *net, net_conn conn, uint64_t tag)
{
    (void)net;
    (void)conn;
    fake.tag = tag;
}

static void fake_send(struct net *net, net_conn conn, struct slice bytes)
{
    (void)net;
    (void)conn;
    assert_false(fake.sending);
    fake.flying = bytes;
    fake.sending = true;
}

static void fake_close(struct net *net, net_conn conn, bool reset)
{
    (void)net;
    (void)conn;
    (void)reset;
    fake.closed = true;
}

static const struct net_vtable fake_table = {
    .consume = fake_consume, .tag = fake_tag, .send = fake_send, .close = fake_close};

static void turn(const struct net_event *events, size_t count)
{
    gateway_turn(&gateway, (struct clock_reading){1000000, 1000000});
    for (size_t i = 0; i < count; i++)
        gateway_on_net(&gateway, &events[i]);
    gateway_flush(&gateway);
}

/* What a real port does in one wait: the event that all is sent, then what was read, which is put
 * behind what is not consumed yet, at the front of the buffer. */
static void wait_and_turn(bool read_by_client, struct slice *rest, size_t bytes)
{
    struct net_event events[2];
    size_t count = 0;
    if (fake.sending && read_by_client) {
        assert_true(fake.heard_bytes + fake.flying.bytes <= HEARD_BYTES);
        memcpy(fake.heard + fake.heard_bytes, fake.flying.at, fake.flying.bytes);
        fake.heard_bytes += fake.flying.bytes;
        fake.sending = false;
        events[count++] = (struct net_event){.kind = NET_SENT, .tag = fake.tag};
    }
    bytes = bytes < rest->bytes ? bytes : rest->bytes;
    bytes = bytes < IN_BYTES - fake.in_bytes ? bytes : IN_BYTES - fake.in_bytes;
    if (bytes > 0) {
        memmove(fake.in, fake.in + fake.in_at, fake.in_bytes);
        memcpy(fake.in + fake.in_bytes, rest->at, bytes);
        fake.in_at = 0;
        fake.in_bytes += bytes;
        *rest = slice_sub(*rest, bytes, rest->bytes);
        events[count++] = (struct net_event){
            .kind = NET_RECEIVED, .tag = fake.tag, .bytes = fake.in, .bytes_count = fake.in_bytes};
    }
    turn(events, count);
}

static struct slice pings(void)
{
    static uint8_t said[PINGS * PING_BYTES];
    for (uint32_t i = 0; i < PINGS; i++) {
        uint8_t *at = said + i * PING_BYTES;
        memset(at, 0, PING_BYTES);
        at[0] = 0x89;
        at[1] = 0x80 | 125;
        memcpy(at + 2, "\x11\x22\x33\x44", 4);
        memcpy(at + 6, &i, sizeof i);
        for (size_t b = 0; b < 125; b++)
            at[6 + b] ^= at[2 + b % 4];
    }
    return SLICE_OF(said);
}

static void expect_pongs(void)
{
    const uint8_t *at = memmem(fake.heard, fake.heard_bytes, "\r\n\r\n", 4);
    assert_non_null(at);
    at += 4;
    assert_int_equal(at[0], 0x82); /* the welcome */
    at += 2 + at[1];
    for (uint32_t i = 0; i < PINGS; i++, at += 2 + 125) {
        uint32_t number;
        assert_true(at + 2 + 125 <= fake.heard + fake.heard_bytes);
        memcpy(&number, at + 2, sizeof number);
        if (at[0] != 0x8a || number != i)
            fail_msg("answer %u: opcode %x, number %u", i, at[0], number);
    }
    assert_true(at == fake.heard + fake.heard_bytes);
}

static void what_comes_while_output_goes_is_taken_once(void **state)
{
    static const char head[] =
        "GET /v1/ws/new HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: parley.v1\r\n\r\n";
    static const struct limit limits[RATE_CLASSES];
    struct gateway_ports ports = {.net = &fake.net, .entropy = system_entropy()};
    struct gateway_options options = {
        .connections_max = 16, .operations_max = 16, .limits = limits, .write_stall_ms = 30000};
    struct session_config config;
    struct slice rest = slice_make(head, sizeof head - 1);
    struct net_event accepted = {.kind = NET_ACCEPTED, .conn = {1, 1}};
    (void)state;
    fake.net.vtable = &fake_table;
    session_config_init(&config);
    assert_int_equal(gateway_open(&gateway, &ports, &options, &config), STATUS_OK);
    turn(&accepted, 1);
    wait_and_turn(false, &rest, rest.bytes);
    rest = pings();
    /* It says a little in each turn, and reads once it is not heard any more. */
    unsigned held_back = 0;
    for (unsigned i = 0; i < 200000 && (rest.bytes > 0 || fake.sending); i++) {
        held_back += fake.in_bytes > 2000;
        wait_and_turn(rest.bytes == 0 || fake.in_bytes > 2000, &rest, 700);
    }
    assert_true(held_back > 10); /* or this test shows nothing */
    assert_false(fake.closed);
    expect_pongs();
    gateway_close(&gateway);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_while_output_goes_is_taken_once),
    };
    return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
