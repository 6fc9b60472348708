/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/bounds.h"

#include "adapters/openssl/server.h"
#include "adapters/rocksdb/rocks_store.h"
#include "adapters/uring/uring.h"
#include "apps/parleyd/audit.h"
#include "apps/parleyd/node.h"
#include "apps/parleyd/opening.h"
#include "client/client.h"
#include "core/fold.h"
#include "core/step.h"
#include "core/username.h"
#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/policy.h"
#include "wire/proxy.h"

#define LIMIT(name, value, reason) \
    _Static_assert((uint64_t)(name) == (value), "limits.def and the room of " #name " differ");
#include "client/limits.def"
#include "runtime/limits.def"
#undef LIMIT

static const struct bound {
    const char *name;
    uint64_t value;
    const char *reason;
} bounds[] = {
#define LIMIT(name, value, reason) {#name, value, reason},
#include "runtime/limits.def"
#include "client/limits.def"
#undef LIMIT
};

void bounds_text(struct buf *out)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        buf_text(out, bounds[i].name);
        buf_text(out, " = ");
        buf_decimal(out, bounds[i].value);
        buf_text(out, ": ");
        buf_text(out, bounds[i].reason);
        buf_text(out, "\n");
    }
}

void bounds_metrics(struct buf *out)
{
    buf_text(out, "# HELP parley_bound every fixed bound (parleyd --limits says why)\n"
                  "# TYPE parley_bound gauge\n");
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        buf_text(out, "parley_bound{name=\"");
        buf_text(out, bounds[i].name);
        buf_text(out, "\"} ");
        buf_decimal(out, bounds[i].value);
        buf_text(out, "\n");
    }
}
