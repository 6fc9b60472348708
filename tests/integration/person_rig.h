/* SPDX-License-Identifier: Apache-2.0
 * person_rig.h: a client's mind with a host around it that is as dumb as can be: rows in memory, a
 * real socket to a node_rig. One transaction, then frames, then notices (client.h). */
#pragma once

#include "client/client.h"
#include "node_rig.h"
#include "wire/ws.h"

#define PERSON_ROWS_MAX  4096u
#define PERSON_SHOWN_MAX 2048u
#define PERSON_OUT_BYTES (1u << 20)

struct person_row {
    uint32_t table;
    struct slice key, value;
};

struct person_shown {
    uint8_t mid[ID_BYTES], chat[ID_BYTES];
    uint64_t cseq;
    bool own;
    char text[32];
};

struct person_tick {
    uint8_t mid[ID_BYTES];
    enum pb_tick tick;
};

struct person {
    struct node *node;
    struct client client;
    struct arena memory; /* rows; given back with the person */
    struct person_row rows[PERSON_ROWS_MAX];
    size_t rows_count;
    uint64_t tag, wake_ms;

    net_conn conn;
    bool connected, upgraded, connecting, sending;
    struct ws ws;
    uint8_t out[PERSON_OUT_BYTES], flying[PERSON_OUT_BYTES], message[PERSON_OUT_BYTES];
    size_t out_bytes, message_bytes;
    bool deaf; /* reads nothing from its socket */

    /* what a person would have seen */
    struct person_shown shown[PERSON_SHOWN_MAX];
    size_t shown_count;
    struct person_tick ticks[PERSON_SHOWN_MAX];
    size_t ticks_count;
    enum pb_client_state state;
    struct pb_notice_result result; /* the newest; its slices are copied */
    bool wiped;
};

/* tag ≥ 1, unique among the people of a node. */
void person_open(struct person *person, struct node *node, uint64_t tag);
void person_close(struct person *person);
/* As kill -9 and a start leave it: only rows remain. */
void person_restart(struct person *person);

void person_command(struct person *person, struct pb_event_command *command);
void person_send(struct person *person, const char *username, const char *text);

/* One turn of the node, the sockets and the people's timers. */
void people_turn(struct person *const people[], size_t count);

/* The tick of the own message with this mid; TICK_CLOCK: none yet. */
enum pb_tick person_tick(const struct person *person, struct slice mid);
