/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/certificate.h"

#include <stdio.h>
#include <string.h>

#include "adapters/system/system.h"

#define DAY_MS 86400000u

static uint64_t wall_ms(void)
{
    return system_clock()->vtable->read(system_clock()).wall_us / 1000;
}

static bool used(const struct certificate *certificate)
{
    return certificate->server.tls.vtable != NULL;
}

const char *certificate_named(struct certificate *certificate, const char *name)
{
    char host[256];
    bool six = name[0] == '[';
    if (!used(certificate))
        return "none";
    (void)snprintf(host, sizeof host, "%s", name + six);
    host[strcspn(host, six ? "]" : ":")] = '\0';
    return openssl_server_names(&certificate->server, host) ? "yes" : "no";
}

uint64_t certificate_end_s(const struct certificate *certificate)
{
    return used(certificate) ? certificate->server.expires_ms / 1000 : 0;
}

void certificate_text(struct certificate *certificate, char *out, size_t bytes)
{
    if (!used(certificate)) {
        (void)snprintf(out, bytes, "none");
        return;
    }
    long long days = openssl_server_days(&certificate->server, wall_ms());
    if (days < 0)
        (void)snprintf(out, bytes, "EXPIRED: no client connects");
    else if (days < CERTIFICATE_WARN_DAYS)
        (void)snprintf(out, bytes, "EXPIRES in %lld days", days);
    else
        (void)snprintf(out, bytes, "valid for %lld days", days);
}

static void warn(struct certificate *certificate)
{
    long long days = openssl_server_days(&certificate->server, wall_ms());
    char text[64];
    if (days >= CERTIFICATE_WARN_DAYS)
        return;
    certificate_text(certificate, text, sizeof text);
    (void)fprintf(stderr,
                  "parleyd: ALARM: the certificate in %s %s; put a new one there, it is taken "
                  "within a minute\n",
                  certificate->server.certificate, text);
}

static void tell_open_key(const struct certificate *certificate)
{
    if (certificate->server.key_is_open)
        (void)fprintf(stderr, "parleyd: the private key can be read by others: chmod go= %s\n",
                      certificate->server.key);
}

enum status certificate_open(struct certificate *certificate, const char *cert, const char *key,
                             struct failure *failure)
{
    *certificate = (struct certificate){.trouble = ""};
    enum status status = openssl_server_open(&certificate->server, cert, key, failure);
    if (status != STATUS_OK)
        return status;
    warn(certificate);
    tell_open_key(certificate);
    return STATUS_OK;
}

void certificate_close(struct certificate *certificate)
{
    openssl_server_close(&certificate->server);
}

enum status certificate_look(const struct config *config, struct failure *failure)
{
    static struct openssl_server server;
    enum status status = openssl_server_open(&server, config->tls_cert, config->tls_key, failure);
    openssl_server_close(&server);
    return status;
}

struct tls *certificate_port(struct certificate *certificate)
{
    return used(certificate) ? &certificate->server.tls : NULL;
}

static void reload(struct certificate *certificate)
{
    struct failure failure = {.text = ""};
    char text[64];
    enum status status = openssl_server_reload(&certificate->server, wall_ms(), &failure);
    (void)snprintf(certificate->trouble, sizeof certificate->trouble, "%s", failure.text);
    if (status != STATUS_OK) {
        (void)fprintf(stderr,
                      "parleyd: ALARM: the new certificate is not used: %s. The old one stays\n",
                      failure.text);
        return;
    }
    certificate_text(certificate, text, sizeof text);
    (void)fprintf(stderr, "parleyd: a new certificate serves new connections (%s)\n", text);
    tell_open_key(certificate);
}

void certificate_turn(struct certificate *certificate, bool asked, uint64_t mono_ms)
{
    if (!used(certificate) || (!asked && mono_ms - certificate->looked_ms < CERTIFICATE_LOOK_MS))
        return;
    bool first = certificate->looked_ms == 0;
    certificate->looked_ms = mono_ms;
    openssl_server_turn(&certificate->server, mono_ms);
    if (asked || openssl_server_changed(&certificate->server))
        reload(certificate);
    if (first || mono_ms - certificate->warned_ms >= DAY_MS) {
        certificate->warned_ms = mono_ms;
        if (!first)
            warn(certificate);
    }
}
