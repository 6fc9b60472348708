/* SPDX-License-Identifier: Apache-2.0
 * said.h: what happened, for the operator's event log: typed events of one table (said.def), kept
 * as values until whoever runs the shard takes and writes them.
 * Invariants: a value is a number, an id, or one of the program's own words; nothing that a person
 * wrote or chose can be an event's value. Owner: one thread. Bounds: SAID_MAX events between two
 * takes, more are counted; no event costs more than its line. Source: proof §13, style §7. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/id.h"

#define SAID_MAX        64u
#define SAID_FIELDS_MAX 4u
#define SAID_LINE_BYTES 320u
#define SAID_KEY_BYTES  32u
#define SAID_EACH_MAX   20u /* lines of one event in a second; then a count of the rest */

enum said_id {
#define SAID(id, name, level, fields) SAID_##id,
#include "runtime/said.def"
#undef SAID
    SAID_IDS
};

struct said_value {
    uint64_t number;
    const char *text; /* static */
    uint8_t id[ID_BYTES];
};

struct said {
    enum said_id id;
    uint64_t wall_us;
    struct said_value values[SAID_FIELDS_MAX]; /* in the order of the table */
};

struct said_queue {
    struct said at[SAID_MAX];
    uint32_t count;
    uint64_t lost; /* for want of room: the counter */
    struct said_value spilled[SAID_FIELDS_MAX];
};

/* The next event's values, to be filled in; never NULL: what finds no room is lost, and counted. */
struct said_value *said_add(struct said_queue *queue, enum said_id id, uint64_t wall_us);

enum said_format { SAID_LOGFMT, SAID_JSON, SAID_OFF };

/* How lines are made. `priorities`: "<4>" first, as journald wants it. */
struct said_style {
    enum said_format format;
    bool priorities;
    uint8_t key[SAID_KEY_BYTES];
    uint64_t second;          /* of `lines` */
    uint32_t lines[SAID_IDS]; /* in that second, left out ones included */
    uint64_t lost;            /* left out: the counter */
};

/* One line, with its end; nothing of what is above SAID_EACH_MAX in a second. A line of
 * log.suppressed for each event of which some were left out comes with the next second. */
void said_write(struct said_style *style, const struct said *said, struct buf *out);

/* The table, for people. */
void said_help(struct buf *out);
