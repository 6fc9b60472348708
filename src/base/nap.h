/* SPDX-License-Identifier: Apache-2.0
 * nap.h: whether one thread sleeps, and whether others have called it: so that it is woken by a
 * system call only if it really sleeps, and once for many calls.
 *
 *   sleeper:  nap_begin ──true──▶ waits in the system ──▶ nap_end
 *                     └─false: called meanwhile, do not wait ──▶ nap_end
 *   callers:  put work; nap_call ──true──▶ wake the sleeper
 *
 * Invariants: a call made before nap_end is told by that nap_end or the next one, and work put
 * before the call is seen after that nap_end; of the calls between two nap_ends at most one is told
 * to wake. How the system wakes the sleeper is the business of its user: a wake must not get lost
 * if it comes before the wait has begun.
 * Owner: nap_begin and nap_end belong to the sleeper, nap_call to any thread. All zero: awake. */
#pragma once

#include <stdbool.h>

struct nap {
    _Atomic bool called, asleep;
};

bool nap_begin(struct nap *nap); /* false: it was called, there is something to look at */
bool nap_end(struct nap *nap);   /* true: it was called since the last nap_end */
bool nap_call(struct nap *nap);  /* true: the caller must wake it */
