/* SPDX-License-Identifier: Apache-2.0
 * line.h: lines that a person types while others' messages come in between: at a terminal a small
 * editor that is wiped before, and drawn again after, what is printed; else plain lines of a pipe.
 * The editor's bytes are UTF-8; keys: ← Backspace deletes, Ctrl-U all, Ctrl-W a word, Ctrl-D on an
 * empty line and Ctrl-C end. At a terminal a signal that would end the program ends the line
 * instead, so that line_close puts the terminal right. Owner: one thread. Bounds: LINE_BYTES_MAX a
 * line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "apps/parley/stops.h"
#include "base/slice.h"

#define LINE_BYTES_MAX 16385u /* one more than a message may have: refused, not cut */

struct line {
    bool terminal, over; /* over: the end of input came */
    struct termios seen; /* as it was before */
    struct stops stops;
    int both_fd;    /* at a terminal: readable when stdin or stops is; -1: only stdin is watched */
    int stopped_by; /* the signal that ended it, or 0 */
    char bytes[LINE_BYTES_MAX];
    size_t count;
    int escape; /* inside an escape sequence of a key: 0 no, 1 after ESC, 2 in its body */
    uint8_t pending[4096];
    size_t pending_at, pending_count;
};

void line_open(struct line *line);  /* stdin; at a terminal, key by key from now on */
void line_close(struct line *line); /* the terminal as it was */
/* What to wait for: keys or a signal; `keys` false: a signal alone. -1: nothing. */
int line_fd(const struct line *line, bool keys);
/* Read what is there (line_fd is readable); take lines with line_next. */
void line_read(struct line *line);
/* A whole line (valid until the next call), or false. */
bool line_next(struct line *line, struct slice *out);
void line_hide(struct line *line); /* before something is printed */
void line_draw(struct line *line); /* after it */
