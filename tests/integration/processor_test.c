/* SPDX-License-Identifier: Apache-2.0
 * The processor on one machine, from the log to attached sessions: accounts, attach, fence,
 * delivery, receipts before cursors, revocation, rollback. Real folds and memory store; bus and
 * rpc: arrays.
 * EXCEPTION: above 600 lines; one rig serves every scene. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "adapters/memory/memory_store.h"
#include "core/username.h"
#include "ports/crypto.h"
#include "runtime/processor.h"
#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/gen/frame.pb.h"
#include "wire/policy.h"

#define LOG_MAX  512u
#define SENT_MAX 512u

static struct arena arena;
static struct memory_db db;
static struct memory_store store;
static struct processor processor;
static uint64_t now_ms = 1000;

static struct {
    struct bus port;
    struct bus_record log[LOG_MAX];
    size_t count, at;
    uint64_t tokens[LOG_MAX];
    enum status statuses[LOG_MAX];
    size_t tokens_count;
    bool failing; /* appends time out and are lost */
    bool paused;
} bus;

static struct pb_rpc sent[SENT_MAX];
static size_t sent_count;

static struct bus_facts facts(const struct bus *port)
{
    (void)port;
    return (struct bus_facts){1, true, 1};
}

static enum status append(struct bus *port, enum topic topic, const uint8_t key[ID_BYTES],
                          struct slice bytes, uint64_t token)
{
    (void)port;
    assert_true(bus.count < LOG_MAX);
    if (!bus.failing) {
        struct bus_record *record = &bus.log[bus.count];
        *record = (struct bus_record){.topic = topic,
                                      .log_epoch = 1,
                                      .offset = bus.count,
                                      .append_us = 5000000 + bus.count,
                                      .bytes = arena_copy(&arena, bytes)};
        memcpy(record->key, key, ID_BYTES);
        bus.count++;
    }
    bus.statuses[bus.tokens_count] = bus.failing ? STATUS_TIMEOUT : STATUS_OK;
    bus.tokens[bus.tokens_count++] = token;
    return STATUS_OK;
}

static size_t poll_nothing(struct bus *port, struct bus_event *out, size_t max)
{
    (void)port;
    (void)out;
    (void)max;
    return 0;
}

static void consume(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    (void)port;
    (void)topic;
    (void)partition;
    bus.at = offset;
}

static void pause_it(struct bus *port, enum topic topic, uint32_t partition, bool paused)
{
    (void)port;
    (void)topic;
    (void)partition;
    bus.paused = paused;
}

static void commit(struct bus *port, enum topic topic, uint32_t partition, uint64_t offset)
{
    (void)port;
    (void)topic;
    (void)partition;
    (void)offset;
}

static struct bus_ends ends(const struct bus *port, enum topic topic, uint32_t partition)
{
    (void)port;
    (void)topic;
    (void)partition;
    return (struct bus_ends){0, bus.count};
}

static uint64_t committed(const struct bus *port, enum topic topic, uint32_t partition)
{
    (void)port;
    (void)topic;
    (void)partition;
    return 0;
}

static const struct bus_vtable bus_table = {facts,    append, poll_nothing, consume,
                                            pause_it, commit, ends,         committed};

static enum status rpc_send(struct rpc *rpc, const struct rpc_peer *peer, struct slice bytes)
{
    (void)rpc;
    assert_int_equal(peer->gateway, 7);
    assert_true(sent_count < SENT_MAX);
    assert_int_equal(pb_rpc_decode(arena_copy(&arena, bytes), &arena, &sent[sent_count]),
                     STATUS_OK);
    sent_count++;
    return STATUS_OK;
}

static const struct rpc_vtable rpc_table = {rpc_send, NULL, NULL, NULL};
static struct rpc rpc = {&rpc_table};

/* Let everything settle. */
static void turns(void)
{
    for (int i = 0; i < 200; i++) {
        for (size_t k = 0; k < bus.tokens_count; k++) {
            struct bus_event event = {
                .kind = BUS_APPENDED, .token = bus.tokens[k], .status = bus.statuses[k]};
            if ((event.token & (LANE_TOKEN_BIT | LIVE_TOKEN_BIT)) != 0)
                processor_on_bus(&processor, &event);
        }
        bus.tokens_count = 0;
        if (bus.at < bus.count && processor.lanes[0]->state != LANE_START) {
            struct bus_event event = {.kind = BUS_RECORD, .record = bus.log[bus.at++]};
            processor_on_bus(&processor, &event);
        }
        (void)processor_step(&processor, now_ms += 10);
    }
    assert_false(processor.failed);
}

static int open_all(void **state)
{
    (void)state;
    memset(&bus, 0, sizeof bus);
    bus.port.vtable = &bus_table;
    sent_count = 0;
    arena_init(&arena, (size_t)64 << 20);
    assert_int_equal(memory_db_open(&db, (size_t)64 << 20), STATUS_OK);
    memory_store_open(&store, &db);
    struct processor_options options = {.devices_max = 8};
    assert_int_equal(processor_open(&processor, &bus.port, &store.port, &rpc, &options), STATUS_OK);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    processor_close(&processor);
    memory_db_close(&db);
    arena_deinit(&arena);
    return 0;
}

/* ---- what devices do ---- */

static const uint8_t alice[ID_BYTES] = {1}, bob[ID_BYTES] = {2};
static const uint8_t phone[ID_BYTES] = {11}, laptop[ID_BYTES] = {12};
static uint8_t chat[ID_BYTES];

static void give(enum topic topic, const uint8_t *key, const struct pb_record *record)
{
    assert_int_equal(append(&bus.port, topic, key, pb_record_pack_v1(record, &arena), 0),
                     STATUS_OK);
}

static void give_device(const uint8_t *user, const uint8_t *device, uint64_t removed_n)
{
    static const uint8_t key[32] = {9};
    struct pb_device_row row = {.user_id = slice_make(user, ID_BYTES),
                                .sigpub = SLICE_OF(key),
                                .added_n = 1,
                                .removed_n = removed_n};
    struct row_write write = {ROW_PUT,
                              row_key_make(TABLE_DIR, device, NULL, DIR_DEVICE),
                              1 + removed_n,
                              pb_device_row_pack_v1(&row, &arena),
                              {0}};
    struct store_request request = {.op = STORE_COMMIT, .writes = &write, .writes_count = 1};
    struct store_request *done;
    struct memory_store side;
    memory_store_open(&side, &db);
    side.port.vtable->submit(&side.port, &request);
    assert_int_equal(side.port.vtable->poll(&side.port, &done, 1), 1);
}

/* The direct chat of Alice and `peer`, with one leaf each; `chat` is its id from now on. */
static void give_chat_with(const uint8_t *peer, const uint8_t *leaf)
{
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES], bytes[POLICY_DIRECT_BYTES];
    struct policy_member a = {.role = POLICY_ROLE_OWNER}, b = {.role = POLICY_ROLE_OWNER};
    struct slice leaves[2] = {slice_make(phone, ID_BYTES), slice_make(leaf, ID_BYTES)};
    struct slice owners[2] = {slice_make(alice, ID_BYTES), slice_make(peer, ID_BYTES)};
    struct buf policy = buf_over(bytes, sizeof bytes);
    memcpy(a.user, alice, ID_BYTES);
    memcpy(b.user, peer, ID_BYTES);
    policy_direct_write(&a, &b, &policy);
    direct_chat_input(alice, peer, input);
    struct slice part = SLICE_OF(input);
    crypto_sha256(&part, 1, hash);
    memcpy(chat, hash, ID_BYTES);
    struct pb_record record = {.body_case = PB_RECORD_BODY_CREATE};
    record.body.create = (struct pb_create){.user_id = owners[0],
                                            .device_id = leaves[0],
                                            .mid = slice_make(chat, ID_BYTES),
                                            .gen = 1,
                                            .mls_epoch = 1,
                                            .policy = buf_slice(&policy),
                                            .leaves = leaves,
                                            .leaves_count = 2,
                                            .leaf_users = owners,
                                            .leaf_users_count = 2};
    give(TOPIC_MESSAGES, chat, &record);
}

static void give_chat(void)
{
    give_chat_with(bob, laptop);
}

static void give_send(const uint8_t *user, const uint8_t *device, uint64_t sctr, uint16_t gen)
{
    uint8_t bytes[ENVELOPE_OVERHEAD_BYTES + 64] = {0};
    struct buf envelope = buf_over(bytes, sizeof bytes);
    struct envelope_header header = {.gen = gen, .mls_epoch = 1, .sctr = sctr};
    uint8_t mid[ID_BYTES] = {device[0], (uint8_t)sctr, (uint8_t)bus.count};
    memcpy(header.chat, chat, ID_BYTES);
    memcpy(header.device, device, ID_BYTES);
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, sizeof bytes - envelope.bytes);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ENTRY};
    record.body.entry = (struct pb_chat_entry){slice_make(user, ID_BYTES),
                                               slice_make(mid, ID_BYTES), 0, buf_slice(&envelope)};
    give(TOPIC_MESSAGES, chat, &record);
}

static void attach(const uint8_t *user, const uint8_t *device, uint64_t conn, uint64_t useq)
{
    struct pb_rpc request = {.body_case = PB_RPC_BODY_ATTACH};
    request.body.attach = (struct pb_attach){.user_id = slice_make(user, ID_BYTES),
                                             .device_id = slice_make(device, ID_BYTES),
                                             .conn = conn,
                                             .gateway = 7,
                                             .session = 100 + conn,
                                             .useq = useq};
    processor_on_rpc(&processor, &request);
    turns();
}

static void ack(const uint8_t *user, const uint8_t *device, uint64_t conn, uint64_t useq, bool lazy)
{
    struct pb_rpc request = {.body_case = PB_RPC_BODY_ACKED};
    request.body.acked = (struct pb_acked){
        slice_make(user, ID_BYTES), slice_make(device, ID_BYTES), conn, useq, 0, lazy};
    processor_on_rpc(&processor, &request);
    turns();
}

static const struct pb_rpc *last_sent(enum pb_rpc_body body)
{
    for (size_t i = sent_count; i-- > 0;) {
        if (sent[i].body_case == body)
            return &sent[i];
    }
    fail_msg("no message of kind %d was sent", (int)body);
    return NULL;
}

static uint64_t column(enum table table, const uint8_t *a, const uint8_t *b, size_t at)
{
    struct row_key key = row_key_make(table, a, b, 0);
    const struct row *row = memory_db_next(&db, NULL);
    while (row != NULL && row_key_compare(&row->key, &key) != 0)
        row = memory_db_next(&db, &row->key);
    return row == NULL ? 0 : row->columns[at];
}

/* ---- the tests ---- */

static void a_message_reaches_an_attached_device(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    attach(bob, laptop, 1, 0);
    assert_int_equal(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.useq, 0);
    assert_false(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.refused);
    give_chat();
    give_send(alice, phone, 1, 1);
    turns();
    const struct pb_deliver *deliver = &last_sent(PB_RPC_BODY_DELIVER)->body.deliver;
    assert_int_equal(deliver->useq, 2);
    assert_int_equal(deliver->sessions[0], 101);
    assert_int_equal(deliver->entry.body_case, PB_ENTRY_BODY_MESSAGE);
    assert_int_equal(deliver->entry.body.message.cseq, 2);
    assert_int_equal(deliver->entry.body.message.ts, 5000);
}

/* Nobody wakes whoever sleeps between the last batch and the bus that may be asked again. */
static void a_lane_with_room_again_asks_for_a_turn(void **state)
{
    (void)state;
    int resumed = 0;
    give_chat();
    turns();
    for (uint64_t sctr = 1; sctr <= LANE_RECORDS_MAX; sctr++)
        give_send(alice, phone, sctr, 1);
    while (bus.at < bus.count || resumed == 0) {
        bool before = bus.paused;
        while (bus.at < bus.count && !bus.paused && !lane_full(processor.lanes[0])) {
            struct bus_event event = {.kind = BUS_RECORD, .record = bus.log[bus.at++]};
            processor_on_bus(&processor, &event);
        }
        bool more = processor_step(&processor, 0);
        if (before && !bus.paused) {
            assert_true(more);
            resumed++;
        }
    }
    turns();
    assert_true(processor_caught_up(&processor));
}

static void receipts_go_before_the_cursor(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    give_device(alice, phone, 0);
    give_chat();
    give_send(alice, phone, 1, 1);
    attach(bob, laptop, 1, 0);
    attach(alice, phone, 1, 2);
    bus.failing = true;
    ack(bob, laptop, 1, 2, false);
    assert_int_equal(column(TABLE_CURSOR, bob, laptop, CURSOR_USEQ), 0);
    assert_int_equal(column(TABLE_MARK, chat, bob, MARK_DELIVERED), 0);
    bus.failing = false;
    turns();
    assert_int_equal(column(TABLE_CURSOR, bob, laptop, CURSOR_USEQ), 2);
    assert_int_equal(column(TABLE_MARK, chat, bob, MARK_DELIVERED), 2);
    /* ✓✓ for Alice: her entry of the receipt. */
    const struct pb_deliver *deliver = &last_sent(PB_RPC_BODY_DELIVER)->body.deliver;
    assert_int_equal(deliver->entry.body_case, PB_ENTRY_BODY_RECEIPT);
    assert_int_equal(deliver->entry.body.receipt.delivered_by_all, 2);
    size_t before = bus.count;
    ack(bob, laptop, 1, 2, false);
    assert_int_equal(bus.count, before); /* the same once more changes nothing */
}

static void a_lazy_ack_implies_no_receipt(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    give_chat();
    give_send(alice, phone, 1, 1);
    attach(bob, laptop, 1, 0);
    ack(bob, laptop, 1, 2, true);
    assert_int_equal(column(TABLE_CURSOR, bob, laptop, CURSOR_USEQ), 2);
    assert_int_equal(column(TABLE_MARK, chat, bob, MARK_DELIVERED), 0);
}

static void hello_counts_as_an_ack(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    give_chat();
    give_send(alice, phone, 1, 1);
    attach(bob, laptop, 1, 2);
    assert_int_equal(column(TABLE_MARK, chat, bob, MARK_DELIVERED), 2);
}

static void conn_must_rise_and_fences(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    attach(bob, laptop, 5, 0);
    attach(bob, laptop, 5, 0);
    assert_true(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.refused);
    assert_int_equal(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.last_conn, 5);
    attach(bob, laptop, 6, 0);
    assert_false(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.refused);
    assert_int_equal(last_sent(PB_RPC_BODY_FENCE)->body.fence.session, 105);
    assert_int_equal(column(TABLE_CURSOR, bob, laptop, CURSOR_CONN), 6);
    uint64_t stale = processor.live.stale;
    ack(bob, laptop, 5, 1, false);
    assert_int_equal(processor.live.stale, stale + 1);
}

static void a_removed_device_has_no_session(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    attach(bob, laptop, 1, 0);
    uint8_t gone[1][ID_BYTES];
    memcpy(gone[0], laptop, ID_BYTES);
    struct fold_outcome outcome = {.revoked = (const uint8_t(*)[ID_BYTES])gone, .revoked_count = 1};
    live_on_folded(&processor.live, bob, &outcome);
    assert_int_equal(last_sent(PB_RPC_BODY_REVOKE)->body.revoke.session, 101);
    give_device(bob, laptop, 2);
    attach(bob, laptop, 2, 0);
    assert_true(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.signed_out);
    attach(bob, phone, 1, 0); /* unknown */
    assert_true(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.signed_out);
}

static void a_proof_above_the_head_makes_read_only(void **state)
{
    (void)state;
    give_device(bob, laptop, 0);
    struct pb_rpc request = {.body_case = PB_RPC_BODY_ATTACH};
    request.body.attach = (struct pb_attach){.user_id = slice_make(bob, ID_BYTES),
                                             .device_id = slice_make(laptop, ID_BYTES),
                                             .conn = 1,
                                             .gateway = 7,
                                             .useq = 50};
    processor_on_rpc(&processor, &request);
    turns();
    assert_false(processor_read_only(&processor)); /* a claim without proof stops nobody */
    request.body.attach.conn = 2;
    request.body.attach.proven_useq = 50;
    processor_on_rpc(&processor, &request);
    turns();
    assert_true(processor_read_only(&processor));
    assert_true(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.read_only);
}

static void refusals_reach_their_device(void **state)
{
    static const struct {
        uint64_t sctr;
        uint16_t gen;
        enum pb_error_code reason; /* NONE: accepted */
        uint64_t expected;
    } cases[] = {
        {2, 1, PB_ERROR_CODE_SCTR_EXPECTED, 1}, {1, 2, PB_ERROR_CODE_GEN_CHANGED, 0},
        {1, 1, PB_ERROR_CODE_NONE, 0},          {3, 1, PB_ERROR_CODE_SCTR_EXPECTED, 2},
        {2, 1, PB_ERROR_CODE_NONE, 0},
    };
    (void)state;
    give_device(alice, phone, 0);
    attach(alice, phone, 1, 0);
    give_chat();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        give_send(alice, phone, cases[i].sctr, cases[i].gen);
        turns();
        const struct pb_entry *entry = &last_sent(PB_RPC_BODY_DELIVER)->body.deliver.entry;
        if (cases[i].reason == PB_ERROR_CODE_NONE) {
            assert_int_equal(entry->body_case, PB_ENTRY_BODY_MESSAGE);
            continue;
        }
        assert_int_equal(entry->body_case, PB_ENTRY_BODY_REJECTED);
        assert_int_equal(entry->body.rejected.reason, cases[i].reason);
        assert_int_equal(entry->body.rejected.expected, cases[i].expected);
        assert_false(entry->body.rejected.consumed);
    }
    give_send(alice, phone, 1, 1); /* another mid under a used number */
    turns();
    const struct pb_entry *entry = &last_sent(PB_RPC_BODY_DELIVER)->body.deliver.entry;
    assert_int_equal(entry->body_case, PB_ENTRY_BODY_REPEAT);
    assert_int_equal(entry->body.repeat.last, 2);
}

/* ---- accounts ---- */

static struct pb_record account_of(enum pb_account_body body)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_ACCOUNT};
    record.body.account.body_case = body;
    record.body.account.has_origin = true;
    record.body.account.origin = (struct pb_origin){7, 0, 55, (uint32_t)bus.count + 1};
    return record;
}

static uint32_t answer_to(const uint8_t *user, const struct pb_record *record)
{
    size_t before = sent_count;
    give(TOPIC_DELIVERIES, user, record);
    turns();
    assert_true(sent_count > before);
    const struct pb_outcome *outcome = &last_sent(PB_RPC_BODY_OUTCOME)->body.outcome;
    assert_int_equal(outcome->req, record->body.account.origin.req);
    assert_int_equal(outcome->session, 55);
    assert_int_equal(outcome->code == PB_OUTCOME_CODE_OK, outcome->error == 0);
    return outcome->error;
}

static uint32_t sign_up(const uint8_t *user, const char *name, const uint8_t *secret_hash)
{
    struct pb_record record = account_of(PB_ACCOUNT_BODY_REGISTER);
    record.body.account.body.register_.username = slice_text(name);
    record.body.account.body.register_.now_ms = 1000;
    if (secret_hash != NULL)
        record.body.account.body.register_.invite_hash = slice_make(secret_hash, 32);
    return answer_to(user, &record);
}

static void sign_up_by_invite(void **state)
{
    static const uint8_t operator_key[ID_BYTES], once[32] = {1, 1}, late[32] = {1, 2};
    static const uint8_t carol[ID_BYTES] = {3};
    (void)state;
    turns();
    struct pb_record invite = account_of(PB_ACCOUNT_BODY_INVITE);
    invite.body.account.body.invite = (struct pb_account_invite){slice_make(once, 32), 1, 0, true};
    assert_int_equal(answer_to(operator_key, &invite), PB_ERROR_CODE_NONE);
    assert_int_equal(answer_to(operator_key, &invite), PB_ERROR_CODE_CONFLICT);
    invite.body.account.body.invite =
        (struct pb_account_invite){slice_make(late, 32), 5, 500, false};
    assert_int_equal(answer_to(operator_key, &invite), PB_ERROR_CODE_NONE);
    assert_int_equal(sign_up(alice, "alice", once), PB_ERROR_CODE_NONE);
    assert_int_equal(sign_up(alice, "alicia", NULL), PB_ERROR_CODE_CONFLICT);
    assert_int_equal(sign_up(bob, "a1ice", NULL), PB_ERROR_CODE_NAME_TAKEN);
    assert_int_equal(sign_up(bob, "bob", once), PB_ERROR_CODE_INVITE_USED);
    assert_int_equal(sign_up(bob, "bob", NULL), PB_ERROR_CODE_NONE);
    assert_int_equal(sign_up(carol, "carol", late), PB_ERROR_CODE_INVITE_USED);
}

static void vault_is_compare_and_set(void **state)
{
    (void)state;
    turns();
    struct pb_record put = account_of(PB_ACCOUNT_BODY_VAULT);
    put.body.account.body.vault = (struct pb_account_vault){1, slice_text("blob")};
    assert_int_equal(answer_to(alice, &put), PB_ERROR_CODE_DENIED); /* nobody yet */
    assert_int_equal(sign_up(alice, "alice", NULL), PB_ERROR_CODE_NONE);
    assert_int_equal(answer_to(alice, &put), PB_ERROR_CODE_NONE);
    assert_int_equal(answer_to(alice, &put), PB_ERROR_CODE_CONFLICT);
    assert_int_equal(last_sent(PB_RPC_BODY_OUTCOME)->body.outcome.ver, 1);
    put.body.account.body.vault.ver = 2;
    assert_int_equal(answer_to(alice, &put), PB_ERROR_CODE_NONE);
    struct pb_record list = account_of(PB_ACCOUNT_BODY_DEVICE_LIST);
    list.body.account.body.device_list.dl = slice_text("PDL1 not a list");
    assert_int_equal(answer_to(alice, &list), PB_ERROR_CODE_DENIED);
}

/* ---- device lists ---- */

static struct {
    uint8_t aik[32], aik_secret[64], dsk[32], dsk_secret[64], hash[32];
} keys;

/* The next list of Alice with these devices, signed; `removed` leaves with it. */
static struct slice list_of(uint32_t n, const uint8_t *const *ids, size_t count,
                            const uint8_t *removed)
{
    struct devlist list = {.n = n, .dsk_ver = 1, .ts = n, .username = slice_text("alice")};
    uint8_t aik_message[DEVLIST_AIK_MESSAGE_BYTES];
    memcpy(list.user, alice, ID_BYTES);
    memcpy(list.aik, keys.aik, 32);
    memcpy(list.dsk, keys.dsk, 32);
    if (n > 1)
        memcpy(list.previous, keys.hash, 32);
    for (size_t i = 0; i < count; i++) {
        memcpy(list.devices[i].id, ids[i], ID_BYTES);
        memset(list.devices[i].sigpub, ids[i][0], 32);
        list.devices[i].added_n = 1;
    }
    list.device_count = (uint8_t)count;
    if (removed != NULL) {
        list.removed = slice_make(removed, ID_BYTES);
        list.removed_count = 1;
    }
    devlist_aik_message(&list, aik_message);
    crypto_sign_detached(list.sig_aik, NULL, aik_message, sizeof aik_message, keys.aik_secret);
    struct buf bytes = buf_in(&arena, DEVLIST_BYTES_MAX), message = buf_in(&arena, 9000);
    uint8_t signature[64];
    devlist_write_unsigned(&list, &bytes);
    devlist_dsk_message(buf_slice(&bytes), &message);
    crypto_sign_detached(signature, NULL, message.at, message.bytes, keys.dsk_secret);
    buf_put(&bytes, SLICE_OF(signature));
    struct slice whole = buf_slice(&bytes);
    crypto_sha256(&whole, 1, keys.hash);
    return whole;
}

static uint32_t put_list(const uint8_t *user, struct slice list, const uint8_t *session)
{
    struct pb_record put = account_of(PB_ACCOUNT_BODY_DEVICE_LIST);
    put.body.account.body.device_list.dl = list;
    if (session != NULL)
        put.body.account.body.device_list.session_device = slice_make(session, ID_BYTES);
    return answer_to(user, &put);
}

static void device_lists_are_checked_and_told(void **state)
{
    static const uint8_t tablet[ID_BYTES] = {13};
    const uint8_t *both[] = {phone, tablet};
    (void)state;
    crypto_sign_keypair(keys.aik, keys.aik_secret);
    crypto_sign_keypair(keys.dsk, keys.dsk_secret);
    turns();
    assert_int_equal(sign_up(alice, "alice", NULL), PB_ERROR_CODE_NONE);
    struct slice first = list_of(1, both, 2, NULL);
    uint8_t *forged = (uint8_t *)(uintptr_t)arena_copy(&arena, first).at;
    forged[first.bytes - 1] ^= 1;
    assert_int_equal(put_list(alice, slice_make(forged, first.bytes), NULL), PB_ERROR_CODE_DENIED);
    assert_int_equal(put_list(alice, first, laptop), PB_ERROR_CODE_DENIED);
    assert_int_equal(put_list(bob, first, NULL), PB_ERROR_CODE_DENIED);
    assert_int_equal(put_list(alice, first, NULL), PB_ERROR_CODE_NONE);
    assert_int_equal(put_list(alice, first, NULL), PB_ERROR_CODE_CONFLICT);
    attach(alice, tablet, 1, 0);
    assert_false(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.signed_out);
    give_chat();
    turns();
    /* The phone signs the tablet out: its session ends, its chats hear of it. */
    struct slice second = list_of(2, both, 1, tablet);
    assert_int_equal(put_list(alice, second, laptop), PB_ERROR_CODE_DENIED);
    assert_int_equal(put_list(alice, second, phone), PB_ERROR_CODE_NONE);
    assert_int_equal(last_sent(PB_RPC_BODY_REVOKE)->body.revoke.session, 101);
    attach(alice, tablet, 2, 0);
    assert_true(last_sent(PB_RPC_BODY_ATTACHED)->body.attached.signed_out);
    give_device(bob, laptop, 0);
    attach(bob, laptop, 1, 0);
    give_send(alice, tablet, 1, 1); /* appended before its session was closed */
    give_send(alice, phone, 1, 1);
    turns();
    const struct pb_entry *entry = &last_sent(PB_RPC_BODY_DELIVER)->body.deliver.entry;
    assert_int_equal(entry->body_case, PB_ENTRY_BODY_MESSAGE);
    assert_int_equal(entry->body.message.cseq, 3); /* creation, device change, message */
}

/* One sign-out changes two chats: its record bears two entries for Alice. Both must count, or the
 * later messages of one chat are out of its chain. */
static void a_sign_out_keeps_both_chats_whole(void **state)
{
    static const uint8_t tablet[ID_BYTES] = {13}, carol[ID_BYTES] = {3}, pad[ID_BYTES] = {14};
    static const uint8_t *const people[] = {bob, carol}, *const leaves[] = {laptop, pad};
    const uint8_t *both[] = {phone, tablet};
    uint8_t chats[2][ID_BYTES];
    (void)state;
    crypto_sign_keypair(keys.aik, keys.aik_secret);
    crypto_sign_keypair(keys.dsk, keys.dsk_secret);
    turns();
    assert_int_equal(sign_up(alice, "alice", NULL), PB_ERROR_CODE_NONE);
    assert_int_equal(put_list(alice, list_of(1, both, 2, NULL), NULL), PB_ERROR_CODE_NONE);
    for (size_t i = 0; i < 2; i++) {
        give_chat_with(people[i], leaves[i]);
        memcpy(chats[i], chat, ID_BYTES);
    }
    turns();
    assert_int_equal(put_list(alice, list_of(2, both, 1, tablet), phone), PB_ERROR_CODE_NONE);
    attach(alice, phone, 1, 0);
    for (size_t i = 0; i < 2; i++) {
        memcpy(chat, chats[i], ID_BYTES);
        give_send(people[i], leaves[i], 1, 1);
        turns();
        const struct pb_entry *entry = &last_sent(PB_RPC_BODY_DELIVER)->body.deliver.entry;
        assert_int_equal(entry->body_case, PB_ENTRY_BODY_MESSAGE);
        assert_memory_equal(entry->body.message.chat_id.at, chat, ID_BYTES);
        assert_int_equal(entry->body.message.cseq, 3);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_reaches_an_attached_device),
        TEST(a_lane_with_room_again_asks_for_a_turn),
        TEST(receipts_go_before_the_cursor),
        TEST(a_lazy_ack_implies_no_receipt),
        TEST(hello_counts_as_an_ack),
        TEST(conn_must_rise_and_fences),
        TEST(a_removed_device_has_no_session),
        TEST(a_proof_above_the_head_makes_read_only),
        TEST(refusals_reach_their_device),
        TEST(sign_up_by_invite),
        TEST(vault_is_compare_and_set),
        TEST(device_lists_are_checked_and_told),
        TEST(a_sign_out_keeps_both_chats_whole),
    };
    return cmocka_run_group_tests_name("processor", tests, NULL, NULL);
}
