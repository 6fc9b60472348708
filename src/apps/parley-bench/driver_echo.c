/* SPDX-License-Identifier: Apache-2.0
 * The raw baseline: a body goes out, the same bytes come back. */
#include <string.h>

#include "apps/parley-bench/peer.h"

static void echo_begin(struct run *run, struct peer *peer)
{
    (void)run;
    peer->upgraded = false; /* READY is still to be said */
}

static bool echo_pair(struct run *run, struct peer *peer)
{
    (void)run;
    (void)peer;
    return true;
}

static void echo_next(struct run *run, struct peer *peer, struct said *said)
{
    (void)run;
    if (!peer->upgraded) {
        peer->upgraded = true;
        said->kind = SAID_READY;
        return;
    }
    if (peer->in.bytes == peer->consumed)
        return;
    said->kind = SAID_BYTES;
    said->bytes = slice_make(peer->in.at + peer->consumed, peer->in.bytes - peer->consumed);
    peer->consumed = peer->in.bytes;
}

static void echo_send(struct run *run, struct peer *peer, struct slice body)
{
    (void)run;
    uint8_t *at = bytes_room(&peer->out, body.bytes);
    if (at == NULL)
        return; /* told as unsent: it never comes back */
    memcpy(at, body.at, body.bytes);
    peer->out.bytes += body.bytes;
}

static void echo_finish(struct run *run, struct peer *peer)
{
    (void)run;
    (void)peer;
}

const struct driver driver_echo = {.name = "echo",
                                   .pairs = false,
                                   .delivery_acknowledges = true,
                                   .begin = echo_begin,
                                   .pair = echo_pair,
                                   .next = echo_next,
                                   .send = echo_send,
                                   .finish = echo_finish};
