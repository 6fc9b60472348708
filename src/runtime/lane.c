/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/lane.h"

#include <string.h>

#include "base/assert.h"
#include "base/timer.h"
#include "runtime/lane_apart.h"
#include "runtime/lane_batch.h"
#include "runtime/lane_read.h"

#define ROUND_SHIFT 24u /* token: LANE_TOKEN_BIT | lane index 16 | append round 8 | emission 24 */

static uint32_t rows_of(const struct lane_bounds *bounds)
{
    return bounds->rows != 0 ? bounds->rows : LANE_ROWS;
}

static uint32_t chats_of(const struct lane_bounds *bounds)
{
    return bounds->chats != 0 ? bounds->chats : FOLD_CHATS_MAX;
}

bool lane_bounds_fit(const struct lane_bounds *bounds)
{
    uint64_t rows = rows_of(bounds);
    uint64_t largest = (uint64_t)chats_of(bounds) * LANE_CHAT_ROWS + LANE_RECORD_ROWS;
    return rows >= LANE_ROWS_MIN && rows / LANE_CUT_SHARE + largest <= rows;
}

enum status lane_open(struct lane *lane, const struct lane_options *options)
{
    uint32_t index = lane->index;
    assert(lane_bounds_fit(&options->bounds));
    memset(lane, 0, sizeof *lane);
    lane->index = index;
    lane->bus = options->bus;
    lane->store = options->store;
    lane->facts = options->bus->vtable->facts(options->bus);
    lane->topic = options->topic;
    lane->partition = options->partition;
    lane->chats_max = chats_of(&options->bounds);
    lane->token_base = LANE_TOKEN_BIT | (uint64_t)index << 32;
    arena_init(&lane->arena, LANE_ARENA_BYTES_MAX);
    arena_init(&lane->spare, LANE_ARENA_BYTES_MAX);
    enum status status = lane_batches_open(lane, rows_of(&options->bounds));
    if (status == STATUS_OK && lane->facts.single)
        status =
            hot_open(&lane->hot, options->bounds.hot != 0 ? options->bounds.hot : LANE_HOT_BYTES);
    if (status == STATUS_OK)
        lane->state = LANE_START;
    else
        lane_batches_close(lane);
    return status;
}

void lane_close(struct lane *lane)
{
    assert(lane_idle(lane));
    uint32_t index = lane->index;
    lane_batches_close(lane);
    hot_close(&lane->hot);
    arena_deinit(&lane->arena);
    arena_deinit(&lane->spare);
    memset(lane, 0, sizeof *lane);
    lane->index = index;
}

bool lane_idle(const struct lane *lane)
{
    return lane->in_flight == 0 && lane->appends_in_flight == 0 && !lane->batches[0].flying &&
           !lane->batches[1].flying;
}

bool lane_full(const struct lane *lane)
{
    return lane->records_count >= LANE_RECORDS_MAX / 2 || lane->bytes >= LANE_BYTES_MAX / 2;
}

void lane_check(const struct lane *lane)
{
    assert(lane->folded <= lane->records_count && lane->records_count <= LANE_RECORDS_MAX);
    assert(lane->append_done <= lane->appended && lane->appended <= lane->emissions_count);
    assert(lane->retry_count + lane->in_flight <= FOLD_WANTS_MAX);
    assert(lane->state != LANE_FILL || lane->emissions_count == 0 || lane->folded > 0);
}

/* Unreadable alike for everyone: an empty body, which the folds refuse without a number. */
static bool record_decode(struct lane *lane, size_t at)
{
    struct pb_record *body = ARENA_RAW(&lane->arena, struct pb_record, 1);
    struct slice inner;
    if (body == NULL)
        return false;
    if (pb_unwrap(lane->raw[at], FOLD_RECORD_VERSION, &inner) != STATUS_OK ||
        pb_record_decode(inner, &lane->arena, body) != STATUS_OK)
        *body = (struct pb_record){.body_case = PB_RECORD_BODY_NONE};
    lane->records[at].body = body;
    return !lane->arena.exhausted;
}

void lane_on_record(struct lane *lane, const struct bus_record *record)
{
    size_t at = lane->records_count;
    if (record->offset < lane->next_offset || lane->stop != LANE_STOP_NONE)
        return; /* at least once: seen already; or never */
    lane->seek = lane->seek || at == LANE_RECORDS_MAX;
    if (lane->seek)
        return;
    struct fold_record *fold = &lane->records[at];
    *fold = (struct fold_record){.topic = record->topic,
                                 .place = {record->log_epoch, record->offset, 0},
                                 .append_us = record->append_us,
                                 .inlined = lane->facts.single,
                                 .chats_max = lane->chats_max};
    memcpy(fold->key, record->key, ID_BYTES);
    lane->raw[at] = arena_copy(&lane->arena, record->bytes);
    if (!record_decode(lane, at)) {
        lane->state = LANE_FAILED;
        return;
    }
    if (lane_meets_newer(lane, at))
        return;
    lane->records_count++;
    lane->bytes += record->bytes.bytes;
    lane->next_offset = record->offset + 1;
}

void lane_on_hole(struct lane *lane, uint64_t hole_end)
{
    if (lane->stop != LANE_STOP_NONE)
        return;
    lane->holes++;
    if (hole_end > lane->next_offset)
        lane->next_offset = hole_end;
    if (lane->state == LANE_FILL && lane->records_count == 0 &&
        lane_batch_empty(&lane->batches[0]) && lane_batch_empty(&lane->batches[1]))
        lane->done_offset = lane->next_offset; /* perhaps nothing follows */
}

/* ---- store ---- */

static void submit_late(struct lane *lane)
{
    struct store_request *request = &lane->requests[0];
    *request = (struct store_request){
        .op = STORE_COMMIT, .writes = lane->late, .writes_count = lane->late_count};
    lane_submit(lane, request);
}

void lane_on_store(struct lane *lane, struct store_request *request)
{
    if (lane_batch_on_store(lane, request))
        return;
    assert(lane->in_flight > 0);
    lane->in_flight--;
    if (request->status == STATUS_BUSY || request->status == STATUS_TIMEOUT)
        lane->retry[lane->retry_count++] = request;
    else if (request->status != STATUS_OK)
        lane->state = LANE_FAILED;
}

/* The same requests again: explicit stamps make that safe, whatever had applied. */
static bool retried(struct lane *lane)
{
    size_t count = lane->retry_count;
    lane->retry_count = 0;
    for (size_t i = 0; i < count; i++)
        lane_submit(lane, lane->retry[i]);
    return count > 0;
}

/* ---- start ---- */

void lane_part_key(const struct lane *lane, struct row_key *key)
{
    *key = row_key_make(TABLE_META, NULL, NULL, META_PART);
    key->a[0] = (uint8_t)(lane->partition >> 8);
    key->a[1] = (uint8_t)lane->partition;
}

static void consume(struct lane *lane, uint64_t offset)
{
    lane->next_offset = lane->done_offset = offset;
    lane->state = LANE_FILL;
    lane->bus->vtable->consume(lane->bus, lane->topic, lane->partition, offset);
}

/* Where to begin, and whether the rows are of rules that are known here. */
static void start(struct lane *lane)
{
    struct store_request *request = &lane->requests[0];
    const struct row *rows = request->rows;
    if (rows == NULL) {
        lane_part_key(lane, &lane->request_keys[0][0]);
        lane_version_key(lane, &lane->request_keys[0][1]);
        *request = (struct store_request){.op = STORE_GET,
                                          .keys = lane->request_keys[0],
                                          .keys_count = 2,
                                          .rows = ARENA_ARRAY(&lane->arena, struct row, 2),
                                          .rows_max = 2};
        if (request->rows == NULL)
            lane->state = LANE_FAILED;
        else
            lane_submit(lane, request);
        return;
    }
    const struct bus_vtable *bus = lane->bus->vtable;
    uint64_t next = bus->committed(lane->bus, lane->topic, lane->partition);
    if (lane->facts.single)
        next = rows[0].found ? rows[0].columns[1]
                             : bus->ends(lane->bus, lane->topic, lane->partition).first;
    memset(request, 0, sizeof *request);
    lane->next_offset = lane->done_offset = next;
    if (lane_rows_newer(lane, rows[1].columns[0]))
        lane->state = LANE_STOPPED;
    else
        consume(lane, next);
}

/* ---- fold ---- */

/* Append `count` items of `bytes_each` to an array in the arena; false when it is exhausted.
 * EXCEPTION: six parameters: an array is three of them, and C has no type for it. */
static bool append(struct arena *arena, void **items, size_t counts[2], const void *more,
                   size_t count, size_t bytes_each)
{
    if (count == 0)
        return true;
    if (counts[0] + count > counts[1]) {
        size_t room = (counts[0] + count) * 2;
        void *bigger = arena_array(arena, room, bytes_each);
        if (bigger == NULL)
            return false;
        if (counts[0] > 0)
            memcpy(bigger, *items, counts[0] * bytes_each);
        *items = bigger;
        counts[1] = room;
    }
    memcpy((uint8_t *)*items + counts[0] * bytes_each, more, count * bytes_each);
    counts[0] += count;
    return true;
}

static bool late_add(struct lane *lane, const struct fold_outcome *outcome)
{
    size_t counts[2] = {lane->late_count, lane->late_room};
    void *items = lane->late;
    for (size_t i = 0; i < outcome->late_count; i++) {
        if (overlay_write(&lane_filling(lane)->overlay, &outcome->late[i]) != STATUS_OK)
            return false;
    }
    if (!append(&lane->arena, &items, counts, outcome->late, outcome->late_count,
                sizeof *outcome->late))
        return false;
    lane->late = items;
    lane->late_count = counts[0];
    lane->late_room = counts[1];
    return true;
}

/* One machine: what a fold bears is folded in the same turn, breadth first. */
static bool children_add(struct lane *lane, const struct fold_outcome *outcome)
{
    for (size_t i = 0; i < outcome->emissions_count; i++) {
        const struct fold_emission *emission = &outcome->emissions[i];
        struct lane_child *child = ARENA_NEW(&lane->arena, struct lane_child);
        if (child == NULL)
            return false;
        child->record = (struct fold_record){.topic = emission->topic,
                                             .append_us = lane->at->append_us,
                                             .place = lane->at->place,
                                             .body = emission->body,
                                             .inlined = true,
                                             .chats_max = lane->chats_max};
        memcpy(child->record.key, emission->key, ID_BYTES);
        if (lane->children == NULL)
            lane->children = child;
        else
            lane->children_last->next = child;
        lane->children_last = child;
    }
    return true;
}

static bool emissions_add(struct lane *lane, const struct fold_outcome *outcome)
{
    if (lane->facts.single)
        return children_add(lane, outcome);
    size_t counts[2] = {lane->emissions_count, lane->emissions_room};
    void *items = lane->emissions;
    if (!append(&lane->arena, &items, counts, outcome->emissions, outcome->emissions_count,
                sizeof *outcome->emissions))
        return false;
    lane->emissions = items;
    lane->emissions_count = counts[0];
    lane->emissions_room = counts[1];
    return true;
}

static bool notice_add(struct lane *lane, const struct fold_outcome *outcome)
{
    if (outcome->deliver_useq == 0 && !outcome->answered && outcome->revoked_count == 0)
        return true;
    struct lane_notice *notice = ARENA_NEW(&lane->arena, struct lane_notice);
    if (notice == NULL)
        return false;
    memcpy(notice->user, lane->at->key, ID_BYTES);
    notice->outcome = outcome;
    if (lane->notices == NULL)
        lane->notices = notice;
    else
        lane->notices_last->next = notice;
    lane->notices_last = notice;
    return true;
}

static bool has_bare(const struct lane *lane)
{
    for (size_t i = 0; i < lane->bare_count; i++) {
        if (memcmp(lane->bare[i], lane->at->key, ID_BYTES) == 0)
            return true;
    }
    return false;
}

static bool outcome_take(struct lane *lane, struct fold_outcome *outcome)
{
    if (outcome->verdict == FOLD_UNREADABLE && !lane_leaves_out(lane, outcome))
        return false;
    if (!lane->facts.single && outcome->bare && lane->bare_count < LANE_RECORDS_MAX)
        memcpy(lane->bare[lane->bare_count++], lane->at->key, ID_BYTES);
    lane->verdicts[outcome->verdict]++;
    lane->waits = lane->waits || lane_waits_for(outcome);
    return lane_write(lane, outcome->writes, outcome->writes_count) && late_add(lane, outcome) &&
           emissions_add(lane, outcome) && notice_add(lane, outcome);
}

/* One machine: the late writes of a record stand behind all that its children wrote. */
static bool late_join(struct lane *lane)
{
    size_t count = lane->late_count;
    lane->late_count = 0;
    return lane_write(lane, lane->late, count);
}

/* The next thing to fold; false if the turn is over. */
static bool next_record(struct lane *lane)
{
    fold_reads_reset(&lane->reads);
    lane->applied_seen = false;
    if (lane->children != NULL) {
        lane->children->record.place.sub = ++lane->sub;
        lane->at = &lane->children->record;
        lane->children = lane->children->next;
        return true;
    }
    if (lane->folded == lane->records_count || lane->cut ||
        (lane->folded > 0 && (lane->arena.used > LANE_ARENA_CUT_BYTES || lane_batch_full(lane))))
        return false;
    struct fold_record *at = ARENA_NEW(&lane->arena, struct fold_record);
    if (at == NULL)
        return false;
    *at = lane->records[lane->folded];
    lane->at = at;
    lane->sub = 0;
    return true;
}

static bool decide(struct lane *lane, struct fold_outcome *outcome)
{
    if (lane_notes_version(lane, outcome))
        return !lane->arena.exhausted;
    return fold_apply(lane->at, &lane->reads, &lane->arena, outcome) == STATUS_OK;
}

static void fold_one(struct lane *lane)
{
    if (fold_plan(lane->at, &lane->reads, &lane->arena)) {
        lane_read(lane);
        return;
    }
    struct fold_outcome *outcome = ARENA_NEW(&lane->arena, struct fold_outcome);
    if (outcome == NULL || !decide(lane, outcome)) {
        lane->state = LANE_FAILED;
        return;
    }
    if (!lane->facts.single && outcome->head_moved && has_bare(lane)) {
        lane->cut = true; /* it begins the next batch */
        lane->state = LANE_COMMIT;
        return;
    }
    bool parent = lane->at->place.sub == 0;
    if (!outcome_take(lane, outcome)) {
        lane->state = LANE_FAILED;
        return;
    }
    lane->folded += parent;
    if (lane->children == NULL && lane->facts.single && !late_join(lane))
        lane->state = LANE_FAILED;
    else if (!next_record(lane))
        lane->state = LANE_COMMIT;
}

/* ---- the three lines ---- */

static bool before_flies(struct lane *lane)
{
    return lane_before(lane)->flying || lane_before(lane)->again;
}

/* What was folded goes to the store; one machine: now only if somebody waits for it. */
static bool commit(struct lane *lane)
{
    bool behind = lane->facts.single && !lane->waits && lane->unreadable == NULL;
    lane_filling(lane)->passed = true;
    if (behind) {
        lane->state = LANE_FILL;
        lane->finished = true;
    } else if (before_flies(lane)) {
        return false;
    } else {
        lane->state = lane_batch_begin(lane) ? LANE_APPEND : LANE_FAILED;
    }
    return true;
}

/* Submit what the producer takes now. */
static void append_more(struct lane *lane)
{
    while (lane->appended < lane->emissions_count && lane->append_failed == 0) {
        const struct fold_emission *emission = &lane->emissions[lane->appended];
        struct arena_mark mark = arena_mark(&lane->arena);
        struct slice bytes = pb_record_pack_v1(emission->body, &lane->arena);
        uint64_t token = lane->token_base | (uint64_t)(lane->append_round & 0xFF) << ROUND_SHIFT |
                         lane->appended;
        enum status status = lane->arena.exhausted
                                 ? STATUS_IO
                                 : lane->bus->vtable->append(lane->bus, emission->topic,
                                                             emission->key, bytes, token);
        arena_rewind(&lane->arena, mark);
        if (status == STATUS_BUSY)
            return;
        if (status != STATUS_OK) {
            lane->state = LANE_FAILED;
            return;
        }
        lane->appended++;
        lane->appends_in_flight++;
    }
}

void lane_on_appended(struct lane *lane, uint64_t token, enum status status)
{
    size_t emission = token & ((1u << ROUND_SHIFT) - 1);
    assert(lane->appends_in_flight > 0);
    lane->appends_in_flight--;
    if (lane->state != LANE_APPEND || (token >> ROUND_SHIFT & 0xFF) != (lane->append_round & 0xFF))
        return;
    lane->append_done++;
    if (status != STATUS_OK && (lane->append_failed == 0 || emission + 1 < lane->append_failed))
        lane->append_failed = emission + 1;
}

/* R8: a failed append goes out again together with everything after it. */
static bool appends_finished(struct lane *lane)
{
    if (lane->append_failed != 0 && lane->append_done == lane->appended) {
        lane->appended = lane->append_done = lane->append_failed - 1;
        lane->append_failed = 0;
        lane->append_round++;
    }
    append_more(lane);
    return lane->append_failed == 0 && lane->append_done == lane->emissions_count;
}

static void turn_finish(struct lane *lane)
{
    struct lane_batch *before = lane_before(lane);
    if (before->begun)
        lane_batch_finish(lane, before);
    lane_batch_finish(lane, lane_filling(lane));
    lane->state = LANE_FILL;
    lane->finished = true;
}

/* Forget the finished turn; what was cut off moves to the other arena. */
static void turn_reset(struct lane *lane)
{
    size_t rest = lane->records_count - lane->folded;
    struct arena old = lane->arena;
    lane->arena = lane->spare;
    lane->bytes = 0;
    for (size_t i = 0; i < rest; i++) {
        lane->records[i] = lane->records[lane->folded + i];
        lane->raw[i] = arena_copy(&lane->arena, lane->raw[lane->folded + i]);
        lane->bytes += lane->raw[i].bytes;
        if (!record_decode(lane, i))
            lane->state = LANE_FAILED;
    }
    arena_reset(&old);
    lane->spare = old;
    lane->records_count = rest;
    lane->folded = 0;
    bool committed = lane_filling(lane)->begun; /* with this turn */
    for (size_t i = 0; committed && i < 2; i++)
        lane_batch_drop(lane, &lane->batches[i]);
    lane->late = NULL;
    lane->late_count = lane->late_room = 0;
    lane->emissions = NULL;
    lane->emissions_count = lane->emissions_room = 0;
    lane->appended = lane->append_done = lane->append_failed = 0;
    lane->append_round++;
    lane->bare_count = 0;
    lane->cut = lane->behind = lane->waits = false;
    lane->notices = lane->notices_last = NULL;
    lane->unreadable = lane->unreadable_last = NULL;
}

static bool fill(struct lane *lane)
{
    bool all_done = lane_batch_empty(&lane->batches[0]) && lane_batch_empty(&lane->batches[1]);
    if (lane->records_count == 0 && lane->seek) {
        lane->seek = false;
        consume(lane, lane->next_offset);
    }
    if (lane->records_count == 0 && lane->stop != LANE_STOP_NONE && all_done)
        lane->state = LANE_STOPPED;
    if (lane->records_count == 0 || lane_batch_full(lane))
        return false;
    lane->state = next_record(lane) ? LANE_FOLD : LANE_FAILED;
    return true;
}

static bool advance(struct lane *lane)
{
    switch (lane->state) {
    case LANE_START: start(lane); return lane->in_flight == 0 && lane->state == LANE_START;
    case LANE_FILL: return fill(lane);
    case LANE_FOLD: fold_one(lane); return true;
    case LANE_READ: lane_read_done(lane); return true;
    case LANE_COMMIT:
        if (lane->unreadable == NULL)
            return commit(lane);
        if (before_flies(lane)) /* shown once: the step after it commits */
            return false;
        lane->state = LANE_SHOWN;
        return false;
    case LANE_SHOWN: return commit(lane);
    case LANE_APPEND:
        if (lane_filling(lane)->flying || lane_filling(lane)->again || !appends_finished(lane) ||
            lane->state == LANE_FAILED)
            return false;
        lane->state = LANE_LATE;
        if (lane->late_count > 0)
            submit_late(lane);
        return true;
    case LANE_LATE: turn_finish(lane); return true;
    case LANE_FREE:
    case LANE_STOPPED:
    case LANE_FAILED:
    default: return false;
    }
}

bool lane_step(struct lane *lane, uint64_t now_ms)
{
    lane->now_ms = now_ms;
    if (lane->state == LANE_FILL && lane->folded > 0)
        turn_reset(lane);
    lane_batches_retry(lane);
    if (lane->state == LANE_FILL && lane->facts.single && !lane_batches_step(lane))
        lane->state = LANE_FAILED;
    if (retried(lane))
        return false;
    lane->finished = false;
    while (lane->in_flight == 0 && lane->retry_count == 0) {
        if (!advance(lane))
            return false;
        if (lane->finished)
            return true;
    }
    return false;
}

uint64_t lane_next_ms(const struct lane *lane)
{
    const struct lane_batch *batch = &lane->batches[lane->filling];
    if (!lane->facts.single || lane->state != LANE_FILL || lane_batch_empty(batch) ||
        lane->batches[1 - lane->filling].begun)
        return TIMER_NEVER;
    return lane->hurry ? lane->now_ms : lane->committed_ms + LANE_COMPANY_MS;
}

bool lane_join(struct lane *lane, const struct row_write *writes, size_t count)
{
    return !lane_filling(lane)->begun && !lane_batch_full(lane) && lane->state != LANE_FAILED &&
           lane_write(lane, writes, count);
}
