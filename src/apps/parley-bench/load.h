/* SPDX-License-Identifier: Apache-2.0
 * load.h: the load client: many peers, one thread, one epoll. It sleeps until something comes or
 * the next message is due; it never spins.
 *   closed: each sender keeps `window` messages in flight and writes `frames_per_write` at a time:
 *           ceilings. A message is in flight until it is acknowledged and delivered.
 *   open:   message i leaves at its intended time, by sender i mod senders: latencies. One that is
 *           late (its sender may have PEER_FLIGHT_MAX in flight) is measured from that time still.
 * Invariants: only messages meant to leave within the window [begin_us, end_us) count for
 * latencies, only completions within it for rates. Owner: one thread. */
#pragma once

#include "apps/parley-bench/histogram.h"
#include "apps/parley-bench/options.h"
#include "apps/parley-bench/peer.h"
#include "apps/parley-bench/schedule.h"
#include "base/status.h"

enum load_mode { LOAD_STILL, LOAD_CLOSED, LOAD_OPEN };

struct load {
    struct run run;
    const struct driver *driver;
    struct peer *peers;
    uint32_t peers_count, ready, paired, broken; /* ready: sign-ins so far */
    uint32_t address;                            /* IPv4, network order */
    uint16_t port;
    int receive_bytes; /* of a socket that is to connect: what the kernel holds; 0: as it likes */
    int poll;
    struct peer **touched;
    uint32_t touched_count;
    enum load_mode mode;
    uint32_t senders;                                /* the first so many peers send */
    uint64_t frames_per_write, window, messages_max; /* of each sender */
    struct schedule schedule;
    uint64_t now_us, begin_us, end_us;
    uint64_t sent, done, delivered; /* within the window */
    uint64_t pages, page_rows;      /* of history, that came */
    bool acks_only;                 /* a message is done when it is acknowledged */
    struct histogram ack, delivery, late, login;
    char reason[160]; /* of the first trouble */
};

/* server: "host:port", IPv4. */
MUST_USE bool load_open(struct load *load, const struct driver *driver, const char *server,
                        uint32_t peers, uint64_t body_bytes);
void load_close(struct load *load); /* by RST: no TIME_WAIT piles up */

/* Peers first … first + count − 1 connect and sign in, at most at_once of them under way. False:
 * reason. */
MUST_USE bool load_sign_in(struct load *load, uint32_t first, uint32_t count, uint32_t at_once);

/* They are gone at once, by RST, with all that is under way; what is not acknowledged is to be sent
 * again. */
void load_drop(struct load *load, uint32_t first, uint32_t count);

/* They read nothing from now on (`still`), or they read again. What they had read is still
 * acknowledged. False: the system refuses. */
MUST_USE bool load_stall(struct load *load, uint32_t first, uint32_t count, bool still);

/* Turns until every sender has sent messages_max and nothing is under way. False: reason. */
MUST_USE bool load_settle(struct load *load);

/* Everybody signed in and paired: peer i with peer i + peers / 2. False: reason. */
MUST_USE bool load_ready(struct load *load);

/* One turn, of at most until_us. False: the system refuses epoll. */
MUST_USE bool load_turn(struct load *load, uint64_t until_us);

/* The next turn writes what the peer has in `out`. */
void load_touch(struct load *load, struct peer *peer);

/* All senders look at once whether they may send. */
MUST_USE bool load_nudge(struct load *load);

/* The messages of sender `peer` that are under way or due. */
uint64_t load_open_messages(const struct load *load, const struct peer *peer);

/* Pin this thread; OPTION_UNSET: not. */
MUST_USE bool load_pin(uint64_t cpu);
