/* SPDX-License-Identifier: Apache-2.0
 * identity.h: keys of an account of the benchmark, its first device list and its HELLO: real
 * Ed25519, as a client makes them (e2ee §4, protocol §3.4). Secrets live as long as the run. */
#pragma once

#include "apps/parley-bench/peer.h"
#include "base/buf.h"

#define IDENTITY_NAME_BYTES 32u

/* "b" ‖ run ‖ number: a fresh name in every run. */
void identity_name(const struct run *run, const struct peer *peer, char out[IDENTITY_NAME_BYTES]);

/* New keys; the signed list that enrols the device. account->user is known. */
void identity_enrol(const struct run *run, struct peer *peer, struct buf *list);

/* The signature of a HELLO with account->conn. */
void identity_hello(const struct account *account, struct slice server_name, struct slice nonce,
                    uint8_t sig[64]);
