/* SPDX-License-Identifier: Apache-2.0
 * The contract of the bus port (storage §11), over any adapter (bus_contract.h). Each record's
 * bytes tell its number, its key is one of a few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bus_contract.h"

#define KEYS        5u
#define RECORDS_MAX 4096u
#define PARTS_MAX   16u
#define TURNS_MAX   20000u
#define TOPICS      3u

static struct bus *bus;
static struct bus_facts facts;

/* What was answered, by token; what was read, by number. */
static bool answered[RECORDS_MAX];
static enum status statuses[RECORDS_MAX];
static uint64_t offsets[RECORDS_MAX], next_offset[TOPICS][PARTS_MAX];
static uint32_t last_of_key[TOPICS][KEYS], got[RECORDS_MAX];
static uint64_t last_answered[TOPICS][PARTS_MAX]; /* number + 1 */
static size_t answers, records;
static bool assigned[TOPICS][PARTS_MAX];

static void forget(void)
{
    memset(answered, 0, sizeof answered);
    memset(next_offset, 0, sizeof next_offset);
    memset(last_of_key, 0, sizeof last_of_key);
    memset(got, 0, sizeof got);
    memset(last_answered, 0, sizeof last_answered);
    memset(assigned, 0, sizeof assigned);
    answers = records = 0;
}

static int open_bus(void **state)
{
    (void)state;
    bus = contract_bus_open();
    facts = bus->vtable->facts(bus);
    forget();
    return 0;
}

static int close_bus(void **state)
{
    (void)state;
    contract_bus_close();
    return 0;
}

static size_t topic_index(enum topic topic)
{
    return facts.single ? 0 : (size_t)topic - TOPIC_MESSAGES;
}

static void take_record(const struct bus_record *record)
{
    uint32_t number;
    assert_true(record->partition < facts.partitions);
    assert_int_equal(record->partition, bus_partition(record->key, facts.partitions));
    uint64_t *next = &next_offset[topic_index(record->topic)][record->partition];
    assert_int_equal(record->offset, *next);
    (*next)++;
    assert_true(record->bytes.bytes >= sizeof number);
    memcpy(&number, record->bytes.at, sizeof number);
    assert_true(number < RECORDS_MAX);
    uint32_t *last = &last_of_key[record->topic - TOPIC_MESSAGES][record->key[7]];
    assert_true(number + 1 > *last); /* one producer, one partition: its order */
    *last = number + 1;
    assert_int_equal(record->topic, TOPIC_MESSAGES + number % TOPICS);
    if (answered[number] && statuses[number] == STATUS_OK)
        assert_int_equal(offsets[number], record->offset);
    assert_int_equal(record->log_epoch, facts.log_epoch);
    got[number]++;
    records++;
}

static void take_answer(const struct bus_event *event)
{
    assert_true(event->token < RECORDS_MAX);
    assert_false(answered[event->token]);
    answered[event->token] = true;
    statuses[event->token] = event->status;
    offsets[event->token] = event->offset;
    answers++;
    uint8_t key[ID_BYTES] = {0};
    key[7] = (uint8_t)(event->token % KEYS);
    uint64_t *last = &last_answered[event->token % TOPICS][bus_partition(key, facts.partitions)];
    assert_true(event->token + 1 > *last); /* answered in the order of the appends */
    *last = event->token + 1;
}

static void turn(void)
{
    struct bus_event events[16];
    contract_bus_turn();
    size_t count = bus->vtable->poll(bus, events, 16);
    for (size_t i = 0; i < count; i++) {
        const struct bus_event *event = &events[i];
        if (event->kind == BUS_APPENDED) {
            take_answer(event);
        } else if (event->kind == BUS_ASSIGNED) {
            assigned[topic_index(event->topic)][event->partition] = true;
        } else {
            assert_int_equal(event->kind, BUS_RECORD);
            take_record(&event->record);
        }
    }
}

static void consume_all(uint64_t from)
{
    for (uint32_t topic = TOPIC_MESSAGES; topic <= TOPIC_QUARANTINE; topic++) {
        for (uint32_t i = 0; i < facts.partitions; i++) {
            size_t at = topic_index((enum topic)topic);
            if (facts.single && topic != TOPIC_MESSAGES)
                continue;
            for (uint32_t k = 0; k < TURNS_MAX && !facts.single && !assigned[at][i]; k++)
                turn();
            next_offset[at][i] = from;
            bus->vtable->consume(bus, (enum topic)topic, i, from);
        }
    }
}

static enum status give(uint32_t number, size_t bytes)
{
    static uint8_t body[BUS_RECORD_BYTES_MAX + 1];
    uint8_t key[ID_BYTES] = {0};
    key[7] = (uint8_t)(number % KEYS);
    memcpy(body, &number, sizeof number);
    return bus->vtable->append(bus, (enum topic)(TOPIC_MESSAGES + number % TOPICS), key,
                               slice_make(body, bytes), number);
}

static void until(size_t answers_wanted, size_t records_wanted)
{
    for (uint32_t i = 0; i < TURNS_MAX; i++) {
        if (answers == answers_wanted && records == records_wanted)
            return;
        turn();
    }
    fail_msg("%zu answers, %zu records", answers, records);
}

static void appended_is_read_in_order(void **state)
{
    (void)state;
    consume_all(0);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(give(i, 4 + i * 7), STATUS_OK);
        if (i % 10 == 9)
            until(i + 1, i + 1);
    }
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(statuses[i], STATUS_OK);
        assert_int_equal(got[i], 1);
    }
}

static void limits_of_a_record(void **state)
{
    (void)state;
    consume_all(0);
    assert_int_equal(give(1, BUS_RECORD_BYTES_MAX), STATUS_OK);
    assert_int_equal(give(2, BUS_RECORD_BYTES_MAX + 1), STATUS_TOO_LARGE);
    assert_int_equal(give(4, 4), STATUS_OK);
    until(2, 2);
    assert_false(answered[2]);
}

static void a_full_queue_says_so(void **state)
{
    (void)state;
    uint32_t taken = 0;
    consume_all(0);
    while (taken < RECORDS_MAX) {
        enum status status = give(taken, 16 * 1024);
        if (status == STATUS_BUSY)
            break;
        assert_int_equal(status, STATUS_OK);
        taken++;
    }
    assert_true(taken > 0 && taken < RECORDS_MAX);
    until(taken, taken);
    assert_int_equal(give(taken, 4), STATUS_OK);
    until(taken + 1, taken + 1);
}

static void a_paused_partition_is_silent(void **state)
{
    (void)state;
    consume_all(0);
    bus->vtable->pause(bus, TOPIC_MESSAGES, 0, true);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(give(i, 8), STATUS_OK);
    for (uint32_t i = 0; i < 500; i++)
        turn();
    assert_int_equal(answers, 40);
    assert_int_equal(next_offset[0][0], 0);
    bus->vtable->pause(bus, TOPIC_MESSAGES, 0, false);
    until(40, 40);
}

static void consuming_again_goes_back(void **state)
{
    (void)state;
    consume_all(0);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(give(i, 8), STATUS_OK);
    until(40, 40);
    memset(last_of_key, 0, sizeof last_of_key);
    consume_all(0);
    until(40, 80);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(got[i], 2);
    struct bus_ends ends = bus->vtable->ends(bus, TOPIC_MESSAGES, 0);
    assert_int_equal(ends.first, 0);
    assert_int_equal(ends.next, next_offset[0][0]);
}

/* Everything answered OK is still there, in its place; what was under way is there or not. */
static void a_restart_keeps_what_was_answered(void **state)
{
    uint32_t number = 0;
    bool kept[RECORDS_MAX] = {false};
    uint64_t places[RECORDS_MAX];
    (void)state;
    for (int life = 0; life < 5; life++) {
        if (life == 0)
            consume_all(0);
        for (uint32_t i = 0; i < 60; i++)
            assert_int_equal(give(number++, 32), STATUS_OK);
        for (int i = 0; i < 6; i++)
            turn();
        for (uint32_t i = 0; i < number; i++) {
            if (!answered[i] || statuses[i] != STATUS_OK)
                continue;
            kept[i] = true;
            places[i] = offsets[i];
        }
        bus = contract_bus_restart();
        forget();
        consume_all(0);
        for (int i = 0; i < 500; i++)
            turn();
        for (uint32_t i = 0; i < number; i++) {
            assert_true(got[i] == 1 || (got[i] == 0 && !kept[i]));
            if (kept[i]) {
                answered[i] = true;
                offsets[i] = places[i];
            }
        }
        memset(answered, 0, sizeof answered);
    }
    size_t count = 0;
    for (uint32_t i = 0; i < number; i++)
        count += kept[i];
    assert_true(count > 0);
}

static void a_commit_is_remembered_or_forgotten_never_invented(void **state)
{
    (void)state;
    consume_all(0);
    assert_int_equal(bus->vtable->committed(bus, TOPIC_MESSAGES, 0), 0);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(give(i, 8), STATUS_OK);
    until(40, 40);
    uint64_t upto = next_offset[0][0];
    assert_true(upto > 0);
    bus->vtable->commit(bus, TOPIC_MESSAGES, 0, upto);
    uint64_t now = bus->vtable->committed(bus, TOPIC_MESSAGES, 0);
    assert_int_equal(now, upto);
    bus = contract_bus_restart();
    now = bus->vtable->committed(bus, TOPIC_MESSAGES, 0);
    assert_true(now == 0 || now == upto);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appended_is_read_in_order, open_bus, close_bus),
        cmocka_unit_test_setup_teardown(limits_of_a_record, open_bus, close_bus),
        cmocka_unit_test_setup_teardown(a_full_queue_says_so, open_bus, close_bus),
        cmocka_unit_test_setup_teardown(a_paused_partition_is_silent, open_bus, close_bus),
        cmocka_unit_test_setup_teardown(consuming_again_goes_back, open_bus, close_bus),
        cmocka_unit_test_setup_teardown(a_restart_keeps_what_was_answered, open_bus, close_bus),
        cmocka_unit_test_setup_teardown(a_commit_is_remembered_or_forgotten_never_invented,
                                        open_bus, close_bus),
    };
    return cmocka_run_group_tests_name("bus contract", tests, NULL, NULL);
}
