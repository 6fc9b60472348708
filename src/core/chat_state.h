/* SPDX-License-Identifier: Apache-2.0
 * chat_state.h: the state of one chat as a fold step reads it: head, members, marks; and what every
 * numbered record does with it: take a number, write row and head, announce. Private to chat.c and
 * chat_receipt.c. Source: storage §2.2 steps 0, 5-7. */
#pragma once

#include "core/fold.h"

#define CHAT_ENTER_MAX 2u /* members that one record brings in: a direct chat's */

struct chat_member {
    const uint8_t *user;
    struct pb_membership is;
    uint64_t marks[2]; /* by enum mark_column */
};

struct chat_state {
    const struct fold_record *record;
    const struct fold_reads *reads;
    struct arena *arena;
    struct fold_outcome *out;
    struct pb_chat_head head;
    bool found; /* the chat exists */
    struct chat_member *members;
    size_t member_count, member_room;
};

/* Build the state of what was read. CORRUPT: a row cannot be read, or there are too many. */
MUST_USE enum status chat_state_read(struct chat_state *chat);

struct chat_member *chat_member_find(struct chat_state *chat, const uint8_t *user);
bool chat_member_active(const struct chat_member *member);
/* Is the member entitled to this number? */
bool chat_member_spans(const struct chat_member *member, uint64_t cseq);
bool chat_device_removed(const struct chat_state *chat, struct slice device);
uint64_t chat_stamp(const struct chat_state *chat);

/* The head with `applied` at this record, in its bytes. */
struct slice chat_head_pack(struct chat_state *chat);
/* Take the next number and its time. */
void chat_number(struct chat_state *chat);
/* Row and head, in one partition, the head last. The entry carries the number already. */
void chat_row_write(struct chat_state *chat, const struct pb_entry *entry);
/* One ANNOUNCE for each user entitled to the entry, its author included. */
void chat_announce(struct chat_state *chat, const struct pb_entry *entry);

/* Receipts: what to read of the passed range, the fold itself, and the repetition on replay. */
void chat_receipt_plan(struct chat_state *chat, struct fold_reads *reads);
void chat_receipt_apply(struct chat_state *chat);
void chat_minima_again(struct chat_state *chat);
