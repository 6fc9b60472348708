/* SPDX-License-Identifier: Apache-2.0
 * Every header whole and byte by byte; addresses against the C library's reading of them. */
#include "wire/proxy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/prng.h"

#define COUNT(array)     (sizeof(array) / sizeof *(array))
#define FOUR(a, b, c, d) "\0\0\0\0\0\0\0\0\0\0\xff\xff" a b c d
#define V2               "\r\n\r\n\0\r\nQUIT\n"
#define TEXT(bytes)      bytes, sizeof(bytes) - 1
#define ADDRESSES        "\xc0\x00\x02\x07\x7f\x00\x00\x01\x30\x39\x01\xbb"

/* The bytes lie at the very end of their memory, so that a sanitizer sees a look beyond them. */
static enum status read_whole(struct slice bytes, struct proxy_peer *out, size_t *consumed)
{
    uint8_t *exact = malloc(bytes.bytes + 1);
    struct slice in = {exact + 1, bytes.bytes};
    if (bytes.bytes > 0)
        memcpy(exact + 1, bytes.at, bytes.bytes);
    enum status status = proxy_read(&in, out);
    *consumed = bytes.bytes - in.bytes;
    assert_true(status == STATUS_OK ? *consumed > 0 : *consumed == 0);
    free(exact);
    return status;
}

/* The verdict on the bytes, which must be that of its shortest prefix which has one. */
static enum status verdict(struct slice bytes, struct proxy_peer *out, size_t *consumed)
{
    struct proxy_peer prefix;
    enum status status = read_whole(bytes, out, consumed), early = STATUS_AGAIN;
    size_t used = 0;
    for (size_t i = 0; i <= bytes.bytes && early == STATUS_AGAIN; i++)
        early = read_whole(slice_sub(bytes, 0, i), &prefix, &used);
    assert_int_equal(early, status);
    if (status != STATUS_AGAIN)
        assert_int_equal(used, *consumed);
    if (status == STATUS_OK)
        assert_memory_equal(&prefix, out, sizeof prefix);
    return status;
}

static const struct {
    const char *bytes;
    size_t count;
    enum status status;
    size_t left; /* behind the header */
    bool known;
} cases[] = {
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\n"), STATUS_OK, 0, true},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\nGET /"), STATUS_OK, 5, true},
    {TEXT("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"), STATUS_OK, 0, true},
    {TEXT("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"), STATUS_OK, 0, true},
    {TEXT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     STATUS_OK, 0, true},
    {TEXT("PROXY UNKNOWN\r\n"), STATUS_OK, 0, false},
    {TEXT("PROXY UNKNOWN what ever\r\nX"), STATUS_OK, 1, false},
    {TEXT("PROXY UNKNOWN 1234567890 1234567890 1234567890 1234567890 1234567890 1234567890 "
          "1234567890 1234567890 123\r\n"),
     STATUS_OK, 0, false}, /* 107 bytes */
    {TEXT("PROXY UNKNOWN 1234567890 1234567890 1234567890 1234567890 1234567890 1234567890 "
          "1234567890 1234567890 1234\r\n"),
     STATUS_INVALID, 0, false},
    {TEXT("PROXY UNKNOWNS\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443"), STATUS_AGAIN, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r"), STATUS_AGAIN, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 443 \r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4  192.0.2.7 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 12345 65536\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 012 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.7 127.0.0.1 +12 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2.256 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.02.7 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 192.0.2 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP4 ::1 ::1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP6 192.0.2.7 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY TCP6 ::1%1 ::1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY UDP4 192.0.2.7 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("proxy TCP4 192.0.2.7 127.0.0.1 12345 443\r\n"), STATUS_INVALID, 0, false},
    {TEXT("PROXY\r\n"), STATUS_INVALID, 0, false},
    {TEXT("P"), STATUS_AGAIN, 0, false},
    {TEXT("POST / HTTP/1.1\r\n"), STATUS_INVALID, 0, false},
    {TEXT("GET / HTTP/1.1\r\n"), STATUS_INVALID, 0, false},
    {TEXT("\x16\x03\x01"), STATUS_INVALID, 0, false}, /* TLS: the proxy forgot its header */
    {TEXT(""), STATUS_AGAIN, 0, false},

    {TEXT(V2 "\x21\x11\x00\x0c" ADDRESSES), STATUS_OK, 0, true},
    {TEXT(V2 "\x21\x11\x00\x0c" ADDRESSES "GET /"), STATUS_OK, 5, true},
    {TEXT(V2 "\x21\x11\x00\x10" ADDRESSES "\x04\x00\x01x"), STATUS_OK, 0, true},
    {TEXT(V2 "\x21\x11\x00\x0f" ADDRESSES "\x04\x00\x00"), STATUS_OK, 0, true},
    {TEXT(V2 "\x20\x00\x00\x00"), STATUS_OK, 0, false},
    {TEXT(V2 "\x20\xff\x00\x02xy"), STATUS_OK, 0, false},
    {TEXT(V2 "\x20\x11\x00\x0c" ADDRESSES), STATUS_OK, 0, false},
    {TEXT(V2 "\x21\x21\x00\x24"
             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
             "\x00\x01\x00\x02"),
     STATUS_OK, 0, true},
    {TEXT(V2), STATUS_AGAIN, 0, false},
    {TEXT(V2 "\x21\x11\x00\x0c\xc0"), STATUS_AGAIN, 0, false},
    {TEXT(V2 "\x21\x11\x00\x0b" ADDRESSES), STATUS_INVALID, 0, false},        /* too short for it */
    {TEXT(V2 "\x21\x11\x00\x0d" ADDRESSES "\x04"), STATUS_INVALID, 0, false}, /* half a TLV */
    {TEXT(V2 "\x21\x11\x00\x0f" ADDRESSES "\x04\x00\x01x"), STATUS_INVALID, 0, false},
    {TEXT(V2 "\x21\x11\x00\x13" ADDRESSES "\x03\x00\x04\0\0\0\0"), STATUS_INVALID, 0, false},
    {TEXT(V2 "\x21\x11\x02\x09"), STATUS_INVALID, 0, false}, /* 521 */
    {TEXT(V2 "\x20\x00\x02\x09"), STATUS_INVALID, 0, false},
    {TEXT(V2 "\x21\x00\x00\x00"), STATUS_INVALID, 0, false},           /* PROXY for nobody */
    {TEXT(V2 "\x21\x12\x00\x0c" ADDRESSES), STATUS_INVALID, 0, false}, /* UDP */
    {TEXT(V2 "\x21\x31\x00\xd8"), STATUS_INVALID, 0, false},           /* a Unix socket */
    {TEXT(V2 "\x22\x11\x00\x0c" ADDRESSES), STATUS_INVALID, 0, false},
    {TEXT(V2 "\x11\x11\x00\x0c" ADDRESSES), STATUS_INVALID, 0, false}, /* version 1 in binary */
    {TEXT("\r\n\r\n\r"), STATUS_INVALID, 0, false},
};

static void headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct proxy_peer peer;
        size_t consumed;
        enum status status = verdict(slice_make(cases[i].bytes, cases[i].count), &peer, &consumed);
        if (status != cases[i].status || peer.known != cases[i].known)
            fail_msg("case %zu: %s, known %d: %.60s", i, status_text(status), peer.known,
                     cases[i].bytes);
        if (status == STATUS_OK)
            assert_int_equal(cases[i].count - consumed, cases[i].left);
    }
}

static void what_they_say(void **state)
{
    static const char *const same[] = {"PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\n",
                                       V2 "\x21\x11\x00\x0c" ADDRESSES};
    static const size_t counts[] = {42, 28};
    (void)state;
    for (size_t i = 0; i < COUNT(same); i++) {
        struct proxy_peer peer;
        size_t consumed;
        assert_int_equal(verdict(slice_make(same[i], counts[i]), &peer, &consumed), STATUS_OK);
        assert_memory_equal(peer.source, FOUR("\xc0", "\x00", "\x02", "\x07"), 16);
        assert_memory_equal(peer.destination, FOUR("\x7f", "\x00", "\x00", "\x01"), 16);
        assert_int_equal(peer.source_port, 12345);
        assert_int_equal(peer.destination_port, 443);
    }
}

/* A header of the longest there is, with a checksum; then with every bit of it turned. */
static void a_checksum_is_verified(void **state)
{
    uint8_t header[PROXY_BYTES_MAX] = V2 "\x21\x11\x02\x08" ADDRESSES "\x03\x00\x04\0\0\0\0";
    struct proxy_peer peer;
    size_t consumed;
    (void)state;
    header[35] = 0x05; /* all the rest is one TLV */
    header[36] = (sizeof header - 38) >> 8;
    header[37] = (uint8_t)(sizeof header - 38);
    uint32_t crc = crc32c(0, SLICE_OF(header));
    for (int i = 0; i < 4; i++)
        header[31 + i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_int_equal(read_whole(SLICE_OF(header), &peer, &consumed), STATUS_OK);
    assert_int_equal(consumed, sizeof header);
    for (size_t bit = 0; bit < 8 * sizeof header; bit++) {
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum status status = read_whole(SLICE_OF(header), &peer, &consumed);
        bool local = bit == 8 * 12; /* then the rest says nothing */
        bool lost = bit / 8 == 28;  /* then it is another TLV: no checksum */
        if (status != (local || lost ? STATUS_OK : STATUS_INVALID))
            fail_msg("bit %zu: %s", bit, status_text(status));
        header[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* What inet_pton takes, and nothing else, but quads with leading zeros, which it refuses as we do.
 * The texts are made of the pieces that addresses are made of. */
static void addresses_are_read_as_the_library_does(void **state)
{
    static const char *const pieces[] = {"0",  "1",   "ffff", "00a",  "12345",   ":",
                                         "::", ":",   ":",    "::",   "1.2.3.4", ".",
                                         "g",  "DB8", "2:3",  "4:5:6"};
    struct prng prng;
    unsigned good = 0;
    (void)state;
    prng_init(&prng, 3);
    for (unsigned round = 0; round < 40000; round++) {
        char text[64] = "", line[160];
        size_t count = 1 + prng_below(&prng, 9);
        for (size_t i = 0; i < count; i++)
            (void)strncat(text, pieces[prng_below(&prng, COUNT(pieces))],
                          sizeof text - 1 - strlen(text));
        int bytes = snprintf(line, sizeof line, "PROXY TCP6 %s ::1 1 2\r\n", text);
        if (bytes > PROXY_LINE_BYTES_MAX)
            continue;
        uint8_t expected[16];
        bool valid = inet_pton(AF_INET6, text, expected) == 1;
        struct proxy_peer peer;
        struct slice in = slice_make(line, (size_t)bytes);
        enum status status = proxy_read(&in, &peer);
        if ((status == STATUS_OK) != valid)
            fail_msg("%s: %s", text, status_text(status));
        if (valid)
            assert_memory_equal(peer.source, expected, 16);
        good += valid;
    }
    assert_true(good > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(what_they_say),
        cmocka_unit_test(a_checksum_is_verified),
        cmocka_unit_test(addresses_are_read_as_the_library_does),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
