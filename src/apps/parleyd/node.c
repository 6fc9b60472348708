/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/system/system.h"
#include "apps/parleyd/assemble.h"
#include "apps/parleyd/events.h"
#include "apps/parleyd/unsafe.h"
#include "base/assert.h"
#include "base/base64.h"
#include "base/memory.h"
#include "ports/crypto.h"
#include "wire/gen/record.pb.h"

#define SECRET_BYTES 16
#define STOP_MS      10000
#define PROGRESS_US  2000000u

static uint64_t mono_us(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us;
}

/* How long shard 0 may sleep before the log or its upkeep has something to do of itself. */
static int64_t log_wait_ms(const struct node *node)
{
    uint64_t due_us = log_deadline_us(&node->log), now_us = mono_us();
    uint64_t upkeep_us = upkeep_deadline_us(&node->upkeep);
    if (upkeep_us < due_us)
        due_us = upkeep_us;
    if (due_us == UINT64_MAX)
        return -1;
    return due_us <= now_us ? 0 : (int64_t)((due_us - now_us + 999) / 1000);
}

/* ---- the board: once a turn, by every shard ---- */

/* Somebody asked: a copy of what this shard counts. */
static void figures_lay(struct node_shard *at, struct node_board *board)
{
    const struct gateway *gateway = &at->shard.gateway;
    at->told = board->told[at->number] = board->asked;
    board->counts[at->number] = gateway->counts;
    board->used[at->number] = (struct node_used){.connections = gateway->conns.used,
                                                 .operations = gateway->operations.used,
                                                 .reads = gateway->reads_in_flight,
                                                 .passwords = at->passwords.in_flight,
                                                 .rates = gateway->limiter.buckets.used};
    if (at->number > 0)
        waker_wake(at->node->shards[0].loop.waker);
}

static enum node_phase board_meet(struct node_shard *at)
{
    struct node *node = at->node;
    struct node_board *board = &node->board;
    struct session_config *config = &at->shard.gateway.config;
    (void)pthread_mutex_lock(&node->lock);
    board->connections[at->number] = at->shard.gateway.conns.used;
    board->read_only = config->read_only = board->read_only || config->read_only;
    board->failed = board->failed || at->shard.failed;
    if (at->number == 0)
        board->busy = config->busy;
    else
        config->busy = board->busy;
    enum node_phase phase = board->phase;
    if (at->told != board->asked)
        figures_lay(at, board);
    bool said = sayer_lay(&board->said, &at->shard.gateway.said);
    (void)pthread_mutex_unlock(&node->lock);
    if (said && at->number > 0)
        waker_wake(node->shards[0].loop.waker);
    if (phase == NODE_DRAIN && !at->drained) {
        at->drained = true;
        shard_drain(&at->shard, node->config->drain_ms);
    }
    return phase;
}

static void board_advance(struct node *node, enum node_phase phase)
{
    (void)pthread_mutex_lock(&node->lock);
    node->board.phase = phase;
    (void)pthread_mutex_unlock(&node->lock);
    for (uint32_t i = 0; i < node->shards_count; i++)
        waker_wake(node->shards[i].loop.waker);
}

static uint32_t connections_of(struct node *node)
{
    uint32_t sum = 0;
    (void)pthread_mutex_lock(&node->lock);
    for (uint32_t i = 0; i < node->shards_count; i++)
        sum += node->board.connections[i];
    (void)pthread_mutex_unlock(&node->lock);
    return sum;
}

static void *shard_main(void *argument)
{
    struct node_shard *at = argument;
    bool any = false;
    assert_note(at->number, "shard");
    while (board_meet(at) != NODE_END)
        any = shard_turn(&at->shard, any ? 0 : -1);
    return NULL;
}

/* ---- replay ---- */

/* Not a failure of ours: the log is for a newer parleyd from there on. */
static enum status stopped(const struct lane *lane, struct failure *failure)
{
    bool record = lane->stop == LANE_STOP_RECORD_VERSION;
    unsigned long long met = lane->stop_version, offset = lane->stop_offset;
    unsigned known = record ? (unsigned)FOLD_RECORD_VERSION : FOLD_VERSION;
    if (lane->stop == LANE_STOP_ROWS)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "the rows were made with fold version %llu; this parleyd knows %u. "
                           "Nothing was changed. Start the newer parleyd",
                           met, known);
    return failure_set(failure, STATUS_UNSUPPORTED,
                       "the log goes on with %s version %llu at offset %llu; this parleyd knows "
                       "%u. Nothing was changed. Start the newer parleyd",
                       record ? "record" : "fold", met, offset, known);
}

static enum status failed(const struct node *node, struct failure *failure)
{
    const struct lane *lane = processor_stopped(&node->shards[0].shard.processor);
    if (lane != NULL)
        return stopped(lane, failure);
    if (node->log.failure.status != STATUS_OK)
        *failure = node->log.failure;
    else
        (void)failure_set(failure, STATUS_IO,
                          "the index in %.80s/store cannot be written or read. Is the disk full or "
                          "broken? It may be moved away: it is built again from the log (parleyctl "
                          "recover --rebuild)",
                          node->config->data);
    return failure->status;
}

/* The log failed before anything was written: it is not this server's. To make a new one would hide
 * the loss of everything. */
static enum status log_elsewhere(const struct node *node, struct failure *failure)
{
    const char *path = node->config->data;
    (void)fprintf(stderr,
                  "parleyd: to begin anew on purpose, without these accounts and messages, move %s "
                  "away or give another folder (--data)\n",
                  path);
    if (node->log.failure.status == STATUS_NOT_FOUND)
        return failure_set(failure, STATUS_NOT_FOUND,
                           "the log is gone from %.60s/log: mount it, or parleyctl restore; "
                           "nothing was changed",
                           path);
    return failure_set(failure, STATUS_CONFLICT,
                       "%.60s/log is the log of another server: mount or restore the right one; "
                       "nothing was changed",
                       path);
}

static enum status recover(struct node *node, struct failure *failure)
{
    uint64_t told_us = mono_us();
    enum status status = STATUS_OK;
    while (status == STATUS_OK && node->log.state == LOG_RECOVERING) {
        if (log_awaits_part(&node->log)) { /* it is ours */
            struct index_options options = {.data = node->config->data,
                                            .large = node->config->store_size != 0,
                                            .cache_mib = node->config->cache_mib,
                                            .shards = node->shards_count,
                                            .waker = node->shards[0].loop.waker,
                                            .log_first = log_first(&node->log),
                                            .program = "parleyd"};
            status = index_open(&node->index, &options, failure);
            if (status == STATUS_OK)
                log_part(&node->log, node->index.part);
            continue;
        }
        posix_file_wait(&node->file, 100);
        log_turn(&node->log);
        if (posix_signals_asked(node->signals) != 0)
            return failure_set(failure, STATUS_CLOSED, "stopped while the log was read");
        if (mono_us() - told_us > PROGRESS_US) {
            told_us = mono_us();
            (void)fprintf(stderr, "parleyd: reading the log, segment %zu of %zu\n",
                          node->log.recovery.segment + 1, node->log.segments_count);
        }
    }
    if (status != STATUS_OK)
        return status;
    if (node->log.state == LOG_FAILED)
        status = node->log.failure.status;
    if (status == STATUS_NOT_FOUND || status == STATUS_CONFLICT)
        return log_elsewhere(node, failure);
    if (status != STATUS_OK)
        return failed(node, failure);
    if (node->log.state == LOG_READY)
        status = data_log_note(&node->data, node->log.meta.log_id, failure);
    events_recovered(node);
    if (node->log.report.alarm[0] != '\0')
        (void)fprintf(stderr, "parleyd: ALARM: %s\n", node->log.report.alarm);
    node->board.read_only_told = node->log.state == LOG_READ_ONLY;
    if (node->log.state == LOG_READ_ONLY)
        (void)fprintf(stderr, "parleyd: the server only reads: nothing can be sent until it is "
                              "put right: parleyctl recover\n");
    return status;
}

static void unreadable_keep(struct node *node)
{
    quarantine_take(&node->quarantine, node->shards[0].shard.processor.unreadable);
    if (node->quarantine.uncopied_next != 0)
        log_spare(&node->log, node->quarantine.uncopied_next - 1);
}

static enum status replay(struct node *node, struct failure *failure)
{
    struct shard *shard = &node->shards[0].shard;
    uint64_t told_us = mono_us();
    bool any = true, told = false;
    while (!processor_caught_up(&shard->processor)) {
        any = shard_turn(shard, any ? 0 : 100);
        unreadable_keep(node);
        if (shard->failed)
            return failed(node, failure);
        if (posix_signals_asked(node->signals) != 0)
            return failure_set(failure, STATUS_CLOSED, "stopped while records were folded");
        if (mono_us() - told_us <= PROGRESS_US)
            continue;
        told_us = mono_us();
        told = true;
        uint64_t all = node->log.end - node->log.report.first;
        uint64_t left = processor_lag(&shard->processor);
        (void)fprintf(stderr, "parleyd: folding records, %llu of %llu\n",
                      (unsigned long long)(all > left ? all - left : 0), (unsigned long long)all);
    }
    if (told)
        (void)fprintf(stderr, "parleyd: all records are folded\n");
    quarantine_tell(&node->quarantine, mono_us());
    return STATUS_OK;
}

/* ---- invites ---- */

enum status node_invite(struct node *node, bool owner, uint32_t uses, uint64_t expires_ms,
                        char secret[32])
{
    static const uint8_t operator_key[ID_BYTES] = {0};
    uint8_t random[SECRET_BYTES], hash[SHA256_BYTES];
    struct arena arena;
    system_entropy()->vtable->fill(system_entropy(), random, sizeof random);
    struct buf text = buf_over(secret, 31);
    base64url_write(&text, SLICE_OF(random));
    secret[text.bytes] = '\0';
    struct slice whole = buf_slice(&text);
    crypto_sha256(&whole, 1, hash);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ACCOUNT};
    record.body.account.body_case = PB_ACCOUNT_BODY_INVITE;
    record.body.account.body.invite = (struct pb_account_invite){
        .invite_hash = SLICE_OF(hash), .uses = uses, .expires_ms = expires_ms, .owner = owner};
    arena_init(&arena, 4096);
    struct slice bytes = pb_record_pack_v1(&record, &arena);
    enum status status = STATUS_BUSY;
    if (!arena.exhausted)
        status = shard_operate(&node->shards[0].shard, TOPIC_DELIVERIES, operator_key, bytes);
    arena_deinit(&arena);
    return status;
}

/* The very first start: the log holds nothing. Again if it was cut short before that. */
static enum status owner_invite(struct node *node, struct failure *failure)
{
    struct shard *shard = &node->shards[0].shard;
    if (node->log.end != 0 || node->log.state != LOG_READY)
        return STATUS_OK;
    enum status status = node_invite(node, true, 1, 0, node->owner_invite);
    if (status != STATUS_OK)
        return failure_set(failure, status, "the first invite cannot be made");
    while (!shard->operator_done && !shard->failed)
        (void)shard_turn(shard, log_wait_ms(node));
    if (shard->failed)
        return failed(node, failure);
    if (shard->operator_status != STATUS_OK)
        return failure_set(failure, shard->operator_status,
                           "the log has no room for its first record: %s",
                           status_text(shard->operator_status));
    return STATUS_OK;
}

/* ---- open, serve, close ---- */

static enum status metrics_page(struct node *node, struct failure *failure)
{
    uint8_t address[16];
    uint16_t port;
    enum status status = config_address(node->config->metrics_listen, address, &port);
    assert(status == STATUS_OK); /* config_check */
    return posix_scrape_open(&node->scrape, address, port, node->config->data, failure);
}

enum status node_open(struct node *node, const struct config *config, struct posix_signals *signals,
                      struct failure *failure)
{
    *node = (struct node){.config = config,
                          .signals = signals,
                          .started_us = mono_us(),
                          .shards_count = config->shards,
                          .data.lock = -1};
    int made = pthread_mutex_init(&node->lock, NULL);
    assert(made == 0);
    node->shards = memory_array(config->shards, sizeof *node->shards);
    if (node->shards == NULL)
        return failure_set(failure, STATUS_BUSY, "no memory");
    memset(node->shards, 0, config->shards * sizeof *node->shards);
    enum status status = sayer_open(&node->sayer, (enum said_format)config->log_format, failure);
    if (status == STATUS_OK)
        status = data_open(&node->data, config->data, system_entropy(), failure);
    if (status == STATUS_OK)
        events_start(node);
    quarantine_open(&node->quarantine, config->data);
    if (status == STATUS_OK && node->data.keys_lost)
        (void)fprintf(stderr,
                      "parleyd: keys/witness.key was gone; a new one was made, so a loss of "
                      "data before now cannot be proved by devices\n");
    if (status == STATUS_OK && config_tls(config))
        status = certificate_open(&node->certificate, config->tls_cert, config->tls_key, failure);
    if (status == STATUS_OK)
        status = unsafe_check(config, node->data.has_log, failure);
    if (status == STATUS_OK)
        status = assemble_log(node, failure);
    if (status == STATUS_OK)
        status = recover(node, failure);
    if (status == STATUS_OK)
        status = assemble_shards(node, failure);
    if (status == STATUS_OK)
        status = replay(node, failure);
    if (status == STATUS_OK)
        status = owner_invite(node, failure);
    if (status == STATUS_OK)
        upkeep_open(&node->upkeep, config, &node->log, &node->index.db,
                    system_clock()->vtable->read(system_clock()));
    if (status == STATUS_OK)
        status = posix_admin_open(&node->admin, config->data, node->shards[0].loop.waker, failure);
    if (status == STATUS_OK && config->metrics_listen[0] != '\0')
        status = metrics_page(node, failure);
    for (uint32_t i = 0; status == STATUS_OK && i < node->shards_count; i++)
        status = loop_listen(&node->shards[i].loop, failure);
    node->port = status == STATUS_OK ? loop_port(&node->shards[0].loop) : 0;
    if (status == STATUS_OK)
        events_ready(node);
    return status;
}

static enum status threads_start(struct node *node, struct failure *failure)
{
    for (uint32_t i = 1; i < node->shards_count; i++) {
        struct node_shard *at = &node->shards[i];
        if (pthread_create(&at->thread, NULL, shard_main, at) != 0)
            return failure_set(failure, STATUS_IO, "no thread for shard %u", i);
        at->started = true;
    }
    return STATUS_OK;
}

static void threads_end(struct node *node)
{
    board_advance(node, NODE_END);
    for (uint32_t i = 1; i < node->shards_count; i++)
        if (node->shards[i].started) {
            (void)pthread_join(node->shards[i].thread, NULL);
            node->shards[i].started = false;
        }
}

const char *node_read_only(const struct node *node)
{
    if (!node->shards[0].shard.gateway.config.read_only)
        return NULL;
    if (node->log.report.alarm[0] != '\0' && node->log.state == LOG_READ_ONLY)
        return node->log.report.alarm;
    if (node->log.failure.status != STATUS_OK)
        return node->log.failure.text;
    if (rocks_db_damaged(&node->index.db))
        return "rows of the index cannot be read (damage)";
    return "a device proved that acknowledged data is gone (rollback)";
}

/* The log tries again by itself, so this comes and goes. */
static void disk_tell(struct node *node)
{
    if (node->log.spare == SPARE_FULL && !node->board.disk_told) {
        node->board.disk_told = true;
        (void)fprintf(stderr,
                      "parleyd: ALARM: the disk has no room for the next %u MiB of the log: soon "
                      "nothing can be sent. Make room in %s; the server goes on by itself\n",
                      node->config->segment_mib, node->config->data);
    } else if (node->log.spare == SPARE_READY && node->board.disk_told) {
        node->board.disk_told = false;
        (void)fprintf(stderr, "parleyd: the disk has room for the log again\n");
    }
}

/* A stall shows in its length, however seldom somebody asks. */
static void stalls_look(struct node *node)
{
    uint64_t now_us = mono_us();
    if (now_us - node->stalls_looked_us < 1000000)
        return;
    node->stalls_looked_us = now_us;
    node->stalled_s += rocks_db_gauges(&node->index.db).stopped;
}

/* Nobody is answered from damaged rows; whoever needs them waits. */
static void damage_tell(struct node *node)
{
    if (node->board.damage_told || !rocks_db_damaged(&node->index.db))
        return;
    node->board.damage_told = true;
    (void)fprintf(stderr,
                  "parleyd: ALARM: rows in %s/store cannot be read: who needs them is not served. "
                  "The log has all of it: stop parleyd, then parleyctl --data %s recover --rebuild "
                  "--yes\n",
                  node->config->data, node->config->data);
}

/* Somebody else took the room that the log leaves to the store. */
static void store_tell(struct node *node)
{
    bool full = rocks_db_full(&node->index.db);
    if (full == node->board.store_told)
        return;
    node->board.store_told = full;
    if (full)
        (void)fprintf(stderr,
                      "parleyd: ALARM: the disk is full: what is sent is kept and delivered later. "
                      "Make %llu MiB free in %s; the server goes on by itself\n",
                      (unsigned long long)rocks_room_needed(&node->index.db.options) >> 20,
                      node->config->data);
    else
        (void)fprintf(stderr, "parleyd: the disk has room for the index again\n");
}

/* Once, when it becomes so while the server runs; at start, recover says it. */
static void alarms_tell(struct node *node)
{
    const char *reason = node_read_only(node);
    disk_tell(node);
    stalls_look(node);
    store_tell(node);
    damage_tell(node);
    quarantine_tell(&node->quarantine, mono_us());
    certificate_turn(&node->certificate, posix_signals_hup_take(node->signals), mono_us() / 1000);
    events_turn(node);
    if (reason == NULL || node->board.read_only_told)
        return;
    node->board.read_only_told = true;
    (void)fprintf(stderr, "parleyd: ALARM: %s\nparleyd: from now on the server only reads\n",
                  reason);
}

/* One turn of shard 0 and of what only it has; true if it must not sleep before the next. */
static bool turn(struct node *node, bool any)
{
    any = shard_turn(&node->shards[0].shard, any ? 0 : log_wait_ms(node));
    unreadable_keep(node);
    desk_turn(node);
    (void)board_meet(&node->shards[0]);
    alarms_tell(node);
    upkeep_turn(&node->upkeep, system_clock()->vtable->read(system_clock()));
    return any;
}

static bool node_failed(struct node *node)
{
    (void)pthread_mutex_lock(&node->lock);
    bool is = node->board.failed;
    (void)pthread_mutex_unlock(&node->lock);
    return is;
}

/* Clients are told to go, and those that do not are left behind; then what is queued is written and
 * the log sealed. */
static enum status stop(struct node *node, struct failure *failure)
{
    bool any = true;
    board_advance(node, NODE_DRAIN);
    uint64_t end_us = mono_us() + (uint64_t)node->config->drain_ms * 1000;
    do
        any = turn(node, any);
    while (connections_of(node) > 0 && mono_us() < end_us && !node_failed(node));
    threads_end(node);
    upkeep_finish(&node->upkeep);
    log_stop(&node->log);
    end_us = mono_us() + STOP_MS * 1000u;
    while (node->log.state == LOG_READY && mono_us() < end_us) {
        (void)shard_turn(&node->shards[0].shard, 10);
        unreadable_keep(node);
    }
    if (node->log.state == LOG_FAILED)
        return failed(node, failure);
    if (node->log.state == LOG_READY)
        return failure_set(failure, STATUS_TIMEOUT, "the log could not be sealed in time");
    return STATUS_OK;
}

enum status node_serve(struct node *node, struct failure *failure)
{
    bool any = true;
    enum status status = threads_start(node, failure);
    posix_signals_wake(node->signals, node->shards[0].loop.waker);
    while (status == STATUS_OK && posix_signals_asked(node->signals) == 0 && !node->drain_asked) {
        any = turn(node, any);
        if (node_failed(node))
            status = failed(node, failure);
    }
    if (status == STATUS_OK)
        status = stop(node, failure);
    else
        threads_end(node);
    posix_signals_wake(node->signals, NULL);
    return status;
}

void node_close(struct node *node)
{
    events_stop(node, node->log.state == LOG_STOPPED ? "sealed" : "not_sealed");
    sayer_close(&node->sayer);
    quarantine_tell(&node->quarantine, UINT64_MAX);
    posix_scrape_close(&node->scrape); /* it asks the admin socket */
    posix_admin_close(&node->admin);
    assemble_close(node);
    certificate_close(&node->certificate);
    data_close(&node->data);
    memory_free(node->shards);
    (void)pthread_mutex_destroy(&node->lock);
    *node = (struct node){.data.lock = -1};
}
