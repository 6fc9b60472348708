/* SPDX-License-Identifier: Apache-2.0
 * What the drivers of other servers read and write: packets of MQTT, stanzas of XMPP, and a
 * sign-in of each, spoken by a server made of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "apps/parley-bench/mqtt.h"
#include "apps/parley-bench/peer.h"
#include "apps/parley-bench/xmpp.h"
#include "base/memory.h"

static void packets_are_read_as_written(void **state)
{
    (void)state;
    uint8_t space[1024], body[300];
    struct buf out = buf_over(space, sizeof space);
    struct mqtt_packet packet;
    memset(body, 'x', sizeof body);
    mqtt_write_publish(&out, 7, SLICE_LITERAL("to"), SLICE_OF(body));
    mqtt_write_puback(&out, 65535);
    assert_int_equal(out.bytes, 1 + 2 + 2 + 2 + 2 + 300 + 4);
    for (size_t some = 0; some < out.bytes - 4; some++) {
        struct slice part = slice_make(space, some);
        assert_int_equal(mqtt_read(&part, &packet), STATUS_AGAIN);
        assert_int_equal(part.bytes, some);
    }
    struct slice in = buf_slice(&out);
    assert_int_equal(mqtt_read(&in, &packet), STATUS_OK);
    assert_int_equal(packet.kind, MQTT_PUBLISH);
    assert_int_equal(packet.id, 7);
    assert_true(slice_equal(packet.topic, SLICE_LITERAL("to")));
    assert_true(slice_equal(packet.payload, SLICE_OF(body)));
    assert_int_equal(mqtt_read(&in, &packet), STATUS_OK);
    assert_int_equal(packet.kind, MQTT_PUBACK);
    assert_int_equal(packet.id, 65535);
    assert_int_equal(in.bytes, 0);
    struct slice endless = SLICE_LITERAL("\x30\xff\xff\xff\xff\x01");
    assert_int_equal(mqtt_read(&endless, &packet), STATUS_CORRUPT);
    struct slice lying = SLICE_LITERAL("\x32\x04\x00\x09zz"); /* a topic longer than the packet */
    assert_int_equal(mqtt_read(&lying, &packet), STATUS_CORRUPT);
}

static void the_first_packet_is_as_specified(void **state)
{
    (void)state;
    uint8_t space[64];
    struct buf out = buf_over(space, sizeof space);
    mqtt_write_connect(&out, SLICE_LITERAL("me"), true);
    mqtt_write_subscribe(&out, 1, SLICE_LITERAL("me"));
    assert_true(slice_equal(buf_slice(&out), SLICE_LITERAL("\x10\x0e\x00\x04MQTT\x04\x00\x00\x00"
                                                           "\x00\x02me\x82\x07\x00\x01\x00\x02me"
                                                           "\x01")));
}

static void stanzas_end_where_they_end(void **state)
{
    (void)state;
    static const char stream[] =
        "<?xml version='1.0'?><stream:stream id='1' to=\"a>b\">"
        "<message to='a' id='12'><body>x<b/>y</body><message/></message>\n<r xmlns='urn:sm'/>"
        "</stream:stream>";
    static const char *const names[] = {"stream:stream", "message", "r", "/stream:stream"};
    struct slice in = SLICE_LITERAL(stream), text;
    struct xmpp_stanza stanza;
    uint64_t number;
    for (size_t i = 0; i < 4; i++) {
        struct slice before = in;
        assert_int_equal(xmpp_next(&in, &stanza), STATUS_OK);
        assert_true(xmpp_is(&stanza, names[i]));
        for (size_t some = 0; some < (size_t)(in.at - before.at); some++) {
            struct slice part = slice_make(before.at, some);
            struct xmpp_stanza none;
            assert_int_equal(xmpp_next(&part, &none), STATUS_AGAIN);
        }
        if (i == 1) {
            assert_int_equal(stanza.all.bytes, 63);
            assert_true(xmpp_number(&stanza, "id", &number) && number == 12);
            assert_false(xmpp_number(&stanza, "to", &number));
            assert_true(xmpp_attribute(&stanza, "to", &text));
            assert_true(slice_equal(text, SLICE_LITERAL("a")));
            assert_false(xmpp_attribute(&stanza, "d", &text));
        }
    }
    assert_int_equal(in.bytes, 0);
    struct slice loose = SLICE_LITERAL("words");
    assert_int_equal(xmpp_next(&loose, &stanza), STATUS_CORRUPT);
}

/* What the driver makes of what the server says; what it answers is in peer.out. */
static struct said hear(const struct driver *driver, struct run *run, struct peer *peer,
                        struct slice words)
{
    struct said said = {.kind = SAID_NOTHING};
    bytes_drop(&peer->out, peer->out.bytes);
    if (words.bytes > 0) {
        memcpy(bytes_room(&peer->in, words.bytes), words.at, words.bytes);
        peer->in.bytes += words.bytes;
    }
    driver->next(run, peer, &said);
    bytes_drop(&peer->in, peer->consumed);
    peer->consumed = 0;
    return said;
}

static bool answered(const struct peer *peer, const char *text)
{
    return memmem(peer->out.at, peer->out.bytes, text, strlen(text)) != NULL;
}

#define HEAR(driver, words) hear(&driver, &run, &peer, SLICE_LITERAL(words))

static void a_broker_is_signed_in_to(void **state)
{
    (void)state;
    struct run run = {.id = 1, .acknowledges = true};
    struct peer peer = {.number = 2};
    peer.other = &peer;
    driver_mqtt.begin(&run, &peer);
    assert_true(peer.out.bytes > 14);
    assert_int_equal(HEAR(driver_mqtt, "\x20\x02\x00\x00").kind, SAID_NOTHING);
    assert_int_equal(peer.out.at[0], MQTT_SUBSCRIBE << 4 | 2);
    assert_int_equal(HEAR(driver_mqtt, "\x90\x03\xff\xff\x01").kind, SAID_READY);
    assert_int_equal(HEAR(driver_mqtt, "\x20\x02\x01\x00").kind, SAID_READY); /* kept */
    struct said said = HEAR(driver_mqtt, "\x32\x07\x00\x01t\x00\x05hi");
    assert_int_equal(said.kind, SAID_BYTES);
    assert_int_equal(said.bytes.bytes, 2);
    assert_int_equal(peer.out.at[0], MQTT_PUBACK << 4);
    assert_int_equal(HEAR(driver_mqtt, "\x40\x02\x00\x01").kind, SAID_ACKED);
    assert_int_equal(HEAR(driver_mqtt, "\x40\x02\x00\x02").kind, SAID_REFUSED); /* out of order */
    assert_int_equal(HEAR(driver_mqtt, "\x20\x02\x00\x05").kind, SAID_REFUSED);
    memory_free(peer.in.at);
    memory_free(peer.out.at);
    assert_int_equal(memory_live(), 0);
}

#define FEATURES "<stream:features><mechanisms/></stream:features>"

static void a_stream_is_resumed(void **state)
{
    (void)state;
    struct run run = {.id = 1, .acknowledges = true};
    struct peer peer = {.number = 2};
    peer.other = &peer;
    driver_xmpp.begin(&run, &peer);
    (void)HEAR(driver_xmpp, "<stream:stream>" FEATURES);
    assert_true(answered(&peer, "jabber:iq:register"));
    (void)HEAR(driver_xmpp, "<iq type='result' id='reg'/>");
    assert_true(answered(&peer, "mechanism='PLAIN'>AGIwMDAwMDAwMTAwMDAwMgBtZWFzdXJlZA==<"));
    (void)HEAR(driver_xmpp, "<success/>");
    (void)HEAR(driver_xmpp, "<stream:stream>" FEATURES);
    (void)HEAR(driver_xmpp, "<iq type='result' id='bind'/>");
    assert_true(answered(&peer, "<enable"));
    (void)HEAR(driver_xmpp, "<enabled id='s1' resume='true'/>");
    assert_int_equal(HEAR(driver_xmpp, "<presence/>").kind, SAID_READY);
    peer.sent = 5;
    assert_int_equal(HEAR(driver_xmpp, "<message><body>x</body></message>").kind, SAID_BYTES);
    assert_int_equal(HEAR(driver_xmpp, "<a h='3'/>").kind, SAID_ACKED); /* presence and two */
    assert_int_equal(HEAR(driver_xmpp, "").kind, SAID_ACKED);
    peer.acked = 2;
    assert_int_equal(HEAR(driver_xmpp, "<r/>").kind, SAID_NOTHING);
    assert_true(answered(&peer, "h='2'"));
    driver_xmpp.begin(&run, &peer);
    (void)HEAR(driver_xmpp, "<stream:stream>" FEATURES);
    assert_true(answered(&peer, "<auth"));
    (void)HEAR(driver_xmpp, "<success/><stream:stream>" FEATURES);
    assert_true(answered(&peer, "<resume xmlns='urn:xmpp:sm:3' h='2' previd='s1'/>"));
    struct said said = HEAR(driver_xmpp, "<resumed h='5' previd='s1'/>");
    assert_int_equal(said.kind, SAID_TAKEN);
    assert_int_equal(said.rows, 4);
    assert_int_equal(HEAR(driver_xmpp, "").kind, SAID_READY);
    said = HEAR(driver_xmpp, "<stream:error><conflict/></stream:error>");
    assert_int_equal(said.kind, SAID_REFUSED);
    assert_non_null(strstr(said.reason, "conflict"));
    memory_free(peer.in.at);
    memory_free(peer.out.at);
    assert_int_equal(memory_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_are_read_as_written),
        cmocka_unit_test(the_first_packet_is_as_specified),
        cmocka_unit_test(stanzas_end_where_they_end),
        cmocka_unit_test(a_broker_is_signed_in_to),
        cmocka_unit_test(a_stream_is_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
