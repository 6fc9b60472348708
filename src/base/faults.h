/* SPDX-License-Identifier: Apache-2.0
 * faults.h: the fault sweep, for tests alone (style §9, FAULTS). Run a piece of code again and
 * again while the first, second, third … allocation fails, once and then for ever, until a run is
 * clean:
 *     for (struct faults faults = {0}; faults_next(&faults);) { … }
 * The body must give back all it took, whichever allocation failed.
 * Owner: the test's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/memory.h"

struct faults {
    uint64_t runs; /* begun so far */
    uint64_t nth;  /* the allocation that fails in this run */
    int64_t live;  /* blocks in use before the first run */
    bool for_ever; /* whether every later one fails too */
};

/* Whether one more run is due; plans its fault. */
static inline bool faults_next(struct faults *faults)
{
    bool fired = memory_fault_fired();
    memory_fault_plan(0, false);
    if (faults->runs == 0)
        faults->live = memory_live();
    assert(memory_live() == faults->live); /* the body gave everything back */
    if (faults->runs > 0 && faults->for_ever && !fired)
        return false;
    if (faults->runs == 0 || faults->for_ever)
        faults->nth++;
    faults->for_ever = faults->runs > 0 && !faults->for_ever;
    faults->runs++;
    memory_fault_plan(faults->nth, faults->for_ever);
    return true;
}
