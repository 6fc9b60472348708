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

static void put(struct buf *out, const char *text)
{
    buf_put(out, slice_text(text));
}

static void put_decimal(struct buf *out, uint64_t value)
{
    uint8_t digits[20];
    size_t begin = sizeof digits;
    do {
        digits[--begin] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(out, slice_make(digits + begin, sizeof digits - begin));
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
    put(out, names[method]);
    buf_put(out, target);
    put(out, " HTTP/1.1\r\n");
    http1_write_header(out, "Host", host);
}

void http1_write_status(struct buf *out, uint16_t status)
{
    assert(status >= 100 && status <= 599);
    put(out, "HTTP/1.1 ");
    put_decimal(out, status);
    put(out, " ");
    put(out, http1_reason(status));
    put(out, "\r\n");
}

void http1_write_header(struct buf *out, const char *name, struct slice value)
{
    if (!clean(out, slice_text(name), false) || !clean(out, value, true))
        return;
    put(out, name);
    put(out, ": ");
    buf_put(out, value);
    put(out, "\r\n");
}

void http1_write_length(struct buf *out, uint64_t body_bytes)
{
    put(out, "Content-Length: ");
    put_decimal(out, body_bytes);
    put(out, "\r\n");
}

void http1_write_end(struct buf *out)
{
    put(out, "\r\n");
}

void http1_write_refusal(struct buf *out, uint16_t status)
{
    http1_write_status(out, status);
    http1_write_length(out, 0);
    http1_write_header(out, "Connection", SLICE_LITERAL("close"));
    http1_write_end(out);
}
