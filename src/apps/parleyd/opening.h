/* SPDX-License-Identifier: Apache-2.0
 * opening.h: who dies while RocksDB opens rows leaves word of it, in DATA/store.opening. Debian's
 * RocksDB asserts: a damaged block may end the process where a text was due (ADR 0045).
 *
 *   begin ─ noted, durable ─→ RocksDB works ─→ end: forgotten
 *      ├ a signal of its own (SIGABRT, SIGSEGV …) ─→ the handler notes and says it: blamed the
 *      │   second time in a row (once may have been memory that ran out)
 *      └ no word (kill -9, a power cut) ─→ counted; blamed after OPENING_CUT_MAX in a row
 *
 * The file: one line of fixed width for each folder that was being opened, "store" or the name of a
 * checkpoint. What is no such line is as if it were not there: to open too often does no harm.
 * Invariant: a store that kills is opened at most OPENING_CUT_MAX times.
 * Owner: the main thread, one opening at a time; the handler runs on the thread that dies. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define OPENING_DIED_MAX   2u
#define OPENING_CUT_MAX    5u
#define OPENING_NAMES_MAX  8u /* the store and checkpoints; the oldest is forgotten */
#define OPENING_NAME_BYTES 24u
#define OPENING_WHY_BYTES  80u
#define OPENING_PATH_BYTES 600u

struct opening {
    char data[OPENING_PATH_BYTES];
    char name[OPENING_NAME_BYTES];
};

struct opening_past {
    unsigned signal; /* that ended the last opening; 0: none noted */
    unsigned cut;    /* openings in a row that did not end */
};

/* What is noted of `name`. */
struct opening_past opening_past(const char *data, const char *name);
/* May `name` not be opened any more? Then also why, in words. */
bool opening_blames(const char *data, const char *name, char why[OPENING_WHY_BYTES]);

/* Note that `name` is about to be opened, and take the signals of those who die. A note that cannot
 * be written protects nobody and stops nobody. `program`: in front of what the handler says. */
void opening_begin(struct opening *opening, const char *data, const char *name,
                   const char *program);
/* It is open, or refused in words: forgotten, and the signals are as they were. */
void opening_end(struct opening *opening);

/* It is not there any more. NULL: all, and the file with them. */
void opening_forget(const char *data, const char *name);
