/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_contract.h"

#include "sim/rpc.h"

static struct sim_rpc rpc;
static struct rpc *ends[2];

void contract_rpc_open(void)
{
    const struct sim_rpc_options options = {
        .partitions = 3, .latency_min_us = 10, .latency_max_us = 900};
    struct rpc_event events[16];
    sim_rpc_init(&rpc, &options, 1);
    ends[0] = sim_rpc_start(&rpc, 0, 7);
    ends[1] = sim_rpc_start(&rpc, 5, 8);
    for (uint32_t i = 0; i < options.partitions; i++)
        sim_rpc_announce(&rpc, 0, i);
    sim_rpc_advance(&rpc, 1000);
    (void)ends[0]->vtable->poll(ends[0], events, 16);
    (void)ends[1]->vtable->poll(ends[1], events, 16);
}

void contract_rpc_close(void)
{
    sim_rpc_deinit(&rpc);
}

struct rpc *contract_rpc_end(uint32_t end)
{
    return ends[end];
}

void contract_rpc_turn(void)
{
    sim_rpc_advance(&rpc, rpc.now_us + 100);
}
