/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/openssl/cert_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void extension(X509 *to, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX with;
    X509V3_set_ctx_nodb(&with);
    X509V3_set_ctx(&with, issuer, to, NULL, NULL, 0);
    X509_EXTENSION *made = X509V3_EXT_conf_nid(NULL, &with, kind, value);
    assert_non_null(made);
    assert_int_equal(X509_add_ext(to, made, -1), 1);
    X509_EXTENSION_free(made);
}

static X509 *blank(EVP_PKEY *key, const char *name, long from_s, long to_s)
{
    static long serial = 1;
    X509 *made = X509_new();
    assert_non_null(made);
    assert_int_equal(X509_set_version(made, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made), serial++), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made), from_s));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made), to_s));
    assert_int_equal(X509_set_pubkey(made, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                                (const uint8_t *)name, -1, -1, 0),
                     1);
    return made;
}

static void write_pem(const char *path, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    if (certificate != NULL)
        assert_int_equal(PEM_write_X509(file, certificate), 1);
    else
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

void cert_authority_make(struct cert_authority *authority, const char *file)
{
    authority->key = EVP_EC_gen("P-256");
    assert_non_null(authority->key);
    X509 *made = blank(authority->key, "an authority", -7200, 86400L * 3650);
    assert_int_equal(X509_set_issuer_name(made, X509_get_subject_name(made)), 1);
    extension(made, made, NID_basic_constraints, "critical,CA:TRUE");
    extension(made, made, NID_key_usage, "critical,keyCertSign,cRLSign");
    extension(made, made, NID_subject_key_identifier, "hash");
    assert_true(X509_sign(made, authority->key, EVP_sha256()) > 0);
    authority->certificate = made;
    write_pem(file, made, NULL);
}

void cert_authority_free(struct cert_authority *authority)
{
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

void cert_make(const struct cert_authority *authority, const struct cert_wish *wish)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    bool any = wish->from_s != 0 || wish->to_s != 0;
    X509 *made =
        blank(key, "a server", any ? wish->from_s : -3600, any ? wish->to_s : 86400L * 90 + 600);
    assert_int_equal(X509_set_issuer_name(made, X509_get_subject_name(authority->certificate)), 1);
    extension(made, authority->certificate, NID_basic_constraints, "critical,CA:FALSE");
    extension(made, authority->certificate, NID_subject_alt_name, wish->names);
    extension(made, authority->certificate, NID_ext_key_usage, "serverAuth");
    assert_true(X509_sign(made, authority->key, EVP_sha256()) > 0);
    write_pem(wish->cert, made, NULL);
    write_pem(wish->key, NULL, key);
    X509_free(made);
    EVP_PKEY_free(key);
}
