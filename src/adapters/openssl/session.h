/* SPDX-License-Identifier: Apache-2.0
 * session.h: one TLS connection over lent memory, for both ends (server.h, client.h): OpenSSL reads
 * from the slice and writes to the buffer of the call under way, and keeps none of them.
 * Bounds: what OpenSSL keeps for a connection (about 15 KB idle, with its record buffers released;
 * ADR 0050). An error of OpenSSL's ends the session, never the process. */
#pragma once

#include <openssl/ssl.h>

#include "ports/tls.h"

struct openssl_session {
    struct tls_session base;
    SSL *ssl;
    struct slice *in; /* lent for one call, else NULL */
    struct buf *out;
};

/* How OpenSSL reaches lent memory; one for all sessions of an end. NULL: no memory. */
BIO_METHOD *openssl_session_method(void);

/* What both ends agree on: TLS 1.2 or newer, AEAD suites, X25519 or P-256, no compression, no
 * renegotiation, http/1.1. False: this OpenSSL knows one of them not, or no memory. */
bool openssl_session_defaults(SSL_CTX *context);

/* `ssl` is taken, also when it fails. */
struct openssl_session *openssl_session_new_take(SSL *ssl, BIO_METHOD *method);

void openssl_session_close(struct tls *tls, struct tls_session *base);
void openssl_session_feed(struct tls *tls, struct tls_session *base, struct slice *in,
                          struct buf *plain, struct buf *out);
void openssl_session_seal(struct tls *tls, struct tls_session *base, struct slice plain,
                          struct buf *out);
void openssl_session_end(struct tls *tls, struct tls_session *base, struct buf *out);

/* The newest error of this thread's queue, in OpenSSL's words, and the queue is empty. */
const char *openssl_session_error(char *space, size_t bytes);
