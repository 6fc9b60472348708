/* SPDX-License-Identifier: Apache-2.0
 * tls.h: secrecy for one stream, over memory: bytes of the peer in, plain bytes out, and back. It
 * moves nothing itself: the caller has the socket. Whether an end is the server's or the client's,
 * which certificate it shows and whom it trusts belongs to the adapter.
 * Adapters: openssl; sim (a stand-in without secrecy: the same shape, for tests of the plumbing).
 * Invariants: no plain byte comes out before the handshake is done; after FAILED none ever. A
 * session holds nothing of the caller's between two calls.
 * Owner: one thread a session; `open` may be called by any thread.
 * Bounds: a feed or a seal appends at most what `out` has room for; needing more is FAILED.
 * Source: design §7, ADR 0050. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#define TLS_RECORD_BYTES  (16u * 1024u) /* plain bytes of one record, at most */
#define TLS_OUT_BYTES_MIN (24u * 1024u) /* room that `out` of a feed has: a flight, an alert */

/* Room that `out` needs to seal so many plain bytes: header, tag and padding of each record. */
#define TLS_SEALED_BYTES_MAX(bytes) ((bytes) + ((bytes) / TLS_RECORD_BYTES + 2) * 64)

enum tls_state {
    TLS_HANDSHAKE, /* → OPEN, FAILED */
    TLS_OPEN,      /* → ENDED, FAILED */
    TLS_ENDED,     /* the peer said that nothing more comes (close_notify); it may still read */
    TLS_FAILED,    /* no TLS, no trust, a broken record; `out` may hold the alert that says so */
};

/* What every adapter's session begins with; the caller reads it and changes nothing. */
struct tls_session {
    enum tls_state state;
    bool resumed;        /* OPEN: without a full handshake */
    const char *trouble; /* FAILED: why, as the end of "cannot reach it: …"; a literal */
};

struct tls {
    const struct tls_vtable *vtable;
};

struct tls_vtable {
    /* A new session; a client's first bytes come with its first feed, of nothing. NULL: no
     * memory. */
    struct tls_session *(*open)(struct tls *)MUST_USE;
    void (*close)(struct tls *, struct tls_session *);
    /* Take the peer's bytes from the front of `in`, append what they say to `plain` and what must
     * be answered to `out`. Returns with `in` empty, `plain` full, or the session ENDED or
     * FAILED. To be called again with more room as long as `plain` came back full. */
    void (*feed)(struct tls *, struct tls_session *, struct slice *in, struct buf *plain,
                 struct buf *out);
    /* OPEN or ENDED: append `plain`, sealed, to `out` (TLS_SEALED_BYTES_MAX). The state says
     * whether it went well. */
    void (*seal)(struct tls *, struct tls_session *, struct slice plain, struct buf *out);
    /* Append that nothing more comes; nothing if the handshake was not done. */
    void (*end)(struct tls *, struct tls_session *, struct buf *out);
};
