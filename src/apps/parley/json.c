/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/json.h"

#include <stdio.h>
#include <time.h>

static const char digits[] = "0123456789abcdef";

static void escaped(struct buf *buf, struct slice text)
{
    buf_u8(buf, '"');
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.at[i];
        if (c == '"' || c == '\\') {
            buf_u8(buf, '\\');
            buf_u8(buf, c);
        } else if (c == '\n') {
            buf_text(buf, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            buf_text(buf, "\\u00");
            buf_u8(buf, (uint8_t)digits[c >> 4]);
            buf_u8(buf, (uint8_t)digits[c & 15]);
        } else if (c == 0xc2 && i + 1 < text.bytes && text.at[i + 1] < 0xa0) { /* C1 controls */
            uint8_t second = text.at[++i];
            buf_text(buf, "\\u00");
            buf_u8(buf, (uint8_t)digits[second >> 4]);
            buf_u8(buf, (uint8_t)digits[second & 15]);
        } else {
            buf_u8(buf, c);
        }
    }
    buf_u8(buf, '"');
}

static void name_of(struct json *json, const char *name)
{
    if (!json->first)
        buf_u8(&json->buf, ',');
    json->first = false;
    escaped(&json->buf, slice_text(name));
    buf_u8(&json->buf, ':');
}

void json_begin(struct json *json, void *memory, size_t capacity, const char *type)
{
    *json = (struct json){.buf = buf_over(memory, capacity), .first = true};
    buf_u8(&json->buf, '{');
    json_number(json, "v", JSON_SCHEMA_VERSION);
    json_text(json, "type", slice_text(type));
}

void json_text(struct json *json, const char *name, struct slice text)
{
    name_of(json, name);
    escaped(&json->buf, text);
}

void json_number(struct json *json, const char *name, uint64_t value)
{
    name_of(json, name);
    buf_decimal(&json->buf, value);
}

void json_bool(struct json *json, const char *name, bool value)
{
    name_of(json, name);
    buf_text(&json->buf, value ? "true" : "false");
}

void json_id(struct json *json, const char *name, struct slice id)
{
    if (id.bytes == 0)
        return;
    name_of(json, name);
    buf_u8(&json->buf, '"');
    for (size_t i = 0; i < id.bytes; i++) {
        buf_u8(&json->buf, (uint8_t)digits[id.at[i] >> 4]);
        buf_u8(&json->buf, (uint8_t)digits[id.at[i] & 15]);
    }
    buf_u8(&json->buf, '"');
}

void json_time(struct json *json, const char *name, uint64_t wall_ms)
{
    char text[40] = "1970-01-01T00:00:00", whole[48];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts))
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(whole, sizeof whole, "%s.%03uZ", text, (unsigned)(wall_ms % 1000));
    json_text(json, name, slice_text(whole));
}

struct slice json_end(struct json *json)
{
    buf_text(&json->buf, "}\n");
    return json->buf.overflow ? SLICE_EMPTY : buf_slice(&json->buf);
}
