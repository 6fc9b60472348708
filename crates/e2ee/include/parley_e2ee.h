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
 * any. The only state of the process is the time and the place of the last panic. pe_open gives the
 * calling thread a pool of rayon's that is this thread alone; use the context where it was opened.
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

/* ---- packages ---- */
/* [delta] kps: a list of n ≤ 200 MLSMessages (KeyPackage) of this device, valid from an hour ago
 * for 84 days; packages that nobody can use any more are dropped. SUITE, LIMIT, STATE, TIME (no
 * pe_now). */
int pe_kp_generate(pe_ctx *ctx, uint16_t suite, uint32_t n, int last_resort, pe_buf *kps);
/* Is it sound, of a device that dl_state lists, under its DSK? info: user_id ‖ device_id ‖
 * sigpub 32 ‖ suite u16 ‖ last_resort u8 ‖ not_after u64. FORMAT, CRYPTO, TIME (expired, not yet
 * valid, or longer than 84 days and an hour), SUITE, POLICY (it cannot what our groups require),
 * IDENTITY, DEVLIST. */
int pe_kp_verify(pe_ctx *ctx, const uint8_t *kp, size_t kp_n, const uint8_t *dl_state,
                 size_t dl_state_n, pe_buf *info);

/* ---- group ---- */
/* A chat is an MLS group for each of its generations, named by chat_id and gen (from 1).
 * dl_states: a list of states of pe_devlist_verify, the newest of each user concerned. aad: v1 ‖
 * mid ‖ n u16 × leave statement (user_id ‖ device_id ‖ policy_ver u32 ‖ sig 64, of
 * PE_SIGN_LEAVE). bundle: v1 ‖ epoch after it u64 ‖ commit u32-len ‖ Welcome u32-len ‖ GroupInfo
 * u32-len, MLSMessages, empty where there is none. summary: v1 ‖ suite u16 ‖ epoch u64 ‖ own
 * leaf u32 ‖ leaves u32 ‖ policy_ver u32 ‖ u8 (1 this device is in it, 2 own commit pending, 4
 * commit staged) ‖ time of the own leaf u64 (unix s: renew it by an empty commit when it is old)
 * ‖ authenticator u8-len. joined: chat_id ‖ gen u16 ‖ user_id ‖ device_id of who vouches for the
 * state (zeros after an external join) ‖ n u16 × (user_id ‖ device_id): leaves that no device
 * list confirms, to be removed before anything is sent ‖ summary.
 *
 *            create ──▶ pending ── confirm ──▶ idle ◀── load, join_welcome, join_external
 *   commit: idle ──▶ pending ── confirm or discard ──▶ idle
 *   of others: idle ── process ──▶ staged ── apply or reject ──▶ idle
 * Any other order is STATE. */

/* [delta] policy: the bytes of extension 0xF0A1. kps: a list of at most 256 KeyPackages, all
 * added by one commit, which is pending; without them it is empty, and confirm does nothing.
 * POLICY: not the creator's to make, or the chat_id of a direct chat is not that of its users;
 * what pe_kp_verify says; LIMIT, SUITE, STATE. Not taken by the server: pe_grp_delete. */
int pe_grp_create(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, uint16_t suite,
                  const uint8_t *policy, size_t policy_n, const uint8_t *kps, size_t kps_n,
                  const uint8_t *dl_states, size_t dl_states_n, pe_buf *bundle);
/* Rows of the group, puts only. FORMAT: of something else. REJOIN: they make no group. */
int pe_grp_load(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, const uint8_t *rows,
                size_t rows_n);
int pe_grp_unload(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen);
/* [delta] Deletes the rows of a loaded group; those of one that does not load the host deletes by
 * their prefix. */
int pe_grp_delete(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen);
/* [delta] info: joined. STATE: no KeyPackage fits, or it was used; EPOCH: the loaded group
 * stands no lower; ARG: a member's device list is missing; POLICY, IDENTITY, CRYPTO: the group
 * is not sound. */
int pe_grp_join_welcome(pe_ctx *ctx, const uint8_t *welcome, size_t welcome_n,
                        const uint8_t *dl_states, size_t dl_states_n, pe_buf *info);
/* [delta] Removes the device's old leaf, if there is one. Merged at once: if the server refuses the
 * commit, pe_grp_delete. bundle: a bundle u32-len ‖ joined. As pe_grp_join_welcome; DEVLIST: this
 * device is not listed. */
int pe_grp_join_external(pe_ctx *ctx, const uint8_t *group_info, size_t group_info_n,
                         const uint8_t *dl_states, size_t dl_states_n, const uint8_t *aad,
                         size_t aad_n, pe_buf *bundle);
/* [delta] change: v1 ‖ new policy u32-len (empty: as it is) ‖ KeyPackages to add u32-len, a list
 * of at most 64 ‖ device_ids whose leaves go u32-len ‖ dl_states u32-len. Whatever a reader
 * would refuse is refused here (POLICY, IDENTITY, DEVLIST, TIME, ARG), and nothing is pending
 * then. An empty change renews the own leaf. */
int pe_grp_commit(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, const uint8_t *change,
                  size_t change_n, const uint8_t *aad, size_t aad_n, pe_buf *bundle);
/* [delta] The own commit, or creation, came back from the log. info: summary. */
int pe_grp_confirm(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, pe_buf *info);
/* [delta] Another commit won. */
int pe_grp_discard(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen);
/* Changes no row. told, by the server: v1 ‖ mid ‖ leaves added, leaves removed: n u16 ×
 * (device_id ‖ user_id) each ‖ users added, users removed: n u16 × user_id each ‖ new policy
 * u32-len (empty: unchanged). staged: v1 ‖ u8 (1 external, 2 removes this device) ‖ new epoch
 * u64 ‖ author user_id ‖ device_id ‖ leaves added, leaves removed: n u16 × (user_id ‖ device_id)
 * each ‖ policy u32-len ‖ users who stated that they leave, users whose device lists
 * pe_grp_apply may want: n u16 × user_id each. EPOCH: fetch what lies between. REJOIN: sound,
 * but this state cannot follow it. POLICY: not what was told, or a proposal that has no place in
 * our groups. CRYPTO, FORMAT: garbage. */
int pe_grp_process(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, const uint8_t *commit,
                   size_t commit_n, const uint8_t *told, size_t told_n, pe_buf *staged);
/* [delta] All the rules, then the new epoch. info: summary. POLICY: its author lacked the right;
 * IDENTITY, DEVLIST, TIME, CRYPTO: a leaf that may not enter; ARG: a device list is missing. After
 * a failure it is still staged. */
int pe_grp_apply(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, const uint8_t *dl_states,
                 size_t dl_states_n, pe_buf *info);
int pe_grp_reject(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen);

enum pe_grp_what {
    PE_GRP_SUMMARY = 0,
    PE_GRP_POLICY = 1,
    PE_GRP_LEAVES = 2, /* n u16 × (leaf u32 ‖ user_id ‖ device_id ‖ sigpub 32) */
    PE_GRP_INFO = 3,   /* a GroupInfo of the current epoch, signed by this device */
};
int pe_grp_info(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, uint32_t what, pe_buf *out);
/* k: SECRET, the 32 B of the current epoch. STATE: this device was removed. */
int pe_epoch_key(pe_ctx *ctx, const uint8_t chat_id[16], uint16_t gen, pe_buf *k);

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
