/* SPDX-License-Identifier: Apache-2.0
 * The sleeper writes `asleep` and then reads `called`, a caller writes `called` and then reads
 * `asleep`. All four are sequentially consistent: in their one order either the sleeper's read
 * stands behind the caller's write, or the caller's read behind the sleeper's, so one of them sees
 * the other. What a caller put before is published by its exchange and seen through nap_end's. */
#include "base/nap.h"

#include <stdatomic.h>

bool nap_begin(struct nap *nap)
{
    atomic_store(&nap->asleep, true);
    return !atomic_load(&nap->called);
}

bool nap_end(struct nap *nap)
{
    /* A caller that still reads `asleep` as true wakes for nothing, which costs little. */
    atomic_store_explicit(&nap->asleep, false, memory_order_relaxed);
    return atomic_load_explicit(&nap->called, memory_order_relaxed) &&
           atomic_exchange(&nap->called, false);
}

bool nap_call(struct nap *nap)
{
    return !atomic_exchange(&nap->called, true) && atomic_load(&nap->asleep);
}
