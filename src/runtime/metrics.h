/* SPDX-License-Identifier: Apache-2.0
 * metrics.h: what a server counts of itself: one table (metrics.def), fixed memory, no locks.
 * `struct metrics` is a shard's own: plain numbers that its thread adds to; whoever is asked sums
 * copies of them. `struct metrics_values` is what is looked up only then.
 * Invariants: no label and no value names a user, a device, a chat or an address. Owner: one
 * thread. Source: design §7, proof §13, style §7; the text format 0.0.4 of Prometheus. */
#pragma once

#include "base/buckets.h"
#include "base/buf.h"
#include "core/session.h"

/* What a bound is used for, in the order of LIMIT_NAMES. */
enum limit_gauge {
    LIMIT_CONNECTIONS,
    LIMIT_OPERATIONS,
    LIMIT_STORE_READS,
    LIMIT_PASSWORDS,
    LIMIT_LAG,
    LIMIT_LOG_GROUPS,
    LIMIT_RATES,
    LIMIT_RATES_SHARED,
    LIMIT_ATTACHES,
    LIMIT_DEVICES,
    LIMIT_QUARANTINE,
    LIMIT_GAUGES
};
#define LIMIT_NAMES                                                                            \
    "connections|operations|store_reads|passwords|lag|log_groups|rates|rates_shared|attaches|" \
    "devices|quarantine"

struct metrics {
#define COUNTER(field, family, labels, help)               uint64_t field;
#define COUNTERS(field, count, family, label, names, help) uint64_t field[count];
#define BUCKETS_(field, family, per_unit, low, high, help) struct buckets field;
#define VALUE(field, family, type, labels, help)
#define VALUES(field, count, family, type, label, names, help)
#include "runtime/metrics.def"
#undef COUNTER
#undef COUNTERS
#undef BUCKETS_
#undef VALUE
#undef VALUES
};

struct metrics_values {
#define COUNTER(field, family, labels, help)
#define COUNTERS(field, count, family, label, names, help)
#define BUCKETS_(field, family, per_unit, low, high, help)
#define VALUE(field, family, type, labels, help)               uint64_t field;
#define VALUES(field, count, family, type, label, names, help) uint64_t field[count];
#include "runtime/metrics.def"
#undef COUNTER
#undef COUNTERS
#undef BUCKETS_
#undef VALUE
#undef VALUES
};

/* What one step of a session did (event.h). */
void metrics_take(struct metrics *metrics, const struct tally *tally);

void metrics_sum(struct metrics *into, const struct metrics *from);

/* All of it as Prometheus reads it. */
void metrics_text(const struct metrics *metrics, const struct metrics_values *values,
                  struct buf *out);

/* The table, for people: a line a family: name, type, what it says. */
void metrics_help(struct buf *out);
