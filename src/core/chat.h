/* SPDX-License-Identifier: Apache-2.0
 * chat.h: the fold of one chat's log (log C): records of topic messages, key chat_id.
 * Invariants: cseq is 1..head without holes; a (device, sctr) pair is bound to one mid for ever;
 * `applied` and `wts` never fall; marks are moved by receipts alone, after their announcement;
 * what is at or below `applied` is never decided anew, only announced again; a side row above the
 * head's cseq is not there yet (its `prev` counts).
 * Here: direct, group and self chats. What is pending stops sending until a commit covers it; in
 * direct chats nothing is, DEVICE_CHANGE drops the leaf itself (ADR 0081).
 * Owner: the thread that owns the chat's partition; no state. Bounds: FOLD_MEMBERS_MAX members at a
 * time, FOLD_MEMBERS_EVER over the years, CHAT_LEAVES_MAX leaves of each.
 * Source: storage §2.2, e2ee §6. Order of checks: chat.c. */
#pragma once

#include "core/fold.h"

#define CHAT_LEAVES_MAX 8u   /* of one user */
#define CHAT_SPANS_MAX  256u /* of one user: so often it may enter */

void chat_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena);
MUST_USE enum status chat_apply(const struct fold_record *record, const struct fold_reads *reads,
                                struct arena *arena, struct fold_outcome *out);
