/* SPDX-License-Identifier: Apache-2.0
 * account.h: ACCOUNT records in the inbox fold: sign-up, device list, vault, password, invites;
 * and the operator's: state (suspended, closed) and reset.
 * Invariants: each is compare-and-set on a number of the user's head, so that a repeat changes
 * nothing;
 * directory rows come first, the head last; a row that carries this record's own stamp was written
 * by an attempt that a crash cut short, and counts as not yet there.
 * What a gateway decides before the append (policy of sign-up, old password, validity of a name) is
 * not decided again. Identity reset (devlist flag 1) is refused here.
 * Source: e2ee §4, protocol §3, storage §2.3. */
#pragma once

#include "core/inbox.h"

void account_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena);
MUST_USE enum status account_apply(struct inbox_state *inbox);
/* At or below applied: a device list is told to the chats of its user again. */
void account_replay(struct inbox_state *inbox);
