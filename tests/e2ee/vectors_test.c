/* SPDX-License-Identifier: Apache-2.0
 * What crates/e2ee made from fixed keys (crates/e2ee/vectors) is made here again, byte for byte, by
 * other code: formats by src/wire, hashes by OpenSSL, ciphers and signatures by libsodium; device
 * lists also by the `clear` adapter. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "ports/e2ee.h"
#include "vectors.h"
#include "wire/devlist.h"
#include "wire/envelope.h"

#define VAULT_HEAD_BYTES 13
#define CREDENTIAL_BYTES 229

static const char *folder;
static struct vectors vectors; /* 64 KiB */

/* HKDF-Expand, one block. */
static void expand(const uint8_t key[32], struct slice info, uint8_t *out, size_t bytes)
{
    uint8_t block[64], input[512];
    assert_true(info.bytes < sizeof input && bytes <= sizeof block);
    memcpy(input, info.at, info.bytes);
    input[info.bytes] = 1;
    assert_non_null(HMAC(EVP_sha512(), key, 32, input, info.bytes + 1, block, NULL));
    memcpy(out, block, bytes);
}

static void hash(const EVP_MD *kind, struct slice bytes, uint8_t *out)
{
    assert_int_equal(EVP_Digest(bytes.at, bytes.bytes, out, NULL, kind, NULL), 1);
}

static void sign(const uint8_t seed[32], struct slice message, uint8_t sig[64])
{
    uint8_t secret[64], public_key[32];
    crypto_sign_seed_keypair(public_key, secret, seed);
    crypto_sign_detached(sig, NULL, message.at, message.bytes, secret);
}

static void public_of(const uint8_t seed[32], uint8_t public_key[32])
{
    uint8_t secret[64];
    crypto_sign_seed_keypair(public_key, secret, seed);
}

/* 14 groups of 4 characters: 256 bits of key, then 24 of its hash. */
static void rk_text(const uint8_t rk[32], char out[69])
{
    uint8_t input[13 + 32] = "parley/rk/v1", all[32 + 32];
    memcpy(input + 13, rk, 32);
    memcpy(all, rk, 32);
    hash(EVP_sha256(), slice_make(input, sizeof input), all + 32);
    for (size_t i = 0, at = 0; i < 56; i++) {
        unsigned value = 0;
        for (size_t bit = 5 * i; bit < 5 * i + 5; bit++)
            value = value << 1 | (all[bit / 8] >> (7 - bit % 8) & 1);
        if (i > 0 && i % 4 == 0)
            out[at++] = '-';
        out[at++] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[value];
    }
}

static void vaults(void **state)
{
    (void)state;
    vectors_open(&vectors, folder, "vault.txt");
    while (vectors_next(&vectors)) {
        const uint8_t *rk = vectors_fixed(&vectors, "rk", 32);
        const uint8_t *user = vectors_fixed(&vectors, "user", 16);
        struct slice vault = vectors_get(&vectors, "vault");
        char text[69];
        rk_text(rk, text);
        assert_memory_equal(text, vectors_fixed(&vectors, "text", 69), 69);
        uint8_t head[VAULT_HEAD_BYTES + 16] = {1}, key[32], info[16 + 16] = "parley/vault/v1";
        memcpy(head + 1, vectors_fixed(&vectors, "ver", 4), 4);
        expand(rk, slice_make("parley/rkid/v1", 15), head + 5, 8);
        assert_memory_equal(head + 5, vectors_fixed(&vectors, "rk_id", 8), 8);
        assert_memory_equal(vault.at, head, VAULT_HEAD_BYTES);
        memcpy(head + VAULT_HEAD_BYTES, user, 16);
        memcpy(info + 16, user, 16);
        expand(rk, slice_make(info, sizeof info), key, 32);
        uint8_t plain[512], sealed[512];
        struct buf buf = buf_over(plain, sizeof plain);
        buf_put(&buf, slice_make(vectors_fixed(&vectors, "aik_seed", 32), 32));
        buf_put(&buf, slice_make(vectors_fixed(&vectors, "dsk_seed", 32), 32));
        buf_put(&buf, slice_make(vectors_fixed(&vectors, "dsk_ver", 4), 4));
        buf_put(&buf, vectors_get(&vectors, "backup_keys"));
        assert_false(buf.overflow);
        unsigned long long bytes;
        crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &bytes, plain, buf.bytes, head,
                                                   sizeof head, NULL, vault.at + VAULT_HEAD_BYTES,
                                                   key);
        assert_int_equal(VAULT_HEAD_BYTES + 24 + bytes, vault.bytes);
        assert_memory_equal(sealed, vault.at + VAULT_HEAD_BYTES + 24, bytes);
    }
    assert_int_equal(vectors.case_count, 3);
}

/* The list is what wire writes, and the clear adapter, with the same keys, signs it alike. */
static void list_is_ours(const struct devlist *list, const uint8_t seeds[64])
{
    uint8_t written[DEVLIST_BYTES_MAX], message[DEVLIST_BYTES_MAX + 32], sig[64];
    struct buf buf = buf_over(written, sizeof written);
    devlist_write_unsigned(list, &buf);
    assert_true(slice_equal(buf_slice(&buf), list->unsigned_bytes));
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct e2ee *clear = e2ee_open(&arena);
    assert_int_equal(e2ee_account_create(clear, list->user, seeds), E2EE_OK);
    struct e2ee_facts facts = e2ee_facts(clear);
    assert_memory_equal(facts.aik, list->aik, 32);
    assert_memory_equal(facts.dsk, list->dsk, 32);
    assert_memory_equal(facts.sig_aik, list->sig_aik, 64);
    assert_int_equal(facts.dsk_ver, list->dsk_ver);
    buf = buf_over(message, sizeof message);
    devlist_dsk_message(list->unsigned_bytes, &buf);
    assert_int_equal(e2ee_sign(clear, E2EE_SIGN_DEVLIST, buf_slice(&buf), sig), E2EE_OK);
    assert_memory_equal(sig, list->sig_dsk, 64);
    arena_deinit(&arena);
}

/* v1 ‖ user ‖ AIK ‖ n ‖ H ‖ reset_n ‖ nrem ‖ nrem × id ‖ list */
static void state_is_of(struct slice state, const struct devlist *list, struct slice removed)
{
    uint8_t expected[DEVLIST_BYTES_MAX], digest[32];
    struct buf buf = buf_over(expected, sizeof expected);
    hash(EVP_sha256(), list->bytes, digest);
    buf_u8(&buf, 1);
    buf_put(&buf, slice_make(list->user, 16));
    buf_put(&buf, slice_make(list->aik, 32));
    buf_u32be(&buf, list->n);
    buf_put(&buf, slice_make(digest, 32));
    buf_u32be(&buf, 0);
    buf_u16be(&buf, (uint16_t)(removed.bytes / 16));
    buf_put(&buf, removed);
    buf_put(&buf, list->bytes);
    assert_true(slice_equal(buf_slice(&buf), state));
}

static void device_lists(void **state)
{
    (void)state;
    struct devlist prev, next;
    static uint8_t before[DEVLIST_BYTES_MAX]; /* what `prev` points into */
    uint8_t removed[512], seeds[64], aik[DEVLIST_AIK_MESSAGE_BYTES];
    size_t removed_bytes = 0;
    vectors_open(&vectors, folder, "devlist.txt");
    while (vectors_next(&vectors)) {
        memcpy(seeds, vectors_fixed(&vectors, "aik_seed", 32), 32);
        memcpy(seeds + 32, vectors_fixed(&vectors, "dsk_seed", 32), 32);
        assert_int_equal(devlist_read(vectors_get(&vectors, "list"), &next), STATUS_OK);
        list_is_ours(&next, seeds);
        devlist_aik_message(&next, aik);
        struct devlist_proof proof = {
            .sig_aik_valid =
                crypto_sign_verify_detached(next.sig_aik, aik, sizeof aik, next.aik) == 0,
            .sig_dsk_valid = true, /* equal bytes, above */
            .removed_before = slice_make(removed, removed_bytes),
        };
        bool first = vectors.case_count == 1;
        if (!first)
            hash(EVP_sha256(), prev.bytes, proof.previous_hash);
        assert_int_equal(devlist_check_next(first ? NULL : &prev, &next, &proof), DEVLIST_OK);
        if (next.removed.bytes > 0)
            memcpy(removed + removed_bytes, next.removed.at, next.removed.bytes);
        removed_bytes += next.removed.bytes;
        state_is_of(vectors_get(&vectors, "state"), &next, slice_make(removed, removed_bytes));
        memcpy(before, next.bytes.at, next.bytes.bytes);
        assert_int_equal(devlist_read(slice_make(before, next.bytes.bytes), &prev), STATUS_OK);
    }
    assert_int_equal(vectors.case_count, 5);
    assert_int_equal(prev.device_count, 0);
}

static void credentials(void **state)
{
    (void)state;
    vectors_open(&vectors, folder, "credential.txt");
    while (vectors_next(&vectors)) {
        const uint8_t *bytes = vectors_fixed(&vectors, "credential", CREDENTIAL_BYTES);
        const uint8_t *dsk_seed = vectors_fixed(&vectors, "dsk_seed", 32);
        uint8_t dsk[32], sig[64], aik[14 + 16 + 4 + 32] = "parley/dsk/v1";
        uint8_t device[17 + 16 + 16 + 32] = "parley/device/v1";
        public_of(dsk_seed, dsk);
        assert_int_equal(bytes[0], 1);
        assert_memory_equal(bytes + 69, dsk, 32);
        memcpy(aik + 14, bytes + 1, 16);
        memcpy(aik + 30, bytes + 65, 36); /* dsk_ver ‖ DSK */
        assert_int_equal(crypto_sign_verify_detached(bytes + 101, aik, sizeof aik, bytes + 33), 0);
        memcpy(device + 17, bytes + 1, 32); /* user_id ‖ device_id */
        memcpy(device + 49, vectors_fixed(&vectors, "sigpub", 32), 32);
        sign(dsk_seed, slice_make(device, sizeof device), sig);
        assert_memory_equal(bytes + 165, sig, 64);
    }
    assert_int_equal(vectors.case_count, 1);
}

/* Seals the content again, with the envelope's nonce. */
static void seal_again(struct slice ctx, const struct envelope *envelope, uint8_t out[1 << 14])
{
    uint8_t info[14 + ENVELOPE_CONTEXT_BYTES] = "parley/msg/v1", m[32], both[64];
    memcpy(info + 14, ctx.at, ctx.bytes);
    expand(vectors_fixed(&vectors, "k", 32), slice_make(info, sizeof info), m, 32);
    assert_memory_equal(m, vectors_fixed(&vectors, "m", 32), 32);
    expand(m, slice_make("parley/key/v1", 14), both, 64);
    static uint8_t padded[1 << 14], digested[1 << 15];
    struct buf buf = buf_over(padded, sizeof padded);
    envelope_pad(vectors_get(&vectors, "content"), &buf);
    memcpy(out, envelope->header_bytes.at, ENVELOPE_HEADER_BYTES);
    uint8_t *cipher = out + ENVELOPE_HEADER_BYTES;
    unsigned long long bytes;
    crypto_aead_xchacha20poly1305_ietf_encrypt(cipher, &bytes, padded, buf.bytes, ctx.at, ctx.bytes,
                                               NULL, envelope->header.nonce, both);
    buf = buf_over(digested, sizeof digested);
    buf_put(&buf, slice_make(both + 32, 32));
    buf_put(&buf, ctx);
    buf_put(&buf, slice_make(cipher, (size_t)bytes));
    assert_false(buf.overflow);
    uint8_t message[14 + 64] = "parley/msg/v1";
    hash(EVP_sha512(), buf_slice(&buf), message + 14);
    sign(vectors_fixed(&vectors, "device_seed", 32), slice_make(message, sizeof message),
         cipher + bytes);
}

static void messages(void **state)
{
    (void)state;
    vectors_open(&vectors, folder, "content.txt");
    while (vectors_next(&vectors)) {
        struct slice bytes = vectors_get(&vectors, "envelope");
        struct envelope envelope;
        assert_int_equal(envelope_read(bytes, &envelope), STATUS_OK);
        uint8_t ctx[ENVELOPE_CONTEXT_BYTES];
        static uint8_t again[1 << 14];
        struct buf buf = buf_over(ctx, sizeof ctx);
        envelope_context_write(envelope.header_bytes, vectors_fixed(&vectors, "user", 16),
                               vectors_fixed(&vectors, "mid", 16), &buf);
        assert_true(bytes.bytes <= sizeof again);
        seal_again(buf_slice(&buf), &envelope, again);
        assert_memory_equal(again, bytes.at, bytes.bytes);
    }
    assert_int_equal(vectors.case_count, 7);
}

int main(int argc, char **argv)
{
    if (argc != 2 || sodium_init() < 0)
        return 1;
    folder = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vaults),
        cmocka_unit_test(device_lists),
        cmocka_unit_test(credentials),
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
