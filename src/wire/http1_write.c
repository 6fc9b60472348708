/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http1.h"

#include "base/assert.h"

const char *http1_reason(uint16_t status)
{
    static const struct {
        uint16_t status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {206, "Partial Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

/* Refuses by overflow what could split a line. */
static bool clean(struct buf *out, struct slice text, bool spaces)
{
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t byte = text.at[i];
        bool space = byte == ' ' || byte == '\t';
        if (space ? !spaces : byte <= ' ' || byte >= 0x7f) {
            out->overflow = true;
            return false;
        }
    }
    return true;
}

void http1_write_request(struct buf *out, enum http1_method method, struct slice target,
                         struct slice host)
{
    static const char *const names[] = {"GET ", "HEAD ", "POST ", "PUT ", "OPTIONS "};
    if (!clean(out, target, false))
        return;
    buf_text(out, names[method]);
    buf_put(out, target);
    buf_text(out, " HTTP/1.1\r\n");
    http1_write_header(out, "Host", host);
}

void http1_write_status(struct buf *out, uint16_t status)
{
    assert(status >= 100 && status <= 599);
    buf_text(out, "HTTP/1.1 ");
    buf_decimal(out, status);
    buf_text(out, " ");
    buf_text(out, http1_reason(status));
    buf_text(out, "\r\n");
}

void http1_write_header(struct buf *out, const char *name, struct slice value)
{
    if (!clean(out, slice_text(name), false) || !clean(out, value, true))
        return;
    buf_text(out, name);
    buf_text(out, ": ");
    buf_put(out, value);
    buf_text(out, "\r\n");
}

void http1_write_length(struct buf *out, uint64_t body_bytes)
{
    buf_text(out, "Content-Length: ");
    buf_decimal(out, body_bytes);
    buf_text(out, "\r\n");
}

void http1_write_end(struct buf *out)
{
    buf_text(out, "\r\n");
}

void http1_write_refusal(struct buf *out, uint16_t status)
{
    http1_write_status(out, status);
    http1_write_length(out, 0);
    http1_write_header(out, "Connection", SLICE_LITERAL("close"));
    http1_write_end(out);
}
