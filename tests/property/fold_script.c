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
    memset(chats[SCRIPT_GROUP], 0xC4, ID_BYTES);
    for (size_t i = 0; i < SCRIPT_GROUP; i++) {
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

/* ---- the model ---- */

static bool model_in(const struct script_naive *naive, size_t chat, size_t user)
{
    if (chat == SCRIPT_GROUP)
        return naive->in[user];
    return user == chat || user == chat + 1;
}

static bool model_was_in(const struct script_naive *naive, size_t chat, size_t user)
{
    return naive->created[chat] && (chat == SCRIPT_GROUP || model_in(naive, chat, user));
}

/* The next row of the chat; who is in, or hears of it last or first, is entitled to it. */
static void model_row(struct script_naive *naive, size_t chat, const uint8_t *mid, int gone)
{
    size_t at = naive->counts[chat]++;
    if (mid != NULL)
        memcpy(naive->mids[chat][at], mid, ID_BYTES);
    for (size_t user = 0; user < SCRIPT_USERS; user++) {
        if (model_in(naive, chat, user) || (int)user == gone)
            naive->entitled[chat][at] |= (uint8_t)(1u << user);
    }
}

static const uint8_t *user_at(size_t chat, size_t index)
{
    return users[chat == SCRIPT_GROUP ? index : chat + index];
}

/* ---- records ---- */

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
        model_row(&script->naive, chat, mid, -1);
    script->naive.created[chat] = true;
}

/* The first user owns it; the last one may be out. */
static struct slice group_policy(struct script *script, uint32_t ver, bool last)
{
    uint16_t count = last ? SCRIPT_USERS : SCRIPT_USERS - 1;
    struct buf out =
        buf_in(&script->arena, POLICY_HEAD_BYTES + (size_t)count * POLICY_MEMBER_BYTES);
    buf_u8(&out, 1);
    buf_u32be(&out, ver);
    buf_u8(&out, POLICY_GROUP);
    buf_u8(&out, POLICY_ALL_MAY_SEND);
    buf_u16be(&out, count);
    for (uint16_t i = 0; i < count; i++) {
        buf_put(&out, slice_make(users[i], ID_BYTES));
        buf_zero(&out, 32);
        buf_u8(&out, i == 0 ? POLICY_ROLE_OWNER : POLICY_ROLE_MEMBER);
    }
    return buf_slice(&out);
}

static void script_group(struct script *script, const uint8_t *mid)
{
    struct script_naive *naive = &script->naive;
    struct slice leaves[SCRIPT_DEVICES], owners[SCRIPT_DEVICES];
    for (size_t i = 0; i < SCRIPT_DEVICES; i++) {
        leaves[i] = slice_make(devices[i], ID_BYTES);
        owners[i] = slice_make(users[i / 2], ID_BYTES);
    }
    struct pb_record record = {.body_case = PB_RECORD_BODY_CREATE};
    record.body.create = (struct pb_create){.user_id = slice_make(users[0], ID_BYTES),
                                            .device_id = leaves[0],
                                            .mid = slice_make(mid, ID_BYTES),
                                            .gen = 1,
                                            .mls_epoch = 1,
                                            .policy = group_policy(script, 1, true),
                                            .leaves = leaves,
                                            .leaves_count = SCRIPT_DEVICES,
                                            .leaf_users = owners,
                                            .leaf_users_count = SCRIPT_DEVICES};
    script_put(script, SCRIPT_GROUP, &record);
    if (naive->created[SCRIPT_GROUP])
        return;
    naive->created[SCRIPT_GROUP] = true;
    naive->mls_epoch = naive->floor = naive->policy_ver = 1;
    naive->joined = 1;
    memset(naive->in, true, sizeof naive->in);
    model_row(naive, SCRIPT_GROUP, mid, -1);
}

/* Of an accepted commit. */
static void model_commit(struct script *script, const uint8_t *mid, bool swap)
{
    struct script_naive *naive = &script->naive;
    size_t last = SCRIPT_USERS - 1;
    bool was = naive->in[last];
    naive->mls_epoch++;
    naive->newest_commit = script->count - 1;
    if (swap) {
        naive->floor = naive->mls_epoch;
        naive->policy_ver++;
        naive->in[last] = !was && !naive->pending;
        naive->pending = false;
        naive->joined = was ? naive->joined : naive->counts[SCRIPT_GROUP] + 1;
    }
    model_row(naive, SCRIPT_GROUP, mid, swap && was ? (int)last : -1);
}

/* An update, or the last user leaves or enters; by anyone, of any epoch near the present one. */
static void script_commit(struct script *script, const uint8_t *mid)
{
    struct script_naive *naive = &script->naive;
    size_t author = prng_below(&script->prng, SCRIPT_USERS), last = SCRIPT_USERS - 1;
    bool swap = prng_chance(&script->prng, 500), late = prng_chance(&script->prng, 200);
    struct slice who = slice_make(users[last], ID_BYTES), owners[2] = {who, who};
    struct slice leaves[2] = {slice_make(devices[2 * last], ID_BYTES),
                              slice_make(devices[2 * last + 1], ID_BYTES)};
    struct pb_record record = {.body_case = PB_RECORD_BODY_COMMIT};
    struct pb_commit *commit = &record.body.commit;
    *commit = (struct pb_commit){.user_id = slice_make(users[author], ID_BYTES),
                                 .device_id = slice_make(devices[2 * author], ID_BYTES),
                                 .mid = slice_make(mid, ID_BYTES),
                                 .gen = 1,
                                 .mls_epoch = naive->mls_epoch - late,
                                 .leaves_removed = leaves,
                                 .leaves_added = leaves,
                                 .leaf_users = owners,
                                 .users_removed = &who,
                                 .users_added = &who};
    if (swap) {
        bool enters = !naive->in[last] && !naive->pending;
        commit->policy = group_policy(script, naive->policy_ver + 1, enters);
        commit->users_added_count = enters;
        commit->users_removed_count = !enters;
        commit->leaves_added_count = commit->leaf_users_count = enters ? 2 : 0;
        commit->leaves_removed_count = enters ? 0 : 2;
    }
    script_put(script, SCRIPT_GROUP, &record);
    bool allowed = naive->pending ? swap : !swap || author == 0;
    if (naive->created[SCRIPT_GROUP] && naive->in[author] && !late && allowed)
        model_commit(script, mid, swap);
}

/* The last user leaves the span it is in, or was in. */
static void script_leave(struct script *script, const uint8_t *mid)
{
    struct script_naive *naive = &script->naive;
    size_t last = SCRIPT_USERS - 1;
    struct pb_record record = {.body_case = PB_RECORD_BODY_LEAVE};
    record.body.leave = (struct pb_leave){.user_id = slice_make(users[last], ID_BYTES),
                                          .device_id = slice_make(devices[2 * last], ID_BYTES),
                                          .mid = slice_make(mid, ID_BYTES),
                                          .gen = 1,
                                          .join_cseq = naive->joined};
    script_put(script, SCRIPT_GROUP, &record);
    if (!naive->created[SCRIPT_GROUP] || !naive->in[last])
        return;
    naive->in[last] = false;
    naive->pending = true;
    model_row(naive, SCRIPT_GROUP, mid, (int)last);
}

/* What was accepted already comes once more. */
static void script_again(struct script *script)
{
    if (script->naive.newest_commit == 0 || script->count == SCRIPT_RECORDS)
        return;
    script->entries[script->count] = script->entries[script->naive.newest_commit];
    script->count++;
}

static void script_send(struct script *script, size_t chat, const uint8_t *mid)
{
    size_t device = prng_below(&script->prng, SCRIPT_DEVICES);
    uint64_t sctr = script->naive.last[chat][device] + prng_below(&script->prng, 100) / 90 + 1;
    if (sctr > 1 && prng_chance(&script->prng, 150))
        sctr--;
    uint8_t bytes[ENVELOPE_OVERHEAD_BYTES + 64] = {0};
    struct buf envelope = buf_over(bytes, sizeof bytes);
    bool group = chat == SCRIPT_GROUP, stale = prng_chance(&script->prng, 50);
    struct envelope_header header = {
        .gen = 1, .mls_epoch = group ? script->naive.mls_epoch : 1, .sctr = sctr};
    header.mls_epoch += stale;
    if (group && !stale && prng_chance(&script->prng, 200))
        header.mls_epoch = script->naive.floor;
    memcpy(header.chat, chats[chat], ID_BYTES);
    memcpy(header.device, devices[device], ID_BYTES);
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, sizeof bytes - envelope.bytes);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ENTRY};
    record.body.entry = (struct pb_chat_entry){.user_id = slice_make(users[device / 2], ID_BYTES),
                                               .mid = slice_make(mid, ID_BYTES),
                                               .envelope = buf_slice(&envelope)};
    script_put(script, chat, &record);
    if (!model_was_in(&script->naive, chat, device / 2) ||
        sctr != script->naive.last[chat][device] + 1)
        return;
    if (model_in(&script->naive, chat, device / 2) && (group || !script->naive.removed[device])) {
        if (stale || (group && script->naive.pending))
            return; /* repairable: the counter stays free */
        model_row(&script->naive, chat, mid, -1);
    }
    script->naive.last[chat][device] = sctr; /* a final refusal consumes it too */
}

static void script_rest(struct script *script, size_t chat)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
    size_t user = prng_below(&script->prng, chat == SCRIPT_GROUP ? SCRIPT_USERS : 2);
    struct slice removed = slice_make(devices[SCRIPT_DEVICES - 1], ID_BYTES);
    record.body.receipt = (struct pb_receipt){
        slice_make(user_at(chat, user), ID_BYTES),
        prng_below(&script->prng, script->naive.counts[chat] + 3),
        prng_chance(&script->prng, 300) ? prng_below(&script->prng, script->naive.counts[chat] + 1)
                                        : 0};
    if (chat == 1 && script->naive.created[chat] && prng_chance(&script->prng, 60)) {
        record = (struct pb_record){.body_case = PB_RECORD_BODY_DEVICE_CHANGE};
        record.body.device_change =
            (struct pb_device_change){slice_make(users[2], ID_BYTES), 2, &removed, 1, false};
        if (!script->naive.removed[SCRIPT_DEVICES - 1])
            model_row(&script->naive, chat, NULL, -1);
        script->naive.removed[SCRIPT_DEVICES - 1] = true;
    }
    script_put(script, chat, &record);
}

static void script_found(struct script *script, size_t chat, const uint8_t *mid)
{
    if (chat == SCRIPT_GROUP)
        script_group(script, mid);
    else
        script_create(script, chat, mid, prng_below(&script->prng, 2));
}

static void script_make(struct script *script)
{
    for (uint32_t i = 0; script->count < SCRIPT_RECORDS; i++) {
        uint8_t mid[ID_BYTES] = {1, (uint8_t)(i >> 8), (uint8_t)i};
        size_t chat = prng_below(&script->prng, SCRIPT_CHATS);
        if (prng_chance(&script->prng, script->naive.created[chat] ? 20 : 500))
            script_found(script, chat, mid);
        else if (chat == SCRIPT_GROUP && prng_chance(&script->prng, 200))
            script_commit(script, mid);
        else if (chat == SCRIPT_GROUP && prng_chance(&script->prng, 50))
            script_again(script);
        else if (chat == SCRIPT_GROUP && prng_chance(&script->prng, 50))
            script_leave(script, mid);
        else if (prng_chance(&script->prng, 600))
            script_send(script, chat, mid);
        else
            script_rest(script, chat);
    }
}

/* ---- the checks ---- */

static size_t chat_index(const uint8_t *chat)
{
    size_t index = 0;
    while (memcmp(chat, chats[index], ID_BYTES) != 0)
        index++;
    return index;
}

/* On one machine everything is equal; in a fleet a repeat may take a useq of its own. */
static bool compared(enum table table, bool single)
{
    return (single && table != TABLE_META) || table == TABLE_CHAT_HEAD || table == TABLE_SENDER ||
           table == TABLE_MSG || table == TABLE_MEMBER || table == TABLE_MARK ||
           table == TABLE_EPOCH;
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

static struct slice mid_of(const struct pb_entry *entry)
{
    if (entry->body_case == PB_ENTRY_BODY_COMMIT)
        return entry->body.commit.commit.mid;
    return entry->body_case == PB_ENTRY_BODY_MESSAGE ? entry->body.message.mid
                                                     : entry->body.member.mid;
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
        size_t chat = chat_index(row->key.a);
        assert_true(fold_decode(&pb_msg_row_type, row, &arena, &msg));
        assert_int_equal(row->key.n, seen[chat] + 1);
        static const uint8_t none[ID_BYTES];
        struct slice mid = mid_of(&msg.entry);
        assert_true(seen[chat] < script->naive.counts[chat]);
        assert_memory_equal(mid.bytes == 0 ? none : mid.at, script->naive.mids[chat][seen[chat]],
                            ID_BYTES);
        seen[chat]++;
    }
    for (size_t i = 0; i < SCRIPT_CHATS; i++)
        assert_int_equal(seen[i], script->naive.counts[i]);
    arena_deinit(&arena);
}

/* The first number above `after` that the user is entitled to; one above the head: none. */
static uint64_t next_entitled(const struct script_naive *naive, size_t chat, size_t user,
                              uint64_t after)
{
    while (after < naive->counts[chat] && (naive->entitled[chat][after] >> user & 1) == 0)
        after++;
    return after + 1;
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
        size_t chat = chat_index(pointer.chat_id.at);
        cseq[user][chat] = next_entitled(&script->naive, chat, user, cseq[user][chat]);
        assert_int_equal(pointer.cseq, cseq[user][chat]);
    }
    for (size_t chat = 0; chat < SCRIPT_CHATS; chat++) {
        for (size_t user = 0; user < SCRIPT_USERS; user++) {
            assert_int_equal(next_entitled(&script->naive, chat, user, cseq[user][chat]),
                             script->naive.counts[chat] + 1);
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
        size_t chat = chat_index(receipt->chat_id.at);
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
