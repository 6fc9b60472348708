/* SPDX-License-Identifier: Apache-2.0
 * Random histories of a server that keeps all promises, then each with one corruption: the checker
 * says nothing about the first and names the broken promise of the second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "sim/checker.h"

#define USERS     3u
#define OF_USER   2u /* devices */
#define DEVICES   (USERS * OF_USER)
#define CHATS     3u /* each pair of users */
#define LOG_MAX   64u
#define INBOX_MAX 256u
#define STEPS     400u
#define SEEDS     400u

struct row {
    uint64_t mid, ts, hash, sctr;
    uint32_t device; /* its sender */
};

struct pointer {
    uint32_t chat;
    uint64_t cseq; /* 0: an entry that is no row */
};

struct device {
    uint64_t cursor, conn, sctr[CHATS];
    uint64_t held[CHATS];                   /* of each chat: all up to here */
    uint64_t delivered[CHATS], read[CHATS]; /* marks of the peer, as seen here */
};

struct flying {
    uint32_t chat;
    struct row row;
    bool landed;
};

struct server {
    struct prng prng;
    struct history history;
    uint64_t now_us, mids, conns;
    struct row logs[CHATS][LOG_MAX];
    uint64_t heads[CHATS];
    struct pointer inboxes[USERS][INBOX_MAX];
    uint64_t ends[USERS];
    uint64_t read[USERS][CHATS];
    struct device devices[DEVICES];
    struct flying flying[STEPS];
    size_t flying_count;
};

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

static void add(struct server *server, const struct history_event *event)
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
    add(server, &event);
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
        add(server, &event);
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
        add(server, event);
        return;
    }
    id_make(event->mid.at, 4, row->mid);
    id_make(event->from_user.at, 1, row->device / OF_USER);
    id_make(event->from_dev.at, 2, row->device);
    event->hash = row->hash;
    event->sctr = row->sctr;
    add(server, event);
    struct history_event shown = begin(server, HISTORY_SHOW, device);
    shown.chat = event->chat;
    shown.mid = event->mid;
    shown.cseq = at.cseq;
    add(server, &shown);
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
        add(server, &event);
    else
        take_row(server, device, &event);
}

static uint64_t delivered_to(const struct server *server, uint32_t user, uint32_t chat)
{
    uint64_t a = server->devices[user * OF_USER].held[chat];
    uint64_t b = server->devices[user * OF_USER + 1].held[chat];
    return a > b ? a : b;
}

static void see_marks(struct server *server, uint32_t device)
{
    uint32_t chat = chat_of(server, device), peer = peer_of(chat, device / OF_USER);
    struct device *is = &server->devices[device];
    struct history_event event = begin(server, HISTORY_RECEIPT_RX, device);
    set_chat(&event, chat);
    id_make(event.from_user.at, 1, peer);
    event.delivered = is->delivered[chat] = delivered_to(server, peer, chat);
    event.read = is->read[chat] = server->read[peer][chat];
    if (event.delivered > 0)
        add(server, &event);
}

static void read_all(struct server *server, uint32_t device)
{
    uint32_t chat = chat_of(server, device);
    struct history_event event = begin(server, HISTORY_RECEIPT_TX, device);
    set_chat(&event, chat);
    event.read = server->devices[device].held[chat];
    if (event.read > server->read[device / OF_USER][chat])
        server->read[device / OF_USER][chat] = event.read;
    add(server, &event);
}

static void begin_again(struct server *server, uint32_t device)
{
    struct history_event event = begin(server, HISTORY_RESTART, device);
    event.useq = server->devices[device].cursor;
    add(server, &event);
    server->devices[device].conn = ++server->conns;
    event = begin(server, HISTORY_CONNECT, device);
    add(server, &event);
}

static void note_gauge(struct server *server, uint32_t device)
{
    struct history_event event = begin(server, HISTORY_GAUGE, device);
    memcpy(event.what, "window", 7);
    event.value = chance(server, 257);
    event.cap = 256;
    add(server, &event);
}

static void one_step(struct server *server)
{
    uint32_t device = chance(server, DEVICES);
    switch (chance(server, 10)) {
    case 0: compose(server, device); break;
    case 1:
    case 2: land(server, device); break;
    case 3: see_marks(server, device); break;
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

static void history_make(struct server *server, uint64_t seed)
{
    memset(server, 0, sizeof *server);
    prng_init(&server->prng, seed);
    server->now_us = 1000;
    for (uint32_t device = 0; device < DEVICES; device++) {
        struct history_event event = begin(server, HISTORY_DEVICE_ADD, device);
        add(server, &event);
    }
    for (uint32_t chat = 0; chat < CHATS; chat++) {
        struct history_event event = begin(server, HISTORY_CHAT_CREATE, members[chat][0] * OF_USER);
        set_chat(&event, chat);
        id_make(event.from_user.at, 1, members[chat][1]);
        add(server, &event);
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
    struct history_event event = begin(server, HISTORY_QUIESCE, 0);
    add(server, &event);
}

/* ---- one corruption each ---- */

/* A random event of this operation, of a message where it has one; NULL: there is none. */
static struct history_event *pick(struct server *server, enum history_op op)
{
    struct history *history = &server->history;
    size_t start = prng_below(&server->prng, history->count);
    for (size_t i = 0; i < history->count; i++) {
        struct history_event *event = &history->events[(start + i) % history->count];
        if (event->op == op && (op != HISTORY_RECV || !event->system))
            return event;
    }
    return NULL;
}

static bool lose_one(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (recv)
        recv->op = HISTORY_ENTRY;
    return recv != NULL;
}

static bool lose_for_all(struct server *server)
{
    struct history_event *sent = pick(server, HISTORY_SENT);
    for (size_t i = 0; sent && i < server->history.count; i++) {
        struct history_event *event = &server->history.events[i];
        if (event->op == HISTORY_RECV && ID_EQUAL(event->mid, sent->mid))
            event->op = HISTORY_ENTRY;
    }
    return sent != NULL;
}

static bool forge_mid(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (recv)
        recv->mid.at[1] ^= 1;
    return recv != NULL;
}

static bool change_content(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (recv)
        recv->hash++;
    return recv != NULL;
}

static bool change_author(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (recv)
        recv->from_dev.at[1] ^= 1;
    return recv != NULL;
}

static bool number_twice(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (!recv)
        return false;
    struct history_event copy = *recv;
    copy.cseq = 1000;
    copy.useq = copy.prev_useq = 0;
    add(server, &copy);
    return true;
}

static bool swap_values(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (recv)
        recv->cseq++;
    return recv != NULL;
}

static bool step_over(struct server *server)
{
    struct history_event *entry = pick(server, HISTORY_ENTRY);
    if (entry) { /* it never came; what follows came */
        entry->op = HISTORY_CLOSE;
        entry->useq = entry->prev_useq = 0;
    }
    return entry != NULL;
}

static bool run_clock_back(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (!recv || recv->cseq < 3)
        return false;
    for (size_t i = 0; i < server->history.count; i++) {
        struct history_event *event = &server->history.events[i];
        if (event->op == HISTORY_RECV && event->cseq == recv->cseq &&
            ID_EQUAL(event->chat, recv->chat))
            event->ts = 1;
    }
    return true;
}

/* The device had the message before it composed one that now stands before it. */
static bool break_cause(struct server *server)
{
    struct history_event *sent = pick(server, HISTORY_SENT);
    struct history_event *last = NULL;
    for (size_t i = 0; sent && i < server->history.count; i++) {
        struct history_event *event = &server->history.events[i];
        if (event->op == HISTORY_RECV && ID_EQUAL(event->chat, sent->chat) &&
            ID_EQUAL(event->mid, sent->mid))
            last = event;
    }
    if (!last || last->cseq < 3)
        return false;
    for (size_t i = 0; i < server->history.count; i++) {
        struct history_event *event = &server->history.events[i];
        bool before = event->op == HISTORY_RECV && event->cseq + 1 == last->cseq &&
                      !event->system && ID_EQUAL(event->chat, last->chat);
        if (!before)
            continue;
        for (size_t k = 0; k < server->history.count; k++) {
            struct history_event *send = &server->history.events[k];
            if (send->op == HISTORY_SEND && ID_EQUAL(send->mid, event->mid))
                send->t_inv = send->t_ret = sent->t_ret + 1;
        }
        return true;
    }
    return false;
}

static bool show_again(struct server *server)
{
    struct history_event *show = pick(server, HISTORY_SHOW);
    if (!show)
        return false;
    struct history_event copy = *show;
    add(server, &copy);
    return true;
}

static bool mark_above(struct server *server)
{
    struct history_event *marks = pick(server, HISTORY_RECEIPT_RX);
    if (marks)
        marks->delivered = 1000;
    return marks != NULL;
}

static bool mark_too_early(struct server *server)
{
    struct history_event *marks = pick(server, HISTORY_RECEIPT_RX);
    if (!marks || marks->delivered < 2) /* number 1 is no message */
        return false;
    marks->t_inv = marks->t_ret = 1001;
    return true;
}

static bool read_too_far(struct server *server)
{
    struct history_event *marks = pick(server, HISTORY_RECEIPT_RX);
    if (marks)
        marks->read = marks->delivered + 1;
    return marks != NULL;
}

static bool fail_what_is_there(struct server *server)
{
    struct history_event *sent = pick(server, HISTORY_SENT);
    if (!sent)
        return false;
    struct history_event rejected = *sent;
    rejected.op = HISTORY_REJECTED;
    rejected.res = HISTORY_FAIL;
    rejected.reason = 48;
    add(server, &rejected);
    return true;
}

static bool forget_cursor(struct server *server)
{
    struct history_event *restart = pick(server, HISTORY_RESTART);
    if (!restart || restart->useq == 0)
        return false;
    restart->useq--;
    return true;
}

static bool connect_as_older(struct server *server)
{
    struct history_event *connect = pick(server, HISTORY_CONNECT);
    if (!connect)
        return false;
    struct history_event copy = *connect;
    copy.t_inv = copy.t_ret = server->now_us;
    add(server, &copy);
    return true;
}

static bool sign_out_early(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (!recv)
        return false;
    struct history_event revoke = {
        .op = HISTORY_DEVICE_REVOKE, .user = recv->user, .dev = recv->dev, .from_dev = recv->dev};
    recv->t_inv = recv->t_ret = CHECKER_GRACE_US + server->now_us;
    add(server, &revoke);
    return true;
}

static bool overflow(struct server *server)
{
    struct history_event *gauge = pick(server, HISTORY_GAUGE);
    if (gauge)
        gauge->value = gauge->cap + 1;
    return gauge != NULL;
}

static const struct corruption {
    bool (*apply)(struct server *server);
    const char *invariants; /* one of these is named */
} corruptions[] = {
    {lose_one, "I6 I16"},    {lose_for_all, "I1"},      {forge_mid, "I2"},
    {change_content, "I2"},  {change_author, "I2"},     {number_twice, "I3"},
    {swap_values, "I4 I16"}, {step_over, "I4"},         {run_clock_back, "I4"},
    {break_cause, "I5"},     {show_again, "I7"},        {mark_above, "I8"},
    {mark_too_early, "I8"},  {read_too_far, "I8"},      {fail_what_is_there, "I3"},
    {forget_cursor, "I4"},   {connect_as_older, "I18"}, {sign_out_early, "I18"},
    {overflow, "I20"},
};
#define CORRUPTIONS (sizeof corruptions / sizeof *corruptions)

static bool names_one_of(const struct verdict *verdict, const char *invariants)
{
    for (size_t i = 0; i < verdict->found_count; i++) {
        size_t bytes = strlen(verdict->found[i].invariant);
        for (const char *at = invariants; (at = strstr(at, verdict->found[i].invariant)) != NULL;
             at += bytes)
            if (at[bytes] == 0 || at[bytes] == ' ')
                return true;
    }
    return false;
}

static void test_corruptions(void **state)
{
    (void)state;
    static struct server server;
    static struct verdict verdict;
    uint64_t applied[CORRUPTIONS] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        size_t which = seed % CORRUPTIONS;
        history_make(&server, seed);
        assert_int_equal(checker_run(&server.history, &verdict), STATUS_OK);
        if (verdict.total > 0)
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, verdict.found[0].invariant,
                     verdict.found[0].text);
        assert_true(verdict.sends > 5 && verdict.acked == verdict.sends && verdict.marks > 0);
        if (corruptions[which].apply(&server)) {
            applied[which]++;
            assert_int_equal(checker_run(&server.history, &verdict), STATUS_OK);
            if (!names_one_of(&verdict, corruptions[which].invariants))
                fail_msg("seed %llu, corruption %zu: %s expected, found %s (%s)",
                         (unsigned long long)seed, which, corruptions[which].invariants,
                         verdict.total ? verdict.found[0].invariant : "nothing",
                         verdict.total ? verdict.found[0].text : "");
        }
        history_close(&server.history);
    }
    for (size_t i = 0; i < CORRUPTIONS; i++)
        if (applied[i] < 5)
            fail_msg("corruption %zu was applied %llu times", i, (unsigned long long)applied[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_corruptions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
