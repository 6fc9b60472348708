/* SPDX-License-Identifier: Apache-2.0
 * text.h: what a person sees. Text of others is made harmless first: control characters, escape
 * sequences and marks that turn the direction of writing are shown, never obeyed. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/gen/host.pb.h"

/* `indent`: blanks after a line break; with -1 a line break becomes a blank. */
void text_neutral(struct buf *out, struct slice text, int indent);
/* "12:03" of today, else "2026-11-24 12:03", in local time. */
void text_time(struct buf *out, uint64_t wall_ms, uint64_t now_ms);
/* ◷ ✓ ✓✓ ✓✓ ✗ */
const char *text_tick_sign(enum pb_tick tick);
/* "clock", "sent", "delivered", "read", "failed": as in JSON. */
const char *text_tick_name(enum pb_tick tick);
/* For people: "kept here", "sent", … */
const char *text_tick_words(enum pb_tick tick);
