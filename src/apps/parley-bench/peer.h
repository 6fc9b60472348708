/* SPDX-License-Identifier: Apache-2.0
 * peer.h: one connection of the load client, and the table of what a protocol does with it.
 * A driver is pure: bytes come in `in`, answers go to `out`; load.c moves them. Messages of one
 * peer are acknowledged in the order in which they were sent.
 * Invariants: acked, delivered ≤ sent; sent − min(acked, delivered) ≤ PEER_FLIGHT_MAX.
 * Owner: one thread. Memory: buffers grow as needed and are given back when empty. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "apps/parley-bench/mark.h"
#include "apps/parley-bench/tally.h"
#include "base/arena.h"
#include "base/id.h"
#include "wire/ws.h"

#define PEER_FLIGHT_MAX 120u /* below SESSION_IN_FLIGHT_MAX: the client keeps inside the rules */

struct bytes {
    uint8_t *at;
    size_t bytes, capacity;
};

enum peer_stage { PEER_FREE, PEER_SIGNING_IN, PEER_READY, PEER_PAIRED, PEER_BROKEN };

/* An account of Parley with its one device. */
struct account {
    uint8_t user[ID_BYTES], device[ID_BYTES], aik[32];
    uint8_t device_secret[64];
    uint64_t conn, useq, acked_useq;
    uint32_t log_epoch;
    bool enrolled;
};

/* Where a stream of XMPP stands, in the order of a sign-in. */
enum xmpp_step {
    XMPP_STREAM,
    XMPP_SIGN_UP,
    XMPP_AUTH,
    XMPP_STREAM_AGAIN,
    XMPP_BIND,
    XMPP_ENABLE,
    XMPP_RESUME,
    XMPP_RESUMED,
    XMPP_PRESENCE,
    XMPP_LIVE,
};

struct xmpp {
    enum xmpp_step step;
    char resume[96];      /* name of the session; empty: none */
    uint64_t base;        /* messages acknowledged before the session */
    uint32_t heard, acks; /* stanzas of the session that came; acknowledgements still to be told */
};

struct peer {
    int fd;
    enum peer_stage stage;
    bool touched, writing; /* in the turn's list; the socket was full */
    uint32_t number;
    struct peer *other; /* who gets its messages; itself: an echo */
    struct bytes in, out;
    size_t consumed; /* of `in`, by the last event */
    struct ws ws;
    bool upgraded;
    uint32_t req;
    struct account account;
    struct xmpp xmpp;
    uint8_t chat[ID_BYTES], nonce[32]; /* chat: zero until it is paired, whatever the protocol */
    struct mark_scanner scanner;
    /* as a sender */
    uint64_t due, sent, acked, delivered; /* due: open loop, meant to be sent by now */
    uint64_t flight_us[PEER_FLIGHT_MAX];  /* intended times, by number modulo */
    struct tally tally;                   /* of its messages, as its other saw them */
    uint64_t begun_us;                    /* when the connection was asked for */
};

/* The same for all peers of a run. */
struct run {
    uint32_t id;
    uint64_t body_bytes;
    bool forgets;      /* nothing of a session is to outlive its connection */
    bool acknowledges; /* the server says what it has taken; else a delivery says it */
    char host[80], server_name[256]; /* of the address; as WELCOME says */
    struct arena arena;
    uint64_t masks; /* state of the generator of WebSocket masks */
};

enum said_kind {
    SAID_NOTHING, /* nothing more without more bytes */
    SAID_READY,   /* signed in */
    SAID_PAIRED,  /* messages to `other` may go */
    SAID_TAKEN,   /* before READY: so many messages (rows) are acknowledged, all in all */
    SAID_ACKED,   /* the oldest unacknowledged message is durable */
    SAID_PAGE,    /* of history; rows */
    SAID_BYTES,   /* scan these for marks */
    SAID_REFUSED, /* reason */
};

struct said {
    enum said_kind kind;
    struct slice bytes;
    uint64_t rows;
    char reason[96];
};

struct driver {
    const char *name;
    bool pairs;                 /* messages go to another peer */
    bool delivery_acknowledges; /* there is no acknowledgement but that it came */
    /* The connection stands: first bytes. */
    void (*begin)(struct run *run, struct peer *peer);
    /* Both are ready: make what they need to talk. True: nothing; they are paired. */
    bool (*pair)(struct run *run, struct peer *peer);
    /* The next event of what came. */
    void (*next)(struct run *run, struct peer *peer, struct said *said);
    /* One message into `out`; body: body_bytes, with its mark. */
    void (*send)(struct run *run, struct peer *peer, struct slice body);
    /* The end of a turn: acknowledge what was taken. */
    void (*finish)(struct run *run, struct peer *peer);
};

extern const struct driver driver_echo, driver_parley, driver_mqtt, driver_xmpp, driver_xmpp_plain;

/* By name; NULL: said on standard error, which there are. No name: parley. */
const struct driver *driver_named(const char *name);

/* Ask for the newest n rows below `before` (0: of all) of the peer's chat: SAID_PAGE answers. */
void parley_page(struct run *run, struct peer *peer, uint64_t before, uint32_t n);

/* Room for `more` bytes at the end; NULL: no memory. */
uint8_t *bytes_room(struct bytes *bytes, size_t more);
void bytes_drop(struct bytes *bytes, size_t count); /* from the front; empty: given back */
