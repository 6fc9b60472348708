/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/proxy.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

enum { SIGNATURE_BYTES = 12, GROUPS = 8, IPV4_BYTES = 4, IPV6_BYTES = 16, PORT_BYTES = 2 };
enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21 };
enum { TLV_HEADER_BYTES = 3, TLV_CRC32C = 0x03, CRC_BYTES = 4 };

static_assert(sizeof SIGNATURE - 1 == SIGNATURE_BYTES, "the signature is twelve bytes");

static uint16_t read_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void map_ipv4(uint8_t out[16])
{
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
}

/* ---- version 1 ---- */

/* A decimal number of at most `max` without leading zeros. */
static bool take_number(struct slice *text, uint32_t max, uint32_t *out)
{
    size_t digits = 0;
    uint32_t value = 0;
    for (; digits < text->bytes && text->at[digits] >= '0' && text->at[digits] <= '9'; digits++) {
        value = value * 10 + (uint32_t)(text->at[digits] - '0');
        if (value > max)
            return false;
    }
    if (digits == 0 || (digits > 1 && text->at[0] == '0'))
        return false;
    *text = slice_sub(*text, digits, text->bytes);
    *out = value;
    return true;
}

static bool take_byte(struct slice *text, uint8_t byte)
{
    if (text->bytes == 0 || text->at[0] != byte)
        return false;
    *text = slice_sub(*text, 1, text->bytes);
    return true;
}

static bool take_prefix(struct slice *text, struct slice prefix)
{
    if (!slice_equal(slice_sub(*text, 0, prefix.bytes), prefix))
        return false;
    *text = slice_sub(*text, prefix.bytes, text->bytes);
    return true;
}

static bool take_quad(struct slice *text, uint8_t out[IPV4_BYTES])
{
    for (int i = 0; i < IPV4_BYTES; i++) {
        uint32_t part;
        if ((i > 0 && !take_byte(text, '.')) || !take_number(text, 255, &part))
            return false;
        out[i] = (uint8_t)part;
    }
    return true;
}

static int hex_value(uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool take_group(struct slice *text, uint8_t out[2])
{
    size_t digits = 0;
    uint32_t value = 0;
    for (; digits < text->bytes && hex_value(text->at[digits]) >= 0; digits++) {
        if (digits == 4)
            return false;
        value = value << 4 | (uint32_t)hex_value(text->at[digits]);
    }
    *text = slice_sub(*text, digits, text->bytes);
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return digits > 0;
}

/* The next group or, where one may stand, the quad that ends the address. 0: neither. */
static int take_part(struct slice *text, int groups, uint8_t at[IPV4_BYTES])
{
    struct slice rest = *text;
    if (groups <= GROUPS - 2 && take_quad(&rest, at)) {
        *text = rest;
        return 2;
    }
    return take_group(text, at) ? 1 : 0;
}

/* Up to eight groups, one `::` for a run of at least one that is zero. */
static bool take_ipv6(struct slice *text, uint8_t out[IPV6_BYTES])
{
    uint8_t parts[IPV6_BYTES + IPV4_BYTES] = {0};
    int groups = 0, gap = -1;
    if (take_prefix(text, SLICE_LITERAL("::")))
        gap = 0;
    while (groups < GROUPS) {
        if (gap == groups && (text->bytes == 0 || text->at[0] == ' '))
            break;
        int more = take_part(text, groups, parts + 2 * groups);
        groups += more;
        if (more == 0)
            return false;
        if (more == 2)
            break;
        if (gap < 0 && take_prefix(text, SLICE_LITERAL("::")))
            gap = groups;
        else if (!take_byte(text, ':'))
            break;
        else if (groups == GROUPS)
            return false;
    }
    if (gap < 0 ? groups != GROUPS : groups >= GROUPS)
        return false;
    size_t head = gap < 0 ? IPV6_BYTES : 2 * (size_t)gap, tail = 2 * (size_t)groups - head;
    memset(out, 0, IPV6_BYTES);
    if (gap < 0) {
        memcpy(out, parts, IPV6_BYTES);
        return true;
    }
    memcpy(out, parts, head);
    memcpy(out + IPV6_BYTES - tail, parts + head, tail);
    return true;
}

static bool take_address(struct slice *text, bool six, uint8_t out[16])
{
    if (six)
        return take_ipv6(text, out);
    map_ipv4(out);
    return take_quad(text, out + 12);
}

/* What stands behind "PROXY TCP4 " or "PROXY TCP6 ", to the line's end. */
static bool read_endpoints(struct slice text, bool six, struct proxy_peer *out)
{
    uint32_t source = 0, destination = 0;
    bool good = take_address(&text, six, out->source) && take_byte(&text, ' ') &&
                take_address(&text, six, out->destination) && take_byte(&text, ' ') &&
                take_number(&text, UINT16_MAX, &source) && take_byte(&text, ' ') &&
                take_number(&text, UINT16_MAX, &destination) && text.bytes == 0;
    out->source_port = (uint16_t)source;
    out->destination_port = (uint16_t)destination;
    out->known = true;
    return good;
}

/* The line without its CR LF, if it is whole; what could become one is AGAIN. */
static enum status line_of(struct slice in, struct slice *line)
{
    for (size_t i = 0; i < in.bytes && i < PROXY_LINE_BYTES_MAX; i++) {
        if (in.at[i] == '\n' || in.at[i] == 0)
            return STATUS_INVALID;
        if (in.at[i] != '\r')
            continue;
        if (i + 1 == PROXY_LINE_BYTES_MAX)
            return STATUS_INVALID;
        if (i + 1 == in.bytes)
            return STATUS_AGAIN;
        *line = slice_sub(in, 0, i);
        return in.at[i + 1] == '\n' ? STATUS_OK : STATUS_INVALID;
    }
    return in.bytes >= PROXY_LINE_BYTES_MAX ? STATUS_INVALID : STATUS_AGAIN;
}

static enum status read_line(struct slice *in, struct proxy_peer *out)
{
    struct slice line;
    enum status status = line_of(*in, &line);
    if (status != STATUS_OK)
        return status;
    struct slice rest = line;
    bool good = take_prefix(&rest, SLICE_LITERAL("PROXY "));
    if (good && take_prefix(&rest, SLICE_LITERAL("TCP4 ")))
        good = read_endpoints(rest, false, out);
    else if (good && take_prefix(&rest, SLICE_LITERAL("TCP6 ")))
        good = read_endpoints(rest, true, out);
    else
        good = good && take_prefix(&rest, SLICE_LITERAL("UNKNOWN")) &&
               (rest.bytes == 0 || rest.at[0] == ' ');
    if (good)
        *in = slice_sub(*in, line.bytes + 2, in->bytes);
    return good ? STATUS_OK : STATUS_INVALID;
}

/* ---- version 2 ---- */

/* The checksum covers the whole header, with zeros where it stands itself. */
static bool crc_matches(struct slice header, const uint8_t *stored)
{
    static const uint8_t zeros[CRC_BYTES];
    size_t before = (size_t)(stored - header.at);
    uint32_t crc = crc32c(0, slice_sub(header, 0, before));
    crc = crc32c(crc, SLICE_OF(zeros));
    crc = crc32c(crc, slice_sub(header, before + CRC_BYTES, header.bytes));
    uint32_t want = (uint32_t)read_u16(stored) << 16 | read_u16(stored + 2);
    return crc == want;
}

static bool tlvs_valid(struct slice header, struct slice tlvs)
{
    bool summed = false;
    while (tlvs.bytes > 0) {
        if (tlvs.bytes < TLV_HEADER_BYTES)
            return false;
        size_t bytes = read_u16(tlvs.at + 1);
        if (bytes > tlvs.bytes - TLV_HEADER_BYTES)
            return false;
        if (tlvs.at[0] == TLV_CRC32C) {
            if (summed || bytes != CRC_BYTES || !crc_matches(header, tlvs.at + TLV_HEADER_BYTES))
                return false;
            summed = true;
        }
        tlvs = slice_sub(tlvs, TLV_HEADER_BYTES + bytes, tlvs.bytes);
    }
    return true;
}

static bool read_body(struct slice header, struct proxy_peer *out)
{
    struct slice body = slice_sub(header, PROXY_FIXED_BYTES, header.bytes);
    if (header.at[SIGNATURE_BYTES] == COMMAND_LOCAL)
        return true; /* the specification has its addresses ignored */
    bool six = header.at[SIGNATURE_BYTES + 1] == FAMILY_TCP6;
    size_t bytes = six ? IPV6_BYTES : IPV4_BYTES;
    if (body.bytes < 2 * (bytes + PORT_BYTES))
        return false;
    map_ipv4(out->source);
    map_ipv4(out->destination);
    memcpy(out->source + IPV6_BYTES - bytes, body.at, bytes);
    memcpy(out->destination + IPV6_BYTES - bytes, body.at + bytes, bytes);
    out->source_port = read_u16(body.at + 2 * bytes);
    out->destination_port = read_u16(body.at + 2 * bytes + PORT_BYTES);
    out->known = true;
    return tlvs_valid(header, slice_sub(body, 2 * (bytes + PORT_BYTES), body.bytes));
}

static enum status read_binary(struct slice *in, struct proxy_peer *out)
{
    struct slice signature = SLICE_LITERAL(SIGNATURE);
    size_t there = in->bytes < SIGNATURE_BYTES ? in->bytes : SIGNATURE_BYTES;
    if (!slice_equal(slice_sub(*in, 0, there), slice_sub(signature, 0, there)))
        return STATUS_INVALID;
    if (in->bytes <= SIGNATURE_BYTES)
        return STATUS_AGAIN;
    uint8_t command = in->at[SIGNATURE_BYTES];
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return STATUS_INVALID;
    if (in->bytes == SIGNATURE_BYTES + 1)
        return STATUS_AGAIN;
    uint8_t family = in->at[SIGNATURE_BYTES + 1];
    if (command == COMMAND_PROXY && family != FAMILY_TCP4 && family != FAMILY_TCP6)
        return STATUS_INVALID;
    if (in->bytes < PROXY_FIXED_BYTES)
        return STATUS_AGAIN;
    size_t bytes = read_u16(in->at + SIGNATURE_BYTES + 2);
    if (bytes > PROXY_BYTES_MAX - PROXY_FIXED_BYTES)
        return STATUS_INVALID;
    bytes += PROXY_FIXED_BYTES;
    if (in->bytes < bytes)
        return STATUS_AGAIN;
    if (!read_body(slice_sub(*in, 0, bytes), out))
        return STATUS_INVALID;
    *in = slice_sub(*in, bytes, in->bytes);
    return STATUS_OK;
}

enum status proxy_read(struct slice *in, struct proxy_peer *out)
{
    *out = (struct proxy_peer){0};
    if (in->bytes == 0)
        return STATUS_AGAIN;
    enum status status = in->at[0] == 'P' ? read_line(in, out) : read_binary(in, out);
    if (status != STATUS_OK)
        *out = (struct proxy_peer){0};
    return status;
}
