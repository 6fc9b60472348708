/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/trace.h"

#include <stdio.h>
#include <string.h>

#include "apps/parleyd/audit.h"
#include "apps/parleyd/desk.h"
#include "apps/parleyd/events.h"
#include "base/base64.h"
#include "base/memory.h"
#include "wire/gen/row.pb.h"

#define SLICE_ROWS  2048u
#define MEMBERS_MAX 1024u /* former ones, too */
#define DEVICES_MAX 64u   /* of one account, those of former times, too */
#define ARENA_BYTES (16u << 20)
#define NEIGHBOURS  32u /* entries of one inbox that one record made, at most */
#define BODY(row, type, out)                                         \
    ((row).found && pb_unwrap((row).value, 1, &body) == STATUS_OK && \
     pb_##type##_decode(body, arena, (out)) == STATUS_OK)

/* ---- lines ---- */

static void put_number(struct buf *out, const char *key, uint64_t value)
{
    buf_text(out, key);
    buf_text(out, " ");
    buf_decimal(out, value);
    buf_text(out, "\n");
}

static void put_id(struct buf *out, const char *key, const uint8_t *id)
{
    buf_text(out, key);
    buf_text(out, " ");
    hex_write(out, slice_make(id, ID_BYTES));
    buf_text(out, "\n");
}

static void put_word(struct buf *out, uint64_t value)
{
    buf_text(out, " ");
    buf_decimal(out, value);
}

/* ---- rows ---- */

static bool row_get(struct node *node, struct row_key key, struct row *row, struct arena *arena)
{
    struct store_request get = {
        .op = STORE_GET, .keys = &key, .keys_count = 1, .rows = row, .arena = arena};
    return rocks_db_look(&node->index.db, &get) == STATUS_OK && row->found;
}

/* All rows from this key on with its table and `a`, at most `max`. */
static size_t rows_from(struct node *node, struct row_key from, struct row *rows, size_t max,
                        struct arena *arena)
{
    struct row_key keys[2] = {from, from};
    struct store_request range = {.op = STORE_RANGE,
                                  .keys = keys,
                                  .keys_count = 2,
                                  .rows = rows,
                                  .rows_max = max,
                                  .arena = arena};
    memset(keys[1].b, 0xff, sizeof keys[1].b);
    return rocks_db_look(&node->index.db, &range) == STATUS_OK ? range.rows_count : 0;
}

/* Is INBOX(user, useq) the message at hand? */
static bool is_here(struct node *node, const uint8_t *user, uint64_t useq, struct arena *arena)
{
    const struct row *message = &node->desk.walk.row;
    struct pb_inbox_row pointer;
    struct slice body;
    struct row row;
    return row_get(node, row_key_make(TABLE_INBOX, user, NULL, useq), &row, arena) &&
           BODY(row, inbox_row, &pointer) && pointer.cseq == message->key.n &&
           slice_equal(pointer.chat_id, slice_make(message->key.a, ID_BYTES));
}

/* Where in this inbox: stamps rise with the numbers, and what a record makes carries its stamp. */
static uint64_t useq_find(struct node *node, const uint8_t *user, struct arena *arena)
{
    uint64_t stamp = node->desk.walk.row.stamp, low = 1, high;
    struct pb_user_head head;
    struct slice body;
    struct row row;
    if (!row_get(node, row_key_make(TABLE_USER_HEAD, user, NULL, 0), &row, arena) ||
        !BODY(row, user_head, &head))
        return 0;
    uint64_t last = head.useq;
    for (high = last + 1; low < high;) { /* the first entry with this stamp or a later one */
        uint64_t middle = low + (high - low) / 2;
        bool there = row_get(node, row_key_make(TABLE_INBOX, user, NULL, middle), &row, arena);
        if (!there || row.stamp < stamp) /* trimmed, or older */
            low = middle + 1;
        else
            high = middle;
    }
    for (uint64_t useq = low; useq <= last && useq < low + NEIGHBOURS; useq++)
        if (is_here(node, user, useq, arena))
            return useq;
    return 0;
}

/* ---- the answer ---- */

static void put_devices(struct node *node, const uint8_t *user, struct arena *arena)
{
    struct buf *out = &node->admin.answer;
    struct row cursors[DEVICES_MAX];
    size_t count =
        rows_from(node, row_key_make(TABLE_CURSOR, user, NULL, 0), cursors, DEVICES_MAX, arena);
    for (size_t i = 0; i < count; i++) {
        buf_text(out, "cursor ");
        hex_write(out, slice_make(user, ID_BYTES));
        buf_text(out, " ");
        hex_write(out, slice_make(cursors[i].key.b, ID_BYTES));
        put_word(out, cursors[i].columns[CURSOR_USEQ]);
        buf_text(out, "\n");
    }
}

static void put_member(struct node *node, const struct row *row, struct arena *arena)
{
    struct buf *out = &node->admin.answer;
    const uint8_t *chat = node->desk.walk.row.key.a, *user = row->key.b;
    struct pb_member_row member = {0};
    struct slice body;
    struct row mark = {.found = false};
    bool known = BODY(*row, member_row, &member);
    bool gone =
        known && member.now.spans_count > 0 && member.now.spans[member.now.spans_count - 1].to != 0;
    (void)row_get(node, row_key_make(TABLE_MARK, chat, user, 0), &mark, arena);
    buf_text(out, "member ");
    hex_write(out, slice_make(user, ID_BYTES));
    put_word(out, useq_find(node, user, arena));
    put_word(out, mark.columns[MARK_DELIVERED]);
    put_word(out, mark.columns[MARK_READ]);
    put_word(out, gone);
    buf_text(out, "\n");
    put_devices(node, user, arena);
}

static void put_members(struct node *node, struct arena *arena)
{
    struct row *rows = memory_array(MEMBERS_MAX, sizeof *rows);
    if (rows == NULL)
        return;
    size_t count = rows_from(node, row_key_make(TABLE_MEMBER, node->desk.walk.row.key.a, NULL, 0),
                             rows, MEMBERS_MAX, arena);
    for (size_t i = 0; i < count; i++)
        put_member(node, &rows[i], arena);
    memory_free(rows);
}

static void put_message(struct buf *out, const struct pb_message *message)
{
    put_number(out, "ts_ms", message->ts);
    put_id(out, "user", message->user_id.at);
    put_id(out, "device", message->device_id.at);
    put_number(out, "sctr", message->sctr);
    put_number(out, "hidden", message->hidden);
    put_number(out, "deleted", message->tombstone);
}

/* False: the bytes were there by chance, or in a name within. */
static bool found_put(struct node *node, struct arena *arena)
{
    struct buf *out = &node->admin.answer;
    const struct row *found = &node->desk.walk.row;
    struct pb_msg_row row;
    struct pb_chat_head head = {0};
    struct row head_row;
    struct slice body, wanted = slice_make(node->desk.walk.wanted, ID_BYTES);
    if (!BODY(*found, msg_row, &row))
        return false;
    const struct pb_entry *entry = &row.entry;
    bool message = entry->body_case == PB_ENTRY_BODY_MESSAGE;
    if (message && !slice_equal(entry->body.message.mid, wanted))
        return false;
    if (row_get(node, row_key_make(TABLE_CHAT_HEAD, found->key.a, NULL, 0), &head_row, arena))
        (void)BODY(head_row, chat_head, &head);
    buf_text(out, "ok\nkind ");
    buf_text(out, message                                    ? "message\n"
                  : entry->body_case == PB_ENTRY_BODY_COMMIT ? "commit\n"
                                                             : "change\n");
    put_id(out, "chat", found->key.a);
    put_number(out, "cseq", found->key.n);
    put_number(out, "head", head.cseq);
    put_number(out, "log_epoch", row.place.log_epoch);
    put_number(out, "offset", row.place.offset);
    put_number(out, "sub", row.place.sub);
    if (message)
        put_message(out, &entry->body.message);
    put_members(node, arena);
    return true;
}

static void ended(struct node *node)
{
    char text[160];
    uint64_t lag = processor_lag(&node->shards[0].shard.processor);
    if (lag == 0) {
        desk_refuse(node, "NOT_FOUND no message of any chat has this id: it never came here, or "
                          "it was refused (then its author's device says why)");
        return;
    }
    (void)snprintf(text, sizeof text,
                   "AGAIN it is not in the index, but %llu records of the log are not folded yet: "
                   "ask again",
                   (unsigned long long)lag);
    desk_refuse(node, text);
}

static void look(struct node *node)
{
    struct rocks_walk *walk = &node->desk.walk;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum status status = rocks_db_walk(&node->index.db, walk, &arena);
    bool told = status == STATUS_OK && walk->row.found && found_put(node, &arena);
    arena_deinit(&arena);
    if (status != STATUS_OK)
        desk_refuse(node, "IO the index cannot be read: see parleyctl doctor");
    else if (!told && walk->end)
        ended(node);
    else {
        if (!told)
            buf_text(&node->admin.answer, "ok\n");
        put_number(&node->admin.answer, "looked", walk->looked);
        desk_finish(node);
        if (!told)
            return;
    }
    *walk = (struct rocks_walk){.rows_max = 0};
}

static void begin(struct node *node, const char *id, const char *reason)
{
    struct failure failure = {0};
    struct rocks_walk *walk = &node->desk.walk;
    struct buf mid = buf_over(walk->wanted, ID_BYTES);
    *walk = (struct rocks_walk){.rows_max = 0};
    if (hex_read(slice_text(id), &mid) != STATUS_OK || mid.overflow || mid.bytes != ID_BYTES) {
        desk_refuse(node, "INVALID a message's id has 32 hex digits");
        return;
    }
    const struct audit_entry entry = {
        .act = "trace", .uid = node->admin.uid, .mid = walk->wanted, .reason = reason};
    if (!audit_reason_valid(reason))
        desk_refuse(node, "INVALID give a reason of 3 to 200 bytes for the audit log");
    else if (audit_write(node->config->data, &entry, &failure) != STATUS_OK)
        desk_refuse(node, failure.text);
    else {
        events_act(node, "trace", NULL);
        walk->rows_max = SLICE_ROWS;
        look(node);
    }
}

bool trace_take(struct node *node, const char *line)
{
    char id[64];
    int at = 0;
    if (strcmp(line, "trace-on") == 0) {
        if (node->desk.walk.rows_max == 0)
            desk_refuse(node, "CONFLICT nothing is being looked for");
        else
            look(node);
        return true;
    }
    if (sscanf(line, "trace %63s %n", id, &at) != 1 || at == 0)
        return false;
    begin(node, id, line + at);
    return true;
}
