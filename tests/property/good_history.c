/* SPDX-License-Identifier: Apache-2.0 */
#include "good_history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint32_t members[CHATS][2] = {{0, 1}, {1, 2}, {0, 2}};

static uint32_t chance(struct server *server, uint32_t below)
{
    return (uint32_t)prng_below(&server->prng, below);
}

static void id_make(uint8_t at[ID_BYTES], uint8_t kind, uint64_t number)
{
    memset(at, 0, ID_BYTES);
    at[0] = kind;
    for (size_t i = 0; i < 8; i++)
        at[ID_BYTES - 1 - i] = (uint8_t)(number >> 8 * i);
}

static struct history_event begin(struct server *server, enum history_op op, uint32_t device)
{
    struct history_event event = {.op = op, .t_inv = server->now_us, .t_ret = server->now_us};
    id_make(event.user.at, 1, device / OF_USER);
    id_make(event.dev.at, 2, device);
    event.proc = device;
    event.conn = server->devices[device].conn;
    return event;
}

void history_event_add(struct server *server, const struct history_event *event)
{
    assert_int_equal(history_add(&server->history, event), STATUS_OK);
    server->now_us += 1 + chance(server, 5);
}

static void set_chat(struct history_event *event, uint32_t chat)
{
    id_make(event->chat.at, 3, chat);
}

static void log_append(struct server *server, uint32_t chat, const struct row *row)
{
    uint64_t cseq = ++server->heads[chat];
    server->logs[chat][cseq - 1] = *row;
    server->logs[chat][cseq - 1].ts = server->now_us;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t user = members[chat][i];
        server->inboxes[user][server->ends[user]++] = (struct pointer){chat, cseq};
    }
}

/* A random chat of a device's user. */
static uint32_t chat_of(struct server *server, uint32_t device)
{
    uint32_t chat;
    do
        chat = chance(server, CHATS);
    while (members[chat][0] != device / OF_USER && members[chat][1] != device / OF_USER);
    return chat;
}

static uint32_t peer_of(uint32_t chat, uint32_t user)
{
    return members[chat][0] == user ? members[chat][1] : members[chat][0];
}

/* ---- what may happen ---- */

static void compose(struct server *server, uint32_t device)
{
    uint32_t chat = chat_of(server, device);
    if (server->heads[chat] + server->flying_count + 2 > LOG_MAX)
        return;
    struct history_event event = begin(server, HISTORY_SEND, device);
    struct row row = {.mid = ++server->mids,
                      .hash = server->mids * 7,
                      .sctr = ++server->devices[device].sctr[chat],
                      .device = device};
    set_chat(&event, chat);
    id_make(event.mid.at, 4, row.mid);
    event.sctr = row.sctr;
    event.hash = row.hash;
    event.res = HISTORY_INFO;
    history_event_add(server, &event);
    server->flying[server->flying_count++] = (struct flying){chat, row, false};
}

/* The oldest send of one device lands, or is acknowledged once it has. */
static void land(struct server *server, uint32_t device)
{
    for (size_t i = 0; i < server->flying_count; i++) {
        struct flying *flying = &server->flying[i];
        if (flying->row.device != device)
            continue;
        if (!flying->landed) {
            log_append(server, flying->chat, &flying->row);
            flying->landed = true;
            return;
        }
        struct history_event event = begin(server, HISTORY_SENT, device);
        set_chat(&event, flying->chat);
        id_make(event.mid.at, 4, flying->row.mid);
        history_event_add(server, &event);
        memmove(flying, flying + 1, (server->flying_count - i - 1) * sizeof *flying);
        server->flying_count--;
        return;
    }
}

static void take_row(struct server *server, uint32_t device, struct history_event *event)
{
    struct device *is = &server->devices[device];
    struct pointer at = server->inboxes[device / OF_USER][is->cursor - 1];
    const struct row *row = &server->logs[at.chat][at.cseq - 1];
    set_chat(event, at.chat);
    event->cseq = at.cseq;
    event->ts = row->ts;
    event->system = at.cseq == 1;
    is->held[at.chat] = at.cseq;
    if (event->system) {
        history_event_add(server, event);
        return;
    }
    id_make(event->mid.at, 4, row->mid);
    id_make(event->from_user.at, 1, row->device / OF_USER);
    id_make(event->from_dev.at, 2, row->device);
    event->hash = row->hash;
    event->sctr = row->sctr;
    history_event_add(server, event);
    struct history_event shown = begin(server, HISTORY_SHOW, device);
    shown.chat = event->chat;
    shown.mid = event->mid;
    shown.cseq = at.cseq;
    history_event_add(server, &shown);
}

static void take_next(struct server *server, uint32_t device)
{
    struct device *is = &server->devices[device];
    uint32_t user = device / OF_USER;
    if (is->cursor == server->ends[user])
        return;
    bool plain = server->inboxes[user][is->cursor].cseq == 0;
    struct history_event event = begin(server, plain ? HISTORY_ENTRY : HISTORY_RECV, device);
    event.prev_useq = is->cursor;
    event.useq = ++is->cursor;
    if (plain)
        history_event_add(server, &event);
    else
        take_row(server, device, &event);
}

static uint64_t delivered_to(const struct server *server, uint32_t user, uint32_t chat)
{
    uint64_t a = server->devices[user * OF_USER].held[chat];
    uint64_t b = server->devices[user * OF_USER + 1].held[chat];
    return a > b ? a : b;
}

static void see_marks(struct server *server, uint32_t device, uint32_t chat)
{
    uint32_t peer = peer_of(chat, device / OF_USER);
    struct device *is = &server->devices[device];
    struct history_event event = begin(server, HISTORY_RECEIPT_RX, device);
    set_chat(&event, chat);
    id_make(event.from_user.at, 1, peer);
    event.delivered = is->delivered[chat] = delivered_to(server, peer, chat);
    event.read = is->read[chat] = server->read[peer][chat];
    if (event.delivered > 0)
        history_event_add(server, &event);
}

static void read_all(struct server *server, uint32_t device)
{
    uint32_t chat = chat_of(server, device);
    struct history_event event = begin(server, HISTORY_RECEIPT_TX, device);
    set_chat(&event, chat);
    event.read = server->devices[device].held[chat];
    if (event.read > server->read[device / OF_USER][chat])
        server->read[device / OF_USER][chat] = event.read;
    history_event_add(server, &event);
}

static void begin_again(struct server *server, uint32_t device)
{
    struct history_event event = begin(server, HISTORY_RESTART, device);
    event.useq = server->devices[device].cursor;
    history_event_add(server, &event);
    server->devices[device].conn = ++server->conns;
    event = begin(server, HISTORY_CONNECT, device);
    history_event_add(server, &event);
}

static void note_gauge(struct server *server, uint32_t device)
{
    struct history_event event = begin(server, HISTORY_GAUGE, device);
    memcpy(event.what, "window", 7);
    event.value = chance(server, 257);
    event.cap = 256;
    history_event_add(server, &event);
}

static void one_step(struct server *server)
{
    uint32_t device = chance(server, DEVICES);
    switch (chance(server, 10)) {
    case 0: compose(server, device); break;
    case 1:
    case 2: land(server, device); break;
    case 3: see_marks(server, device, chat_of(server, device)); break;
    case 4: read_all(server, device); break;
    case 5:
        if (chance(server, 5) == 0)
            begin_again(server, device);
        break;
    case 6:
        if (server->ends[device / OF_USER] < INBOX_MAX / 2)
            server->inboxes[device / OF_USER][server->ends[device / OF_USER]++].cseq = 0;
        break;
    case 7: note_gauge(server, device); break;
    default: take_next(server, device); break;
    }
}

void history_make(struct server *server, uint64_t seed)
{
    memset(server, 0, sizeof *server);
    prng_init(&server->prng, seed);
    server->now_us = 1000;
    for (uint32_t device = 0; device < DEVICES; device++) {
        struct history_event event = begin(server, HISTORY_DEVICE_ADD, device);
        history_event_add(server, &event);
    }
    for (uint32_t chat = 0; chat < CHATS; chat++) {
        struct history_event event = begin(server, HISTORY_CHAT_CREATE, members[chat][0] * OF_USER);
        set_chat(&event, chat);
        id_make(event.from_user.at, 1, members[chat][1]);
        history_event_add(server, &event);
        log_append(server, chat, &(struct row){0});
    }
    for (uint32_t i = 0; i < STEPS; i++)
        one_step(server);
    for (uint32_t device = 0; device < DEVICES; device++)
        while (server->flying_count > 0 && server->flying_count < STEPS) {
            size_t before = server->flying_count;
            land(server, device);
            land(server, device);
            if (server->flying_count == before)
                break;
        }
    for (uint32_t device = 0; device < DEVICES; device++)
        while (server->devices[device].cursor < server->ends[device / OF_USER])
            take_next(server, device);
    for (uint32_t chat = 0; chat < CHATS; chat++)
        for (uint32_t i = 0; i < 2 * OF_USER; i++)
            see_marks(server, members[chat][i / OF_USER] * OF_USER + i % OF_USER, chat);
    struct history_event event = begin(server, HISTORY_QUIESCE, 0);
    history_event_add(server, &event);
}
