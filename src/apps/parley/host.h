/* SPDX-License-Identifier: Apache-2.0
 * host.h: the native host of a client's mind (client.h): rows in a profile, one socket, timers. It
 * decides nothing: one turn is at most one step, and runs its effects in order: the transaction,
 * then the frames; the notices are left in `out` for the caller.
 * Invariants: no frame of a step whose transaction failed ever leaves; then the mind is restored
 * from the rows. `out` and `inserted` live until the next turn or command. Owner: one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "adapters/epoll/epoll.h"
#include "apps/parley/address.h"
#include "apps/parley/link.h"
#include "apps/parley/profile.h"
#include "apps/parley/secure.h"
#include "client/client.h"

#define HOST_TABLE_SHOWN 256u /* rows of the host's own: chat_id → what `receive` has shown */

enum host_turn {
    HOST_STEPPED, /* `out` holds the effects of a step */
    HOST_IDLE,    /* the time is over, or watch_fd has something to say */
    HOST_FAILED,  /* failure tells why; over */
};

struct host {
    struct profile profile;
    struct client client;
    struct failure failure;
    bool offline; /* never connects */

    struct epoll net;
    struct address address;
    struct link link;
    struct secure secure;
    struct link_bytes flying; /* what the net sends now */
    net_conn conn;
    bool connecting, connected, sending, lost, broken;
    uint8_t route[UPGRADE_ROUTE_BYTES];
    size_t route_bytes;
    uint32_t refused;  /* connections in a row that did not come up */
    uint64_t ups;      /* connections that did */
    char trouble[120]; /* why the last connection failed or ended; "" */

    struct pb_host_effects out;
    struct arena scratch; /* of a step */
    struct cstore_op *ops;
    uint64_t wake_ms;
    uint32_t failed_commits;
    int watch_fd; /* -1: none; readable ends a turn */
};

/* Over an open profile: restore the mind. `offline`: it stays without network. */
enum status host_open(struct host *host, bool offline) MUST_USE;
/* Send what is left, within a second, and let go. The profile is closed, too. */
void host_close(struct host *host);

/* Where to connect; before REGISTER or LOGIN, and by host_open when the profile knows. */
enum status host_server(struct host *host, const char *url, struct failure *failure) MUST_USE;

/* One command, at once; `out` as after a step. */
enum host_turn host_command(struct host *host, const struct pb_event_command *command) MUST_USE;
/* Wait for the next event until `deadline_ms` (monotonic), and step. */
enum host_turn host_turn(struct host *host, uint64_t deadline_ms) MUST_USE;

uint64_t host_mono_ms(void);
uint64_t host_wall_ms(void);
