/* SPDX-License-Identifier: Apache-2.0
 * gateway_conn.h: what gateway.c (connections), gateway_tls.c (TLS below them) and gateway_run.c
 * (effects) share. Nobody else's. */
#pragma once

#include "runtime/gateway.h"

enum conn_phase {
    CONN_HTTP, /* a request head is awaited */
    CONN_WEBSOCKET,
    CONN_LINGER, /* the last bytes leave, then it is closed */
};

/* What a connection under TLS has beside. Bounds: `sealed` by a portion of output and
 * GATEWAY_TLS_BACKLOG. */
struct gateway_tls {
    struct tls_session *session;
    struct output sealed; /* what the socket gets */
    uint8_t *wire;        /* unconsumed, in the net port's buffer */
    size_t wire_bytes;
    bool waits; /* in the queue of handshakes */
    bool stuck; /* the peer does not take our answers: it is not heard until it does */
    bool told;  /* that nothing more comes */
};

struct gateway_conn {
    net_conn net;
    enum conn_phase phase;
    struct gateway_tls *tls; /* NULL: plain */
    struct ws ws;
    struct session session;
    struct output output;
    uint8_t *in; /* unconsumed bytes, in the net port's buffer, or plain ones while they are fed */
    size_t in_bytes;
    uint8_t *kept; /* before them: a copy of what is no whole head or frame yet (gateway_input.c) */
    uint32_t kept_bytes; /* at most GATEWAY_RECEIVE_BYTES */
    bool copied;         /* `in` is a copy: the net port need not be told that it is consumed */
    uint8_t *message;    /* of a message that comes in pieces */
    uint32_t message_bytes, message_capacity;
    bool dirty, held_back, closed; /* held_back: too much output, input waits */
    bool resumes;                  /* output went: what was held back is heard at the turn's end */
    bool above; /* output went above SESSION_OUTPUT_BYTES_MAX and has not fallen to half of it */
    uint64_t session_due_ms, http_due_ms, stall_due_ms; /* monotonic; 0: none */
    uint64_t timer_ms;
    struct slab_handle timer;
    uint8_t peer[ID_BYTES];
    bool header_awaited; /* of the PROXY protocol, before anything else */
    bool counted;        /* among the connections of its address */
};

enum operation_kind { OPERATION_APPEND, OPERATION_READ, OPERATION_PASSWORD };

struct gateway_operation {
    enum operation_kind kind;
    struct slab_handle conn;
    struct ticket ticket;
    uint64_t begun_us; /* APPEND: monotonic */
    uint8_t *held;
    uint32_t held_bytes;
    uint32_t left; /* READ: requests in flight */
    enum status status;
    uint32_t log_epoch, partition;
    uint64_t offset;
    bool match;
    char hash[PASSWORD_HASH_BYTES];
    struct arena arena; /* READ: requests, keys, rows */
    struct store_request *requests;
    uint32_t requests_count;
};

/* Step the connection's session and execute what it wants. `event` needs kind and its own fields
 * only. */
void conn_step(struct gateway *gateway, struct slab_handle handle, struct event *event);

/* Look at the connection once more before the turn ends. */
void conn_touch(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);

/* Send what waits, then close. */
void conn_linger(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);

/* Feed what lies in `in`, as far as the session's output lets it. */
void conn_feed(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);

void conn_arm(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);

/* ---- what is counted and said (gateway_said.c) ---- */

void conn_tally(struct gateway *gateway, const struct gateway_conn *conn,
                const struct tally *tally);
void conn_said_input(struct gateway *gateway, const struct gateway_conn *conn, const char *what,
                     uint32_t code);
void conn_said_limit(struct gateway *gateway, const struct gateway_conn *conn,
                     enum rate_class class, uint32_t wait_ms);
void conn_said_rollback(struct gateway *gateway, const struct gateway_conn *conn);

/* Count a frame against its limits: 0, or the ms to wait (then it was one too many). */
uint32_t conn_rate(struct gateway *gateway, struct gateway_conn *conn, struct slice frame);
/* EFFECT_RATE_BACK: what the frame took by what it named is given back. */
void conn_rate_back(struct gateway *gateway, const struct gateway_conn *conn,
                    const struct effect *effect);

/* Execute the effects of one step, in their order. */
void effects_run(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                 const struct effects *effects);

/* Of a session whose connection is gone: only what it tells the owner of its inbox. */
void effects_run_last(struct gateway *gateway, const struct effects *effects);

/* Tell the session, if it is still there, and free the operation. */
void operation_deliver(struct gateway *gateway, struct slab_handle handle);
void operation_free(struct gateway *gateway, struct slab_handle handle);

/* ---- what is not whole (gateway_input.c) ---- */

/* conn->in is what the net port has of this plain connection: feed it, behind what is kept. */
void input_feed(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);
void input_take(struct gateway_conn *conn, struct buf *out); /* what is kept; then nothing is */
void input_keep(struct gateway_conn *conn);                  /* keep what is left in conn->in */
/* Hear what was held back, at the turn's end: until then the same turn may bring more of it, whose
 * event knows where it all lies now. */
void input_resume(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);

/* ---- who is there (gateway_peer.c) ---- */

#define PEER_KEY_BYTES 8

/* A connection from conn->peer: may it stand? */
MUST_USE bool peer_accepted(struct gateway *gateway, struct gateway_conn *conn);
/* Take the header of the PROXY protocol off the front of what came; true: there is more. */
MUST_USE bool peer_header(struct gateway *gateway, struct slab_handle handle,
                          struct gateway_conn *conn, struct net_event *event);
/* The first head: a proxy may name somebody else in it. 0, or the status that refuses it. */
MUST_USE uint16_t peer_requests(struct gateway *gateway, struct gateway_conn *conn,
                                const struct http1_head *head);
void peer_drop(struct gateway *gateway, struct gateway_conn *conn);

/* ---- TLS (gateway_tls.c) ---- */

MUST_USE enum status tls_open(struct gateway *gateway); /* BUSY: no memory */
void tls_close(struct gateway *gateway);
MUST_USE bool tls_begin(struct gateway *gateway, struct gateway_conn *conn); /* false: no memory */
void tls_drop(struct gateway *gateway, struct gateway_conn *conn);
/* NET_RECEIVED: of a handshake it is queued, for those are what costs. */
void tls_on_received(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn,
                     const struct net_event *event);
void tls_feed(struct gateway *gateway, struct slab_handle handle, struct gateway_conn *conn);
/* The next GATEWAY_HANDSHAKES_TURN of the queue. */
void tls_handshakes(struct gateway *gateway);
/* The next portion for net->send: output sealed, or what TLS itself says. */
struct slice tls_fly(struct gateway *gateway, struct gateway_conn *conn);
void tls_landed(struct gateway_conn *conn); /* NET_SENT */
/* All output is gone: say so. True: that, too, is gone. */
bool tls_spent(struct gateway *gateway, struct gateway_conn *conn);
