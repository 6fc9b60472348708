/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/openssl/session.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "base/assert.h"
#include "base/memory.h"

/* ---- lent memory as a BIO ---- */

static int memory_read(BIO *bio, char *out, int bytes)
{
    struct openssl_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes <= 0)
        return 0;
    if (session->in == NULL || session->in->bytes == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t count = session->in->bytes < (size_t)bytes ? session->in->bytes : (size_t)bytes;
    memcpy(out, session->in->at, count);
    *session->in = slice_sub(*session->in, count, session->in->bytes);
    return (int)count;
}

static int memory_write(BIO *bio, const char *at, int bytes)
{
    struct openssl_session *session = BIO_get_data(bio);
    struct buf *out = session->out;
    BIO_clear_retry_flags(bio);
    if (bytes <= 0)
        return 0;
    if (out == NULL || (size_t)bytes > out->capacity - out->bytes)
        return -1; /* for good: the peer asks for more than a turn can answer */
    buf_put(out, slice_make(at, (size_t)bytes));
    return bytes;
}

static long memory_control(BIO *bio, int command, long number, void *at)
{
    (void)bio;
    (void)number;
    (void)at;
    return command == BIO_CTRL_FLUSH; /* it needs none */
}

BIO_METHOD *openssl_session_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "lent memory");
    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read(method, memory_read) != 1 ||
        BIO_meth_set_write(method, memory_write) != 1 ||
        BIO_meth_set_ctrl(method, memory_control) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

bool openssl_session_defaults(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1;
}

struct openssl_session *openssl_session_new_take(SSL *ssl, BIO_METHOD *method)
{
    struct openssl_session *session = ssl != NULL ? memory_alloc(sizeof *session) : NULL;
    BIO *bio = session != NULL ? BIO_new(method) : NULL;
    if (bio == NULL) {
        memory_free(session);
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    *session = (struct openssl_session){.ssl = ssl};
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return session;
}

void openssl_session_close(struct tls *tls, struct tls_session *base)
{
    struct openssl_session *session = (struct openssl_session *)base;
    (void)tls;
    if (session == NULL)
        return;
    /* As if closed in order: else OpenSSL would not resume a session whose peer hung up. */
    SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    memory_free(session);
}

/* ---- why it failed ---- */

static const char *distrust(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "its certificate is not valid yet (is the clock of this machine right?)";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "its certificate is for another name";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* another one of the same name */
        return "its certificate is of an authority that is not known here (--ca FILE names one)";
    default: return "its certificate cannot be trusted";
    }
}

static const char *trouble_of(const SSL *ssl)
{
    unsigned long error = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK)
        return distrust(verdict);
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return "the connection broke";
    switch (ERR_GET_REASON(error)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_RECORD_LENGTH_MISMATCH: return "it does not speak TLS there (https)";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "it speaks only a TLS older than 1.2";
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "it shares no way of encrypting with this program";
    default: return "the encryption broke (TLS)";
    }
}

static void judge(struct openssl_session *session, int result)
{
    struct tls_session *base = &session->base;
    switch (SSL_get_error(session->ssl, result)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ: break;
    case SSL_ERROR_ZERO_RETURN: base->state = TLS_ENDED; break;
    default:
        base->trouble = trouble_of(session->ssl);
        base->state = TLS_FAILED;
        break;
    }
    ERR_clear_error();
}

const char *openssl_session_error(char *space, size_t bytes)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    (void)strncpy(space, reason != NULL ? reason : "no reason given", bytes - 1);
    space[bytes - 1] = '\0';
    ERR_clear_error();
    return space;
}

/* ---- bytes ---- */

static void lend(struct openssl_session *session, struct slice *in, struct buf *out)
{
    session->in = in;
    session->out = out;
    ERR_clear_error(); /* the queue is the thread's: nobody else's error may end this session */
}

void openssl_session_feed(struct tls *tls, struct tls_session *base, struct slice *in,
                          struct buf *plain, struct buf *out)
{
    struct openssl_session *session = (struct openssl_session *)base;
    (void)tls;
    lend(session, in, out);
    if (base->state == TLS_HANDSHAKE) {
        int result = SSL_do_handshake(session->ssl);
        if (result == 1) {
            base->state = TLS_OPEN;
            base->resumed = SSL_session_reused(session->ssl) == 1;
        } else {
            judge(session, result);
        }
    }
    while (base->state == TLS_OPEN && plain->bytes < plain->capacity) {
        size_t got = 0;
        int result = SSL_read_ex(session->ssl, plain->at + plain->bytes,
                                 plain->capacity - plain->bytes, &got);
        if (result != 1) {
            judge(session, result);
            break;
        }
        plain->bytes += got;
    }
    lend(session, NULL, NULL);
}

void openssl_session_seal(struct tls *tls, struct tls_session *base, struct slice plain,
                          struct buf *out)
{
    struct openssl_session *session = (struct openssl_session *)base;
    size_t gone = 0;
    (void)tls;
    assert(base->state == TLS_OPEN || base->state == TLS_ENDED);
    if (plain.bytes == 0)
        return;
    lend(session, NULL, out);
    int result = SSL_write_ex(session->ssl, plain.at, plain.bytes, &gone);
    if (result != 1) {
        judge(session, result);
        base->state = TLS_FAILED; /* memory takes all or nothing: it cannot be tried again */
        if (base->trouble == NULL)
            base->trouble = "the encryption broke (TLS)";
    }
    lend(session, NULL, NULL);
}

void openssl_session_end(struct tls *tls, struct tls_session *base, struct buf *out)
{
    struct openssl_session *session = (struct openssl_session *)base;
    (void)tls;
    if (base->state != TLS_OPEN && base->state != TLS_ENDED)
        return;
    lend(session, NULL, out);
    (void)SSL_shutdown(session->ssl); /* best effort: the connection is closed anyway */
    lend(session, NULL, NULL);
}
