/* SPDX-License-Identifier: Apache-2.0
 * observer.h: what one device's step means in a history (history.h): for the hosts of the
 * simulator and of tests with real servers. The host calls observer_before, client_step, commits
 * the store operations, then observer_after: an event is written once it is durable.
 * Owner: one thread; one observer a device. */
#pragma once

#include "client/client.h"
#include "sim/history.h"

struct observer {
    struct history *history;
    uint64_t proc;
    bool failed; /* the history took no more: nothing is proved */
    /* the step under way */
    const struct pb_host_event *event;
    uint64_t t_us, useq;
    bool enrolled, live;
    struct arena arena; /* the frame under way, decoded */
    /* a sign-out asked for */
    uint32_t revoke_request;
    device_id revoke;
    uint64_t revoke_us;
    bool connected; /* CONNECT was written, CLOSE not yet */
};

void observer_open(struct observer *observer, struct history *history, uint64_t proc);
void observer_close(struct observer *observer);

/* t_us: the history's one clock. The event stands until observer_after. */
void observer_before(struct observer *observer, const struct client *client,
                     const struct pb_host_event *event, uint64_t t_us);
/* inserted[i]: the store operation i really inserted a row. */
void observer_after(struct observer *observer, const struct client *client,
                    const struct pb_host_effects *out, const bool inserted[], uint64_t t_us);

/* The device begins again from its rows (kill, crash); t_copy: copied then, 0: its own rows. */
void observer_restart(struct observer *observer, const struct client *client, uint64_t t_us,
                      uint64_t t_copy);
