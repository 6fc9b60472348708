/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/origin.h"

#include <stdint.h>

static bool take_prefix(struct slice *text, struct slice prefix)
{
    if (!slice_equal(slice_sub(*text, 0, prefix.bytes), prefix))
        return false;
    *text = slice_sub(*text, prefix.bytes, text->bytes);
    return true;
}

static bool is_host(uint8_t byte, bool bracket)
{
    bool digit = byte >= '0' && byte <= '9';
    if (bracket)
        return digit || (byte >= 'a' && byte <= 'f') || byte == ':' || byte == '.';
    return digit || (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '.' || byte == '_';
}

/* The length of the host at the front; 0 if there is none. */
static size_t host_bytes(struct slice text)
{
    bool bracket = text.bytes > 0 && text.at[0] == '[';
    size_t i = bracket ? 1 : 0;
    while (i < text.bytes && is_host(text.at[i], bracket))
        i++;
    if (bracket)
        return i >= 3 && i < text.bytes && text.at[i] == ']' ? i + 1 : 0;
    return i > 0 && text.at[i - 1] != '.' && text.at[0] != '.' ? i : 0;
}

static bool port_valid(struct slice digits, uint32_t default_port)
{
    uint32_t port = 0;
    if (digits.bytes < 1 || digits.bytes > 5 || digits.at[0] == '0')
        return false;
    for (size_t i = 0; i < digits.bytes; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(digits.at[i] - '0');
    }
    return port <= UINT16_MAX && port != default_port;
}

/* What stands in front of the port. */
static struct slice host_alone(struct slice host)
{
    size_t i = host.bytes;
    while (i > 0 && host.at[i - 1] != ':' && host.at[i - 1] != ']')
        i--;
    return i > 0 && host.at[i - 1] == ':' ? slice_sub(host, 0, i - 1) : host;
}

static bool equal_without_case(struct slice text, struct slice lower)
{
    if (text.bytes != lower.bytes)
        return false;
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t byte = text.at[i];
        if ((byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte) != lower.at[i])
            return false;
    }
    return true;
}

bool host_allowed(struct slice host, const struct slice *allowed, size_t count)
{
    struct slice alone = host_alone(host);
    for (size_t i = 0; i < count; i++)
        if (equal_without_case(host, allowed[i]) || equal_without_case(alone, allowed[i]))
            return true;
    return count == 0;
}

bool host_valid(struct slice host)
{
    size_t bytes = host_bytes(host);
    struct slice rest = slice_sub(host, bytes, host.bytes);
    return bytes > 0 && (rest.bytes == 0 ||
                         (rest.at[0] == ':' && port_valid(slice_sub(rest, 1, rest.bytes), 0)));
}

bool origin_valid(struct slice origin)
{
    bool https = take_prefix(&origin, SLICE_LITERAL("https://"));
    if (!https && !take_prefix(&origin, SLICE_LITERAL("http://")))
        return false;
    size_t bytes = host_bytes(origin);
    if (bytes == 0)
        return false;
    struct slice rest = slice_sub(origin, bytes, origin.bytes);
    if (rest.bytes == 0)
        return true;
    return rest.at[0] == ':' && port_valid(slice_sub(rest, 1, rest.bytes), https ? 443 : 80);
}

bool origin_allowed(struct slice origin, const struct slice *allowed, size_t count)
{
    if (origin.at == NULL)
        return true;
    if (!origin_valid(origin))
        return false;
    for (size_t i = 0; i < count; i++)
        if (slice_equal(origin, allowed[i]))
            return true;
    return false;
}
