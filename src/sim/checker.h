/* SPDX-License-Identifier: Apache-2.0
 * checker.h: does a history keep Parley's promises? The sweep of proof §5 for I1–I8, I16, I18 and
 * I20 as far as direct chats have them. It needs no search: contents are unique and the server
 * returns the order. Who is entitled is data: it comes from the history alone.
 *   I1   what was acknowledged is in the chat or was refused with a cause; nothing stays undecided
 *   I2   every entry has one send with the same author, counter and content
 *   I3   one number for a mid and for a (device, chat, counter); what failed does not appear
 *   I4   one value at a number; numbers and cursors without holes; `ts` never runs back
 *   I5   what was acknowledged or received before a send stands before it
 *   I6   at quiesce every entitled device holds everything
 *   I7   a device shows a message at most once in the life of its store
 *   I8   marks never go back and are true when they are seen; at quiesce every device of an author
 *        has the second tick of what a device of the other one holds, and the read mark of what
 *        that one's person read (histories know of no block and no hidden read marks yet)
 *   I16  own devices hold own sends, at the same number
 *   I18  nothing reaches a device 2 s after its sign-out, nor an older session after a newer began
 *   I20  what is bounded stays under its cap
 * Obligations that need time (I1, I6, I8, I16) are asked at the last `quiesce`, if there is one.
 * Pure but for its memory; O(n log n). */
#pragma once

#include "sim/history.h"

#define CHECKER_FOUND_MAX 16u
#define CHECKER_SLICE_MAX 6u
#define CHECKER_GRACE_US  2000000u /* I18: sign-out and fencing take effect within this */

/* One broken promise: `events` are the few lines of the history that show it. */
struct violation {
    const char *invariant; /* "I1" … */
    char text[200];
    size_t events[CHECKER_SLICE_MAX]; /* indexes into the history */
    size_t events_count;
};

struct verdict {
    struct violation found[CHECKER_FOUND_MAX]; /* in the order of the sweep */
    size_t found_count;                        /* stored in `found` */
    uint64_t total;                            /* all, also those beyond CHECKER_FOUND_MAX */
    /* what was looked at: a run that checks nothing proves nothing */
    uint64_t sends, acked, failed, entries, shown, marks;
};

/* OK whatever is found; BUSY: no memory. */
enum status checker_run(const struct history *history, struct verdict *verdict) MUST_USE;

/* The verdict as text, with the lines of each slice, for people: at most what fits into `out`. */
void verdict_write(struct buf *out, const struct history *history, const struct verdict *verdict);
