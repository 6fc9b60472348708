/* SPDX-License-Identifier: Apache-2.0
 * mind.h: what the files of this room call of each other. Private to src/client.
 * Owner: the step under way; everything here writes into client->out. */
#pragma once

#include "client/client.h"

/* No counter, row or connection ever gets that far: a higher number is a lie, and its successors
 * would begin again at 0. */
#define NUMBER_MAX (UINT64_C(1) << 62)

/* client.c: randomness, effects, requests. */
void mind_random(struct client *client, uint8_t *out, size_t bytes);
uint64_t mind_jitter(struct client *client, uint64_t bound_ms);    /* 0 … bound − 1 */
struct slice mind_keep(struct client *client, struct slice bytes); /* a copy in the state */
void mind_store(struct client *client, enum pb_store_op_kind kind, enum pb_table table,
                struct slice key, struct slice value);
struct pb_notice *mind_notice(struct client *client, enum pb_notice_body body);
/* Send; a request gets its number and is awaited (id, n and command come back with the answer). */
void mind_send(struct client *client, struct pb_frame *frame);
bool mind_request(struct client *client, struct pb_frame *frame, const uint8_t id[ID_BYTES],
                  uint64_t n, uint32_t command);
/* Requests of this kind with this id are no longer awaited. */
void mind_forget(struct client *client, enum pb_frame_body kind, const uint8_t id[ID_BYTES]);
void mind_result(struct client *client, uint32_t command, enum pb_error_code error,
                 struct slice detail);
struct pb_notice_result *mind_result_of(struct client *client, uint32_t command);
void mind_wake(struct client *client, uint64_t mono_ms);
void mind_hash(struct slice bytes, uint8_t out[32]);
void mind_close(struct client *client);

/* rows.c: state ↔ rows. */
void rows_restore(struct client *client, const struct pb_state_row *row);
void rows_store_dirty(struct client *client);
void rows_store_entry(struct client *client, const struct client_entry *entry);
void rows_delete_entry(struct client *client, const uint8_t chat[ID_BYTES], uint64_t sctr);
void rows_delete_message(struct client *client, const uint8_t chat[ID_BYTES], uint64_t cseq);
void rows_compact(struct client *client);
struct client_chat *rows_chat_new(struct client *client, const uint8_t id[ID_BYTES]);
struct client_user *rows_user_new(struct client *client, const uint8_t id[ID_BYTES]);
/* A new last element; NULL at its bound, or (exhausted) without memory. */
struct client_device *rows_device_new(struct client *client, struct client_user *user);
struct client_removed *rows_removed_new(struct client *client, struct client_chat *chat);

/* outbox.c */
bool outbox_compose(struct client *client, struct client_chat *chat, struct slice text,
                    uint32_t command);
void outbox_pump(struct client *client); /* send what is due, oldest first */
void outbox_unpark(struct client *client, const struct client_chat *chat);
void outbox_tick(struct client *client, const struct client_entry *entry, enum pb_tick which,
                 uint64_t cseq, uint32_t reason);
void outbox_resend(struct client_chat *chat, uint64_t at_mono);

/* refusals.c; content: of the own message, NULL = not readable */
void outbox_settle(struct client *client, struct client_chat *chat,
                   const struct pb_message *message, const struct pb_content *content);
void outbox_sent(struct client *client, const struct pb_sent *sent);
void outbox_rejected(struct client *client, const struct pb_rejected *rejected);
void outbox_repeat(struct client *client, const struct pb_repeat *repeat);
void outbox_error(struct client *client, const struct client_request *request,
                  const struct pb_error *error);
void outbox_loaded(struct client *client, struct client_chat *chat);
void outbox_chat_exists(struct client *client, struct client_chat *chat);
void outbox_filled(struct client *client, struct client_entry *entry);
void outbox_fail(struct client *client, struct client_entry *entry, uint32_t reason, bool consumed);

/* journal.c */
void journal_keep(struct client *client, const struct client_entry *entry, uint64_t cseq);
void journal_restore(struct client *client, struct slice key, struct slice value);
void journal_chat_lost(struct client *client, struct client_chat *chat, uint64_t head,
                       uint64_t last_sctr);
void journal_unlisted(struct client *client);

/* timeline.c: false = waits for a device list, nothing was changed. */
bool timeline_message(struct client *client, const struct pb_message *message);
void timeline_member(struct client *client, const struct pb_member_change *member);
void timeline_commit(struct client *client, const struct pb_commit_entry *entry);
void timeline_hold(struct client_chat *chat, uint64_t from, uint64_t to);
void timeline_drop_above(struct client_chat *chat, uint64_t head);
void timeline_load(struct client *client);
void timeline_page(struct client *client, const struct pb_history_page *page);
void timeline_snapshot_chat(struct client *client, const struct pb_chat_state *state);

/* sync.c */
void sync_connect_later(struct client *client);
void sync_connected(struct client *client);
void sync_lost(struct client *client);
void sync_timer(struct client *client);
void sync_welcome(struct client *client, const struct pb_welcome *welcome);
/* The server answers, and is not to be trusted: said to the person, once. name: what it said. */
void sync_doubt(struct client *client, enum client_doubt doubt, struct slice name);
void sync_hello(struct client *client);
void sync_ready(struct client *client, const struct pb_ready *ready);
void sync_push(struct client *client, const struct pb_push *push);
void sync_part(struct client *client, const struct pb_sync_part *part);
void sync_snapshot_page(struct client *client, const struct pb_snapshot_page *page);
void sync_repair(struct client *client);
void sync_snapshot(struct client *client);
void sync_goaway(struct client *client, const struct pb_goaway *goaway);
/* When to send again what was acknowledged and does not return, and marks that do not come true:
 * from the shortest wait; the same if no wait is under way; the same if it has grown. */
void sync_settle_soon(struct client *client);
void sync_settle_arm(struct client *client);
void sync_progress(struct client *client);
void sync_finish(struct client *client); /* end of a step: synced? ACK, flush */

/* marks.c */
void marks_receipt(struct client *client, const struct pb_receipt_entry *receipt);
void marks_own(struct client *client, const struct pb_own *own);
void marks_read(struct client *client, const struct pb_command_read *read, uint32_t command);
void marks_answer(struct client *client, const struct pb_marks_answer *answer, uint32_t command);
/* Ask for what this device wants to be true; false: nothing is wanted, or not synced. */
bool marks_send(struct client *client, struct client_chat *chat);
void marks_raise(struct client *client, struct client_chat *chat, uint64_t delivered,
                 uint64_t read);
void marks_hide(struct client_chat *chat, uint64_t cseq);

/* contacts.c */
void contacts_want(struct client *client, const uint8_t user[ID_BYTES], uint64_t n);
void contacts_fetch(struct client *client, struct client_user *user);
void contacts_lists(struct client *client, struct client_user *user,
                    const struct pb_devlist_answer *answer);
void contacts_wait(struct client *client, struct slice username, struct slice text, bool is_send,
                   uint32_t command);
void contacts_lookup(struct client *client, const struct client_request *request,
                     const struct pb_lookup_answer *answer);
void contacts_go_on(struct client *client);
void contacts_refused(struct client *client, const struct client_request *request,
                      const struct pb_error *error);
/* An entry is of a device that no list here names. true: it must wait, for a list may name it that
 * was made since the newest answer; false: the server was asked after the entry came. */
bool contacts_ask(struct client *client, struct client_user *user, const uint8_t device[ID_BYTES]);
const uint8_t *contacts_sigpub(const struct client_user *user, const uint8_t device[ID_BYTES]);
struct client_chat *contacts_chat_with(struct client *client, struct client_user *user);

/* account.c */
void account_command(struct client *client, const struct pb_event_command *command);
void account_enrol(struct client *client); /* after WELCOME */
void account_granted(struct client *client, const struct pb_granted *granted);
void account_vault(struct client *client, const struct pb_vault_answer *vault);
void account_ok(struct client *client, const struct client_request *request,
                const struct pb_ok *ok);
void account_lists(struct client *client, const struct pb_devlist_answer *answer);
void account_error(struct client *client, const struct client_request *request,
                   const struct pb_error *error);
void account_put_again(struct client *client, uint64_t dl_n);
void account_remove_go_on(struct client *client);
