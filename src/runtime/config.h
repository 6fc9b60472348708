/* SPDX-License-Identifier: Apache-2.0
 * config.h: the settings of a node: one table (config.def), four sources, all errors at once.
 * Default < file < environment < flag. A source that is wrong adds a finding, which says where,
 * what, why and what to do; the setting keeps its former value, so that the rest is checked too.
 * Owner: one thread, before anything else starts; later it is only read. Bounds:
 * CONFIG_FINDINGS_BYTES of findings; more are counted. It reads no file itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "runtime/forwarded.h"

#define CONFIG_LIST_MAX 16u /* origins, and hosts */

#define CONFIG_FINDINGS_BYTES (32u * 1024u)

enum config_kind { CONFIG_TEXT, CONFIG_NUMBER, CONFIG_CHOICE, CONFIG_SWITCH };

struct config {
#define TEXT(section, key, value, bytes_max, help)        char key[(bytes_max) + 1];
#define NUMBER(section, key, value, min, max, unit, help) uint32_t key;
#define CHOICE(section, key, value, choices, help)        uint32_t key;
#define SWITCH(section, key, value, help)                 bool key;
#include "runtime/config.def"
#undef TEXT
#undef NUMBER
#undef CHOICE
#undef SWITCH
};

struct config_item {
    const char *section, *key, *value, *unit, *choices, *help;
    enum config_kind kind;
    size_t at;         /* in struct config */
    uint32_t min, max; /* NUMBER; TEXT: max bytes */
};

/* The table as data, in the order of config.def; *count of them. */
const struct config_item *config_items(size_t *count);

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

/* Where a value stands; `file` is borrowed as long as findings are made. */
struct config_place {
    enum config_source source;
    const char *file;
    uint32_t line; /* of the file; 0: the file as a whole */
};

struct config_findings {
    char space[CONFIG_FINDINGS_BYTES];
    struct buf text; /* one line each */
    uint32_t count;
};

/* All of parsing: the settings so far, where each came from, and what was wrong. */
struct config_reading {
    struct config config;
    struct config_place places[64];
    struct config_findings findings;
};

void config_init(struct config_reading *reading); /* the defaults */

/* One finding: place, what, why, what to do. */
void config_find(struct config_reading *reading, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The head of a section in the file, with or without settings below it. */
void config_file_section(struct config_reading *reading, struct config_place place,
                         const char *section);

/* One setting from the file: section and key as they stand there. */
void config_file_set(struct config_reading *reading, struct config_place place, const char *section,
                     const char *key, const char *value);

/* Take what names a setting out of the environment: entries "PARLEY_KEY=value"; others stay. */
void config_environment(struct config_reading *reading, char *const *environment);

/* Is `name` (without --) the flag of a setting? Then it is set. */
bool config_flag_set(struct config_reading *reading, const char *name, const char *value);

/* What no single setting shows: addresses, names, and what must fit together. */
void config_check(struct config_reading *reading);

/* "host:port" as the net port wants it. INVALID: neither IPv4 nor [IPv6] with a port. */
MUST_USE enum status config_address(const char *text, uint8_t address[16], uint16_t *port);
bool config_loopback(const uint8_t address[16]);
/* The proxies of trust_proxy; false: some are no addresses, or too many. */
bool config_forwarded(const struct config *config, struct forwarded *out);
bool config_tls(const struct config *config); /* clients come by https */

/* Next of the origins or hosts, in place: *at moves on; empty when there is none. */
struct slice config_origin_next(const char **at);

/* --key-with-dashes and PARLEY_KEY. */
void config_flag_name(const char *key, char out[64]);
void config_variable_name(const char *key, char out[64]);

/* What --help-config prints, and a whole sample file in which every line is a comment. */
void config_help(struct buf *out);
void config_sample(struct buf *out);
