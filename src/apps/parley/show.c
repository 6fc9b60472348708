/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/show.h"

#include <string.h>

#define PAGE_ROWS 256

static struct slice key_of(uint8_t key[24], const uint8_t chat[ID_BYTES], uint64_t number)
{
    struct buf buf = buf_over(key, 24);
    buf_put(&buf, slice_make(chat, ID_BYTES));
    buf_u64be(&buf, number);
    return buf_slice(&buf);
}

static uint64_t number_of(struct slice key)
{
    uint64_t number = 0;
    struct slice tail = slice_sub(key, ID_BYTES, 8);
    (void)take_u64be(&tail, &number);
    return number;
}

/* EXCEPTION: the port's range, with keys made of their parts. */
static enum status range_of(struct app *app, uint32_t table, const struct client_chat *chat,
                            struct show_range range, struct cstore_row *rows, size_t *count,
                            struct arena *arena)
{
    struct cstore *store = &app->host.profile.store.cstore;
    uint8_t from[24], to[24];
    return store->vtable->range(store, table, key_of(from, chat->id, range.from),
                                key_of(to, chat->id, range.to), range.newest, rows, range.max,
                                count, arena);
}

bool show_is_own(const struct app *app, const struct shown *shown)
{
    return slice_equal(shown->row.user_id, slice_make(app->host.client.user, ID_BYTES));
}

enum status show_rows(struct app *app, const struct client_chat *chat, struct show_range range,
                      struct shown *out, size_t *count, struct arena *arena)
{
    struct cstore_row *rows = ARENA_ARRAY(arena, struct cstore_row, range.max + 1);
    *count = 0;
    if (!rows)
        return STATUS_BUSY;
    size_t found = 0;
    enum status status = range_of(app, PB_TABLE_MESSAGE, chat, range, rows, &found, arena);
    for (size_t i = 0; i < found && status == STATUS_OK; i++) {
        const struct cstore_row *row = &rows[range.newest ? found - 1 - i : i];
        struct shown *shown = &out[*count];
        shown->cseq = number_of(row->key);
        if (pb_client_message_decode_v1(row->value, arena, &shown->row) != STATUS_OK)
            continue; /* of a newer version: not guessed */
        shown->tick = client_tick(chat, shown->cseq);
        (*count)++;
    }
    return status;
}

enum status show_outbox(struct app *app, const struct client_chat *chat, struct shown *out,
                        size_t max, size_t *count, struct arena *arena)
{
    struct cstore_row *rows = ARENA_ARRAY(arena, struct cstore_row, max + 1);
    struct show_range range = {.from = 0, .to = UINT64_MAX, .max = max};
    *count = 0;
    if (!rows)
        return STATUS_BUSY;
    size_t found = 0;
    enum status status = range_of(app, PB_TABLE_OUTBOX, chat, range, rows, &found, arena);
    for (size_t i = 0; i < found && status == STATUS_OK; i++) {
        struct pb_client_outbox entry;
        struct shown *shown = &out[*count];
        memset(shown, 0, sizeof *shown);
        if (pb_client_outbox_decode_v1(rows[i].value, arena, &entry) != STATUS_OK ||
            pb_content_decode(entry.content, arena, &shown->row.content) != STATUS_OK)
            continue;
        shown->row.ts = entry.made_ms;
        shown->row.user_id = slice_make(app->host.client.user, ID_BYTES);
        shown->row.device_id = slice_make(app->host.client.device, ID_BYTES);
        shown->row.mid = entry.mid;
        shown->row.sctr = entry.sctr;
        shown->row.readable = shown->row.has_content = true;
        shown->tick = entry.state == PB_OUTBOX_STATE_FAILED ? PB_TICK_FAILED
                      : entry.state == PB_OUTBOX_STATE_SENT ? PB_TICK_SENT
                                                            : PB_TICK_CLOCK;
        (*count)++;
    }
    return status;
}

uint64_t show_unread(struct app *app, const struct client_chat *chat, struct arena *arena)
{
    struct shown *page = ARENA_ARRAY(arena, struct shown, PAGE_ROWS);
    struct show_range range = {.from = chat->own_read + 1, .to = UINT64_MAX, .max = PAGE_ROWS};
    uint64_t unread = 0;
    size_t count = PAGE_ROWS;
    while (page && count == PAGE_ROWS) {
        struct arena_mark mark = arena_mark(arena);
        if (show_rows(app, chat, range, page, &count, arena) != STATUS_OK)
            break;
        for (size_t i = 0; i < count; i++)
            unread += !page[i].row.system && !show_is_own(app, &page[i]);
        range.from = count ? page[count - 1].cseq + 1 : 0;
        arena_rewind(arena, mark);
    }
    return unread;
}

/* ---- writing ---- */

static struct slice text_of(const struct shown *shown)
{
    const struct pb_client_message *row = &shown->row;
    if (row->system)
        return row->system_text;
    return row->has_content && row->content.body_case == PB_CONTENT_BODY_TEXT
               ? row->content.body.text.text
               : SLICE_EMPTY;
}

void show_body(struct buf *out, const struct shown *shown, int indent)
{
    if (!shown->row.system && !shown->row.readable)
        buf_text(out, shown->row.envelope_hash.bytes ? "(could not be verified)" : "(deleted)");
    else if (shown->row.system && slice_equal(text_of(shown), SLICE_LITERAL("created")))
        buf_text(out, "the chat begins");
    else
        text_neutral(out, text_of(shown), indent);
}

static bool show_json(struct app *app, const struct client_chat *chat, const struct shown *shown)
{
    const struct pb_client_message *row = &shown->row;
    bool own = show_is_own(app, shown);
    uint8_t name[64];
    struct buf peer = buf_over(name, sizeof name);
    struct json json;
    app_peer_name(app, chat, &peer);
    json_begin(&json, app->line, APP_LINE_BYTES, row->system ? "system" : "message");
    json_id(&json, "chat_id", slice_make(chat->id, ID_BYTES));
    json_text(&json, "with", buf_slice(&peer));
    if (shown->cseq)
        json_number(&json, "cseq", shown->cseq);
    json_id(&json, "mid", row->mid);
    json_text(&json, "from", own ? app->host.client.username : buf_slice(&peer));
    json_id(&json, "user_id", row->user_id);
    json_id(&json, "device_id", row->device_id);
    json_time(&json, "time", row->ts);
    json_text(&json, "text", text_of(shown));
    if (!row->system) {
        json_bool(&json, "readable", row->readable);
        json_bool(&json, "own", own);
    }
    if (!row->system && own)
        json_text(&json, "tick", slice_text(text_tick_name(shown->tick)));
    return app_write(json_end(&json));
}

bool show_message(struct app *app, const struct client_chat *chat, const struct shown *shown)
{
    if (app->options.json)
        return show_json(app, chat, shown);
    bool own = show_is_own(app, shown);
    struct buf buf = buf_over(app->line, APP_LINE_BYTES);
    text_time(&buf, shown->row.ts, host_wall_ms());
    if (shown->row.system) {
        buf_text(&buf, "    -- ");
    } else {
        buf_text(&buf, own ? " " : "    @");
        if (own)
            buf_text(&buf, text_tick_sign(shown->tick));
        if (own)
            buf_text(&buf, " you");
        else
            app_peer_name(app, chat, &buf);
        buf_text(&buf, ": ");
    }
    show_body(&buf, shown, 10);
    buf_text(&buf, shown->row.system ? " --\n" : "\n");
    return app_write(buf_slice(&buf));
}
