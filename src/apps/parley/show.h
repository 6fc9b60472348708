/* SPDX-License-Identifier: Apache-2.0
 * show.h: stored messages: read from the profile, and written out as text or JSON. */
#pragma once

#include "apps/parley/app.h"
#include "apps/parley/text.h"

/* A row of the timeline, or (cseq 0) of the outbox. */
struct shown {
    uint64_t cseq;
    struct pb_client_message row;
    enum pb_tick tick; /* own ones */
};

/* Rows from ≤ cseq ≤ to of a chat, at most `max` from that end, always given in ascending order. */
struct show_range {
    uint64_t from, to;
    size_t max;
    bool newest;
};
enum status show_rows(struct app *app, const struct client_chat *chat, struct show_range range,
                      struct shown *out, size_t *count, struct arena *arena) MUST_USE;
/* What is not settled, or failed, of a chat's outbox. */
enum status show_outbox(struct app *app, const struct client_chat *chat, struct shown *out,
                        size_t max, size_t *count, struct arena *arena) MUST_USE;
/* How many of the others' messages stand behind the own read mark. */
uint64_t show_unread(struct app *app, const struct client_chat *chat, struct arena *arena);

bool show_is_own(const struct app *app, const struct shown *shown);
/* One message on stdout; false: nobody reads. */
bool show_message(struct app *app, const struct client_chat *chat, const struct shown *shown);
/* The text of a message, for people, on `out`. */
void show_body(struct buf *out, const struct shown *shown, int indent);
