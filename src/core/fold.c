/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fold.h"

#include <string.h>

#include "core/chat.h"
#include "core/inbox.h"

bool fold_plan(const struct fold_record *record, struct fold_reads *reads, struct arena *arena)
{
    size_t before = reads->count;
    if (reads->rounds >= FOLD_ROUNDS)
        return false;
    if (record->topic == TOPIC_MESSAGES)
        chat_plan(record, reads, arena);
    else if (record->topic == TOPIC_DELIVERIES)
        inbox_plan(record, reads, arena);
    reads->rounds++;
    return reads->count > before;
}

enum status fold_apply(const struct fold_record *record, const struct fold_reads *reads,
                       struct arena *arena, struct fold_outcome *out)
{
    memset(out, 0, sizeof *out);
    enum status status = STATUS_OK;
    if (record->topic == TOPIC_MESSAGES)
        status = chat_apply(record, reads, arena, out);
    else if (record->topic == TOPIC_DELIVERIES)
        status = inbox_apply(record, reads, arena, out);
    else
        out->verdict = FOLD_UNREADABLE; /* a topic that nobody folds */
    if (status == STATUS_OK && arena->exhausted)
        status = STATUS_BUSY;
    if (status != STATUS_OK)
        memset(out, 0, sizeof *out);
    return status;
}

static struct fold_want *want_add(struct fold_reads *reads, enum fold_want_kind kind)
{
    if (reads->count == FOLD_WANTS_MAX)
        return NULL;
    struct fold_want *want = &reads->at[reads->count++];
    memset(want, 0, sizeof *want);
    want->kind = kind;
    want->rows_max = 1;
    return want;
}

struct fold_want *fold_want_get(struct fold_reads *reads, enum table table, const uint8_t *a,
                                const uint8_t *b, uint64_t n)
{
    struct fold_want *want = want_add(reads, FOLD_GET);
    if (want != NULL)
        want->from = want->to = row_key_make(table, a, b, n);
    return want;
}

struct fold_want *fold_want_all(struct fold_reads *reads, enum table table, const uint8_t *a,
                                size_t rows_max)
{
    struct fold_want *want = want_add(reads, FOLD_RANGE);
    if (want == NULL)
        return NULL;
    want->from = want->to = row_key_make(table, a, NULL, 0);
    memset(want->to.b, 0xFF, ID_BYTES);
    want->to.n = UINT64_MAX;
    want->rows_max = rows_max;
    return want;
}

const struct row *fold_row(const struct fold_reads *reads, enum table table, const uint8_t *a,
                           const uint8_t *b, uint64_t n)
{
    struct row_key key = row_key_make(table, a, b, n);
    for (size_t i = 0; i < reads->read; i++) {
        const struct fold_want *want = &reads->at[i];
        if (want->kind == FOLD_GET && row_key_compare(&want->from, &key) == 0)
            return want->rows_count == 1 && want->rows[0].found ? &want->rows[0] : NULL;
    }
    return NULL;
}

const struct fold_want *fold_range(const struct fold_reads *reads, enum fold_want_kind kind,
                                   enum table table)
{
    for (size_t i = 0; i < reads->read; i++) {
        if (reads->at[i].kind == kind && reads->at[i].from.table == table)
            return &reads->at[i];
    }
    return NULL;
}

bool fold_decode(const struct pb_type *type, const struct row *row, struct arena *arena, void *out)
{
    struct slice inner;
    return pb_unwrap(row->value, FOLD_ROW_VERSION, &inner) == STATUS_OK &&
           pb_decode(type, inner, arena, out) == STATUS_OK;
}

/* Room for one more item in an array that lives in the arena; the old copy is left behind. */
static void *grow(struct arena *arena, void *items, size_t count, size_t *room, size_t bytes_each)
{
    if (count < *room)
        return items;
    size_t more = *room == 0 ? 8 : *room * 2;
    void *bigger = arena_array(arena, more, bytes_each);
    if (bigger == NULL)
        return NULL;
    if (count > 0)
        memcpy(bigger, items, count * bytes_each);
    *room = more;
    return bigger;
}

static struct row_write *write_add(struct fold_outcome *out, bool late, struct arena *arena)
{
    struct row_write **list = late ? &out->late : &out->writes;
    size_t *count = late ? &out->late_count : &out->writes_count;
    size_t *room = late ? &out->late_room : &out->writes_room;
    struct row_write *items = grow(arena, *list, *count, room, sizeof **list);
    if (items == NULL)
        return NULL;
    *list = items;
    return &items[(*count)++];
}

void fold_put(struct fold_outcome *out, struct arena *arena, struct row_key key, uint64_t stamp,
              struct slice value)
{
    struct row_write *write = write_add(out, false, arena);
    if (write != NULL)
        *write = (struct row_write){ROW_PUT, key, stamp, value, {0}};
}

void fold_put_late(struct fold_outcome *out, struct arena *arena, struct row_key key,
                   uint64_t stamp, struct slice value)
{
    struct row_write *write = write_add(out, true, arena);
    if (write != NULL)
        *write = (struct row_write){ROW_PUT, key, stamp, value, {0}};
}

void fold_max(struct fold_outcome *out, bool late, struct arena *arena, struct row_key key,
              const uint64_t columns[STORE_COLUMNS])
{
    struct row_write *write = write_add(out, late, arena);
    if (write == NULL)
        return;
    *write = (struct row_write){.kind = ROW_MAX, .key = key};
    memcpy(write->columns, columns, sizeof write->columns);
}

struct pb_record *fold_emit(struct fold_outcome *out, struct arena *arena, enum topic topic,
                            const uint8_t key[ID_BYTES])
{
    struct fold_emission *items =
        grow(arena, out->emissions, out->emissions_count, &out->emissions_room, sizeof *items);
    struct pb_record *body = ARENA_NEW(arena, struct pb_record);
    if (items == NULL || body == NULL)
        return NULL;
    out->emissions = items;
    struct fold_emission *emission = &items[out->emissions_count++];
    emission->topic = topic;
    memcpy(emission->key, key, ID_BYTES);
    emission->body = body;
    return body;
}

int fold_place_compare(const struct fold_place *a, const struct fold_place *b)
{
    if (a->log_epoch != b->log_epoch)
        return a->log_epoch < b->log_epoch ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return a->sub == b->sub ? 0 : a->sub < b->sub ? -1 : 1;
}

bool fold_applied(const struct fold_record *record, const struct pb_place *applied)
{
    struct fold_place place = {applied->log_epoch, applied->offset, applied->sub};
    return fold_place_compare(&record->place, &place) <= 0;
}
