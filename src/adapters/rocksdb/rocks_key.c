/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/rocksdb/rocks_key.h"

#include <string.h>

#include "base/assert.h"

#define N_BYTES       8u
#define TYPE_OF_LISTS 0x80u /* DEVICE_LIST in the family `dir`, above every dir_type */

const struct rocks_layout rocks_layouts[ROCKS_FAMILIES] = {
    [ROCKS_DEFAULT] = {"default", 0, false},
    [ROCKS_MSG] = {"msg", ID_BYTES, true},
    [ROCKS_HEAD] = {"head", 0, false},
    [ROCKS_SENDER] = {"sender", ID_BYTES, false},
    [ROCKS_MEMBER] = {"member", ID_BYTES, false},
    [ROCKS_MARK] = {"mark", ID_BYTES, false},
    [ROCKS_INBOX] = {"inbox", ID_BYTES, false},
    [ROCKS_UHEAD] = {"uhead", ID_BYTES, false},
    [ROCKS_DLOG] = {"dlog", 2 * ID_BYTES, false},
    [ROCKS_DEV] = {"dev", ID_BYTES, false},
    [ROCKS_DIR] = {"dir", 0, false},
    [ROCKS_META] = {"meta", 0, false},
};

struct place {
    enum rocks_family family;
    bool type, b, n, max; /* which parts the key has, besides a; whether it holds columns */
};

static const struct place places[TABLE_COUNT] = {
    [TABLE_CHAT_HEAD] = {.family = ROCKS_HEAD},
    [TABLE_SENDER] = {.family = ROCKS_SENDER, .b = true},
    [TABLE_MSG] = {.family = ROCKS_MSG, .n = true},
    [TABLE_MEMBER] = {.family = ROCKS_MEMBER, .b = true},
    [TABLE_MARK] = {.family = ROCKS_MARK, .b = true, .max = true},
    [TABLE_USER_HEAD] = {.family = ROCKS_UHEAD},
    [TABLE_USER_CHAT] = {.family = ROCKS_UHEAD, .b = true},
    [TABLE_INBOX] = {.family = ROCKS_INBOX, .n = true},
    [TABLE_CURSOR] = {.family = ROCKS_DEV, .b = true, .max = true},
    [TABLE_DIR] = {.family = ROCKS_DIR, .type = true},
    [TABLE_DEVICE_LIST] = {.family = ROCKS_DIR, .n = true},
    [TABLE_META] = {.family = ROCKS_META, .type = true, .max = true},
    [TABLE_EPOCH] = {.family = ROCKS_HEAD, .n = true},
};

static const struct place *place_of(enum table table)
{
    assert(table > 0 && table < TABLE_COUNT);
    return &places[table];
}

enum rocks_family rocks_family(enum table table)
{
    return place_of(table)->family;
}

bool rocks_type_leads(enum table table)
{
    return place_of(table)->type;
}

bool rocks_is_max(enum table table)
{
    return place_of(table)->max;
}

static void big_write(uint64_t n, char *out)
{
    for (size_t i = 0; i < N_BYTES; i++)
        out[i] = (char)(uint8_t)(n >> (8 * (N_BYTES - 1 - i)));
}

static uint64_t big_read(const uint8_t *at)
{
    uint64_t n = 0;
    for (size_t i = 0; i < N_BYTES; i++)
        n = n << 8 | at[i];
    return n;
}

static void add(struct rocks_key *key, const uint8_t *at, size_t bytes)
{
    memcpy(key->at + key->bytes, at, bytes);
    key->bytes += bytes;
}

void rocks_key_write(const struct row_key *key, struct rocks_key *out)
{
    const struct place *place = place_of(key->table);
    out->bytes = 0;
    if (place->type) {
        assert(key->n <= ROCKS_TYPE_MAX);
        out->at[out->bytes++] = (char)key->n;
    } else if (key->table == TABLE_DEVICE_LIST) {
        out->at[out->bytes++] = (char)TYPE_OF_LISTS;
    }
    add(out, key->a, ID_BYTES);
    if (place->b)
        add(out, key->b, ID_BYTES);
    if (place->n) {
        big_write(key->n, out->at + out->bytes);
        out->bytes += N_BYTES;
    }
}

enum status rocks_key_read(enum table table, struct slice bytes, struct row_key *out)
{
    const struct place *place = place_of(table);
    const uint8_t *at = bytes.at;
    size_t lead = place->type || table == TABLE_DEVICE_LIST ? 1 : 0;
    size_t want = lead + ID_BYTES + (place->b ? ID_BYTES : 0) + (place->n ? N_BYTES : 0);
    if (bytes.bytes != want)
        return STATUS_CORRUPT;
    *out = (struct row_key){.table = table};
    if (place->type)
        out->n = at[0];
    at += lead;
    memcpy(out->a, at, ID_BYTES);
    at += ID_BYTES;
    if (place->b) {
        memcpy(out->b, at, ID_BYTES);
        at += ID_BYTES;
    }
    if (place->n)
        out->n = big_read(at);
    return STATUS_OK;
}

void rocks_stamp_write(uint64_t stamp, char out[ROCKS_STAMP_BYTES])
{
    big_write(stamp, out);
}

uint64_t rocks_stamp_read(const uint8_t *at)
{
    return big_read(at);
}

size_t rocks_columns_write(const uint64_t columns[STORE_COLUMNS], char *out)
{
    size_t count = STORE_COLUMNS;
    while (count > 1 && columns[count - 1] == 0)
        count--;
    for (size_t i = 0; i < count * 8; i++)
        out[i] = (char)(uint8_t)(columns[i / 8] >> (8 * (i % 8)));
    return count * 8;
}

static enum status columns_read(struct slice bytes, struct row *row)
{
    if (bytes.bytes == 0 || bytes.bytes % 8 != 0 || bytes.bytes > (size_t)STORE_COLUMNS * 8)
        return STATUS_CORRUPT;
    for (size_t i = 0; i < bytes.bytes; i++)
        row->columns[i / 8] |= (uint64_t)bytes.at[i] << (8 * (i % 8));
    return STATUS_OK;
}

enum status rocks_row_read(struct slice bytes, struct row *row)
{
    *row = (struct row){.key = row->key, .found = true};
    if (place_of(row->key.table)->max)
        return columns_read(bytes, row);
    if (bytes.bytes < ROCKS_STAMP_BYTES)
        return STATUS_CORRUPT;
    row->stamp = big_read(bytes.at);
    row->value = slice_make(bytes.at + ROCKS_STAMP_BYTES, bytes.bytes - ROCKS_STAMP_BYTES);
    return STATUS_OK;
}
