/* SPDX-License-Identifier: Apache-2.0
 * step.h: what one step of a session works with, and how it speaks: effects are appended here only.
 * Private to the session files of this room (session, command and one file per feature).
 * Invariants: at most SESSION_EFFECTS_MAX effects a step; nothing after a CLOSE. Owner: one
 * step. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/row.h"
#include "core/session.h"
#include "wire/gen/frame.pb.h"
#include "wire/gen/record.pb.h"
#include "wire/gen/row.pb.h"
#include "wire/gen/rpc.pb.h"

#define ROW_VERSION           1u
#define TOPIC_OF_CHATS        1u /* enum topic, ports/bus.h */
#define TOPIC_OF_USERS        2u
#define SESSION_IN_FLIGHT_MAX 128u
#define ANSWER_BYTES_MAX      (768u << 10) /* of pages: well below the frame's 1 MiB */
#define BUSY_RETRY_MS         500u

/* Operations in flight that no frame asked for: above all frame tags. */
enum { OP_TAIL = 200, OP_HEAD = 201 };

struct step {
    struct session *session;
    const struct session_config *config;
    const struct event *event;
    struct arena *arena;
    struct effects *effects;
    uint32_t output_bytes; /* that waited before the step, and what it added */
};

/* ---- answers ---- */
void step_send(struct step *step, const struct pb_frame *frame);
void step_error(struct step *step, uint32_t req, enum pb_error_code code);
void step_error_retry(struct step *step, uint32_t req, enum pb_error_code code, uint64_t retry_ms);
void step_conflict(struct step *step, uint32_t req, enum pb_error_code code, uint64_t ver);
void step_ok(struct step *step, uint32_t req, uint64_t ver);
/* ERROR BAD_FRAME; the third one closes with 1008. */
void step_offence(struct step *step, uint32_t req);
void step_goaway(struct step *step, enum pb_goaway_reason reason, uint64_t retry_ms);
/* Tell the inbox's owner that this session ends. */
void step_detach(struct step *step);
void step_close(struct step *step, uint16_t code, const char *reason);

/* For counters and the event log only. */
void step_note(struct step *step, enum note note);

/* ---- operations: each gives back one completion with this ticket and held bytes ---- */
struct ticket step_ticket(uint8_t op, uint32_t req);
void step_submit(struct step *step, uint8_t topic, const uint8_t key[ID_BYTES],
                 const struct pb_record *record, struct ticket ticket);
void step_read(struct step *step, const struct read *reads, size_t reads_count,
               struct ticket ticket, struct slice held);
void step_read_keys(struct step *step, const struct row_key *keys, size_t keys_count,
                    struct ticket ticket, struct slice held);
void step_verify(struct step *step, struct slice password, struct slice hash, struct ticket ticket,
                 struct slice held);
void step_hash(struct step *step, struct slice password, struct ticket ticket, struct slice held);
/* The frame (its bytes) tried nothing wrong: what it took by its name or invite goes back. */
void step_rate_back(struct step *step, struct slice frame);
void step_rate_give(struct step *step, enum rate_class class, const uint8_t key[ID_BYTES]);
void step_rpc(struct step *step, const struct pb_rpc *rpc);
void step_alarm(struct step *step, enum session_alarm alarm, uint64_t claim, uint64_t head);

/* The request that the operation in flight belongs to, decoded again from event.held. */
bool step_held_frame(struct step *step, struct pb_frame *frame);

/* ---- rows ---- */
struct row_key key_one(enum table table, const uint8_t a[ID_BYTES], uint64_t n);
struct row_key key_two(enum table table, const uint8_t a[ID_BYTES], const uint8_t b[ID_BYTES]);
/* Row i of read r, or NULL if it is not there. */
const struct row *step_row(const struct step *step, size_t read, size_t i);
/* A row's message; false if the row is missing or cannot be read. */
bool step_row_message(struct step *step, const struct row *row, const struct pb_type *type,
                      void *out);

/* ---- requests that a fold answers ---- */
/* Keep a place for the answer; false if all are taken (then BUSY was answered). */
bool step_wait(struct step *step, uint32_t req, uint8_t op);
struct session_waiting *step_waiting(struct session *session, uint32_t req);
/* Submit a change of the account; the ticket's op is the waiting one's. */
void step_submit_account(struct step *step, const struct pb_account *account, uint32_t req,
                         uint8_t op);

/* ---- membership, as readers see it ---- */
/* What counts at the head's position: `now`, or `prev` if the side row is ahead of the head. NULL:
 * never a member. */
const struct pb_membership *membership_at(const struct pb_member_row *row, uint64_t head_cseq);
/* The span that began last, or NULL. */
const struct pb_span *membership_span(const struct pb_membership *membership);
bool membership_active(const struct pb_membership *membership);

/* Change an entry into what this user may see of it: a row that a block hides is a tombstone for
 * everybody but its sender. */
void entry_show_to(struct pb_entry *entry, const user_id *user);
