/* SPDX-License-Identifier: Apache-2.0 */
#include "core/username.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

static void which_names_exist(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"ann", true},
        {"a9z", true},
        {"0", false},
        {"an", false},
        {"a_n", true},
        {"_an", true},
        {"an_", true},
        {"a.n", true},
        {"a..n", false},
        {".an", false},
        {"an.", false},
        {"___", false},
        {"_._", false},
        {"9__", true},
        {"Ann", false},
        {"an n", false},
        {"an{", false},
        {"an/", false},
        {"an:", false},
        {"an`", false},
        {"\xc3\xa4nn", false},
        {"abcdefghijklmnopqrstuvwxyz012345", true},
        {"abcdefghijklmnopqrstuvwxyz0123456", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (username_valid(slice_text(cases[i].text)) != cases[i].valid)
            fail_msg("%s", cases[i].text);
}

static void names_that_look_alike_meet_in_one_row(void **state)
{
    static const struct {
        const char *a, *b;
        bool alike;
    } cases[] = {
        {"bob", "b0b", true},   {"lil", "1il", true},    {"modern", "modem", true},
        {"r_nax", "max", true}, {"vvill", "will", true}, {"v.v_ill", "wi11", true},
        {"bob", "bobb", false}, {"bob", "rob", false},   {"ann", "a.n_n", true},
        {"rv", "rv_", true},    {"vn", "rn", false},     {"rrn", "rm", true},
        {"vvv", "wv", true},    {"", "", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t a[ID_BYTES], b[ID_BYTES];
        username_key(slice_text(cases[i].a), a);
        username_key(slice_text(cases[i].b), b);
        if ((memcmp(a, b, ID_BYTES) == 0) != cases[i].alike)
            fail_msg("%s, %s", cases[i].a, cases[i].b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_names_exist),
        cmocka_unit_test(names_that_look_alike_meet_in_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
