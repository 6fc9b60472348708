/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/text.h"

#include <string.h>
#include <time.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes of the harmful character at `at`, or 0: C1 controls, and what turns the direction. */
static size_t harmful(const uint8_t *at, size_t left)
{
    if (left >= 2 && at[0] == 0xc2 && at[1] < 0xa0)
        return 2;
    if (left < 3 || at[0] != 0xe2)
        return 0;
    bool marks = at[1] == 0x80 && (at[2] == 0x8e || at[2] == 0x8f);   /* U+200E, U+200F */
    bool embedding = at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae; /* U+2028 … U+202E */
    bool isolates = at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;  /* U+2066 … U+2069 */
    return marks || embedding || isolates ? 3 : 0;
}

void text_neutral(struct buf *out, struct slice text, int indent)
{
    for (size_t i = 0; i < text.bytes;) {
        uint8_t c = text.at[i];
        size_t bytes = harmful(text.at + i, text.bytes - i);
        if (bytes) {
            buf_text(out, replacement);
            i += bytes;
            continue;
        }
        i++;
        if (c == '\n' && indent >= 0) {
            buf_u8(out, '\n');
            for (int k = 0; k < indent; k++)
                buf_u8(out, ' ');
        } else if (c == '\n' || c == '\t') {
            buf_u8(out, ' ');
        } else if (c < 0x20 || c == 0x7f) { /* its picture: U+2400 …, U+2421 */
            buf_text(out, "\xe2\x90");
            buf_u8(out, (uint8_t)(0x80 + (c == 0x7f ? 0x21 : c)));
        } else {
            buf_u8(out, c);
        }
    }
}

void text_time(struct buf *out, uint64_t wall_ms, uint64_t now_ms)
{
    time_t then = (time_t)(wall_ms / 1000), now = (time_t)(now_ms / 1000);
    struct tm then_parts, now_parts;
    char text[32] = "?";
    if (localtime_r(&then, &then_parts) && localtime_r(&now, &now_parts)) {
        bool today =
            then_parts.tm_year == now_parts.tm_year && then_parts.tm_yday == now_parts.tm_yday;
        size_t bytes = today ? strftime(text, sizeof text, "%H:%M", &then_parts)
                             : strftime(text, sizeof text, "%Y-%m-%d %H:%M", &then_parts);
        text[bytes] = '\0';
    }
    buf_text(out, text);
}

const char *text_tick_sign(enum pb_tick tick)
{
    switch (tick) {
    case PB_TICK_SENT: return "✓ ";
    case PB_TICK_DELIVERED:
    case PB_TICK_READ: return "✓✓";
    case PB_TICK_FAILED: return "✗ ";
    case PB_TICK_CLOCK:
    default: return "◷ ";
    }
}

const char *text_tick_name(enum pb_tick tick)
{
    switch (tick) {
    case PB_TICK_SENT: return "sent";
    case PB_TICK_DELIVERED: return "delivered";
    case PB_TICK_READ: return "read";
    case PB_TICK_FAILED: return "failed";
    case PB_TICK_CLOCK:
    default: return "clock";
    }
}

const char *text_tick_words(enum pb_tick tick)
{
    return tick == PB_TICK_CLOCK ? "kept on this device, not sent yet" : text_tick_name(tick);
}
