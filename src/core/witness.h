/* SPDX-License-Identifier: Apache-2.0
 * witness.h: the server's proof, to itself, of how far its logs reached (storage §3). A device
 * keeps the newest tokens and shows them in HELLO; a valid one above the head proves that
 * acknowledged data is gone.
 * Invariants: tokens are made from synced state only (R9); a MAC covers every field and, for an
 * inbox, the user: nobody can show another's. Bounds: MAC = HMAC-SHA-256 cut to 16 bytes.
 * Keys: keys/ of the data folder, outside the store; one predecessor is still accepted. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "core/session.h"

#define WITNESS_MAC_BYTES 16

/* What a token says: an inbox reached useq, or a partition of the log reached offset. */
struct witness_claim {
    uint32_t log_epoch;
    bool is_log;
    uint64_t useq;      /* inbox */
    uint32_t partition; /* log */
    uint64_t offset;    /* log */
};

/* The MAC of a claim; `user` counts for an inbox token only. */
void witness_sign(const struct witness_keys *keys, const user_id *user,
                  const struct witness_claim *claim, uint8_t mac[WITNESS_MAC_BYTES]);

/* Was it made by this server, with the present or the previous key? Constant time. */
bool witness_valid(const struct witness_keys *keys, const user_id *user,
                   const struct witness_claim *claim, const uint8_t mac[WITNESS_MAC_BYTES]);
