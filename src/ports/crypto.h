/* SPDX-License-Identifier: Apache-2.0
 * crypto.h: hashes and signature checks: synchronous, pure, no I/O. What the folds, sessions and
 * the client's mind need. The adapter is chosen when a program is linked: openssl (servers) or
 * sodium (the second adapter and oracle). Source: RFC 6234, 2104, 8032. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define SHA256_BYTES            32
#define SHA1_BYTES              20
#define ED25519_PUBLIC_BYTES    32
#define ED25519_SIGNATURE_BYTES 64

/* Hash of the parts, joined. */
void crypto_sha256(const struct slice *parts, size_t parts_count, uint8_t out[SHA256_BYTES]);
void crypto_hmac_sha256(struct slice key, const struct slice *parts, size_t parts_count,
                        uint8_t out[SHA256_BYTES]);
/* Only for the WebSocket handshake (RFC 6455 §4.2.2). */
void crypto_sha1(struct slice bytes, uint8_t out[SHA1_BYTES]);
/* Strict verification: canonical S, no small-order points. */
bool crypto_ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_BYTES], struct slice message,
                           const uint8_t signature[ED25519_SIGNATURE_BYTES]);
