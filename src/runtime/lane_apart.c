/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/lane_apart.h"

#include <string.h>

#include "base/assert.h"

/* ---- newer programs ---- */

/* The rest of the log is for who knows its rules: decided by older ones it would be another one. */
static bool stop_at(struct lane *lane, enum lane_stop reason, uint64_t version, uint64_t offset)
{
    lane->stop = reason;
    lane->stop_version = version;
    lane->stop_offset = offset;
    return true;
}

bool lane_meets_newer(struct lane *lane, size_t at)
{
    const struct fold_record *record = &lane->records[at];
    const struct pb_record *body = record->body;
    struct slice raw = lane->raw[at];
    if (raw.bytes > 0 && raw.at[0] > FOLD_RECORD_VERSION)
        return stop_at(lane, LANE_STOP_RECORD_VERSION, raw.at[0], record->place.offset);
    if (body->body_case == PB_RECORD_BODY_VERSION && body->body.version.version > FOLD_VERSION)
        return stop_at(lane, LANE_STOP_FOLD_VERSION, body->body.version.version,
                       record->place.offset);
    return false;
}

bool lane_rows_newer(struct lane *lane, uint64_t version)
{
    return version > FOLD_VERSION && stop_at(lane, LANE_STOP_ROWS, version, lane->next_offset);
}

/* ---- VERSION ---- */

void lane_version_key(const struct lane *lane, struct row_key *key)
{
    *key = row_key_make(TABLE_META, NULL, NULL, META_FOLD_VERSION);
    key->a[0] = (uint8_t)(lane->partition >> 8);
    key->a[1] = (uint8_t)lane->partition;
    key->a[2] = (uint8_t)lane->topic; /* a fleet's topics are switched one partition at a time */
}

bool lane_notes_version(struct lane *lane, struct fold_outcome *outcome)
{
    const struct pb_record *body = lane->at->body;
    uint64_t columns[STORE_COLUMNS] = {body->body.version.version};
    struct row_key key;
    if (body->body_case != PB_RECORD_BODY_VERSION)
        return false;
    assert(columns[0] <= FOLD_VERSION);
    lane_version_key(lane, &key);
    *outcome = (struct fold_outcome){.verdict = FOLD_APPLIED};
    fold_max(outcome, false, &lane->arena, key, columns);
    return true;
}

/* ---- unreadable ---- */

/* Of a fleet: beside the other outgoing records, so that the offset is finished behind it. */
static void copy_emit(struct lane *lane, struct fold_outcome *outcome,
                      const struct lane_unreadable *left)
{
    size_t from = 0;
    do {
        struct pb_record *copy = fold_emit(outcome, &lane->arena, TOPIC_QUARANTINE, left->key);
        size_t bytes = left->bytes.bytes - from;
        bytes = bytes < LANE_PIECE_BYTES_MAX ? bytes : LANE_PIECE_BYTES_MAX;
        if (copy == NULL)
            return; /* the arena is exhausted, and the caller looks */
        copy->body_case = PB_RECORD_BODY_QUARANTINED;
        copy->body.quarantined =
            (struct pb_quarantined){.topic = (uint32_t)left->topic,
                                    .log_epoch = left->place.log_epoch,
                                    .offset = left->place.offset,
                                    .append_us = left->append_us,
                                    .whole_bytes = (uint32_t)left->bytes.bytes,
                                    .from = (uint32_t)from,
                                    .bytes = slice_sub(left->bytes, from, bytes)};
        from += bytes;
    } while (from < left->bytes.bytes);
}

bool lane_leaves_out(struct lane *lane, struct fold_outcome *outcome)
{
    /* What a fold bore is unreadable by a bug of ours only; then its parent is shown. */
    size_t at = lane->folded - (lane->at->place.sub > 0);
    struct lane_unreadable *left = ARENA_NEW(&lane->arena, struct lane_unreadable);
    if (left == NULL)
        return false;
    *left = (struct lane_unreadable){.topic = lane->at->topic,
                                     .partition = lane->partition,
                                     .place = lane->at->place,
                                     .append_us = lane->at->append_us,
                                     .bytes = lane->raw[at],
                                     .decoded = lane->at->body->body_case != PB_RECORD_BODY_NONE};
    memcpy(left->key, lane->at->key, ID_BYTES);
    if (lane->unreadable == NULL)
        lane->unreadable = left;
    else
        lane->unreadable_last->next = left;
    lane->unreadable_last = left;
    if (!lane->facts.single)
        copy_emit(lane, outcome, left);
    return !lane->arena.exhausted;
}
