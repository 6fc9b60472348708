/* SPDX-License-Identifier: Apache-2.0
 * origin.h: which web pages may open a connection: exact match of an Origin header; and under which
 * names the server is meant: match of a Host header.
 * An origin is scheme://host[:port] as browsers write it: http or https, lower case, no trailing
 * dot, no default port, no path. Anything else, `null` above all, matches nothing, even where it
 * was written into the list. An absent Origin (native clients) is allowed, because nothing
 * ambient signs anybody in. Owner: any thread; pure. Source: RFC 6454, RFC 6455 §10.2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Whether `origin` is written as above: for the check of a configured list. */
bool origin_valid(struct slice origin);

/* host: a Host that http1.h took. Each name allowed is lower case: host, which goes with any port,
 * or host:port. None: every host is. A trailing dot makes another name. O(count). */
bool host_allowed(struct slice host, const struct slice *allowed, size_t count);

/* Whether `host` is written as a name that may be allowed: for the check of a configured list. */
bool host_valid(struct slice host);

/* origin: the header's value; at == NULL if there was none. O(count). */
bool origin_allowed(struct slice origin, const struct slice *allowed, size_t count);
