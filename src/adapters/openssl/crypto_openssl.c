/* SPDX-License-Identifier: Apache-2.0
 * ports/crypto.h by OpenSSL 3 (crypto_sha1 stands in crypto_sha1.c). */
#include "ports/crypto.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/assert.h"

void crypto_sha256(const struct slice *parts, size_t parts_count, uint8_t out[SHA256_BYTES])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    assert(digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < parts_count; i++)
        assert(EVP_DigestUpdate(digest, parts[i].at, parts[i].bytes) == 1);
    assert(EVP_DigestFinal_ex(digest, out, NULL) == 1);
    EVP_MD_CTX_free(digest);
}

/* RFC 2104 over crypto_sha256: OpenSSL's one-shot HMAC takes no parts. */
void crypto_hmac_sha256(struct slice key, const struct slice *parts, size_t parts_count,
                        uint8_t out[SHA256_BYTES])
{
    uint8_t block[64] = {0}, pad[64], inner[SHA256_BYTES];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (key.bytes > sizeof block)
        crypto_sha256(&key, 1, block);
    else if (key.bytes > 0)
        memcpy(block, key.at, key.bytes);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x36;
    assert(digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    assert(EVP_DigestUpdate(digest, pad, sizeof pad) == 1);
    for (size_t i = 0; i < parts_count; i++)
        assert(EVP_DigestUpdate(digest, parts[i].at, parts[i].bytes) == 1);
    assert(EVP_DigestFinal_ex(digest, inner, NULL) == 1);
    EVP_MD_CTX_free(digest);
    for (size_t i = 0; i < sizeof pad; i++)
        pad[i] = block[i] ^ 0x5c;
    crypto_sha256((struct slice[]){{pad, sizeof pad}, {inner, sizeof inner}}, 2, out);
}

/* y of the points of order 1, 2, 4 and 8, little-endian, without the sign of x. */
static const uint8_t SMALL_ORDER[5][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

/* OpenSSL checks S < L, not these. A y of p or more is a second writing of a point: refused too. */
static bool point_sound(const uint8_t *point)
{
    uint8_t y[32];
    memcpy(y, point, 32);
    y[31] &= 0x7f;
    for (size_t i = 0; i < 5; i++)
        if (memcmp(y, SMALL_ORDER[i], 32) == 0)
            return false;
    if (y[31] != 0x7f || y[0] < 0xed)
        return true;
    for (size_t i = 1; i < 31; i++)
        if (y[i] != 0xff)
            return true;
    return false;
}

bool crypto_ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_BYTES], struct slice message,
                           const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    if (!point_sound(public_key) || !point_sound(signature))
        return false;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
    EVP_MD_CTX *verify = EVP_MD_CTX_new();
    bool valid = key && verify && EVP_DigestVerifyInit(verify, NULL, NULL, NULL, key) == 1 &&
                 EVP_DigestVerify(verify, signature, 64, message.at, message.bytes) == 1;
    EVP_MD_CTX_free(verify);
    EVP_PKEY_free(key);
    return valid;
}
