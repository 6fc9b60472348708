/* SPDX-License-Identifier: Apache-2.0
 * profile.h: the rows of a device's profile, page by page, behind the cstore port.
 * Owner: one thread. */
#pragma once

#include "client/client.h"
#include "ports/cstore.h"

#define PROFILE_PAGE      256u
#define PROFILE_KEY_BYTES 64u
#define PROFILE_ROWS_MAX  65536u

struct profile_walk {
    uint32_t table;
    uint8_t key[PROFILE_KEY_BYTES + 1]; /* least key of the next page */
    size_t key_bytes, count;
    bool last; /* this page was the table's last */
    struct cstore_row rows[PROFILE_PAGE];
};

/* Before the first page of a table. */
void profile_walk_begin(struct profile_walk *walk, uint32_t table);
/* The next page, in the arena; may be empty. */
void profile_walk_next(struct profile_walk *walk, struct cstore *store, struct arena *arena);

/* `to` holds what `from` holds, and nothing else. */
void profile_copy(struct cstore *to, struct cstore *from);

/* What the person would see wrongly: a message twice, a row for ever unsent, a hole. NULL: nothing.
 * For a mind that wants nothing more, and chats without hidden rows. */
const char *profile_wrong(struct cstore *store, const struct client *client);
