/* SPDX-License-Identifier: Apache-2.0
 * http1 against itself (whole = byte by byte) and against http-parser 2.9.4. Input: a byte of flags
 * (bit 0: a response), then the bytes.
 *
 * A head that http1 takes, http-parser must take with the same meaning: where it ends, method or
 * status, target, every header, length, chunks, keep-alive. What http1 refuses is not compared: it
 * is stricter on purpose (the list stands in http1.h). Heads that http-parser is known to misread
 * are skipped: it takes Proxy-Connection for Connection, and a name that only begins with
 * Transfer-Encoding for that one; a tab behind a value it does not skip. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <http_parser.h>

#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { BODY_MAX = 1 << 20 };

struct oracle {
    struct slice target;
    struct http1_header headers[HTTP1_HEADERS_MAX + 1];
    size_t count;
    bool in_value, complete, keep, chunked;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "http1_fuzz: %s\n", what);
    abort();
}

static enum status read_head(bool response, struct slice *in, struct http1_head *head)
{
    return response ? http1_read_response(in, head) : http1_read_request(in, BODY_MAX, head);
}

/* The shortest prefix with a verdict has the verdict of the whole. */
static void check_bytewise(bool response, struct slice in, enum status whole, size_t left)
{
    static struct http1_head head, again;
    struct slice all = in;
    must(read_head(response, &all, &head) == whole && all.bytes == left, "not a function");
    for (size_t i = 0; i <= in.bytes; i++) {
        struct slice prefix = {in.at, i};
        enum status status = read_head(response, &prefix, &again);
        if (status == STATUS_AGAIN)
            continue;
        must(status == whole, "byte by byte is judged otherwise");
        must(again.status == head.status && again.close == head.close, "another answer");
        must(status != STATUS_OK || i - prefix.bytes == in.bytes - left, "another end");
        return;
    }
    must(whole == STATUS_AGAIN, "byte by byte comes to no end");
}

/* ---- http-parser ---- */

static int on_target(http_parser *parser, const char *at, size_t bytes)
{
    struct oracle *oracle = parser->data;
    oracle->target = slice_make(at, bytes);
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t bytes)
{
    struct oracle *oracle = parser->data;
    must(oracle->count <= HTTP1_HEADERS_MAX, "http-parser sees more headers");
    oracle->headers[oracle->count++] = (struct http1_header){slice_make(at, bytes), SLICE_EMPTY};
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t bytes)
{
    struct oracle *oracle = parser->data;
    while (bytes > 0 && (at[bytes - 1] == ' ' || at[bytes - 1] == '\t'))
        bytes--;
    oracle->headers[oracle->count - 1].value = slice_make(at, bytes);
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct oracle *oracle = parser->data;
    oracle->complete = true;
    oracle->keep = http_should_keep_alive(parser) != 0;
    oracle->chunked = (parser->flags & F_CHUNKED) != 0;
    return 0;
}

static void compare(const struct http1_head *head, const struct oracle *oracle)
{
    must(head->header_count == oracle->count, "another number of headers");
    for (size_t i = 0; i < oracle->count; i++) {
        must(slice_equal(head->headers[i].name, oracle->headers[i].name), "another name");
        must(slice_equal(head->headers[i].value, oracle->headers[i].value), "another value");
    }
    must((head->body == HTTP1_BODY_CHUNKED) == oracle->chunked || head->status == 304,
         "chunks are seen otherwise"); /* a 304 has no body, whatever it says */
    must(head->close || oracle->keep, "http-parser would close"); /* it overlooks `,, close` */
}

static bool misread(const struct http1_head *head)
{
    for (uint32_t i = 0; i < head->header_count; i++) {
        struct slice name = head->headers[i].name;
        if (http1_equal(name, "proxy-connection"))
            return true;
        if (name.bytes > 17 && http1_equal(slice_sub(name, 0, 17), "transfer-encoding"))
            return true;
        struct slice value = head->headers[i].value;
        if (http1_equal(name, "content-length") || http1_equal(name, "connection") ||
            http1_equal(name, "transfer-encoding"))
            for (const uint8_t *at = value.at + value.bytes; *at != '\r'; at++)
                if (*at == '\t')
                    return true;
    }
    return false;
}

static void check_oracle(bool response, struct slice in, const struct http1_head *head)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT,
                                               HTTP_OPTIONS};
    static struct oracle oracle;
    const http_parser_settings settings = {.on_url = on_target,
                                           .on_header_field = on_name,
                                           .on_header_value = on_value,
                                           .on_headers_complete = on_complete};
    http_parser parser;
    memset(&oracle, 0, sizeof oracle);
    http_parser_init(&parser, response ? HTTP_RESPONSE : HTTP_REQUEST);
    parser.data = &oracle;
    size_t most = in.bytes - 1; /* all but the last LF */
    size_t parsed = http_parser_execute(&parser, &settings, (const char *)in.at, most);
    must(parsed == most && !oracle.complete, "http-parser refuses, or ends the head earlier");
    uint64_t length = parser.content_length;
    http_parser_execute(&parser, &settings, (const char *)in.at + most, 1);
    must(HTTP_PARSER_ERRNO(&parser) == HPE_OK && oracle.complete, "http-parser sees no end");
    compare(head, &oracle);
    must(head->has_length ? length == head->body_bytes : length == UINT64_MAX, "another length");
    if (response) {
        must(parser.status_code == head->status, "another status");
        return;
    }
    must(parser.method == methods[head->method], "another method");
    must(slice_equal(head->target, oracle.target), "another target");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct http1_head head;
    if (bytes < 1)
        return 0;
    bool response = (data[0] & 1) != 0;
    struct slice whole = {data + 1, bytes - 1}, in = whole;
    enum status status = read_head(response, &in, &head);
    if (bytes <= 512)
        check_bytewise(response, whole, status, in.bytes);
    if (status != STATUS_OK || misread(&head))
        return 0;
    check_oracle(response, slice_make(whole.at, whole.bytes - in.bytes), &head);
    return 0;
}
