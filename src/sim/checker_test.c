/* SPDX-License-Identifier: Apache-2.0
 * Small histories as people can read them, one good and one bad for each rule. A story is
 * "TIME DEVICE OP key=value …; …": device a2 is the second of user a; all is said in the chat of a
 * and b. by=a1: author, from=b: user, u=2: useq with prev_useq one less, unless p= says otherwise.
 * A send is not answered unless `sent` says so. */
#include "sim/checker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

/* Two devices, their chat, its first number: the beginning of every story. */
#define BEGIN                                                                         \
    "1 a1 device_add; 1 b1 device_add; 2 a1 chat_create from=b; 3 a1 connect conn=1;" \
    "4 a1 recv c=1 u=1 sys=1; 4 b1 recv c=1 u=1 sys=1;"
/* One message from a to b, from the pen to the two ticks. */
#define TALK                                                                                \
    BEGIN "10 a1 send m=1 s=1 h=11; 12 a1 sent m=1; 13 a1 recv m=1 s=1 h=11 by=a1 c=2 u=2;" \
          "14 b1 recv m=1 s=1 h=11 by=a1 c=2 u=2; 15 b1 show m=1 c=2;"                      \
          "16 a1 receipt_rx from=b d=2; 17 b1 receipt_tx r=2; 18 a1 receipt_rx from=b d=2 r=2;"
/* The same without its ticks. */
#define TICKED(text)                                                                        \
    BEGIN "10 a1 send m=1 s=1 h=11; 12 a1 sent m=1; 13 a1 recv m=1 s=1 h=11 by=a1 c=2 u=2;" \
          "14 b1 recv m=1 s=1 h=11 by=a1 c=2 u=2; 15 b1 show m=1 c=2;" text
#define END "90 a1 quiesce"

struct story {
    const char *invariant; /* NULL: the history is good */
    const char *text;
};

static const struct story stories[] = {
    {NULL, ""},
    {NULL, TALK END},
    /* I1 */
    {"I1", BEGIN "10 a1 send m=1 s=1; 12 a1 sent m=1;" END},
    {NULL, BEGIN "10 a1 send m=1 s=1; 12 a1 sent m=1;"}, /* no quiesce yet */
    {"I1", BEGIN "10 a1 send m=1 s=1;" END},
    {NULL, BEGIN "5 a2 device_add; 9 a2 device_revoke dev=a1; 10 a1 send m=1 s=1; 11 a1 sent m=1;"
                 "12 a1 rejected m=1 reason=48 res=fail;" END},
    {"I1", BEGIN "10 a1 send m=1 s=1; 11 a1 sent m=1; 12 a1 rejected m=1 reason=48 res=fail;" END},
    {"I1", BEGIN "10 a1 send m=1 s=1; 12 a1 rejected m=1 reason=49 res=fail;" END},
    {"I1",
     BEGIN "9 a1 snapshot u=1; 10 a1 send m=1 s=1; 12 a1 rejected m=1 reason=51 res=fail;" END},
    {NULL,
     BEGIN "10 a1 send m=1 s=1; 11 a1 snapshot u=1; 12 a1 rejected m=1 reason=51 res=fail;" END},
    {NULL, BEGIN "10 a1 send m=1 s=1 res=fail;" END},
    {NULL, TALK "20 a1 send m=2 s=2; 21 a1 restored copy=18 u=2;" END},
    {"I1", TALK "20 a1 send m=2 s=2; 20 a1 sent m=2; 21 a1 restored copy=18 u=2;" END},
    /* I2 */
    {"I2", BEGIN "14 b1 recv m=1 s=1 h=11 by=a1 c=2 u=2"},
    {"I2", BEGIN "10 a1 send m=1 s=1 h=11; 14 b1 recv m=1 s=1 h=12 by=a1 c=2 u=2"},
    {"I2", BEGIN "10 a1 send m=1 s=1 h=11; 14 b1 recv m=1 s=1 h=11 by=a2 c=2 u=2"},
    {"I2", BEGIN "10 a1 send m=1 s=1 h=11; 14 b1 recv m=1 s=1 h=11 by=b1 c=2 u=2"},
    /* I3 */
    {"I3", TALK "19 b1 recv m=1 s=1 h=11 by=a1 c=3 u=3"},
    {"I3", TALK "19 a1 send m=2 s=1 h=12; 20 b1 recv m=2 s=1 h=12 by=a1 c=3 u=3"},
    {NULL, TALK "19 a1 send m=2 s=2 h=12; 20 b1 recv m=2 s=2 h=12 by=a1 c=3 u=3"},
    {"I3", TALK "19 a1 rejected m=1 reason=48 res=fail;" END},
    {NULL, TALK "11 a1 rejected m=1 reason=33 res=info;" END}, /* repaired */
    {"I3", TALK "20 a1 send m=1 s=2"},
    /* I4 */
    {"I4", TALK "20 b1 send m=2 h=12; 21 b1 recv m=2 h=12 by=b1 c=2 u=3"},
    {"I4", TALK "20 b1 send m=2 h=12; 21 b1 recv m=2 h=12 by=b1 c=4 u=3"},
    {"I4", TALK "20 b1 send m=2 h=12; 21 b1 recv m=2 h=12 by=b1 c=3 u=4"},
    {"I4", TALK "20 b1 send m=2 h=12; 21 b1 recv m=2 h=12 by=b1 c=3 u=4 p=2"},
    {"I4", TALK "20 b1 send m=2 h=12; 21 b1 recv m=2 h=12 by=b1 c=3; 22 a2 recv m=2 h=12 by=b1 "
                "c=3 u=1"},
    {NULL, TALK "20 b1 send m=2 h=12; 21 b1 snapshot u=4; 21 b1 recv m=2 h=12 by=b1 c=3;"
                "22 b1 entry u=5; 22 b1 entry u=5"},
    {"I4", TALK "20 b1 recv m=1 s=1 h=11 by=a1 c=2 u=3"},
    {"I4", TALK "20 b1 restart u=1"},
    {NULL, TALK "20 b1 restart u=2; 21 b1 restored copy=4 u=1"},
    {"I4", BEGIN "10 a1 send m=1 h=11; 10 a1 send m=2 h=12; 14 b1 recv m=1 h=11 by=a1 c=2 u=2 "
                 "ts=9; 15 b1 recv m=2 h=12 by=a1 c=3 u=3 ts=8"},
    /* I5 */
    {"I5", BEGIN "10 a1 send m=1 h=11; 12 a1 sent m=1; 13 b1 send m=2 h=12;"
                 "20 b1 recv m=2 h=12 by=b1 c=2 u=2; 21 b1 recv m=1 h=11 by=a1 c=3 u=3"},
    {NULL, BEGIN "10 a1 send m=1 h=11; 13 a1 sent m=1; 12 b1 send m=2 h=12;"
                 "20 b1 recv m=2 h=12 by=b1 c=2 u=2; 21 b1 recv m=1 h=11 by=a1 c=3 u=3"},
    {"I5", BEGIN "10 a1 send m=1 h=11; 12 b1 recv m=1 h=11 by=a1 c=3; 13 b1 send m=2 h=12;"
                 "20 b1 recv m=2 h=12 by=b1 c=2"},
    /* I6, I16 */
    {"I6", BEGIN "10 a1 send m=1 h=11; 13 a1 recv m=1 h=11 by=a1 c=2 u=2;" END},
    {"I6", TALK "5 b2 device_add;" END},
    {NULL, TALK "5 b2 device_add; 30 b1 device_revoke dev=b2;" END},
    {NULL, TALK "95 b2 device_add;" END},
    {"I16", TALK "5 a2 device_add;" END},
    {NULL, TALK "5 a2 device_add; 40 a2 snapshot u=2; 41 a2 recv m=1 s=1 h=11 by=a1 c=2;"
                "41 a2 receipt_rx from=b d=2 r=2;" END},
    {"I16", TALK "5 a2 device_add; 20 a2 send m=2 h=12; 41 a2 recv m=2 h=12 by=a2 c=2"},
    {"I6", TALK "60 b1 restored copy=5 u=1;" END},
    /* I7 */
    {"I7", TALK "40 b1 show m=1 c=2"},
    {"I7", TALK "39 b1 restart u=2; 40 b1 show m=1 c=2"},
    {NULL, TALK "39 b1 restored copy=5 u=1; 40 b1 show m=1 c=2"},
    {NULL, TALK "40 a2 show m=1 c=2"},
    /* I8 */
    {"I8", TALK "20 a1 receipt_rx from=b d=1 r=1"},
    {"I8", TALK "20 a1 receipt_rx from=b d=2 r=1"},
    {"I8", TALK "20 a1 receipt_rx from=b d=3 r=2"},
    {"I8", BEGIN "10 a1 send m=1 h=11; 13 a1 recv m=1 h=11 by=a1 c=2 u=2; 14 a1 receipt_rx d=2;"
                 "15 b1 recv m=1 h=11 by=a1 c=2 u=2"},
    {"I8", BEGIN "10 a1 send m=1 h=11; 13 b1 recv m=1 h=11 by=a1 c=2 u=2; 14 a1 receipt_rx d=2 "
                 "r=2; 15 b1 receipt_tx r=2"},
    {"I8", BEGIN "10 a1 send m=1 h=11; 13 b1 recv m=1 h=11 by=a1 c=2 u=2; 13 b1 receipt_tx r=2;"
                 "14 a1 receipt_rx d=1 r=2"},
    /* I8, at quiesce: what was taken is told, and what was read */
    {"I8", TICKED("") END},
    {NULL, TICKED("20 a1 receipt_rx from=b d=2;") END},
    {NULL, TICKED("")}, /* no quiesce yet */
    {NULL,
     TICKED("95 a1 receipt_rx from=b d=2; 30 b1 device_revoke dev=b1;") END}, /* nobody left */
    {"I8", TICKED("20 a1 receipt_rx from=b d=2; 21 b1 receipt_tx r=2;") END},
    {NULL, TICKED("20 b1 receipt_tx r=2; 21 a1 receipt_rx from=b d=2 r=2;") END},
    /* read on an old copy of its rows: the wish went with them */
    {NULL,
     TICKED("20 a1 receipt_rx from=b d=2; 21 b1 receipt_tx r=2; 22 b1 restored copy=19 u=2;") END},
    {"I8",
     TICKED("20 a1 receipt_rx from=b d=2; 21 b1 receipt_tx r=2; 22 b1 restored copy=21 u=2;") END},
    /* the author's rows are older than what it was told */
    {"I8", TICKED("20 a1 receipt_rx from=b d=2; 22 a1 restored copy=19 u=2;") END},
    {NULL, TICKED("20 a1 receipt_rx from=b d=2; 22 a1 restored copy=20 u=2;") END},
    /* every device of the author; one that signed out is owed nothing */
    {"I8", TICKED("5 a2 device_add; 6 a2 recv c=1 u=1 sys=1; 16 a2 recv m=1 s=1 h=11 by=a1 c=2 u=2;"
                  "20 a1 receipt_rx from=b d=2;") END},
    {NULL, TICKED("5 a2 device_add; 6 a2 recv c=1 u=1 sys=1; 16 a2 recv m=1 s=1 h=11 by=a1 c=2 u=2;"
                  "20 a1 receipt_rx from=b d=2; 21 a1 device_revoke dev=a2;") END},
    /* I18 */
    {"I18", TALK "20 a1 device_revoke dev=b1; 2000021 b1 connect conn=9"},
    {NULL, TALK "20 a1 device_revoke dev=b1; 2000020 b1 connect conn=9"},
    {NULL, TALK "20 a1 device_revoke dev=b1 res=info; 2000021 b1 connect conn=9"},
    {"I18", TALK "20 a1 connect conn=2; 2000021 a1 entry u=3 conn=1"},
    {NULL, TALK "20 a1 connect conn=2; 2000020 a1 entry u=3 conn=1"},
    {"I18", TALK "20 a1 connect conn=1"},
    /* I20 */
    {"I20", "1 a1 gauge what=window value=257 cap=256"},
    {NULL, "1 a1 gauge what=window value=256 cap=256"},
};

/* ---- reading a story ---- */

static void id_from(uint8_t at[ID_BYTES], char kind, const char *text)
{
    memset(at, 0, ID_BYTES);
    at[0] = (uint8_t)kind;
    for (size_t i = 0; i < 4 && text[i]; i++)
        at[ID_BYTES - 4 + i] = (uint8_t)text[i];
}

static void id_user(uint8_t at[ID_BYTES], const char *device)
{
    const char user[2] = {device[0], 0};
    id_from(at, 'u', user);
}

static void set_res(struct history_event *event, const char *value)
{
    event->res = strcmp(value, "fail") == 0 ? HISTORY_FAIL : HISTORY_INFO;
}

static void set(struct history_event *event, const char *key, const char *value)
{
    const struct {
        const char *key;
        uint64_t *at;
    } numbers[] = {{"s", &event->sctr},      {"c", &event->cseq},        {"u", &event->useq},
                   {"p", &event->prev_useq}, {"h", &event->hash},        {"ts", &event->ts},
                   {"sys", &event->system},  {"d", &event->delivered},   {"r", &event->read},
                   {"conn", &event->conn},   {"reason", &event->reason}, {"copy", &event->t_copy},
                   {"value", &event->value}, {"cap", &event->cap}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].key, key) == 0)
            *numbers[i].at = strtoull(value, NULL, 10);
    if (strcmp(key, "u") == 0 && event->useq > 0)
        event->prev_useq = event->useq - 1;
    if (strcmp(key, "m") == 0)
        id_from(event->mid.at, 'm', value);
    if (strcmp(key, "by") == 0 || strcmp(key, "dev") == 0) {
        id_from(event->from_dev.at, 'd', value);
        id_user(event->from_user.at, value);
    }
    if (strcmp(key, "from") == 0)
        id_user(event->from_user.at, value);
    if (strcmp(key, "res") == 0)
        set_res(event, value);
    if (strcmp(key, "what") == 0)
        memcpy(event->what, value, strnlen(value, sizeof event->what - 1));
}

static enum history_op op_named(const char *name)
{
    for (enum history_op op = 0; op < HISTORY_OPS_COUNT; op++)
        if (strcmp(history_op_name(op), name) == 0)
            return op;
    fail_msg("no operation '%s'", name);
    return HISTORY_OPS_COUNT;
}

static void add_line(struct history *history, char *line)
{
    struct history_event event = {0};
    char device[8], op[32];
    int used = 0;
    if (sscanf(line, "%lu %7s %31s%n", &event.t_inv, device, op, &used) != 3)
        return;
    event.t_ret = event.t_inv;
    event.op = op_named(op);
    event.res = event.op == HISTORY_SEND ? HISTORY_INFO : HISTORY_OK;
    id_from(event.dev.at, 'd', device);
    id_user(event.user.at, device);
    id_from(event.chat.at, 'c', "ab");
    char key[16], value[32];
    for (char *at = line + used; sscanf(at, " %15[a-z]=%31s%n", key, value, &used) == 2; at += used)
        set(&event, key, value);
    assert_int_equal(history_add(history, &event), STATUS_OK);
}

static void story_read(struct history *history, const char *text)
{
    char line[256];
    while (*text) {
        size_t bytes = strcspn(text, ";");
        assert_true(bytes < sizeof line);
        memcpy(line, text, bytes);
        line[bytes] = 0;
        add_line(history, line);
        text += bytes + (text[bytes] == ';');
    }
}

/* ---- tests ---- */

static char said[1 << 16];

static const char *verdict_text(const struct history *history, const struct verdict *verdict)
{
    struct buf out = buf_over(said, sizeof said - 1);
    verdict_write(&out, history, verdict);
    said[out.bytes] = 0;
    return said;
}

static void test_stories(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof stories / sizeof *stories; i++) {
        const struct story *story = &stories[i];
        struct history history = {0};
        static struct verdict verdict;
        story_read(&history, story->text);
        assert_int_equal(checker_run(&history, &verdict), STATUS_OK);
        const char *found = verdict.found_count ? verdict.found[0].invariant : NULL;
        bool right = (found == NULL) == (story->invariant == NULL) &&
                     (found == NULL || strcmp(found, story->invariant) == 0);
        if (!right)
            print_error("story %zu '%s': %s\n%s", i, story->text,
                        story->invariant ? story->invariant : "good",
                        verdict_text(&history, &verdict));
        wrong += !right;
        history_close(&history);
    }
    assert_int_equal(wrong, 0);
}

static void test_verdict(void **state)
{
    (void)state;
    struct history history = {0};
    static struct verdict verdict;
    story_read(&history, TALK "40 b1 show m=1 c=2; 41 b1 show m=1 c=2; 42 b1 show m=1 c=2;"
                              "43 b1 show m=1 c=2; 44 b1 show m=1 c=2; 45 b1 show m=1 c=2;" END);
    assert_int_equal(checker_run(&history, &verdict), STATUS_OK);
    assert_int_equal(verdict.total, 6);
    assert_int_equal(verdict.found_count, 4); /* of one invariant */
    assert_int_equal(verdict.found[0].events_count, 2);
    const char *text = verdict_text(&history, &verdict);
    assert_non_null(strstr(text, "I7: mid"));
    assert_non_null(strstr(text, "\"t_inv\":40,"));
    assert_non_null(strstr(text, "1 sends, 1 acknowledged, 0 failed, 4 entries received, 7 shown, "
                                 "2 marks seen; 6 violations\n"));
    history_close(&history);
}

/* Every refusal of memory ends in BUSY and gives all back. */
static void test_no_memory(void **state)
{
    (void)state;
    struct history history = {0};
    static struct verdict verdict;
    story_read(&history, TALK END);
    memory_fault_plan(1, true);
    assert_int_equal(checker_run(&history, &verdict), STATUS_BUSY);
    for (uint64_t nth = 1; memory_fault_fired(); nth++) {
        memory_fault_plan(nth, false);
        int64_t live = memory_live();
        enum status status = checker_run(&history, &verdict);
        assert_int_equal(status, memory_fault_fired() ? STATUS_BUSY : STATUS_OK);
        assert_int_equal(memory_live(), live);
    }
    memory_fault_plan(0, false);
    history_close(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
