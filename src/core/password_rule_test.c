/* SPDX-License-Identifier: Apache-2.0 */
#include "core/password_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void what_guessing_begins_with_is_refused(void **state)
{
    static const struct {
        const char *text;
        bool strong;
    } cases[] = {
        {"", false},
        {"fourteen chars", false},
        {"fifteen letters", true},
        {"correct horse battery staple", true},
        {"correcthorsebatterystaple", false},
        {"CorrectHorseBatteryStaple", false},
        {"correcthorsebatterystaples", true},
        {"passwordpassword", false}, /* a word over and over */
        {"PasswordPassword", false},
        {"letmeinletmeinle", false},
        {"abc1abc1abc1abc1", false},
        {"aaaaaaaaaaaaaaaa", false},
        {"aabbccddaabbccdd", false},
        {"a b a c a b a c b", false},
        {"123456789012345", false}, /* runs */
        {"098765432109876", false},
        {"abcdefghijklmno", false},
        {"qwertyuiopasdfgh", false},
        {"qwertyuiop12345", false},
        {"zxcvbnmasdfghjkl", false},
        {"qwerty and the rest of us", true},
        {"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xc3\xa9\xc3\xa8\xc3\xaa\xc3\xab", false}, /* eight */
        {"viele Gr\xc3\xbc\xc3\x9f"
         "e aus dem Norden",
         true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (password_strong(slice_text(cases[i].text)) != cases[i].strong)
            fail_msg("%s", cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_guessing_begins_with_is_refused)};
    return cmocka_run_group_tests_name("password_rule", tests, NULL, NULL);
}
