/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/mqtt.h"

static enum status length_read(struct slice *in, size_t *out)
{
    uint8_t byte = 0x80;
    *out = 0;
    for (unsigned shift = 0; byte & 0x80; shift += 7) {
        if (shift > 21)
            return STATUS_CORRUPT;
        if (!take_u8(in, &byte))
            return STATUS_AGAIN;
        *out |= (size_t)(byte & 0x7f) << shift;
    }
    return STATUS_OK;
}

static bool publish_read(struct slice *body, unsigned flags, struct mqtt_packet *out)
{
    uint16_t topic_bytes;
    bool counted = (flags >> 1 & 3) > 0; /* QoS 1 or 2: there is an id */
    if (!take_u16be(body, &topic_bytes) || !take_bytes(body, topic_bytes, &out->topic) ||
        (counted && !take_u16be(body, &out->id)))
        return false;
    out->payload = *body;
    return true;
}

static bool body_read(struct slice *body, unsigned flags, struct mqtt_packet *out)
{
    uint8_t present;
    switch (out->kind) {
    case MQTT_CONNACK:
        if (!take_u8(body, &present) || !take_u8(body, &out->code))
            return false;
        out->present = present & 1;
        return true;
    case MQTT_PUBLISH: return publish_read(body, flags, out);
    case MQTT_PUBACK: return take_u16be(body, &out->id);
    case MQTT_SUBACK: return take_u16be(body, &out->id) && take_u8(body, &out->code);
    default: return true;
    }
}

enum status mqtt_read(struct slice *in, struct mqtt_packet *out)
{
    struct slice rest = *in, body;
    uint8_t first;
    size_t bytes;
    *out = (struct mqtt_packet){0};
    if (!take_u8(&rest, &first))
        return STATUS_AGAIN;
    enum status status = length_read(&rest, &bytes);
    if (status != STATUS_OK)
        return status;
    if (!take_bytes(&rest, bytes, &body))
        return STATUS_AGAIN;
    out->kind = first >> 4;
    if (!body_read(&body, first & 15u, out))
        return STATUS_CORRUPT;
    *in = rest;
    return STATUS_OK;
}

static void head(struct buf *out, unsigned kind, unsigned flags, size_t bytes)
{
    buf_u8(out, (uint8_t)(kind << 4 | flags));
    do {
        buf_u8(out, (uint8_t)((bytes & 0x7f) | (bytes > 0x7f ? 0x80 : 0)));
        bytes >>= 7;
    } while (bytes > 0);
}

static void text(struct buf *out, struct slice bytes)
{
    buf_u16be(out, (uint16_t)bytes.bytes);
    buf_put(out, bytes);
}

void mqtt_write_connect(struct buf *out, struct slice client, bool kept)
{
    head(out, MQTT_CONNECT, 0, 12 + client.bytes);
    text(out, SLICE_LITERAL("MQTT"));
    buf_u8(out, 4);            /* 3.1.1 */
    buf_u8(out, kept ? 0 : 2); /* clean session or not, no will, no user */
    buf_u16be(out, 0);         /* no keep-alive */
    text(out, client);
}

void mqtt_write_subscribe(struct buf *out, uint16_t id, struct slice topic)
{
    head(out, MQTT_SUBSCRIBE, 2, 5 + topic.bytes);
    buf_u16be(out, id);
    text(out, topic);
    buf_u8(out, 1); /* QoS */
}

void mqtt_write_publish(struct buf *out, uint16_t id, struct slice topic, struct slice payload)
{
    head(out, MQTT_PUBLISH, 2, 4 + topic.bytes + payload.bytes);
    text(out, topic);
    buf_u16be(out, id);
    buf_put(out, payload);
}

void mqtt_write_puback(struct buf *out, uint16_t id)
{
    head(out, MQTT_PUBACK, 0, 2);
    buf_u16be(out, id);
}
