/* SPDX-License-Identifier: Apache-2.0
 * server.h: the `tls` port of a server: one certificate with its key, from files, replaced while it
 * runs. Sessions that stand keep theirs; new ones get the newest.
 * Invariants: a pair is whole or not taken: what cannot be used leaves the old one in place, with
 * words. Tickets are sealed by keys that live in memory only and change every hour; the key before
 * is still accepted, so a session is resumed for at most two hours, also after a new certificate.
 * Owner: opened, reloaded, turned by one thread; sessions are opened by any (a lock, held for
 * microseconds). Source: design §7, proof §11, ADR 0050. */
#pragma once

#include <pthread.h>
#include <sys/stat.h>

#include "ports/tls.h"

#define OPENSSL_TICKET_MS 3600000u /* age of the key that seals tickets */

struct openssl_ticket_key {
    uint8_t name[16], seal[32], mac[32];
};

/* What tells that a file is not the one that was read. */
struct openssl_stamp {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec changed;
};

struct openssl_server {
    struct tls tls;
    struct bio_method_st *method;
    char certificate[256], key[256]; /* paths */
    pthread_mutex_t lock;            /* of what follows */
    struct ssl_ctx_st *context;
    struct openssl_ticket_key keys[2]; /* the newest, the one before */
    uint64_t turned_ms;                /* when the newest was made, monotonic */
    uint64_t expires_ms;               /* of the certificate, wall clock */
    struct openssl_stamp stamps[2];    /* of the files as read last, taken or not */
    bool key_is_open;                  /* others than its owner can read the key's file */
};

/* Read both files (PEM; the certificate first, then its chain). INVALID: they are no pair, IO: not
 * readable; with words. An expired certificate is taken: openssl_server_days says so. */
MUST_USE enum status openssl_server_open(struct openssl_server *server, const char *certificate,
                                         const char *key, struct failure *failure);
void openssl_server_close(struct openssl_server *server); /* no session is open; zeroed is fine */

/* Are the files other ones than those read last? Two calls of stat. */
bool openssl_server_changed(struct openssl_server *server);

/* Read the files again. If they are not to be used (also: expired at now_ms), nothing changes. */
MUST_USE enum status openssl_server_reload(struct openssl_server *server, uint64_t now_ms,
                                           struct failure *failure);

/* Now and then: tickets get a new key when theirs is old (monotonic). */
void openssl_server_turn(struct openssl_server *server, uint64_t mono_ms);

/* Whole days for which the certificate is still valid; negative: it has expired. */
int64_t openssl_server_days(struct openssl_server *server, uint64_t now_ms);
/* Do clients that connect by this name or address, without a port, accept the certificate? */
bool openssl_server_names(struct openssl_server *server, const char *host);
