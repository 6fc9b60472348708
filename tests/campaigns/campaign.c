/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign.h"

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

#define CLOCK_RATE      10u /* back-off shrinks to what a harmed server needs */
#define ARGUMENTS_MAX   40
#define SAID_BYTES      (64u << 10)
#define WAIT_S          60u
#define WRITE_PER_MILLE 300

static const char *const names[CAMPAIGN_PEOPLE] = {"alice", "bob", "carol", "dave"};

uint64_t campaign_now_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

uint64_t campaign_wait_us(void)
{
    const char *seconds = getenv("PARLEY_WAIT_S");
    return (seconds != NULL ? strtoull(seconds, NULL, 10) : WAIT_S) * 1000000u;
}

/* ---- the server ---- */

static void child(const struct campaign *campaign)
{
    const char *arguments[ARGUMENTS_MAX] = {campaign->program,
                                            "--data",
                                            campaign->data,
                                            "--listen",
                                            campaign->listen,
                                            "--sign-up",
                                            "open",
                                            "--send-burst",
                                            "0",
                                            "--read-burst",
                                            "0",
                                            "--write-burst",
                                            "0",
                                            "--lookup-burst",
                                            "0",
                                            "--register-burst",
                                            "0",
                                            "--segment-mib",
                                            "4"};
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    for (size_t i = 0; i < CAMPAIGN_SETTINGS && campaign->settings[i] != NULL; i++)
        arguments[count++] = campaign->settings[i];
    for (size_t i = 0; i < CAMPAIGN_SETTINGS && campaign->environment[i] != NULL; i++)
        (void)putenv((char *)(uintptr_t)campaign->environment[i]);
    if (freopen("/dev/null", "w", stdout) == NULL || freopen(campaign->said, "w", stderr) == NULL)
        _exit(126);
    (void)execv(campaign->program, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

void campaign_start(struct campaign *campaign)
{
    assert_int_equal(campaign->server, 0);
    (void)unlink(campaign->said); /* what the one before said is not this one's */
    campaign->server = fork();
    assert_true(campaign->server >= 0);
    if (campaign->server == 0)
        child(campaign);
}

void campaign_stop(struct campaign *campaign, int signal)
{
    assert_int_equal(kill(campaign->server, signal), 0);
    assert_int_equal(waitpid(campaign->server, &campaign->status, 0), campaign->server);
    campaign->server = 0;
    if (signal == SIGKILL)
        assert_true(WIFSIGNALED(campaign->status) && WTERMSIG(campaign->status) == SIGKILL);
}

bool campaign_ended(struct campaign *campaign)
{
    if (campaign->server == 0)
        return true;
    if (waitpid(campaign->server, &campaign->status, WNOHANG) != campaign->server)
        return false;
    campaign->server = 0;
    return true;
}

static void said_read(const struct campaign *campaign, char text[SAID_BYTES])
{
    FILE *file = fopen(campaign->said, "r");
    size_t bytes = file == NULL ? 0 : fread(text, 1, SAID_BYTES - 1, file);
    text[bytes] = '\0';
    if (file != NULL)
        (void)fclose(file);
}

bool campaign_heard(const struct campaign *campaign, const char *text)
{
    static char said[SAID_BYTES];
    said_read(campaign, said);
    return strstr(said, text) != NULL;
}

/* ---- the people ---- */

void campaign_turn(struct campaign *campaign)
{
    people_turn(campaign->all, CAMPAIGN_PEOPLE);
    (void)usleep(200); /* the turn's pace; nothing waits for it */
}

void campaign_write_one(struct campaign *campaign)
{
    static char text[CAMPAIGN_TEXT_BYTES + 1];
    uint32_t from = (uint32_t)prng_below(&campaign->prng, CAMPAIGN_PEOPLE);
    uint32_t other = 1 + (uint32_t)prng_below(&campaign->prng, CAMPAIGN_PEOPLE - 1);
    assert_true(campaign->text_bytes <= CAMPAIGN_TEXT_BYTES);
    (void)snprintf(text, sizeof text, "message %-*llu",
                   campaign->text_bytes > 8 ? (int)campaign->text_bytes - 8 : 0,
                   (unsigned long long)campaign->sends++);
    person_send(&campaign->people[from], names[(from + other) % CAMPAIGN_PEOPLE], text);
}

void campaign_talk(struct campaign *campaign, uint64_t for_us)
{
    uint64_t until = campaign_now_us() + for_us;
    while (campaign_now_us() < until) {
        if (prng_chance(&campaign->prng, WRITE_PER_MILLE))
            campaign_write_one(campaign);
        campaign_turn(campaign);
    }
}

void campaign_register(struct campaign *campaign)
{
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++) {
        struct person *person = &campaign->people[i];
        person_register(person, names[i]);
        CAMPAIGN_AWAIT(campaign, person->result.request == 1);
        assert_int_equal(person->result.error, 0);
    }
}

void campaign_person_restart(struct campaign *campaign, uint64_t index)
{
    person_restart(&campaign->people[index]);
    campaign->people[index].state = PB_CLIENT_STATE_OFFLINE; /* the rig's memory is older */
}

void campaign_all_restart(struct campaign *campaign)
{
    for (uint64_t i = 0; i < CAMPAIGN_PEOPLE; i++)
        campaign_person_restart(campaign, i);
}

bool campaign_synced(const struct campaign *campaign)
{
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++)
        if (campaign->people[i].state != PB_CLIENT_STATE_SYNCED ||
            !campaign->people[i].client.synced)
            return false;
    return true;
}

/* Every author has been told that all is delivered: a receipt may wait for its second. */
static bool all_told(const struct campaign *campaign)
{
    for (size_t i = 0; i < campaign->history.count; i++) {
        const struct history_event *event = &campaign->history.events[i];
        if (event->op != HISTORY_RECV || memcmp(event->from_user.at, event->user.at, ID_BYTES) != 0)
            continue;
        for (int k = 0; k < CAMPAIGN_PEOPLE; k++) {
            const struct client *client = &campaign->people[k].client;
            if (memcmp(client->user, event->user.at, ID_BYTES) == 0 &&
                client_chat_find(client, event->chat.at)->delivered_by_all < event->cseq)
                return false;
        }
    }
    return true;
}

/* Both ends of this chat have all of it. */
static bool chat_whole(const struct campaign *campaign, const struct client_chat *chat)
{
    for (int k = 0; k < CAMPAIGN_PEOPLE; k++) {
        const struct client_chat *other = client_chat_find(&campaign->people[k].client, chat->id);
        if (other != NULL &&
            (other->head != chat->head || chat->span_count != 1 || chat->spans[0].to != chat->head))
            return false;
    }
    return true;
}

bool campaign_settled(const struct campaign *campaign)
{
    if (!campaign_synced(campaign))
        return false;
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++) {
        const struct client *client = &campaign->people[i].client;
        if (client->outbox_count > 0)
            return false;
        for (uint32_t c = 0; c < client->chat_count; c++)
            if (!chat_whole(campaign, client->chats[c]))
                return false;
    }
    return all_told(campaign);
}

/* ---- the verdict ---- */

void campaign_count(struct campaign *campaign, const char *kind)
{
    struct campaign_tally *at = campaign->tallies;
    while (at->kind != NULL && strcmp(at->kind, kind) != 0)
        at++;
    assert_true(at < campaign->tallies + CAMPAIGN_TALLIES - 1); /* the last one ends */
    at->kind = kind;
    at->count++;
}

uint64_t campaign_tally(const struct campaign *campaign, const char *kind)
{
    for (const struct campaign_tally *at = campaign->tallies; at->kind != NULL; at++)
        if (strcmp(at->kind, kind) == 0)
            return at->count;
    return 0;
}

static void history_save(const struct campaign *campaign)
{
    static uint8_t line[HISTORY_LINE_BYTES_MAX];
    FILE *file = campaign->history_path ? fopen(campaign->history_path, "w") : NULL;
    for (size_t i = 0; file != NULL && i < campaign->history.count; i++) {
        struct buf out = buf_over(line, sizeof line);
        history_write(&out, &campaign->history.events[i]);
        (void)fwrite(line, 1, out.bytes, file);
    }
    if (file != NULL)
        (void)fclose(file);
}

static struct verdict verdict; /* of the one campaign of this process; large */

uint64_t campaign_judge(struct campaign *campaign)
{
    static uint8_t text[16384];
    struct history_event quiesce = {
        .t_inv = campaign_now_us(), .t_ret = campaign_now_us(), .op = HISTORY_QUIESCE};
    assert_int_equal(history_add(&campaign->history, &quiesce), STATUS_OK);
    history_save(campaign);
    assert_int_equal(checker_run(&campaign->history, &verdict), STATUS_OK);
    struct buf out = buf_over(text, sizeof text - 1);
    verdict_write(&out, &campaign->history, &verdict);
    if (verdict.total > 0)
        fail_msg("%s", (const char *)text);
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++)
        assert_false(campaign->people[i].observer.failed);
    assert_true(verdict.sends > 0);
    campaign->passed = true;
    return verdict.acked * 100 / verdict.sends;
}

/* What git calls the tree that this was built from; "unknown" outside of one. */
static void commit_read(char out[64])
{
    (void)snprintf(out, 64, "unknown");
    FILE *git = popen("git -C '" CAMPAIGN_SOURCE "' describe --always --dirty --exclude '*' "
                      "2>/dev/null", /* NOLINT(cert-env33-c): fixed words */
                      "r");
    if (git == NULL)
        return;
    char line[64];
    if (fgets(line, sizeof line, git) != NULL)
        (void)snprintf(out, 64, "%.*s", (int)strcspn(line, "\n"), line);
    (void)pclose(git);
}

static void ledger_text(const struct campaign *campaign, char *out, size_t bytes)
{
    char commit[64];
    uint64_t trials = campaign->trial ? campaign_tally(campaign, campaign->trial) : 0;
    commit_read(commit);
    struct buf line = buf_over((uint8_t *)out, bytes - 1);
    char piece[256];
    (void)snprintf(piece, sizeof piece,
                   "{\"campaign\":\"%s\",\"commit\":\"%s\",\"seed\":%llu,\"seconds\":%.1f,"
                   "\"messages\":%llu,\"acked\":%llu,\"violations\":%llu,\"passed\":%s",
                   campaign->name, commit, (unsigned long long)campaign->seed,
                   (double)(campaign_now_us() - campaign->started_us) / 1e6,
                   (unsigned long long)verdict.sends, (unsigned long long)verdict.acked,
                   (unsigned long long)verdict.total, campaign->passed ? "true" : "false");
    buf_text(&line, piece);
    if (campaign->passed && trials > 0) {
        (void)snprintf(piece, sizeof piece, ",\"bound\":\"below %.2g a %s at 95 %%\"",
                       3.0 / (double)trials, campaign->trial);
        buf_text(&line, piece);
    }
    buf_text(&line, ",\"counts\":{");
    for (const struct campaign_tally *at = campaign->tallies; at->kind != NULL; at++) {
        (void)snprintf(piece, sizeof piece, "%s\"%s\":%llu", at == campaign->tallies ? "" : ",",
                       at->kind, (unsigned long long)at->count);
        buf_text(&line, piece);
    }
    buf_text(&line, "}}\n");
    out[line.bytes] = '\0';
}

static void ledger_write(const struct campaign *campaign)
{
    static char line[4096];
    const char *path = getenv("PARLEY_LEDGER");
    ledger_text(campaign, line, sizeof line);
    (void)fputs(line, stderr);
    FILE *ledger = path != NULL && path[0] != '\0' ? fopen(path, "a") : NULL;
    if (ledger == NULL)
        return;
    (void)fputs(line, ledger);
    (void)fclose(ledger);
}

/* ---- open and close ---- */

bool campaign_arguments(struct campaign *campaign, const char *name, int count, char **arguments)
{
    campaign->name = name;
    if (count < 3) {
        (void)fprintf(stderr, "usage: %s PARLEYD COUNT [HISTORY]\n", arguments[0]);
        return false;
    }
    campaign->program = arguments[1];
    campaign->count = (uint32_t)strtoul(arguments[2], NULL, 10);
    campaign->history_path = count > 3 ? arguments[3] : NULL;
    return true;
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

static void people_open(struct campaign *campaign)
{
    for (uint64_t i = 0; i < CAMPAIGN_PEOPLE; i++) {
        struct person_options options = {.sockets = &campaign->sockets,
                                         .tag = i + 1,
                                         .clock_rate = CLOCK_RATE,
                                         .history = &campaign->history};
        campaign->all[i] = &campaign->people[i];
        person_open(&campaign->people[i], &options);
        campaign->people[i].port = campaign->port;
    }
}

int campaign_open(void **state)
{
    struct campaign *campaign = *state;
    const char *seed = getenv("PARLEY_SEED");
    campaign->started_us = campaign_now_us();
    campaign->seed = seed ? strtoull(seed, NULL, 10) : campaign->started_us;
    prng_init(&campaign->prng, campaign->seed);
    memcpy(campaign->place, "/tmp/parley-campaign-XXXXXX", 28);
    assert_non_null(mkdtemp(campaign->place));
    (void)snprintf(campaign->data, sizeof campaign->data, "%.70s/data", campaign->place);
    (void)snprintf(campaign->said, sizeof campaign->said, "%.70s/said", campaign->place);
    campaign->port = free_port();
    (void)snprintf(campaign->listen, sizeof campaign->listen, "127.0.0.1:%u", campaign->port);
    struct epoll_options sockets = {.connections_max = 4 * CAMPAIGN_PEOPLE};
    assert_int_equal(epoll_open(&campaign->sockets, &sockets, NULL), STATUS_OK);
    people_open(campaign);
    return 0;
}

int campaign_close(void **state)
{
    static char said[SAID_BYTES];
    struct campaign *campaign = *state;
    char command[CAMPAIGN_PATH_BYTES + 16];
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++)
        person_close(&campaign->people[i]);
    epoll_close(&campaign->sockets);
    history_close(&campaign->history);
    if (campaign->server > 0) /* after a failure it may still run */
        campaign_stop(campaign, SIGKILL);
    said_read(campaign, said);
    if (!campaign->passed)
        (void)fprintf(stderr, "the newest parleyd said:\n%s", said);
    ledger_write(campaign);
    if (!campaign->passed && getenv("PARLEY_KEEP") != NULL)
        return 0;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", campaign->place);
    return system(command); /* NOLINT(cert-env33-c): our own folder */
}
