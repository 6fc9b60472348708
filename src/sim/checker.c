/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/checker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "sim/checker_parts.h"

#define FOUND_OF_ONE_MAX 4 /* of one invariant: the others must find room too */

struct violation *checker_found(struct checker *checker, const char *invariant, const char *format,
                                ...)
{
    struct verdict *verdict = checker->verdict;
    size_t alike = 0;
    verdict->total++;
    for (size_t i = 0; i < verdict->found_count; i++)
        alike += strcmp(verdict->found[i].invariant, invariant) == 0;
    if (alike >= FOUND_OF_ONE_MAX || verdict->found_count == CHECKER_FOUND_MAX)
        return NULL;
    struct violation *violation = &verdict->found[verdict->found_count++];
    *violation = (struct violation){.invariant = invariant};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(violation->text, sizeof violation->text, format, arguments);
    va_end(arguments);
    return violation;
}

void violation_event(struct violation *violation, size_t event)
{
    if (violation == NULL || event == SIZE_MAX || violation->events_count == CHECKER_SLICE_MAX)
        return;
    violation->events[violation->events_count++] = event;
}

void *checker_array(struct checker *checker, size_t count, size_t bytes_each)
{
    void *memory = arena_array(&checker->arena, count ? count : 1, bytes_each);
    if (memory == NULL)
        checker->exhausted = true;
    return memory;
}

void checker_put(struct checker *checker, struct map *map, const void *key, uint64_t value)
{
    if (map_put(map, key, value) != STATUS_OK)
        checker->exhausted = true;
}

bool checker_seen(struct checker *checker, struct map *map, const void *key, uint64_t value,
                  uint64_t *old)
{
    if (map_find(map, key, old))
        return true;
    checker_put(checker, map, key, value);
    *old = value;
    return false;
}

static int compare_keys(const void *left, const void *right)
{
    const struct checked_key *a = left, *b = right;
    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    if (a->b != b->b)
        return a->b < b->b ? -1 : 1;
    if (a->c != b->c)
        return a->c < b->c ? -1 : 1;
    return a->event < b->event ? -1 : a->event > b->event;
}

void checker_sort(struct checked_key *keys, size_t count)
{
    if (count > 1)
        qsort(keys, count, sizeof *keys, compare_keys);
}

struct short_id short_id(const uint8_t id[ID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    struct short_id out = {""};
    for (size_t i = 0; i < 4; i++) {
        out.text[2 * i] = digits[id[ID_BYTES - 4 + i] >> 4];
        out.text[2 * i + 1] = digits[id[ID_BYTES - 4 + i] & 15];
    }
    return out;
}

static void maps_close(struct checker *checker)
{
    struct map *const maps[] = {&checker->device_map,  &checker->user_map,   &checker->chat_map,
                                &checker->message_map, &checker->pair_map,   &checker->reader_map,
                                &checker->held_map,    &checker->stored_map, &checker->shown_map,
                                &checker->inbox_map,   &checker->place_map,  &checker->counter_map};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        map_close(maps[i]);
}

enum status checker_run(const struct history *history, struct verdict *verdict)
{
    struct checker checker = {.history = history, .verdict = verdict, .quiesce = SIZE_MAX};
    *verdict = (struct verdict){.found_count = 0};
    arena_init(&checker.arena, SIZE_MAX / 2);
    checker_intern(&checker);
    if (!checker.exhausted)
        checker_orders(&checker);
    if (!checker.exhausted)
        checker_walk(&checker);
    enum status status = checker.exhausted ? STATUS_BUSY : STATUS_OK;
    maps_close(&checker);
    arena_deinit(&checker.arena);
    return status;
}

static void write_count(struct buf *out, uint64_t count, const char *text)
{
    buf_decimal(out, count);
    buf_text(out, text);
}

void verdict_write(struct buf *out, const struct history *history, const struct verdict *verdict)
{
    for (size_t i = 0; i < verdict->found_count; i++) {
        const struct violation *violation = &verdict->found[i];
        buf_text(out, violation->invariant);
        buf_text(out, ": ");
        buf_text(out, violation->text);
        buf_text(out, "\n");
        for (size_t k = 0; k < violation->events_count; k++) {
            buf_text(out, "  ");
            history_write(out, &history->events[violation->events[k]]);
        }
    }
    write_count(out, history->count, " events: ");
    write_count(out, verdict->sends, " sends, ");
    write_count(out, verdict->acked, " acknowledged, ");
    write_count(out, verdict->failed, " failed, ");
    write_count(out, verdict->entries, " entries received, ");
    write_count(out, verdict->shown, " shown, ");
    write_count(out, verdict->marks, " marks seen; ");
    write_count(out, verdict->total, verdict->total == 1 ? " violation\n" : " violations\n");
}
