/* SPDX-License-Identifier: Apache-2.0
 * password.h: the slow hash of account passwords (proof §12: Argon2id, t = 2, m = 19 MiB as floor).
 * Never on a shard: a bounded pool; BUSY when its queue is full. Adapters: sodium (thread pool),
 * sim.
 * Completion-shaped. Texts are copied and wiped by the adapter. Owner: one thread per handle. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define PASSWORD_HASH_BYTES 128 /* encoded, with its zero */

struct password_done {
    uint64_t token;
    bool match;                     /* verify: it matched */
    char hash[PASSWORD_HASH_BYTES]; /* hash: the encoded result */
};

struct password_port {
    const struct password_vtable *vtable;
};

struct password_vtable {
    enum status (*hash)(struct password_port *, struct slice password, uint64_t token) MUST_USE;
    /* An empty `hash` verifies against a dummy of equal cost and never matches (unknown user). */
    enum status (*verify)(struct password_port *, struct slice password, struct slice hash,
                          uint64_t token) MUST_USE;
    size_t (*poll)(struct password_port *, struct password_done *out, size_t max);
};
