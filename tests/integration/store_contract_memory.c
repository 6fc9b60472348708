/* SPDX-License-Identifier: Apache-2.0 */
#include "store_contract.h"

#include "adapters/memory/memory_store.h"
#include "base/assert.h"

static struct memory_db db;
static struct memory_store store;

struct store *contract_store_open(void)
{
    enum status status = memory_db_open(&db, (size_t)64 << 20);
    assert(status == STATUS_OK);
    memory_store_open(&store, &db);
    return &store.port;
}

void contract_store_close(void)
{
    memory_db_close(&db);
}
