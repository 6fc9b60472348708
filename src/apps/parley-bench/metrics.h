/* SPDX-License-Identifier: Apache-2.0
 * metrics.h: what parleyd tells of itself at --metrics-listen: read before, in the middle of and
 * after a window. A read blocks the client, for about a millisecond.
 * Source: src/runtime/metrics.def. Owner: one thread. */
#pragma once

#include <stdbool.h>

struct metrics {
    double syncs, sync_s, sync_records; /* so far: syncs, seconds in them, records they carried */
    double sent, appends, append_s;     /* so far: messages durable; frames taken, until durable */
    double lag;                         /* now: durable records that are not folded yet */
};

/* server: "host:port", IPv4. False: no answer, or figures are missing. */
bool metrics_read(const char *server, struct metrics *out);

/* The same from the text of the page. */
bool metrics_parse(const char *text, struct metrics *out);
