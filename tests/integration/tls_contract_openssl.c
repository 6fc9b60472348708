/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/openssl/cert_rig.h"
#include "adapters/openssl/client.h"
#include "adapters/openssl/server.h"
#include "tls_contract.h"

static struct openssl_server server;
static struct openssl_client client;
static char folder[32];

static const char *in_folder(const char *name)
{
    static char paths[3][64];
    static unsigned at;
    at = (at + 1) % 3;
    (void)snprintf(paths[at], sizeof paths[at], "%s/%s", folder, name);
    return paths[at];
}

struct tls *tls_contract_server(void)
{
    struct cert_authority authority;
    memcpy(folder, "/tmp/parley-tls-XXXXXX", 23);
    assert_non_null(mkdtemp(folder));
    cert_authority_make(&authority, in_folder("ca"));
    cert_make(&authority, &(struct cert_wish){.names = "DNS:localhost",
                                              .cert = in_folder("cert"),
                                              .key = in_folder("key")});
    cert_authority_free(&authority);
    assert_int_equal(openssl_server_open(&server, in_folder("cert"), in_folder("key"), NULL),
                     STATUS_OK);
    return &server.tls;
}

struct tls *tls_contract_client(void)
{
    assert_int_equal(openssl_client_open(&client, "localhost", in_folder("ca"), NULL), STATUS_OK);
    return &client.tls;
}

void tls_contract_done(void)
{
    char command[64];
    openssl_client_close(&client);
    openssl_server_close(&server);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}
