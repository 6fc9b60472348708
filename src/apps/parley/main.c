/* SPDX-License-Identifier: Apache-2.0
 * parley: the client on the command line. Manual: docs/man/parley.1. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "apps/parley/commands.h"
#include "base/assert.h"

#ifndef PARLEY_VERSION
#define PARLEY_VERSION "0.1.0"
#endif

static void on_assert(const struct assert_report *report)
{
    (void)fprintf(stderr, "parley: a bug: %s:%d: %s\n", report->file, report->line,
                  report->expression);
}

enum app_exit command_version(struct app *app)
{
    if (app->options.json) {
        struct json json;
        json_begin(&json, app->line, APP_LINE_BYTES, "version");
        json_text(&json, "version", slice_text(PARLEY_VERSION));
        json_number(&json, "schema", JSON_SCHEMA_VERSION);
        json_number(&json, "protocol", 1);
        json_bool(&json, "encrypts", e2ee_encrypts());
        (void)app_write(json_end(&json));
        return APP_OK;
    }
    printf("parley %s\n", PARLEY_VERSION);
    app_warn_clear();
    return APP_OK;
}

static enum app_exit run(struct app *app)
{
    switch (app->options.command) {
    case COMMAND_REGISTER:
    case COMMAND_LOGIN: return command_register(app);
    case COMMAND_SEND: return command_send(app);
    case COMMAND_RECEIVE: return command_receive(app);
    case COMMAND_CHAT: return command_chat(app);
    case COMMAND_CHATS: return command_chats(app);
    case COMMAND_HISTORY: return command_history(app);
    case COMMAND_READ: return command_read(app);
    case COMMAND_DEVICES: return command_devices(app);
    case COMMAND_INVITE: return command_invite(app);
    case COMMAND_PASSWORD: return command_password(app);
    case COMMAND_VERSION: return command_version(app);
    case COMMAND_COUNT:
    default: return APP_USAGE;
    }
}

int main(int argc, char **argv)
{
    static struct app app;
    (void)setlocale(LC_ALL, "");
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(077);
    assert_handler_set(on_assert);
    app.host.profile.lock_fd = -1;
    if (!options_read(argc, argv, &app.options)) {
        app_say(&app, "%s", app.options.trouble);
        app_tell_ending(&app, APP_USAGE);
        return APP_USAGE;
    }
    if (app.options.help) {
        options_help(&app.options);
        return APP_OK;
    }
    enum app_exit ending = run(&app);
    app_close(&app);
    if (app.stopped_by)
        (void)raise(app.stopped_by);
    app_tell_ending(&app, ending);
    return ending;
}
