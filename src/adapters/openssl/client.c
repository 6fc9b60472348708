/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/openssl/client.h"

#include <stdio.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "adapters/openssl/session.h"

/* A ticket came: returning 1 keeps the reference. */
static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct openssl_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(client->newest);
    client->newest = session;
    return 1;
}

static bool name_set(const struct openssl_client *client, SSL *ssl)
{
    static const uint8_t ours[] = "\x08http/1.1";
    if (SSL_set_alpn_protos(ssl, ours, sizeof ours - 1) != 0)
        return false;
    if (client->is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), client->name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, client->name) == 1 &&
           SSL_set_tlsext_host_name(ssl, client->name) == 1;
}

static struct tls_session *client_session(struct tls *tls)
{
    struct openssl_client *client = (struct openssl_client *)tls; /* `tls` is the first member */
    SSL *ssl = SSL_new(client->context);
    if (ssl != NULL && !name_set(client, ssl)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    if (ssl != NULL)
        SSL_set_connect_state(ssl);
    if (ssl != NULL && client->newest != NULL) {
        (void)SSL_set_session(ssl, client->newest); /* else: a full handshake */
        SSL_SESSION_free(client->newest);           /* a ticket is for once */
        client->newest = NULL;
    }
    struct openssl_session *session = openssl_session_new_take(ssl, client->method);
    return session != NULL ? &session->base : NULL;
}

static const struct tls_vtable client_table = {
    .open = client_session,
    .close = openssl_session_close,
    .feed = openssl_session_feed,
    .seal = openssl_session_seal,
    .end = openssl_session_end,
};

static enum status trust(struct openssl_client *client, const char *ca, struct failure *failure)
{
    char words[64];
    if (ca == NULL && SSL_CTX_set_default_verify_paths(client->context) == 1)
        return STATUS_OK;
    if (ca != NULL && SSL_CTX_load_verify_file(client->context, ca) == 1)
        return STATUS_OK;
    return failure_set(
        failure, STATUS_INVALID, "%.90s holds no authority's certificate in PEM (%s)",
        ca != NULL ? ca : "the system's store", openssl_session_error(words, sizeof words));
}

enum status openssl_client_open(struct openssl_client *client, const char *name, const char *ca,
                                struct failure *failure)
{
    uint8_t address[16];
    enum status status = STATUS_OK;
    *client = (struct openssl_client){.tls.vtable = &client_table};
    if ((size_t)snprintf(client->name, sizeof client->name, "%s", name) >= sizeof client->name)
        status = failure_set(failure, STATUS_INVALID, "the server's name is too long");
    client->is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    client->method = openssl_session_method();
    client->context = SSL_CTX_new(TLS_client_method());
    if (status == STATUS_OK && (client->method == NULL || client->context == NULL ||
                                !openssl_session_defaults(client->context)))
        status = failure_set(failure, STATUS_BUSY, "no memory for TLS");
    if (status == STATUS_OK) {
        SSL_CTX_set_app_data(client->context, client);
        SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
        (void)SSL_CTX_set_session_cache_mode(client->context,
                                             SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(client->context, on_ticket);
        status = trust(client, ca, failure);
    }
    ERR_clear_error();
    if (status != STATUS_OK)
        openssl_client_close(client);
    return status;
}

void openssl_client_close(struct openssl_client *client)
{
    if (client->tls.vtable == NULL)
        return;
    SSL_SESSION_free(client->newest);
    SSL_CTX_free(client->context);
    BIO_meth_free(client->method);
    *client = (struct openssl_client){0};
}
