/* SPDX-License-Identifier: Apache-2.0 */
#include "fold_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/fold.h"
#include "ports/crypto.h"
#include "wire/envelope.h"
#include "wire/policy.h"

/* ---- the script: what devices sent ---- */

static uint8_t users[SCRIPT_USERS][ID_BYTES], devices[SCRIPT_DEVICES][ID_BYTES];
static uint8_t chats[SCRIPT_CHATS][ID_BYTES];

static void names_make(void)
{
    for (uint8_t i = 0; i < SCRIPT_USERS; i++)
        memset(users[i], 0x11 * (i + 1), ID_BYTES);
    for (uint8_t i = 0; i < SCRIPT_DEVICES; i++)
        memset(devices[i], 0xA0 + i, ID_BYTES);
    for (size_t i = 0; i < SCRIPT_CHATS; i++) {
        uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
        direct_chat_input(users[i], users[i + 1], input);
        struct slice part = SLICE_OF(input);
        crypto_sha256(&part, 1, hash);
        memcpy(chats[i], hash, ID_BYTES);
    }
}

static void script_put(struct script *script, size_t chat, const struct pb_record *record)
{
    assert_true(script->count < SCRIPT_RECORDS);
    struct script_entry *entry = &script->entries[script->count++];
    entry->topic = TOPIC_MESSAGES;
    memcpy(entry->key, chats[chat], ID_BYTES);
    entry->bytes = pb_record_pack_v1(record, &script->arena);
}

static void script_create(struct script *script, size_t chat, const uint8_t *mid, size_t side)
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
    if (!script->naive.created[chat])
        memcpy(script->naive.mids[chat][script->naive.counts[chat]++], mid, ID_BYTES);
    script->naive.created[chat] = true;
}

static void script_send(struct script *script, size_t chat, const uint8_t *mid)
{
    size_t device = prng_below(&script->prng, SCRIPT_DEVICES);
    uint64_t sctr = script->naive.last[chat][device] + prng_below(&script->prng, 100) / 90 + 1;
    if (sctr > 1 && prng_chance(&script->prng, 150))
        sctr--;
    uint8_t bytes[ENVELOPE_OVERHEAD_BYTES + 64] = {0};
    struct buf envelope = buf_over(bytes, sizeof bytes);
    struct envelope_header header = {.gen = 1, .mls_epoch = 1, .sctr = sctr};
    bool stale = prng_chance(&script->prng, 50);
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
    if (!script->naive.created[chat] || !user_in || sctr != script->naive.last[chat][device] + 1)
        return;
    if (!script->naive.removed[device]) {
        if (stale)
            return; /* repairable: the counter stays free */
        memcpy(script->naive.mids[chat][script->naive.counts[chat]++], mid, ID_BYTES);
    }
    script->naive.last[chat][device] = sctr; /* a final refusal consumes it too */
}

static void script_rest(struct script *script, size_t chat)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
    size_t user = chat + prng_below(&script->prng, 2);
    struct slice removed = slice_make(devices[SCRIPT_DEVICES - 1], ID_BYTES);
    record.body.receipt = (struct pb_receipt){
        slice_make(users[user], ID_BYTES),
        prng_below(&script->prng, script->naive.counts[chat] + 3),
        prng_chance(&script->prng, 300) ? prng_below(&script->prng, script->naive.counts[chat] + 1)
                                        : 0};
    if (chat == 1 && script->naive.created[chat] && prng_chance(&script->prng, 60)) {
        record = (struct pb_record){.body_case = PB_RECORD_BODY_DEVICE_CHANGE};
        record.body.device_change =
            (struct pb_device_change){slice_make(users[2], ID_BYTES), 2, &removed, 1};
        if (!script->naive.removed[SCRIPT_DEVICES - 1])
            memset(script->naive.mids[chat][script->naive.counts[chat]++], 0, ID_BYTES);
        script->naive.removed[SCRIPT_DEVICES - 1] = true;
    }
    script_put(script, chat, &record);
}

static void script_make(struct script *script)
{
    for (uint32_t i = 0; i < SCRIPT_RECORDS; i++) {
        uint8_t mid[ID_BYTES] = {1, (uint8_t)(i >> 8), (uint8_t)i};
        size_t chat = prng_below(&script->prng, SCRIPT_CHATS);
        if (prng_chance(&script->prng, script->naive.created[chat] ? 20 : 500))
            script_create(script, chat, mid, prng_below(&script->prng, 2));
        else if (prng_chance(&script->prng, 600))
            script_send(script, chat, mid);
        else
            script_rest(script, chat);
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

void script_same_rows(struct memory_db *a, struct memory_db *b, bool single)
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

void script_as_the_model_says(struct memory_db *db, const struct script *script)
{
    size_t seen[SCRIPT_CHATS] = {0};
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
        assert_true(seen[chat] < script->naive.counts[chat]);
        assert_memory_equal(mid.bytes == 0 ? none : mid.at, script->naive.mids[chat][seen[chat]],
                            ID_BYTES);
        seen[chat]++;
    }
    for (size_t i = 0; i < SCRIPT_CHATS; i++)
        assert_int_equal(seen[i], script->naive.counts[i]);
    arena_deinit(&arena);
}

void script_chains_are_dense(struct memory_db *db, const struct script *script)
{
    uint64_t useq[SCRIPT_USERS] = {0}, cseq[SCRIPT_USERS][SCRIPT_CHATS] = {{0}};
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
    for (size_t chat = 0; chat < SCRIPT_CHATS; chat++) {
        for (size_t user = 0; user < SCRIPT_USERS; user++) {
            bool in = user == chat || user == chat + 1;
            assert_int_equal(cseq[user][chat], in ? script->naive.counts[chat] : 0);
        }
    }
    arena_deinit(&arena);
}

struct told {
    uint64_t delivered[SCRIPT_USERS][SCRIPT_CHATS], read[SCRIPT_USERS][SCRIPT_CHATS];
};

static void receipts_read(struct memory_db *db, struct told *told)
{
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    memset(told, 0, sizeof *told);
    for (const struct row *row = memory_db_next(db, NULL); row != NULL;
         row = memory_db_next(db, &row->key)) {
        struct pb_inbox_row pointer;
        if (row->key.table != TABLE_INBOX)
            continue;
        assert_true(fold_decode(&pb_inbox_row_type, row, &arena, &pointer));
        if (!pointer.has_entry || pointer.entry.body_case != PB_ENTRY_BODY_RECEIPT)
            continue;
        const struct pb_receipt_entry *receipt = &pointer.entry.body.receipt;
        size_t user = row->key.a[0] / 0x11 - 1u;
        size_t chat = memcmp(receipt->chat_id.at, chats[0], ID_BYTES) == 0 ? 0 : 1;
        if (receipt->delivered_by_all > told->delivered[user][chat])
            told->delivered[user][chat] = receipt->delivered_by_all;
        if (receipt->read_by_all > told->read[user][chat])
            told->read[user][chat] = receipt->read_by_all;
    }
    arena_deinit(&arena);
}

void script_receipts_not_lost(struct memory_db *calm, struct memory_db *rough)
{
    struct told want, got;
    receipts_read(calm, &want);
    receipts_read(rough, &got);
    for (size_t user = 0; user < SCRIPT_USERS; user++) {
        for (size_t chat = 0; chat < SCRIPT_CHATS; chat++) {
            assert_true(got.delivered[user][chat] >= want.delivered[user][chat]);
            assert_true(got.read[user][chat] >= want.read[user][chat]);
        }
    }
}

void script_open(struct script *script, uint64_t seed)
{
    memset(script, 0, sizeof *script);
    arena_init(&script->arena, (size_t)64 << 20);
    prng_init(&script->prng, seed);
    names_make();
    script_make(script);
}

void script_close(struct script *script)
{
    arena_deinit(&script->arena);
}
