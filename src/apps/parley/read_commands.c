/* SPDX-License-Identifier: Apache-2.0
 * receive, chats, history, read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/parley/commands.h"
#include "apps/parley/show.h"
#include "base/assert.h"

#define PAGE_ROWS       256
#define OUTBOX_ROWS     1024
#define LIMIT_MAX       100000
#define ARENA_BYTES_MAX ((size_t)512 << 20)
#define LOOK_TIMEOUT_MS 3000

/* Sync if that is possible, for a look at what is here; only what ends for good is an ending. */
static enum app_exit sync_to_look(struct app *app)
{
    bool stepped;
    if (app->host.offline) {
        if (app->host.profile.read_only)
            app_note("another parley uses this profile: this is what it has so far");
        return APP_GOES_ON;
    }
    if (!app->options.has_timeout)
        app->deadline_ms = host_mono_ms() + LOOK_TIMEOUT_MS;
    enum app_exit ending = app_sync(app);
    while (ending == APP_GOES_ON && client_is_lazy(&app->host.client) && !app_is_over(app))
        ending = app_turn(app, UINT64_MAX, &stepped);
    if (ending == APP_NETWORK || ending == APP_IDENTITY) {
        app_say(app, "this is what is on this device");
        return APP_GOES_ON;
    }
    return ending;
}

/* ---- receive ---- */

struct receiver {
    struct app *app;
    struct arena arena;
    uint64_t shown[CLIENT_CHATS_MAX]; /* by the place of the chat in the mind */
    uint64_t count;
    bool closed; /* nobody reads stdout */
};

static uint64_t load_shown(struct receiver *receiver, const struct client_chat *chat)
{
    struct cstore *store = &receiver->app->host.profile.store.cstore;
    struct slice key = slice_make(chat->id, ID_BYTES);
    struct cstore_row row;
    size_t count = 0;
    uint64_t shown = 0;
    if (store->vtable->range(store, HOST_TABLE_SHOWN, key, key, false, &row, 1, &count,
                             &receiver->arena) == STATUS_OK &&
        count == 1)
        (void)take_u64be(&row.value, &shown);
    return shown;
}

/* Only after the lines are out: at least once. */
static enum status store_shown(struct receiver *receiver, const struct client_chat *chat,
                               uint64_t shown)
{
    struct cstore *store = &receiver->app->host.profile.store.cstore;
    uint8_t value[8];
    struct buf buf = buf_over(value, sizeof value);
    buf_u64be(&buf, shown);
    struct cstore_op op = {.kind = CSTORE_PUT,
                           .table = HOST_TABLE_SHOWN,
                           .key = slice_make(chat->id, ID_BYTES),
                           .value = buf_slice(&buf)};
    return store->vtable->commit(store, &op, 1);
}

/* The last number that can be shown now: what follows `shown` without a row missing. What can
 * never come (no longer loading) is stepped over. */
static uint64_t showable(const struct client_chat *chat, uint64_t shown)
{
    uint64_t upto = shown;
    for (uint32_t i = 0; i < chat->span_count; i++)
        if (chat->spans[i].to > upto && (chat->spans[i].from <= upto + 1 || chat->load_upto == 0))
            upto = chat->spans[i].to;
    return upto;
}

static bool is_enough(const struct receiver *receiver)
{
    return receiver->closed ||
           (receiver->app->options.max && receiver->count >= receiver->app->options.max);
}

static enum status receive_page(struct receiver *receiver, const struct client_chat *chat,
                                uint64_t upto, uint64_t *shown)
{
    struct shown *page = ARENA_ARRAY(&receiver->arena, struct shown, PAGE_ROWS);
    struct show_range range = {.from = *shown + 1, .to = upto, .max = PAGE_ROWS};
    size_t count = 0;
    if (!page)
        return STATUS_BUSY;
    enum status status = show_rows(receiver->app, chat, range, page, &count, &receiver->arena);
    if (status != STATUS_OK)
        return status;
    uint64_t done = count == PAGE_ROWS ? page[count - 1].cseq : upto;
    for (size_t i = 0; i < count; i++) {
        bool own = show_is_own(receiver->app, &page[i]);
        bool wanted = !page[i].row.system && (!own || receiver->app->options.include_own);
        if (!wanted)
            continue;
        if (is_enough(receiver)) {
            done = page[i].cseq - 1;
            break;
        }
        receiver->closed = !show_message(receiver->app, chat, &page[i]);
        if (receiver->closed) {
            done = page[i].cseq - 1;
            break;
        }
        receiver->count++;
    }
    *shown = done;
    return store_shown(receiver, chat, done);
}

static enum app_exit receive_all(struct receiver *receiver)
{
    struct client *client = &receiver->app->host.client;
    for (uint32_t i = 0; i < client->chat_count; i++) {
        const struct client_chat *chat = client->chats[i];
        if (receiver->shown[i] == UINT64_MAX)
            receiver->shown[i] = load_shown(receiver, chat);
        uint64_t upto = showable(chat, receiver->shown[i]);
        while (receiver->shown[i] < upto && !is_enough(receiver)) {
            arena_reset(&receiver->arena);
            if (receive_page(receiver, chat, upto, &receiver->shown[i]) != STATUS_OK) {
                app_say(receiver->app, "the profile cannot be read or written");
                return APP_FAILURE;
            }
        }
        arena_reset(&receiver->arena);
    }
    return APP_GOES_ON;
}

static bool all_came(const struct app *app)
{
    return app->state == PB_CLIENT_STATE_SYNCED && !client_is_lazy(&app->host.client);
}

static enum app_exit receive_on(struct receiver *receiver)
{
    struct app *app = receiver->app;
    bool stepped;
    for (;;) {
        enum app_exit ending = receive_all(receiver);
        if (ending != APP_GOES_ON)
            return ending;
        if (is_enough(receiver) || (!app->options.follow && all_came(app)))
            return APP_OK;
        ending = app_turn(app, UINT64_MAX, &stepped);
        if (ending != APP_GOES_ON)
            return ending;
        if (!stepped && app_is_over(app)) {
            if (!all_came(app))
                app_say(app, "not all has come in time; try again, or with a longer --timeout");
            return all_came(app) ? APP_OK : APP_NETWORK;
        }
    }
}

enum app_exit command_receive(struct app *app)
{
    static struct receiver receiver;
    enum app_exit ending = app_open(app, PROFILE_USE);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->options.follow) {
        app->patient = true;
        if (!app->options.has_timeout)
            app->deadline_ms = UINT64_MAX;
    }
    receiver.app = app;
    memset(receiver.shown, 0xff, sizeof receiver.shown);
    arena_init(&receiver.arena, ARENA_BYTES_MAX);
    ending = receive_on(&receiver);
    arena_deinit(&receiver.arena);
    return ending;
}

/* ---- chats ---- */

struct chat_line {
    const struct client_chat *chat;
    struct shown last; /* the newest row, or zeros */
    uint64_t unread;
};

static int newest_first(const void *left, const void *right)
{
    const struct chat_line *a = left, *b = right;
    return a->last.row.ts < b->last.row.ts ? 1 : a->last.row.ts > b->last.row.ts ? -1 : 0;
}

static void show_chat(struct app *app, const struct chat_line *line)
{
    uint8_t name[64];
    struct buf peer = buf_over(name, sizeof name);
    struct buf buf = buf_over(app->line, APP_LINE_BYTES);
    app_peer_name(app, line->chat, &peer);
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "chat");
        json_id(&json, "chat_id", slice_make(line->chat->id, ID_BYTES));
        json_text(&json, "with", buf_slice(&peer));
        json_number(&json, "head", line->chat->head);
        json_number(&json, "unread", line->unread);
        json_number(&json, "read_upto", line->chat->own_read);
        if (line->last.row.ts)
            json_time(&json, "time", line->last.row.ts);
        (void)app_write(json_end(&json));
        return;
    }
    buf_text(&buf, "@");
    buf_put(&buf, buf_slice(&peer));
    if (line->unread) {
        buf_text(&buf, "  (");
        buf_decimal(&buf, line->unread);
        buf_text(&buf, " unread)");
    }
    if (line->last.row.ts && !line->last.row.system) {
        buf_text(&buf, "  ");
        text_time(&buf, line->last.row.ts, host_wall_ms());
        buf_text(&buf, show_is_own(app, &line->last) ? "  you: " : "  ");
        show_body(&buf, &line->last, -1);
    }
    buf_text(&buf, "\n");
    (void)app_write(buf_slice(&buf));
}

enum app_exit command_chats(struct app *app)
{
    struct client *client = &app->host.client;
    enum app_exit ending = app_open(app, PROFILE_LOOK);
    if (ending == APP_GOES_ON)
        ending = sync_to_look(app);
    if (ending != APP_GOES_ON)
        return ending;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    struct chat_line *lines = ARENA_ARRAY(&arena, struct chat_line, client->chat_count + 1);
    for (uint32_t i = 0; lines && i < client->chat_count; i++) {
        struct show_range range = {.from = 1, .to = UINT64_MAX, .max = 1, .newest = true};
        size_t count = 0;
        lines[i].chat = client->chats[i];
        if (show_rows(app, client->chats[i], range, &lines[i].last, &count, &arena) != STATUS_OK)
            break;
        lines[i].unread = show_unread(app, client->chats[i], &arena);
    }
    if (lines)
        qsort(lines, client->chat_count, sizeof *lines, newest_first);
    for (uint32_t i = 0; lines && i < client->chat_count && i < app->options.limit; i++)
        show_chat(app, &lines[i]);
    if (client->chat_count == 0)
        app_note("no chats yet; begin one with: parley send @NAME -m \"hello\"");
    arena_deinit(&arena);
    return APP_OK;
}

/* ---- history ---- */

static enum app_exit no_chat(struct app *app, const char *name)
{
    app_say(app, "there is no chat with %s on this device; parley chats lists them", name);
    return APP_USAGE;
}

static enum app_exit show_history(struct app *app, const struct client_chat *chat,
                                  struct arena *arena)
{
    const struct options *options = &app->options;
    size_t limit = options->limit < LIMIT_MAX ? (size_t)options->limit : LIMIT_MAX, count = 0;
    struct show_range range = {.from = 1,
                               .to = options->before ? options->before - 1 : UINT64_MAX,
                               .max = limit,
                               .newest = true};
    struct shown *rows = ARENA_ARRAY(arena, struct shown, limit + 1);
    struct shown *open = ARENA_ARRAY(arena, struct shown, OUTBOX_ROWS);
    if (!rows || !open || show_rows(app, chat, range, rows, &count, arena) != STATUS_OK) {
        app_say(app, "the profile cannot be read");
        return APP_FAILURE;
    }
    for (size_t i = 0; i < count; i++)
        if (!show_message(app, chat, &rows[i]))
            return APP_OK;
    if (options->before)
        return APP_OK;
    if (show_outbox(app, chat, open, OUTBOX_ROWS, &count, arena) != STATUS_OK)
        return APP_FAILURE;
    for (size_t i = 0; i < count; i++)
        if (!show_message(app, chat, &open[i]))
            return APP_OK;
    return APP_OK;
}

enum app_exit command_history(struct app *app)
{
    enum app_exit ending = app_open(app, PROFILE_LOOK);
    if (ending == APP_GOES_ON)
        ending = sync_to_look(app);
    if (ending != APP_GOES_ON)
        return ending;
    const struct client_chat *chat = app_chat_named(app, app->options.words[0]);
    if (!chat)
        return no_chat(app, app->options.words[0]);
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    ending = show_history(app, chat, &arena);
    arena_deinit(&arena);
    return ending;
}

/* ---- read ---- */

/* The number that ID means: a cseq, or the mid of a stored message; 0: none. */
static uint64_t find_message(struct app *app, const struct client_chat *chat, const char *id)
{
    struct arena arena;
    uint64_t found = 0;
    if (strlen(id) < 20 && strspn(id, "0123456789") == strlen(id))
        return strtoull(id, NULL, 10);
    arena_init(&arena, ARENA_BYTES_MAX);
    struct shown *page = ARENA_ARRAY(&arena, struct shown, PAGE_ROWS);
    struct show_range range = {.from = 1, .to = UINT64_MAX, .max = PAGE_ROWS};
    size_t count = PAGE_ROWS;
    while (page && !found && count == PAGE_ROWS &&
           show_rows(app, chat, range, page, &count, &arena) == STATUS_OK) {
        for (size_t i = 0; i < count && !found; i++) {
            char mid[2 * ID_BYTES + 1] = "";
            for (size_t k = 0; k < page[i].row.mid.bytes && k < ID_BYTES; k++)
                (void)snprintf(mid + 2 * k, 3, "%02x", page[i].row.mid.at[k]);
            found = strcmp(mid, id) == 0 ? page[i].cseq : 0;
        }
        range.from = count ? page[count - 1].cseq + 1 : 0;
    }
    arena_deinit(&arena);
    return found;
}

static void show_read(struct app *app, const struct client_chat *chat)
{
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "read");
        json_id(&json, "chat_id", slice_make(chat->id, ID_BYTES));
        json_number(&json, "read_upto", chat->own_read);
        json_number(&json, "head", chat->head);
        (void)app_write(json_end(&json));
        return;
    }
    struct buf buf = buf_over(app->line, APP_LINE_BYTES);
    buf_text(&buf, "@");
    app_peer_name(app, chat, &buf);
    buf_text(&buf, ": read up to message ");
    buf_decimal(&buf, chat->own_read);
    buf_text(&buf, " of ");
    buf_decimal(&buf, chat->head);
    buf_text(&buf, "\n");
    (void)app_write(buf_slice(&buf));
}

static enum app_exit read_upto(struct app *app, const struct client_chat *chat, uint64_t upto)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    command.body.read =
        (struct pb_command_read){.chat_id = slice_make(chat->id, ID_BYTES), .upto = upto};
    enum app_exit ending = app_ask(app, &command);
    bool stepped;
    while (ending == APP_GOES_ON && chat->read_wish) { /* until the server has it, too */
        ending = app_turn(app, UINT64_MAX, &stepped);
        if (ending == APP_GOES_ON && !stepped && app_is_over(app)) {
            app_say(app, "marked here; the server is told when parley next connects");
            return APP_NETWORK;
        }
    }
    if (ending != APP_GOES_ON)
        return ending;
    show_read(app, chat);
    return APP_OK;
}

enum app_exit command_read(struct app *app)
{
    enum app_exit ending = app_open(app, PROFILE_USE);
    if (ending == APP_GOES_ON)
        ending = app_sync(app);
    if (ending != APP_GOES_ON)
        return ending;
    const struct client_chat *chat = app_chat_named(app, app->options.words[0]);
    if (!chat)
        return no_chat(app, app->options.words[0]);
    const char *id = app->options.words_count == 2 ? app->options.words[1] : NULL;
    uint64_t upto = id ? find_message(app, chat, id) : chat->head;
    if (id && (upto == 0 || upto > chat->head)) { /* a mark is never moved by a typing error */
        app_say(app,
                "there is no message '%s' in this chat, and nothing was marked; the newest is "
                "%" PRIu64,
                id, chat->head);
        return APP_USAGE;
    }
    if (upto > 0)
        return read_upto(app, chat, upto);
    show_read(app, chat); /* an empty chat */
    return APP_OK;
}
