/* SPDX-License-Identifier: Apache-2.0
 * gateway.h: the role that holds connections: HTTP heads, WebSocket frames, sessions and their
 * effects.
 * A part of one shard, stepped by it: gateway_on_x takes a completion of a port, gateway_flush
 * submits every socket's output once per turn. It decides nothing: session_step does.
 * Invariants: a connection is in one phase (HTTP → WEBSOCKET → LINGER), all of them under TLS if
 * the options name it; every operation of a
 * session (append, read, hash) completes exactly once or dies with its connection; bytes of a
 * connection whose session has too much output are not consumed, so the client is not read
 * (back-pressure).
 * Owner: one thread. Bounds: connections and operations by gateway_options; output by
 * OUTPUT_BYTES_MAX;
 * a message by FRAME_BYTES_MAX, before sign-in by FRAME_BYTES_STRANGER.
 * Source: design §7, protocol §1, style §3. */
#pragma once

#include "base/arena.h"
#include "base/queue.h"
#include "base/slab.h"
#include "base/timer.h"
#include "core/session.h"
#include "ports/bus.h"
#include "ports/clock.h"
#include "ports/entropy.h"
#include "ports/limits.h"
#include "ports/net.h"
#include "ports/password.h"
#include "ports/rpc.h"
#include "ports/store.h"
#include "ports/tls.h"
#include "base/limiter.h"
#include "runtime/forwarded.h"
#include "runtime/metrics.h"
#include "runtime/output.h"
#include "runtime/said.h"
#include "wire/ws.h"

#define FRAME_BYTES_MAX       (1u << 20)
#define FRAME_BYTES_STRANGER  4096u
#define FRAME_HOLD_STRANGER   1024u               /* a larger frame of theirs comes in pieces */
#define GATEWAY_TOKEN         (UINT64_C(1) << 63) /* marks its tokens on shared ports */
#define GATEWAY_ENTROPY_BYTES 4096u
/* What a net port holds for us, and what TLS gives at once: a whole frame up to this is never
 * copied. */
#define GATEWAY_RECEIVE_BYTES   (16u * 1024u)
#define GATEWAY_HANDSHAKES_TURN 4u            /* about a millisecond: messages go first */
#define GATEWAY_TLS_BACKLOG     (16u * 1024u) /* answers of TLS itself that a peer does not take */

struct gateway_ports {
    struct net *net;
    struct bus *bus;
    struct store *store;
    struct rpc *rpc;
    struct password_port *password;
    struct entropy *entropy;
};

struct gateway_options {
    uint32_t connections_max;
    uint32_t operations_max;     /* appends, reads and hashes in flight, all sessions together */
    uint32_t address_max;        /* connections of one address; 0: no limit (gateway_peer.c) */
    const struct slice *origins; /* web pages that may connect (wire/origin.h) */
    size_t origins_count;
    const struct slice *hosts; /* that Host may name (wire/origin.h); none: any */
    size_t hosts_count;
    struct slice discovery;     /* body of /.well-known/parley */
    const struct limit *limits; /* RATE_CLASSES of them */
    /* counts the classes that fail closed for all shards of a process; NULL: each for itself */
    struct limits *limits_shared;
    struct forwarded forwarded; /* reverse proxies that are believed */
    struct tls *tls;            /* every connection is under it; NULL: they are plain */
    uint32_t http_ms;           /* to the end of the request head (and TLS), from accept */
    uint32_t write_stall_ms;    /* output that does not move */
};

struct gateway {
    struct gateway_ports ports;
    struct gateway_options options;
    struct session_config config;
    struct slab conns;        /* struct gateway_conn */
    struct slab operations;   /* struct gateway_operation */
    struct timers timers;     /* token = connection */
    struct queue done;        /* operations completed, not yet told to their session */
    struct queue dirty;       /* connections with output or input to look at before the turn ends */
    struct queue handshakes;  /* connections whose handshake has something to go on with */
    uint8_t *plain, *tls_out; /* one input together; what TLS says */
    uint32_t reads_in_flight; /* store requests: at most STORE_REQUESTS_MAX, then BUSY */
    struct map addresses;     /* of a peer → its connections; not opened without address_max */
    struct limiter limiter;
    struct arena step;
    struct effect effects[SESSION_EFFECTS_MAX];
    struct clock_reading now;
    uint8_t entropy[GATEWAY_ENTROPY_BYTES];
    uint32_t entropy_used;
    bool rollback; /* a session proved it: the node must go read-only */
    uint64_t rollback_claim, rollback_head;
    struct said_queue said; /* taken by whoever runs the shard */
    struct metrics counts;  /* gauges are conns.used, operations.used, limiter.buckets.used */
};

/* BUSY: no memory. The ports, and what the options point at, stand until gateway_close. */
MUST_USE enum status gateway_open(struct gateway *gateway, const struct gateway_ports *ports,
                                  const struct gateway_options *options,
                                  const struct session_config *config);
void gateway_close(struct gateway *gateway); /* drops every connection; tolerates a zeroed one */

/* The turn's one reading of the clock, before any other call of the turn. */
void gateway_turn(struct gateway *gateway, struct clock_reading now);

void gateway_on_net(struct gateway *gateway, const struct net_event *event);
/* with GATEWAY_TOKEN */
void gateway_on_appended(struct gateway *gateway, const struct bus_event *event);
/* with GATEWAY_TOKEN */
void gateway_on_store(struct gateway *gateway, struct store_request *request);
void gateway_on_password(struct gateway *gateway, const struct password_done *done);
void gateway_on_rpc(struct gateway *gateway, const struct pb_rpc *rpc); /* attached … outcome */
void gateway_on_owner_changed(struct gateway *gateway, uint32_t partition, uint32_t partitions);

/* Say EVENT_DRAIN to every session: reconnect elsewhere, spread over `spread_ms`. */
void gateway_drain(struct gateway *gateway, uint32_t spread_ms);

/* What is done is answered: before a processor of this shard folds, so that a client hears SENT
 * before its own entry comes back. */
void gateway_answer(struct gateway *gateway);

/* Timers due, completed operations, then all output, once per socket. */
void gateway_flush(struct gateway *gateway);

/* When gateway_flush must run again although nothing happens; TIMER_NEVER: never. */
uint64_t gateway_next_ms(const struct gateway *gateway);

/* Asserts the invariants of every session. O(connections): for tests and the simulator. */
void gateway_check(const struct gateway *gateway);
