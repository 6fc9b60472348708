/* SPDX-License-Identifier: Apache-2.0
 * http1.h: the heads of HTTP/1.1 messages, strictly: a request's for the server, a response's for
 * the client; and small writers.
 *
 * Both readers have the shape `f(struct slice *in, …, struct http1_head *out)`:
 *   STATUS_AGAIN    the head is not complete; `in` is left alone, hand in the same bytes and more
 *   STATUS_OK       `in` now begins behind the head; slices in *out point into its bytes
 *   STATUS_INVALID  refused: answer out->status, then close (out->close is true); `in` left alone
 * A verdict depends on the bytes up to where it falls, never on how they arrived: a refusal of a
 * prefix is the refusal of everything that begins with it. There is no lenient mode:
 *   400  anything out of grammar: bare CR or LF, NUL and other controls, a folded line, a space
 *        before a colon, an empty name, a target that is not origin-form (with its escapes well
 *        formed), an empty line before the request line, spaces other than the two single ones
 *   400  no Host, two Hosts, a Host that is not host[:port]; two Content-Lengths (equal ones
 *        too), one that is not digits only, one beside a Transfer-Encoding; a body on GET, HEAD
 *        or OPTIONS; a Connection that is not a list of tokens
 *   413 414 431  body over body_bytes_max; target over HTTP1_TARGET_BYTES_MAX; head or number of
 *        headers over its limit
 *   415  any Content-Encoding      417  an Expect other than 100-continue
 *   501  an unknown method; a Transfer-Encoding other than exactly one `chunked`
 *   505  a version other than HTTP/1.1
 * Ours to decide, stricter than RFC 9112: absolute-form targets, `OPTIONS *`, and leading empty
 * lines are refused; a response head needs the space behind its status code.
 *
 * Bounds: HTTP1_HEAD_BYTES_MAX, HTTP1_HEADERS_MAX; no state between calls, each call is O(bytes
 * handed in), so a head that comes byte by byte costs at most 7168 looks at 7 KiB (some 25 ms in
 * all, spread over as many receives). struct http1_head is about 2 KiB: keep it on the stack of
 * the step, not in the connection. Owner: any thread; pure. Source: RFC 9110, RFC 9112. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

enum { HTTP1_HEAD_BYTES_MAX = 7168, HTTP1_HEADERS_MAX = 64, HTTP1_TARGET_BYTES_MAX = 2048 };

enum http1_method { HTTP1_GET, HTTP1_HEAD, HTTP1_POST, HTTP1_PUT, HTTP1_OPTIONS };

/* How the body behind the head is delimited. */
enum http1_body { HTTP1_BODY_NONE, HTTP1_BODY_LENGTH, HTTP1_BODY_CHUNKED, HTTP1_BODY_UNTIL_CLOSE };

struct http1_header {
    struct slice name, value; /* value without the white space around it */
};

struct http1_head {
    enum http1_method method; /* request */
    uint16_t status;          /* response: its code. Refused request: what to answer */
    bool close;               /* the connection ends after this message */
    bool has_length;          /* Content-Length was there (0 counts) */
    bool expect_continue;     /* request with a body: it waits for "100 Continue" */
    enum http1_body body;
    uint64_t body_bytes; /* HTTP1_BODY_LENGTH */
    struct slice target; /* request: origin-form, as sent; percent-escapes are not decoded */
    struct slice host;   /* request: the value of Host */
    uint32_t header_count;
    struct http1_header headers[HTTP1_HEADERS_MAX];
};

/* body_bytes_max: the largest body any route takes. */
MUST_USE enum status http1_read_request(struct slice *in, uint64_t body_bytes_max,
                                        struct http1_head *out);

/* A length over 2^63 - 1 is refused. HTTP1_BODY_UNTIL_CLOSE if neither length nor chunks are named.
 * Whether the request was a HEAD (and so no body follows whatever the head says) is the caller's
 * to know. */
MUST_USE enum status http1_read_response(struct slice *in, struct http1_head *out);

/* The first header of that name (any case) behind `after`, or the first of all if `after` is
 * NULL. NULL if there is none. O(headers). */
const struct http1_header *http1_find(const struct http1_head *head, const char *name,
                                      const struct http1_header *after);

/* The value of the first header of that name; at == NULL if there is none. */
struct slice http1_header(const struct http1_head *head, const char *name);

uint32_t http1_count(const struct http1_head *head, const char *name);

/* Whether the comma-separated lists of all headers of that name hold `token`, in any case. */
bool http1_list_has(const struct http1_head *head, const char *name, const char *token);

/* ASCII equality without regard to case. */
bool http1_equal(struct slice text, const char *expected);

/* The next element of a comma-separated list, without white space around it; empty elements are
 * skipped. false at the end. */
bool http1_list_next(struct slice *rest, struct slice *element);

/* ---- writing: overflow of the buffer is told by buf->overflow ---- */

void http1_write_request(struct buf *out, enum http1_method method, struct slice target,
                         struct slice host);
void http1_write_status(struct buf *out, uint16_t status);

/* A value holds visible ASCII, spaces and tabs only; anything else (CR and LF above all) writes
 * nothing and sets out->overflow, so that no value can split the head. */
void http1_write_header(struct buf *out, const char *name, struct slice value);
void http1_write_length(struct buf *out, uint64_t body_bytes);
void http1_write_end(struct buf *out);

/* A whole answer without a body that ends the connection. */
void http1_write_refusal(struct buf *out, uint16_t status);

/* "Bad Request", …; "" for a code this tree does not use. */
const char *http1_reason(uint16_t status);
