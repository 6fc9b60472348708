/* SPDX-License-Identifier: Apache-2.0
 * The chaos decorator without faults, only delays: still a store. */
#include "store_contract.h"

#include <string.h>

#include "adapters/memory/memory_store.h"
#include "base/assert.h"
#include "sim/chaos.h"

static struct memory_db db;
static struct memory_store inner;
static struct chaos chaos;

/* Each poll lets some time pass. */
struct turned {
    struct store port;
    uint64_t now_us;
};

static void submit(struct store *port, struct store_request *request)
{
    (void)port;
    chaos.port.vtable->submit(&chaos.port, request);
}

static size_t poll(struct store *port, struct store_request **done, size_t max)
{
    struct turned *turned = (struct turned *)port;
    turned->now_us += 100;
    chaos_advance(&chaos, turned->now_us);
    return chaos.port.vtable->poll(&chaos.port, done, max);
}

static const struct store_vtable vtable = {submit, poll};
static struct turned turned = {.port = {&vtable}};

struct store *contract_store_open(void)
{
    const struct chaos_options options = {.delay_min_us = 10, .delay_max_us = 500};
    enum status status = memory_db_open(&db, (size_t)64 << 20);
    assert(status == STATUS_OK);
    memory_store_open(&inner, &db);
    chaos_open(&chaos, &inner.port, &options, 1);
    turned.now_us = 0;
    return &turned.port;
}

void contract_store_close(void)
{
    chaos_close(&chaos);
    memory_db_close(&db);
}
