/* SPDX-License-Identifier: Apache-2.0
 * xmpp.h: as much of an XMPP stream as the load client needs: where the next stanza ends, its name,
 * and attributes of its first tag. No entities, no namespaces: a load driver for one known server.
 * Pure; slices point into what was read. Source: RFC 6120, section 4. */
#pragma once

#include "base/slice.h"
#include "base/status.h"

struct xmpp_stanza {
    struct slice name; /* "message", "stream:stream" (its opening tag), "/stream:stream" */
    struct slice tag;  /* the first tag, < to > */
    struct slice all;  /* the element with all that is in it */
};

/* The next child of the stream, or the stream's own tag: OK, AGAIN (not whole yet), CORRUPT.
 * O(bytes). */
MUST_USE enum status xmpp_next(struct slice *in, struct xmpp_stanza *out);

bool xmpp_is(const struct xmpp_stanza *stanza, const char *name);
bool xmpp_attribute(const struct xmpp_stanza *stanza, const char *name, struct slice *out);
/* An attribute that is a number; false: it is not there, or no number. */
bool xmpp_number(const struct xmpp_stanza *stanza, const char *name, uint64_t *out);
