/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A slice inside the initializer of a table. */
#define T(text)                                   \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

typedef void write_fn(struct buf *, struct slice);
typedef enum status read_fn(struct slice, struct buf *);

/* RFC 4648 §10 and letters that the two alphabets do not share. */
static const struct row {
    struct slice bytes, base64, base64url, hex;
} rows[] = {
    {T(""), T(""), T(""), T("")},
    {T("f"), T("Zg=="), T("Zg"), T("66")},
    {T("fo"), T("Zm8="), T("Zm8"), T("666f")},
    {T("foo"), T("Zm9v"), T("Zm9v"), T("666f6f")},
    {T("foob"), T("Zm9vYg=="), T("Zm9vYg"), T("666f6f62")},
    {T("fooba"), T("Zm9vYmE="), T("Zm9vYmE"), T("666f6f6261")},
    {T("foobar"), T("Zm9vYmFy"), T("Zm9vYmFy"), T("666f6f626172")},
    {T("\xfb\xef\xff"), T("++//"), T("--__"), T("fbefff")},
    {T("\x14\x00\x0f"), T("FAAP"), T("FAAP"), T("14000f")},
};

static void check(struct slice bytes, struct slice text, write_fn *write, read_fn *read)
{
    uint8_t memory[64];
    struct buf out = buf_over(memory, text.bytes);
    write(&out, bytes);
    assert_false(out.overflow);
    assert_true(slice_equal(buf_slice(&out), text));
    out = buf_over(memory, bytes.bytes);
    assert_int_equal(read(text, &out), STATUS_OK);
    assert_true(slice_equal(buf_slice(&out), bytes));
    if (bytes.bytes == 0)
        return;
    out = buf_over(memory, text.bytes - 1);
    write(&out, bytes);
    assert_true(out.overflow);
    assert_int_equal(read(text, &out), STATUS_TOO_LARGE); /* an overflown buffer takes nothing */
    out = buf_over(memory, bytes.bytes - 1);
    assert_int_equal(read(text, &out), STATUS_TOO_LARGE);
    assert_int_equal(out.bytes, 0);
    assert_false(out.overflow);
}

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check(rows[i].bytes, rows[i].base64, base64_write, base64_read);
        check(rows[i].bytes, rows[i].base64url, base64url_write, base64url_read);
        check(rows[i].bytes, rows[i].hex, hex_write, hex_read);
        assert_int_equal(base64_text_bytes(rows[i].bytes.bytes), rows[i].base64.bytes);
        assert_int_equal(base64url_text_bytes(rows[i].bytes.bytes), rows[i].base64url.bytes);
    }
}

static void test_strict(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        read_fn *read;
    } wrong[] = {
        {T("Z"), base64_read},         {T("Zg"), base64_read},
        {T("Zg="), base64_read},       {T("Zh=="), base64_read},
        {T("Zm9="), base64_read},      {T("===="), base64_read},
        {T("Z==="), base64_read},      {T("Zg==Zg=="), base64_read},
        {T("Zm9v\n"), base64_read},    {T("Zm 9"), base64_read},
        {T("--__"), base64_read},      {T("Zm9vZm9=AAAA"), base64_read},
        {T("=="), base64_read},        {T("Z=g="), base64_read},
        {T("Zm9\xff"), base64_read},   {T("Z"), base64url_read},
        {T("Zg=="), base64url_read},   {T("Zh"), base64url_read},
        {T("Zm9"), base64url_read},    {T("++//"), base64url_read},
        {T("Zm9vA"), base64url_read},  {T("Zm9v!"), base64url_read},
        {T("Zm9v@A"), base64url_read}, {T("Zm[{"), base64url_read},
        {T("Zm`~"), base64url_read},   {T("0"), hex_read},
        {T("0g"), hex_read},           {T("G0"), hex_read},
        {T("0 "), hex_read},           {T("00/0"), hex_read},
        {T("000:"), hex_read},         {T("@0"), hex_read},
        {T("`0"), hex_read},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uint8_t memory[16];
        struct buf out = buf_over(memory, sizeof memory);
        buf_u8(&out, 1);
        if (wrong[i].read(wrong[i].text, &out) != STATUS_INVALID)
            fail_msg("row %zu was taken", i);
        assert_int_equal(out.bytes, 1);
    }
    uint8_t memory[2];
    struct buf out = buf_over(memory, sizeof memory);
    assert_int_equal(hex_read(SLICE_LITERAL("aBFf"), &out), STATUS_OK);
    assert_true(slice_equal(buf_slice(&out), SLICE_LITERAL("\xab\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
