/* SPDX-License-Identifier: Apache-2.0
 * crypto_sha1 of ports/crypto.h: a library of its own, because libsodium has none and programs that
 * choose libsodium for the rest still shake WebSocket's hand. */
#include "ports/crypto.h"

#include <openssl/evp.h>

#include "base/assert.h"

void crypto_sha1(struct slice bytes, uint8_t out[SHA1_BYTES])
{
    int done = EVP_Digest(bytes.at, bytes.bytes, out, NULL, EVP_sha1(), NULL);
    assert(done == 1);
}
