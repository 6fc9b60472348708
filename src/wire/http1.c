/* SPDX-License-Identifier: Apache-2.0 */
/* One scan from left to right, then checks across headers in a fixed order. The scan never looks
 * ahead of the byte it judges, which is what makes the verdict independent of how bytes arrive. */
#include "wire/http1.h"

#include <string.h>

#include "base/assert.h"

static_assert(sizeof(struct http1_head) <= 3072, "a head lives on the stack of a step");

struct scan {
    const uint8_t *at;
    size_t bytes;
    size_t place;
    struct http1_head *head;
};

static enum status refuse(struct http1_head *head, uint16_t status)
{
    head->status = status;
    head->close = true;
    return STATUS_INVALID;
}

/* ---- classes of bytes ---- */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_alpha(uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'z';
}

static bool is_hex(uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    return is_digit(byte) || (lower >= 'a' && lower <= 'f');
}

static bool is_one_of(uint8_t byte, const char *set)
{
    for (; *set != '\0'; set++)
        if (byte == (uint8_t)*set)
            return true;
    return false;
}

static bool is_token(uint8_t byte)
{
    return is_alpha(byte) || is_digit(byte) || is_one_of(byte, "-!#$%&'*+.^_`|~");
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* What a field value may hold: visible ASCII, obs-text, space, tab. */
static bool is_value(uint8_t byte)
{
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/* RFC 3986 pchar without the escape, `/` and `?`. */
static bool is_target(uint8_t byte)
{
    return is_alpha(byte) || is_digit(byte) || is_one_of(byte, "/-._~?=&:@!$'()*+,;");
}

static bool text_is_token(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (!is_token(text.at[i]))
            return false;
    return text.bytes > 0;
}

static struct slice trim(struct slice text)
{
    while (text.bytes > 0 && is_space(text.at[0])) {
        text.at++;
        text.bytes--;
    }
    while (text.bytes > 0 && is_space(text.at[text.bytes - 1]))
        text.bytes--;
    return text;
}

bool http1_equal(struct slice text, const char *expected)
{
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t want = (uint8_t)expected[i];
        if (want == 0)
            return false;
        if (text.at[i] == want)
            continue;
        if (!is_alpha(want) || (text.at[i] ^ want) != 0x20)
            return false;
    }
    return expected[text.bytes] == '\0';
}

/* ---- the scan ---- */

/* The next byte, or AGAIN; does not pass it. */
static enum status peek(const struct scan *scan, uint8_t *byte)
{
    if (scan->place == scan->bytes)
        return STATUS_AGAIN;
    *byte = scan->at[scan->place];
    return STATUS_OK;
}

static enum status scan_text(struct scan *scan, const char *text)
{
    for (; *text != '\0'; text++, scan->place++) {
        if (scan->place == scan->bytes)
            return STATUS_AGAIN;
        if (scan->at[scan->place] != (uint8_t)*text)
            return refuse(scan->head, 400);
    }
    return STATUS_OK;
}

static enum status scan_method(struct scan *scan)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "OPTIONS"};
    size_t begin = scan->place;
    uint8_t byte;
    for (;; scan->place++) {
        enum status status = peek(scan, &byte);
        if (status != STATUS_OK)
            return status;
        if (byte == ' ' && scan->place > begin)
            break;
        if (!is_token(byte))
            return refuse(scan->head, 400);
        if (scan->place - begin == sizeof "OPTIONS" - 1)
            return refuse(scan->head, 501);
    }
    struct slice method = slice_make(scan->at + begin, scan->place - begin);
    scan->place++;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_equal(method, slice_text(names[i]))) {
            scan->head->method = (enum http1_method)i;
            return STATUS_OK;
        }
    }
    return refuse(scan->head, 501);
}

/* Takes one byte of a target. `escape_left` counts the hex digits that a `%` still wants. */
static bool target_byte(uint8_t byte, unsigned *escape_left)
{
    if (*escape_left > 0) {
        (*escape_left)--;
        return is_hex(byte);
    }
    if (byte == '%')
        *escape_left = 2;
    return byte == '%' || is_target(byte);
}

static enum status scan_target(struct scan *scan)
{
    size_t begin = scan->place;
    unsigned escape_left = 0;
    uint8_t byte;
    for (;; scan->place++) {
        enum status status = peek(scan, &byte);
        if (status != STATUS_OK)
            return status;
        if (scan->place == begin && byte != '/')
            return refuse(scan->head, 400);
        if (byte == ' ' && escape_left == 0)
            break;
        if (scan->place - begin == HTTP1_TARGET_BYTES_MAX)
            return refuse(scan->head, 414);
        if (!target_byte(byte, &escape_left))
            return refuse(scan->head, 400);
    }
    scan->head->target = slice_make(scan->at + begin, scan->place - begin);
    scan->place++;
    return STATUS_OK;
}

static enum status scan_version(struct scan *scan)
{
    enum status status = scan_text(scan, "HTTP/");
    bool ours = true;
    for (const char *want = "1.1"; status == STATUS_OK && *want != '\0'; want++) {
        uint8_t byte;
        status = peek(scan, &byte);
        if (status != STATUS_OK)
            break;
        if (*want == '.' ? byte != '.' : !is_digit(byte))
            return refuse(scan->head, 400);
        ours = ours && byte == (uint8_t)*want;
        scan->place++;
    }
    return status == STATUS_OK && !ours ? refuse(scan->head, 505) : status;
}

static enum status scan_request_line(struct scan *scan)
{
    enum status status = scan_method(scan);
    if (status == STATUS_OK)
        status = scan_target(scan);
    if (status == STATUS_OK)
        status = scan_version(scan);
    if (status == STATUS_OK)
        status = scan_text(scan, "\r\n");
    return status;
}

/* The rest of a line of value bytes, and its CR LF. */
static enum status scan_value(struct scan *scan, struct slice *value)
{
    size_t begin = scan->place;
    while (scan->place < scan->bytes && is_value(scan->at[scan->place]))
        scan->place++;
    *value = trim(slice_make(scan->at + begin, scan->place - begin));
    return scan_text(scan, "\r\n");
}

static enum status scan_status_line(struct scan *scan)
{
    enum status status = scan_version(scan);
    if (status == STATUS_OK)
        status = scan_text(scan, " ");
    uint16_t code = 0;
    for (int i = 0; status == STATUS_OK && i < 3; i++) {
        uint8_t byte;
        status = peek(scan, &byte);
        if (status != STATUS_OK)
            return status;
        if (!is_digit(byte) || (i == 0 && (byte < '1' || byte > '5')))
            return refuse(scan->head, 400);
        code = (uint16_t)(code * 10 + (byte - '0'));
        scan->place++;
    }
    if (status == STATUS_OK)
        status = scan_text(scan, " ");
    struct slice reason;
    if (status == STATUS_OK)
        status = scan_value(scan, &reason);
    if (status == STATUS_OK)
        scan->head->status = code;
    return status;
}

/* One header line. A line that begins with white space (a fold) fails as a name does. */
static enum status scan_header(struct scan *scan)
{
    struct http1_head *head = scan->head;
    if (head->header_count == HTTP1_HEADERS_MAX)
        return refuse(head, 431);
    size_t begin = scan->place;
    while (scan->place < scan->bytes && is_token(scan->at[scan->place]))
        scan->place++;
    struct slice name = slice_make(scan->at + begin, scan->place - begin);
    uint8_t byte;
    enum status status = peek(scan, &byte);
    if (status != STATUS_OK)
        return status;
    if (byte != ':' || name.bytes == 0)
        return refuse(head, 400);
    scan->place++;
    struct slice value;
    status = scan_value(scan, &value);
    if (status == STATUS_OK)
        head->headers[head->header_count++] = (struct http1_header){name, value};
    return status;
}

static enum status scan_headers(struct scan *scan)
{
    for (;;) {
        uint8_t byte;
        enum status status = peek(scan, &byte);
        if (status == STATUS_OK && byte == '\r')
            return scan_text(scan, "\r\n");
        if (status == STATUS_OK)
            status = scan_header(scan);
        if (status != STATUS_OK)
            return status;
    }
}

/* ---- checks across headers ---- */

const struct http1_header *http1_find(const struct http1_head *head, const char *name,
                                      const struct http1_header *after)
{
    const struct http1_header *end = head->headers + head->header_count;
    for (const struct http1_header *h = after == NULL ? head->headers : after + 1; h < end; h++)
        if (http1_equal(h->name, name))
            return h;
    return NULL;
}

struct slice http1_header(const struct http1_head *head, const char *name)
{
    const struct http1_header *header = http1_find(head, name, NULL);
    return header == NULL ? SLICE_EMPTY : header->value;
}

uint32_t http1_count(const struct http1_head *head, const char *name)
{
    uint32_t count = 0;
    const struct http1_header *header = NULL;
    while ((header = http1_find(head, name, header)) != NULL)
        count++;
    return count;
}

bool http1_list_next(struct slice *rest, struct slice *element)
{
    while (rest->bytes > 0) {
        size_t bytes = 0;
        while (bytes < rest->bytes && rest->at[bytes] != ',')
            bytes++;
        *element = trim(slice_make(rest->at, bytes));
        *rest = slice_sub(*rest, bytes + 1, rest->bytes);
        if (element->bytes > 0)
            return true;
    }
    return false;
}

bool http1_list_has(const struct http1_head *head, const char *name, const char *token)
{
    const struct http1_header *header = NULL;
    while ((header = http1_find(head, name, header)) != NULL) {
        struct slice rest = header->value, element;
        while (http1_list_next(&rest, &element))
            if (http1_equal(element, token))
                return true;
    }
    return false;
}

static bool port_valid(struct slice digits)
{
    uint32_t port = 0;
    if (digits.bytes < 1 || digits.bytes > 5)
        return false;
    for (size_t i = 0; i < digits.bytes; i++) {
        if (!is_digit(digits.at[i]))
            return false;
        port = port * 10 + (uint32_t)(digits.at[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* host[:port]: a name or IPv4 address, or an IPv6 address in brackets; a port of 1–5 digits. */
static bool host_valid(struct slice host)
{
    size_t i = 0;
    if (host.bytes > 0 && host.at[0] == '[') {
        for (i = 1; i < host.bytes && (is_hex(host.at[i]) || is_one_of(host.at[i], ":.")); i++)
            ;
        if (i < 3 || i == host.bytes || host.at[i++] != ']')
            return false;
    } else {
        while (i < host.bytes &&
               (is_alpha(host.at[i]) || is_digit(host.at[i]) || is_one_of(host.at[i], "-._")))
            i++;
        if (i == 0)
            return false;
    }
    if (i == host.bytes)
        return true;
    return host.at[i] == ':' && port_valid(slice_make(host.at + i + 1, host.bytes - i - 1));
}

static enum status check_host(struct http1_head *head)
{
    if (http1_count(head, "host") != 1)
        return refuse(head, 400);
    head->host = http1_header(head, "host");
    return host_valid(head->host) ? STATUS_OK : refuse(head, 400);
}

/* Content-Length and Transfer-Encoding; sets body, body_bytes (saturated) and has_length. */
static enum status check_framing(struct http1_head *head)
{
    uint32_t lengths = http1_count(head, "content-length");
    uint32_t codings = http1_count(head, "transfer-encoding");
    if (lengths > 1 || (lengths > 0 && codings > 0))
        return refuse(head, 400);
    if (codings > 0) {
        if (codings > 1 || !http1_equal(http1_header(head, "transfer-encoding"), "chunked"))
            return refuse(head, 501);
        head->body = HTTP1_BODY_CHUNKED;
    }
    if (lengths == 0)
        return STATUS_OK;
    struct slice digits = http1_header(head, "content-length");
    uint64_t value = 0;
    for (size_t i = 0; i < digits.bytes; i++) {
        if (!is_digit(digits.at[i]))
            return refuse(head, 400);
        uint8_t digit = (uint8_t)(digits.at[i] - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    if (digits.bytes == 0)
        return refuse(head, 400);
    head->has_length = true;
    head->body_bytes = value;
    head->body = value > 0 ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
    return STATUS_OK;
}

static enum status check_connection(struct http1_head *head)
{
    const struct http1_header *header = NULL;
    while ((header = http1_find(head, "connection", header)) != NULL) {
        struct slice rest = header->value, element;
        while (http1_list_next(&rest, &element))
            if (!text_is_token(element))
                return refuse(head, 400);
    }
    head->close = http1_list_has(head, "connection", "close");
    return STATUS_OK;
}

static enum status check_content(struct http1_head *head, uint64_t body_bytes_max)
{
    if (head->body != HTTP1_BODY_NONE && head->method != HTTP1_POST && head->method != HTTP1_PUT)
        return refuse(head, 400);
    if (http1_count(head, "content-encoding") > 0)
        return refuse(head, 415);
    if (head->body_bytes > body_bytes_max)
        return refuse(head, 413);
    uint32_t expects = http1_count(head, "expect");
    if (expects > 1 || (expects == 1 && !http1_equal(http1_header(head, "expect"), "100-continue")))
        return refuse(head, 417);
    head->expect_continue = expects == 1 && head->body != HTTP1_BODY_NONE;
    return STATUS_OK;
}

/* ---- reading ---- */

static struct scan scan_over(struct slice in, struct http1_head *out)
{
    memset(out, 0, sizeof *out);
    size_t bytes = in.bytes < HTTP1_HEAD_BYTES_MAX ? in.bytes : HTTP1_HEAD_BYTES_MAX;
    return (struct scan){in.at, bytes, 0, out};
}

static enum status scan_done(struct scan *scan, struct slice *in, enum status status)
{
    if (status == STATUS_AGAIN && scan->bytes == HTTP1_HEAD_BYTES_MAX)
        return refuse(scan->head, 431);
    if (status == STATUS_OK) {
        in->at += scan->place;
        in->bytes -= scan->place;
    }
    return status;
}

enum status http1_read_request(struct slice *in, uint64_t body_bytes_max, struct http1_head *out)
{
    struct scan scan = scan_over(*in, out);
    enum status status = scan_request_line(&scan);
    if (status == STATUS_OK)
        status = scan_headers(&scan);
    if (status == STATUS_OK)
        status = check_host(out);
    if (status == STATUS_OK)
        status = check_connection(out);
    if (status == STATUS_OK)
        status = check_framing(out);
    if (status == STATUS_OK)
        status = check_content(out, body_bytes_max);
    return scan_done(&scan, in, status);
}

enum status http1_read_response(struct slice *in, struct http1_head *out)
{
    struct scan scan = scan_over(*in, out);
    enum status status = scan_status_line(&scan);
    if (status == STATUS_OK)
        status = scan_headers(&scan);
    if (status == STATUS_OK)
        status = check_connection(out);
    if (status == STATUS_OK)
        status = check_framing(out);
    if (status != STATUS_OK)
        return scan_done(&scan, in, status);
    bool empty = out->status < 200 || out->status == 204;
    if (empty && out->body != HTTP1_BODY_NONE)
        return refuse(out, 400);
    if (out->body_bytes > INT64_MAX)
        return refuse(out, 413);
    if (empty || out->status == 304)
        out->body = HTTP1_BODY_NONE;
    else if (out->body == HTTP1_BODY_NONE && !out->has_length)
        out->body = HTTP1_BODY_UNTIL_CLOSE;
    out->close = out->close || out->body == HTTP1_BODY_UNTIL_CLOSE;
    return scan_done(&scan, in, STATUS_OK);
}
