/* SPDX-License-Identifier: Apache-2.0
 * Both ends over OpenSSL: whom a client trusts, what a server refuses, tickets, a new certificate
 * under connections that stand. What the port promises of any adapter: tests/integration,
 * tls_contract.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "adapters/openssl/cert_rig.h"
#include "adapters/openssl/client.h"
#include "adapters/openssl/server.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define HOUR_S       3600L
#define DAY_S        86400L

static char folder[32];
static struct cert_authority authority;
static struct openssl_server server;

static const char *path(const char *name)
{
    static char paths[4][64];
    static unsigned at;
    at = (at + 1) % 4;
    (void)snprintf(paths[at], sizeof paths[at], "%s/%s", folder, name);
    return paths[at];
}

static void pair(const char *names, long from_s, long to_s)
{
    cert_make(&authority, &(struct cert_wish){.names = names,
                                              .from_s = from_s,
                                              .to_s = to_s,
                                              .cert = path("cert"),
                                              .key = path("key")});
}

static int setup(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/parley-tls-XXXXXX", 23);
    assert_non_null(mkdtemp(folder));
    cert_authority_make(&authority, path("ca"));
    pair("DNS:chat.example,IP:127.0.0.1", 0, 0);
    assert_int_equal(openssl_server_open(&server, path("cert"), path("key"), NULL), STATUS_OK);
    return 0;
}

static int teardown(void **state)
{
    char command[64];
    (void)state;
    openssl_server_close(&server);
    cert_authority_free(&authority);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

/* ---- two ends ---- */

struct end {
    struct tls *tls;
    struct tls_session *session;
    uint8_t wire[65536], plain[65536];
    struct buf out, heard;
};

static struct end near, far; /* the client's, the server's */

static void end_open(struct end *end, struct tls *tls)
{
    end->tls = tls;
    end->session = tls->vtable->open(tls);
    assert_non_null(end->session);
    end->out = buf_over(end->wire, sizeof end->wire);
    end->heard = buf_over(end->plain, sizeof end->plain);
}

static void end_close(struct end *end)
{
    end->tls->vtable->close(end->tls, end->session);
}

static bool hand(struct end *to, struct end *from)
{
    struct slice in = buf_slice(&from->out);
    bool any = in.bytes > 0;
    to->tls->vtable->feed(to->tls, to->session, &in, &to->heard, &to->out);
    from->out.bytes = 0;
    return any;
}

static void exchange(struct end *a, struct end *b)
{
    bool any = true;
    (void)hand(a, b);
    while (any) {
        any = hand(b, a);
        any = hand(a, b) || any;
    }
}

static void meet(struct openssl_client *client)
{
    end_open(&near, &client->tls);
    end_open(&far, &server.tls);
    exchange(&near, &far);
}

static void part(void)
{
    end_close(&near);
    end_close(&far);
}

static void echo(struct end *from, struct end *to)
{
    size_t before = to->heard.bytes;
    from->tls->vtable->seal(from->tls, from->session, SLICE_LITERAL("hello"), &from->out);
    exchange(from, to);
    assert_int_equal(to->heard.bytes, before + 5);
    assert_memory_equal(to->heard.at + before, "hello", 5);
}

/* ---- trust ---- */

static void a_client_trusts_only_what_is_good(void **state)
{
    static const struct {
        const char *names, *name, *trouble;
        long from_s, to_s;
    } cases[] = {
        {"DNS:chat.example", "chat.example", NULL, 0, 0},
        {"DNS:chat.example", "CHAT.example", NULL, 0, 0},
        {"IP:127.0.0.1", "127.0.0.1", NULL, 0, 0},
        {"IP:::1", "::1", NULL, 0, 0},
        {"DNS:*.chat.example", "a.chat.example", NULL, 0, 0},
        {"DNS:chat.example", "evil.example", "for another name", 0, 0},
        {"DNS:chat.example", "chat.example.evil", "for another name", 0, 0},
        {"DNS:*.chat.example", "a.b.chat.example", "for another name", 0, 0},
        {"DNS:c*.chat.example", "c1.chat.example", "for another name", 0, 0},
        {"DNS:127.0.0.1", "127.0.0.1", "for another name", 0, 0},
        {"IP:127.0.0.1", "127.0.0.2", "for another name", 0, 0},
        {"DNS:chat.example", "chat.example", "has expired", -2 * DAY_S, -60},
        {"DNS:chat.example", "chat.example", "not valid yet", HOUR_S, DAY_S},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct openssl_client client;
        pair(cases[i].names, cases[i].from_s, cases[i].to_s);
        assert_int_equal(openssl_server_reload(&server, 0, NULL), STATUS_OK);
        assert_int_equal(openssl_client_open(&client, cases[i].name, path("ca"), NULL), STATUS_OK);
        meet(&client);
        if (cases[i].trouble == NULL) {
            if (near.session->state != TLS_OPEN)
                fail_msg("case %zu: %s", i, near.session->trouble);
            assert_int_equal(near.session->state, TLS_OPEN);
            echo(&near, &far);
        } else {
            assert_int_equal(near.session->state, TLS_FAILED);
            if (strstr(near.session->trouble, cases[i].trouble) == NULL)
                fail_msg("case %zu: %s", i, near.session->trouble);
            assert_int_equal(far.session->state, TLS_FAILED); /* it was told */
        }
        part();
        openssl_client_close(&client);
    }
}

static void another_authority_is_not_known(void **state)
{
    struct cert_authority other;
    struct openssl_client client;
    (void)state;
    cert_authority_make(&other, path("other"));
    assert_int_equal(openssl_client_open(&client, "chat.example", path("other"), NULL), STATUS_OK);
    meet(&client);
    assert_int_equal(near.session->state, TLS_FAILED);
    assert_non_null(strstr(near.session->trouble, "not known here"));
    part();
    openssl_client_close(&client);
    /* the system's store does not know it either */
    assert_int_equal(openssl_client_open(&client, "chat.example", NULL, NULL), STATUS_OK);
    meet(&client);
    assert_non_null(strstr(near.session->trouble, "not known here"));
    part();
    openssl_client_close(&client);
    cert_authority_free(&other);
}

static void a_file_that_is_no_authority_is_refused(void **state)
{
    struct openssl_client client;
    struct failure failure;
    (void)state;
    assert_int_equal(openssl_client_open(&client, "a", path("key"), &failure), STATUS_INVALID);
    assert_non_null(strstr(failure.text, "holds no authority's certificate"));
    assert_int_equal(openssl_client_open(&client, "a", path("nothing"), &failure), STATUS_INVALID);
    openssl_client_close(&client);
}

/* ---- what a server refuses ---- */

/* A client of OpenSSL's own, set up as nobody should. */
static int raw_state(int newest, const char *suites, const char *protocols, const char **version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(context, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(context, newest), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(context, suites), 1);
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    if (protocols != NULL)
        assert_int_equal(
            SSL_set_alpn_protos(ssl, (const uint8_t *)protocols, (unsigned)strlen(protocols)), 0);
    end_open(&far, &server.tls);
    for (int i = 0; i < 6; i++) {
        char *at;
        (void)SSL_connect(ssl);
        long bytes = BIO_get_mem_data(out, &at);
        struct slice said = slice_make(at, (size_t)bytes);
        far.tls->vtable->feed(far.tls, far.session, &said, &far.heard, &far.out);
        (void)BIO_reset(out);
        (void)BIO_write(in, far.out.at, (int)far.out.bytes);
        far.out.bytes = 0;
    }
    *version = SSL_get_version(ssl);
    int state = (int)far.session->state;
    SSL_free(ssl);
    SSL_CTX_free(context);
    end_close(&far);
    return state;
}

static void old_and_weak_is_refused(void **state)
{
    static const struct {
        int newest;
        const char *suites, *protocols;
        int state;
        const char *version;
    } cases[] = {
        {TLS1_3_VERSION, "ALL", NULL, TLS_OPEN, "TLSv1.3"},
        {TLS1_2_VERSION, "ALL", NULL, TLS_OPEN, "TLSv1.2"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL, TLS_OPEN, "TLSv1.2"},
        {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL, TLS_OPEN, "TLSv1.2"},
        {TLS1_1_VERSION, "ALL", NULL, TLS_FAILED, NULL},
        {TLS1_VERSION, "ALL", NULL, TLS_FAILED, NULL},
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", NULL, TLS_FAILED, NULL}, /* CBC */
        {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA384", NULL, TLS_FAILED, NULL},
        {TLS1_2_VERSION, "AES128-GCM-SHA256", NULL, TLS_FAILED, NULL}, /* no forward secrecy */
        {TLS1_2_VERSION, "aNULL", NULL, TLS_FAILED, NULL},
        {TLS1_3_VERSION, "ALL", "\x02h2\x08http/1.1", TLS_OPEN, "TLSv1.3"},
        {TLS1_3_VERSION, "ALL", "\x02h2", TLS_FAILED, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *version;
        int found = raw_state(cases[i].newest, cases[i].suites, cases[i].protocols, &version);
        if (found != cases[i].state)
            fail_msg("case %zu: state %d", i, found);
        if (cases[i].version != NULL)
            assert_string_equal(version, cases[i].version);
    }
}

static void a_flipped_bit_ends_it(void **state)
{
    struct openssl_client client;
    (void)state;
    assert_int_equal(openssl_client_open(&client, "chat.example", path("ca"), NULL), STATUS_OK);
    meet(&client);
    near.tls->vtable->seal(near.tls, near.session, SLICE_LITERAL("hello"), &near.out);
    near.out.at[near.out.bytes - 1] ^= 1;
    (void)hand(&far, &near);
    assert_int_equal(far.session->state, TLS_FAILED);
    assert_int_equal(far.heard.bytes, 0);
    (void)hand(&near, &far); /* the alert */
    assert_int_equal(near.session->state, TLS_FAILED);
    part();
    openssl_client_close(&client);
}

/* ---- tickets ---- */

static bool resumes(struct openssl_client *client)
{
    meet(client);
    assert_int_equal(near.session->state, TLS_OPEN);
    assert_int_equal(near.session->resumed, far.session->resumed);
    bool resumed = far.session->resumed;
    echo(&near, &far);
    part();
    return resumed;
}

static void a_ticket_saves_the_handshake_for_two_hours(void **state)
{
    struct openssl_client client;
    (void)state;
    assert_int_equal(openssl_client_open(&client, "chat.example", path("ca"), NULL), STATUS_OK);
    openssl_server_turn(&server, 50 * OPENSSL_TICKET_MS);
    assert_false(resumes(&client));
    assert_true(resumes(&client));
    assert_true(resumes(&client)); /* each brings the next */
    openssl_server_turn(&server, 51 * OPENSSL_TICKET_MS - 1);
    assert_true(resumes(&client));
    openssl_server_turn(&server, 51 * OPENSSL_TICKET_MS);
    assert_true(resumes(&client)); /* of the key before */
    openssl_server_turn(&server, 52 * OPENSSL_TICKET_MS);
    openssl_server_turn(&server, 53 * OPENSSL_TICKET_MS);
    assert_false(resumes(&client));
    assert_true(resumes(&client));
    openssl_client_close(&client);
}

/* ---- the certificate changes ---- */

static void a_new_pair_is_for_new_connections(void **state)
{
    struct openssl_client client, next;
    static struct end old_near, old_far;
    (void)state;
    assert_int_equal(openssl_client_open(&client, "chat.example", path("ca"), NULL), STATUS_OK);
    end_open(&old_near, &client.tls);
    end_open(&old_far, &server.tls);
    exchange(&old_near, &old_far);
    assert_false(openssl_server_changed(&server));
    pair("DNS:new.example", 0, 0);
    assert_true(openssl_server_changed(&server));
    assert_int_equal(openssl_server_reload(&server, 1, NULL), STATUS_OK);
    assert_false(openssl_server_changed(&server));
    echo(&old_near, &old_far);
    assert_int_equal(openssl_client_open(&next, "new.example", path("ca"), NULL), STATUS_OK);
    meet(&next);
    echo(&near, &far);
    part();
    echo(&old_far, &old_near);
    assert_true(resumes(&client)); /* by its ticket */
    end_close(&old_near);
    end_close(&old_far);
    openssl_client_close(&next);
    openssl_client_close(&client);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path(name), "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static uint64_t wall_ms(void)
{
    return (uint64_t)time(NULL) * 1000;
}

static void a_bad_pair_changes_nothing(void **state)
{
    struct openssl_client client;
    struct failure failure;
    (void)state;
    assert_int_equal(openssl_client_open(&client, "chat.example", path("ca"), NULL), STATUS_OK);
    int64_t days = openssl_server_days(&server, wall_ms());
    assert_int_equal(rename(path("key"), path("key.kept")), 0);
    assert_true(openssl_server_changed(&server));
    assert_int_equal(openssl_server_reload(&server, wall_ms(), &failure), STATUS_IO);
    assert_non_null(strstr(failure.text, "cannot be read: No such file"));
    write_file("key", "nonsense");
    assert_int_equal(openssl_server_reload(&server, wall_ms(), &failure), STATUS_INVALID);
    assert_non_null(strstr(failure.text, "holds no private key"));
    assert_false(openssl_server_changed(&server)); /* it is not said again and again */
    pair("DNS:chat.example", 0, 0);
    assert_int_equal(rename(path("key.kept"), path("key")), 0);
    assert_int_equal(openssl_server_reload(&server, wall_ms(), &failure), STATUS_INVALID);
    assert_non_null(strstr(failure.text, "does not belong to"));
    write_file("cert", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_int_equal(openssl_server_reload(&server, wall_ms(), &failure), STATUS_INVALID);
    assert_non_null(strstr(failure.text, "holds no certificate"));
    pair("DNS:chat.example", -2 * DAY_S, -HOUR_S);
    assert_int_equal(openssl_server_reload(&server, wall_ms(), &failure), STATUS_INVALID);
    assert_non_null(strstr(failure.text, "has expired"));
    assert_int_equal(openssl_server_days(&server, wall_ms()), days);
    meet(&client); /* by the first one */
    echo(&near, &far);
    part();
    openssl_client_close(&client);
}

static void days_are_counted(void **state)
{
    struct openssl_server other;
    struct failure failure;
    (void)state;
    assert_int_equal(openssl_server_days(&server, wall_ms()), 90);
    assert_false(server.key_is_open && chmod(path("key"), 0600) != 0);
    pair("DNS:a", -2 * DAY_S, -HOUR_S);
    assert_int_equal(chmod(path("key"), 0644), 0);
    assert_int_equal(openssl_server_open(&other, path("cert"), path("key"), &failure), STATUS_OK);
    assert_int_equal(openssl_server_days(&other, wall_ms()), -1);
    assert_true(other.key_is_open);
    openssl_server_close(&other);
    assert_int_equal(openssl_server_open(&other, path("none"), path("key"), &failure), STATUS_IO);
    openssl_server_close(&other);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_client_trusts_only_what_is_good),
        CASE(another_authority_is_not_known),
        CASE(a_file_that_is_no_authority_is_refused),
        CASE(old_and_weak_is_refused),
        CASE(a_flipped_bit_ends_it),
        CASE(a_ticket_saves_the_handshake_for_two_hours),
        CASE(a_new_pair_is_for_new_connections),
        CASE(a_bad_pair_changes_nothing),
        CASE(days_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
