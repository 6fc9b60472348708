/* SPDX-License-Identifier: Apache-2.0
 * The folds over a random log, with a crash at any write of the store and any append, on one
 * machine and as a fleet of two logs: the chats' rows end as without a crash and as a naive model
 * says, and every (user, chat) chain is dense, each number once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/memory/memory_store.h"
#include "base/memory.h"
#include "base/prng.h"
#include "ports/crypto.h"
#include "runtime/processor.h"
#include "wire/envelope.h"
#include "wire/policy.h"

#define RECORDS 160u
#define LOG_MAX 8192u
#define USERS   3u
#define CHATS   2u
#define DEVICES 6u /* two of each user */

/* ---- a bus of two topics, or of one log ---- */

struct entry {
    enum topic topic;
    uint8_t key[ID_BYTES];
    struct slice bytes;
};

struct test_bus {
    struct bus port;
    bool single;
    struct entry *logs[2];
    size_t counts[2];
    uint64_t at[2], committed[2];
    bool consumed[2];
    struct bus_event done[LOG_MAX];
    size_t done_first, done_last;
    struct arena *arena;
    struct prng *prng;
    uint64_t *fuse; /* operations until the crash */
};

static size_t log_of(const struct test_bus *bus, enum topic topic)
{
    return bus->single || topic == TOPIC_MESSAGES ? 0 : 1;
}

static struct bus_facts bus_facts(const struct bus *port)
{
    return (struct bus_facts){1, ((const struct test_bus *)port)->single, 1};
}

static void put(struct test_bus *bus, enum topic topic, const uint8_t *key, struct slice bytes)
{
    size_t log = log_of(bus, topic);
    assert_true(bus->counts[log] < LOG_MAX);
    struct entry *entry = &bus->logs[log][bus->counts[log]++];
    entry->topic = topic;
    memcpy(entry->key, key, ID_BYTES);
    entry->bytes = arena_copy(bus->arena, bytes);
}

/* After the fuse has burnt nothing arrives any more; before, an append may time out, landed or
 * not. */
static enum status bus_append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                              struct slice bytes, uint64_t token)
{
    struct test_bus *bus = (struct test_bus *)port;
    if (*bus->fuse == 0 || bus->done_last == LOG_MAX)
        return STATUS_BUSY;
    (*bus->fuse)--;
    bool late = prng_chance(bus->prng, 20);
    if (!late || prng_chance(bus->prng, 500))
        put(bus, topic, key, bytes);
    bus->done[bus->done_last++] = (struct bus_event){
        .kind = BUS_APPENDED, .token = token, .status = late ? STATUS_TIMEOUT : STATUS_OK};
    return STATUS_OK;
}

static size_t bus_poll(struct bus *port, struct bus_event *out, size_t max)
{
    struct test_bus *bus = (struct test_bus *)port;
    size_t count = 0;
    while (count < max && bus->done_first < bus->done_last)
        out[count++] = bus->done[bus->done_first++];
    if (bus->done_first == bus->done_last)
        bus->done_first = bus->done_last = 0;
    for (size_t log = 0; log < 2; log++) {
        while (count < max && bus->consumed[log] && bus->at[log] < bus->counts[log]) {
            const struct entry *entry = &bus->logs[log][bus->at[log]];
            struct bus_event *event = &out[count++];
            *event = (struct bus_event){.kind = BUS_RECORD};
            event->record = (struct bus_record){.topic = entry->topic,
                                                .log_epoch = 1,
                                                .offset = bus->at[log],
                                                .append_us = 1000 * bus->at[log],
                                                .bytes = entry->bytes};
            memcpy(event->record.key, entry->key, ID_BYTES);
            bus->at[log]++;
        }
    }
    return count;
}

static void bus_consume(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct test_bus *bus = (struct test_bus *)port;
    (void)partition;
    bus->at[log_of(bus, topic)] = offset;
    bus->consumed[log_of(bus, topic)] = true;
}

static void bus_pause(struct bus *port, enum topic topic, uint32_t partition, bool paused)
{
    struct test_bus *bus = (struct test_bus *)port;
    (void)partition;
    bus->consumed[log_of(bus, topic)] = !paused;
}

static void bus_commit(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    struct test_bus *bus = (struct test_bus *)port;
    (void)partition;
    if (*bus->fuse > 0 && prng_chance(bus->prng, 500))
        bus->committed[log_of(bus, topic)] = offset;
}

static struct bus_ends bus_ends(const struct bus *port, enum topic topic, uint32_t partition)
{
    const struct test_bus *bus = (const struct test_bus *)port;
    (void)partition;
    return (struct bus_ends){0, bus->counts[log_of(bus, topic)]};
}

static uint64_t bus_committed(const struct bus *port, enum topic topic, uint32_t partition)
{
    const struct test_bus *bus = (const struct test_bus *)port;
    (void)partition;
    return bus->committed[log_of(bus, topic)];
}

static const struct bus_vtable bus_table = {bus_facts, bus_append, bus_poll, bus_consume,
                                            bus_pause, bus_commit, bus_ends, bus_committed};

/* ---- a store that applies a batch write by write, until the fuse has burnt ---- */

struct test_store {
    struct store port;
    struct memory_store inner;
    uint64_t *fuse;
};

static void store_submit(struct store *port, struct store_request *request)
{
    struct test_store *store = (struct test_store *)port;
    size_t count = request->writes_count;
    if (request->op == STORE_COMMIT) {
        size_t fits = 0; /* one partition is atomic */
        while (fits<count && * store->fuse> 0) {
            (*store->fuse)--;
            fits++;
            while (fits < count &&
                   row_same_partition(&request->writes[fits - 1].key, &request->writes[fits].key))
                fits++;
        }
        request->writes_count = fits;
    }
    store->inner.port.vtable->submit(&store->inner.port, request);
    request->writes_count = count;
}

static size_t store_poll(struct store *port, struct store_request **done, size_t max)
{
    struct test_store *store = (struct test_store *)port;
    if (*store->fuse == 0)
        return 0; /* the crash came before the answer */
    return store->inner.port.vtable->poll(&store->inner.port, done, max);
}

static const struct store_vtable store_table = {store_submit, store_poll};

static enum status rpc_send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    (void)rpc;
    (void)peer;
    (void)bytes;
    return STATUS_OK;
}

static const struct rpc_vtable rpc_table = {rpc_send, NULL, NULL, NULL};

/* ---- one world ---- */

struct world {
    struct arena arena;
    struct prng prng;
    struct test_bus bus;
    struct test_store store;
    struct memory_db db;
    uint64_t fuse;
    uint64_t crashes;
};

static struct rpc rpc = {&rpc_table};

static void world_open(struct world *world, bool single)
{
    memset(world, 0, sizeof *world);
    arena_init(&world->arena, (size_t)64 << 20);
    assert_int_equal(memory_db_open(&world->db, (size_t)64 << 20), STATUS_OK);
    world->bus.port.vtable = &bus_table;
    world->bus.single = single;
    world->bus.arena = &world->arena;
    world->bus.prng = &world->prng;
    world->bus.fuse = world->store.fuse = &world->fuse;
    world->store.port.vtable = &store_table;
    for (size_t i = 0; i < 2; i++)
        world->bus.logs[i] = ARENA_ARRAY(&world->arena, struct entry, LOG_MAX);
}

static void world_close(struct world *world)
{
    memory_db_close(&world->db);
    arena_deinit(&world->arena);
}

/* One life of the process: until the fuse has burnt, or all is folded. True when all is folded. */
static bool life(struct world *world)
{
    static struct processor processor;
    struct bus_event events[32];
    struct processor_options options = {.devices_max = 16};
    bool folded = false;
    if (prng_chance(&world->prng, 500))
        options.bounds = (struct lane_bounds){LANE_ROWS_MIN, 64};
    memory_store_open(&world->store.inner, &world->db);
    world->bus.done_first = world->bus.done_last = 0;
    world->bus.consumed[0] = world->bus.consumed[1] = false;
    assert_int_equal(
        processor_open(&processor, &world->bus.port, &world->store.port, &rpc, &options),
        STATUS_OK);
    for (int topic = TOPIC_MESSAGES; !world->bus.single && topic <= TOPIC_DELIVERIES; topic++) {
        struct bus_event event = {.kind = BUS_ASSIGNED, .topic = (enum topic)topic};
        processor_on_bus(&processor, &event);
    }
    while (world->fuse > 0 && !folded) {
        size_t count = bus_poll(&world->bus.port, events, 1 + prng_below(&world->prng, 32));
        for (size_t i = 0; i < count; i++)
            processor_on_bus(&processor, &events[i]);
        (void)processor_step(&processor);
        assert_false(processor.failed);
        for (size_t i = 0; i < PROCESSOR_LANES_MAX; i++) {
            if (processor.lanes[i] != NULL)
                lane_check(processor.lanes[i]);
        }
        folded = processor_caught_up(&processor);
    }
    processor_close(&processor);
    return folded;
}

static void run(struct world *world, const struct test_bus *script, uint64_t seed, bool crashing)
{
    prng_init(&world->prng, seed);
    for (size_t i = 0; i < script->counts[0]; i++)
        put(&world->bus, script->logs[0][i].topic, script->logs[0][i].key,
            script->logs[0][i].bytes);
    for (;;) {
        world->fuse = UINT64_MAX;
        if (crashing && world->crashes < 20)
            world->fuse = 1 + prng_below(&world->prng, 120);
        if (life(world))
            break;
        world->crashes++;
        assert_true(world->crashes < 1000);
    }
}

/* ---- the script: what devices sent ---- */

static uint8_t users[USERS][ID_BYTES], devices[DEVICES][ID_BYTES], chats[CHATS][ID_BYTES];

struct naive {
    uint8_t mids[CHATS][RECORDS][ID_BYTES];
    size_t counts[CHATS];
    uint64_t last[CHATS][DEVICES];
    bool created[CHATS], removed[DEVICES];
};

static void names_make(void)
{
    for (uint8_t i = 0; i < USERS; i++)
        memset(users[i], 0x11 * (i + 1), ID_BYTES);
    for (uint8_t i = 0; i < DEVICES; i++)
        memset(devices[i], 0xA0 + i, ID_BYTES);
    for (size_t i = 0; i < CHATS; i++) {
        uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
        direct_chat_input(users[i], users[i + 1], input);
        struct slice part = SLICE_OF(input);
        crypto_sha256(&part, 1, hash);
        memcpy(chats[i], hash, ID_BYTES);
    }
}

static void script_put(struct test_bus *script, size_t chat, const struct pb_record *record)
{
    put(script, TOPIC_MESSAGES, chats[chat], pb_record_pack_v1(record, script->arena));
}

static void script_create(struct test_bus *script, struct naive *naive, size_t chat,
                          const uint8_t *mid, size_t side)
{
    uint8_t bytes[POLICY_DIRECT_BYTES];
    struct policy_member a = {.role = POLICY_ROLE_OWNER}, b = {.role = POLICY_ROLE_OWNER};
    struct slice leaves[4], owners[4];
    struct buf policy = buf_over(bytes, sizeof bytes);
    memcpy(a.user, users[chat], ID_BYTES);
    memcpy(b.user, users[chat + 1], ID_BYTES);
    policy_direct_write(&a, &b, &policy);
    for (size_t i = 0; i < 4; i++) {
        leaves[i] = slice_make(devices[chat * 2 + i], ID_BYTES);
        owners[i] = slice_make(users[chat + i / 2], ID_BYTES);
    }
    struct pb_record record = {.body_case = PB_RECORD_BODY_CREATE};
    record.body.create = (struct pb_create){.user_id = slice_make(users[chat + side], ID_BYTES),
                                            .device_id = leaves[side * 2],
                                            .mid = slice_make(mid, ID_BYTES),
                                            .gen = 1,
                                            .mls_epoch = 1,
                                            .policy = buf_slice(&policy),
                                            .leaves = leaves,
                                            .leaves_count = 4,
                                            .leaf_users = owners,
                                            .leaf_users_count = 4};
    script_put(script, chat, &record);
    if (!naive->created[chat])
        memcpy(naive->mids[chat][naive->counts[chat]++], mid, ID_BYTES);
    naive->created[chat] = true;
}

static void script_send(struct test_bus *script, struct naive *naive, size_t chat,
                        const uint8_t *mid)
{
    size_t device = prng_below(script->prng, DEVICES);
    uint64_t sctr = naive->last[chat][device] + prng_below(script->prng, 100) / 90 + 1;
    if (sctr > 1 && prng_chance(script->prng, 150))
        sctr--;
    uint8_t bytes[ENVELOPE_OVERHEAD_BYTES + 64] = {0};
    struct buf envelope = buf_over(bytes, sizeof bytes);
    struct envelope_header header = {.gen = 1, .mls_epoch = 1, .sctr = sctr};
    bool stale = prng_chance(script->prng, 50);
    header.mls_epoch += stale;
    memcpy(header.chat, chats[chat], ID_BYTES);
    memcpy(header.device, devices[device], ID_BYTES);
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, sizeof bytes - envelope.bytes);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ENTRY};
    record.body.entry = (struct pb_chat_entry){.user_id = slice_make(users[device / 2], ID_BYTES),
                                               .mid = slice_make(mid, ID_BYTES),
                                               .envelope = buf_slice(&envelope)};
    script_put(script, chat, &record);
    bool user_in = device / 2 == chat || device / 2 == chat + 1;
    if (!naive->created[chat] || !user_in || sctr != naive->last[chat][device] + 1)
        return;
    if (!naive->removed[device]) {
        if (stale)
            return; /* repairable: the counter stays free */
        memcpy(naive->mids[chat][naive->counts[chat]++], mid, ID_BYTES);
    }
    naive->last[chat][device] = sctr; /* a final refusal consumes it too */
}

static void script_rest(struct test_bus *script, struct naive *naive, size_t chat)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
    size_t user = chat + prng_below(script->prng, 2);
    struct slice removed = slice_make(devices[DEVICES - 1], ID_BYTES);
    record.body.receipt = (struct pb_receipt){
        slice_make(users[user], ID_BYTES), prng_below(script->prng, naive->counts[chat] + 3),
        prng_chance(script->prng, 300) ? prng_below(script->prng, naive->counts[chat] + 1) : 0};
    if (chat == 1 && naive->created[chat] && prng_chance(script->prng, 60)) {
        record = (struct pb_record){.body_case = PB_RECORD_BODY_DEVICE_CHANGE};
        record.body.device_change =
            (struct pb_device_change){slice_make(users[2], ID_BYTES), 2, &removed, 1};
        if (!naive->removed[DEVICES - 1])
            memset(naive->mids[chat][naive->counts[chat]++], 0, ID_BYTES);
        naive->removed[DEVICES - 1] = true;
    }
    script_put(script, chat, &record);
}

static void script_make(struct test_bus *script, struct naive *naive)
{
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint8_t mid[ID_BYTES] = {1, (uint8_t)(i >> 8), (uint8_t)i};
        size_t chat = prng_below(script->prng, CHATS);
        if (prng_chance(script->prng, naive->created[chat] ? 20 : 500))
            script_create(script, naive, chat, mid, prng_below(script->prng, 2));
        else if (prng_chance(script->prng, 600))
            script_send(script, naive, chat, mid);
        else
            script_rest(script, naive, chat);
    }
}

/* ---- the checks ---- */

/* On one machine everything is equal; in a fleet a repeat may take a useq of its own. */
static bool compared(enum table table, bool single)
{
    return (single && table != TABLE_META) || table == TABLE_CHAT_HEAD || table == TABLE_SENDER ||
           table == TABLE_MSG || table == TABLE_MEMBER || table == TABLE_MARK;
}

static const struct row *next_row(struct memory_db *db, const struct row *row, bool single)
{
    do
        row = memory_db_next(db, row == NULL ? NULL : &row->key);
    while (row != NULL && !compared(row->key.table, single));
    return row;
}

static void same_rows(struct memory_db *a, struct memory_db *b, bool single)
{
    const struct row *left = next_row(a, NULL, single), *right = next_row(b, NULL, single);
    while (left != NULL && right != NULL) {
        assert_int_equal(row_key_compare(&left->key, &right->key), 0);
        assert_true(slice_equal(left->value, right->value));
        assert_memory_equal(left->columns, right->columns, sizeof left->columns);
        left = next_row(a, left, single);
        right = next_row(b, right, single);
    }
    assert_true(left == NULL && right == NULL);
}

static void as_the_model_says(struct memory_db *db, const struct naive *naive)
{
    size_t seen[CHATS] = {0};
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    for (const struct row *row = memory_db_next(db, NULL); row != NULL;
         row = memory_db_next(db, &row->key)) {
        struct pb_msg_row msg;
        if (row->key.table != TABLE_MSG)
            continue;
        size_t chat = memcmp(row->key.a, chats[0], ID_BYTES) == 0 ? 0 : 1;
        assert_true(fold_decode(&pb_msg_row_type, row, &arena, &msg));
        assert_int_equal(row->key.n, seen[chat] + 1);
        static const uint8_t none[ID_BYTES];
        struct slice mid = msg.entry.body_case == PB_ENTRY_BODY_MESSAGE ? msg.entry.body.message.mid
                                                                        : msg.entry.body.member.mid;
        assert_true(seen[chat] < naive->counts[chat]);
        assert_memory_equal(mid.bytes == 0 ? none : mid.at, naive->mids[chat][seen[chat]],
                            ID_BYTES);
        seen[chat]++;
    }
    for (size_t i = 0; i < CHATS; i++)
        assert_int_equal(seen[i], naive->counts[i]);
    arena_deinit(&arena);
}

/* Every member's inbox: useq dense up to its head, every number of the chat once and in order. */
static void chains_are_dense(struct memory_db *db, const struct naive *naive)
{
    uint64_t useq[USERS] = {0}, cseq[USERS][CHATS] = {{0}};
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    for (const struct row *row = memory_db_next(db, NULL); row != NULL;
         row = memory_db_next(db, &row->key)) {
        struct pb_inbox_row pointer;
        if (row->key.table != TABLE_INBOX)
            continue;
        size_t user = row->key.a[0] / 0x11 - 1u;
        assert_true(fold_decode(&pb_inbox_row_type, row, &arena, &pointer));
        assert_int_equal(row->key.n, ++useq[user]);
        if (pointer.cseq == 0)
            continue;
        size_t chat = memcmp(pointer.chat_id.at, chats[0], ID_BYTES) == 0 ? 0 : 1;
        assert_int_equal(pointer.cseq, ++cseq[user][chat]);
    }
    for (size_t chat = 0; chat < CHATS; chat++) {
        for (size_t user = 0; user < USERS; user++) {
            bool in = user == chat || user == chat + 1;
            assert_int_equal(cseq[user][chat], in ? naive->counts[chat] : 0);
        }
    }
    arena_deinit(&arena);
}

static void one_seed(uint64_t seed, bool single)
{
    static struct world script, calm, rough;
    static struct naive naive;
    memset(&naive, 0, sizeof naive);
    world_open(&script, true);
    world_open(&calm, single);
    world_open(&rough, single);
    script.fuse = UINT64_MAX;
    prng_init(&script.prng, seed);
    script_make(&script.bus, &naive);
    run(&calm, &script.bus, seed, false);
    run(&rough, &script.bus, seed + 1, true);
    assert_true(rough.crashes > 0);
    same_rows(&calm.db, &rough.db, single);
    as_the_model_says(&calm.db, &naive);
    chains_are_dense(&calm.db, &naive);
    chains_are_dense(&rough.db, &naive);
    world_close(&script);
    world_close(&calm);
    world_close(&rough);
}

#define SEEDS 15u

static void crashes_on_one_machine(void **state)
{
    (void)state;
    names_make();
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed, true);
}

static void crashes_in_a_fleet(void **state)
{
    (void)state;
    names_make();
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_on_one_machine),
        cmocka_unit_test(crashes_in_a_fleet),
    };
    return cmocka_run_group_tests_name("folds over a crashing store", tests, NULL, NULL);
}
