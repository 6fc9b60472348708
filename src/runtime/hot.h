/* SPDX-License-Identifier: Apache-2.0
 * hot.h: the rows that a lane reads again and again, kept beside the store: heads of chats and
 * users, senders, a user's place in a chat; members and marks of a chat as a whole.
 * Invariants: what is kept is what the store would answer now, that is, after the last finished
 * commit; a row comes in as the store's own answer (also "not there") and follows what is
 * committed by the rules of base/row.h. What is not kept is unknown: the store is asked. Hence the
 * lane must be the only writer of these tables: on one machine, not in a fleet.
 * Owner: one lane, with which it begins empty and ends. Bounds: the bytes given at open, values
 * and all; the answer that was used longest ago gives way. Memory is taken as it is needed.
 * Cost: O(1); copying what is answered. Source: ADR 0043. */
#pragma once

#include "base/arena.h"
#include "base/row.h"
#include "base/status.h"
#include "core/fold.h"

#define HOT_CHUNK_ENTRIES 256u         /* taken at once: about 30 KB */
#define HOT_ANSWER_BYTES  (128u << 10) /* a larger answer is not kept */

/* One answer: the row of a GET, found or not, or all members or marks of a chat. */
struct hot_entry {
    struct row_key key; /* where its range begins */
    uint64_t hash;
    struct row *rows; /* their values lie behind them, in the same block */
    size_t rows_count, block_bytes;
    uint32_t same;         /* the next one of this slot */
    uint32_t older, newer; /* by last use; of free ones: older is the next free one */
};

struct hot {
    struct hot_entry **chunks;
    uint32_t *slots; /* a power of two; index or HOT_NONE */
    uint32_t slots_count, chunks_count, chunks_max;
    uint32_t used, free_first, oldest, newest;
    size_t bytes, bytes_max;
    uint64_t answered, asked; /* wants of these tables: from here, of all */
};

/* 0 bytes: nothing is ever kept. BUSY: no memory. */
MUST_USE enum status hot_open(struct hot *hot, size_t bytes_max);
void hot_close(struct hot *hot); /* tolerates a zeroed one */

/* Answer the want from here, into the arena, with room for `more` rows behind a range; false: ask
 * the store. */
bool hot_answer(struct hot *hot, struct fold_want *want, size_t more, struct arena *arena);

/* The store's own answer to the want, before anything was laid over it. */
void hot_learn(struct hot *hot, const struct fold_want *want);

/* A commit has finished that holds this row, as overlay.h gives it. */
void hot_follow(struct hot *hot, const struct row *row);
