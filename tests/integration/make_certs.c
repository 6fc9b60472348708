/* SPDX-License-Identifier: Apache-2.0
 * make-certs FOLDER: certificates for tests of real programs: ca.pem and, signed by it, NAME.cert
 * and NAME.key: good, next (as good), soon (5 days left), expired, wrong (another name); other.pem
 * is an authority that signed none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "adapters/openssl/cert_rig.h"

#define DAY_S 86400L
#define OURS  "DNS:localhost,IP:127.0.0.1"

static const char *folder;

static void make(void **state)
{
    static const struct cert_wish wishes[] = {
        {.names = OURS, .cert = "good"},
        {.names = OURS, .cert = "next"},
        {.names = OURS, .from_s = -DAY_S, .to_s = 5 * DAY_S + 600, .cert = "soon"},
        {.names = OURS, .from_s = -9 * DAY_S, .to_s = -DAY_S, .cert = "expired"},
        {.names = "DNS:chat.example", .cert = "wrong"},
    };
    struct cert_authority authority, other;
    char path[512], key[512];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/ca.pem", folder);
    cert_authority_make(&authority, path);
    (void)snprintf(path, sizeof path, "%s/other.pem", folder);
    cert_authority_make(&other, path);
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        struct cert_wish wish = wishes[i];
        (void)snprintf(path, sizeof path, "%s/%s.cert", folder, wish.cert);
        (void)snprintf(key, sizeof key, "%s/%s.key", folder, wish.cert);
        wish.cert = path;
        wish.key = key;
        cert_make(&authority, &wish);
    }
    cert_authority_free(&authority);
    cert_authority_free(&other);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(make)};
    if (count != 2)
        return 2;
    folder = arguments[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
