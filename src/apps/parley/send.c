/* SPDX-License-Identifier: Apache-2.0
 * send: the message is stored first (clock), then it goes until the tick that was asked for. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/parley/commands.h"
#include "apps/parley/text.h"
#include "base/utf8.h"

#define TO_MAX         32
#define TEXT_BYTES_MAX 16384

struct sending {
    const char *to;
    uint32_t request;
    bool answered, told, refused;
    enum app_exit ending; /* if refused or failed */
    uint8_t chat[ID_BYTES], mid[ID_BYTES];
    uint64_t cseq; /* 0: not known yet */
    enum pb_tick tick;
};

struct sender {
    struct app *app;
    struct sending sendings[TO_MAX];
    size_t count;
};

static size_t read_stdin(uint8_t *out)
{
    size_t bytes = 0;
    ssize_t got = 1;
    while (bytes <= TEXT_BYTES_MAX && got != 0) {
        got = read(STDIN_FILENO, out + bytes, TEXT_BYTES_MAX + 1 - bytes);
        if (got < 0 && errno != EINTR)
            break;
        bytes += got > 0 ? (size_t)got : 0;
    }
    while (bytes && bytes <= TEXT_BYTES_MAX && out[bytes - 1] == '\n')
        bytes--; /* the end that echo adds */
    return bytes;
}

static bool check_text(struct app *app, const uint8_t *text, size_t bytes)
{
    if (bytes > TEXT_BYTES_MAX)
        app_say(app, "that is too long: 16 KiB of text at most; nothing was sent");
    else if (bytes == 0)
        app_say(app, "the text is empty; nothing was sent");
    else if (!utf8_valid(slice_make(text, bytes)))
        app_say(app, "the text is not UTF-8; nothing was sent");
    else
        return true;
    return false;
}

/* The text: -m, or all of stdin; false: told. */
static bool read_text(struct app *app, uint8_t *out, size_t *bytes)
{
    const struct options *options = &app->options;
    *bytes = 0;
    if (!options->message) {
        app_say(app, "say what: -m TEXT, or -m - to read it from stdin");
        return false;
    }
    if (strcmp(options->message, "-") != 0) {
        struct slice text = slice_text(options->message);
        *bytes = text.bytes;
        if (text.bytes <= TEXT_BYTES_MAX)
            memcpy(out, text.at, text.bytes);
    } else {
        *bytes = read_stdin(out);
    }
    return check_text(app, out, *bytes);
}

static void show(struct sender *sender, struct sending *sending)
{
    struct app *app = sender->app;
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "tick");
        json_text(&json, "to", slice_text(sending->to[0] == '@' ? sending->to + 1 : sending->to));
        json_id(&json, "chat_id", slice_make(sending->chat, ID_BYTES));
        json_id(&json, "mid", slice_make(sending->mid, ID_BYTES));
        if (sending->cseq)
            json_number(&json, "cseq", sending->cseq);
        json_text(&json, "tick", slice_text(text_tick_name(sending->tick)));
        json_time(&json, "time", host_wall_ms());
        (void)app_write(json_end(&json));
        return;
    }
    struct buf buf = buf_over(app->line, APP_LINE_BYTES);
    buf_text(&buf, text_tick_sign(sending->tick));
    buf_text(&buf, " ");
    text_neutral(&buf, slice_text(sending->to), -1);
    buf_text(&buf, ": ");
    buf_text(&buf, text_tick_words(sending->tick));
    buf_text(&buf, "\n");
    (void)app_write(buf_slice(&buf));
}

static void raise_tick(struct sender *sender, struct sending *sending, enum pb_tick tick)
{
    if (sending->told && (tick <= sending->tick || sending->tick == PB_TICK_FAILED))
        return;
    sending->told = true;
    sending->tick = tick;
    show(sender, sending);
}

static void on_result(struct sender *sender, const struct pb_notice_result *result)
{
    for (size_t i = 0; i < sender->count; i++) {
        struct sending *sending = &sender->sendings[i];
        if (sending->request != result->request || sending->answered)
            continue;
        sending->answered = true;
        if (result->error) { /* app_turn copied it: it is the one that is awaited, or not */
            struct app_result told = {.error = result->error, .retry_ms = result->retry_ms};
            struct slice detail = slice_sub(result->detail, 0, sizeof told.detail - 1);
            if (detail.bytes)
                memcpy(told.detail, detail.at, detail.bytes);
            sending->refused = true;
            if (app_is_broken(sender->app, sending->to)) {
                sending->ending = app_tell_broken(sender->app, sending->to);
                return;
            }
            app_say(sender->app, "not sent to %s:", sending->to);
            sending->ending = app_tell_error(sender->app, &told);
            return;
        }
        (void)id_take(sending->mid, result->mid);
        (void)id_take(sending->chat, result->chat_id);
        raise_tick(sender, sending, PB_TICK_CLOCK);
    }
}

static void on_tick(struct sender *sender, const struct pb_notice_tick *tick)
{
    for (size_t i = 0; i < sender->count; i++) {
        struct sending *sending = &sender->sendings[i];
        if (!sending->answered || memcmp(sending->mid, tick->mid.at, ID_BYTES) != 0)
            continue;
        if (tick->cseq)
            sending->cseq = tick->cseq;
        raise_tick(sender, sending, tick->tick);
        if (tick->tick != PB_TICK_FAILED)
            continue;
        struct app_result told = {.error = tick->reason};
        app_say(sender->app, "refused, for good:");
        sending->refused = true;
        sending->ending = app_tell_error(sender->app, &told);
    }
}

/* Notices of this step, results first: a tick may come in the very step of its message. */
static void on_notices(struct sender *sender)
{
    const struct pb_host_effects *out = &sender->app->host.out;
    for (size_t i = 0; i < out->notices_count; i++)
        if (out->notices[i].body_case == PB_NOTICE_BODY_RESULT)
            on_result(sender, &out->notices[i].body.result);
    for (size_t i = 0; i < out->notices_count; i++)
        if (out->notices[i].body_case == PB_NOTICE_BODY_TICK)
            on_tick(sender, &out->notices[i].body.tick);
    for (size_t i = 0; i < sender->count; i++) {
        struct sending *sending = &sender->sendings[i];
        const struct client_chat *waiting =
            sending->answered ? client_chat_find(&sender->app->host.client, sending->chat) : NULL;
        char news[160];
        if (waiting && app_must_wait(sender->app, waiting, news, sizeof news))
            app_note("%s", news);
        const struct client_chat *chat =
            sending->cseq ? client_chat_find(&sender->app->host.client, sending->chat) : NULL;
        if (chat && !sending->refused)
            raise_tick(sender, sending, client_tick(chat, sending->cseq));
        if (!chat && !sending->refused && app_is_broken(sender->app, sending->to)) {
            sending->refused = true; /* kept, but it will not go */
            sending->ending = app_tell_broken(sender->app, sending->to);
        }
    }
}

static bool is_done(const struct sender *sender, const struct sending *sending)
{
    static const enum pb_tick wanted[] = {PB_TICK_SENT, PB_TICK_DELIVERED, PB_TICK_READ};
    return sending->refused ||
           (sending->told && sending->tick >= wanted[sender->app->options.wait]);
}

static size_t done_count(const struct sender *sender)
{
    size_t done = 0;
    for (size_t i = 0; i < sender->count; i++)
        done += is_done(sender, &sender->sendings[i]);
    return done;
}

/* The time is over, or the network gone: what became of each. */
static enum app_exit unfinished(const struct sender *sender, enum app_exit ending)
{
    bool some = false;
    for (size_t i = 0; i < sender->count; i++) {
        const struct sending *sending = &sender->sendings[i];
        if (is_done(sender, sending)) {
            some = some || !sending->refused;
        } else if (!sending->answered) {
            app_say(sender->app,
                    "nothing was sent to %s, nor kept: the name could not be looked up; try again",
                    sending->to);
        } else if (sending->tick == PB_TICK_CLOCK) {
            app_say(sender->app,
                    "the message to %s is kept on this device, and goes out when parley next "
                    "connects; do not send it again",
                    sending->to);
        } else {
            app_say(sender->app, "the message to %s is sent, but was not %s in time", sending->to,
                    sender->app->options.wait == WAIT_READ ? "read" : "delivered");
        }
    }
    return some ? APP_PARTLY : ending;
}

static enum app_exit finished(const struct sender *sender)
{
    size_t refused = 0;
    enum app_exit ending = APP_OK;
    for (size_t i = 0; i < sender->count; i++)
        if (sender->sendings[i].refused) {
            refused++;
            ending = sender->sendings[i].ending;
        }
    return refused && refused < sender->count ? APP_PARTLY : ending;
}

static enum app_exit go(struct sender *sender, struct slice text)
{
    struct app *app = sender->app;
    bool stepped;
    for (size_t i = 0; i < app->options.words_count; i++) {
        struct sending *sending = &sender->sendings[sender->count++];
        struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_SEND};
        const struct client_chat *chat = app_chat_named(app, app->options.words[i]);
        sending->to = app->options.words[i];
        command.body.send.text = text;
        if (chat)
            command.body.send.chat_id = slice_make(chat->id, ID_BYTES);
        else
            command.body.send.to_username =
                slice_text(sending->to[0] == '@' ? sending->to + 1 : sending->to);
        sending->request = app->commands + 1;
        if (app_command(app, &command) != APP_GOES_ON)
            return APP_FAILURE;
        on_notices(sender);
    }
    while (done_count(sender) < sender->count) {
        enum app_exit ending = app_turn(app, UINT64_MAX, &stepped);
        if (stepped)
            on_notices(sender);
        if (ending != APP_GOES_ON)
            return unfinished(sender, ending);
        if (!stepped && app_is_over(app))
            return unfinished(sender, app->host.client.doubt ? APP_IDENTITY : APP_NETWORK);
    }
    return finished(sender);
}

enum app_exit command_send(struct app *app)
{
    uint8_t text[TEXT_BYTES_MAX + 1];
    size_t bytes;
    struct sender sender = {.app = app};
    if (app->options.words_count > TO_MAX || !read_text(app, text, &bytes))
        return APP_USAGE;
    enum app_exit ending = app_open(app, PROFILE_USE);
    return ending == APP_GOES_ON ? go(&sender, slice_make(text, bytes)) : ending;
}
