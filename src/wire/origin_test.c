/* SPDX-License-Identifier: Apache-2.0
 * The origin matrix: against a list of three, who may connect. */
#include "wire/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *origin;
    bool valid, allowed;
} matrix[] = {
    {"https://chat.example", true, true},
    {"https://chat.example:8443", true, true},
    {"http://[::1]:8787", true, true},
    /* another scheme, host or port */
    {"http://chat.example", true, false},
    {"https://chat.example:8444", true, false},
    {"https://chat.example:844", true, false},
    {"https://chat.example:84430", false, false},
    {"http://[::1]", true, false},
    {"http://[::2]:8787", true, false},
    {"http://localhost:8787", true, false},
    /* around the right one */
    {"https://evilchat.example", true, false},
    {"https://chat.example.evil", true, false},
    {"https://chat.exampl", true, false},
    {"https://a.chat.example", true, false},
    {"https://chat-example", true, false},
    {"https://chatxexample", true, false},
    /* not as browsers write it; two stand in the list in vain */
    {"null", false, false},
    {"https://UPPER.example", false, false},
    {"", false, false},
    {"*", false, false},
    {"https://", false, false},
    {"https://:443", false, false},
    {"https://chat.example:443", false, false},
    {"http://chat.example:80", false, false},
    {"https://chat.example:80", true, false},
    {"http://chat.example:443", true, false},
    {"https://chat.example:", false, false},
    {"https://chat.example:08443", false, false},
    {"https://chat.example:65536", false, false},
    {"https://chat.example:8x", false, false},
    {"https://chat.example:-1", false, false},
    {"https://chat.example.", false, false},
    {"https://.chat.example", false, false},
    {"https://chat.example.:8443", false, false},
    {"https://chat.example/", false, false},
    {"https://chat.example/x", false, false},
    {"https://chat.example?x", false, false},
    {"https://chat.example#", false, false},
    {"https://user@chat.example", false, false},
    {"https://chat.example@evil.example", false, false},
    {"https://Chat.example", false, false},
    {"HTTPS://chat.example", false, false},
    {"https:chat.example", false, false},
    {"https:/chat.example", false, false},
    {"https:///chat.example", false, false},
    {"https:\\\\chat.example", false, false},
    {"//chat.example", false, false},
    {"chat.example", false, false},
    {"wss://chat.example", false, false},
    {"file://", false, false},
    {"data:text/html,x", false, false},
    {"chrome-extension://abc", false, false},
    {" https://chat.example", false, false},
    {"https://chat.example ", false, false},
    {"https://chat.example https://evil.example", false, false},
    {"https://chat.example,https://evil.example", false, false},
    {"https://evil.example, https://chat.example", false, false},
    {"https://ch\xc3\xa4t.example", false, false},
    {"https://chat%2eexample", false, false},
    {"http://[::1:8787", false, false},
    {"http://[]:8787", false, false},
    {"http://[::1]x:8787", false, false},
    {"http://[::G]:8787", false, false},
};

static void test_matrix(void **state)
{
    (void)state;
    const struct slice allowed[] = {
        SLICE_LITERAL("https://chat.example"),  SLICE_LITERAL("https://chat.example:8443"),
        SLICE_LITERAL("http://[::1]:8787"),     SLICE_LITERAL("null"),
        SLICE_LITERAL("https://UPPER.example"),
    };
    size_t count = sizeof allowed / sizeof allowed[0];
    for (size_t i = 0; i < sizeof matrix / sizeof matrix[0]; i++) {
        struct slice origin = slice_text(matrix[i].origin);
        if (origin_valid(origin) != matrix[i].valid ||
            origin_allowed(origin, allowed, count) != matrix[i].allowed)
            fail_msg("\"%s\" is judged wrongly", matrix[i].origin);
        assert_false(origin_allowed(origin, NULL, 0));
    }
    assert_true(origin_allowed(SLICE_EMPTY, allowed, count));
    assert_true(origin_allowed(SLICE_EMPTY, NULL, 0));
}

/* A NUL byte does not end an origin. */
static void test_nul(void **state)
{
    (void)state;
    const struct slice allowed[] = {SLICE_LITERAL("https://chat.example")};
    assert_false(origin_allowed(SLICE_LITERAL("https://chat.example\0.evil"), allowed, 1));
    assert_false(origin_allowed(SLICE_LITERAL("https://chat.example\0"), allowed, 1));
}

static const struct {
    const char *host;
    bool valid, allowed;
} hosts[] = {
    {"chat.example", true, true},
    {"chat.example:443", true, true}, /* a name without a port goes with each */
    {"chat.example:8443", true, true},
    {"Chat.EXAMPLE", false, true}, /* a name has no case; a list is written in lower case */
    {"[::1]", true, true},
    {"[::1]:8787", true, true},
    {"port.example:8443", true, true},
    {"port.example", true, false},
    {"port.example:844", true, false},
    {"port.example:84430", false, false},
    {"chat.example.", false, false},
    {"a.chat.example", true, false},
    {"evilchat.example", true, false},
    {"chat.example.evil", true, false},
    {"chat-example", true, false},
    {"[::2]", true, false},
    {"::1", false, false},
    {"127.0.0.1", true, false},
    {"", false, false},
    {"*", false, false},
};

static void test_hosts(void **state)
{
    const struct slice list[] = {SLICE_LITERAL("chat.example"), SLICE_LITERAL("[::1]"),
                                 SLICE_LITERAL("port.example:8443")};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct slice host = slice_text(hosts[i].host);
        if (host_valid(host) != hosts[i].valid)
            fail_msg("%s: valid?", hosts[i].host);
        if (host_allowed(host, list, 3) != hosts[i].allowed)
            fail_msg("%s: allowed?", hosts[i].host);
        assert_true(host_allowed(host, NULL, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
