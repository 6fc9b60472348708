/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORT_TLS 443

static bool read_port(const char *text, uint16_t *port)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    unsigned long value = strtoul(text, NULL, 10);
    *port = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

/* Split host[:port] or [host][:port] into the host and the port, if there is one; false: no. */
static bool split(const char *text, char *host, size_t capacity, uint16_t *port)
{
    const char *from = text, *end, *rest;
    if (*from == '[') {
        end = strchr(++from, ']');
        rest = end ? end + 1 : NULL;
    } else {
        end = rest = from + strcspn(from, ":/");
    }
    if (!end || end == from || (size_t)(end - from) >= capacity)
        return false;
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    char port_text[8];
    size_t bytes = strcspn(rest, "/");
    if (rest[bytes] == '/' && rest[bytes + 1] != '\0')
        return false; /* a server lives at the root */
    if (bytes == 0)
        return true;
    if (rest[0] != ':' || bytes >= sizeof port_text)
        return false;
    memcpy(port_text, rest + 1, bytes - 1);
    port_text[bytes - 1] = '\0';
    return read_port(port_text, port);
}

static bool is_loopback(const uint8_t peer[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t one[16] = {[15] = 1};
    return memcmp(peer, one, 16) == 0 || (memcmp(peer, mapped, 12) == 0 && peer[12] == 127);
}

static bool read_host(const char *host, uint8_t peer[16])
{
    struct in_addr four;
    memset(peer, 0, 16);
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four) == 1) {
        peer[10] = peer[11] = 0xff;
        memcpy(peer + 12, &four, 4);
        return true;
    }
    return inet_pton(AF_INET6, host, peer) == 1;
}

static enum status not_a_server(const char *text, struct failure *failure)
{
    return failure_set(failure, STATUS_INVALID,
                       "'%.60s' is not a server: it looks like https://chat.example.org, or "
                       "http://127.0.0.1:8787 on this machine",
                       text);
}

/* Letters, digits, dots and dashes: what a name in a certificate consists of. */
static bool is_name(const char *host)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    return host[0] != '.' && host[0] != '-' && strspn(host, letters) == strlen(host);
}

enum status address_read(const char *text, struct address *out, struct failure *failure)
{
    static const char plain[] = "http://", secure[] = "https://";
    memset(out, 0, sizeof *out);
    out->tls = strncmp(text, secure, sizeof secure - 1) == 0;
    if (!out->tls && strncmp(text, plain, sizeof plain - 1) != 0)
        return not_a_server(text, failure);
    const char *rest = text + (out->tls ? sizeof secure - 1 : sizeof plain - 1);
    out->port = out->tls ? PORT_TLS : ADDRESS_PORT_DEFAULT;
    if (!split(rest, out->name, sizeof out->name, &out->port))
        return not_a_server(text, failure);
    bool found = read_host(out->name, out->peer);
    if (!out->tls && (!found || !is_loopback(out->peer)))
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "plain http goes to this machine only (127.0.0.1, ::1, localhost), for "
                           "on the way to %.40s anyone could read along: use https://",
                           out->name);
    if (!found && !is_name(out->name))
        return not_a_server(text, failure);
    out->named = !found;
    (void)snprintf(out->host, sizeof out->host, strchr(out->name, ':') ? "[%s]:%u" : "%s:%u",
                   out->name, out->port);
    return STATUS_OK;
}

bool address_find(struct address *address, uint32_t attempt)
{
    struct addrinfo wish = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL, *at;
    uint32_t count = 0;
    if (!address->named)
        return true;
    if (getaddrinfo(address->name, NULL, &wish, &found) != 0)
        return false;
    for (at = found; at != NULL; at = at->ai_next)
        count++;
    at = found;
    for (uint32_t i = 0; count > 0 && i < attempt % count; i++)
        at = at->ai_next;
    memset(address->peer, 0, sizeof address->peer);
    if (at != NULL && at->ai_family == AF_INET6) {
        memcpy(address->peer, &((struct sockaddr_in6 *)(void *)at->ai_addr)->sin6_addr, 16);
    } else if (at != NULL) {
        address->peer[10] = address->peer[11] = 0xff;
        memcpy(address->peer + 12, &((struct sockaddr_in *)(void *)at->ai_addr)->sin_addr, 4);
    }
    freeaddrinfo(found);
    return at != NULL;
}
