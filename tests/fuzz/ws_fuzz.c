/* SPDX-License-Identifier: Apache-2.0
 * ws against itself (all at once = split at random, through the smallest buffer) and against wslay.
 * Input: a byte of flags (bit 0: we are the client), a byte that seeds the split, then the stream.
 *
 * What ws yields before its end, wslay must yield too, in the same order with the same bytes; and
 * where ws refuses nothing, wslay must not either. Known differences:
 *   - text frames: ws refuses them with 1003
 *   - wslay judges code and reason of a close frame before it is whole, ws when it is
 *   - close codes 1012, 1013, 1014 (IANA, after RFC 6455): ws takes them, wslay 1.1.1 does not */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "wire/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { HOLD = 256, MESSAGE_MAX = 4096, EVENTS_MAX = 256 };

struct seen_event {
    int kind; /* WS_MESSAGE, WS_PING, WS_PONG, WS_CLOSE, WS_ERROR */
    unsigned code;
    size_t bytes;
    uint64_t hash;
};

struct seen {
    struct seen_event events[EVENTS_MAX];
    size_t count;
    uint8_t message[MESSAGE_MAX];
    size_t message_bytes;
    uint8_t held;        /* the first byte of what ws still waits with, or 0 */
    const uint8_t *rest; /* what wslay has still to read */
    size_t rest_bytes;
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "ws_fuzz: %s\n", what);
    abort();
}

static void add(struct seen *seen, int kind, unsigned code, struct slice bytes)
{
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < bytes.bytes; i++)
        hash = (hash ^ bytes.at[i]) * 1099511628211U;
    if (seen->count < EVENTS_MAX)
        seen->events[seen->count++] = (struct seen_event){kind, code, bytes.bytes, hash};
}

static void on_event(struct seen *seen, const struct ws_event *event)
{
    switch (event->kind) {
    case WS_NONE: break;
    case WS_MESSAGE:
    case WS_PIECE:
        must(!event->first || seen->message_bytes == 0, "a first piece is not first");
        must(seen->message_bytes + event->payload.bytes + event->frame_left == event->message_bytes,
             "message_bytes announces wrongly");
        must(event->message_bytes <= MESSAGE_MAX, "a message over its limit");
        if (event->payload.bytes > 0)
            memcpy(seen->message + seen->message_bytes, event->payload.at, event->payload.bytes);
        seen->message_bytes += event->payload.bytes;
        if (event->last) {
            add(seen, WS_MESSAGE, 0, slice_make(seen->message, seen->message_bytes));
            seen->message_bytes = 0;
        }
        break;
    case WS_PING:
    case WS_PONG:
    case WS_CLOSE:
    case WS_ERROR: add(seen, (int)event->kind, event->code, event->payload); break;
    }
}

/* Through a buffer of `room` bytes; seed 0: as much at once as it takes. */
static void run_ws(enum ws_role role, struct slice in, size_t room, uint32_t seed,
                   struct seen *seen)
{
    uint8_t *buffer = malloc(room);
    size_t held = 0;
    struct ws ws;
    ws_init(&ws, role, HOLD, MESSAGE_MAX);
    seen->count = seen->message_bytes = 0;
    while (in.bytes > 0) {
        size_t take = room - held;
        if (seed != 0) {
            seed = seed * 1664525 + 1013904223;
            size_t step = 1 + (seed >> 16) % ((seed >> 28) < 8 ? 3 : 300);
            take = take < step ? take : step;
        }
        take = take < in.bytes ? take : in.bytes;
        must(take > 0, "a full buffer yields nothing");
        memcpy(buffer + held, in.at, take);
        held += take;
        in = slice_make(in.at + take, in.bytes - take);
        struct ws_event event;
        do {
            size_t consumed;
            ws_feed(&ws, buffer, held, &consumed, &event);
            must(consumed <= held, "more consumed than there was");
            on_event(seen, &event);
            memmove(buffer, buffer + consumed, held - consumed);
            held -= consumed;
        } while (event.kind != WS_NONE);
    }
    seen->held = held > 0 ? buffer[0] : 0;
    free(buffer);
}

/* ---- wslay ---- */

static ssize_t give(wslay_event_context_ptr context, uint8_t *to, size_t bytes, int flags,
                    void *user)
{
    (void)flags;
    struct seen *seen = user;
    size_t take = bytes < seen->rest_bytes ? bytes : seen->rest_bytes;
    if (take == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, seen->rest, take);
    seen->rest += take;
    seen->rest_bytes -= take;
    return (ssize_t)take;
}

static void take_message(wslay_event_context_ptr context,
                         const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    (void)context;
    struct slice bytes = {arg->msg, arg->msg_length};
    switch (arg->opcode) {
    case WSLAY_PING: add(user, WS_PING, 0, bytes); break;
    case WSLAY_PONG: add(user, WS_PONG, 0, bytes); break;
    case WSLAY_CONNECTION_CLOSE: /* msg begins with the code */
        add(user, WS_CLOSE, arg->status_code == 0 ? WS_CODE_NONE : arg->status_code,
            bytes.bytes < 2 ? SLICE_EMPTY : slice_make(bytes.at + 2, bytes.bytes - 2));
        break;
    default: add(user, WS_MESSAGE, 0, bytes); break;
    }
}

/* Returns whether wslay refused something. */
static bool run_wslay(enum ws_role role, struct slice in, struct seen *seen)
{
    const struct wslay_event_callbacks callbacks = {.recv_callback = give,
                                                    .on_msg_recv_callback = take_message};
    wslay_event_context_ptr context;
    seen->count = 0;
    seen->rest = in.at;
    seen->rest_bytes = in.bytes;
    int failed = role == WS_SERVER ? wslay_event_context_server_init(&context, &callbacks, seen)
                                   : wslay_event_context_client_init(&context, &callbacks, seen);
    must(failed == 0, "wslay has no memory");
    wslay_event_config_set_max_recv_msg_length(context, MESSAGE_MAX);
    failed = wslay_event_recv(context);
    bool stopped = !wslay_event_get_read_enabled(context);
    wslay_event_context_free(context);
    bool closed = seen->count > 0 && seen->events[seen->count - 1].kind == WS_CLOSE;
    return failed != 0 || (stopped && !closed);
}

static bool same(const struct seen_event *a, const struct seen_event *b)
{
    return a->kind == b->kind && a->code == b->code && a->bytes == b->bytes && a->hash == b->hash;
}

static void compare_with_wslay(const struct seen *ours, const struct seen *theirs, bool refused)
{
    for (size_t i = 0; i < ours->count; i++) {
        const struct seen_event *event = &ours->events[i];
        if (event->kind == WS_ERROR)
            return;
        if (event->kind == WS_CLOSE && event->code >= 1012 && event->code <= 1014)
            return;
        must(i < theirs->count, "wslay did not yield what ws yielded");
        must(same(event, &theirs->events[i]), "wslay yields something else");
    }
    must(ours->count == theirs->count, "wslay yields more");
    must(!refused || ours->held == 0x88, "wslay refuses what ws takes");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct seen whole, split, oracle;
    if (bytes < 2)
        return 0;
    enum ws_role role = (data[0] & 1) != 0 ? WS_CLIENT : WS_SERVER;
    struct slice in = {data + 2, bytes - 2};
    run_ws(role, in, in.bytes + HOLD, 0, &whole);
    run_ws(role, in, HOLD, data[1], &split);
    must(whole.count == split.count, "a split changes the number of events");
    for (size_t i = 0; i < whole.count; i++)
        must(same(&whole.events[i], &split.events[i]), "a split changes an event");
    bool refused = run_wslay(role, in, &oracle);
    if (whole.count < EVENTS_MAX)
        compare_with_wslay(&whole, &oracle, refused);
    return 0;
}
