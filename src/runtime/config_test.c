/* SPDX-License-Identifier: Apache-2.0
 * The table of settings against its four sources: what is taken, what is refused, and how it is
 * said. */
#include "runtime/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config_reading reading;

static const char *found(void)
{
    static char text[CONFIG_FINDINGS_BYTES + 1];
    memcpy(text, reading.findings.space, reading.findings.text.bytes);
    text[reading.findings.text.bytes] = '\0';
    return text;
}

static void from_file(uint32_t line, const char *section, const char *key, const char *value)
{
    struct config_place place = {CONFIG_FILE, "p.conf", line};
    config_file_set(&reading, place, section, key, value);
}

static void defaults_are_right(void **state)
{
    (void)state;
    config_init(&reading);
    config_check(&reading);
    assert_int_equal(reading.findings.count, 0);
    assert_string_equal(reading.config.listen, "127.0.0.1:8787");
    assert_string_equal(reading.config.data, "./parley-data");
    assert_int_equal(reading.config.shards, 1);
    assert_int_equal(reading.config.sign_up, 0);
    assert_true(reading.config.members_invite);
}

static void sections_are_known_without_their_settings(void **state)
{
    struct config_place place = {CONFIG_FILE, "p.conf", 3};
    (void)state;
    config_init(&reading);
    config_file_section(&reading, place, "server");
    config_file_section(&reading, place, "times");
    assert_int_equal(reading.findings.count, 0);
    config_file_section(&reading, place, "servers");
    assert_string_equal(found(),
                        "p.conf:3: there is no section [servers]. Write one of [server], [tls], "
                        "[accounts], [limits], [store], [rates], [times], [operator], "
                        "[unsafe].\n");
    place.line = 0;
    config_find(&reading, place, "it is gone.");
    assert_non_null(strstr(found(), "\nthe file p.conf: it is gone.\n"));
}

static void keys_are_unique_and_documented(void **state)
{
    size_t count;
    const struct config_item *items = config_items(&count);
    (void)state;
    for (size_t i = 0; i < count; i++) {
        assert_true(strlen(items[i].key) < 40);
        assert_true(strlen(items[i].help) > 8);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(items[i].key, items[j].key);
    }
}

/* Each value of one setting: taken, or the words of its finding. */
static const struct {
    const char *section, *key, *value, *finding; /* NULL: taken */
} file_cases[] = {
    {"server", "shards", "16", NULL},
    {"server", "shards", "1", NULL},
    {"server", "shards", "0", "shards = '0' is too small. Give a whole number from 1 to 16"},
    {"server", "shards", "17", "is too large"},
    {"server", "shards", "", "is not a whole number"},
    {"server", "shards", "-1", "is not a whole number"},
    {"server", "shards", "2x", "is not a whole number"},
    {"server", "shards", " 2", "is not a whole number"},
    {"server", "shards", "99999999999999999999", "is not a whole number"},
    {"store", "cache_mib", "4294967295", "is too large"},
    {"store", "cache_mib", "4294967296", "is too large"},
    {"accounts", "sign_up", "open", NULL},
    {"accounts", "sign_up", "Open", "Give one of invite|closed|open"},
    {"accounts", "sign_up", "", "is not one of its values"},
    {"accounts", "sign_up", "open|closed", "is not one of its values"},
    {"accounts", "members_invite", "off", NULL},
    {"accounts", "members_invite", "no", "Give one of on|off"},
    {"limits", "shards", "1", "shards does not belong to [limits]. Put it under [server]."},
    {"server", "sahrds", "1", "there is no setting 'sahrds' in [server]"},
    {"nowhere", "nothing", "1", "there is no setting 'nothing' in [nowhere]"},
    {"server", "name", "a\033[2Jb", "holds more than a lower case"},
    {"server", "name", "", "name is empty"},
    {"server", "data", "", "data is empty"},
    {"server", "origins", "https://a.example, https://b.example", NULL},
    {"server", "origins", "a.example", "'a.example' is no origin"},
    {"server", "origins", "https://a.example/", "'https://a.example/' is no origin"},
    {"server", "origins", "HTTPS://a.example", "is no origin"},
    {"server", "origins", "null", "is no origin"},
    {"server", "hosts", "a.example, b.example:8443, [::1]", NULL},
    {"server", "hosts", "A.example", "'A.example' is no host"},
    {"server", "hosts", "https://a.example", "is no host"},
    {"server", "hosts", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", NULL},
    {"server", "hosts", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "17 hosts. Give at most 16"},
    {"tls", "proxy_header", "required", "trust_proxy names no proxy"},
    {"limits", "connections_address", "0", NULL},
    {"unsafe", "unsafe_bench", "./parley-data", NULL},
    {"unsafe", "unsafe_bench", "", NULL},
    {"unsafe", "unsafe_bench", "./parley-data2", "name the same folder twice"},
    {"server", "listen", "[::1]:8787", NULL},
    {"server", "listen", "localhost:1", NULL},
    {"server", "listen", "127.9.9.9:0", NULL},
    {"server", "listen", "0.0.0.0:8787", "without a certificate"},
    {"server", "listen", "192.168.1.1:8787", "without a certificate"},
    {"server", "listen", "[::]:8787", "without a certificate"},
    {"server", "listen", "8787", "is no address"},
    {"server", "listen", "127.0.0.1", "is no address"},
    {"server", "listen", "127.0.0.1:65536", "is no address"},
    {"server", "listen", "127.0.0.1:x", "is no address"},
    {"server", "listen", ":8787", "is no address"},
    {"server", "listen", "example.org:8787", "is no address"},
    {"server", "listen", "::1:8787", "is no address"},
    {"operator", "metrics_listen", "127.0.0.1:9787", NULL},
    {"operator", "metrics_listen", "[::1]:0", NULL},
    {"operator", "metrics_listen", "9787", "is no address"},
    {"operator", "metrics_listen", "0.0.0.0:9787", "can be reached from other machines"},
    {"tls", "trust_proxy", "10.0.0.1, fd00::1", NULL},
    {"tls", "trust_proxy", "10.0.0.0/8", "no address"},
    {"tls", "trust_proxy", "proxy.example", "no address"},
    {"tls", "trust_proxy", "::1,::2,::3,::4,::5,::6,::7,::8,::9", "more than 8"},
    {"tls", "tls_cert", "cert.pem", "without tls_key"},
    {"tls", "tls_key", "key.pem", "without tls_cert"},
    {"limits", "connections", "15", "is too small"},
    {"limits", "operations", "16", NULL},
};

static void a_file_is_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof file_cases / sizeof file_cases[0]; i++) {
        const char *finding = file_cases[i].finding;
        config_init(&reading);
        from_file(7, file_cases[i].section, file_cases[i].key, file_cases[i].value);
        config_check(&reading);
        if (finding == NULL && reading.findings.count != 0)
            fail_msg("%s = %s: %s", file_cases[i].key, file_cases[i].value, found());
        if (finding == NULL)
            continue;
        if (reading.findings.count != 1 || strstr(found(), finding) == NULL)
            fail_msg("%s = %s: %s", file_cases[i].key, file_cases[i].value, found());
        assert_int_equal(strncmp(found(), "p.conf:7: ", 10), 0);
        assert_null(strchr(found(), '\033')); /* a terminal is not told what to do */
    }
}

static void a_certificate_opens_other_addresses(void **state)
{
    (void)state;
    config_init(&reading);
    from_file(1, "server", "listen", "0.0.0.0:443");
    from_file(2, "tls", "tls_cert", "cert.pem");
    from_file(3, "tls", "tls_key", "key.pem");
    config_check(&reading);
    assert_int_equal(reading.findings.count, 0);
    assert_true(config_tls(&reading.config));
    /* A proxy, too; without a certificate only it may connect. */
    struct forwarded forwarded;
    assert_true(config_forwarded(&reading.config, &forwarded));
    assert_false(forwarded.only);
    config_init(&reading);
    from_file(1, "server", "listen", "0.0.0.0:80");
    from_file(2, "tls", "trust_proxy", "10.0.0.1");
    config_check(&reading);
    assert_int_equal(reading.findings.count, 0);
    assert_true(config_forwarded(&reading.config, &forwarded));
    assert_true(forwarded.only);
    assert_int_equal(forwarded.proxies_count, 1);
}

static void a_text_may_be_as_long_as_its_bound(void **state)
{
    char text[65];
    (void)state;
    memset(text, 'x', sizeof text);
    config_init(&reading);
    text[63] = '\0';
    from_file(1, "server", "listen", text);
    assert_int_equal(reading.findings.count, 0);
    assert_string_equal(reading.config.listen, text);
    config_init(&reading);
    text[63] = 'x';
    text[64] = '\0';
    from_file(1, "server", "listen", text);
    assert_int_equal(reading.findings.count, 1);
    assert_string_equal(reading.config.listen, "127.0.0.1:8787");
}

static void the_stronger_source_wins(void **state)
{
    char *environment[] = {"PARLEY_SHARDS=3",    "PARLEY_SHARDSX=9",    "XPARLEY_SHARDS=9",
                           "PARLEY_PROFILE=bob", "PARLEY_CACHE_MIB=99", NULL};
    (void)state;
    config_init(&reading);
    from_file(1, "server", "shards", "2");
    assert_int_equal(reading.config.shards, 2);
    config_environment(&reading, environment);
    assert_int_equal(reading.config.shards, 3);
    assert_int_equal(reading.config.cache_mib, 99);
    assert_true(config_flag_set(&reading, "shards", "4"));
    assert_int_equal(reading.config.shards, 4);
    assert_true(config_flag_set(&reading, "cache-mib", "100"));
    assert_int_equal(reading.config.cache_mib, 100);
    assert_false(config_flag_set(&reading, "cache_mib", "101"));
    assert_false(config_flag_set(&reading, "", "101"));
    assert_int_equal(reading.findings.count, 0);
}

static void each_source_is_named(void **state)
{
    char *environment[] = {"PARLEY_CACHE_MIB=much", NULL};
    (void)state;
    config_init(&reading);
    config_environment(&reading, environment);
    (void)config_flag_set(&reading, "sign-up", "maybe");
    from_file(3, "server", "shards", "none");
    assert_int_equal(reading.findings.count, 3);
    assert_non_null(strstr(found(), "environment PARLEY_CACHE_MIB: cache_mib = 'much'"));
    assert_non_null(strstr(found(), "command line --sign-up: sign_up = 'maybe'"));
    assert_non_null(strstr(found(), "p.conf:3: shards = 'none'"));
}

static void a_key_stands_once(void **state)
{
    (void)state;
    config_init(&reading);
    from_file(3, "server", "shards", "2");
    from_file(9, "server", "shards", "4");
    assert_int_equal(reading.config.shards, 2);
    assert_int_equal(reading.findings.count, 1);
    assert_non_null(strstr(found(), "p.conf:9: shards stands here again, after line 3"));
}

static void numbers_must_fit_together(void **state)
{
    (void)state;
    config_init(&reading);
    from_file(1, "server", "shards", "4");
    from_file(2, "limits", "connections", "63");
    from_file(3, "limits", "operations", "63");
    config_check(&reading);
    assert_int_equal(reading.findings.count, 2);
    assert_non_null(strstr(found(), "p.conf:2: connections = 63 is too small for 4 shards"));
}

static void too_many_findings_are_counted(void **state)
{
    (void)state;
    config_init(&reading);
    for (uint32_t i = 0; i < 2000; i++)
        from_file(i, "server", "no_such_setting", "1");
    assert_int_equal(reading.findings.count, 2000);
    assert_true(reading.findings.text.bytes <= CONFIG_FINDINGS_BYTES);
}

/* The sample, with its comment signs taken away, is a file of nothing but defaults. */
static void the_sample_holds_the_defaults(void **state)
{
    static char space[32 << 10];
    struct buf text = buf_over(space, sizeof space - 1);
    char section[32] = "", key[64], value[256];
    struct config_reading plain;
    size_t count, seen = 0;
    (void)state;
    (void)config_items(&count);
    config_sample(&text);
    assert_false(text.overflow);
    config_init(&reading);
    config_init(&plain);
    for (char *line = space; *line != '\0'; line += strlen(line) + 1) {
        *strchr(line, '\n') = '\0';
        value[0] = '\0';
        if (line[0] == '[')
            (void)sscanf(line, "[%31[^]]", section);
        else if (line[0] == '#' && line[1] != ' ' &&
                 sscanf(line, "#%63[a-z_] = %255[^\n]", key, value) >= 1)
            from_file((uint32_t)seen++, section, key, value);
    }
    assert_int_equal(seen, count);
    config_check(&reading);
    if (reading.findings.count != 0)
        fail_msg("%s", found());
    assert_memory_equal(&reading.config, &plain.config, sizeof plain.config);
}

static void help_names_each_setting(void **state)
{
    static char space[32 << 10];
    struct buf text = buf_over(space, sizeof space - 1);
    size_t count;
    const struct config_item *items = config_items(&count);
    (void)state;
    config_help(&text);
    assert_false(text.overflow);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(strstr(space, items[i].key));
        assert_non_null(strstr(space, items[i].help));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_right),
        cmocka_unit_test(keys_are_unique_and_documented),
        cmocka_unit_test(sections_are_known_without_their_settings),
        cmocka_unit_test(a_file_is_taken_or_refused),
        cmocka_unit_test(a_certificate_opens_other_addresses),
        cmocka_unit_test(a_text_may_be_as_long_as_its_bound),
        cmocka_unit_test(the_stronger_source_wins),
        cmocka_unit_test(each_source_is_named),
        cmocka_unit_test(a_key_stands_once),
        cmocka_unit_test(numbers_must_fit_together),
        cmocka_unit_test(too_many_findings_are_counted),
        cmocka_unit_test(the_sample_holds_the_defaults),
        cmocka_unit_test(help_names_each_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
