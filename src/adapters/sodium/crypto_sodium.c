/* SPDX-License-Identifier: Apache-2.0
 * ports/crypto.h by libsodium (without crypto_sha1: it has none; link adapter_sha1_dep beside
 * it). */
#include "ports/crypto.h"

#include <sodium.h>

void crypto_sha256(const struct slice *parts, size_t parts_count, uint8_t out[SHA256_BYTES])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < parts_count; i++)
        crypto_hash_sha256_update(&state, parts[i].at, parts[i].bytes);
    crypto_hash_sha256_final(&state, out);
}

void crypto_hmac_sha256(struct slice key, const struct slice *parts, size_t parts_count,
                        uint8_t out[SHA256_BYTES])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key.at, key.bytes);
    for (size_t i = 0; i < parts_count; i++)
        crypto_auth_hmacsha256_update(&state, parts[i].at, parts[i].bytes);
    crypto_auth_hmacsha256_final(&state, out);
}

bool crypto_ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_BYTES], struct slice message,
                           const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, message.at, message.bytes, public_key) == 0;
}
