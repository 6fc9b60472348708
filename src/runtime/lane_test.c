/* SPDX-License-Identifier: Apache-2.0
 * The bounds of a lane: which fit, and what they take. And what no fold sees: a newer program's
 * records stop a lane, a known VERSION is noted, what nobody can read is left out aloud. Bus and
 * store: arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/lane.h"

static void bounds_fit(void **state)
{
    (void)state;
    static const struct {
        struct lane_bounds bounds;
        bool fit;
    } cases[] = {
        {{0, 0, 0}, true}, /* the defaults */
        {{LANE_ROWS, FOLD_CHATS_MAX, 0}, true},
        {{LANE_ROWS, 6368, 0}, true}, /* 65,536 × 7/8 − 32, by 9 */
        {{LANE_ROWS, 6369, 0}, false},
        {{LANE_ROWS_MIN, 0, 0}, false}, /* 5,000 chats do not fit into 2,048 rows */
        {{LANE_ROWS_MIN, 195, 0}, true},
        {{LANE_ROWS_MIN, 196, 0}, false},
        {{LANE_ROWS_MIN - 1, 1, 0}, false},
        {{1u << 20, UINT32_MAX, 0}, false}, /* the product does not wrap */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(lane_bounds_fit(&cases[i].bounds), cases[i].fit);
}

/* ---- records that no fold sees ---- */

#define LOG_MAX  16u
#define ROWS_MAX 64u

static struct arena arena;
static struct lane lane;
static uint64_t now_ms;

static struct {
    struct bus port;
    struct bus_facts facts;
    struct bus_record log[LOG_MAX]; /* what the lane consumes */
    size_t count;
    struct bus_record out[LOG_MAX]; /* what it appended */
    uint64_t tokens[LOG_MAX];
    size_t out_count, answered;
    uint64_t consumed, committed;
} bus;

static struct {
    struct store port;
    struct row rows[ROWS_MAX];
    size_t count;
    struct store_request *done;
} store;

static struct bus_facts facts_of(const struct bus *port)
{
    (void)port;
    return bus.facts;
}

static enum status bus_append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                              struct slice bytes, uint64_t token)
{
    (void)port;
    if (bytes.bytes > BUS_RECORD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    assert_true(bus.out_count < LOG_MAX);
    struct bus_record *record = &bus.out[bus.out_count];
    *record = (struct bus_record){.topic = topic, .bytes = arena_copy(&arena, bytes)};
    memcpy(record->key, key, ID_BYTES);
    bus.tokens[bus.out_count++] = token;
    return STATUS_OK;
}

static void bus_consume(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    (void)port;
    (void)topic;
    (void)partition;
    bus.consumed = offset;
}

static void bus_commit(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    (void)port;
    (void)topic;
    (void)partition;
    bus.committed = offset;
}

static struct bus_ends ends_of(const struct bus *port, enum topic topic, uint32_t partition)
{
    (void)port;
    (void)topic;
    (void)partition;
    return (struct bus_ends){0, bus.count};
}

static uint64_t bus_committed(const struct bus *port, enum topic topic, uint32_t partition)
{
    (void)port;
    (void)topic;
    (void)partition;
    return bus.committed;
}

static const struct bus_vtable bus_table = {facts_of, bus_append, NULL,    bus_consume,
                                            NULL,     bus_commit, ends_of, bus_committed};

static struct row *store_row(const struct row_key *key)
{
    for (size_t i = 0; i < store.count; i++)
        if (row_key_compare(&store.rows[i].key, key) == 0)
            return &store.rows[i];
    return NULL;
}

static void store_submit(struct store *port, struct store_request *request)
{
    (void)port;
    assert_null(store.done);
    store.done = request;
    assert_true(request->op == STORE_GET || request->op == STORE_COMMIT);
    for (size_t i = 0; request->op == STORE_GET && i < request->keys_count; i++) {
        const struct row *row = store_row(&request->keys[i]);
        request->rows[i] = row != NULL ? *row : (struct row){.key = request->keys[i]};
    }
    for (size_t i = 0; request->op == STORE_COMMIT && i < request->writes_count; i++) {
        struct row *row = store_row(&request->writes[i].key);
        if (row == NULL) {
            assert_true(store.count < ROWS_MAX);
            row = &store.rows[store.count++];
            *row = (struct row){.key = request->writes[i].key};
        }
        (void)row_merge(row, &request->writes[i]);
    }
    request->status = STATUS_OK;
}

static const struct store_vtable store_table = {store_submit, NULL};

static void start(bool single)
{
    bus.port.vtable = &bus_table;
    bus.facts = (struct bus_facts){1, single, 1};
    store.port.vtable = &store_table;
    struct lane_options options = {
        &bus.port, &store.port, TOPIC_MESSAGES, 0, {LANE_ROWS_MIN, 1, 0}};
    assert_int_equal(lane_open(&lane, &options), STATUS_OK);
}

/* Until nothing moves; how many were left out, and the last of them. */
static size_t settle(struct lane_unreadable *last)
{
    size_t left_out = 0;
    for (int i = 0; i < 200; i++) {
        enum lane_state before = lane.state;
        (void)lane_step(&lane, now_ms += 1000);
        if (lane.state == LANE_SHOWN && before != LANE_SHOWN)
            for (const struct lane_unreadable *at = lane.unreadable; at != NULL; at = at->next) {
                *last = *at;
                left_out++;
            }
        lane_check(&lane);
        if (store.done != NULL) {
            struct store_request *request = store.done;
            store.done = NULL;
            lane_on_store(&lane, request);
        } else if (bus.answered < bus.out_count) {
            lane_on_appended(&lane, bus.tokens[bus.answered++], STATUS_OK);
        } else if (lane.state == LANE_FILL && bus.consumed < bus.count) {
            lane_on_record(&lane, &bus.log[bus.consumed++]);
        }
    }
    return left_out;
}

static void restart(bool single)
{
    struct lane_unreadable last;
    lane_close(&lane);
    start(single);
    (void)settle(&last);
}

static int open_rig(void **state)
{
    (void)state;
    memset(&bus, 0, sizeof bus);
    memset(&store, 0, sizeof store);
    arena_init(&arena, (size_t)16 << 20);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    lane_close(&lane);
    arena_deinit(&arena);
    return 0;
}

static void give_bytes(struct slice bytes)
{
    assert_true(bus.count < LOG_MAX);
    bus.log[bus.count] = (struct bus_record){.topic = TOPIC_MESSAGES,
                                             .log_epoch = 1,
                                             .offset = bus.count,
                                             .append_us = 70 + bus.count,
                                             .key = {9, (uint8_t)bus.count},
                                             .bytes = arena_copy(&arena, bytes)};
    bus.count++;
}

static void give_version(uint32_t version)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_VERSION};
    record.body.version.version = version;
    give_bytes(pb_record_pack_v1(&record, &arena));
}

static void give_receipt(void)
{
    static const uint8_t user[ID_BYTES] = {1};
    struct pb_record record = {.body_case = PB_RECORD_BODY_USER_RECEIPT}; /* of another topic */
    record.body.user_receipt.chat_id = SLICE_OF(user);
    give_bytes(pb_record_pack_v1(&record, &arena));
}

static uint64_t meta(enum meta_name name, size_t column)
{
    struct row_key key = row_key_make(TABLE_META, NULL, NULL, name);
    if (name == META_FOLD_VERSION)
        key.a[2] = TOPIC_MESSAGES;
    const struct row *row = store_row(&key);
    return row == NULL ? 0 : row->columns[column];
}

static void a_known_version_is_noted(void **state)
{
    struct lane_unreadable last;
    (void)state;
    for (int single = 0; single <= 1; single++) {
        (void)open_rig(state);
        start(single);
        give_version(FOLD_VERSION);
        give_version(0);
        assert_int_equal(settle(&last), 0);
        assert_int_equal(lane.state, LANE_FILL);
        assert_int_equal(lane.done_offset, 2);
        assert_int_equal(meta(META_FOLD_VERSION, 0), FOLD_VERSION); /* the highest stays */
        assert_int_equal(lane.verdicts[FOLD_APPLIED], 2);
        assert_int_equal(store.count, 1 + (size_t)single); /* and META_PART: no number, no head */
        assert_int_equal(bus.out_count, 0);
        restart(single);
        assert_int_equal(lane.state, LANE_FILL);
        assert_int_equal(bus.consumed, 2);
        assert_int_equal(meta(META_FOLD_VERSION, 0), FOLD_VERSION);
        if (single == 0)
            (void)close_rig(state);
    }
}

static void stopped_at(uint64_t offset, enum lane_stop stop, uint64_t version)
{
    assert_int_equal(lane.state, LANE_STOPPED);
    assert_int_equal(lane.stop, stop);
    assert_int_equal(lane.stop_version, version);
    assert_int_equal(lane.stop_offset, offset);
    assert_int_equal(lane.done_offset, offset);
}

/* What stood before is finished; it and what stands behind are not, now and after every start. */
static void a_newer_program_s_record_stops(void **state)
{
    static const uint8_t newer[] = {FOLD_RECORD_VERSION + 1, 1, 2, 3};
    struct lane_unreadable last;
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool single = i % 2 == 1, fold = i / 2 == 1;
        (void)open_rig(state);
        start(single);
        give_version(FOLD_VERSION);
        give_receipt();
        if (fold)
            give_version(FOLD_VERSION + 1);
        else
            give_bytes(SLICE_OF(newer));
        give_receipt();
        assert_int_equal(settle(&last), 1);
        for (int again = 0; again < 2; again++) {
            stopped_at(2, fold ? LANE_STOP_FOLD_VERSION : LANE_STOP_RECORD_VERSION, 2);
            lane_on_hole(&lane, 4); /* not stepped over by a hole either */
            assert_int_equal(bus.committed, 2);
            assert_int_equal(meta(META_PART, 1), single ? 2 : 0);
            assert_int_equal(meta(META_FOLD_VERSION, 0), FOLD_VERSION);
            assert_int_equal(bus.out_count, single ? 0 : 1);
            restart(single);
        }
        if (i < 3)
            (void)close_rig(state);
    }
}

static void rows_of_a_newer_program_stop(void **state)
{
    struct lane_unreadable last;
    (void)state;
    store.rows[0].key = row_key_make(TABLE_META, NULL, NULL, META_FOLD_VERSION);
    store.rows[0].key.a[2] = TOPIC_MESSAGES;
    store.rows[0].found = true;
    store.rows[0].columns[0] = FOLD_VERSION + 1;
    store.count = 1;
    give_receipt();
    for (int single = 0; single <= 1; single++) {
        start(single);
        assert_int_equal(settle(&last), 0);
        stopped_at(0, LANE_STOP_ROWS, FOLD_VERSION + 1);
        assert_int_equal(store.count, 1);
        if (single == 0)
            lane_close(&lane);
    }
}

/* ---- unreadable ---- */

static void unreadable_is_listed_on_one_machine(void **state)
{
    static const uint8_t garbage[] = {FOLD_RECORD_VERSION, 0xFF, 0xFF};
    static const uint8_t zero[] = {0};
    struct lane_unreadable last;
    (void)state;
    start(true);
    give_receipt();
    give_bytes(SLICE_OF(zero));
    give_bytes(SLICE_EMPTY);
    assert_int_equal(settle(&last), 3);
    give_bytes(SLICE_OF(garbage));
    assert_int_equal(settle(&last), 1);
    assert_int_equal(last.place.offset, 3);
    assert_int_equal(last.topic, TOPIC_MESSAGES);
    assert_int_equal(last.append_us, 73);
    assert_memory_equal(last.key, bus.log[3].key, ID_BYTES);
    assert_true(slice_equal(last.bytes, SLICE_OF(garbage)));
    assert_false(last.decoded);
    give_receipt();
    assert_int_equal(settle(&last), 1);
    assert_true(last.decoded);
    assert_int_equal(lane.verdicts[FOLD_UNREADABLE], 5);
    assert_int_equal(lane.done_offset, 5); /* passed, not skipped */
    assert_int_equal(store.count, 1);      /* no number, no head: META_PART alone */
    assert_int_equal(bus.out_count, 0);
}

/* Whoever keeps copies does so before the rows know that the record is passed. */
static void the_list_is_shown_before_the_commit(void **state)
{
    struct lane_unreadable last;
    (void)state;
    start(true);
    assert_int_equal(settle(&last), 0);
    give_bytes(SLICE_EMPTY);
    lane_on_record(&lane, &bus.log[bus.consumed++]);
    (void)lane_step(&lane, now_ms += 1000);
    assert_int_equal(lane.state, LANE_SHOWN);
    assert_non_null(lane.unreadable);
    assert_int_equal(store.count, 0);
    assert_null(store.done); /* not even asked */
    assert_int_equal(settle(&last), 0);
    assert_int_equal(store.count, 1);
    assert_int_equal(lane.done_offset, 1);
}

/* Every byte of it stands in the copies, in order. */
static void copied_whole(size_t from, size_t pieces, const struct bus_record *record)
{
    size_t at = 0;
    assert_int_equal(bus.out_count, from + pieces);
    for (size_t i = from; i < bus.out_count; i++) {
        struct slice inner;
        struct pb_record copy;
        assert_int_equal(bus.out[i].topic, TOPIC_QUARANTINE);
        assert_memory_equal(bus.out[i].key, record->key, ID_BYTES);
        assert_int_equal(pb_unwrap(bus.out[i].bytes, FOLD_RECORD_VERSION, &inner), STATUS_OK);
        assert_int_equal(pb_record_decode(inner, &arena, &copy), STATUS_OK);
        assert_int_equal(copy.body_case, PB_RECORD_BODY_QUARANTINED);
        const struct pb_quarantined *is = &copy.body.quarantined;
        assert_int_equal(is->topic, record->topic);
        assert_int_equal(is->log_epoch, record->log_epoch);
        assert_int_equal(is->offset, record->offset);
        assert_int_equal(is->append_us, record->append_us);
        assert_int_equal(is->whole_bytes, record->bytes.bytes);
        assert_int_equal(is->from, at);
        assert_true(at + is->bytes.bytes <= record->bytes.bytes);
        if (is->bytes.bytes > 0)
            assert_memory_equal(is->bytes.at, record->bytes.at + at, is->bytes.bytes);
        at += is->bytes.bytes;
    }
    assert_int_equal(at, record->bytes.bytes);
}

static void unreadable_is_copied_in_a_fleet(void **state)
{
    static uint8_t large[BUS_RECORD_BYTES_MAX];
    static const struct {
        size_t bytes, pieces;
    } cases[] = {{0, 1},
                 {1, 1},
                 {LANE_PIECE_BYTES_MAX, 1},
                 {LANE_PIECE_BYTES_MAX + 1, 2},
                 {BUS_RECORD_BYTES_MAX, 2}};
    struct lane_unreadable last;
    (void)state;
    start(false);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7 >> 3);
    large[0] = FOLD_RECORD_VERSION;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t before = bus.out_count;
        give_bytes(slice_make(large, cases[i].bytes));
        assert_int_equal(settle(&last), 1);
        copied_whole(before, cases[i].pieces, &bus.log[i]);
        assert_int_equal(bus.committed, i + 1);
        assert_int_equal(store.count, 0);
    }
}

/* R3: the offset is finished only when the copy is durable. */
static void the_copy_goes_before_the_offset(void **state)
{
    struct lane_unreadable last;
    (void)state;
    start(false);
    give_receipt();
    bus.answered = LOG_MAX; /* no append is answered */
    assert_int_equal(settle(&last), 1);
    assert_int_equal(lane.state, LANE_APPEND);
    assert_int_equal(bus.out_count, 1);
    assert_int_equal(bus.committed, 0);
    lane_on_appended(&lane, bus.tokens[0], STATUS_TIMEOUT); /* R8: once more */
    assert_int_equal(settle(&last), 0);
    assert_int_equal(bus.out_count, 2);
    assert_int_equal(bus.committed, 0);
    bus.answered = 1;
    assert_int_equal(settle(&last), 0);
    assert_int_equal(bus.committed, 1);
    copied_whole(1, 1, &bus.log[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_fit),
        TEST(a_known_version_is_noted),
        TEST(a_newer_program_s_record_stops),
        TEST(rows_of_a_newer_program_stop),
        TEST(unreadable_is_listed_on_one_machine),
        TEST(the_list_is_shown_before_the_commit),
        TEST(unreadable_is_copied_in_a_fleet),
        TEST(the_copy_goes_before_the_offset),
    };
    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
