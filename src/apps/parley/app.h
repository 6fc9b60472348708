/* SPDX-License-Identifier: Apache-2.0
 * app.h: what the commands share: one profile under one host, what it said last, how long there is
 * time, and how an ending is told. stdout is data; stderr is talk.
 * Owner: one thread; lives in main. */
#pragma once

#include "apps/parley/host.h"
#include "apps/parley/json.h"
#include "apps/parley/options.h"

#define APP_TIMEOUT_MS  30000u
#define APP_LINE_BYTES  (size_t)(128u << 10)
#define APP_DEVICES_MAX 8u
#define APP_SAID_BYTES  1000u

/* Exit codes (docs/man/parley.1). */
enum app_exit {
    APP_OK = 0,
    APP_FAILURE = 1,
    APP_USAGE = 2,
    APP_NETWORK = 3,
    APP_AUTH = 4,
    APP_IDENTITY = 5,
    APP_PARTLY = 6,
    APP_GOES_ON = -1, /* no ending yet */
};

struct app_result {
    bool arrived;
    uint32_t error;
    uint64_t retry_ms;
    char detail[201], text[257];
    uint8_t mid[ID_BYTES], chat[ID_BYTES];
    struct {
        uint8_t id[ID_BYTES];
        char name[65];
        bool this_device;
        uint64_t added_n;
    } devices[APP_DEVICES_MAX];
    size_t devices_count;
};

struct app {
    struct options options;
    struct host host;
    enum pb_client_state state;
    uint64_t deadline_ms;      /* monotonic; UINT64_MAX: none */
    bool patient;              /* goes on trying without a network */
    bool told_lost, told_wait; /* once per loss */
    bool keeps_news;           /* the command itself tells `news`, and empties it */
    char news[201];            /* of the connection, or "" */
    int stopped_by;            /* a signal: main dies of it, when all is put right */
    char said[APP_SAID_BYTES]; /* by app_say: why it ends, if it ends badly */
    uint32_t refusal;          /* enum pb_error_code that was told last, or 0 */
    uint64_t refusal_retry_ms;
    uint32_t commands; /* numbers given to commands */
    uint32_t awaited;  /* the command whose result is wanted */
    struct app_result result;
    uint8_t line[APP_LINE_BYTES];
};

/* Open the profile and the host. APP_GOES_ON, or the ending, told. */
enum app_exit app_open(struct app *app, enum profile_mode mode) MUST_USE;
void app_close(struct app *app);

/* One turn until `until_ms` at most (or the deadline): a step whose notices are in host.out. If it
 * ended for good (signed out, the profile failed, no network and no patience), the ending. */
enum app_exit app_turn(struct app *app, uint64_t until_ms, bool *stepped) MUST_USE;

/* Turn until synced. */
enum app_exit app_sync(struct app *app) MUST_USE;

/* Give the command; its result comes with a later step, often this one. */
enum app_exit app_command(struct app *app, struct pb_event_command *command) MUST_USE;
/* The same, and turn until the result is there; an error is told. */
enum app_exit app_ask(struct app *app, struct pb_event_command *command) MUST_USE;

/* The person's device list was forged or rolled back: nothing is sent to them. */
bool app_is_broken(const struct app *app, const char *name);
/* Tell that; APP_IDENTITY. */
enum app_exit app_tell_broken(struct app *app, const char *name);
/* Tell an error of the result in words; the exit code that goes with it. */
enum app_exit app_tell_error(struct app *app, const struct app_result *result);
bool app_is_over(const struct app *app); /* the deadline */

/* Once a wait: the server asked to wait (a limit, busy) before more of this chat is sent; then the
 * text is in `out`, else false. */
bool app_must_wait(struct app *app, const struct client_chat *chat, char *out, size_t capacity);

/* The chat that `name` (@name, name, chat id) means, if it is known here. */
struct client_chat *app_chat_named(struct app *app, const char *name);
/* Who the other one is: "bob", or a part of the id while the name is not known. */
void app_peer_name(struct app *app, const struct client_chat *chat, struct buf *out);
/* "parley: …" on stderr: what went wrong; if the command ends badly, also in its JSON error. */
void app_say(struct app *app, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "parley: …" on stderr, and nothing else: it is no reason for an ending. */
void app_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* With --json, a bad ending is one line of stdout, too: {"type":"error", …}. */
void app_tell_ending(struct app *app, enum app_exit ending);
/* On stdout, whole, flushed; false: nobody reads it any more. */
bool app_write(struct slice bytes);
/* A password, without echo from the terminal or from --password-fd; false: told. */
bool app_password(struct app *app, const char *prompt, char *out, size_t capacity);
void app_warn_clear(void); /* content is not encrypted yet, in one plain line */
