/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/events.h"

#include <string.h>
#include <unistd.h>

#include "adapters/system/system.h"

#define SAY(node, id, ...)                                                  \
    sayer_say(&(node)->sayer, id, (const struct said_value[]){__VA_ARGS__}, \
              sizeof((const struct said_value[]){__VA_ARGS__}) / sizeof(struct said_value))

static struct said_value number(uint64_t value)
{
    return (struct said_value){.number = value};
}

static struct said_value word(const char *text)
{
    return (struct said_value){.text = text};
}

void events_start(struct node *node)
{
    SAY(node, SAID_SERVER_START, number((uint64_t)getpid()), word(PARLEY_VERSION),
        number(node->shards_count), number(config_tls(node->config)));
}

void events_recovered(struct node *node)
{
    static const char *const verdicts[] = {"sound", "torn_tail", "damage", "rollback",
                                           "store_lost"};
    const struct log_report *report = &node->log.report;
    const char *verdict = (size_t)report->verdict < sizeof verdicts / sizeof verdicts[0]
                              ? verdicts[report->verdict]
                              : "other";
    SAY(node, SAID_LOG_RECOVERED, word(verdict), number(report->first), number(report->end),
        number(report->torn_bytes));
    if (report->verdict == LOG_DAMAGE || report->verdict == LOG_ROLLBACK)
        SAY(node, SAID_LOG_DAMAGED, word(verdict), number(report->bad ? report->bad_offset : 0),
            number(report->lost_end));
}

void events_ready(struct node *node)
{
    uint64_t now_us = system_clock()->vtable->read(system_clock()).mono_us;
    SAY(node, SAID_SERVER_READY, number((now_us - node->started_us) / 1000),
        number(node->log.report.first), number(node->log.end), number(node->links.facts.log_epoch));
}

void events_stop(struct node *node, const char *how)
{
    SAY(node, SAID_SERVER_STOP, word(how));
}

void events_act(struct node *node, const char *act, const uint8_t *user)
{
    struct said_value account = {.number = 0};
    if (user != NULL)
        memcpy(account.id, user, ID_BYTES);
    SAY(node, SAID_OPERATOR_ACT, word(act), number(node->admin.uid), account);
}

/* ---- once a turn ---- */

static void board_take(struct node *node)
{
    struct sayer_board *board = &node->board.said;
    (void)pthread_mutex_lock(&node->lock);
    uint32_t count = board->count;
    if (count > 0)
        memcpy(node->said, board->at, count * sizeof board->at[0]);
    node->sayer.lost += board->lost;
    board->count = 0;
    board->lost = 0;
    (void)pthread_mutex_unlock(&node->lock);
    for (uint32_t i = 0; i < count; i++)
        sayer_write(&node->sayer, &node->said[i]);
}

static void certificate_look_again(struct node *node)
{
    struct node_told *told = &node->told;
    uint64_t end_s = certificate_end_s(&node->certificate);
    uint64_t now_s = system_clock()->vtable->read(system_clock()).wall_us / 1000000;
    uint64_t days = end_s > now_s ? (end_s - now_s) / 86400 : 0;
    bool trouble = node->certificate.trouble[0] != '\0';
    if (end_s != told->certificate_end)
        SAY(node, SAID_CERTIFICATE_TAKEN, number(days));
    if (trouble && !told->trouble)
        SAY(node, SAID_CERTIFICATE_REFUSED, number(days));
    told->certificate_end = end_s;
    told->trouble = trouble;
}

void events_turn(struct node *node)
{
    struct node_told *told = &node->told;
    uint64_t unreadable = node->shards[0].shard.processor.unreadable_count;
    bool full = node->log.spare == SPARE_FULL, read_only = node_read_only(node) != NULL;
    board_take(node);
    certificate_look_again(node);
    if (full && !told->full)
        SAY(node, SAID_LOG_FULL, number(node->log.end));
    if (told->full && node->log.spare == SPARE_READY)
        SAY(node, SAID_LOG_ROOM, number(node->log.end));
    told->full = full || (told->full && node->log.spare != SPARE_READY);
    if (read_only && !told->read_only)
        SAY(node, SAID_LOG_READ_ONLY, number(node->log.end));
    told->read_only = read_only;
    if (unreadable > told->unreadable)
        SAY(node, SAID_RECORD_UNREADABLE, number(unreadable));
    told->unreadable = unreadable;
    if (node->stalled_s > told->stalled_s)
        SAY(node, SAID_STORE_STALLED, number(node->stalled_s));
    told->stalled_s = node->stalled_s;
}
