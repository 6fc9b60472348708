/* SPDX-License-Identifier: Apache-2.0
 * mqtt.h: the few packets of MQTT 3.1.1 that the load client needs to measure a broker: CONNECT,
 * SUBSCRIBE, PUBLISH and PUBACK at QoS 1. Pure; slices point into what was read.
 * Source: OASIS MQTT 3.1.1, sections 2 and 3. */
#pragma once

#include "base/buf.h"
#include "base/status.h"

#define MQTT_HEADER_BYTES_MAX 5u /* kind, and up to four bytes of length */

enum mqtt_kind {
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK = 9,
};

struct mqtt_packet {
    unsigned kind; /* a mqtt_kind, or one that nobody asked for */
    uint16_t id;   /* of PUBLISH, PUBACK, SUBACK */
    bool present;  /* CONNACK: the broker has kept the session */
    uint8_t code;  /* CONNACK, SUBACK: what it says; 0 or, of SUBACK, below 128: yes */
    struct slice topic, payload; /* of PUBLISH */
};

/* The next packet: OK, AGAIN (not whole yet), CORRUPT. */
MUST_USE enum status mqtt_read(struct slice *in, struct mqtt_packet *out);

/* kept: the session outlives the connection, and what comes meanwhile is kept. No keep-alive. */
void mqtt_write_connect(struct buf *out, struct slice client, bool kept);
void mqtt_write_subscribe(struct buf *out, uint16_t id, struct slice topic);
void mqtt_write_publish(struct buf *out, uint16_t id, struct slice topic, struct slice payload);
void mqtt_write_puback(struct buf *out, uint16_t id);
