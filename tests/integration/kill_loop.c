/* SPDX-License-Identifier: Apache-2.0
 * kill-loop PARLEYD CYCLES [HISTORY]: people talk through a real parleyd, of one and two shards in
 * turn, that is killed (-9) again and again; now and then one of them dies between its transaction
 * and its frames. In the end nothing acknowledged is lost, doubled or out of order: the history
 * checker says so. Exit 0, or 1 with what was seen; the history goes to the file. Chance is seeded
 * by PARLEY_SEED. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/system/system.h"
#include "base/prng.h"
#include "person_rig.h"
#include "sim/checker.h"

#define PEOPLE     4
#define WAIT_US    60000000u /* for whatever must happen */
#define CLOCK_RATE 10u       /* back-off shrinks to what a killed server needs */

static const char *const names[PEOPLE] = {"alice", "bob", "carol", "dave"};

struct loop {
    const char *program, *history_path;
    uint32_t cycles, kills, deaths;
    char folder[64], listen[32];
    uint16_t port;
    pid_t server;
    struct prng prng;
    struct epoll sockets;
    struct history history;
    struct person people[PEOPLE];
    struct person *all[PEOPLE];
    uint64_t sends;
};

static uint64_t now_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

static void start(struct loop *loop)
{
    loop->server = fork();
    assert_true(loop->server >= 0);
    if (loop->server > 0)
        return;
    if (freopen("/dev/null", "w", stdout) == NULL)
        _exit(126);
    (void)execl(loop->program, loop->program, "--data", loop->folder, "--listen", loop->listen,
                "--sign-up", "open", "--send-burst", "0", "--read-burst", "0", "--write-burst", "0",
                "--lookup-burst", "0", "--register-burst", "0", "--segment-mib", "4", (char *)NULL);
    _exit(127);
}

static void stop(struct loop *loop, int signal)
{
    int status;
    assert_int_equal(kill(loop->server, signal), 0);
    assert_int_equal(waitpid(loop->server, &status, 0), loop->server);
    if (signal == SIGKILL)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void server_lives(struct loop *loop)
{
    int status;
    if (waitpid(loop->server, &status, WNOHANG) != 0)
        fail_msg("parleyd ended by itself: status %d", status);
}

static void turn(struct loop *loop)
{
    people_turn(loop->all, PEOPLE);
    (void)usleep(200); /* the turn's pace; nothing waits for it */
}

/* Turn until the condition holds. */
#define AWAIT(loop, condition)                                                          \
    do {                                                                                \
        uint64_t until = now_us() + WAIT_US;                                            \
        while (!(condition)) {                                                          \
            server_lives(loop);                                                         \
            turn(loop);                                                                 \
            if (now_us() > until)                                                       \
                fail_msg("line %d, after %u kills: never: %s", __LINE__, (loop)->kills, \
                         #condition);                                                   \
        }                                                                               \
    } while (0)

static bool all_synced(const struct loop *loop)
{
    for (int i = 0; i < PEOPLE; i++)
        if (loop->people[i].state != PB_CLIENT_STATE_SYNCED || !loop->people[i].client.synced)
            return false;
    return true;
}

/* Every author has been told that all is delivered: a receipt may wait for its second. */
static bool all_told(const struct loop *loop)
{
    for (size_t i = 0; i < loop->history.count; i++) {
        const struct history_event *event = &loop->history.events[i];
        if (event->op != HISTORY_RECV || memcmp(event->from_user.at, event->user.at, ID_BYTES) != 0)
            continue;
        for (int k = 0; k < PEOPLE; k++) {
            const struct client *client = &loop->people[k].client;
            if (memcmp(client->user, event->user.at, ID_BYTES) == 0 &&
                client_chat_find(client, event->chat.at)->delivered_by_all < event->cseq)
                return false;
        }
    }
    return true;
}

/* Nothing unsent, unanswered, unseen or untold. */
static bool all_settled(const struct loop *loop)
{
    if (!all_synced(loop))
        return false;
    for (int i = 0; i < PEOPLE; i++) {
        const struct client *client = &loop->people[i].client;
        if (client->outbox_count > 0)
            return false;
        for (uint32_t c = 0; c < client->chat_count; c++) {
            const struct client_chat *chat = client->chats[c];
            for (int k = 0; k < PEOPLE; k++) {
                const struct client_chat *other =
                    client_chat_find(&loop->people[k].client, chat->id);
                if (other != NULL && (other->head != chat->head || chat->span_count != 1 ||
                                      chat->spans[0].to != chat->head))
                    return false;
            }
        }
    }
    return all_told(loop);
}

static void somebody_writes(struct loop *loop)
{
    char text[32];
    uint32_t from = (uint32_t)prng_below(&loop->prng, PEOPLE);
    uint32_t to = (from + 1 + (uint32_t)prng_below(&loop->prng, PEOPLE - 1)) % PEOPLE;
    (void)snprintf(text, sizeof text, "message %llu", (unsigned long long)loop->sends++);
    person_send(&loop->people[from], names[to], text);
}

static void people_talk(struct loop *loop, uint64_t for_us)
{
    uint64_t until = now_us() + for_us;
    while (now_us() < until) {
        if (prng_chance(&loop->prng, 300))
            somebody_writes(loop);
        turn(loop);
    }
}

static void one_cycle(struct loop *loop)
{
    AWAIT(loop, all_synced(loop));
    people_talk(loop, 20000 + prng_below(&loop->prng, 150000));
    if (prng_chance(&loop->prng, 200)) {
        loop->people[prng_below(&loop->prng, PEOPLE)].dies = true;
        loop->deaths++;
    }
    people_talk(loop, prng_below(&loop->prng, 20000));
    stop(loop, SIGKILL);
    loop->kills++;
    people_talk(loop, prng_below(&loop->prng, 20000)); /* to nobody */
    start(loop);
    if (loop->kills % 10 == 0)
        (void)fprintf(stderr, "kill-loop: %u of %u kills, %llu messages\n", loop->kills,
                      loop->cycles, (unsigned long long)loop->sends);
}

static void history_save(const struct loop *loop)
{
    static uint8_t line[HISTORY_LINE_BYTES_MAX];
    FILE *file = loop->history_path ? fopen(loop->history_path, "w") : NULL;
    for (size_t i = 0; file != NULL && i < loop->history.count; i++) {
        struct buf out = buf_over(line, sizeof line);
        history_write(&out, &loop->history.events[i]);
        (void)fwrite(line, 1, out.bytes, file);
    }
    if (file != NULL)
        (void)fclose(file);
}

static void promises_are_kept(struct loop *loop)
{
    static struct verdict verdict;
    static uint8_t text[16384];
    struct history_event quiesce = {.t_inv = now_us(), .t_ret = now_us(), .op = HISTORY_QUIESCE};
    assert_int_equal(history_add(&loop->history, &quiesce), STATUS_OK);
    history_save(loop);
    assert_int_equal(checker_run(&loop->history, &verdict), STATUS_OK);
    struct buf out = buf_over(text, sizeof text - 1);
    verdict_write(&out, &loop->history, &verdict);
    if (verdict.total > 0)
        fail_msg("%s", (const char *)text);
    for (int i = 0; i < PEOPLE; i++)
        assert_false(loop->people[i].observer.failed);
    (void)fprintf(stderr,
                  "kill-loop: %u kills, %u deaths of clients, %llu messages (%llu got SENT), %zu "
                  "events: nothing lost, doubled or out of order\n",
                  loop->kills, loop->deaths, (unsigned long long)verdict.sends,
                  (unsigned long long)verdict.acked, loop->history.count);
    assert_true(verdict.sends > 0 && verdict.acked > verdict.sends / 2);
}

static void nothing_acknowledged_is_lost(void **state)
{
    struct loop *loop = *state;
    start(loop);
    for (int i = 0; i < PEOPLE; i++) {
        struct person *person = &loop->people[i];
        person_register(person, names[i]);
        AWAIT(loop, person->result.request == 1);
        assert_int_equal(person->result.error, 0);
    }
    while (loop->kills < loop->cycles)
        one_cycle(loop);
    AWAIT(loop, all_settled(loop));
    promises_are_kept(loop);
    stop(loop, SIGTERM);
}

/* A port that is free now, for the server's whole life. */
static uint16_t free_port(void)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    struct epoll probe;
    struct epoll_options options = {.address = any, .connections_max = 1};
    assert_int_equal(epoll_open(&probe, &options, NULL), STATUS_OK);
    uint16_t port = epoll_port(&probe);
    epoll_close(&probe);
    return port;
}

static int setup(void **state)
{
    struct loop *loop = *state;
    const char *seed = getenv("PARLEY_SEED");
    prng_init(&loop->prng, seed ? strtoull(seed, NULL, 10) : now_us());
    memcpy(loop->folder, "/tmp/parley-kill-XXXXXX", 24);
    assert_non_null(mkdtemp(loop->folder));
    loop->port = free_port();
    (void)snprintf(loop->listen, sizeof loop->listen, "127.0.0.1:%u", loop->port);
    struct epoll_options sockets = {.connections_max = 4 * PEOPLE};
    assert_int_equal(epoll_open(&loop->sockets, &sockets, NULL), STATUS_OK);
    for (uint64_t i = 0; i < PEOPLE; i++) {
        struct person_options options = {.sockets = &loop->sockets,
                                         .tag = i + 1,
                                         .clock_rate = CLOCK_RATE,
                                         .history = &loop->history};
        loop->all[i] = &loop->people[i];
        person_open(&loop->people[i], &options);
        loop->people[i].port = loop->port;
    }
    return 0;
}

static int teardown(void **state)
{
    struct loop *loop = *state;
    char command[96];
    for (int i = 0; i < PEOPLE; i++)
        person_close(&loop->people[i]);
    epoll_close(&loop->sockets);
    history_close(&loop->history);
    (void)kill(loop->server, SIGKILL); /* after a failure it may still run */
    (void)snprintf(command, sizeof command, "rm -rf '%s'", loop->folder);
    return system(command); /* NOLINT(cert-env33-c): our own folder */
}

int main(int argc, char **argv)
{
    static struct loop loop;
    if (argc < 3) {
        (void)fprintf(stderr, "usage: kill-loop PARLEYD CYCLES [HISTORY]\n");
        return 2;
    }
    loop.program = argv[1];
    loop.cycles = (uint32_t)strtoul(argv[2], NULL, 10);
    loop.history_path = argc > 3 ? argv[3] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(nothing_acknowledged_is_lost, setup, teardown,
                                                 &loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
