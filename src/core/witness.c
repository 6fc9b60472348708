/* SPDX-License-Identifier: Apache-2.0 */
#include "core/witness.h"

#include <string.h>

#include "base/buf.h"
#include "ports/crypto.h"

static void mac_of(const uint8_t key[WITNESS_KEY_BYTES], const user_id *user,
                   const struct witness_claim *claim, uint8_t mac[WITNESS_MAC_BYTES])
{
    static const char label[] = "parley/witness/v1";
    uint8_t space[64], whole[SHA256_BYTES];
    struct buf text = buf_over(space, sizeof space);
    buf_u8(&text, claim->is_log ? 2 : 1);
    buf_u32be(&text, claim->log_epoch);
    if (claim->is_log) {
        buf_u32be(&text, claim->partition);
        buf_u64be(&text, claim->offset);
    } else {
        buf_put(&text, ID_SLICE(*user));
        buf_u64be(&text, claim->useq);
    }
    const struct slice parts[] = {SLICE_OF(label), buf_slice(&text)};
    crypto_hmac_sha256(slice_make(key, WITNESS_KEY_BYTES), parts, 2, whole);
    memcpy(mac, whole, WITNESS_MAC_BYTES);
}

void witness_sign(const struct witness_keys *keys, const user_id *user,
                  const struct witness_claim *claim, uint8_t mac[WITNESS_MAC_BYTES])
{
    mac_of(keys->now, user, claim, mac);
}

bool witness_valid(const struct witness_keys *keys, const user_id *user,
                   const struct witness_claim *claim, const uint8_t mac[WITNESS_MAC_BYTES])
{
    uint8_t now[WITNESS_MAC_BYTES], before[WITNESS_MAC_BYTES];
    mac_of(keys->now, user, claim, now);
    mac_of(keys->before, user, claim, before);
    struct slice shown = slice_make(mac, WITNESS_MAC_BYTES);
    bool by_now = slice_equal_secret(shown, SLICE_OF(now));
    bool by_before = slice_equal_secret(shown, SLICE_OF(before));
    return by_now | (by_before & keys->has_before);
}
