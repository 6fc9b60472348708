/* SPDX-License-Identifier: Apache-2.0
 * row.h: the names of what the store holds (storage §§2.1, 4): tables, keys, rows read back. Here
 * and not in the port, because folds and sessions name rows without knowing a store.
 * Write rules, which make every batch repeatable in any order:
 *   PUT   the higher stamp wins, an equal stamp overwrites (same bytes by the folds' rule R7);
 *   MAX   up to 4 u64 columns, pairwise max, no stamp;
 *   CLAIM put if absent: what stands there already stays.
 * Invariants: a key's unused parts are zero, so that keys compare by their bytes' meaning.
 * Values are opaque: version byte ‖ row of row.proto. Source: storage §§4, 5. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/slice.h"

enum table {
    TABLE_CHAT_HEAD = 1, /* a = chat */
    TABLE_SENDER,        /* a = chat, b = device; partition of the head */
    TABLE_MSG,           /* a = chat, n = cseq; partition of the head */
    TABLE_MEMBER,        /* a = chat, b = user: side row */
    TABLE_MARK,          /* a = chat, b = user: MAX columns {delivered, read} */
    TABLE_USER_HEAD,     /* a = user */
    TABLE_USER_CHAT,     /* a = user, b = chat; partition of the user head */
    TABLE_INBOX,         /* a = user, n = useq: pointer row, its own partition */
    TABLE_CURSOR,        /* a = user, b = device: MAX columns {useq, dseq, conn} */
    TABLE_DIR,           /* a = key, n = dir_type */
    TABLE_DEVICE_LIST,   /* a = user, n = list number */
    TABLE_META,          /* n = meta_name */
    TABLE_EPOCH,         /* a = chat, n = gen << 48 | slot; partition of the head */
    TABLE_COUNT
};

enum dir_type { DIR_USER = 1, DIR_NAME, DIR_DEVICE, DIR_VAULT, DIR_INVITE };
enum meta_name {
    META_PART = 1,    /* MAX columns {log_epoch, next offset} per partition: u16be in `a` */
    META_FOLD_VERSION /* MAX column {newest switched on} per partition and topic: u16be, u8 */
};

enum mark_column { MARK_DELIVERED, MARK_READ };
enum cursor_column { CURSOR_USEQ, CURSOR_DSEQ, CURSOR_CONN };

struct row_key {
    enum table table;
    uint8_t a[ID_BYTES], b[ID_BYTES];
    uint64_t n;
};

#define STORE_COLUMNS 4

struct row {
    struct row_key key;
    bool found;
    struct slice value;              /* PUT tables */
    uint64_t columns[STORE_COLUMNS]; /* MAX tables; zeros when not found */
    uint64_t stamp;
};

enum row_write_kind { ROW_PUT, ROW_MAX, ROW_CLAIM };

struct row_write {
    enum row_write_kind kind;
    struct row_key key;
    uint64_t stamp;
    struct slice value;
    uint64_t columns[STORE_COLUMNS];
};

/* A key; NULL for a or b leaves it zero. */
struct row_key row_key_make(enum table table, const uint8_t *a, const uint8_t *b, uint64_t n);

/* Order of a range: table, a, b, n (bytes as memcmp): <0, 0, >0. */
int row_key_compare(const struct row_key *a, const struct row_key *b);

/* Do two keys share a partition, so that neighbouring writes of both are atomic? */
bool row_same_partition(const struct row_key *a, const struct row_key *b);

/* Merge one write into `row`, which holds what stands there (found or not), by the rules above.
 * Returns whether anything changed. The value is borrowed from the write. */
bool row_merge(struct row *row, const struct row_write *write);

/* Write timestamp of what a record wrote (storage §2.1): rises with the log position. */
static inline uint64_t row_stamp(uint32_t log_epoch, uint64_t offset)
{
    return ((uint64_t)log_epoch << 48) + offset + 1;
}
