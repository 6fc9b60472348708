/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/said.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/base64.h"
#include "ports/crypto.h"

#define HASH_SHOWN 8u /* bytes: enough to tell two apart */

enum level { INFO, WARN, ALARM };

static const char *const levels[] = {"info", "warn", "alarm"};
static const char *const priorities[] = {"<6>", "<4>", "<1>"};

/* A field is two letters of one text: "N" ‖ name ‖ " ". */
static const struct entry {
    const char *name;
    enum level level;
    const char *fields; /* "Npid Tversion " */
} table[SAID_IDS] = {
#define N(name)                       "N" name " "
#define T(name)                       "T" name " "
#define I(name)                       "I" name " "
#define U(name)                       "U" name " "
#define SAID(id, name, level, fields) {name, level, fields},
#include "runtime/said.def"
#undef SAID
#undef N
#undef T
#undef I
#undef U
};

struct said_value *said_add(struct said_queue *queue, enum said_id id, uint64_t wall_us)
{
    if (queue->count == SAID_MAX) {
        queue->lost++;
        return queue->spilled;
    }
    struct said *said = &queue->at[queue->count++];
    *said = (struct said){.id = id, .wall_us = wall_us};
    return said->values;
}

/* ---- lines ---- */

static void time_put(struct buf *out, uint64_t wall_us)
{
    char text[40];
    time_t second = (time_t)(wall_us / 1000000);
    struct tm parts;
    if (gmtime_r(&second, &parts) == NULL)
        return;
    size_t bytes = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + bytes, sizeof text - bytes, ".%06uZ", (unsigned)(wall_us % 1000000));
    buf_text(out, text);
}

static void key_put(const struct said_style *style, struct buf *out, const char *key, size_t bytes)
{
    bool json = style->format == SAID_JSON;
    buf_text(out, json ? ",\"" : " ");
    buf_put(out, slice_make(key, bytes));
    buf_text(out, json ? "\":" : "=");
}

static void text_put(const struct said_style *style, struct buf *out, struct slice text)
{
    bool json = style->format == SAID_JSON;
    buf_text(out, json ? "\"" : "");
    buf_put(out, text);
    buf_text(out, json ? "\"" : "");
}

/* The same address or account gives the same letters within a run, and tells nothing beyond. */
static void hash_put(const struct said_style *style, struct buf *out, char kind,
                     const uint8_t id[ID_BYTES])
{
    uint8_t hash[SHA256_BYTES], space[2 * HASH_SHOWN];
    const struct slice parts[] = {slice_make(&kind, 1), slice_make(id, ID_BYTES)};
    struct buf text = buf_over(space, sizeof space);
    crypto_hmac_sha256(SLICE_OF(style->key), parts, 2, hash);
    hex_write(&text, slice_make(hash, HASH_SHOWN));
    text_put(style, out, buf_slice(&text));
}

static void value_put(const struct said_style *style, struct buf *out, char kind,
                      const struct said_value *value)
{
    if (kind == 'N')
        buf_decimal(out, value->number);
    else if (kind == 'T')
        text_put(style, out, slice_text(value->text != NULL ? value->text : "-"));
    else if (id_is_zero(value->id))
        text_put(style, out, SLICE_LITERAL("-"));
    else
        hash_put(style, out, kind, value->id);
}

static void line_put(struct said_style *style, const struct said *said, struct buf *out)
{
    const struct entry *entry = &table[said->id];
    bool json = style->format == SAID_JSON;
    const char *at = entry->fields;
    if (style->priorities)
        buf_text(out, priorities[entry->level]);
    buf_text(out, json ? "{\"ts\":\"" : "ts=");
    time_put(out, said->wall_us);
    buf_text(out, json ? "\"" : "");
    key_put(style, out, "level", 5);
    text_put(style, out, slice_text(levels[entry->level]));
    key_put(style, out, "event", 5);
    text_put(style, out, slice_text(entry->name));
    for (size_t i = 0; *at != '\0'; i++) {
        size_t bytes = strcspn(at, " ");
        assert(i < SAID_FIELDS_MAX);
        key_put(style, out, at + 1, bytes - 1);
        value_put(style, out, *at, &said->values[i]);
        at += bytes + 1;
    }
    buf_text(out, json ? "}\n" : "\n");
}

/* A new second: what the last one left out is told. */
static void second_turn(struct said_style *style, uint64_t wall_us, struct buf *out)
{
    if (wall_us / 1000000 == style->second)
        return;
    style->second = wall_us / 1000000;
    for (size_t i = 0; i < SAID_IDS; i++) {
        uint32_t lines = style->lines[i];
        style->lines[i] = 0;
        if (lines <= SAID_EACH_MAX)
            continue;
        struct said rest = {.id = SAID_SUPPRESSED, .wall_us = wall_us};
        rest.values[0].text = table[i].name;
        rest.values[1].number = lines - SAID_EACH_MAX;
        line_put(style, &rest, out);
    }
}

void said_write(struct said_style *style, const struct said *said, struct buf *out)
{
    if (style->format == SAID_OFF)
        return;
    second_turn(style, said->wall_us, out);
    if (++style->lines[said->id] > SAID_EACH_MAX)
        style->lost++;
    else
        line_put(style, said, out);
}

void said_help(struct buf *out)
{
    for (size_t i = 0; i < SAID_IDS; i++) {
        buf_text(out, table[i].name);
        buf_text(out, " (");
        buf_text(out, levels[table[i].level]);
        buf_text(out, "):");
        for (const char *at = table[i].fields; *at != '\0'; at += strcspn(at, " ") + 1) {
            buf_text(out, " ");
            buf_put(out, slice_make(at + 1, strcspn(at, " ") - 1));
        }
        buf_text(out, "\n");
    }
}
