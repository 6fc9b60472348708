/* SPDX-License-Identifier: Apache-2.0
 * tls.h: a stand-in for the `tls` port: its shape (a handshake of two flights, records, an end)
 * without secrecy, keys or trust, so that a test sees on the wire what the plumbing did.
 * Wire: each end opens with HELO, the client first; then records: 'd' or 'e' (end), u16 bytes,
 * the bytes. Anything else is FAILED. Owner: one thread. Bounds: SIM_TLS_RECORD_BYTES a record. */
#pragma once

#include "ports/tls.h"

#define SIM_TLS_RECORD_BYTES 4096u

struct sim_tls {
    struct tls tls;
    bool client;
};

void sim_tls_init(struct sim_tls *sim, bool client);
