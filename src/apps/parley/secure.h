/* SPDX-License-Identifier: Apache-2.0
 * secure.h: TLS between a host's socket and its link, if the address is https. Without it
 * everything passes through untouched.
 * Invariants: no byte of the link leaves before the server's certificate is checked.
 * Owner: one thread. Bounds: what a link holds, sealed. */
#pragma once

#include "adapters/openssl/client.h"
#include "apps/parley/address.h"
#include "apps/parley/link.h"

#define SECURE_CA_FILE "ca.pem" /* in the profile's folder: the authorities to trust there */

struct secure {
    struct openssl_client end;
    struct tls_session *session; /* NULL: plain, or not connected */
    struct link_bytes sealed;
    bool used;
    const char *trouble; /* why the last session failed: a literal, or NULL */
};

/* For this address; `folder` is the profile's. INVALID, BUSY: with words. */
enum status secure_open(struct secure *secure, const struct address *address, const char *folder,
                        struct failure *failure) MUST_USE;
void secure_close(struct secure *secure); /* tolerates a zeroed one */

/* Take the authorities of a file into the profile. INVALID: it holds none; with words. */
enum status secure_ca_keep(const char *folder, const char *file, struct failure *failure) MUST_USE;

/* A connection stands. False: no memory. */
bool secure_start(struct secure *secure) MUST_USE;
void secure_stop(struct secure *secure);

/* Bytes came: to the link, as many as it has room for; those are taken from `in`. False: the
 * session failed, see `trouble`, or no memory. */
bool secure_take(struct secure *secure, struct link *link, struct slice *in) MUST_USE;

/* What is to be sent now: the link's bytes, sealed if they must be; they are taken from `out` by
 * swapping. False: no memory, or the session failed. */
bool secure_out(struct secure *secure, struct link_bytes *from, struct link_bytes **out) MUST_USE;
