/* SPDX-License-Identifier: Apache-2.0
 * client.h: the `tls` port of a client: one server by its name, whose certificate must be good:
 * valid now, for that name, of an authority that is trusted here.
 * Invariants: nothing is sent before the certificate is checked but what TLS itself says. The
 * newest ticket is kept in memory, so a connection that is made again costs no full handshake.
 * Owner: one thread. Source: proof §11, ADR 0050. */
#pragma once

#include "ports/tls.h"

#define OPENSSL_NAME_BYTES 256

struct openssl_client {
    struct tls tls;
    struct bio_method_st *method;
    struct ssl_ctx_st *context;
    struct ssl_session_st *newest; /* a ticket for the next connection, or NULL */
    char name[OPENSSL_NAME_BYTES];
    bool is_address; /* the name is an IP address, without brackets */
};

/* `ca`: a file (PEM) of the authorities to trust instead of the system's; NULL: the system's.
 * INVALID: it holds none; with words. */
MUST_USE enum status openssl_client_open(struct openssl_client *client, const char *name,
                                         const char *ca, struct failure *failure);
void openssl_client_close(struct openssl_client *client); /* no session is open; zeroed is fine */
