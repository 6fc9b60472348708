/* SPDX-License-Identifier: Apache-2.0
 * chat_state.h: the state of one chat as a fold step reads it: head, members, marks; and what every
 * numbered record does with it: take a number, change members, write row and head, announce.
 * Private to the chat files of this room. Source: storage §2.2 steps 0, 5-7. */
#pragma once

#include "core/chat.h"
#include "core/chat_roles.h"
#include "core/fold.h"
#include "wire/gen/frame.pb.h"
#include "wire/policy.h"

struct chat_member {
    const uint8_t *user;
    struct pb_membership is;
    const struct pb_membership *was; /* before this record, if it changes; NULL: it does not */
    bool fresh;                      /* this record brings it in for the first time */
    uint64_t marks[2];               /* by enum mark_column */
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
    size_t member_rows; /* that are stored: of everybody who ever was in, and what a crash left */
};

/* Build the state of what was read. CORRUPT: a row cannot be read, or there are too many. */
MUST_USE enum status chat_state_read(struct chat_state *chat);

struct chat_member *chat_member_find(struct chat_state *chat, const uint8_t *user);
bool chat_member_active(const struct chat_member *member);
/* Is the member entitled to this number? */
bool chat_member_spans(const struct chat_member *member, uint64_t cseq);
/* Is it the last number of a span? */
bool chat_member_ends(const struct chat_member *member, uint64_t cseq);
/* Was the device removed from its user's list? False for who never was a member. */
bool chat_device_removed(struct chat_state *chat, struct slice user, struct slice device);
bool chat_listed(const struct slice *ids, size_t count, struct slice id);
uint64_t chat_stamp(const struct chat_state *chat);

/* ---- refusals ---- */

struct chat_refusal {
    struct slice user, device, mid;
    uint64_t sctr, expected;
    enum pb_error_code reason;
    bool consumed;
};

/* REJECTED to the inbox of its user; nothing else. */
void chat_reject(struct chat_state *chat, const struct chat_refusal *refusal);

/* ---- what an accepted record does, in this order ---- */

/* Take the next number and its time. */
void chat_number(struct chat_state *chat);
/* The member to be changed, made if there is none; its side row will be written. Spans have room
 * for one more, leaves for CHAT_LEAVES_MAX. NULL: the arena is exhausted. */
struct chat_member *chat_member_change(struct chat_state *chat, const uint8_t *user);
/* From this number on, if it is not in. */
void chat_member_enter(const struct chat_state *chat, struct chat_member *member);
/* Is there room for everybody of the new policy to be in: a row each, a span for who enters? */
bool chat_members_fit(struct chat_state *chat, const struct role_change *change);
/* Up to this number, if it is in. */
void chat_member_leave(struct chat_member *member, uint64_t last);
/* The side rows of all that changed, and the marks of who enters: it starts at its join − 1. */
void chat_members_write(struct chat_state *chat);
/* Row and head, in one partition, the head last. The entry carries the number already. */
void chat_row_write(struct chat_state *chat, const struct pb_entry *entry);
/* One ANNOUNCE for each user entitled to the entry, its author included; where a membership ends
 * here, the marks of those who stay. */
void chat_announce(struct chat_state *chat, const struct pb_entry *entry);

/* The head with `applied` at this record, in its bytes. */
struct slice chat_head_pack(struct chat_state *chat);

/* ---- epochs: the mid that was accepted for each ---- */

/* The key's number: slot 0 is the creation of the generation, above it the epoch a commit made.
 * False: neither can exist. */
bool chat_epoch_slot(uint32_t gen, uint64_t slot, uint64_t *n);
/* Was this mid accepted there? */
bool chat_epoch_known(const struct chat_state *chat, uint64_t n, struct slice mid);
/* Just before row and head, of whose partition it is. */
void chat_epoch_write(struct chat_state *chat, uint64_t n, struct slice mid);

/* ---- policies ---- */

/* Has it more members than a group may have? */
bool chat_policy_large(struct slice policy);
/* Users who are in the policy still, but left or closed their account. False: no memory. */
bool chat_left_read(struct chat_state *chat, const struct slice **left, size_t *count);

/* ---- chat_create.c, chat_commit.c, chat_leave.c, chat_receipt.c ---- */

void chat_create_plan(const struct fold_record *record, struct fold_reads *reads);
void chat_create_apply(struct chat_state *chat);
void chat_commit_plan(const struct fold_record *record, struct fold_reads *reads);
void chat_commit_apply(struct chat_state *chat);
void chat_leave_apply(struct chat_state *chat);
void chat_device_change_apply(struct chat_state *chat);

/* Receipts: what to read of the passed range, the fold itself, and the repetition on replay. */
void chat_receipt_plan(struct chat_state *chat, struct fold_reads *reads);
void chat_receipt_apply(struct chat_state *chat);
void chat_minima_again(struct chat_state *chat);
/* A membership ended at this number, so that marks of the others may have risen: one receipt to
 * each who stays, whatever it says, so that a replay bears the same number of them. */
void chat_minima_ended(struct chat_state *chat, uint64_t cseq);
