/* SPDX-License-Identifier: Apache-2.0 */
#include "base/row.h"

#include <string.h>

#include "base/assert.h"

struct row_key row_key_make(enum table table, const uint8_t *a, const uint8_t *b, uint64_t n)
{
    struct row_key key = {.table = table, .n = n};
    if (a != NULL)
        memcpy(key.a, a, ID_BYTES);
    if (b != NULL)
        memcpy(key.b, b, ID_BYTES);
    return key;
}

int row_key_compare(const struct row_key *a, const struct row_key *b)
{
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    int order = memcmp(a->a, b->a, ID_BYTES);
    if (order == 0)
        order = memcmp(a->b, b->b, ID_BYTES);
    if (order == 0 && a->n != b->n)
        order = a->n < b->n ? -1 : 1;
    return order;
}

/* The table whose row leads the partition: head, senders, messages and epochs of a chat are one; so
 * are a user's head and chat list. */
static enum table leader(enum table table)
{
    if (table == TABLE_SENDER || table == TABLE_MSG || table == TABLE_EPOCH)
        return TABLE_CHAT_HEAD;
    return table == TABLE_USER_CHAT ? TABLE_USER_HEAD : table;
}

bool row_same_partition(const struct row_key *a, const struct row_key *b)
{
    enum table led = leader(a->table);
    if (led != leader(b->table) || memcmp(a->a, b->a, ID_BYTES) != 0)
        return false;
    if (led == TABLE_CHAT_HEAD || led == TABLE_USER_HEAD)
        return true;
    return memcmp(a->b, b->b, ID_BYTES) == 0 && a->n == b->n;
}

static bool merge_max(struct row *row, const struct row_write *write)
{
    bool changed = !row->found;
    for (size_t i = 0; i < STORE_COLUMNS; i++) {
        if (write->columns[i] > row->columns[i]) {
            row->columns[i] = write->columns[i];
            changed = true;
        }
    }
    row->found = true;
    return changed;
}

bool row_merge(struct row *row, const struct row_write *write)
{
    assert(row_key_compare(&row->key, &write->key) == 0);
    if (write->kind == ROW_MAX)
        return merge_max(row, write);
    if (row->found && (write->kind == ROW_CLAIM || write->stamp < row->stamp))
        return false;
    row->found = true;
    row->value = write->value;
    row->stamp = write->stamp;
    return true;
}
