/* SPDX-License-Identifier: Apache-2.0
 * json.h: one object a line, written into a buffer (NDJSON). Every line carries "v", the version of
 * the schema, and "type". Ids are strings of hex digits, times are RFC 3339 in UTC. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define JSON_SCHEMA_VERSION 1

struct json {
    struct buf buf;
    bool first;
};

void json_begin(struct json *json, void *memory, size_t capacity, const char *type);
void json_text(struct json *json, const char *name, struct slice text);
void json_number(struct json *json, const char *name, uint64_t value);
void json_bool(struct json *json, const char *name, bool value);
void json_id(struct json *json, const char *name, struct slice id); /* nothing if it is empty */
void json_time(struct json *json, const char *name, uint64_t wall_ms);
/* The whole line with its end, or empty if it did not fit. */
struct slice json_end(struct json *json);
