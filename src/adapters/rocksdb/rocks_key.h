/* SPDX-License-Identifier: Apache-2.0
 * rocks_key.h: what a row is called and how it lies in RocksDB (storage §4). Inside this adapter.
 *
 *   family   table                        key                      value
 *   msg      MSG                          a16 · n8 big-endian      stamp8 ‖ value
 *   head     CHAT_HEAD                    a16                      stamp8 ‖ value
 *   sender   SENDER                       a16 · b16                stamp8 ‖ value
 *   member   MEMBER                       a16 · b16                stamp8 ‖ value
 *   mark     MARK                         a16 · b16                columns
 *   inbox    INBOX                        a16 · n8 big-endian      stamp8 ‖ value
 *   uhead    USER_HEAD · USER_CHAT        a16 · a16 b16            stamp8 ‖ value
 *   dlog     none yet
 *   dev      CURSOR                       a16 · b16                columns
 *   dir      DIR · DEVICE_LIST            n1 a16 · 80 a16 n8       stamp8 ‖ value
 *   meta     META; 0 ‖ name: the adapter  n1 a16                   columns
 *
 * stamp8 is big-endian; columns are little-endian u64, the zeros behind the first left out. No
 * value is empty: rocks_get relies on it.
 * Invariants: keys of one (table, a) lie in row_key_compare order, except DIR and META, whose types
 * lead (rocks_type_leads). The format may only grow: ROCKS_SCHEMA. */
#pragma once

#include "base/row.h"
#include "base/status.h"

#define ROCKS_SCHEMA    1u
#define ROCKS_KEY_BYTES 33u
#define ROCKS_TYPE_MAX  0x7fu /* of DIR and META */

enum rocks_family {
    ROCKS_DEFAULT, /* RocksDB wants it; holds nothing */
    ROCKS_MSG,
    ROCKS_HEAD,
    ROCKS_SENDER,
    ROCKS_MEMBER,
    ROCKS_MARK,
    ROCKS_INBOX,
    ROCKS_UHEAD,
    ROCKS_DLOG,
    ROCKS_DEV,
    ROCKS_DIR,
    ROCKS_META,
    ROCKS_FAMILIES
};

struct rocks_key {
    size_t bytes;
    char at[ROCKS_KEY_BYTES + 1]; /* room for the byte that ends a range */
};

/* What RocksDB is told about a family. */
struct rocks_layout {
    const char *name;
    uint32_t prefix_bytes; /* 0: none */
    bool plain;            /* no compression: sealed bytes do not shrink */
};
extern const struct rocks_layout rocks_layouts[ROCKS_FAMILIES];

enum rocks_family rocks_family(enum table table);
bool rocks_type_leads(enum table table); /* DIR, META: no range of n is an iterator */
bool rocks_is_max(enum table table);     /* does it hold columns? */

void rocks_key_write(const struct row_key *key, struct rocks_key *out);

/* The row key of `bytes`, found in the family of `table` within a range of that table. CORRUPT:
 * another length. */
MUST_USE enum status rocks_key_read(enum table table, struct slice bytes, struct row_key *out);

/* The bytes in front of the value: the stamp. */
#define ROCKS_STAMP_BYTES 8u
void rocks_stamp_write(uint64_t stamp, char out[ROCKS_STAMP_BYTES]);
uint64_t rocks_stamp_read(const uint8_t *at);

/* Returns the bytes used: 8 … 8 × STORE_COLUMNS. */
size_t rocks_columns_write(const uint64_t columns[STORE_COLUMNS], char *out);

/* Fill found, value (borrowed from `bytes`), stamp or columns; row->key names the table. CORRUPT:
 * no row looks like that. */
MUST_USE enum status rocks_row_read(struct slice bytes, struct row *row);
