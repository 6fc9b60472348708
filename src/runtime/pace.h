/* SPDX-License-Identifier: Apache-2.0
 * pace.h: when the last receipt of each (chat, user) left, and up to which message receipts are
 * durable: so that no chat costs more than one receipt in PACE_MS, however fast it talks.
 * Invariants: the entries are the newest ones, in the order in which their receipts left; `upto`
 * of an entry never falls. What is not here may leave at once: a full table costs receipts, it
 * never holds one back.
 * Owner: the thread of the processor. Bounds: the entries given at open, which take memory as
 * they come (about 130 bytes each); without memory for more the oldest gives way.
 * `crowded` counts those that left too early. Cost: O(1). Source: storage §2.3 step 5. */
#pragma once

#include <stdint.h>

#include "base/id.h"
#include "base/map.h"
#include "base/status.h"

#define PACE_MS        1000u
#define PACE_KEY_BYTES (2 * ID_BYTES) /* chat, user */

struct pace_entry {
    uint8_t key[PACE_KEY_BYTES];
    uint64_t left_ms, upto;
    uint32_t older, newer;
};

struct pace {
    struct map index;
    struct pace_entry *entries;
    uint32_t capacity, used, oldest, newest;
    uint64_t crowded; /* entries that gave way within PACE_MS: the counter */
};

/* 1 ≤ capacity ≤ 2^30. BUSY: no memory. */
MUST_USE enum status pace_open(struct pace *pace, uint32_t capacity);
void pace_close(struct pace *pace); /* tolerates a zeroed one */

void pace_key(const uint8_t chat[ID_BYTES], const uint8_t user[ID_BYTES],
              uint8_t key[PACE_KEY_BYTES]);

/* When the next receipt may leave; 0: at once. */
uint64_t pace_due_ms(const struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t now_ms);
/* A receipt leaves now; the oldest entry gives way when there is no room. */
void pace_leave(struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t now_ms);

/* Up to which message receipts are durable, as far as it is known here. */
uint64_t pace_upto(const struct pace *pace, const uint8_t key[PACE_KEY_BYTES]);
void pace_raise(struct pace *pace, const uint8_t key[PACE_KEY_BYTES], uint64_t upto);
