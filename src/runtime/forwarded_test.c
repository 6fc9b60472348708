/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct forwarded forwarded;

static void address(const char *text, uint8_t out[16])
{
    assert_true(forwarded_read(slice_text(text), out));
}

static int setup(void **state)
{
    (void)state;
    forwarded = (struct forwarded){.proxies_count = 2};
    address("10.0.0.1", forwarded.proxies[0]);
    address("fd00::1", forwarded.proxies[1]);
    return 0;
}

static void addresses_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",         "a",       "1.2.3",   "1.2.3.4:80", "[::1]", "1.2.3.4 ",   "01.2.3.4x",
        "::1%eth0", "unknown", "_hidden", "1.2.3.256",  "1:2:3", "1.2.3.4,5.6"};
    uint8_t out[16];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (forwarded_read(slice_text(bad[i]), out))
            fail_msg("'%s' is taken for an address", bad[i]);
    assert_false(forwarded_read(SLICE_LITERAL("1.2.3.4\0x"), out));
    address("::ffff:10.0.0.1", out); /* the same as its IPv4 */
    assert_true(forwarded_is_proxy(&forwarded, out));
}

static void only_proxies_are_believed(void **state)
{
    static const struct {
        const char *from, *headers, *peer;
    } cases[] = {
        {"10.0.0.1", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "x-forwarded-for:  2001:db8::7 \r\n", "2001:db8::7"},
        {"fd00::1", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.2", "X-Forwarded-For: 203.0.113.9\r\n", "10.0.0.2"},
        {"10.0.0.1", "", "10.0.0.1"},
        /* what the client itself wrote stands before what the proxy added */
        {"10.0.0.1", "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 203.0.113.9\r\n",
         "203.0.113.9"},
        {"10.0.0.1", "X-Forwarded-For: 198.51.100.1, 203.0.113.9, fd00::1\r\n", "203.0.113.9"},
        {"10.0.0.1", "X-Forwarded-For: fd00::1\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: 198.51.100.1, unknown\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: 198.51.100.1, unknown, fd00::1\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: unknown, 203.0.113.9\r\n", "203.0.113.9"},
        {"10.0.0.1", "X-Forwarded-For: ,,\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For:\r\n", "10.0.0.1"},
        {"10.0.0.1", "Forwarded: for=203.0.113.9\r\n", "10.0.0.1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        struct http1_head head;
        uint8_t peer[16], expected[16];
        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].headers);
        struct slice in = slice_text(text);
        assert_int_equal(http1_read_request(&in, 0, &head), STATUS_OK);
        address(cases[i].from, peer);
        address(cases[i].peer, expected);
        forwarded_peer(&forwarded, &head, peer);
        if (memcmp(peer, expected, 16) != 0)
            fail_msg("case %zu: another peer than %s", i, cases[i].peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(addresses_are_read_strictly, setup),
        cmocka_unit_test_setup(only_proxies_are_believed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
