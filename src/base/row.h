/* SPDX-License-Identifier: Apache-2.0
 * row.h: the names of what the store holds (storage §§2.1, 4): tables, keys, rows read back. Here and
 * not in the port, because folds and sessions name rows without knowing a store.
 * Invariants: a key's unused parts are zero, so that keys compare by their bytes' meaning.
 * Values are opaque: version byte ‖ row of row.proto. Source: storage §§4, 5. */
#pragma once

#include <stdbool.h>
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
    TABLE_COUNT
};

enum dir_type { DIR_USER = 1, DIR_NAME, DIR_DEVICE, DIR_VAULT, DIR_INVITE };
enum meta_name { META_PART = 1 /* MAX columns {log_epoch, next offset} per partition in `a` */ };

struct row_key {
    enum table table;
    uint8_t a[ID_BYTES], b[ID_BYTES];
    uint64_t n;
};

#define STORE_COLUMNS 4

struct row {
    struct row_key key;
    bool found;
    struct slice value;                /* PUT tables */
    uint64_t columns[STORE_COLUMNS];   /* MAX tables; zeros when not found */
    uint64_t stamp;
};
