/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/identity.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "wire/devlist.h"

void identity_name(const struct run *run, const struct peer *peer, char out[IDENTITY_NAME_BYTES])
{
    (void)snprintf(out, IDENTITY_NAME_BYTES, "b%08x%06x", run->id, peer->number);
}

static void sign(const uint8_t secret[64], struct slice message, uint8_t sig[64])
{
    (void)crypto_sign_detached(sig, NULL, message.at, message.bytes, secret);
}

void identity_enrol(const struct run *run, struct peer *peer, struct buf *list)
{
    struct account *account = &peer->account;
    static const char device_name[] = "bench";
    uint8_t aik_secret[64], dsk_secret[64], aik_message[DEVLIST_AIK_MESSAGE_BYTES], sig[64];
    uint8_t space[DEVLIST_BYTES_MAX + DEVLIST_DSK_LABEL_BYTES];
    char name[IDENTITY_NAME_BYTES];
    struct devlist first = {.n = 1, .dsk_ver = 1, .ts = 1, .device_count = 1};
    struct buf message = buf_over(space, sizeof space);
    identity_name(run, peer, name);
    randombytes_buf(account->device, ID_BYTES);
    (void)crypto_sign_keypair(account->aik, aik_secret);
    (void)crypto_sign_keypair(first.dsk, dsk_secret);
    (void)crypto_sign_keypair(first.devices[0].sigpub, account->device_secret);
    memcpy(first.user, account->user, ID_BYTES);
    memcpy(first.aik, account->aik, sizeof first.aik);
    memcpy(first.devices[0].id, account->device, ID_BYTES);
    first.devices[0].added_n = 1;
    first.devices[0].name = SLICE_LITERAL(device_name);
    first.username = slice_text(name);
    devlist_aik_message(&first, aik_message);
    sign(aik_secret, SLICE_OF(aik_message), first.sig_aik);
    devlist_write_unsigned(&first, list);
    devlist_dsk_message(buf_slice(list), &message);
    sign(dsk_secret, buf_slice(&message), sig);
    buf_put(list, SLICE_OF(sig));
    assert(!list->overflow && !message.overflow);
}

void identity_hello(const struct account *account, struct slice server_name, struct slice nonce,
                    uint8_t sig[64])
{
    uint8_t space[DEVLIST_SESSION_MESSAGE_BYTES_MAX];
    struct buf text = buf_over(space, sizeof space);
    devlist_session_message(server_name, nonce, account->device, account->conn, &text);
    sign(account->device_secret, buf_slice(&text), sig);
}
