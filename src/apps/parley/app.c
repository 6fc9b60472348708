/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/app.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_TOLD_MS 500 /* shorter waits are not worth a line */

bool app_write(struct slice bytes)
{
    while (bytes.bytes) {
        ssize_t gone = write(STDOUT_FILENO, bytes.at, bytes.bytes);
        if (gone < 0 && errno == EINTR)
            continue;
        if (gone <= 0)
            return false;
        bytes = slice_sub(bytes, (size_t)gone, bytes.bytes);
    }
    return true;
}

void app_warn_clear(void)
{
    if (!e2ee_encrypts())
        app_note("messages of this version are not end-to-end encrypted yet (the server can read "
                 "them), and its data will not be carried over to the next");
}

/* ---- open ---- */

static enum app_exit cannot_open(struct app *app, const struct failure *failure)
{
    switch (failure->status) {
    case STATUS_NOT_FOUND:
        app_say(app,
                "nobody is signed in as profile '%s'; begin with: parley --profile %s register "
                "--server http://127.0.0.1:8787 --username NAME --invite SECRET",
                app->options.profile, app->options.profile);
        return APP_AUTH;
    case STATUS_CONFLICT:
        app_say(app, "%s; end it first, or use another --profile", failure->text);
        return APP_FAILURE;
    case STATUS_INVALID: app_say(app, "%s", failure->text); return APP_USAGE;
    case STATUS_UNSUPPORTED:
        app_say(app, "%s: this profile needs another version of parley", failure->text);
        return APP_FAILURE;
    case STATUS_CORRUPT:
        app_say(app, "the profile in %s is damaged (%s); move it away and use parley login",
                app->host.profile.folder, failure->text);
        return APP_FAILURE;
    case STATUS_OK:
    case STATUS_AGAIN:
    case STATUS_TOO_LARGE:
    case STATUS_DENIED:
    case STATUS_BUSY:
    case STATUS_TIMEOUT:
    case STATUS_CLOSED:
    case STATUS_IO:
    default:
        app_say(app, "the profile in %s cannot be opened: %s", app->host.profile.folder,
                failure->text);
        return APP_FAILURE;
    }
}

enum app_exit app_open(struct app *app, enum profile_mode mode)
{
    const struct options *options = &app->options;
    struct failure failure = {.status = STATUS_OK, .text = ""};
    app->deadline_ms =
        host_mono_ms() + (options->has_timeout ? options->timeout_ms : APP_TIMEOUT_MS);
    app->patient = options->has_timeout;
    if (profile_find(&app->host.profile, options->profile, options->profile_dir, &failure) !=
            STATUS_OK ||
        profile_open(&app->host.profile, mode, &failure) != STATUS_OK)
        return cannot_open(app, &failure);
    if (options->ca && secure_ca_keep(app->host.profile.folder, options->ca, &failure) != STATUS_OK)
        return cannot_open(app, &failure);
    if (host_open(&app->host, options->offline) != STATUS_OK)
        return cannot_open(app, &app->host.failure);
    app->state = app->host.client.state;
    if (mode == PROFILE_MAKE || app->host.client.enrolled)
        return APP_GOES_ON;
    failure.status = STATUS_NOT_FOUND;
    return cannot_open(app, &failure);
}

void app_close(struct app *app)
{
    host_close(&app->host);
}

/* ---- turns ---- */

static void text_take(char *out, size_t capacity, struct slice text)
{
    struct buf buf = buf_over(out, capacity - 1);
    buf_put(&buf, slice_sub(text, 0, capacity - 1));
    out[buf.bytes] = '\0';
}

static void result_take(struct app *app, const struct pb_notice_result *result)
{
    struct app_result *out = &app->result;
    if (result->request != app->awaited || app->awaited == 0)
        return;
    *out =
        (struct app_result){.arrived = true, .error = result->error, .retry_ms = result->retry_ms};
    text_take(out->detail, sizeof out->detail, result->detail);
    text_take(out->text, sizeof out->text, result->text);
    (void)id_take(out->mid, result->mid);
    (void)id_take(out->chat, result->chat_id);
    for (size_t i = 0; i < result->devices_count && i < APP_DEVICES_MAX; i++) {
        const struct pb_device_line *line = &result->devices[i];
        (void)id_take(out->devices[i].id, line->device_id);
        text_take(out->devices[i].name, sizeof out->devices[i].name, line->name);
        out->devices[i].this_device = line->this_device;
        out->devices[i].added_n = line->added_n;
        out->devices_count = i + 1;
    }
}

static void notices_take(struct app *app)
{
    for (size_t i = 0; i < app->host.out.notices_count; i++) {
        const struct pb_notice *notice = &app->host.out.notices[i];
        if (notice->body_case == PB_NOTICE_BODY_RESULT)
            result_take(app, &notice->body.result);
        if (notice->body_case != PB_NOTICE_BODY_STATE)
            continue;
        app->state = notice->body.state.state;
        struct slice detail = notice->body.state.detail;
        if (detail.bytes && app->keeps_news)
            text_take(app->news, sizeof app->news, detail);
        else if (detail.bytes)
            app_say(app, "%.*s", (int)detail.bytes, (const char *)detail.at);
    }
}

static enum app_exit no_network(struct app *app)
{
    const struct host *host = &app->host;
    app_say(app, "cannot reach the server at %s://%s: %s%s", host->address.tls ? "https" : "http",
            host->address.host, host->trouble,
            host->secure.trouble ? "" : "; is parleyd running there?");
    return APP_NETWORK;
}

static enum app_exit state_ending(struct app *app)
{
    switch (app->state) {
    case PB_CLIENT_STATE_SIGNED_OUT:
        app_say(app, "this device was signed out from another one; its data here is deleted");
        return APP_AUTH;
    case PB_CLIENT_STATE_FENCED:
        app_say(app, "this device is connected from elsewhere: was the profile copied?");
        return APP_FAILURE;
    case PB_CLIENT_STATE_SUSPENDED:
        app_say(app, "the operator of the server suspended this account; nothing here was deleted. "
                     "Ask whoever runs the server");
        return APP_AUTH;
    case PB_CLIENT_STATE_CLONED:
        app_say(
            app,
            "two copies of this profile are in use; delete one of them, and sign in anew there");
        return APP_FAILURE;
    case PB_CLIENT_STATE_UPDATE_NEEDED:
        app_say(app, "the server speaks another version of the protocol; update Parley");
        return APP_FAILURE;
    case PB_CLIENT_STATE_NEW:
    case PB_CLIENT_STATE_OFFLINE:
    case PB_CLIENT_STATE_CONNECTING:
    case PB_CLIENT_STATE_SYNCING:
    case PB_CLIENT_STATE_SYNCED:
    default: return APP_GOES_ON;
    }
}

/* Say once that the connection is gone, and once that it is back. */
static void tell_connection(struct app *app)
{
    const struct host *host = &app->host;
    uint64_t now = host_mono_ms();
    if (app->state == PB_CLIENT_STATE_SYNCED && app->told_lost) {
        app->told_lost = false;
        (void)snprintf(app->news, sizeof app->news, "connected again");
    } else if (app->state == PB_CLIENT_STATE_OFFLINE && !app->told_lost && !host->offline) {
        uint64_t wait = host->client.retry_at > now ? host->client.retry_at - now : 0;
        app->told_lost = true;
        if (!host->client.doubt) /* else that was told */
            (void)snprintf(app->news, sizeof app->news, "%s; trying again in %" PRIu64 " s",
                           host->trouble[0] ? host->trouble : "the server is busy and asks to wait",
                           (wait + 999) / 1000);
    }
    if (!app->keeps_news && app->news[0]) {
        app_note("%s", app->news);
        app->news[0] = '\0';
    }
}

/* It answers, and is not this profile's server. (That it does not know the device may pass.) */
static bool is_other(const struct host *host)
{
    return !host->offline && (host->client.doubt == CLIENT_DOUBT_SERVER ||
                              host->client.doubt == CLIENT_DOUBT_ACCOUNT);
}

enum app_exit app_turn(struct app *app, uint64_t until_ms, bool *stepped)
{
    uint64_t until = until_ms < app->deadline_ms ? until_ms : app->deadline_ms;
    enum host_turn turn = host_turn(&app->host, until);
    *stepped = turn == HOST_STEPPED;
    if (turn == HOST_FAILED) {
        app_say(app, "%s", app->host.failure.text);
        return APP_FAILURE;
    }
    if (*stepped)
        notices_take(app);
    enum app_exit ending = state_ending(app);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->host.refused > 0 && !app->patient && app->host.ups == 0 && !app->host.offline)
        return no_network(app);
    if (is_other(&app->host) && !app->patient)
        return APP_IDENTITY;
    if (*stepped && app->patient)
        tell_connection(app);
    return APP_GOES_ON;
}

bool app_is_over(const struct app *app)
{
    return host_mono_ms() >= app->deadline_ms;
}

static enum app_exit out_of_time(struct app *app)
{
    if (app->host.client.doubt)
        return APP_IDENTITY; /* why was told */
    if (app->host.refused > 0 || app->host.ups == 0)
        return no_network(app);
    app_say(app, "the server gave no answer in time; try again, or with a longer --timeout");
    return APP_NETWORK;
}

enum app_exit app_sync(struct app *app)
{
    bool stepped;
    while (app->state != PB_CLIENT_STATE_SYNCED) {
        enum app_exit ending = app_turn(app, UINT64_MAX, &stepped);
        if (ending != APP_GOES_ON)
            return ending;
        if (!stepped && app_is_over(app))
            return out_of_time(app);
    }
    return APP_GOES_ON;
}

enum app_exit app_command(struct app *app, struct pb_event_command *command)
{
    command->request = app->awaited = ++app->commands;
    app->result = (struct app_result){.arrived = false};
    if (host_command(&app->host, command) == HOST_FAILED) {
        app_say(app, "%s", app->host.failure.text);
        return APP_FAILURE;
    }
    notices_take(app);
    return APP_GOES_ON;
}

enum app_exit app_ask(struct app *app, struct pb_event_command *command)
{
    enum app_exit ending = app_command(app, command);
    bool stepped;
    while (ending == APP_GOES_ON && !app->result.arrived) {
        ending = app_turn(app, UINT64_MAX, &stepped);
        if (ending == APP_GOES_ON && !stepped && app_is_over(app))
            return out_of_time(app);
    }
    if (ending == APP_GOES_ON && app->result.error)
        return app_tell_error(app, &app->result);
    return ending;
}

bool app_must_wait(struct app *app, const struct client_chat *chat, char *out, size_t capacity)
{
    uint64_t now = host_mono_ms();
    bool waits = app->host.client.synced && chat->resend && chat->resend_at > now + WAIT_TOLD_MS;
    bool is_new = waits && !app->told_wait;
    if (waits || app->host.client.outbox_count == 0)
        app->told_wait = waits;
    if (is_new)
        (void)snprintf(out, capacity,
                       "the server asks to wait; what is kept goes out by itself, next in %" PRIu64
                       " s",
                       (chat->resend_at - now + 999) / 1000);
    return is_new;
}

/* ---- names ---- */

static bool id_of_hex(const char *text, uint8_t id[ID_BYTES])
{
    if (strlen(text) != 2 * ID_BYTES || strspn(text, "0123456789abcdef") != 2 * ID_BYTES)
        return false;
    for (size_t i = 0; i < ID_BYTES; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        id[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return true;
}

struct client_chat *app_chat_named(struct app *app, const char *name)
{
    struct client *client = &app->host.client;
    uint8_t id[ID_BYTES];
    if (id_of_hex(name, id) && client_chat_find(client, id))
        return client_chat_find(client, id);
    const struct client_user *user =
        client_user_named(client, slice_text(name[0] == '@' ? name + 1 : name));
    for (uint32_t i = 0; user && i < client->chat_count; i++)
        if (memcmp(client->chats[i]->peer, user->id, ID_BYTES) == 0)
            return client->chats[i];
    return NULL;
}

bool app_is_broken(const struct app *app, const char *name)
{
    const struct client *client = &app->host.client;
    const struct client_user *user =
        client_user_named(client, slice_text(name[0] == '@' ? name + 1 : name));
    uint8_t id[ID_BYTES];
    const struct client_chat *chat = id_of_hex(name, id) ? client_chat_find(client, id) : NULL;
    if (chat)
        user = client_user_find(client, chat->peer);
    return user && user->broken;
}

void app_peer_name(struct app *app, const struct client_chat *chat, struct buf *out)
{
    const struct client_user *user = client_user_find(&app->host.client, chat->peer);
    if (user && user->username.bytes) {
        buf_put(out, user->username);
        return;
    }
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 4; i++) {
        buf_u8(out, (uint8_t)digits[chat->peer[i] >> 4]);
        buf_u8(out, (uint8_t)digits[chat->peer[i] & 15]);
    }
}
