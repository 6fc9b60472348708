/* SPDX-License-Identifier: Apache-2.0
 * MQTT 3.1.1 at QoS 1: CONNECT → CONNACK → SUBSCRIBE to the own topic, unless the broker kept the
 * session → SUBACK. A message is PUBLISH to the other's topic, acknowledged by PUBACK in order;
 * what comes is acknowledged at once. What was not acknowledged is published again under its id
 * after a new connection. */
#include <stdio.h>

#include "apps/parley-bench/identity.h"
#include "apps/parley-bench/mqtt.h"
#include "apps/parley-bench/peer.h"

#define PACKET_BYTES_MAX 8192u
#define TOPIC_ID         65535u /* of SUBSCRIBE; messages use 1 … 65534 */

static uint16_t id_of(uint64_t message)
{
    return (uint16_t)(1 + message % (TOPIC_ID - 1));
}

static void mqtt_begin(struct run *run, struct peer *peer)
{
    char name[IDENTITY_NAME_BYTES];
    uint8_t *at = bytes_room(&peer->out, PACKET_BYTES_MAX);
    if (at == NULL)
        return; /* it is never answered, and so told */
    struct buf out = buf_over(at, PACKET_BYTES_MAX);
    identity_name(run, peer, name);
    mqtt_write_connect(&out, slice_text(name), !run->forgets);
    peer->out.bytes += out.bytes;
}

static void subscribe(struct run *run, struct peer *peer)
{
    char name[IDENTITY_NAME_BYTES];
    uint8_t *at = bytes_room(&peer->out, PACKET_BYTES_MAX);
    if (at == NULL)
        return;
    struct buf out = buf_over(at, PACKET_BYTES_MAX);
    identity_name(run, peer, name);
    mqtt_write_subscribe(&out, TOPIC_ID, slice_text(name));
    peer->out.bytes += out.bytes;
}

static void acknowledge(struct peer *peer, uint16_t id)
{
    uint8_t *at = bytes_room(&peer->out, MQTT_HEADER_BYTES_MAX + 2);
    if (at == NULL)
        return;
    struct buf out = buf_over(at, MQTT_HEADER_BYTES_MAX + 2);
    mqtt_write_puback(&out, id);
    peer->out.bytes += out.bytes;
}

static void refused(struct said *said, const char *what, unsigned code)
{
    said->kind = SAID_REFUSED;
    (void)snprintf(said->reason, sizeof said->reason, "%s (%u)", what, code);
}

static bool mqtt_pair(struct run *run, struct peer *peer)
{
    (void)run;
    peer->chat[0] = peer->other->chat[0] = 1; /* the next sign-in is enough */
    return true;
}

static void on_packet(struct run *run, struct peer *peer, const struct mqtt_packet *packet,
                      struct said *said)
{
    switch (packet->kind) {
    case MQTT_CONNACK:
        if (packet->code != 0)
            refused(said, "no connection", packet->code);
        else if (packet->present)
            said->kind = SAID_READY;
        else
            subscribe(run, peer);
        return;
    case MQTT_SUBACK:
        if (packet->code > 2)
            refused(said, "no subscription", packet->code);
        else
            said->kind = SAID_READY;
        return;
    case MQTT_PUBACK:
        if (packet->id != id_of(peer->acked))
            refused(said, "acknowledged out of order", packet->id);
        else
            said->kind = SAID_ACKED;
        return;
    case MQTT_PUBLISH:
        acknowledge(peer, packet->id);
        said->kind = SAID_BYTES;
        said->bytes = packet->payload;
        return;
    default: refused(said, "a packet nobody asked for", packet->kind);
    }
}

static void mqtt_next(struct run *run, struct peer *peer, struct said *said)
{
    while (said->kind == SAID_NOTHING) {
        struct slice in = slice_make(peer->in.at + peer->consumed, peer->in.bytes - peer->consumed);
        struct mqtt_packet packet;
        enum status status = in.bytes == 0 ? STATUS_AGAIN : mqtt_read(&in, &packet);
        if (status == STATUS_AGAIN)
            return;
        if (status != STATUS_OK) {
            refused(said, "a packet that cannot be read", 0);
            return;
        }
        peer->consumed = peer->in.bytes - in.bytes;
        on_packet(run, peer, &packet, said);
    }
}

static void mqtt_send(struct run *run, struct peer *peer, struct slice body)
{
    char topic[IDENTITY_NAME_BYTES];
    uint8_t *at = bytes_room(&peer->out, PACKET_BYTES_MAX);
    if (at == NULL)
        return;
    struct buf out = buf_over(at, PACKET_BYTES_MAX);
    identity_name(run, peer->other, topic);
    mqtt_write_publish(&out, id_of(peer->sent), slice_text(topic), body);
    peer->out.bytes += out.bytes;
}

static void mqtt_finish(struct run *run, struct peer *peer)
{
    (void)run;
    (void)peer;
}

const struct driver driver_mqtt = {.name = "mqtt",
                                   .pairs = true,
                                   .begin = mqtt_begin,
                                   .pair = mqtt_pair,
                                   .next = mqtt_next,
                                   .send = mqtt_send,
                                   .finish = mqtt_finish};
