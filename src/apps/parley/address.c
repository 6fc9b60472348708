/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_port(const char *text, uint16_t *port)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    unsigned long value = strtoul(text, NULL, 10);
    *port = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

/* Split host[:port] or [host][:port] into the host and the port; false: neither. */
static bool split(const char *text, char *host, size_t capacity, uint16_t *port)
{
    const char *from = text, *end, *rest;
    *port = ADDRESS_PORT_DEFAULT;
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

enum status address_read(const char *text, struct address *out, struct failure *failure)
{
    static const char scheme[] = "http://";
    char host[64];
    memset(out, 0, sizeof *out);
    if (strncmp(text, "https://", 8) == 0)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "https is not in this version yet: run parley where the server runs, "
                           "with http://127.0.0.1:PORT");
    if (strncmp(text, scheme, sizeof scheme - 1) != 0)
        return failure_set(failure, STATUS_INVALID,
                           "'%.60s' is not a server: it looks like http://127.0.0.1:8787", text);
    if (!split(text + sizeof scheme - 1, host, sizeof host, &out->port))
        return failure_set(failure, STATUS_INVALID,
                           "'%.60s' is not a server: it looks like http://127.0.0.1:8787", text);
    if (!read_host(host, out->peer) || !is_loopback(out->peer))
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "plain http goes to this machine only (127.0.0.1, ::1, localhost): "
                           "on the way to %.40s anyone could read along",
                           host);
    (void)snprintf(out->host, sizeof out->host, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
                   out->port);
    return STATUS_OK;
}
