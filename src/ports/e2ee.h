/* SPDX-License-Identifier: Apache-2.0
 * e2ee.h: the client's cryptography: its keys, its signatures, sealing and opening (e2ee §§3, 7,
 * 15).
 * Synchronous, no I/O, no clock; randomness is handed in. Linked, not opened: `clear` (a stand-in
 * that signs for real but does not encrypt) here, crates/e2ee later. Formats that server and client
 * share (device list, policy, envelope header, padding) are laid out by wire; this port gets their
 * bytes.
 * Delta rule: a call marked [delta] changes the rows of the context; the caller takes them and
 * stores them in the same transaction as its own, before any frame leaves. Another [delta] before
 * the take adds to it. Secrets never leave but inside rows and the vault. Owner: one thread per
 * context. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/slice.h"

#define E2EE_KEY_BYTES     32
#define E2EE_SIG_BYTES     64
#define E2EE_CONTEXT_BYTES 108 /* envelope header ‖ user_id ‖ mid */
#define E2EE_SEAL_BYTES    80  /* tag and signature behind the padded content */

/* e2ee §15 */
enum e2ee_error {
    E2EE_OK = 0,
    E2EE_ARG = -1,
    E2EE_FORMAT = -2,
    E2EE_CRYPTO = -3,
    E2EE_POLICY = -4,
    E2EE_EPOCH = -5,
    E2EE_STATE = -6,
    E2EE_REJOIN = -7,
    E2EE_LIMIT = -8,
    E2EE_TIME = -9,
    E2EE_SUITE = -10,
    E2EE_IDENTITY = -11,
    E2EE_DEVLIST = -12,
    E2EE_RANDOM = -13,
    E2EE_INTERNAL = -14,
    E2EE_KT = -15,
};

/* What a message to sign must begin with: no signature serves twice. */
enum e2ee_purpose {
    E2EE_SIGN_SESSION = 1, /* device key: "parley/session/v1" */
    E2EE_SIGN_DEVLIST,     /* DSK: "parley/devlist/v1" */
};

/* Public facts of the account and device in the context; zeros where there is none yet. */
struct e2ee_facts {
    bool has_account, has_device;
    uint8_t user[ID_BYTES], device[ID_BYTES];
    uint8_t aik[E2EE_KEY_BYTES], dsk[E2EE_KEY_BYTES], sigpub[E2EE_KEY_BYTES];
    uint8_t sig_aik[E2EE_SIG_BYTES]; /* AIK certifies (user, dsk_ver, DSK) */
    uint32_t dsk_ver;
};

struct e2ee;

/* False where content is not encrypted: programs say so in one plain line. */
bool e2ee_encrypts(void);

/* An empty context in the arena, which outlives it; NULL when the arena is exhausted. */
struct e2ee *e2ee_open(struct arena *arena);
enum e2ee_error e2ee_restore(struct e2ee *e2ee, struct slice row);
struct e2ee_facts e2ee_facts(const struct e2ee *e2ee);
/* The row to store (copied into the arena), or empty if nothing changed since the last take. */
struct slice e2ee_delta_take(struct e2ee *e2ee, struct arena *arena);

/* [delta] New AIK and DSK. */
enum e2ee_error e2ee_account_create(struct e2ee *e2ee, const uint8_t user[ID_BYTES],
                                    const uint8_t random[2 * E2EE_KEY_BYTES]);
enum e2ee_error e2ee_vault_seal(const struct e2ee *e2ee, uint32_t ver, struct arena *arena,
                                struct slice *out);
/* [delta] FORMAT, IDENTITY (another user's vault). */
enum e2ee_error e2ee_vault_open(struct e2ee *e2ee, const uint8_t user[ID_BYTES],
                                struct slice vault);
/* [delta] STATE without an account. */
enum e2ee_error e2ee_device_create(struct e2ee *e2ee, const uint8_t device[ID_BYTES],
                                   const uint8_t random[E2EE_KEY_BYTES]);
/* ARG: the message does not begin with the label of its purpose. */
enum e2ee_error e2ee_sign(const struct e2ee *e2ee, enum e2ee_purpose purpose, struct slice message,
                          uint8_t sig[E2EE_SIG_BYTES]);

/* [delta] The group of a chat created by this device, before CHAT_CREATE. */
enum e2ee_error e2ee_group_create(struct e2ee *e2ee, const uint8_t chat[ID_BYTES], uint32_t gen,
                                  struct slice policy);
enum e2ee_error e2ee_epoch_key(const struct e2ee *e2ee, const uint8_t chat[ID_BYTES], uint32_t gen,
                               uint64_t epoch, uint8_t key[E2EE_KEY_BYTES]);

/* ct ‖ tag ‖ sig of the padded content, into `out` of padded.bytes + E2EE_SEAL_BYTES. */
enum e2ee_error e2ee_msg_seal(const struct e2ee *e2ee, const uint8_t key[E2EE_KEY_BYTES],
                              struct slice context, struct slice padded, uint8_t *out);
/* Pure. The padded content, into `out` of body.bytes − E2EE_SEAL_BYTES. CRYPTO: not sealed under
 * this key, context and device key. */
enum e2ee_error e2ee_msg_open(const uint8_t key[E2EE_KEY_BYTES],
                              const uint8_t sigpub[E2EE_KEY_BYTES], struct slice context,
                              struct slice body, uint8_t *out);
