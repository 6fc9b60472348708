/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_contract.h"

#include "adapters/ring/ring.h"
#include "base/assert.h"

static struct ring_links links;
static struct ring_rpc ends[2];

void contract_rpc_open(void)
{
    enum status status = ring_links_open(&links, 2, 7, (struct bus_facts){1, true, 1});
    assert(status == STATUS_OK);
    ring_rpc_open(&ends[0], &links, 0);
    ring_rpc_open(&ends[1], &links, 1);
}

void contract_rpc_close(void)
{
    ring_links_close(&links);
}

struct rpc *contract_rpc_end(uint32_t end)
{
    return &ends[end].port;
}

void contract_rpc_turn(void)
{
}
