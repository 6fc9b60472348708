/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/openssl/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/x509v3.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "adapters/openssl/session.h"
#include "base/assert.h"

#define DAY_MS        INT64_C(86400000)
#define TICKET_LIFE_S (2 * OPENSSL_TICKET_MS / 1000)

/* ---- tickets ---- */

static int ticket_seal(struct openssl_server *server, uint8_t name[16], uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct openssl_ticket_key key;
    (void)pthread_mutex_lock(&server->lock);
    key = server->keys[0];
    (void)pthread_mutex_unlock(&server->lock);
    OSSL_PARAM parts[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof key.mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    memcpy(name, key.name, sizeof key.name);
    bool done = RAND_bytes(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc())) == 1 &&
                EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.seal, iv, NULL) == 1 &&
                EVP_MAC_CTX_set_params(mac, parts) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    return done ? 1 : -1;
}

/* 0: of a key that is gone, so a full handshake; 2: taken, and a newer ticket shall follow. */
static int ticket_open(struct openssl_server *server, const uint8_t name[16], const uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct openssl_ticket_key key;
    (void)pthread_mutex_lock(&server->lock);
    int at = memcmp(name, server->keys[0].name, 16) == 0   ? 0
             : memcmp(name, server->keys[1].name, 16) == 0 ? 1
                                                           : -1;
    key = server->keys[at > 0];
    (void)pthread_mutex_unlock(&server->lock);
    if (at < 0)
        return 0;
    OSSL_PARAM parts[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac, sizeof key.mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    bool done = EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.seal, iv, NULL) == 1 &&
                EVP_MAC_CTX_set_params(mac, parts) == 1;
    OPENSSL_cleanse(&key, sizeof key);
    return done ? 2 : -1;
}

/* EXCEPTION: 6 parameters, as OpenSSL calls it. */
static int on_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int sealing)
{
    struct openssl_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    return sealing ? ticket_seal(server, name, iv, cipher, mac)
                   : ticket_open(server, name, iv, cipher, mac);
}

static bool ticket_key_make(struct openssl_ticket_key *key)
{
    return RAND_bytes(key->name, sizeof key->name) == 1 &&
           RAND_priv_bytes(key->seal, sizeof key->seal) == 1 &&
           RAND_priv_bytes(key->mac, sizeof key->mac) == 1;
}

void openssl_server_turn(struct openssl_server *server, uint64_t mono_ms)
{
    struct openssl_ticket_key fresh;
    if (mono_ms - server->turned_ms < OPENSSL_TICKET_MS)
        return;
    bool first = server->turned_ms == 0; /* the keys are of the start: only its time is new */
    server->turned_ms = mono_ms;
    if (first || !ticket_key_make(&fresh))
        return;
    (void)pthread_mutex_lock(&server->lock);
    server->keys[1] = server->keys[0];
    server->keys[0] = fresh;
    (void)pthread_mutex_unlock(&server->lock);
    OPENSSL_cleanse(&fresh, sizeof fresh);
}

/* ---- the pair ---- */

/* A key behind a passphrase is refused: nobody is there to be asked. */
static int no_passphrase(char *out, int bytes, int writing, void *user)
{
    (void)out;
    (void)bytes;
    (void)writing;
    (void)user;
    return -1;
}

/* EXCEPTION: 6 parameters, as OpenSSL calls it. */
static int on_protocols(SSL *ssl, const uint8_t **out, uint8_t *out_bytes, const uint8_t *in,
                        unsigned in_bytes, void *user)
{
    static const uint8_t ours[] = "\x08http/1.1";
    uint8_t *found;
    (void)ssl;
    (void)user;
    if (SSL_select_next_proto(&found, out_bytes, ours, sizeof ours - 1, in, in_bytes) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context_make(struct openssl_server *server)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_app_data(context, server);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets hold all */
    (void)SSL_CTX_set_timeout(context, TICKET_LIFE_S);
    if (openssl_session_defaults(context) && SSL_CTX_set_num_tickets(context, 1) == 1 &&
        SSL_CTX_set_session_id_context(context, (const uint8_t *)"parley", 6) == 1 &&
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket) == 1)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static enum status readable(const char *path, struct failure *failure)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return failure_set(failure, STATUS_IO, "%.100s cannot be read: %s", path, strerror(errno));
    (void)fclose(file);
    return STATUS_OK;
}

static uint64_t expiry_ms(SSL_CTX *context)
{
    struct tm at;
    const ASN1_TIME *end = X509_get0_notAfter(SSL_CTX_get0_certificate(context));
    if (end == NULL || ASN1_TIME_to_tm(end, &at) != 1)
        return 0;
    time_t seconds = timegm(&at);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

static enum status pair_read(const struct openssl_server *server, SSL_CTX *context,
                             struct failure *failure)
{
    char words[64];
    enum status status = readable(server->certificate, failure);
    if (status == STATUS_OK)
        status = readable(server->key, failure);
    if (status != STATUS_OK)
        return status;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, server->certificate) != 1)
        return failure_set(failure, STATUS_INVALID, "%.80s holds no certificate in PEM (%s)",
                           server->certificate, openssl_session_error(words, sizeof words));
    if (SSL_CTX_use_PrivateKey_file(context, server->key, SSL_FILETYPE_PEM) != 1) {
        bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
                     ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH;
        (void)openssl_session_error(words, sizeof words);
        if (other)
            return failure_set(failure, STATUS_INVALID,
                               "the key in %.60s does not belong to the certificate in %.60s",
                               server->key, server->certificate);
        return failure_set(failure, STATUS_INVALID,
                           "%.80s holds no private key in PEM, without a passphrase (%s)",
                           server->key, words);
    }
    return STATUS_OK;
}

static struct openssl_stamp stamp_of(const char *path, bool *is_open)
{
    struct stat found;
    if (stat(path, &found) != 0)
        return (struct openssl_stamp){0};
    if (is_open != NULL)
        *is_open = (found.st_mode & 077) != 0;
    return (struct openssl_stamp){found.st_dev, found.st_ino, found.st_size, found.st_mtim};
}

static bool stamp_same(const struct openssl_stamp *a, const struct openssl_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

bool openssl_server_changed(struct openssl_server *server)
{
    struct openssl_stamp certificate = stamp_of(server->certificate, NULL);
    struct openssl_stamp key = stamp_of(server->key, NULL);
    return !stamp_same(&certificate, &server->stamps[0]) || !stamp_same(&key, &server->stamps[1]);
}

/* Read the pair into a context of its own, and take it if it is good; now_ms 0: whatever its
 * dates. */
static enum status pair_take(struct openssl_server *server, uint64_t now_ms,
                             struct failure *failure)
{
    server->stamps[0] = stamp_of(server->certificate, NULL);
    server->stamps[1] = stamp_of(server->key, &server->key_is_open);
    SSL_CTX *context = context_make(server);
    if (context == NULL) {
        ERR_clear_error();
        return failure_set(failure, STATUS_BUSY, "no memory for TLS");
    }
    enum status status = pair_read(server, context, failure);
    uint64_t expires_ms = status == STATUS_OK ? expiry_ms(context) : 0;
    if (status == STATUS_OK && now_ms > 0 && expires_ms <= now_ms)
        status = failure_set(failure, STATUS_INVALID, "the certificate in %.100s has expired",
                             server->certificate);
    if (status != STATUS_OK) {
        SSL_CTX_free(context);
        return status;
    }
    (void)pthread_mutex_lock(&server->lock);
    SSL_CTX *before = server->context;
    server->context = context;
    server->expires_ms = expires_ms;
    (void)pthread_mutex_unlock(&server->lock);
    SSL_CTX_free(before); /* goes with the last session that uses it */
    return STATUS_OK;
}

enum status openssl_server_reload(struct openssl_server *server, uint64_t now_ms,
                                  struct failure *failure)
{
    return pair_take(server, now_ms, failure);
}

int64_t openssl_server_days(struct openssl_server *server, uint64_t now_ms)
{
    int64_t left_ms = (int64_t)server->expires_ms - (int64_t)now_ms;
    return left_ms >= 0 ? left_ms / DAY_MS : -1 - (-left_ms - 1) / DAY_MS;
}

bool openssl_server_names(struct openssl_server *server, const char *host)
{
    (void)pthread_mutex_lock(&server->lock);
    X509 *certificate = SSL_CTX_get0_certificate(server->context);
    bool named = certificate != NULL && (X509_check_host(certificate, host, 0, 0, NULL) == 1 ||
                                         X509_check_ip_asc(certificate, host, 0) == 1);
    (void)pthread_mutex_unlock(&server->lock);
    return named;
}

/* ---- open, close ---- */

static struct tls_session *server_session(struct tls *tls)
{
    struct openssl_server *server = (struct openssl_server *)tls; /* `tls` is the first member */
    (void)pthread_mutex_lock(&server->lock);
    SSL *ssl = SSL_new(server->context);
    (void)pthread_mutex_unlock(&server->lock);
    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    struct openssl_session *session = openssl_session_new_take(ssl, server->method);
    return session != NULL ? &session->base : NULL;
}

static const struct tls_vtable server_table = {
    .open = server_session,
    .close = openssl_session_close,
    .feed = openssl_session_feed,
    .seal = openssl_session_seal,
    .end = openssl_session_end,
};

enum status openssl_server_open(struct openssl_server *server, const char *certificate,
                                const char *key, struct failure *failure)
{
    *server = (struct openssl_server){.tls.vtable = &server_table};
    int made = pthread_mutex_init(&server->lock, NULL);
    assert(made == 0);
    enum status status = STATUS_OK;
    if ((size_t)snprintf(server->certificate, sizeof server->certificate, "%s", certificate) >=
            sizeof server->certificate ||
        (size_t)snprintf(server->key, sizeof server->key, "%s", key) >= sizeof server->key)
        status = failure_set(failure, STATUS_INVALID, "the path of a certificate is too long");
    server->method = openssl_session_method();
    if (status == STATUS_OK && (server->method == NULL || !ticket_key_make(&server->keys[0]) ||
                                !ticket_key_make(&server->keys[1])))
        status = failure_set(failure, STATUS_BUSY, "no memory for TLS");
    if (status == STATUS_OK)
        status = pair_take(server, 0, failure);
    if (status != STATUS_OK)
        openssl_server_close(server);
    return status;
}

void openssl_server_close(struct openssl_server *server)
{
    if (server->tls.vtable == NULL)
        return;
    SSL_CTX_free(server->context);
    BIO_meth_free(server->method);
    (void)pthread_mutex_destroy(&server->lock);
    OPENSSL_cleanse(server, sizeof *server);
}
