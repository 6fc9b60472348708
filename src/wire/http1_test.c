/* SPDX-License-Identifier: Apache-2.0
 * Runs tests/wire/http1.txt (named by the first argument), and small tables for the response head,
 * look-ups and writers. */
#include "wire/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_MAX = 1 << 20, CASE_BYTES_MAX = 16384, FATE_BYTES = 64, MUTATED_BYTES_MAX = 400 };

static const char *table_path;

static void fate(enum status status, const struct http1_head *head, char out[FATE_BYTES])
{
    if (status == STATUS_AGAIN)
        snprintf(out, FATE_BYTES, "more");
    else if (status == STATUS_INVALID)
        snprintf(out, FATE_BYTES, "%d%s", head->status, head->close ? "" : " but kept");
    else if (head->body == HTTP1_BODY_LENGTH)
        snprintf(out, FATE_BYTES, "accept %s %llu", head->close ? "close" : "keep",
                 (unsigned long long)head->body_bytes);
    else
        snprintf(out, FATE_BYTES, "accept %s %s", head->close ? "close" : "keep",
                 head->body == HTTP1_BODY_NONE ? "none" : "chunked");
}

/* The bytes lie at the very end of their memory, so that a sanitizer sees a look beyond them. */
static size_t read_whole(struct slice bytes, char out[FATE_BYTES])
{
    static struct http1_head head;
    uint8_t *exact = malloc(bytes.bytes + 1);
    struct slice in = {exact + 1, bytes.bytes};
    if (bytes.bytes > 0)
        memcpy(exact + 1, bytes.at, bytes.bytes);
    enum status status = http1_read_request(&in, BODY_MAX, &head);
    fate(status, &head, out);
    size_t consumed = bytes.bytes - in.bytes;
    assert_true(status == STATUS_OK ? consumed > 0 : consumed == 0);
    free(exact);
    return consumed;
}

/* The fate by the shortest prefix that has one; and what it consumed. */
static size_t read_bytewise(struct slice bytes, char out[FATE_BYTES])
{
    static struct http1_head head;
    for (size_t i = 0; i <= bytes.bytes; i++) {
        struct slice in = {bytes.at, i};
        enum status status = http1_read_request(&in, BODY_MAX, &head);
        fate(status, &head, out);
        if (status != STATUS_AGAIN)
            return i - in.bytes;
    }
    return 0;
}

static bool agree(struct slice bytes, char whole[FATE_BYTES])
{
    char bytewise[FATE_BYTES];
    size_t consumed = read_whole(bytes, whole);
    return read_bytewise(bytes, bytewise) == consumed && strcmp(whole, bytewise) == 0;
}

/* Every byte replaced by what breaks parsers, left out, and doubled. */
static void mutate(const char *name, struct slice bytes)
{
    static const uint8_t values[] = {0, '\t', '\n', '\r', ' ', ':', ',', '0', 'a', 0x7f, 0xff};
    uint8_t copy[MUTATED_BYTES_MAX + 1];
    char whole[FATE_BYTES];
    for (size_t i = 0; i < bytes.bytes; i++) {
        for (size_t v = 0; v < sizeof values + 2; v++) {
            size_t count = bytes.bytes;
            memcpy(copy, bytes.at, count);
            if (v < sizeof values)
                copy[i] = values[v];
            else if (v == sizeof values)
                memmove(copy + i, copy + i + 1, --count - i);
            else
                memmove(copy + i + 1, bytes.at + i, count++ - i);
            if (!agree(slice_make(copy, count), whole))
                fail_msg("%s: byte %zu, change %zu: whole and byte by byte differ", name, i, v);
        }
    }
}

static size_t unescape(const char *text, uint8_t *out)
{
    size_t bytes = 0;
    for (; *text != '\0' && *text != '\n'; text++) {
        size_t repeat = 1;
        int byte = (unsigned char)*text;
        if (byte == '\\') {
            char *end = NULL;
            switch (*++text) {
            case 'r': byte = '\r'; break;
            case 'n': byte = '\n'; break;
            case 't': byte = '\t'; break;
            case '0': byte = 0; break;
            case '\\': break;
            case 'x': {
                char digits[3] = {text[1], text[2], '\0'};
                byte = (int)strtol(digits, &end, 16);
                assert_ptr_equal(end, digits + 2);
                text += 2;
                break;
            }
            case '{':
                repeat = strtoul(text + 1, &end, 10);
                byte = (unsigned char)end[1];
                text = end + 2;
                assert_true(*end == '*' && *text == '}');
                break;
            default: fail_msg("an escape that does not exist: %s", text);
            }
        }
        assert_true(bytes + repeat <= CASE_BYTES_MAX);
        memset(out + bytes, byte, repeat);
        bytes += repeat;
    }
    return bytes;
}

static void test_table(void **state)
{
    (void)state;
    static char line[512], name[512];
    static uint8_t bytes[2 * CASE_BYTES_MAX];
    size_t count = 0;
    unsigned cases = 0, failed = 0;
    FILE *file = fopen(table_path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '-') {
            memcpy(name, line, sizeof name);
            count = 0;
        } else if (line[0] == '>') {
            count += unescape(line + 2, bytes + count);
        } else if (line[0] == '=') {
            char saw[FATE_BYTES];
            bool same = agree(slice_make(bytes, count), saw);
            if (!same || strcmp(saw, line + 2) != 0) {
                print_error("%s: expected %s, saw %s%s\n", name + 2, line + 2, saw,
                            same ? "" : ", byte by byte differs");
                failed++;
            }
            if (count <= MUTATED_BYTES_MAX)
                mutate(name + 2, slice_make(bytes, count));
            cases++;
        }
    }
    fclose(file);
    assert_int_equal(failed, 0);
    assert_true(cases >= 120);
}

static const struct {
    const char *bytes;
    enum status status;
    uint16_t code;
    enum http1_body body;
    bool close;
} responses[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", STATUS_OK, 200, HTTP1_BODY_LENGTH, false},
    {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", STATUS_OK, 200, HTTP1_BODY_NONE, false},
    {"HTTP/1.1 200 OK\r\n\r\n", STATUS_OK, 200, HTTP1_BODY_UNTIL_CLOSE, true},
    {"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n", STATUS_OK, 200,
     HTTP1_BODY_CHUNKED, true},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", STATUS_OK, 101, HTTP1_BODY_NONE, false},
    {"HTTP/1.1 204 No Content\r\n\r\n", STATUS_OK, 204, HTTP1_BODY_NONE, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", STATUS_OK, 304, HTTP1_BODY_NONE,
     false},
    {"HTTP/1.1 200 OK\r\n", STATUS_AGAIN, 200, HTTP1_BODY_NONE, false},
    {"HTTP/1.1 20", STATUS_AGAIN, 0, HTTP1_BODY_NONE, false},
    {"HTTP/1.1 200\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.1  200 OK\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.1 099 X\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.1 600 X\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.1 2000 X\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.1 200 OK\n\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.0 200 OK\r\n\r\n", STATUS_INVALID, 505, HTTP1_BODY_NONE, true},
    {"ICY 200 OK\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_NONE, true},
    {"HTTP/1.1 101 X\r\nContent-Length: 5\r\n\r\n", STATUS_INVALID, 400, HTTP1_BODY_LENGTH, true},
    {"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", STATUS_INVALID, 400,
     HTTP1_BODY_CHUNKED, true},
    {"HTTP/1.1 200 X\r\nContent-Length: 9223372036854775807\r\n\r\n", STATUS_OK, 200,
     HTTP1_BODY_LENGTH, false},
    {"HTTP/1.1 200 X\r\nContent-Length: 9223372036854775808\r\n\r\n", STATUS_INVALID, 413,
     HTTP1_BODY_LENGTH, true},
    {"HTTP/1.1 200 X\r\nContent-Length: 18446744073709551621\r\n\r\n", STATUS_INVALID, 413,
     HTTP1_BODY_LENGTH, true},
    {"HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", STATUS_INVALID, 400,
     HTTP1_BODY_NONE, true},
    {"HTTP/1.1 200 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", STATUS_INVALID,
     400, HTTP1_BODY_NONE, true},
};

static void test_responses(void **state)
{
    (void)state;
    static struct http1_head head;
    for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
        struct slice in = slice_text(responses[i].bytes), whole = in;
        enum status status = http1_read_response(&in, &head);
        if (status != responses[i].status)
            print_error("%s: %d\n", responses[i].bytes, status);
        assert_int_equal(status, responses[i].status);
        assert_int_equal(in.bytes, status == STATUS_OK ? 0 : whole.bytes);
        if (status == STATUS_AGAIN)
            continue;
        assert_int_equal(head.status, responses[i].code);
        assert_int_equal(head.body, responses[i].body);
        assert_int_equal(head.close, responses[i].close);
    }
}

static void test_look_up(void **state)
{
    (void)state;
    static struct http1_head head;
    struct slice in = SLICE_LITERAL("PUT /a?b HTTP/1.1\r\nHost: h:1\r\nA: 1\r\na:  x , Y\r\n"
                                    "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\nabc");
    assert_int_equal(http1_read_request(&in, BODY_MAX, &head), STATUS_OK);
    assert_true(slice_equal(in, SLICE_LITERAL("abc")));
    assert_int_equal(head.method, HTTP1_PUT);
    assert_true(head.has_length && head.expect_continue && head.body_bytes == 3);
    assert_true(slice_equal(head.target, SLICE_LITERAL("/a?b")));
    assert_true(slice_equal(head.host, SLICE_LITERAL("h:1")));
    assert_true(slice_equal(http1_header(&head, "A"), SLICE_LITERAL("1")));
    assert_true(slice_equal(http1_find(&head, "a", http1_find(&head, "a", NULL))->value,
                            SLICE_LITERAL("x , Y")));
    assert_int_equal(http1_count(&head, "a"), 2);
    assert_null(http1_header(&head, "aa").at);
    assert_true(http1_list_has(&head, "a", "y") && http1_list_has(&head, "a", "1"));
    assert_false(http1_list_has(&head, "a", "z") || http1_list_has(&head, "b", "y"));
    assert_true(http1_equal(SLICE_LITERAL("aB-@"), "Ab-@"));
    assert_false(http1_equal(SLICE_LITERAL("a"), "ab") || http1_equal(SLICE_LITERAL("ab"), "a"));
    assert_false(http1_equal(SLICE_LITERAL("@"), "`") || http1_equal(SLICE_LITERAL("\r"), "-"));
}

static void test_write(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct buf out = buf_over(memory, sizeof memory);
    http1_write_status(&out, 200);
    http1_write_header(&out, "X", SLICE_LITERAL("a\tb c"));
    http1_write_length(&out, UINT64_MAX);
    http1_write_end(&out);
    assert_true(slice_equal(buf_slice(&out),
                            SLICE_LITERAL("HTTP/1.1 200 OK\r\nX: a\tb c\r\n"
                                          "Content-Length: 18446744073709551615\r\n\r\n")));
    assert_false(out.overflow);
    static const char *const splitting[] = {"a\r\nb", "a\rb", "a\nb", "a\x7f", "\xc3\xa4", "\x1b"};
    for (size_t i = 0; i < sizeof splitting / sizeof splitting[0]; i++) {
        out = buf_over(memory, sizeof memory);
        http1_write_header(&out, "X", slice_text(splitting[i]));
        assert_true(out.overflow && out.bytes == 0);
        out = buf_over(memory, sizeof memory);
        http1_write_request(&out, HTTP1_GET, slice_text(splitting[i]), SLICE_LITERAL("h"));
        assert_true(out.overflow && out.bytes == 0);
    }
    static struct http1_head head;
    out = buf_over(memory, sizeof memory);
    http1_write_refusal(&out, 431);
    struct slice in = buf_slice(&out);
    assert_int_equal(http1_read_response(&in, &head), STATUS_OK);
    assert_int_equal(in.bytes, 0);
    assert_true(head.status == 431 && head.close && head.body == HTTP1_BODY_NONE);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_look_up),
        cmocka_unit_test(test_write),
    };
    if (count != 2)
        return 2;
    table_path = arguments[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
