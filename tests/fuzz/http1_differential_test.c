/* SPDX-License-Identifier: Apache-2.0
 * 60,000 generated heads through the checks of http1_fuzz.c: put together from good and bad parts,
 * now and then with a byte out of place. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/prng.h"
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { CASES = 60000, HEAD_MAX = 4096 };

static const char *const lines[] = {
    "GET / HTTP/1.1\r\n",         "GET /a?b=%20c HTTP/1.1\r\n", "HEAD /x HTTP/1.1\r\n",
    "POST /v1/blob HTTP/1.1\r\n", "PUT /v1/blob HTTP/1.1\r\n",  "POST / HTTP/1.1\r\n",
    "OPTIONS / HTTP/1.1\r\n",     "GET / HTTP/1.0\r\n",         "GET http://a/ HTTP/1.1\r\n",
};

static const char *const status_lines[] = {
    "HTTP/1.1 200 OK\r\n",         "HTTP/1.1 101 Switching Protocols\r\n",
    "HTTP/1.1 204 No Content\r\n", "HTTP/1.1 304 \r\n",
    "HTTP/1.1 404 Not Found\r\n",  "HTTP/1.1 599 a b\tc\r\n",
    "HTTP/1.0 200 OK\r\n",         "HTTP/1.1 200\r\n",
};

static const char *const fields[] = {
    "A: b\r\n",
    "Accept: text/html,*/*;q=0.8\r\n",
    "X:\r\n",
    "X:  \t \r\n",
    "Y: \xc3\xa4\t!\r\n",
    "Connection: close\r\n",
    "connection: keep-alive\r\n",
    "Connection: Upgrade\r\n",
    "CONNECTION: foo, close \r\n",
    "Connection: closed\r\n",
    "Connection: close,keep-alive\r\n",
    "Connection: ,, close ,\r\n",
    "Connection: xclose\r\n",
    "Connection: clos\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "content-length: \t 1048576 \r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Content-Length: +1\r\n",
    "Content-Length: 1, 1\r\n",
    "Content-Length: 007\r\n",
    "Content_Length: 9\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:chunked \r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encodin: chunked\r\n",
    "Transfer-Encodings: chunked\r\n",
    "Upgrade: websocket\r\n",
    "Upgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "Content-Encoding: gzip\r\n",
    "Cookie: a=b; c=d\r\n",
    "X : y\r\n",
    "X: y\r\n z\r\n",
    "Proxy-Connection: close\r\n",
    "Origin: https://a.example\r\n",
    "Host: b\r\n",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Connectio: close\r\n",
};

static void put_one_of(struct prng *prng, struct buf *out, const char *const *texts, size_t count)
{
    buf_put(out, slice_text(texts[prng_below(prng, count)]));
}

static void put_head(struct prng *prng, struct buf *out)
{
    bool response = prng_chance(prng, 250);
    buf_u8(out, response);
    if (response)
        put_one_of(prng, out, status_lines, sizeof status_lines / sizeof status_lines[0]);
    else
        put_one_of(prng, out, lines, sizeof lines / sizeof lines[0]);
    uint64_t host_at = prng_below(prng, 4);
    uint64_t count = prng_below(prng, 6);
    for (uint64_t i = 0; i <= count || i <= host_at; i++) {
        if (i == host_at && !response)
            buf_put(out, SLICE_LITERAL("Host: a.example:8787\r\n"));
        if (i < count)
            put_one_of(prng, out, fields, sizeof fields / sizeof fields[0]);
    }
    buf_put(out, SLICE_LITERAL("\r\n"));
    if (prng_chance(prng, 200))
        buf_put(out, SLICE_LITERAL("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n"));
}

static void spoil(struct prng *prng, struct buf *out)
{
    static const uint8_t values[] = {0, '\t', '\n', '\r', ' ', ',', ':', ';', '0', 'A', 0x7f, 0xe4};
    size_t at = 1 + (size_t)prng_below(prng, out->bytes - 1);
    if (prng_chance(prng, 500))
        out->at[at] = values[prng_below(prng, sizeof values)];
    else if (prng_chance(prng, 500))
        out->at[at] ^= 0x20;
    else
        memmove(out->at + at, out->at + at + 1, --out->bytes - at);
}

int main(void)
{
    static uint8_t memory[HEAD_MAX];
    struct prng prng;
    unsigned taken = 0;
    prng_init(&prng, 9112);
    for (unsigned i = 0; i < CASES; i++) {
        static struct http1_head head;
        struct buf out = buf_over(memory, sizeof memory);
        put_head(&prng, &out);
        if (prng_chance(&prng, 300))
            spoil(&prng, &out);
        LLVMFuzzerTestOneInput(memory, out.bytes);
        struct slice in = slice_make(memory + 1, out.bytes - 1);
        if ((memory[0] & 1) == 0 && http1_read_request(&in, 1 << 20, &head) == STATUS_OK)
            taken++;
    }
    printf("%d heads (%u requests taken), http1 and http-parser agree\n", CASES, taken);
    return taken > CASES / 10 ? 0 : 1;
}
