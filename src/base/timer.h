/* SPDX-License-Identifier: Apache-2.0
 * timer.h: timers by handle; at most `capacity` armed at a time. It holds no clock: the owner tells
 * the time and asks what has expired.
 * Invariants: timers expire by (due_ms, order of arming); a handle is stale once its timer has
 * expired or was cancelled, and cancelling it then does nothing.
 * Owner: one thread. Bounds: capacity. Cost: O(log n). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/slab.h"
#include "base/status.h"

#define TIMER_NEVER UINT64_MAX

struct timers {
    struct heap heap; /* key = due_ms, tie = order of arming, value = token of the slab handle */
    struct slab slab; /* each object: the u64 its owner armed it with */
    uint64_t armed;   /* ever */
};

MUST_USE enum status timer_open(struct timers *timers, uint32_t capacity); /* BUSY: no memory */
void timer_close(struct timers *timers); /* tolerates a zeroed struct */

/* Expire at due_ms (of whatever clock the owner tells), then hand `token` back. BUSY: all armed. */
MUST_USE enum status timer_arm(struct timers *timers, uint64_t due_ms, uint64_t token,
                               struct slab_handle *timer);

/* Whether it was still armed. SLAB_NONE is fine. */
bool timer_cancel(struct timers *timers, struct slab_handle timer);

uint64_t timer_next_ms(const struct timers *timers); /* due_ms of the first; TIMER_NEVER: none */

/* Take one timer with due_ms ≤ now_ms; false when there is none. */
bool timer_expired(struct timers *timers, uint64_t now_ms, uint64_t *token);
