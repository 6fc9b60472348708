/* SPDX-License-Identifier: Apache-2.0
 * command.h: the table of what a client may ask: one line a command (protocol §4).
 * A feature adds its line here and its file beside; nothing else knows it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/step.h"

/* Bits of `states`. */
#define IN(state) (1u << (state))

struct command {
    uint8_t tag; /* of Frame.body; also the op of its tickets */
    const char *name;
    uint32_t states; /* in which it is allowed */
    uint32_t body_bytes_max;
    enum rate_class rate;
    bool answered; /* carries a req ≥ 1 */
    bool writes;   /* refused while the server is read-only */
    void (*on_frame)(struct step *step, const struct pb_frame *frame);
    void (*on_rows)(struct step *step);     /* event: ticket, held, results; status OK */
    void (*on_appended)(struct step *step); /* event: ticket, status */
    void (*on_hashed)(struct step *step);   /* event: ticket, held; status OK */
    void (*on_outcome)(struct step *step, const struct pb_outcome *outcome);
};

/* NULL: not a command of this server. */
const struct command *command_find(uint32_t tag);
/* The table, for tests and documents. */
const struct command *command_at(size_t index);
size_t command_count(void);

/* ---- sign_in.c ---- */
void register_on_frame(struct step *step, const struct pb_frame *frame);
void register_on_hashed(struct step *step);
void register_on_outcome(struct step *step, const struct pb_outcome *outcome);
void login_on_frame(struct step *step, const struct pb_frame *frame);
void login_on_rows(struct step *step);
void login_on_hashed(struct step *step);
void hello_on_frame(struct step *step, const struct pb_frame *frame);
void hello_on_rows(struct step *step);
void hello_attach(struct step *step, bool again);
void hello_on_attached(struct step *step, const struct pb_attached *attached);
void invite_on_frame(struct step *step, const struct pb_frame *frame);
void invite_on_rows(struct step *step);
void invite_on_outcome(struct step *step, const struct pb_outcome *outcome);
void password_set_on_frame(struct step *step, const struct pb_frame *frame);
void password_set_on_rows(struct step *step);
void password_set_on_hashed(struct step *step);

/* ---- delivery.c ---- */
void ack_on_frame(struct step *step, const struct pb_frame *frame);
void sync_on_frame(struct step *step, const struct pb_frame *frame);
void sync_on_rows(struct step *step);
void tail_on_rows(struct step *step);
void head_on_rows(struct step *step);
void delivery_on_deliver(struct step *step, const struct pb_deliver *deliver);
void delivery_reset(struct session *session, uint64_t cursor);
void delivery_pump(struct step *step);
void delivered_on_frame(struct step *step, const struct pb_frame *frame);
void ping_on_frame(struct step *step, const struct pb_frame *frame);
bool witness_of_log(struct step *step, struct pb_witness *witness, uint8_t mac[16]);

/* ---- snapshot.c, history.c ---- */
void snapshot_on_frame(struct step *step, const struct pb_frame *frame);
void snapshot_on_rows(struct step *step);
void history_on_frame(struct step *step, const struct pb_frame *frame);
void history_on_rows(struct step *step);
void marks_on_frame(struct step *step, const struct pb_frame *frame);
void marks_on_rows(struct step *step);

/* ---- send.c ---- */
void send_on_frame(struct step *step, const struct pb_frame *frame);
void send_on_appended(struct step *step);
/* The send was not taken: until the chat starts again, its sends are answered RETRY (R1). */
void send_stall(struct step *step, struct slice chat);
void chat_create_on_frame(struct step *step, const struct pb_frame *frame);
void chat_create_on_rows(struct step *step);
void chat_create_on_appended(struct step *step);
void read_on_frame(struct step *step, const struct pb_frame *frame);
void mark_on_rows(struct step *step); /* READ, DELIVERED */
void mark_on_appended(struct step *step);

/* ---- directory.c ---- */
void lookup_on_frame(struct step *step, const struct pb_frame *frame);
void lookup_on_rows(struct step *step);
void devlist_put_on_frame(struct step *step, const struct pb_frame *frame);
void devlist_put_on_outcome(struct step *step, const struct pb_outcome *outcome);
void devlist_get_on_frame(struct step *step, const struct pb_frame *frame);
void devlist_get_on_rows(struct step *step);
void vault_put_on_frame(struct step *step, const struct pb_frame *frame);
void vault_get_on_frame(struct step *step, const struct pb_frame *frame);
void vault_get_on_rows(struct step *step);
void account_on_appended(struct step *step); /* all that a fold answers */
void account_on_outcome(struct step *step, const struct pb_outcome *outcome);
