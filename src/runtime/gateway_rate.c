/* SPDX-License-Identifier: Apache-2.0
 * gateway_rate.c: what a frame counts against. What fails closed is counted for the whole process,
 * if it has a count in common; the rest by each shard. */
#include <string.h>

#include "ports/crypto.h"
#include "runtime/gateway_conn.h"

static uint32_t take(struct gateway *gateway, uint8_t class, const uint8_t key[ID_BYTES])
{
    struct limits *shared = gateway->options.limits_shared;
    uint64_t mono_ms = gateway->now.mono_us / 1000;
    if (shared != NULL && gateway->options.limits[class].closed)
        return shared->vtable->take(shared, class, key, mono_ms);
    return limiter_take(&gateway->limiter, class, key, mono_ms);
}

/* By address and what was named: whoever guesses from elsewhere spends nothing of this one's. */
static void named_key(const struct gateway_conn *conn, const uint8_t named[ID_BYTES],
                      uint8_t out[ID_BYTES])
{
    const struct slice parts[] = {SLICE_OF(conn->peer), slice_make(named, ID_BYTES)};
    uint8_t hash[SHA256_BYTES];
    crypto_sha256(parts, 2, hash);
    memcpy(out, hash, ID_BYTES);
}

uint32_t conn_rate(struct gateway *gateway, struct gateway_conn *conn, struct slice frame)
{
    uint8_t named[ID_BYTES], key[ID_BYTES];
    const uint8_t *who = ID_IS_ZERO(conn->session.user) ? conn->peer : conn->session.user.at;
    enum rate_class class = session_rate(frame);
    uint32_t wait_ms = take(gateway, (uint8_t) class, who);
    if (wait_ms == 0 && conn->session.state == SESSION_WELCOMED) {
        arena_reset(&gateway->step);
        class = session_rate_named(frame, &gateway->step, named);
        named_key(conn, named, key);
        wait_ms = class == RATE_NONE ? 0 : take(gateway, (uint8_t) class, key);
    }
    gateway->counts.rate_refused[class] += wait_ms > 0;
    if (wait_ms > 0)
        conn_said_limit(gateway, conn, class, wait_ms);
    return wait_ms;
}

void conn_rate_back(struct gateway *gateway, const struct gateway_conn *conn,
                    const struct effect *effect)
{
    struct limits *shared = gateway->options.limits_shared;
    uint8_t key[ID_BYTES];
    named_key(conn, effect->key, key);
    if (shared != NULL && gateway->options.limits[effect->rate].closed)
        shared->vtable->give(shared, effect->rate, key);
    else
        limiter_give(&gateway->limiter, effect->rate, key);
}
