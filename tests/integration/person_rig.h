/* SPDX-License-Identifier: Apache-2.0
 * person_rig.h: a client's mind with a host around it as dumb as can be: rows in memory, a real
 * socket to a server on this machine. One transaction, then frames, then notices (client.h). */
#pragma once

#include "adapters/epoll/epoll.h"
#include "adapters/memory/memory_cstore.h"
#include "client/client.h"
#include "sim/observer.h"
#include "wire/ws.h"

#define PERSON_SHOWN_MAX 2048u
#define PERSON_OUT_BYTES (1u << 20)

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

struct person_options {
    struct epoll *sockets;   /* shared by all people of a test */
    uint64_t tag;            /* ≥ 1, unique among them */
    uint64_t clock_rate;     /* its clock runs so many times as fast: back-off gets shorter */
    struct history *history; /* NULL: nothing is written */
};

struct person {
    struct person_options options;
    uint16_t port; /* where its server listens, when it next connects */
    struct client client;
    struct memory_cstore rows;
    struct observer observer;
    uint64_t wake_ms;

    net_conn conn;
    bool connected, upgraded, connecting, sending;
    struct ws ws;
    uint8_t out[PERSON_OUT_BYTES], flying[PERSON_OUT_BYTES], message[PERSON_OUT_BYTES];
    size_t out_bytes, message_bytes;
    bool dies; /* at the next step, between its transaction and its frames */

    /* what a person would have seen; the first so many */
    struct person_shown shown[PERSON_SHOWN_MAX];
    size_t shown_count;
    struct person_tick ticks[PERSON_SHOWN_MAX];
    size_t ticks_count;
    enum pb_client_state state;
    struct pb_notice_result result; /* the newest; its slices until the next */
    uint8_t result_mid[ID_BYTES];
    bool wiped;
};

void person_open(struct person *person, const struct person_options *options);
void person_close(struct person *person);
/* As kill -9 and a start leave it: only rows remain. */
void person_restart(struct person *person);

void person_command(struct person *person, struct pb_event_command *command);
void person_register(struct person *person, const char *username);
void person_send(struct person *person, const char *username, const char *text);

/* One turn of the sockets and of the people's timers. */
void people_turn(struct person *const people[], size_t count);

/* The tick of the own message with this mid; TICK_CLOCK: none yet. */
enum pb_tick person_tick(const struct person *person, struct slice mid);
