/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/ports.h"

#include <stdio.h>
#include <string.h>

static struct clock_reading clock_read(struct clock_port *port)
{
    const struct sim_clock *clock = (struct sim_clock *)(void *)port;
    uint64_t now_us = clock->loop->now_us;
    return (struct clock_reading){SIM_EPOCH_US + now_us + (uint64_t)clock->offset_us, now_us};
}

void sim_clock_open(struct sim_clock *clock, const struct sim_loop *loop)
{
    static const struct clock_vtable vtable = {.read = clock_read};
    *clock = (struct sim_clock){.clock = {&vtable}, .loop = loop};
}

static void entropy_fill(struct entropy *port, uint8_t *out, size_t bytes)
{
    prng_bytes(&((struct sim_entropy *)(void *)port)->prng, out, bytes);
}

void sim_entropy_open(struct sim_entropy *entropy, uint64_t seed)
{
    static const struct entropy_vtable vtable = {.fill = entropy_fill};
    *entropy = (struct sim_entropy){.entropy = {&vtable}};
    prng_init(&entropy->prng, seed);
}

/* ---- passwords ---- */

static struct sim_password *password_of(struct password_port *port)
{
    return (struct sim_password *)(void *)port;
}

static void encode(struct slice password, char out[PASSWORD_HASH_BYTES])
{
    uint64_t hash = 1;
    for (size_t i = 0; i < password.bytes; i++)
        hash = sim_mix(hash, password.at[i]);
    (void)snprintf(out, PASSWORD_HASH_BYTES, "$sim$%016llx", (unsigned long long)hash);
}

static enum status job_put(struct sim_password *password, const struct password_done *done)
{
    for (size_t i = 0; i < SIM_PASSWORDS_MAX; i++) {
        if (password->jobs[i].used)
            continue;
        password->jobs[i].used = true;
        password->jobs[i].done = *done;
        password->jobs[i].due_us = password->loop->now_us + password->delay_us;
        sim_wake(password->loop, password->who, password->jobs[i].due_us);
        return STATUS_OK;
    }
    return STATUS_BUSY;
}

static enum status password_hash(struct password_port *port, struct slice text, uint64_t token)
{
    struct password_done done = {.token = token};
    encode(text, done.hash);
    return job_put(password_of(port), &done);
}

static enum status password_verify(struct password_port *port, struct slice text, struct slice hash,
                                   uint64_t token)
{
    struct password_done done = {.token = token};
    char wanted[PASSWORD_HASH_BYTES];
    encode(text, wanted);
    done.match =
        hash.bytes > 0 && slice_equal(hash, slice_make((const uint8_t *)wanted, strlen(wanted)));
    return job_put(password_of(port), &done);
}

static size_t password_poll(struct password_port *port, struct password_done *out, size_t max)
{
    struct sim_password *password = password_of(port);
    size_t count = 0;
    for (size_t i = 0; i < SIM_PASSWORDS_MAX && count < max; i++) {
        if (!password->jobs[i].used)
            continue;
        if (password->jobs[i].due_us > password->loop->now_us) {
            sim_wake(password->loop, password->who, password->jobs[i].due_us);
            continue;
        }
        out[count++] = password->jobs[i].done;
        password->jobs[i].used = false;
    }
    return count;
}

void sim_password_open(struct sim_password *password, struct sim_loop *loop, uint32_t who,
                       uint64_t delay_us)
{
    static const struct password_vtable vtable = {
        .hash = password_hash, .verify = password_verify, .poll = password_poll};
    memset(password, 0, sizeof *password);
    password->port.vtable = &vtable;
    password->loop = loop;
    password->who = who;
    password->delay_us = delay_us;
}
