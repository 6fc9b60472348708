/* SPDX-License-Identifier: Apache-2.0
 * limits.h: one count of a limit for all shards of a process; synchronous, for the answer decides
 * whether a frame is heard at all.
 * For the classes that fail closed (sign-in, sign-up, guesses, names): they are rare, and a guesser
 * must not gain by the shard that happens to serve him. Owner: any shard. Source: ADR 0037. */
#pragma once

#include <stdint.h>

#include "base/id.h"

struct limits {
    const struct limits_vtable *vtable;
};

struct limits_vtable {
    /* As limiter_take and limiter_give (base/limiter.h). */
    uint32_t (*take)(struct limits *, uint8_t class, const uint8_t key[ID_BYTES], uint64_t mono_ms);
    void (*give)(struct limits *, uint8_t class, const uint8_t key[ID_BYTES]);
};
