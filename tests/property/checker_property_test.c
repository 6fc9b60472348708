/* SPDX-License-Identifier: Apache-2.0
 * Random histories of a server that keeps all promises, then each with one corruption: the checker
 * says nothing about the first and names the broken promise of the second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "good_history.h"
#include "sim/checker.h"

#define SEEDS 400u

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

static bool make_unreadable(struct server *server)
{
    struct history_event *recv = pick(server, HISTORY_RECV);
    if (recv)
        recv->hash = HISTORY_UNREADABLE;
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
    history_event_add(server, &copy);
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
    history_event_add(server, &copy);
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

/* One device is told no mark of a chat in which its user wrote. */
static bool tell_no_ticks(struct server *server)
{
    struct history_event *sent = pick(server, HISTORY_SENT);
    for (size_t i = 0; sent && i < server->history.count; i++) {
        struct history_event *event = &server->history.events[i];
        if (event->op == HISTORY_RECEIPT_RX && ID_EQUAL(event->dev, sent->dev) &&
            ID_EQUAL(event->chat, sent->chat))
            event->op = HISTORY_CLOSE;
    }
    return sent != NULL;
}

/* It is told that all is delivered, and never that anything was read. */
static bool tell_no_reads(struct server *server)
{
    struct history_event *last = NULL;
    for (size_t i = server->history.count; !last && i-- > 0;) {
        struct history_event *event = &server->history.events[i];
        if (event->op == HISTORY_RECEIPT_RX && event->read > 1)
            last = event;
    }
    bool wrote = false;
    for (size_t i = 0; last && i < server->history.count; i++) {
        struct history_event *event = &server->history.events[i];
        bool here = ID_EQUAL(event->dev, last->dev) && ID_EQUAL(event->chat, last->chat);
        wrote |= here && event->op == HISTORY_RECV && event->cseq <= last->read &&
                 ID_EQUAL(event->from_user, last->user);
        if (here && event->op == HISTORY_RECEIPT_RX && event != last)
            event->read = 0;
    }
    if (last)
        last->read = 0;
    return wrote;
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
    history_event_add(server, &rejected);
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
    history_event_add(server, &copy);
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
    history_event_add(server, &revoke);
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
    {lose_one, "I6 I16"},       {lose_for_all, "I1"},    {forge_mid, "I2"},
    {change_content, "I2"},     {make_unreadable, "I2"}, {change_author, "I2"},
    {number_twice, "I3"},       {swap_values, "I4 I16"}, {step_over, "I4"},
    {run_clock_back, "I4"},     {break_cause, "I5"},     {show_again, "I7"},
    {mark_above, "I8"},         {mark_too_early, "I8"},  {read_too_far, "I8"},
    {fail_what_is_there, "I3"}, {forget_cursor, "I4"},   {connect_as_older, "I18"},
    {sign_out_early, "I18"},    {overflow, "I20"},       {tell_no_ticks, "I8"},
    {tell_no_reads, "I8"},
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
