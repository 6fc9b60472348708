/* SPDX-License-Identifier: Apache-2.0
 * schedule.h: the open loop: when each message is meant to leave, whatever the server does. A
 * message that leaves late is measured from its intended time all the same (no coordinated
 * omission).
 * Invariants: message i is due at start + i / rate, rounded down; `next` only grows. Pure. */
#pragma once

#include <stdint.h>

struct schedule {
    uint64_t start_us, rate; /* messages a second, ≥ 1 */
    uint64_t next;           /* the first message not yet taken */
};

uint64_t schedule_at_us(const struct schedule *schedule, uint64_t message);

/* Messages due by now and not yet taken. */
uint64_t schedule_due(const struct schedule *schedule, uint64_t now_us);
