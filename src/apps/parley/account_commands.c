/* SPDX-License-Identifier: Apache-2.0
 * register, login, devices, invite, password. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/parley/commands.h"
#include "apps/parley/text.h"

#define PASSWORD_BYTES_MAX 256
#define ENROL_TIMEOUT_MS   60000

static struct slice device_name(const struct options *options, char *host, size_t capacity)
{
    if (options->device_name)
        return slice_sub(slice_text(options->device_name), 0, 64);
    if (gethostname(host, capacity) != 0)
        return SLICE_LITERAL("parley");
    host[capacity - 1] = '\0';
    return slice_sub(slice_text(host), 0, 64);
}

static bool read_passwords(struct app *app, char *password, size_t capacity)
{
    char again[PASSWORD_BYTES_MAX + 1];
    if (!app_password(app, "Password", password, capacity))
        return false;
    if (app->options.command == COMMAND_LOGIN || app->options.password_fd >= 0)
        return true;
    if (!app_password(app, "The same again", again, sizeof again))
        return false;
    bool same = strcmp(password, again) == 0;
    if (!same)
        app_say(app, "the two passwords differ; nothing done");
    return same;
}

static enum app_exit enrolled(struct app *app)
{
    const struct client *client = &app->host.client;
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "account");
        json_text(&json, "username", client->username);
        json_id(&json, "user_id", slice_make(client->user, ID_BYTES));
        json_id(&json, "device_id", slice_make(client->device, ID_BYTES));
        json_text(&json, "server", client->server);
        (void)app_write(json_end(&json));
    } else {
        printf("You are @%.*s on %.*s, and this device is signed in.\n",
               (int)client->username.bytes, (const char *)client->username.at,
               (int)client->server.bytes, (const char *)client->server.at);
    }
    return APP_OK;
}

static enum app_exit enrol(struct app *app)
{
    const struct options *options = &app->options;
    struct pb_event_command command = {.body_case = options->command == COMMAND_LOGIN
                                                        ? PB_EVENT_COMMAND_BODY_LOGIN
                                                        : PB_EVENT_COMMAND_BODY_REGISTER};
    struct failure failure;
    char password[PASSWORD_BYTES_MAX + 1], host[65] = "";
    if (host_server(&app->host, options->server, &failure) != STATUS_OK) {
        app_say(app, "%s", failure.text);
        return APP_USAGE;
    }
    app_warn_clear();
    if (!read_passwords(app, password, sizeof password))
        return APP_USAGE;
    if (!options->has_timeout)
        app->deadline_ms = host_mono_ms() + ENROL_TIMEOUT_MS;
    if (options->command == COMMAND_LOGIN)
        command.body.login =
            (struct pb_command_login){.server = slice_text(options->server),
                                      .username = slice_text(options->username),
                                      .password = slice_text(password),
                                      .device_name = device_name(options, host, sizeof host)};
    else
        command.body.register_ = (struct pb_command_register){
            .server = slice_text(options->server),
            .username = slice_text(options->username),
            .password = slice_text(password),
            .invite = slice_text(options->invite ? options->invite : ""),
            .device_name = device_name(options, host, sizeof host)};
    enum app_exit ending = app_ask(app, &command);
    explicit_bzero(password, sizeof password);
    if (ending == APP_GOES_ON)
        ending = app_sync(app);
    return ending == APP_GOES_ON ? enrolled(app) : ending;
}

enum app_exit command_register(struct app *app)
{
    const struct options *options = &app->options;
    if (!options->server || !options->username) {
        app_say(app, "say --server http://127.0.0.1:8787 and --username NAME");
        return APP_USAGE;
    }
    enum app_exit ending = app_open(app, PROFILE_MAKE);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->host.client.enrolled) {
        app_say(app, "profile '%s' is signed in as @%.*s already; take another --profile",
                options->profile, (int)app->host.client.username.bytes,
                (const char *)app->host.client.username.at);
        return APP_USAGE;
    }
    return enrol(app);
}

/* ---- devices ---- */

static void hex(const uint8_t id[ID_BYTES], char out[2 * ID_BYTES + 1])
{
    for (size_t i = 0; i < ID_BYTES; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static void show_device(struct app *app, size_t at)
{
    const struct app_result *result = &app->result;
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "device");
        json_id(&json, "device_id", slice_make(result->devices[at].id, ID_BYTES));
        json_text(&json, "name", slice_text(result->devices[at].name));
        json_bool(&json, "this_device", result->devices[at].this_device);
        json_number(&json, "added_n", result->devices[at].added_n);
        (void)app_write(json_end(&json));
        return;
    }
    char id[2 * ID_BYTES + 1];
    struct buf buf = buf_over(app->line, APP_LINE_BYTES);
    hex(result->devices[at].id, id);
    buf_text(&buf, id);
    buf_text(&buf, "  ");
    text_neutral(&buf, slice_text(result->devices[at].name), -1);
    buf_text(&buf, result->devices[at].this_device ? "  (this device)\n" : "\n");
    (void)app_write(buf_slice(&buf));
}

/* Ask until the own device list has come: it follows the session. */
static enum app_exit ask_devices(struct app *app)
{
    bool stepped;
    for (;;) {
        struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_DEVICES};
        enum app_exit ending = app_ask(app, &command);
        if (ending != APP_GOES_ON || app->result.devices_count)
            return ending;
        ending = app_turn(app, UINT64_MAX, &stepped);
        if (ending != APP_GOES_ON)
            return ending;
        if (!stepped && app_is_over(app)) {
            app_say(app, "the server did not send the device list in time; try again");
            return APP_NETWORK;
        }
    }
}

static enum app_exit remove_device(struct app *app, const char *prefix)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_REMOVE_DEVICE};
    size_t found = 0, at = 0;
    for (size_t i = 0; i < app->result.devices_count; i++) {
        char id[2 * ID_BYTES + 1];
        hex(app->result.devices[i].id, id);
        if (strncmp(id, prefix, strlen(prefix)) == 0) {
            found++;
            at = i;
        }
    }
    if (found != 1 || strlen(prefix) < 4) {
        app_say(app,
                found > 1 || found == 1 ? "'%s' could be any of several devices; say more of its id"
                                        : "you have no device '%s'; parley devices lists them",
                prefix);
        return APP_USAGE;
    }
    if (app->result.devices[at].this_device) {
        app_say(app, "that is this very device; sign it out from another one");
        return APP_USAGE;
    }
    uint8_t id[ID_BYTES];
    memcpy(id, app->result.devices[at].id, ID_BYTES);
    command.body.remove_device.device_id = slice_make(id, ID_BYTES);
    enum app_exit ending = app_ask(app, &command);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "signed_out");
        json_id(&json, "device_id", slice_make(id, ID_BYTES));
        (void)app_write(json_end(&json));
    }
    app_note("signed out; it deletes its data when it is next reached");
    return APP_OK;
}

enum app_exit command_devices(struct app *app)
{
    const struct options *options = &app->options;
    bool removes = options->words_count == 2 && strcmp(options->words[0], "rm") == 0;
    if (options->words_count && !removes) {
        app_say(app, "usage: parley devices [rm ID]");
        return APP_USAGE;
    }
    enum app_exit ending = app_open(app, PROFILE_USE);
    if (ending == APP_GOES_ON)
        ending = app_sync(app);
    if (ending == APP_GOES_ON)
        ending = ask_devices(app);
    if (ending != APP_GOES_ON)
        return ending;
    if (removes)
        return remove_device(app, options->words[1]);
    for (size_t i = 0; i < app->result.devices_count; i++)
        show_device(app, i);
    return APP_OK;
}

/* ---- invite, password ---- */

enum app_exit command_invite(struct app *app)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_INVITE};
    command.body.invite =
        (struct pb_command_invite){.uses = app->options.uses, .days = app->options.days};
    enum app_exit ending = app_open(app, PROFILE_USE);
    if (ending == APP_GOES_ON)
        ending = app_sync(app);
    if (ending == APP_GOES_ON)
        ending = app_ask(app, &command);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "invite");
        json_text(&json, "secret", slice_text(app->result.text));
        json_number(&json, "uses", app->options.uses);
        json_number(&json, "days", app->options.days);
        (void)app_write(json_end(&json));
    } else {
        printf("%s\n", app->result.text);
    }
    return APP_OK;
}

enum app_exit command_password(struct app *app)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_PASSWORD};
    char old_password[PASSWORD_BYTES_MAX + 1], new_password[PASSWORD_BYTES_MAX + 1];
    enum app_exit ending = app_open(app, PROFILE_USE);
    if (ending != APP_GOES_ON)
        return ending;
    if (!app_password(app, "Old password", old_password, sizeof old_password) ||
        !app_password(app, "New password", new_password, sizeof new_password))
        return APP_USAGE;
    command.body.password = (struct pb_command_password){.old_password = slice_text(old_password),
                                                         .new_password = slice_text(new_password)};
    if (!app->options.has_timeout)
        app->deadline_ms = host_mono_ms() + ENROL_TIMEOUT_MS;
    ending = app_sync(app);
    if (ending == APP_GOES_ON)
        ending = app_ask(app, &command);
    explicit_bzero(old_password, sizeof old_password);
    explicit_bzero(new_password, sizeof new_password);
    if (ending != APP_GOES_ON)
        return ending;
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "password");
        json_bool(&json, "changed", true);
        (void)app_write(json_end(&json));
    }
    app_note("the password is changed");
    return APP_OK;
}
