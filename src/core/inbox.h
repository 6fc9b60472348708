/* SPDX-License-Identifier: Apache-2.0
 * inbox.h: the fold of one user's inbox (log U): records of topic deliveries, key user_id.
 * Invariants: useq is 1..head without holes; the chain of (user, chat) is dense: a cseq enters
 * once and in order, what is ahead of it is dropped and counted (its emitter comes back), what is
 * behind is a repeat;
 * a pointer above the head does not exist yet; the head is written last.
 * ACCOUNT records: account.h. Owner: the thread that owns the user's partition; no state.
 * Source: storage §2.3. */
#pragma once

#include "core/fold.h"

struct inbox_state {
    const struct fold_record *record;
    const struct fold_reads *reads;
    struct arena *arena;
    struct fold_outcome *out;
    struct pb_user_head head;
    bool replay; /* at or below applied: write nothing, emit again */
};

void inbox_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena);
MUST_USE enum status inbox_apply(const struct fold_record *record, const struct fold_reads *reads,
                                 struct arena *arena, struct fold_outcome *out);

/* ---- for account.c ---- */
uint64_t inbox_stamp(const struct inbox_state *inbox);
/* A new entry at the next useq: its pointer row. The head still has to be written. */
void inbox_entry(struct inbox_state *inbox, const struct pb_inbox_row *row,
                 const struct pb_entry *deliver);
void inbox_head_write(struct inbox_state *inbox);
/* DEVICE_CHANGE with all removals of this user so far, into one chat. */
void inbox_device_change(struct inbox_state *inbox, const uint8_t *chat);
