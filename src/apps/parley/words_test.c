/* SPDX-License-Identifier: Apache-2.0
 * What goes in and out in words: addresses, the command line, harmless text, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "apps/parley/address.h"
#include "apps/parley/json.h"
#include "apps/parley/options.h"
#include "apps/parley/text.h"
#include "base/id.h"

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
        const char *host;
    } cases[] = {
        {"http://127.0.0.1:8787", STATUS_OK, "127.0.0.1:8787"},
        {"http://127.0.0.1", STATUS_OK, "127.0.0.1:8787"},
        {"http://127.9.9.9:1/", STATUS_OK, "127.9.9.9:1"},
        {"http://localhost:80", STATUS_OK, "localhost:80"},
        {"http://[::1]:9", STATUS_OK, "[::1]:9"},
        {"http://[::1]", STATUS_OK, "[::1]:8787"},
        {"http://192.168.1.2:8787", STATUS_UNSUPPORTED, NULL},
        {"http://example.org", STATUS_UNSUPPORTED, NULL},
        {"http://[::2]:9", STATUS_UNSUPPORTED, NULL},
        {"https://127.0.0.1", STATUS_OK, "127.0.0.1:443"},
        {"https://chat.example.org", STATUS_OK, "chat.example.org:443"},
        {"https://chat.example.org:8443/", STATUS_OK, "chat.example.org:8443"},
        {"https://[2001:db8::1]", STATUS_OK, "[2001:db8::1]:443"},
        {"https://", STATUS_INVALID, NULL},
        {"https://a b", STATUS_INVALID, NULL},
        {"https://a@b", STATUS_INVALID, NULL},
        {"https://-a", STATUS_INVALID, NULL},
        {"https://a/b", STATUS_INVALID, NULL},
        {"127.0.0.1:8787", STATUS_INVALID, NULL},
        {"http://", STATUS_INVALID, NULL},
        {"http://127.0.0.1:", STATUS_INVALID, NULL},
        {"http://127.0.0.1:0", STATUS_INVALID, NULL},
        {"http://127.0.0.1:65536", STATUS_INVALID, NULL},
        {"http://127.0.0.1:8787/path", STATUS_INVALID, NULL},
        {"http://[::1", STATUS_INVALID, NULL},
        {"http://127.0.0.1:87x", STATUS_INVALID, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address address;
        struct failure failure = {.text = ""};
        enum status status = address_read(cases[i].text, &address, &failure);
        if (status != cases[i].status)
            fail_msg("%s: %s", cases[i].text, status_name(status));
        if (status == STATUS_OK)
            assert_string_equal(address.host, cases[i].host);
        else
            assert_true(strlen(failure.text) > 20);
    }
}

static void text_of_others_is_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
        int indent;
    } cases[] = {
        {"plain äöü 漢字 🙂", "plain äöü 漢字 🙂", 4},
        {"\x1b[2Jgone", "␛[2Jgone", 4},
        {"a\rb\bc\x7f", "a␍b␈c␡", 4},
        {"two\nlines", "two\n    lines", 4},
        {"two\nlines\t!", "two lines !", -1},
        {"csi \xc2\x9b"
         "31m",
         "csi \xef\xbf\xbd"
         "31m",
         4},
        {"bidi \xe2\x80\xae"
         "x \xe2\x81\xa6"
         "y",
         "bidi \xef\xbf\xbd"
         "x \xef\xbf\xbd"
         "y",
         4},
        {"line \xe2\x80\xa8 separator", "line \xef\xbf\xbd separator", 4},
        {"dash \xe2\x80\x94 stays", "dash \xe2\x80\x94 stays", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[128] = "";
        struct buf buf = buf_over(out, sizeof out - 1);
        text_neutral(&buf, slice_text(cases[i].text), cases[i].indent);
        assert_string_equal(out, cases[i].shown);
    }
}

static void json_is_one_escaped_line(void **state)
{
    (void)state;
    char memory[512] = "";
    const uint8_t id[ID_BYTES] = {0x01, 0xab, [15] = 0xff};
    struct json json;
    json_begin(&json, memory, sizeof memory - 1, "message");
    json_id(&json, "mid", SLICE_OF(id));
    json_id(&json, "absent", SLICE_EMPTY);
    json_number(&json, "cseq", 18446744073709551615u);
    json_bool(&json, "own", true);
    json_text(&json, "text", SLICE_LITERAL("a\"b\\c\n\x1b\x7f\xc2\x9b ü"));
    json_time(&json, "time", 1764000000123);
    struct slice line = json_end(&json);
    assert_int_equal(line.bytes, strlen(memory));
    assert_string_equal(memory, "{\"v\":1,\"type\":\"message\","
                                "\"mid\":\"01ab00000000000000000000000000ff\","
                                "\"cseq\":18446744073709551615,\"own\":true,"
                                "\"text\":\"a\\\"b\\\\c\\n\\u001b\\u007f\\u009b ü\","
                                "\"time\":\"2025-11-24T16:00:00.123Z\"}\n");
}

static void json_that_does_not_fit_is_nothing(void **state)
{
    (void)state;
    char memory[40];
    struct json json;
    json_begin(&json, memory, sizeof memory, "message");
    json_text(&json, "text", SLICE_LITERAL("longer than the rest of it"));
    assert_int_equal(json_end(&json).bytes, 0);
}

static bool parse(struct options *out, const char *const words[])
{
    char *argv[16];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    argv[argc] = NULL;
    optind = 0; /* getopt begins anew */
    return options_read(argc, argv, out);
}

static void command_lines(void **state)
{
    (void)state;
    static const struct {
        bool ok;
        const char *words[10];
    } cases[] = {
        {true, {"parley", "--profile", "a", "send", "@bob", "-m", "-x", NULL}},
        {true, {"parley", "send", "@bob", "@carol", "--wait", "read", "--timeout", "5", NULL}},
        {true, {"parley", "receive", "-f", "--max", "3", "--json", NULL}},
        {true, {"parley", "--help", NULL}},
        {true, {"parley", "send", "--help", NULL}},
        {true, {"parley", "devices", "rm", "0a1b", NULL}},
        {false, {"parley", NULL}},
        {false, {"parley", "dance", NULL}},
        {false, {"parley", "send", NULL}},
        {false, {"parley", "history", NULL}},
        {false, {"parley", "history", "a", "b", NULL}},
        {false, {"parley", "send", "@bob", "--follow", NULL}},
        {false, {"parley", "send", "@bob", "--wait", "never", NULL}},
        {false, {"parley", "receive", "--max", "x", NULL}},
        {false, {"parley", "receive", "--max", "-1", NULL}},
        {false, {"parley", "register", "--password", "secret", NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options options;
        bool ok = parse(&options, cases[i].words);
        if (ok != cases[i].ok || ok != (options.trouble[0] == '\0'))
            fail_msg("case %zu: %s", i, options.trouble);
    }
}

/* An empty variable of the shell is named as such, and --json counts wherever it stands. */
static void wrong_lines_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *why, *words[8];
    } cases[] = {
        {"the invite is empty", {"parley", "register", "--invite", "", "--json", NULL}},
        {"--invite has no value", {"parley", "register", "--invite", "--json", NULL}},
        {"--invite has no value", {"parley", "--json", "register", "--invite", NULL}},
        {"'bob' is one word too many", {"parley", "chats", "bob", "--json", NULL}},
        {"a word is missing", {"parley", "history", "--json", NULL}},
        {"no option --nothing", {"parley", "--nothing", "history", "--json", NULL}},
        {"no option -z", {"parley", "chats", "-z", "--json", NULL}},
        {"say a command", {"parley", "--json", NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options options;
        assert_false(parse(&options, cases[i].words));
        if (!strstr(options.trouble, cases[i].why))
            fail_msg("case %zu: %s", i, options.trouble);
        assert_true(options.json);
    }
    struct options options;
    const char *const words[] = {"parley", "send", "@bob", "-m", "--json", NULL};
    assert_true(parse(&options, words));
    assert_false(options.json);
    assert_string_equal(options.message, "--json");
}

static void options_mean_what_they_say(void **state)
{
    (void)state;
    struct options options;
    const char *const words[] = {"parley", "send",      "@bob",      "--wait", "delivered",
                                 "-m",     "- not cut", "--timeout", "7",      NULL};
    assert_true(parse(&options, words));
    assert_int_equal(options.command, COMMAND_SEND);
    assert_int_equal(options.words_count, 1);
    assert_string_equal(options.words[0], "@bob");
    assert_string_equal(options.message, "- not cut");
    assert_int_equal(options.wait, WAIT_DELIVERED);
    assert_true(options.has_timeout);
    assert_int_equal(options.timeout_ms, 7000);
    assert_int_equal(options.password_fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(text_of_others_is_harmless),
        cmocka_unit_test(json_is_one_escaped_line),
        cmocka_unit_test(json_that_does_not_fit_is_nothing),
        cmocka_unit_test(command_lines),
        cmocka_unit_test(wrong_lines_say_why),
        cmocka_unit_test(options_mean_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
