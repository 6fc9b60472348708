/* SPDX-License-Identifier: Apache-2.0
 * chat: a conversation, line by line. Everything appears in the order of the chat's log; a line of
 * one's own appears when it has its place there, and until then is kept (clock). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/parley/commands.h"
#include "apps/parley/line.h"
#include "apps/parley/show.h"
#include "base/utf8.h"

#define OWN_MAX        1024
#define PAGE_ROWS      128
#define RECENT_ROWS    10u
#define OUTBOX_FULL    512  /* stdin waits */
#define LAST_LINES     (-2) /* as watch_fd: the input is over, what waits still goes out */
#define TALK_BYTES_MAX ((size_t)64 << 20)

struct own {
    uint8_t mid[ID_BYTES];
    uint64_t cseq; /* 0: not in the log yet */
    enum pb_tick tick, told;
};

struct talk {
    struct app *app;
    const struct client_chat *chat;
    struct line line;
    struct arena arena;
    uint64_t shown; /* up to here it is on the screen */
    struct own own[OWN_MAX];
    size_t own_count;
    bool hidden; /* the prompt is wiped, to be drawn again */
    bool closed; /* nobody reads stdout */
    bool quit;
    enum app_exit worst; /* of refused lines */
};

static void hide(struct talk *talk)
{
    if (!talk->hidden)
        line_hide(&talk->line);
    talk->hidden = true;
}

/* ---- own messages and their ticks ---- */

static struct own *own_find(struct talk *talk, struct slice mid)
{
    for (size_t i = 0; i < talk->own_count; i++)
        if (slice_equal(mid, slice_make(talk->own[i].mid, ID_BYTES)))
            return &talk->own[i];
    return NULL;
}

static struct own *own_add(struct talk *talk, struct slice mid)
{
    if (talk->own_count == OWN_MAX) { /* the oldest; its ticks are shown by history */
        memmove(talk->own, talk->own + 1, (OWN_MAX - 1) * sizeof *talk->own);
        talk->own_count--;
    }
    struct own *own = &talk->own[talk->own_count++];
    *own = (struct own){.tick = PB_TICK_CLOCK, .told = PB_TICK_CLOCK};
    (void)id_take(own->mid, mid);
    return own;
}

static void tick_json(struct talk *talk, const struct own *own)
{
    struct app *app = talk->app;
    struct json json;
    json_begin(&json, app->line, APP_LINE_BYTES, "tick");
    json_id(&json, "chat_id", slice_make(talk->chat->id, ID_BYTES));
    json_id(&json, "mid", slice_make(own->mid, ID_BYTES));
    if (own->cseq)
        json_number(&json, "cseq", own->cseq);
    json_text(&json, "tick", slice_text(text_tick_name(own->tick)));
    json_time(&json, "time", host_wall_ms());
    talk->closed |= !app_write(json_end(&json));
}

/* "✓✓ delivered", with how many if there is more than one. */
static void tick_line(struct talk *talk, enum pb_tick tick, size_t count)
{
    struct buf buf = buf_over(talk->app->line, APP_LINE_BYTES);
    hide(talk);
    buf_text(&buf, "      ");
    buf_text(&buf, text_tick_sign(tick));
    buf_text(&buf, " ");
    buf_text(&buf, text_tick_words(tick));
    if (count > 1) {
        buf_text(&buf, " (");
        buf_decimal(&buf, count);
        buf_text(&buf, " messages)");
    }
    buf_text(&buf, "\n");
    talk->closed |= !app_write(buf_slice(&buf));
}

static void tell_ticks(struct talk *talk)
{
    size_t risen[PB_TICK_FAILED + 1] = {0};
    for (size_t i = 0; i < talk->own_count; i++) {
        struct own *own = &talk->own[i];
        if (own->cseq)
            own->tick = client_tick(talk->chat, own->cseq);
        if (own->tick == own->told)
            continue;
        own->told = own->tick;
        risen[own->tick]++;
        if (talk->app->options.json)
            tick_json(talk, own);
    }
    /* ✓ stands on the line itself */
    for (int tick = PB_TICK_DELIVERED; tick <= PB_TICK_READ && !talk->app->options.json; tick++)
        if (risen[tick])
            tick_line(talk, (enum pb_tick)tick, risen[tick]);
}

static void on_failed(struct talk *talk, const struct pb_notice_tick *tick)
{
    struct app_result result = {.error = tick->reason};
    hide(talk);
    app_say(talk->app, "a message was refused, for good:");
    talk->worst = app_tell_error(talk->app, &result);
}

static void on_notices(struct talk *talk)
{
    const struct pb_host_effects *out = &talk->app->host.out;
    for (size_t i = 0; i < out->notices_count; i++) {
        const struct pb_notice_tick *tick = &out->notices[i].body.tick;
        if (out->notices[i].body_case != PB_NOTICE_BODY_TICK ||
            !slice_equal(tick->chat_id, slice_make(talk->chat->id, ID_BYTES)))
            continue;
        struct own *own = own_find(talk, tick->mid);
        if (!own)
            continue;
        own->cseq = tick->cseq ? tick->cseq : own->cseq;
        own->tick = tick->tick;
        if (tick->tick == PB_TICK_FAILED)
            on_failed(talk, tick);
    }
}

/* ---- the timeline ---- */

static void show_one(struct talk *talk, const struct shown *shown)
{
    if (!shown->row.system && show_is_own(talk->app, shown)) {
        struct own *own = own_find(talk, shown->row.mid);
        if (!own)
            own = own_add(talk, shown->row.mid); /* of another device of ours, or of before */
        own->cseq = shown->cseq;
        own->tick = shown->tick;
        if (!talk->app->options.json)
            own->told = shown->tick; /* it stands on the line */
    }
    hide(talk);
    talk->closed |= !show_message(talk->app, talk->chat, shown);
}

static enum app_exit show_new(struct talk *talk)
{
    uint64_t upto = talk->shown;
    bool others = false;
    for (uint32_t i = 0; i < talk->chat->span_count; i++)
        if (talk->chat->spans[i].to > upto &&
            (talk->chat->spans[i].from <= upto + 1 || talk->chat->load_upto == 0))
            upto = talk->chat->spans[i].to;
    while (talk->shown < upto && !talk->closed) {
        arena_reset(&talk->arena);
        struct shown *page = ARENA_ARRAY(&talk->arena, struct shown, PAGE_ROWS);
        struct show_range range = {.from = talk->shown + 1, .to = upto, .max = PAGE_ROWS};
        size_t count = 0;
        if (!page ||
            show_rows(talk->app, talk->chat, range, page, &count, &talk->arena) != STATUS_OK) {
            app_say(talk->app, "the profile cannot be read");
            return APP_FAILURE;
        }
        for (size_t i = 0; i < count; i++) {
            others |= !show_is_own(talk->app, &page[i]);
            show_one(talk, &page[i]);
        }
        talk->shown = count == PAGE_ROWS ? page[count - 1].cseq : upto;
    }
    if (!others)
        return APP_GOES_ON;
    struct pb_event_command read = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    read.body.read = (struct pb_command_read){.chat_id = slice_make(talk->chat->id, ID_BYTES),
                                              .upto = talk->shown};
    return app_command(talk->app, &read);
}

/* All that was not read, and at least the last few. */
static void begin_at_unread(struct talk *talk)
{
    const struct client_chat *chat = talk->chat;
    uint64_t recent = chat->head > RECENT_ROWS ? chat->head - RECENT_ROWS : 0;
    talk->shown = chat->own_read < recent ? chat->own_read : recent;
}

/* ---- what is typed ---- */

static enum app_exit send_line(struct talk *talk, struct slice text)
{
    struct app *app = talk->app;
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_SEND};
    command.body.send =
        (struct pb_command_send){.chat_id = slice_make(talk->chat->id, ID_BYTES), .text = text};
    enum app_exit ending = app_command(app, &command);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->result.arrived && app->result.error) {
        hide(talk);
        talk->worst = app_is_broken(app, app->options.words[0])
                          ? app_tell_broken(app, app->options.words[0])
                          : app_tell_error(app, &app->result);
        return APP_GOES_ON;
    }
    struct own *own = own_add(talk, slice_make(app->result.mid, ID_BYTES));
    on_notices(talk);
    if (app->options.json)
        tick_json(talk, own);
    else if (app->state != PB_CLIENT_STATE_SYNCED)
        tick_line(talk, PB_TICK_CLOCK, 1);
    return APP_GOES_ON;
}

static enum app_exit on_line(struct talk *talk, struct slice text)
{
    if (text.bytes && text.at[text.bytes - 1] == '\r')
        text.bytes--;
    hide(talk);
    if (text.bytes == 0)
        return APP_GOES_ON;
    if (!utf8_valid(text)) {
        app_say(talk->app, "that line is not UTF-8; it was not sent");
        talk->worst = APP_USAGE;
        return APP_GOES_ON;
    }
    if (talk->line.terminal && text.at[0] == '/' && text.bytes > 1 && text.at[1] != '/') {
        talk->quit = slice_equal(text, SLICE_LITERAL("/quit"));
        if (!talk->quit)
            app_note("/quit ends the conversation; a message that begins with / begins with //");
        return APP_GOES_ON;
    }
    if (talk->line.terminal && text.bytes > 1 && text.at[0] == '/')
        text = slice_sub(text, 1, text.bytes);
    return send_line(talk, text);
}

static enum app_exit on_input(struct talk *talk)
{
    struct slice text;
    enum app_exit ending = APP_GOES_ON;
    line_read(&talk->line);
    while (ending == APP_GOES_ON && !talk->quit &&
           talk->app->host.client.outbox_count < OUTBOX_FULL && line_next(&talk->line, &text))
        ending = on_line(talk, text);
    hide(talk); /* what was typed is drawn again */
    return ending;
}

/* ---- the loop ---- */

static size_t unsent(const struct talk *talk)
{
    size_t count = 0;
    for (size_t i = 0; i < talk->own_count; i++)
        count += talk->own[i].tick == PB_TICK_CLOCK;
    return count;
}

static enum app_exit ended(struct talk *talk)
{
    if (unsent(talk)) {
        app_say(talk->app,
                "%zu message(s) are kept on this device, and go out when parley next connects",
                unsent(talk));
        return APP_NETWORK;
    }
    return talk->worst;
}

/* The input is over: at a terminal that is all; a pipe's last lines still go out. */
static bool is_over(struct talk *talk)
{
    bool was_over = talk->app->host.watch_fd == LAST_LINES;
    if (talk->quit || talk->closed || talk->line.stopped_by)
        return true;
    if (!talk->line.over || talk->line.pending_at < talk->line.pending_count)
        return false;
    if (talk->line.terminal || unsent(talk) == 0)
        return true;
    if (!was_over) { /* from now on there is an end to waiting */
        uint64_t last =
            host_mono_ms() +
            (talk->app->options.has_timeout ? talk->app->options.timeout_ms : APP_TIMEOUT_MS);
        talk->app->deadline_ms = last < talk->app->deadline_ms ? last : talk->app->deadline_ms;
        talk->app->host.watch_fd = LAST_LINES;
    }
    return false;
}

static void tell_news(struct talk *talk)
{
    struct app *app = talk->app;
    if (app->news[0] == '\0' && !app_must_wait(app, talk->chat, app->news, sizeof app->news))
        return;
    hide(talk);
    app_note("%s", app->news);
    app->news[0] = '\0';
}

static void before_turn(struct talk *talk)
{
    struct app *app = talk->app;
    bool full = app->host.client.outbox_count >= OUTBOX_FULL;
    if (app->host.watch_fd != LAST_LINES)
        app->host.watch_fd = line_fd(&talk->line, !full);
    if (talk->hidden)
        line_draw(&talk->line);
    talk->hidden = false;
}

static enum app_exit talk_turn(struct talk *talk)
{
    struct app *app = talk->app;
    bool stepped;
    before_turn(talk);
    enum app_exit ending = app_turn(app, UINT64_MAX, &stepped);
    if (ending != APP_GOES_ON)
        return ending;
    tell_news(talk);
    on_notices(talk);
    if (!stepped && app_is_over(app))
        return ended(talk);
    if (stepped)
        ending = show_new(talk);
    tell_ticks(talk);
    if (ending == APP_GOES_ON && (!stepped || talk->line.pending_at < talk->line.pending_count))
        ending = on_input(talk);
    return ending;
}

static enum app_exit talk_on(struct talk *talk)
{
    while (!is_over(talk)) {
        enum app_exit ending = talk_turn(talk);
        if (ending != APP_GOES_ON)
            return ending;
    }
    return ended(talk);
}

/* Make the chat known; a name that was never looked up needs the server. */
static enum app_exit find_chat(struct talk *talk)
{
    struct app *app = talk->app;
    const char *name = app->options.words[0];
    talk->chat = app_chat_named(app, name);
    if (talk->chat)
        return APP_GOES_ON;
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_OPEN};
    command.body.open.username = slice_text(name[0] == '@' ? name + 1 : name);
    enum app_exit ending = app_sync(app);
    if (ending == APP_GOES_ON)
        ending = app_ask(app, &command);
    if (ending != APP_GOES_ON)
        return ending;
    talk->chat = client_chat_find(&app->host.client, app->result.chat);
    return talk->chat ? APP_GOES_ON : APP_FAILURE;
}

enum app_exit command_chat(struct app *app)
{
    static struct talk talk;
    talk.app = app;
    talk.worst = APP_OK;
    enum app_exit ending = app_open(app, PROFILE_USE);
    if (ending == APP_GOES_ON)
        app_warn_clear();
    if (ending == APP_GOES_ON)
        ending = find_chat(&talk);
    if (ending != APP_GOES_ON)
        return ending;
    app->patient = app->keeps_news = true;
    if (!app->options.has_timeout)
        app->deadline_ms = UINT64_MAX;
    arena_init(&talk.arena, TALK_BYTES_MAX);
    line_open(&talk.line);
    if (talk.line.terminal)
        app_note("talking with %s; Ctrl-D ends it", app->options.words[0]);
    talk.hidden = true;
    begin_at_unread(&talk);
    ending = show_new(&talk);
    if (ending == APP_GOES_ON)
        ending = talk_on(&talk);
    line_hide(&talk.line);
    app->stopped_by = talk.line.stopped_by;
    line_close(&talk.line);
    arena_deinit(&talk.arena);
    return ending;
}
