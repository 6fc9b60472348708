/* SPDX-License-Identifier: Apache-2.0
 * The contract of the rpc port, over any adapter (rpc_contract.h): two ends, no fault.
 * Owners send to gateways, gateways to owners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc_contract.h"

#define TURNS 1000u

static uint32_t got[2], last[2][2]; /* messages; the newest number, by receiver and sender */

static int open_ends(void **state)
{
    (void)state;
    contract_rpc_open();
    memset(got, 0, sizeof got);
    memset(last, 0, sizeof last);
    return 0;
}

static int close_ends(void **state)
{
    (void)state;
    contract_rpc_close();
    return 0;
}

static struct rpc_peer peer_of(uint32_t end)
{
    const struct rpc *rpc = contract_rpc_end(end);
    return (struct rpc_peer){.gateway = rpc->vtable->gateway(rpc),
                             .shard = rpc->vtable->shard(rpc)};
}

static enum status give(uint32_t from, const struct rpc_peer *peer, uint32_t number)
{
    uint8_t bytes[64] = {(uint8_t)from, (uint8_t)number, (uint8_t)(number >> 8)};
    struct rpc *rpc = contract_rpc_end(from);
    enum status status =
        rpc->vtable->send(rpc, peer, slice_make(bytes, 3 + number % (sizeof bytes - 3)));
    memset(bytes, 0xEE, sizeof bytes); /* it was copied */
    return status;
}

static void turn(void)
{
    struct rpc_event events[7];
    contract_rpc_turn();
    for (uint32_t end = 0; end < 2; end++) {
        struct rpc *rpc = contract_rpc_end(end);
        size_t count = rpc->vtable->poll(rpc, events, 7);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(events[i].kind, RPC_MESSAGE);
            const uint8_t *at = events[i].bytes.at;
            uint32_t from = at[0], number = at[1] | (uint32_t)at[2] << 8;
            assert_int_equal(events[i].bytes.bytes, 3 + number % 61);
            assert_int_equal(number, ++last[end][from]);
            got[end]++;
        }
    }
}

static void each_way_in_order(void **state)
{
    (void)state;
    struct rpc_peer peers[2] = {peer_of(0), peer_of(1)}, owner = {.gateway = 0};
    for (uint32_t i = 1; i <= 200; i++) {
        assert_int_equal(give(0, &peers[1], i), STATUS_OK);
        assert_int_equal(give(1, &owner, i), STATUS_OK);
        assert_int_equal(give(0, &peers[0], i), STATUS_OK);
        if (i % 20 == 0)
            turn();
    }
    for (uint32_t i = 0; i < TURNS; i++)
        turn();
    assert_int_equal(got[0], 400);
    assert_int_equal(got[1], 200);
}

static void the_owner_is_found(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 60; i++) {
        struct rpc_peer owner = {.user = {(uint8_t)i, 0, 0, 0, 0, 0, 0, (uint8_t)(i * 7)}};
        assert_int_equal(give(1, &owner, i), STATUS_OK);
    }
    for (uint32_t i = 0; i < TURNS; i++)
        turn();
    assert_int_equal(got[0], 60);
    assert_int_equal(got[1], 0);
}

static void an_unknown_peer_is_refused(void **state)
{
    (void)state;
    struct rpc_peer stranger = {.gateway = 999};
    assert_int_equal(give(0, &stranger, 1), STATUS_BUSY);
}

static void a_full_queue_says_so(void **state)
{
    (void)state;
    struct rpc_peer peer = peer_of(1);
    uint32_t taken = 0;
    while (taken < 65000 && give(0, &peer, taken + 1) == STATUS_OK)
        taken++;
    assert_true(taken > 0 && taken < 65000);
    for (uint32_t i = 0; i < 20 * TURNS && got[1] < taken; i++)
        turn();
    assert_int_equal(got[1], taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_way_in_order, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(the_owner_is_found, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(an_unknown_peer_is_refused, open_ends, close_ends),
        cmocka_unit_test_setup_teardown(a_full_queue_says_so, open_ends, close_ends),
    };
    return cmocka_run_group_tests_name("rpc contract", tests, NULL, NULL);
}
