/* SPDX-License-Identifier: Apache-2.0 */
#include "core/fold_rig.h"

#include <string.h>

#include "base/assert.h"

void rig_open(struct fold_rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->append_us = 5000000;
    arena_init(&rig->arena, (size_t)64 << 20);
}

void rig_close(struct fold_rig *rig)
{
    arena_deinit(&rig->arena);
}

static struct row *row_find(const struct fold_rig *rig, const struct row_key *key)
{
    for (size_t i = 0; i < rig->rows_count; i++) {
        if (row_key_compare(&rig->rows[i].key, key) == 0)
            return (struct row *)(uintptr_t)&rig->rows[i];
    }
    return NULL;
}

static void row_apply(struct fold_rig *rig, const struct row_write *write)
{
    struct row *row = row_find(rig, &write->key);
    if (row == NULL) {
        assert(rig->rows_count < RIG_ROWS_MAX);
        row = &rig->rows[rig->rows_count++];
        *row = (struct row){.key = write->key};
    }
    if (row_merge(row, write))
        row->value = arena_copy(&rig->arena, row->value);
}

static bool wanted(const struct fold_want *want, const struct row *row)
{
    if (want->kind == FOLD_BY_STAMP)
        return row->key.table == want->from.table && row->stamp == want->stamp &&
               memcmp(row->key.a, want->from.a, ID_BYTES) == 0;
    return row_key_compare(&want->from, &row->key) <= 0 &&
           row_key_compare(&row->key, &want->to) <= 0;
}

static void read(struct fold_rig *rig, struct fold_want *want)
{
    want->rows = ARENA_ARRAY(&rig->arena, struct row, want->rows_max);
    assert(want->rows != NULL);
    for (size_t i = 0; i < rig->rows_count; i++) {
        if (!wanted(want, &rig->rows[i]) || want->rows_count == want->rows_max)
            continue;
        size_t at = want->rows_count++;
        while (at > 0 && row_key_compare(&want->rows[at - 1].key, &rig->rows[i].key) > 0) {
            want->rows[at] = want->rows[at - 1];
            at--;
        }
        want->rows[at] = rig->rows[i];
    }
    if (want->kind == FOLD_GET && want->rows_count == 0) {
        want->rows[0].key = want->from;
        want->rows_count = 1;
    }
}

enum fold_verdict rig_fold_at(struct fold_rig *rig, enum topic topic, const uint8_t *key,
                              const struct pb_record *record, struct fold_place place)
{
    struct fold_record *fold = ARENA_NEW(&rig->arena, struct fold_record);
    struct pb_record *body = ARENA_NEW(&rig->arena, struct pb_record);
    struct fold_reads *reads = ARENA_NEW(&rig->arena, struct fold_reads);
    assert(fold != NULL && body != NULL && reads != NULL);
    enum status status =
        pb_record_decode_v1(pb_record_pack_v1(record, &rig->arena), &rig->arena, body);
    assert(status == STATUS_OK);
    *fold = (struct fold_record){.topic = topic,
                                 .place = place,
                                 .append_us = rig->append_us,
                                 .body = body,
                                 .inlined = rig->inlined};
    memcpy(fold->key, key, ID_BYTES);
    while (fold_plan(fold, reads, &rig->arena)) {
        for (; reads->read < reads->count; reads->read++)
            read(rig, &reads->at[reads->read]);
    }
    status = fold_apply(fold, reads, &rig->arena, &rig->out);
    assert(status == STATUS_OK);
    for (size_t i = 0; i < rig->out.writes_count; i++)
        row_apply(rig, &rig->out.writes[i]);
    for (size_t i = 0; i < rig->out.late_count; i++)
        row_apply(rig, &rig->out.late[i]);
    return rig->out.verdict;
}

enum fold_verdict rig_fold(struct fold_rig *rig, enum topic topic, const uint8_t *key,
                           const struct pb_record *record)
{
    return rig_fold_at(rig, topic, key, record, (struct fold_place){1, rig->offset++, 0});
}

const struct row *rig_row(const struct fold_rig *rig, enum table table, const uint8_t *a,
                          const uint8_t *b, uint64_t n)
{
    struct row_key key = row_key_make(table, a, b, n);
    return row_find(rig, &key);
}

size_t rig_count(const struct fold_rig *rig, enum table table)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->rows_count; i++)
        count += rig->rows[i].key.table == table;
    return count;
}

void rig_put(struct fold_rig *rig, struct row_key key, uint64_t stamp, struct slice value)
{
    struct row_write write = {ROW_PUT, key, stamp, value, {0}};
    row_apply(rig, &write);
}

const struct pb_record *rig_bore(const struct fold_rig *rig, const uint8_t *key,
                                 enum pb_record_body kind)
{
    for (size_t i = 0; i < rig->out.emissions_count; i++) {
        const struct fold_emission *emission = &rig->out.emissions[i];
        if (memcmp(emission->key, key, ID_BYTES) == 0 && emission->body->body_case == kind)
            return emission->body;
    }
    return NULL;
}
