/* SPDX-License-Identifier: Apache-2.0
 * The `clear` adapter of ports/e2ee.h: real Ed25519 keys and lists (libsodium), an unsealed vault,
 * and content that is NOT encrypted: tag and signature of a message are hashes that bind but prove
 * nothing. */
#include "ports/e2ee.h"

#include <string.h>

#include <sodium.h>

#define ROW_BYTES   (2 + 2 * ID_BYTES + 3 * E2EE_KEY_BYTES + 4)
#define VAULT_BYTES (5 + ID_BYTES + 2 * E2EE_KEY_BYTES + 4)
#define HAS_ACCOUNT 1
#define HAS_DEVICE  2

struct e2ee {
    struct e2ee_facts facts;
    uint8_t aik_seed[E2EE_KEY_BYTES], dsk_seed[E2EE_KEY_BYTES], device_seed[E2EE_KEY_BYTES];
    bool changed;
};

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void public_of(const uint8_t *seed, uint8_t *public_key)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    crypto_sign_seed_keypair(public_key, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

static void sign_with(const uint8_t *seed, struct slice message, uint8_t *sig)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES], public_key[E2EE_KEY_BYTES];
    crypto_sign_seed_keypair(public_key, secret, seed);
    crypto_sign_detached(sig, NULL, message.at, message.bytes, secret);
    sodium_memzero(secret, sizeof secret);
}

/* Everything public follows from the seeds. */
static void derive(struct e2ee *e2ee)
{
    struct e2ee_facts *facts = &e2ee->facts;
    if (facts->has_account) {
        uint8_t message[14 + ID_BYTES + 4 + E2EE_KEY_BYTES] = "parley/dsk/v1";
        public_of(e2ee->aik_seed, facts->aik);
        public_of(e2ee->dsk_seed, facts->dsk);
        memcpy(message + 14, facts->user, ID_BYTES);
        put_u32(message + 30, facts->dsk_ver);
        memcpy(message + 34, facts->dsk, E2EE_KEY_BYTES);
        sign_with(e2ee->aik_seed, slice_make(message, sizeof message), facts->sig_aik);
    }
    if (facts->has_device)
        public_of(e2ee->device_seed, facts->sigpub);
}

bool e2ee_encrypts(void)
{
    return false;
}

struct e2ee *e2ee_open(struct arena *arena)
{
    return ARENA_NEW(arena, struct e2ee);
}

struct e2ee_facts e2ee_facts(const struct e2ee *e2ee)
{
    return e2ee->facts;
}

enum e2ee_error e2ee_restore(struct e2ee *e2ee, struct slice row)
{
    const uint8_t *at = row.at;
    memset(e2ee, 0, sizeof *e2ee);
    if (row.bytes != ROW_BYTES || at[0] != 1 || at[1] > (HAS_ACCOUNT | HAS_DEVICE))
        return E2EE_FORMAT;
    e2ee->facts.has_account = (at[1] & HAS_ACCOUNT) != 0;
    e2ee->facts.has_device = (at[1] & HAS_DEVICE) != 0;
    memcpy(e2ee->facts.user, at + 2, ID_BYTES);
    memcpy(e2ee->facts.device, at + 18, ID_BYTES);
    memcpy(e2ee->aik_seed, at + 34, E2EE_KEY_BYTES);
    memcpy(e2ee->dsk_seed, at + 66, E2EE_KEY_BYTES);
    memcpy(e2ee->device_seed, at + 98, E2EE_KEY_BYTES);
    e2ee->facts.dsk_ver = get_u32(at + 130);
    derive(e2ee);
    return E2EE_OK;
}

struct slice e2ee_delta_take(struct e2ee *e2ee, struct arena *arena)
{
    uint8_t *at = e2ee->changed ? arena_alloc(arena, ROW_BYTES) : NULL;
    if (!at)
        return SLICE_EMPTY;
    at[0] = 1;
    at[1] = (uint8_t)((e2ee->facts.has_account ? HAS_ACCOUNT : 0) |
                      (e2ee->facts.has_device ? HAS_DEVICE : 0));
    memcpy(at + 2, e2ee->facts.user, ID_BYTES);
    memcpy(at + 18, e2ee->facts.device, ID_BYTES);
    memcpy(at + 34, e2ee->aik_seed, E2EE_KEY_BYTES);
    memcpy(at + 66, e2ee->dsk_seed, E2EE_KEY_BYTES);
    memcpy(at + 98, e2ee->device_seed, E2EE_KEY_BYTES);
    put_u32(at + 130, e2ee->facts.dsk_ver);
    e2ee->changed = false;
    return slice_make(at, ROW_BYTES);
}

enum e2ee_error e2ee_account_create(struct e2ee *e2ee, const uint8_t user[ID_BYTES],
                                    const uint8_t random[2 * E2EE_KEY_BYTES])
{
    memset(e2ee, 0, sizeof *e2ee);
    e2ee->facts.has_account = e2ee->changed = true;
    e2ee->facts.dsk_ver = 1;
    memcpy(e2ee->facts.user, user, ID_BYTES);
    memcpy(e2ee->aik_seed, random, E2EE_KEY_BYTES);
    memcpy(e2ee->dsk_seed, random + E2EE_KEY_BYTES, E2EE_KEY_BYTES);
    derive(e2ee);
    return E2EE_OK;
}

enum e2ee_error e2ee_vault_seal(const struct e2ee *e2ee, uint32_t ver, struct arena *arena,
                                struct slice *out)
{
    uint8_t *at = e2ee->facts.has_account ? arena_alloc(arena, VAULT_BYTES) : NULL;
    *out = SLICE_EMPTY;
    if (!at)
        return E2EE_STATE;
    at[0] = 1;
    put_u32(at + 1, ver);
    memcpy(at + 5, e2ee->facts.user, ID_BYTES);
    memcpy(at + 21, e2ee->aik_seed, E2EE_KEY_BYTES);
    memcpy(at + 53, e2ee->dsk_seed, E2EE_KEY_BYTES);
    put_u32(at + 85, e2ee->facts.dsk_ver);
    *out = slice_make(at, VAULT_BYTES);
    return E2EE_OK;
}

enum e2ee_error e2ee_vault_open(struct e2ee *e2ee, const uint8_t user[ID_BYTES], struct slice vault)
{
    if (vault.bytes != VAULT_BYTES || vault.at[0] != 1)
        return E2EE_FORMAT;
    if (memcmp(vault.at + 5, user, ID_BYTES) != 0)
        return E2EE_IDENTITY;
    memset(e2ee, 0, sizeof *e2ee);
    e2ee->facts.has_account = e2ee->changed = true;
    memcpy(e2ee->facts.user, user, ID_BYTES);
    memcpy(e2ee->aik_seed, vault.at + 21, E2EE_KEY_BYTES);
    memcpy(e2ee->dsk_seed, vault.at + 53, E2EE_KEY_BYTES);
    e2ee->facts.dsk_ver = get_u32(vault.at + 85);
    derive(e2ee);
    return E2EE_OK;
}

enum e2ee_error e2ee_device_create(struct e2ee *e2ee, const uint8_t device[ID_BYTES],
                                   const uint8_t random[E2EE_KEY_BYTES])
{
    if (!e2ee->facts.has_account)
        return E2EE_STATE;
    e2ee->facts.has_device = e2ee->changed = true;
    memcpy(e2ee->facts.device, device, ID_BYTES);
    memcpy(e2ee->device_seed, random, E2EE_KEY_BYTES);
    derive(e2ee);
    return E2EE_OK;
}

enum e2ee_error e2ee_sign(const struct e2ee *e2ee, enum e2ee_purpose purpose, struct slice message,
                          uint8_t sig[E2EE_SIG_BYTES])
{
    bool session = purpose == E2EE_SIGN_SESSION;
    /* 18 B with the zero */
    const char *label = session ? "parley/session/v1" : "parley/devlist/v1";
    if (message.bytes < 18 || memcmp(message.at, label, 18) != 0)
        return E2EE_ARG;
    if (session ? !e2ee->facts.has_device : !e2ee->facts.has_account)
        return E2EE_STATE;
    sign_with(session ? e2ee->device_seed : e2ee->dsk_seed, message, sig);
    return E2EE_OK;
}

enum e2ee_error e2ee_group_create(struct e2ee *e2ee, const uint8_t chat[ID_BYTES], uint32_t gen,
                                  struct slice policy)
{
    (void)chat;
    return !e2ee->facts.has_device         ? E2EE_STATE
           : gen == 0 || policy.bytes == 0 ? E2EE_ARG
                                           : E2EE_OK;
}

enum e2ee_error e2ee_epoch_key(const struct e2ee *e2ee, const uint8_t chat[ID_BYTES], uint32_t gen,
                               uint64_t epoch, uint8_t key[E2EE_KEY_BYTES])
{
    uint8_t input[ID_BYTES + 12];
    (void)e2ee; /* no secret stands behind it: every member, and everybody else, can make it */
    memcpy(input, chat, ID_BYTES);
    put_u32(input + ID_BYTES, gen);
    put_u32(input + ID_BYTES + 4, (uint32_t)(epoch >> 32));
    put_u32(input + ID_BYTES + 8, (uint32_t)epoch);
    crypto_generichash(key, E2EE_KEY_BYTES, input, sizeof input, NULL, 0);
    return E2EE_OK;
}

/* tag 16 ‖ stand-in for a signature 64, behind the content. */
static void bind(const uint8_t *key, const uint8_t *sigpub, struct slice context,
                 struct slice content, uint8_t out[E2EE_SEAL_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, E2EE_KEY_BYTES, 16);
    crypto_generichash_update(&state, context.at, context.bytes);
    crypto_generichash_update(&state, content.at, content.bytes);
    crypto_generichash_final(&state, out, 16);
    crypto_generichash_init(&state, sigpub, E2EE_KEY_BYTES, 64);
    crypto_generichash_update(&state, context.at, context.bytes);
    crypto_generichash_update(&state, out, 16);
    crypto_generichash_final(&state, out + 16, 64);
}

enum e2ee_error e2ee_msg_seal(const struct e2ee *e2ee, const uint8_t key[E2EE_KEY_BYTES],
                              struct slice context, struct slice padded, uint8_t *out)
{
    if (!e2ee->facts.has_device)
        return E2EE_STATE;
    if (context.bytes != E2EE_CONTEXT_BYTES)
        return E2EE_ARG;
    memcpy(out, padded.at, padded.bytes);
    bind(key, e2ee->facts.sigpub, context, padded, out + padded.bytes);
    return E2EE_OK;
}

enum e2ee_error e2ee_msg_open(const uint8_t key[E2EE_KEY_BYTES],
                              const uint8_t sigpub[E2EE_KEY_BYTES], struct slice context,
                              struct slice body, uint8_t *out)
{
    uint8_t wanted[E2EE_SEAL_BYTES];
    if (context.bytes != E2EE_CONTEXT_BYTES || body.bytes < E2EE_SEAL_BYTES)
        return E2EE_ARG;
    size_t bytes = body.bytes - E2EE_SEAL_BYTES;
    bind(key, sigpub, context, slice_sub(body, 0, bytes), wanted);
    if (sodium_memcmp(wanted, body.at + bytes, E2EE_SEAL_BYTES) != 0)
        return E2EE_CRYPTO;
    memcpy(out, body.at, bytes);
    return E2EE_OK;
}
