/* SPDX-License-Identifier: Apache-2.0
 * node.h: one server, put together: the data folder, the log, the rows, the shards and their ports.
 *
 *   node_open: folder locked → address taken → log recovered → records folded → owner's invite
 *   node_serve: listens … until a signal or a failure; then drains, seals the log
 *   node_close: everything back, in reverse
 *
 * Shard 0 runs on the caller's thread and has the log and the processor; each other one has a
 * thread. What one shard learns that concerns all (read-only, busy, stop) goes over the board, once
 * a turn.
 * Owner: the main thread. Bounds: those of the configuration. */
#pragma once

#include <pthread.h>

#include "adapters/limits/shared_limits.h"
#include "adapters/log/log.h"
#include "adapters/password/pool.h"
#include "adapters/posix/admin.h"
#include "adapters/posix/scrape.h"
#include "adapters/posix/file.h"
#include "adapters/posix/signals.h"
#include "adapters/ring/ring.h"
#include "apps/parleyd/certificate.h"
#include "apps/parleyd/data.h"
#include "apps/parleyd/index.h"
#include "apps/parleyd/loop.h"
#include "apps/parleyd/quarantine.h"
#include "apps/parleyd/sayer.h"
#include "apps/parleyd/upkeep.h"
#include "runtime/config.h"
#include "runtime/shard.h"

struct node;

struct node_shard {
    struct loop loop;
    struct ring_bus bus;
    struct ring_rpc rpc;
    struct rocks_store store;
    struct password_pool passwords;
    struct shard shard;
    struct node *node;
    uint32_t number;
    pthread_t thread;
    bool started, drained;
    uint64_t told; /* of board.asked */
};

enum node_phase { NODE_RUN, NODE_DRAIN, NODE_END };

/* What of a shard's bounds is used. */
struct node_used {
    uint32_t connections, operations, reads, passwords, rates;
};

/* What the event log was told of last. */
struct node_told {
    bool full, read_only, trouble;
    uint64_t unreadable, stalled_s, certificate_end;
};

/* What shards tell each other, under `lock`. */
struct node_board {
    enum node_phase phase;
    bool read_only, busy, failed;
    bool read_only_told, disk_told, store_told, damage_told; /* to whoever reads stderr */
    uint32_t connections[RING_SHARDS_MAX];
    /* figures.h: as often as somebody asked, and by which shard that was answered */
    uint64_t asked, told[RING_SHARDS_MAX], asked_us;
    struct metrics counts[RING_SHARDS_MAX];
    struct node_used used[RING_SHARDS_MAX];
    struct sayer_board said;
};

/* A question of the operator's that waits: for an append, or for the shards' figures. */
enum desk_state { DESK_IDLE, DESK_APPENDING, DESK_ACT, DESK_STATUS, DESK_METRICS };

struct node_desk {
    enum desk_state state;
    struct rocks_walk walk; /* trace.h: how far it has looked */
    char secret[32];
    uint8_t user[ID_BYTES]; /* DESK_ACT: whose account */
};

struct node {
    const struct config *config;
    struct data data;
    struct posix_signals *signals;
    struct posix_file file;
    struct log log;
    struct index index;
    struct upkeep upkeep;
    struct ring_links links;
    struct posix_admin admin;
    struct posix_scrape scrape; /* the page of metrics */
    struct node_shard *shards;
    uint32_t shards_count;
    struct limit limits[RATE_CLASSES];
    struct shared_limits limits_shared;
    struct slice origins[CONFIG_LIST_MAX], hosts[CONFIG_LIST_MAX];
    size_t origins_count, hosts_count;
    char discovery[1024];
    uint64_t started_us; /* monotonic */
    uint16_t port;
    uint64_t stalls_looked_us, stalled_s; /* of the index */
    char owner_invite[32];                /* of the first start; "" */
    struct node_desk desk;
    struct sayer sayer;
    struct node_told told;
    struct said said[SAYER_WAITING]; /* taken from the board, being written */
    bool drain_asked;                /* by the operator: stop as by a signal */
    struct quarantine quarantine;
    struct certificate certificate;
    pthread_mutex_t lock;
    struct node_board board;
};

/* Up to the point where clients may come. A signal meanwhile: CLOSED. `node` stands until
 * node_close, which is to be called on any status. */
MUST_USE enum status node_open(struct node *node, const struct config *config,
                               struct posix_signals *signals, struct failure *failure);
/* Until asked to stop (OK) or something cannot go on (IO and a text). */
MUST_USE enum status node_serve(struct node *node, struct failure *failure);
void node_close(struct node *node);

/* Why nothing can be written, in words; NULL: it can. */
const char *node_read_only(const struct node *node);

/* Append a new invite; the shard's operator_done says when its secret (22 letters) counts. */
MUST_USE enum status node_invite(struct node *node, bool owner, uint32_t uses, uint64_t expires_ms,
                                 char secret[32]);

/* What `backup begin`, `backup state` and `backup end` are answered with (desk_backup.c). */
void desk_backup(struct node *node, const char *what, struct buf *out);

/* One look at the admin socket (desk.c). */
void desk_turn(struct node *node);
