/* SPDX-License-Identifier: Apache-2.0
 * net.h: the simulated network: streams like TCP's between the processes of one world, and the
 * `net` port of each.
 * Bytes arrive in order, late, split and joined by chance; a stream has room for what is under way,
 * then its sender waits; a connection may stand still, break, or lose one end that never says so
 * (half-open). A killed process breaks its connections; one whose power was cut leaves them
 * half-open until it is up again and answers what it does not know with a reset.
 * A process listens on the port with its own number.
 * Owner: one thread. Bounds: SIM_ENDS_MAX ends of connections in the world, SIM_STREAM_BYTES under
 * way in each direction. Source: proof §7, style §4. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "ports/net.h"
#include "sim/loop.h"
#include "sim/marks.h"

#define SIM_ENDS_MAX      256u
#define SIM_STREAM_BYTES  (32u * 1024u)
#define SIM_RECEIVE_BYTES (16u * 1024u) /* as epoll holds for one connection */
#define SIM_SEGMENTS      32u

/* Chances are per 1000. Zeroed: everything arrives at once and whole. */
struct sim_net_options {
    uint64_t latency_min_us, latency_max_us;
    uint64_t slow_max_us; /* how long a stream stands still when it does */
    uint32_t slow;        /* of each segment */
    uint32_t split;       /* of each segment and each read */
};

struct sim_segment {
    uint64_t due_us;
    uint32_t bytes;
};

struct sim_end {
    bool used, connecting, waiting;           /* waiting: to be accepted */
    bool ended, silent;                       /* silent: the other end is gone without a word */
    uint32_t generation, owner, peer, remote; /* remote: the process at the other end */
    uint64_t tag, due_us;                     /* due: of connecting, being accepted, or the end */
    enum status end_status;
    bool told_first; /* the end comes after what is under way */
    struct slice out;
    size_t out_total;
    bool sending, sent;
    /* under way to this end: the stream's bytes, a circle */
    uint32_t stream_at, stream_bytes, segments_at, segments_count;
    struct sim_segment segments[SIM_SEGMENTS];
    uint64_t newest_us;
    uint32_t in_at, in_bytes;
    uint8_t *stream, *in;
};

struct sim_wires {
    struct sim_loop *loop;
    struct sim_marks *marks;
    struct prng prng;
    struct sim_net_options options;
    struct sim_end ends[SIM_ENDS_MAX];
    uint32_t ends_top; /* none at or above it was ever used */
    bool listening[SIM_PROCESSES_MAX], up[SIM_PROCESSES_MAX];
    uint8_t *memory;
};

/* The port of one process. */
struct sim_net {
    struct net net; /* first */
    struct sim_wires *wires;
    uint32_t who;
};

/* BUSY: no memory. The loop and the marks stand until close. */
MUST_USE enum status sim_wires_open(struct sim_wires *wires, struct sim_loop *loop,
                                    struct sim_marks *marks, uint64_t seed);
void sim_wires_close(struct sim_wires *wires); /* tolerates a zeroed one */

/* The process is up; `listens`: it accepts. */
void sim_net_open(struct sim_net *net, struct sim_wires *wires, uint32_t who, bool listens);
/* It died. `power`: nobody tells its peers. */
void sim_net_kill(struct sim_net *net, bool power);

/* Break one connection of the process, by chance which; `silent`: only the other end learns of it.
 * False: it has none. */
bool sim_net_break(struct sim_net *net, bool silent);
/* What is under way to and from the process stands still until then. */
void sim_net_stall(struct sim_net *net, uint64_t until_us);
