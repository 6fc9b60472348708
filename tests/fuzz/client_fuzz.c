/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as frames, in any order with connections, timers and commands: the mind neither
 * crashes nor breaks an invariant. Input: op u8, size u8, then that many bytes of frame. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static uint64_t now = 1;

static bool step(struct client *client, struct pb_host_event *event, struct pb_host_effects *out)
{
    uint8_t entropy[32] = {1};
    memcpy(entropy, &now, 8);
    now++;
    event->now_ms = 1700000000000u + now;
    event->mono_ms = now;
    event->entropy = slice_make(entropy, 32);
    bool done = client_step(client, event, out) == STATUS_OK;
    if (done)
        client_check(client);
    return done;
}

static bool feed(struct client *client, const struct pb_frame *frame, struct arena *arena)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_FRAME};
    struct pb_host_effects out;
    event.body.frame.bytes = pb_frame_pack(frame, arena);
    return step(client, &event, &out);
}

/* Registered, signed in, synced at useq 0. */
static void sign_up(struct client *client, struct arena *arena)
{
    static const uint8_t nonce[32], user[16] = {1};
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    struct pb_host_effects out;
    event.body.restore.last = true;
    (void)step(client, &event, &out);
    event = (struct pb_host_event){.body_case = PB_HOST_EVENT_BODY_COMMAND};
    event.body.command.body_case = PB_EVENT_COMMAND_BODY_REGISTER;
    event.body.command.body.register_.server = SLICE_LITERAL("http://h");
    event.body.command.body.register_.username = SLICE_LITERAL("ann");
    (void)step(client, &event, &out);
    event = (struct pb_host_event){.body_case = PB_HOST_EVENT_BODY_CONNECTED};
    (void)step(client, &event, &out);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_WELCOME};
    frame.body.welcome = (struct pb_welcome){.proto_min = 1,
                                             .proto_max = 1,
                                             .server_name = SLICE_LITERAL("h"),
                                             .nonce = slice_make(nonce, 32)};
    (void)feed(client, &frame, arena);
    frame = (struct pb_frame){.req = 1, .body_case = PB_FRAME_BODY_GRANTED};
    frame.body.granted.user_id = slice_make(user, 16);
    (void)feed(client, &frame, arena);
    for (uint32_t req = 2; req <= 3; req++) { /* vault, list */
        frame = (struct pb_frame){.req = req, .body_case = PB_FRAME_BODY_OK};
        (void)feed(client, &frame, arena);
    }
    frame = (struct pb_frame){.req = 4, .body_case = PB_FRAME_BODY_READY};
    frame.body.ready = (struct pb_ready){.user_id = slice_make(user, 16), .log_epoch = 1};
    (void)feed(client, &frame, arena);
}

static bool one(struct client *client, uint8_t op, struct slice body, struct arena *arena)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_FRAME};
    struct pb_host_effects out;
    struct buf buf = buf_in(arena, body.bytes + 16);
    switch (op % 8) {
    case 0: event.body_case = PB_HOST_EVENT_BODY_CONNECTED; break;
    case 1: event.body_case = PB_HOST_EVENT_BODY_DISCONNECTED; break;
    case 2:
        now += 1u << (body.bytes % 18);
        event.body_case = PB_HOST_EVENT_BODY_TIMER;
        break;
    case 3:
        event.body_case = PB_HOST_EVENT_BODY_COMMAND;
        event.body.command.request = 1;
        event.body.command.body_case = PB_EVENT_COMMAND_BODY_SEND;
        event.body.command.body.send.to_username = slice_sub(body, 0, 3);
        event.body.command.body.send.text = body;
        break;
    default: /* 4: bare bytes; 5..7: an answer to one of the first requests, or a push */
        if (op % 8 > 4)
            buf_put(&buf, slice_make((const uint8_t[]){0x08, (uint8_t)(op / 8)}, 2));
        buf_put(&buf, body);
        event.body.frame.bytes = buf_slice(&buf);
        break;
    }
    return step(client, &event, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    struct client *client = malloc(sizeof *client);
    struct arena arena;
    struct slice in = {at, bytes}, body;
    uint8_t op, size;
    now = 1;
    arena_init(&arena, (size_t)16 << 20);
    if (client && client_init(client, (size_t)8 << 20) == STATUS_OK) {
        sign_up(client, &arena);
        while (take_u8(&in, &op) && take_u8(&in, &size)) {
            if (!take_bytes(&in, size < in.bytes ? size : in.bytes, &body) ||
                !one(client, op, body, &arena))
                break;
        }
    }
    if (client)
        client_deinit(client);
    free(client);
    arena_deinit(&arena);
    return 0;
}
