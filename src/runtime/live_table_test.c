/* SPDX-License-Identifier: Apache-2.0
 * The table of devices against a list: devices of few users come and go in a table that is small
 * enough for buckets to be shared; each is found, and what is folded is told to all of a user, the
 * newest first, and to nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/fold.h"
#include "runtime/live_job.h"

#define DEVICES 13u
#define USERS   6u
#define PLACES  7u /* fewer than devices: it fills */
#define STEPS   4000

static struct live live;
static struct arena arena;
static uint32_t told[DEVICES], told_count; /* sessions, which are numbers of devices */
static uint32_t listed[DEVICES], listed_count;

static enum status send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    struct pb_rpc message;
    (void)rpc;
    (void)peer;
    arena_reset(&arena);
    assert_int_equal(pb_rpc_decode(bytes, &arena, &message), STATUS_OK);
    assert_int_equal(message.body.deliver.sessions_count, 1);
    told[told_count++] = (uint32_t)message.body.deliver.sessions[0];
    return STATUS_OK;
}

static struct bus_facts facts(const struct bus *bus)
{
    (void)bus;
    return (struct bus_facts){.partitions = 1, .single = true, .log_epoch = 1};
}

static const struct rpc_vtable table = {.send = send};
static struct rpc rpc = {.vtable = &table};
static const struct bus_vtable bus_table = {.facts = facts};
static struct bus bus = {.vtable = &bus_table};

static struct live_attach attach_of(uint32_t device)
{
    struct live_attach attach = {.session = device};
    attach.device[0] = (uint8_t)(1 + device);
    attach.user[0] = (uint8_t)(1 + device % USERS);
    return attach;
}

static void check(uint64_t useq)
{
    assert_int_equal(live.used, listed_count);
    for (uint32_t device = 0; device < DEVICES; device++) {
        struct live_attach attach = attach_of(device);
        bool there = false;
        for (uint32_t i = 0; i < listed_count; i++)
            there = there || listed[i] == device;
        assert_int_equal(live_find(&live, attach.device) != LIVE_NONE, there);
    }
    for (uint32_t user = 0; user < USERS; user++) {
        struct fold_outcome outcome = {.deliver_useq = useq};
        told_count = 0;
        live_on_folded(&live, attach_of(user).user, &outcome);
        uint32_t at = 0;
        for (uint32_t i = listed_count; i-- > 0;)
            if (listed[i] % USERS == user)
                assert_true(at < told_count && told[at++] == listed[i]);
        assert_int_equal(told_count, at);
    }
}

static void leave(uint32_t device)
{
    uint32_t at = live_find(&live, attach_of(device).device), i = 0;
    live.devices[at].gone = true;
    live_rest(&live, at);
    while (listed[i] != device)
        i++;
    memmove(&listed[i], &listed[i + 1], (--listed_count - i) * sizeof listed[0]);
}

static void devices_come_and_go(void **state)
{
    struct prng prng;
    (void)state;
    prng_init(&prng, 7);
    arena_init(&arena, 1u << 16);
    assert_int_equal(live_open(&live, &bus, NULL, &rpc, PLACES), STATUS_OK);
    for (uint64_t step = 1; step < STEPS; step++) {
        uint32_t device = (uint32_t)prng_below(&prng, DEVICES);
        struct live_attach attach = attach_of(device);
        if (live_find(&live, attach.device) != LIVE_NONE)
            leave(device);
        else if (live_new(&live, &attach) != LIVE_NONE)
            listed[listed_count++] = device;
        else
            assert_int_equal(listed_count, PLACES);
        check(step);
    }
    live_close(&live);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(devices_come_and_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
