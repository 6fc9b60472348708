/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The bytes of a code point, surrogates and numbers past the end included: what a naive encoder
 * would write in `width` bytes. */
static size_t encode(uint32_t code, size_t width, uint8_t out[4])
{
    static const uint8_t head[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = width; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)(head[width] | code);
    return width;
}

static bool by_bytes(struct slice text)
{
    struct utf8 utf8;
    utf8_init(&utf8);
    bool going = true;
    for (size_t i = 0; i < text.bytes; i++) {
        bool now = utf8_feed(&utf8, slice_sub(text, i, 1));
        assert_false(now && !going); /* once broken, for ever */
        going = now;
    }
    assert_true(going == !utf8.broken);
    return utf8_complete(&utf8);
}

static void test_every_code_point(void **state)
{
    (void)state;
    static const uint32_t first[] = {0, 0, 0x80, 0x800, 0x10000, 0x200000};
    for (size_t width = 1; width <= 4; width++) {
        uint32_t end = width == 1 ? 0x80 : first[width + 1];
        for (uint32_t code = 0; code < end; code++) {
            uint8_t bytes[4];
            struct slice text = {bytes, encode(code, width, bytes)};
            bool surrogate = code >= 0xd800 && code <= 0xdfff;
            bool valid = code >= first[width] && !surrogate && code <= 0x10ffff;
            if (utf8_valid(text) != valid)
                fail_msg("U+%04X in %zu bytes", code, width);
            if (code % 61 == 0 && by_bytes(text) != valid)
                fail_msg("U+%04X in %zu bytes, one by one", code, width);
            if (valid && width > 1 && utf8_valid(slice_sub(text, 0, width - 1)))
                fail_msg("U+%04X cut", code);
        }
    }
}

static void test_texts(void **state)
{
    (void)state;
#define ROW(text, valid)                                   \
    {                                                      \
        {(const uint8_t *)(text), sizeof(text) - 1}, valid \
    }
    static const struct row {
        struct slice text;
        bool valid;
    } rows[] = {
        ROW("", true),
        ROW("plain ASCII of more than eight bytes", true),
        ROW("12345678\xc3\xa9", true),
        ROW("\xc3\xa9"
            "12345678",
            true),
        ROW("1234567\xc3\xa9"
            "12345678",
            true),
        ROW("with a \0 zero", true),
        ROW("\xe2\x82\xac\xf0\x9f\x98\x80", true),
        ROW("\x80", false),
        ROW("\xbf", false),
        ROW("12345678\xff"
            "12345678",
            false),
        ROW("\xc0\x80", false),
        ROW("\xc3(", false),
        ROW("\xe2\x82(", false),
        ROW("\xe2\x82", false),
        ROW("\xf0\x9f\x98", false),
        ROW("\xf5\x80\x80\x80", false),
        ROW("\xf8\x88\x80\x80\x80", false),
        ROW("\xfe\xfe\xff\xff", false),
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(utf8_valid(rows[i].text), rows[i].valid);
        assert_int_equal(by_bytes(rows[i].text), rows[i].valid);
    }
    assert_true(utf8_valid(SLICE_EMPTY));
}

/* A text that cannot be saved is refused at the first byte that says so (RFC 6455 §8.1). */
static void test_fails_fast(void **state)
{
    (void)state;
    struct utf8 utf8;
    utf8_init(&utf8);
    assert_true(utf8_feed(&utf8, SLICE_LITERAL("\xf4")));
    assert_false(utf8_complete(&utf8));
    assert_false(utf8_feed(&utf8, SLICE_LITERAL("\x90")));
    assert_false(utf8_feed(&utf8, SLICE_LITERAL("\x80\x80")));
    assert_false(utf8_complete(&utf8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_fails_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
