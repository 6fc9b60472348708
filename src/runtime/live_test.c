/* SPDX-License-Identifier: Apache-2.0
 * How acknowledgements become receipts: at most one per second, chat and user, the first at once,
 * the newest level last; the cursor never passes an entry whose receipt is not durable (checked at
 * each commit of one). Store, bus and rpc: arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/fold.h"
#include "runtime/live.h"

#define ENTRIES_MAX 4096u
#define CHATS_MAX   128u
#define DEVICES     2u

static const uint8_t bob[ID_BYTES] = {2};
static const uint8_t devices[DEVICES][ID_BYTES] = {{11}, {12}};

static struct arena arena;
static struct live live;
static uint64_t now_ms;

/* Bob's inbox, useq = index + 1, and his chats. */
static struct {
    uint8_t chat;
    uint64_t cseq;
} inbox[ENTRIES_MAX];
static uint64_t inbox_count, heads[CHATS_MAX];

/* What has happened. */
static struct receipt {
    uint8_t chat;
    uint64_t upto, left_ms;
} receipts[ENTRIES_MAX];
static size_t receipts_count;
static uint64_t tokens[64], durable[CHATS_MAX], marks[CHATS_MAX], cursors[DEVICES];
static size_t tokens_count;
static bool bus_stuck, folding, unchecked, telling;

/* ---- the store ---- */

static struct store_request *asked[64];
static size_t asked_count, asked_ever;

static void cursor_set(const struct row_write *write)
{
    size_t at = write->key.b[0] == devices[0][0] ? 0 : 1;
    uint64_t useq = write->columns[CURSOR_USEQ];
    assert_true(useq <= inbox_count);
    for (uint64_t i = 0; !unchecked && i < useq; i++)
        assert_true(inbox[i].cseq <= durable[inbox[i].chat]);
    cursors[at] = useq > cursors[at] ? useq : cursors[at];
}

static void get(const struct row_key *key, struct row *row)
{
    *row = (struct row){.key = *key, .found = true};
    if (key->table == TABLE_USER_HEAD) {
        struct pb_user_head head = {.useq = inbox_count};
        row->value = pb_user_head_pack_v1(&head, &arena);
    } else if (key->table == TABLE_CURSOR) {
        row->columns[CURSOR_USEQ] = cursors[key->b[0] == devices[0][0] ? 0 : 1];
    } else if (key->table == TABLE_MARK) {
        row->columns[MARK_DELIVERED] = marks[key->a[0]];
    } else {
        static const uint8_t sigpub[32] = {9};
        struct pb_device_row device = {
            .user_id = slice_make(bob, ID_BYTES), .sigpub = SLICE_OF(sigpub), .added_n = 1};
        assert_int_equal(key->table, TABLE_DIR);
        row->value = pb_device_row_pack_v1(&device, &arena);
    }
}

static void range(struct store_request *request)
{
    request->rows_count = 0;
    for (uint64_t n = request->keys[0].n; n <= request->keys[1].n && n <= inbox_count; n++) {
        uint8_t chat[ID_BYTES] = {inbox[n - 1].chat};
        struct pb_inbox_row pointer = {
            .chat_id = SLICE_OF(chat), .cseq = inbox[n - 1].cseq, .counts = true};
        assert_true(request->rows_count < request->rows_max);
        request->rows[request->rows_count++] =
            (struct row){.key = row_key_make(TABLE_INBOX, bob, NULL, n),
                         .found = true,
                         .value = pb_inbox_row_pack_v1(&pointer, &arena)};
    }
}

static void submit(struct store *store, struct store_request *request)
{
    (void)store;
    assert_true(asked_count < 64);
    asked[asked_count++] = request;
    asked_ever++;
}

static void answer(struct store_request *request)
{
    if (request->op == STORE_GET) {
        for (size_t i = 0; i < request->keys_count; i++)
            get(&request->keys[i], &request->rows[i]);
    } else if (request->op == STORE_RANGE) {
        range(request);
    } else {
        cursor_set(&request->writes[0]);
    }
    request->status = STATUS_OK;
    live_on_store(&live, request);
}

static const struct store_vtable store_table = {submit, NULL};
static struct store store = {&store_table};

/* ---- bus and rpc ---- */

static struct bus_facts facts(const struct bus *port)
{
    (void)port;
    return (struct bus_facts){1, false, 1};
}

static enum status append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                          struct slice bytes, uint64_t token)
{
    struct pb_record record;
    (void)port;
    assert_int_equal(topic, TOPIC_MESSAGES);
    assert_true(receipts_count < ENTRIES_MAX && tokens_count < 64);
    assert_int_equal(pb_record_decode(slice_make(bytes.at + 1, bytes.bytes - 1), &arena, &record),
                     STATUS_OK);
    assert_int_equal(record.body_case, PB_RECORD_BODY_RECEIPT);
    receipts[receipts_count++] =
        (struct receipt){key[0], record.body.receipt.delivered_upto, now_ms};
    tokens[tokens_count++] = token;
    return STATUS_OK;
}

static void appended(void)
{
    for (size_t i = 0; i < tokens_count; i++) {
        const struct receipt *receipt = &receipts[receipts_count - tokens_count + i];
        if (receipt->upto > durable[receipt->chat])
            durable[receipt->chat] = receipt->upto;
        if (folding)
            marks[receipt->chat] = durable[receipt->chat];
    }
    size_t count = tokens_count;
    tokens_count = 0;
    for (size_t i = 0; i < count; i++)
        live_on_appended(&live, tokens[i], STATUS_OK);
}

static const struct bus_vtable bus_table = {facts, append, NULL, NULL, NULL, NULL, NULL, NULL};
static struct bus bus = {&bus_table};

static enum status rpc_send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    (void)rpc;
    (void)peer;
    (void)bytes;
    return STATUS_OK;
}

static const struct rpc_vtable rpc_table = {rpc_send, NULL, NULL, NULL};
static struct rpc rpc = {&rpc_table};

/* ---- what happens ---- */

/* Go on until nothing is under way. It must come to rest: a held receipt is no reason to ask. */
static void settle(void)
{
    for (int round = 0; round < 1000; round++) {
        live_step(&live, now_ms);
        if (asked_count == 0 && (tokens_count == 0 || bus_stuck))
            return;
        size_t count = asked_count;
        asked_count = 0;
        for (size_t i = 0; i < count; i++)
            answer(asked[i]);
        if (!bus_stuck)
            appended();
    }
    fail_msg("it does not come to rest");
}

static void settle_at(uint64_t at_ms)
{
    while (live_next_ms(&live) < at_ms) {
        now_ms = live_next_ms(&live);
        settle();
        assert_true(live_next_ms(&live) > now_ms);
    }
    now_ms = at_ms;
    settle();
}

static void message(uint8_t chat)
{
    assert_true(inbox_count < ENTRIES_MAX);
    inbox[inbox_count].chat = chat;
    inbox[inbox_count++].cseq = ++heads[chat];
    if (!telling)
        return;
    const uint8_t id[ID_BYTES] = {chat};
    struct fold_outcome outcome = {.deliver_useq = inbox_count,
                                   .deliver_chat = id,
                                   .deliver_cseq = heads[chat],
                                   .deliver_new = true};
    live_on_folded(&live, bob, &outcome);
}

static void attach(size_t device, uint64_t conn, uint64_t useq, bool lazy)
{
    struct pb_rpc request = {.body_case = PB_RPC_BODY_ATTACH};
    request.body.attach = (struct pb_attach){.user_id = SLICE_OF(bob),
                                             .device_id = slice_make(devices[device], ID_BYTES),
                                             .conn = conn,
                                             .gateway = 7,
                                             .session = 100 + conn,
                                             .useq = useq,
                                             .lazy = lazy};
    live_on_rpc(&live, &request);
    settle();
}

static void detach(size_t device, uint64_t conn)
{
    struct pb_rpc request = {.body_case = PB_RPC_BODY_DETACH};
    request.body.detach.device_id = slice_make(devices[device], ID_BYTES);
    request.body.detach.conn = conn;
    live_on_rpc(&live, &request);
    settle();
}

static void ack(size_t device, uint64_t conn, bool lazy)
{
    struct pb_rpc request = {.body_case = PB_RPC_BODY_ACKED};
    request.body.acked = (struct pb_acked){
        SLICE_OF(bob), slice_make(devices[device], ID_BYTES), conn, inbox_count, 0, lazy};
    live_on_rpc(&live, &request);
    settle();
}

static int open_with(uint32_t devices_max)
{
    arena_init(&arena, (size_t)256 << 20);
    memset(heads, 0, sizeof heads);
    memset(durable, 0, sizeof durable);
    memset(marks, 0, sizeof marks);
    memset(cursors, 0, sizeof cursors);
    inbox_count = 0;
    receipts_count = tokens_count = asked_count = asked_ever = 0;
    bus_stuck = unchecked = false;
    folding = true;
    now_ms = 50000;
    if (live_open(&live, &bus, &store, &rpc, devices_max) != STATUS_OK)
        return -1;
    live.ready = true;
    attach(0, 1, 0, false);
    return 0;
}

static int open_all(void **state)
{
    (void)state;
    telling = false;
    return open_with(16);
}

static int open_told(void **state)
{
    (void)state;
    telling = true;
    return open_with(16);
}

static int open_small(void **state)
{
    (void)state;
    return open_with(1);
}

static int close_all(void **state)
{
    (void)state;
    live_close(&live);
    arena_deinit(&arena);
    return 0;
}

static void assert_receipt(size_t at, uint8_t chat, uint64_t upto, uint64_t left_ms)
{
    assert_true(at < receipts_count);
    assert_int_equal(receipts[at].chat, chat);
    assert_int_equal(receipts[at].upto, upto);
    assert_int_equal(receipts[at].left_ms, left_ms);
}

/* ---- the tests ---- */

static void a_burst_costs_two_receipts(void **state)
{
    (void)state;
    for (int fold = 0; fold < 2; fold++) {
        uint64_t start_ms = now_ms, before = inbox_count;
        receipts_count = 0;
        folding = fold == 1; /* a fold that lags changes nothing */
        for (uint64_t i = 0; i < 100; i++) {
            message(1);
            ack(0, 1, false);
            settle_at(now_ms + 9);
        }
        assert_int_equal(receipts_count, 1);
        assert_receipt(0, 1, before + 1, start_ms);
        assert_int_equal(cursors[0], before + 1);
        assert_int_equal(live_next_ms(&live), start_ms + PACE_MS);
        settle_at(start_ms + PACE_MS);
        assert_int_equal(receipts_count, 2);
        assert_receipt(1, 1, before + 100, start_ms + PACE_MS);
        assert_int_equal(cursors[0], before + 100);
        assert_true(live_next_ms(&live) == TIMER_NEVER);
        settle_at(now_ms + 10 * PACE_MS);
        assert_int_equal(receipts_count, 2);
    }
}

static void a_held_receipt_does_not_spin(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        message(1);
        ack(0, 1, false);
    }
    size_t before = asked_ever;
    for (uint64_t i = 0; i < 999; i++)
        live_step(&live, ++now_ms);
    assert_int_equal(asked_ever, before);
    settle_at(now_ms + 1);
    assert_int_equal(cursors[0], 2);
}

static void chats_do_not_delay_each_other(void **state)
{
    (void)state;
    message(1);
    ack(0, 1, false);
    settle_at(now_ms + 400);
    message(1);
    message(2);
    message(1);
    ack(0, 1, false);
    assert_int_equal(receipts_count, 2);
    assert_receipt(1, 2, 1, 50400);
    assert_int_equal(cursors[0], 1); /* before the entry that is held */
    message(3);                      /* while something is held */
    ack(0, 1, false);
    assert_receipt(2, 3, 1, 50400);
    message(2);
    ack(0, 1, false);
    assert_int_equal(receipts_count, 3);
    settle_at(51000); /* the first is due, the second is not */
    assert_int_equal(receipts_count, 4);
    assert_receipt(3, 1, 3, 51000);
    assert_int_equal(cursors[0], 5);
    settle_at(51400);
    assert_receipt(4, 2, 2, 51400);
    assert_int_equal(receipts_count, 5);
    assert_int_equal(cursors[0], 6);
}

static void nothing_waits_when_the_table_is_full(void **state)
{
    (void)state;
    for (uint8_t round = 0; round < 2; round++) {
        for (uint8_t chat = 1; chat <= LIVE_PACED + 1; chat++) {
            message(chat);
            ack(0, 1, false);
        }
    }
    assert_int_equal(receipts_count, 2 * (LIVE_PACED + 1));
    assert_int_equal(cursors[0], inbox_count);
    assert_true(live.pace.crowded > 0);
    message(LIVE_PACED + 1); /* the newest are known */
    ack(0, 1, false);
    assert_int_equal(receipts_count, 2 * (LIVE_PACED + 1));
}

static void a_receipt_outlives_its_session(void **state)
{
    (void)state;
    message(1);
    ack(0, 1, false);
    message(1);
    ack(0, 1, false);
    detach(0, 1);
    assert_int_equal(receipts_count, 1);
    assert_int_equal(cursors[0], 1);
    settle_at(51000);
    assert_receipt(1, 1, 2, 51000);
    assert_int_equal(cursors[0], 2);
    assert_false(live.devices[0].used); /* and the place is free */
    assert_int_equal(live.used, 0);
}

static void an_attach_while_held_loses_nothing(void **state)
{
    (void)state;
    message(1);
    ack(0, 1, false);
    message(1);
    ack(0, 1, false);
    detach(0, 1);
    attach(0, 2, 2, false);
    settle_at(50999);
    assert_int_equal(receipts_count, 1);
    settle_at(51000);
    assert_receipt(1, 1, 2, 51000);
    assert_int_equal(cursors[0], 2);
    assert_true(live.devices[0].used);
    message(1); /* the new session is served */
    settle_at(60000);
    ack(0, 2, false);
    assert_receipt(2, 1, 3, 60000);
}

static void an_owner_that_leaves_forgets(void **state)
{
    (void)state;
    message(1);
    ack(0, 1, false);
    message(1);
    ack(0, 1, false);
    live_forget(&live, 0, 1);
    settle_at(60000);
    assert_int_equal(receipts_count, 1);
    assert_int_equal(cursors[0], 1);
    assert_int_equal(live.used, 0);
    attach(0, 2, 2, false); /* the gateway tells the next owner all of it */
    assert_receipt(1, 1, 2, 60000);
    assert_int_equal(cursors[0], 2);
}

/* What comes lazily implies nothing, and does not carry the cursor past what was held. */
static void a_lazy_ack_waits_behind_a_held_receipt(void **state)
{
    (void)state;
    message(1);
    ack(0, 1, false);
    message(1);
    ack(0, 1, false);
    unchecked = true; /* entries 3 and 4 */
    message(2);
    message(1);
    ack(0, 1, true);
    assert_int_equal(cursors[0], 1);
    settle_at(51000);
    assert_receipt(1, 1, 2, 51000);
    assert_int_equal(receipts_count, 2);
    assert_int_equal(cursors[0], 4);
}

static void two_devices_share_the_pace(void **state)
{
    (void)state;
    attach(1, 1, 0, false);
    message(1);
    ack(0, 1, false);
    ack(1, 1, false);
    assert_int_equal(receipts_count, 1);
    assert_int_equal(cursors[1], 1); /* the receipt of the other is durable */
    message(1);
    ack(1, 1, false);
    ack(0, 1, false);
    assert_int_equal(receipts_count, 1);
    settle_at(53000);
    assert_int_equal(receipts_count, 2);
    assert_receipt(1, 1, 2, 51000);
    assert_true(cursors[0] == 2 && cursors[1] == 2);
}

static void one_ack_for_a_long_absence(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 3 * LIVE_PAGE; i++)
        message(1);
    for (uint8_t chat = 2; chat < LIVE_CHATS + 10; chat++)
        message(chat);
    bus_stuck = true;
    ack(0, 1, false);
    assert_int_equal(cursors[0], 0); /* nothing is durable */
    bus_stuck = false;
    settle();
    assert_int_equal(receipts_count, LIVE_CHATS + 9); /* one a chat */
    assert_receipt(0, 1, 3 * LIVE_PAGE, 50000);
    assert_int_equal(cursors[0], inbox_count);
}

static void an_ack_of_what_was_told_reads_nothing(void **state)
{
    (void)state;
    message(1);
    ack(0, 1, false);
    size_t before = asked_ever;
    for (uint64_t i = 0; i < 100; i++) {
        message(1);
        ack(0, 1, false);
    }
    assert_int_equal(asked_ever, before); /* nor does it write: the receipt is held */
    assert_true(live.windows_bytes > 0);
    settle_at(51000);
    assert_int_equal(asked_ever, before + 2); /* the mark; the cursor */
    assert_int_equal(cursors[0], 101);
    assert_int_equal(live.windows_bytes, 0); /* nothing is above it */
    uint64_t reads = live.reads;
    for (uint64_t i = 0; i < LIVE_WINDOW + 1; i++)
        message(2);
    ack(0, 1, false);
    assert_int_equal(live.reads, reads + 1); /* too many to remember */
    assert_receipt(receipts_count - 1, 2, LIVE_WINDOW + 1, 51000);
    assert_int_equal(cursors[0], inbox_count);
    message(2);
    ack(0, 1, false);
    assert_int_equal(live.reads, reads + 1);
}

/* Many chats, two devices, any order: the pace holds, the cursor is right at each commit, and in
 * the end everything is told. */
static void any_traffic(void **state)
{
    struct prng prng;
    uint64_t last[CHATS_MAX] = {0};
    (void)state;
    prng_init(&prng, 7);
    attach(1, 1, 0, false);
    uint64_t conns[DEVICES] = {1, 1};
    for (size_t i = 0; i < 3000; i++) {
        size_t device = prng_below(&prng, DEVICES);
        bool gaps = telling;
        telling = gaps && !prng_chance(&prng, 5);
        message((uint8_t)prng_below(&prng, 8));
        telling = gaps;
        folding = prng_chance(&prng, 700);
        if (prng_chance(&prng, 20)) {
            detach(device, conns[device]);
            attach(device, ++conns[device], prng_below(&prng, inbox_count + 1), false);
        } else if (prng_chance(&prng, 300)) {
            ack(device, conns[device], false);
        }
        if (prng_chance(&prng, 300))
            settle_at(now_ms + prng_below(&prng, 400));
    }
    for (size_t device = 0; device < DEVICES; device++)
        ack(device, conns[device], false);
    settle_at(now_ms + 5 * PACE_MS);
    assert_true(live_next_ms(&live) == TIMER_NEVER);
    for (size_t i = 0; i < receipts_count; i++) {
        const struct receipt *receipt = &receipts[i];
        assert_true(last[receipt->chat] == 0 || receipt->left_ms - last[receipt->chat] >= PACE_MS);
        last[receipt->chat] = receipt->left_ms;
    }
    for (size_t chat = 0; chat < 8; chat++)
        assert_int_equal(durable[chat], heads[chat]);
    assert_true(cursors[0] == inbox_count && cursors[1] == inbox_count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
#define TOLD(name) cmocka_unit_test_setup_teardown(name, open_told, close_all)
#define BOTH(name) TEST(name), TOLD(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_burst_costs_two_receipts),
        BOTH(a_held_receipt_does_not_spin),
        BOTH(chats_do_not_delay_each_other),
        cmocka_unit_test_setup_teardown(nothing_waits_when_the_table_is_full, open_small,
                                        close_all),
        BOTH(a_receipt_outlives_its_session),
        BOTH(an_attach_while_held_loses_nothing),
        BOTH(an_owner_that_leaves_forgets),
        BOTH(a_lazy_ack_waits_behind_a_held_receipt),
        BOTH(two_devices_share_the_pace),
        BOTH(one_ack_for_a_long_absence),
        BOTH(any_traffic),
        TOLD(an_ack_of_what_was_told_reads_nothing),
    };
    return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
