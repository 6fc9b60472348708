/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/profile.h"

#include <string.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/memory.h"
#include "wire/gen/host.pb.h"

#define PAGE_BYTES ((size_t)64 << 20)

void profile_walk_begin(struct profile_walk *walk, uint32_t table)
{
    walk->table = table;
    walk->key_bytes = walk->count = 0;
    walk->last = false;
}

void profile_walk_next(struct profile_walk *walk, struct cstore *store, struct arena *arena)
{
    uint8_t most[PROFILE_KEY_BYTES];
    memset(most, 0xff, sizeof most);
    enum status status = store->vtable->range(
        store, walk->table, slice_make(walk->key, walk->key_bytes), slice_make(most, sizeof most),
        false, walk->rows, PROFILE_PAGE, &walk->count, arena);
    assert(status == STATUS_OK);
    walk->last = walk->count < PROFILE_PAGE;
    if (walk->count == 0)
        return;
    struct slice key = walk->rows[walk->count - 1].key;
    assert(key.bytes <= PROFILE_KEY_BYTES);
    memcpy(walk->key, key.at, key.bytes);
    walk->key[key.bytes] = 0; /* the least key above it */
    walk->key_bytes = key.bytes + 1;
}

void profile_copy(struct cstore *to, struct cstore *from)
{
    struct profile_walk walk;
    struct cstore_op ops[PROFILE_PAGE];
    enum status status = to->vtable->wipe(to);
    assert(status == STATUS_OK);
    for (uint32_t table = PB_TABLE_META; table <= PB_TABLE_JOURNAL; table++) {
        profile_walk_begin(&walk, table);
        while (!walk.last) {
            struct arena arena;
            arena_init(&arena, PAGE_BYTES);
            profile_walk_next(&walk, from, &arena);
            for (size_t i = 0; i < walk.count; i++)
                ops[i] = (struct cstore_op){.kind = CSTORE_PUT,
                                            .table = table,
                                            .key = walk.rows[i].key,
                                            .value = walk.rows[i].value};
            status = to->vtable->commit(to, ops, walk.count);
            assert(status == STATUS_OK);
            arena_deinit(&arena);
        }
    }
}

/* ---- rows against the mind ---- */

struct rows_check {
    const struct client *client;
    struct map mids; /* of the messages that are shown */
    uint64_t *rows;  /* held ones, by the place of the chat in the mind */
    const char *wrong;
};

static uint32_t place_of(const struct client *client, struct slice key)
{
    uint32_t at = 0;
    while (at < client->chat_count && memcmp(client->chats[at]->id, key.at, ID_BYTES) != 0)
        at++;
    return at;
}

static void message_check(struct rows_check *check, const struct cstore_row *row,
                          const struct pb_client_message *message)
{
    struct slice number = slice_sub(row->key, ID_BYTES, 8);
    uint32_t place = place_of(check->client, row->key);
    uint64_t cseq;
    if (place == check->client->chat_count || !take_u64be(&number, &cseq)) {
        check->wrong = "a row of no chat";
        return;
    }
    const struct client_chat *chat = check->client->chats[place];
    bool held = client_chat_holds(chat, cseq);
    check->rows[place] += held;
    if (!held && cseq > chat->stale_upto)
        check->wrong = "a row that the mind does not hold";
    if (!held || message->system)
        return;
    if (map_find(&check->mids, message->mid.at, NULL))
        check->wrong = "a message in two rows";
    else if (map_put(&check->mids, message->mid.at, cseq) != STATUS_OK)
        check->wrong = "too many rows to check";
}

/* Whatever is not settled the mind would have in its memory: only failures stay. */
static void outbox_check(struct rows_check *check, const struct pb_client_outbox *row)
{
    if (row->state != PB_OUTBOX_STATE_FAILED || row->filler)
        check->wrong = "a row of the outbox that nobody sends";
    else if (map_find(&check->mids, row->mid.at, NULL))
        check->wrong = "a failed message that is in the chat";
}

static void row_check(struct rows_check *check, const struct cstore_row *row, struct arena *arena)
{
    struct pb_client_message message;
    struct pb_client_outbox outbox;
    if (row->table == PB_TABLE_MESSAGE) {
        if (pb_client_message_decode_v1(row->value, arena, &message) == STATUS_OK)
            message_check(check, row, &message);
        else
            check->wrong = "a row that cannot be read";
    } else if (pb_client_outbox_decode_v1(row->value, arena, &outbox) == STATUS_OK) {
        outbox_check(check, &outbox);
    } else {
        check->wrong = "a row of the outbox that cannot be read";
    }
}

static void table_check(struct rows_check *check, struct cstore *store, uint32_t table)
{
    struct profile_walk walk;
    profile_walk_begin(&walk, table);
    while (!walk.last && !check->wrong) {
        struct arena arena;
        arena_init(&arena, PAGE_BYTES);
        profile_walk_next(&walk, store, &arena);
        for (size_t i = 0; i < walk.count && !check->wrong; i++)
            row_check(check, &walk.rows[i], &arena);
        arena_deinit(&arena);
    }
}

static void holes_check(struct rows_check *check)
{
    for (uint32_t i = 0; i < check->client->chat_count && !check->wrong; i++) {
        const struct client_chat *chat = check->client->chats[i];
        uint64_t held = 0;
        for (uint32_t k = 0; k < chat->span_count; k++)
            held += chat->spans[k].to - chat->spans[k].from + 1;
        if (held != check->rows[i])
            check->wrong = "a number that is held without a row";
    }
}

const char *profile_wrong(struct cstore *store, const struct client *client)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {7};
    struct rows_check check = {.client = client};
    check.rows = memory_array(client->chat_count + 1, sizeof *check.rows);
    if (!check.rows || map_open(&check.mids, PROFILE_ROWS_MAX, ID_BYTES, seed) != STATUS_OK)
        check.wrong = "no memory to check the rows";
    table_check(&check, store, PB_TABLE_MESSAGE);
    table_check(&check, store, PB_TABLE_OUTBOX);
    if (!check.wrong)
        holes_check(&check);
    map_close(&check.mids);
    memory_free(check.rows);
    return check.wrong;
}
