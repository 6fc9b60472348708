/* SPDX-License-Identifier: Apache-2.0
 * parley_e2ee.h: the cryptography of a client, by crates/e2ee (e2ee §§2–7, 15).
 *
 * A pe_ctx is one account on one device. It does no I/O: time comes by pe_now, randomness by
 * parley_random, and what must be kept comes out as a delta of rows.
 *
 * Conventions. Functions that can fail return 0 or a code below. IN x is `x, x_n`: bytes that live
 * for the call and are copied if kept; NULL only with 0. An id is 16 bytes. out x is a pe_buf that
 * the caller hands in empty (or whose bytes are not the crate's) and that is empty after a failure;
 * its bytes are the crate's until pe_buf_free, which wipes them. Integers inside bytes are
 * big-endian. A "list" is items one behind another, each u32 length ‖ bytes. Outputs marked SECRET
 * are keys: wipe every copy.
 *
 * Threads. A context is used by one thread; functions without one are pure and may be called from
 * any. The only state of the process is the time and the place of the last panic. Once, pe_open
 * gives rayon a pool of one thread, the caller's.
 *
 * Delta rule. A call marked [delta] changes rows. pe_delta_take hands them out, and the caller
 * commits them in the transaction of its own rows, before any frame is sent. Another [delta] call
 * before the take is PE_E_STATE. If the transaction fails: pe_delta_drop, then load groups again. A
 * [delta] call that fails leaves no rows.
 *
 * Rows are secret, the caller seals them at rest. Their keys begin with 0x01 (account), 0x02
 * (device), 0x03 (key packages), or 0x10 ‖ chat_id ‖ gen u16 (a group): all but groups are handed
 * to pe_restore at once, the rows of one group to pe_grp_load.
 *
 * Panics stop here: PE_E_INTERNAL, and the context is dead (every call says so again): close it,
 * open a new one from the rows. On wasm32 they trap: discard the instance. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PE_ABI_VERSION 1u

#define PE_ID_BYTES         16
#define PE_KEY_BYTES        32
#define PE_SIG_BYTES        64
#define PE_HEADER_BYTES     76 /* of an envelope */
#define PE_FACTS_BYTES      199
#define PE_CREDENTIAL_BYTES 229

#define PE_SUITE_CLASSIC 0x0001u /* X25519, AES-128-GCM, SHA-256, Ed25519 */
#define PE_SUITE_HYBRID  0x004Eu /* ML-KEM-768 with X25519, AES-256-GCM, SHA-384, Ed25519 */

enum pe_error {
    PE_OK = 0,
    PE_E_ARG = -1,       /* the caller's mistake */
    PE_E_FORMAT = -2,    /* bytes that cannot be read */
    PE_E_CRYPTO = -3,    /* a signature or tag that does not verify, the wrong key */
    PE_E_POLICY = -4,    /* sound, but its author lacks the right */
    PE_E_EPOCH = -5,     /* of another epoch; both in pe_last_error */
    PE_E_STATE = -6,     /* not now: what is missing says pe_last_error */
    PE_E_REJOIN = -7,    /* the group cannot be followed any more: join it anew */
    PE_E_LIMIT = -8,     /* too long, too many */
    PE_E_TIME = -9,      /* outside its lifetime, or no pe_now yet */
    PE_E_SUITE = -10,    /* a suite that is not enabled */
    PE_E_IDENTITY = -11, /* not the pinned identity key */
    PE_E_DEVLIST = -12,  /* a device list that is old, forked, broken or lacks the device */
    PE_E_RANDOM = -13,   /* parley_random failed */
    PE_E_INTERNAL = -14, /* a bug; the context is dead */
    PE_E_KT = -15,       /* key transparency */
};

typedef struct {
    uint8_t *p;
    size_t n;
} pe_buf;
typedef struct pe_ctx pe_ctx;

/* The one symbol that the host defines: fills n bytes, 0 if it did. On wasm32 the module's only
 * import (env.parley_random). */
int32_t parley_random(uint8_t *p, size_t n);

/* ---- run ---- */
uint32_t pe_abi_version(void); /* of the library; compare with PE_ABI_VERSION */

/* cfg: v1 ‖ n u8 ‖ n × suite u16, in order of preference. SUITE, RANDOM, FORMAT. */
int pe_open(const uint8_t *cfg, size_t cfg_n, pe_ctx **out);
/* Rows as pe_delta_take gives them (puts only), of account, device and key packages, into a context
 * that has none. FORMAT (nothing was taken), STATE. */
int pe_restore(pe_ctx *ctx, const uint8_t *rows, size_t rows_n);
/* Once per event, before anything that has to do with lifetimes. */
void pe_now(uint64_t unix_s);
/* Wipes all its secrets. NULL is let through. */
void pe_close(pe_ctx *ctx);
/* SECRET. Rows to store: op u8 (1 put, 2 delete) ‖ key, u16 length ‖ value, u32 length (0 for a
 * delete), each key once. Empty if nothing changed, and the second time. */
int pe_delta_take(pe_ctx *ctx, pe_buf *out);
/* All as before the last [delta] call, whether its delta was taken or not; no group is loaded, and
 * the vault must be opened again. */
int pe_delta_drop(pe_ctx *ctx);
/* Wipes. An empty one and NULL are let through. */
void pe_buf_free(pe_buf *buf);
/* One sentence about the last failure of a call on this context: what happened, why, what to do.
 * Never a secret. Works on dead contexts. */
int pe_last_error(pe_ctx *ctx, pe_buf *out);
/* Where the last panic of the process was, as "file:line", ended by a zero; "" if there was none.
 * For hosts of wasm32, which can still read memory after a trap. */
const char *pe_panic_place(void);

/* ---- account ---- */
/* [delta] New identity key, device-list key 1, backup key 1. rk: SECRET, 32 B, the person's; it is
 * kept nowhere here. The identity key stays in memory until pe_vault_seal. STATE: there is one. */
int pe_account_create(pe_ctx *ctx, const uint8_t user_id[16], pe_buf *rk);
/* [delta] The keys of a vault. Where the account is known already, only newer keys are taken, and
 * the identity key is back in memory, for pe_rotate. CRYPTO: the wrong recovery key (compare
 * pe_rk_id with the 8 bytes at 5 of the vault), or changed bytes; IDENTITY: another account than
 * the one here; FORMAT, LIMIT. */
int pe_account_recover(pe_ctx *ctx, const uint8_t user_id[16], const uint8_t *rk, size_t rk_n,
                       const uint8_t *vault, size_t vault_n);
/* v1 ‖ ver u32 ‖ rk_id 8 ‖ nonce 24 ‖ ciphertext ‖ tag 16, and the identity key leaves memory. ver
 * is above that of the vault that was opened (ARG). STATE: the identity key is not in memory. */
int pe_vault_seal(pe_ctx *ctx, const uint8_t *rk, size_t rk_n, uint32_t ver, pe_buf *vault);
/* [delta] New device-list key and backup key, after pe_account_recover. out: SECRET, a list of two:
 * the new vault; and v1 ‖ dsk_ver u32 ‖ DSK seed 32 ‖ sig_AIK 64 ‖ bk_ver u32 ‖ BK 32 for the
 * account's other devices. STATE, LIMIT. */
int pe_rotate(pe_ctx *ctx, const uint8_t *rk, size_t rk_n, pe_buf *out);
/* SECRET. 14 groups of 4 characters, with hyphens. */
int pe_rk_text(const uint8_t *rk, size_t rk_n, pe_buf *text);
/* SECRET. The other way; small letters, spaces, O for 0, I and L for 1 are taken. FORMAT: not 56 of
 * its characters, or the checksum is wrong. */
int pe_rk_parse(const uint8_t *text, size_t text_n, pe_buf *rk);
/* The 8 bytes by which a server names a recovery key. */
int pe_rk_id(const uint8_t *rk, size_t rk_n, pe_buf *rk_id);
/* [delta] This device's key; kind is the host's, as in device lists. sigpub: 32 B. STATE. */
int pe_device_create(pe_ctx *ctx, const uint8_t device_id[16], uint8_t kind, pe_buf *sigpub);
/* v1 ‖ u8 (1 there is an account, 2 a device) ‖ user_id ‖ AIK 32 ‖ dsk_ver u32 ‖ DSK 32 ‖ sig_AIK
 * 64 ‖ device_id ‖ kind u8 ‖ sigpub 32: PE_FACTS_BYTES, zeros for what there is not. */
int pe_facts(pe_ctx *ctx, pe_buf *facts);

enum pe_purpose {
    PE_SIGN_SESSION = 1, /* device key: "parley/session/v1" with its zero ‖ … */
    PE_SIGN_DEVLIST =
        2, /* device-list key: "parley/devlist/v1" ‖ an unsigned list of this account */
    PE_SIGN_LEAVE = 3, /* device key: "parley/leave/v1" ‖ chat_id ‖ gen ‖ user_id ‖ policy_ver */
};
/* msg is the whole message, which begins with the label of its purpose (ARG). sig: 64 B. */
int pe_sign(pe_ctx *ctx, uint8_t purpose, const uint8_t *msg, size_t msg_n, pe_buf *sig);

/* The next device list of this account. prev: the state of the last one (pe_devlist_verify), or
 * empty for the first. change: flags u8 (1 identity reset) ‖ ts u64 ‖ username u8-len (used in the
 * first list) ‖ n u8 × (device_id ‖ sigpub 32 ‖ kind u8 ‖ name u8-len ≤ 80), added, or renamed ‖
 * n u8 × device_id, removed. No devices left closes the account. DEVLIST, IDENTITY: no client would
 * take it; LIMIT: a ninth device. */
int pe_devlist_sign(pe_ctx *ctx, const uint8_t *prev, size_t prev_n, const uint8_t *change,
                    size_t change_n, pe_buf *dl);
/* Pure. chain: a list of device lists, contiguous, from the first, or from at most one behind the
 * pinned state on. pinned: a state, or empty. state: v1 ‖ user_id ‖ AIK 32 ‖ n u32 ‖ H(DL) 32 ‖
 * reset_n u32 (the list that last reset the identity, 0: none) ‖ nrem u16 ‖ nrem × device_id (all
 * that ever were removed) ‖ DL. A reset is let through: whoever pinned the old AIK compares.
 * DEVLIST: lower n, a fork, a gap, a wrong signature; IDENTITY: another AIK without a reset. In
 * both cases send nothing to that user and keep the evidence. */
int pe_devlist_verify(const uint8_t *chain, size_t chain_n, const uint8_t *pinned, size_t pinned_n,
                      pe_buf *state);

/* ---- content ---- */
/* hdr: the 76 bytes of the header, zeros for the nonce, this device's id ‖ mid 16 (zeros if
 * transient). content is padded here. ARG, STATE, LIMIT (64 KiB), RANDOM. */
int pe_msg_seal(pe_ctx *ctx, const uint8_t *k, size_t k_n, const uint8_t *hdr, size_t hdr_n,
                const uint8_t *content, size_t content_n, pe_buf *env);
/* Pure. The header of what may be an envelope. FORMAT, LIMIT. */
int pe_msg_peek(const uint8_t *env, size_t env_n, pe_buf *hdr);
/* Pure. user_id of the sender, whose device has sigpub. CRYPTO: any bit is another. */
int pe_msg_open(const uint8_t *k, size_t k_n, const uint8_t user_id[16], const uint8_t mid[16],
                const uint8_t *sigpub, size_t sigpub_n, const uint8_t *env, size_t env_n,
                pe_buf *content);
/* Pure. m: SECRET, the 32 B that open this one message and no other (an abuse report). */
int pe_msg_reveal(const uint8_t *k, size_t k_n, const uint8_t user_id[16], const uint8_t mid[16],
                  const uint8_t *env, size_t env_n, pe_buf *m);

#ifdef __cplusplus
}
#endif
