/* SPDX-License-Identifier: Apache-2.0
 * RocksDB in a folder of its own, which goes with it. */
#include "store_contract.h"

#include <stdio.h>
#include <stdlib.h>

#include "adapters/rocksdb/rocks_store.h"
#include "base/assert.h"

static char folder[] = "/tmp/parley-store-XXXXXX";
static char path[sizeof folder + 8];
static struct rocks_db db;
static struct rocks_store store;

struct store *contract_store_open(void)
{
    const struct rocks_options options = rocks_options_default();
    enum rocks_outcome outcome;
    struct failure failure = {0};
    (void)snprintf(folder, sizeof folder, "/tmp/parley-store-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof path, "%s/store", folder);
    enum status status = rocks_db_open(&db, path, &options, &outcome, &failure);
    if (status != STATUS_OK)
        (void)fprintf(stderr, "%s\n", failure.text);
    assert(status == STATUS_OK && outcome == ROCKS_FRESH);
    rocks_store_open(&store, &db, NULL);
    return &store.port;
}

void contract_store_close(void)
{
    char command[sizeof folder + 16];
    rocks_store_close(&store);
    rocks_db_close(&db);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        abort();
}
