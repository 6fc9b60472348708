/* SPDX-License-Identifier: Apache-2.0
 * cert_rig.h: certificates for tests, made on the spot: an authority and what it signs, as PEM
 * files. P-256. Asserts by cmocka. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

struct cert_authority {
    EVP_PKEY *key;
    X509 *certificate;
};

struct cert_wish {
    const char *names;      /* subjectAltName as OpenSSL writes it: "DNS:a.example,IP:127.0.0.1" */
    long from_s, to_s;      /* of its validity, from now; both 0: from an hour ago, for 90 days */
    const char *cert, *key; /* files to write */
};

void cert_authority_make(struct cert_authority *authority, const char *file);
void cert_authority_free(struct cert_authority *authority);
void cert_make(const struct cert_authority *authority, const struct cert_wish *wish);
