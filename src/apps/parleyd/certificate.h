/* SPDX-License-Identifier: Apache-2.0
 * certificate.h: the server's certificate while it serves: read at start, again when its files
 * changed or SIGHUP asks, and what the operator must know of it (stderr, `parleyctl status`).
 * Invariants: connections that stand are never touched; files that cannot be used leave the old
 * certificate in place. Owner: the main thread. Bounds: the files are looked at once a minute. */
#pragma once

#include "adapters/openssl/server.h"
#include "runtime/config.h"

#define CERTIFICATE_LOOK_MS   60000u
#define CERTIFICATE_WARN_DAYS 14

struct certificate {
    struct openssl_server server; /* zeroed: plain http */
    uint64_t looked_ms, warned_ms;
    char trouble[160]; /* why the newest files are not used; "" */
};

/* Told on stderr: an expiry that is near, a key that others can read. */
MUST_USE enum status certificate_open(struct certificate *certificate, const char *cert,
                                      const char *key, struct failure *failure);
void certificate_close(struct certificate *certificate); /* tolerates a zeroed one */

/* Could the pair of the settings be used? For --check. */
MUST_USE enum status certificate_look(const struct config *config, struct failure *failure);

struct tls *certificate_port(struct certificate *certificate); /* NULL: plain http */
/* Once a turn; `asked`: look at the files now. */
void certificate_turn(struct certificate *certificate, bool asked, uint64_t mono_ms);

/* "yes", "no", "none": does it name the server (host[:port])? */
const char *certificate_named(struct certificate *certificate, const char *name);
uint64_t certificate_end_s(const struct certificate *certificate); /* since 1970; 0: plain http */
/* "none", "valid for 89 days", "EXPIRES in 3 days", "EXPIRED". */
void certificate_text(struct certificate *certificate, char *out, size_t bytes);
