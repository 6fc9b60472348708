/* SPDX-License-Identifier: Apache-2.0
 * Talk on stderr, what the server's refusals mean to a person, how an ending is told, passwords. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <fcntl.h>
#include <unistd.h>

#include "apps/parley/app.h"
#include "apps/parley/stops.h"
#include "base/utf8.h"

#define CTRL_C 3

static void say(const char *text)
{
    (void)fprintf(stderr, "parley: %s\n", text);
}

void app_note(const char *format, ...)
{
    char text[APP_SAID_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(text);
}

void app_say(struct app *app, const char *format, ...)
{
    char text[APP_SAID_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(text);
    size_t said = strlen(app->said);
    bool goes_on = said > 0 && app->said[said - 1] == ':'; /* "not sent to @bob:" */
    const char *joint = said == 0 ? "" : goes_on ? " " : "; ";
    if (said + strlen(joint) + strlen(text) >= sizeof app->said) {
        said = 0; /* of a long conversation the newest is the reason */
        joint = "";
    }
    (void)snprintf(app->said + said, sizeof app->said - said, "%s%s", joint, text);
}

static const struct {
    enum pb_error_code code;
    enum app_exit ending;
    const char *text;
} errors[] = {
    {PB_ERROR_CODE_AUTH, APP_AUTH, "the username or the password is wrong"},
    {PB_ERROR_CODE_SUSPENDED, APP_AUTH,
     "the operator of the server suspended this account; ask whoever runs the server"},
    {PB_ERROR_CODE_NAME_TAKEN, APP_USAGE, "somebody has this username; choose another"},
    {PB_ERROR_CODE_NAME_INVALID, APP_USAGE,
     "a username has 3 to 32 of a-z 0-9 _ . and resembles no other"},
    {PB_ERROR_CODE_PASSWORD_WEAK, APP_USAGE,
     "the password is too easy to guess; take a longer one"},
    {PB_ERROR_CODE_INVITE_USED, APP_AUTH,
     "the invite is wrong, used up or too old; ask for another"},
    {PB_ERROR_CODE_SIGN_UP_CLOSED, APP_AUTH, "this server takes no new accounts"},
    {PB_ERROR_CODE_NOT_FOUND, APP_USAGE, "no such username"},
    {PB_ERROR_CODE_DENIED, APP_AUTH, "that is not allowed"},
    {PB_ERROR_CODE_TOO_LARGE, APP_USAGE, "that is too long: 16 KiB of text at most"},
    {PB_ERROR_CODE_BAD_FRAME, APP_USAGE, "that is no valid text (UTF-8)"},
    {PB_ERROR_CODE_LIMIT, APP_NETWORK, "a limit of the server is reached"},
    {PB_ERROR_CODE_BUSY, APP_NETWORK, "the server is busy"},
    {PB_ERROR_CODE_RETRY, APP_NETWORK, "the server could not say whether it was done; try again"},
    {PB_ERROR_CODE_STORAGE_FULL, APP_NETWORK, "the server's disk is full; it takes nothing now"},
    {PB_ERROR_CODE_READ_ONLY, APP_NETWORK, "the server takes nothing until its operator comes"},
    {PB_ERROR_CODE_CONFLICT, APP_USAGE, "something else was first; look again"},
    {PB_ERROR_CODE_UNSUPPORTED, APP_FAILURE, "the server cannot do that; update it, or Parley"},
    {PB_ERROR_CODE_NOT_MEMBER, APP_AUTH, "you are not in this chat"},
    {PB_ERROR_CODE_NOT_ALLOWED, APP_AUTH, "you may not write there"},
    {PB_ERROR_CODE_GONE, APP_FAILURE, "it was sent from an older copy of this device"},
};

enum app_exit app_tell_broken(struct app *app, const char *name)
{
    app_say(app,
            "the server shows another identity for %s than before (a device list that is forged or "
            "older); nothing was sent. Ask %s by another way, and tell the operator of the server",
            name, name);
    return APP_IDENTITY;
}

enum app_exit app_tell_error(struct app *app, const struct app_result *result)
{
    const char *text = "the server refused it";
    enum app_exit ending = APP_FAILURE;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (result->error == (uint32_t)errors[i].code) {
            text = errors[i].text;
            ending = errors[i].ending;
        }
    if (result->error == PB_ERROR_CODE_LIMIT && !result->retry_ms)
        ending = APP_AUTH; /* not of a rate: waiting does not help, a person must do something */
    app->refusal = result->error;
    app->refusal_retry_ms = result->retry_ms;
    if (result->retry_ms)
        app_say(app, "%s; try again in %" PRIu64 " s", text, (result->retry_ms + 999) / 1000);
    else if (result->detail[0])
        app_say(app, "%s (%s)", text, result->detail);
    else
        app_say(app, "%s", text);
    return ending;
}

/* "name_taken" of PB_ERROR_CODE_NAME_TAKEN. */
static void code_json(struct json *json, uint32_t code)
{
    char small[40];
    size_t bytes = 0;
    const char *name = pb_enum_name(&pb_error_code_enum, code);
    for (; name && name[bytes] && bytes < sizeof small; bytes++)
        small[bytes] =
            name[bytes] >= 'A' && name[bytes] <= 'Z' ? (char)(name[bytes] | 0x20) : name[bytes];
    if (bytes)
        json_text(json, "code", slice_make((const uint8_t *)small, bytes));
}

/* Words of the command line may be any bytes, or cut in the middle of a letter; JSON is UTF-8. */
static struct slice as_utf8(char *text)
{
    bool valid = utf8_valid(slice_text(text));
    for (char *at = text; !valid && *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return slice_text(text);
}

void app_tell_ending(struct app *app, enum app_exit ending)
{
    static const char *const names[] = {"ok",   "failure",  "usage", "network",
                                        "auth", "identity", "partly"};
    struct json json;
    if (!app->options.json || ending <= APP_OK || ending > APP_PARTLY)
        return;
    json_begin(&json, app->line, APP_LINE_BYTES, "error");
    json_text(&json, "error", slice_text(names[ending]));
    json_number(&json, "exit", (uint64_t)ending);
    json_text(&json, "text",
              app->said[0] ? as_utf8(app->said) : slice_text("it ended without success"));
    if (app->refusal)
        code_json(&json, app->refusal);
    if (app->refusal_retry_ms)
        json_number(&json, "retry_ms", app->refusal_retry_ms);
    (void)app_write(json_end(&json));
}

/* One line, without its end; byte by byte, so that the next line stays for the next caller. */
static bool line_from(int fd, char *out, size_t capacity)
{
    size_t bytes = 0;
    for (;;) {
        char c = 0;
        ssize_t got = read(fd, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (got == 0 && bytes == 0) || c == CTRL_C)
            return false;
        if (got == 0 || c == '\n')
            break;
        if (bytes + 1 < capacity)
            out[bytes++] = c;
    }
    out[bytes] = '\0';
    return true;
}

/* The signal that came before the line; 0: the line is there. */
static int wait_for_line(int terminal, struct stops *stops)
{
    struct pollfd fds[2] = {{.fd = terminal, .events = POLLIN},
                            {.fd = stops->fd, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR) {
    }
    return stops_take(stops);
}

bool app_password(struct app *app, const char *prompt, char *out, size_t capacity)
{
    struct termios seen, blind;
    struct stops stops;
    int given = app->options.password_fd;
    if (given >= 0) {
        bool read_it = line_from(given, out, capacity) && out[0];
        if (!read_it)
            app_say(app, "no password came from descriptor %d", given);
        return read_it;
    }
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal < 0 || tcgetattr(terminal, &seen) != 0) {
        app_say(app, "there is no terminal to ask for the password on; say --password-fd N");
        if (terminal >= 0)
            (void)close(terminal);
        return false;
    }
    blind = seen;
    blind.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    blind.c_cc[VEOL] = CTRL_C; /* ends the line, so that the echo comes back */
    stops_open(&stops);
    (void)tcsetattr(terminal, TCSAFLUSH, &blind);
    (void)dprintf(terminal, "%s: ", prompt);
    int stopped_by = wait_for_line(terminal, &stops);
    bool read_it = !stopped_by && line_from(terminal, out, capacity) && out[0];
    (void)tcsetattr(terminal, TCSAFLUSH, &seen);
    (void)dprintf(terminal, "\n");
    (void)close(terminal);
    stops_close(&stops);
    if (stopped_by)
        (void)raise(stopped_by);
    if (!read_it)
        app_say(app, "no password, nothing done");
    return read_it;
}
