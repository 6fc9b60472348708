/* SPDX-License-Identifier: Apache-2.0
 * mls_prefix.h: the first bytes of an MLS handshake message, as far as a server looks: it is a
 * commit in the clear (PublicMessage), of this group and epoch, by a member or by one who joins
 * itself. Nothing behind the content type is read: whether it is a valid commit its readers say.
 * Invariants: lengths are in their shortest form; a verdict depends on the bytes alone.
 * Owner: no state; any thread. Source: RFC 9420 §§2.1.2, 6, 6.1; e2ee §6 rule 12. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

#define MLS_GROUP_ID_BYTES (ID_BYTES + 2) /* chat_id ‖ gen */

struct mls_prefix {
    struct slice group_id;           /* into the bytes that were read */
    uint64_t epoch;                  /* that the commit ends */
    bool external;                   /* by a device that is no member yet */
    struct slice authenticated_data; /* for the readers */
};

/* INVALID: cut short, or no commit of this kind. */
enum status mls_prefix_read(struct slice bytes, struct mls_prefix *out) MUST_USE;

/* Is it of this generation of the chat, and of this epoch? */
bool mls_prefix_fits(const struct mls_prefix *prefix, const uint8_t chat[ID_BYTES], uint16_t gen,
                     uint64_t epoch);
