/* SPDX-License-Identifier: Apache-2.0
 * audit.h: what operators did, with their reason: DATA/audit.log, one JSON object a line, appended
 * and synced before the act, never rewritten, read by nobody but people. It names accounts by
 * user_id (parleyctl users list shows which that is), never by name, and holds no secret.
 * Owner: the main thread. Bounds: AUDIT_REASON_BYTES of a reason. Source: proof §13. */
#pragma once

#include "base/id.h"
#include "base/status.h"

#define AUDIT_REASON_BYTES 200u

struct audit_entry {
    const char *act;
    uint32_t uid;        /* who asked, on this machine */
    const uint8_t *user; /* ID_BYTES, or NULL: of no account */
    const uint8_t *mid;  /* ID_BYTES, or NULL: of no message */
    const char *reason;  /* checked by audit_reason_valid */
};

/* 3 to AUDIT_REASON_BYTES bytes of text without control characters. */
bool audit_reason_valid(const char *reason);

/* IO and a text: then the act must not be done. */
MUST_USE enum status audit_write(const char *data, const struct audit_entry *entry,
                                 struct failure *failure);
