/* SPDX-License-Identifier: Apache-2.0
 * desk.c: what the operator may ask (admin.h): status, metrics, invite, users. Served by shard 0
 * between two turns; an answer is at most ADMIN_ANSWER_BYTES, and a list has at most DESK_USERS
 * lines. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adapters/system/system.h"
#include "apps/parleyd/acts.h"
#include "apps/parleyd/audit.h"
#include "apps/parleyd/desk.h"
#include "apps/parleyd/events.h"
#include "apps/parleyd/figures.h"
#include "apps/parleyd/node.h"
#include "apps/parleyd/trace.h"
#include "base/base64.h"
#include "wire/gen/row.pb.h"

#define DESK_USERS       200
#define DESK_ARENA_BYTES (1u << 20)
#define DAY_MS           86400000u
#define INVITE_DAYS      7u

static void put_text(struct buf *out, const char *key, const char *value)
{
    buf_text(out, key);
    buf_text(out, " ");
    buf_text(out, value);
    buf_text(out, "\n");
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
    buf_text(out, key);
    buf_text(out, " ");
    buf_decimal(out, value);
    buf_text(out, "\n");
}

void desk_finish(struct node *node)
{
    struct buf *out = &node->admin.answer;
    if (out->overflow) {
        out->bytes = 0;
        out->overflow = false;
        buf_text(out, "error TOO_LARGE the answer is too large\n");
    }
    buf_text(out, "end\n");
    posix_admin_answer(&node->admin);
}

void desk_refuse(struct node *node, const char *text)
{
    put_text(&node->admin.answer, "error", text);
    desk_finish(node);
}

/* ---- status ---- */

static void put_counts(struct buf *out, struct node *node)
{
    struct metrics sum;
    uint64_t connections = 0, limited = 0;
    figures_sum(node, &sum);
    (void)pthread_mutex_lock(&node->lock);
    for (uint32_t i = 0; i < node->shards_count; i++)
        connections += node->board.connections[i];
    (void)pthread_mutex_unlock(&node->lock);
    for (size_t i = 0; i < RATE_CLASSES; i++)
        limited += sum.rate_refused[i];
    put_number(out, "connections", connections);
    put_number(out, "connections_max", node->config->connections);
    put_number(out, "accepted", sum.accepted);
    put_number(out, "upgraded", sum.upgraded);
    put_number(out, "frames_in", sum.frames_in);
    put_number(out, "frames_out", sum.frames_out);
    put_number(out, "messages_sent", sum.sent);
    put_number(out, "entries_pushed", sum.pushed);
    put_number(out, "entries_acked", sum.acked);
    put_number(out, "refused_head", sum.refused_head);
    put_number(out, "refused_origin", sum.refused_origin);
    put_number(out, "closed_protocol", sum.closed_protocol);
    put_number(out, "closed_slow", sum.closed_slow);
    put_number(out, "closed_session", sum.closed_session);
    put_number(out, "limited", limited);
    put_number(out, "busy", sum.busy);
    put_number(out, "rollback_alarms", sum.rollback_alarms);
    put_number(out, "claims", sum.claims);
    put_number(out, "refused_peer", sum.refused_peer);
    put_number(out, "refused_address", sum.refused_address);
    put_number(out, "refused_host", sum.refused_host);
    put_number(out, "tls_handshakes", sum.tls_handshakes);
    put_number(out, "tls_resumed", sum.tls_resumed);
    put_number(out, "tls_failed", sum.tls_failed);
}

static void status(struct node *node)
{
    static const char *const states[] = {"recovering", "ready", "read-only", "failed", "stopped"};
    struct buf *out = &node->admin.answer;
    const struct shard *shard = &node->shards[0].shard;
    char text[96];
    uint64_t now_us = system_clock()->vtable->read(system_clock()).mono_us;
    buf_text(out, "ok\n");
    put_text(out, "version", PARLEY_VERSION);
    put_number(out, "pid", (uint64_t)getpid());
    put_number(out, "uptime_s", (now_us - node->started_us) / 1000000);
    (void)snprintf(text, sizeof text, "%s", node->config->listen);
    char *colon = strrchr(text, ':');
    (void)snprintf(colon, sizeof text - (size_t)(colon - text), ":%u", node->port);
    put_text(out, "listen", text);
    put_text(out, "name", node->config->name);
    certificate_text(&node->certificate, text, sizeof text);
    put_text(out, "certificate", text);
    put_text(out, "certificate_name", certificate_named(&node->certificate, node->config->name));
    put_text(out, "certificate_trouble",
             node->certificate.trouble[0] != '\0' ? node->certificate.trouble : "none");
    put_number(out, "shards", node->shards_count);
    put_text(out, "net_backend", loop_name(&node->shards[0].loop));
    const char *reason = node_read_only(node);
    put_text(out, "read_only", reason != NULL ? reason : "no");
    put_text(out, "log_state", states[node->log.state]);
    put_number(out, "log_epoch", node->links.facts.log_epoch);
    put_number(out, "log_first", node->log.report.first);
    put_number(out, "log_end", node->log.end);
    put_number(out, "log_segments", node->log.segments_count);
    put_number(out, "log_syncs", node->log.writer.syncs);
    put_number(out, "log_refused", node->log.refused);
    put_number(out, "lag", processor_lag(&shard->processor));
    const struct quarantine *quarantine = &node->quarantine;
    (void)snprintf(text, sizeof text, "%s %llu", topic_text(quarantine->topic),
                   (unsigned long long)quarantine->offset);
    put_number(out, "unreadable", shard->processor.unreadable_count);
    put_text(out, "unreadable_last", quarantine->any ? text : "none");
    put_number(out, "unreadable_kept", quarantine->files);
    const struct rocks_gauges gauges = rocks_db_gauges(&node->index.db);
    put_number(out, "store_bytes", gauges.file_bytes);
    put_number(out, "store_unwritten_bytes", gauges.memtable_bytes);
    put_number(out, "store_cache_bytes", gauges.cache_bytes);
    put_text(out, "store_stalled", gauges.stopped ? "yes" : "no");
    const struct upkeep *upkeep = &node->upkeep;
    put_number(out, "flushed", upkeep->flushed);
    put_number(out, "checkpoints", upkeep->kept.count);
    put_number(out, "log_trimmed", node->log.upkeep.trimmed);
    put_number(out, "upkeep_failures", upkeep->failures);
    put_number(out, "operations", shard->gateway.operations.used);
    put_number(out, "passwords", node->shards[0].passwords.in_flight);
    put_counts(out, node);
    desk_finish(node);
}

/* ---- invite [owner] ---- */

static void invite(struct node *node, bool owner)
{
    uint64_t now_ms = system_clock()->vtable->read(system_clock()).wall_us / 1000;
    if (node_read_only(node) != NULL) {
        desk_refuse(node, "DENIED the server only reads: see parleyctl status");
        return;
    }
    uint64_t expires_ms = owner ? 0 : now_ms + INVITE_DAYS * (uint64_t)DAY_MS;
    if (node_invite(node, owner, 1, expires_ms, node->desk.secret) != STATUS_OK) {
        desk_refuse(node, "BUSY the log has no room now, try again");
        return;
    }
    node->desk.state = DESK_APPENDING;
    events_act(node, owner ? "invite_owner" : "invite", NULL);
}

static void invite_done(struct node *node)
{
    struct buf *out = &node->admin.answer;
    const struct shard *shard = &node->shards[0].shard;
    if (!shard->operator_done && !shard->failed)
        return;
    node->desk.state = DESK_IDLE;
    if (shard->failed || shard->operator_status != STATUS_OK) {
        desk_refuse(node, "IO the invite could not be written");
        return;
    }
    buf_text(out, "ok\n");
    put_text(out, "secret", node->desk.secret);
    memset(node->desk.secret, 0, sizeof node->desk.secret);
    desk_finish(node);
}

/* ---- users [AFTER] ---- */

static void user_put(struct buf *out, const struct row *row, struct arena *arena)
{
    struct pb_user_row user;
    struct slice body;
    if (pb_unwrap(row->value, 1, &body) != STATUS_OK ||
        pb_user_row_decode(body, arena, &user) != STATUS_OK)
        return;
    buf_text(out, "user ");
    buf_put(out, user.username);
    buf_text(out, user.owner ? " owner " : " member ");
    buf_text(out, user.closed ? "closed " : user.suspended ? "suspended " : "active ");
    buf_decimal(out, user.created_ms);
    buf_text(out, " ");
    hex_write(out, slice_make(row->key.a, ID_BYTES));
    buf_text(out, "\n");
}

/* A page of the directory; `next` names where to go on. */
static void users(struct node *node, const char *after)
{
    struct buf *out = &node->admin.answer;
    uint8_t from[ID_BYTES];
    struct row rows[DESK_USERS];
    struct arena arena;
    struct buf id = buf_over(from, sizeof from);
    if (*after != '\0' &&
        (hex_read(slice_text(after), &id) != STATUS_OK || id.overflow || id.bytes != ID_BYTES)) {
        desk_refuse(node, "INVALID no such place");
        return;
    }
    arena_init(&arena, DESK_ARENA_BYTES);
    struct rocks_page page = {.type = DIR_USER,
                              .after = *after != '\0' ? from : NULL,
                              .rows = rows,
                              .rows_max = DESK_USERS,
                              .arena = &arena};
    enum status status = rocks_db_page(&node->index.db, &page);
    if (status != STATUS_OK) {
        desk_refuse(node, "IO the index cannot be read");
        arena_deinit(&arena);
        return;
    }
    buf_text(out, "ok\n");
    for (size_t i = 0; i < page.rows_count; i++)
        user_put(out, &rows[i], &arena);
    if (page.rows_count == DESK_USERS) {
        buf_text(out, "next ");
        hex_write(out, slice_make(rows[DESK_USERS - 1].key.a, ID_BYTES));
        buf_text(out, "\n");
    }
    arena_deinit(&arena);
    desk_finish(node);
}

/* ---- drain REASON ---- */

static void drain(struct node *node, const char *reason)
{
    struct failure failure = {0};
    const struct audit_entry entry = {.act = "drain", .uid = node->admin.uid, .reason = reason};
    if (!audit_reason_valid(reason)) {
        desk_refuse(node, "INVALID give a reason of 3 to 200 bytes for the audit log");
        return;
    }
    if (audit_write(node->config->data, &entry, &failure) != STATUS_OK) {
        desk_refuse(node, failure.text);
        return;
    }
    node->drain_asked = true;
    events_act(node, "drain", NULL);
    buf_text(&node->admin.answer, "ok\n");
    put_number(&node->admin.answer, "pid", (uint64_t)getpid());
    put_number(&node->admin.answer, "drain_ms", node->config->drain_ms);
    desk_finish(node);
}

/* ---- status and metrics wait for the shards' figures ---- */

static void figures(struct node *node, enum desk_state state)
{
    node->desk.state = state;
    figures_ask(node);
}

static void go_on(struct node *node)
{
    enum desk_state state = node->desk.state;
    if (state == DESK_APPENDING) {
        invite_done(node);
        return;
    }
    if (state == DESK_ACT) {
        acts_go_on(node);
        return;
    }
    if (!figures_there(node))
        return;
    node->desk.state = DESK_IDLE;
    if (state == DESK_STATUS) {
        status(node);
        return;
    }
    buf_text(&node->admin.answer, "ok\n");
    figures_text(node, &node->admin.answer);
    desk_finish(node);
}

static void backup(struct node *node, const char *what)
{
    desk_backup(node, what, &node->admin.answer);
    desk_finish(node);
}

void desk_turn(struct node *node)
{
    if (node->desk.state != DESK_IDLE) {
        go_on(node);
        return;
    }
    const char *line = posix_admin_next(&node->admin);
    if (line == NULL)
        return;
    if (strcmp(line, "status") == 0)
        figures(node, DESK_STATUS);
    else if (strcmp(line, "metrics") == 0)
        figures(node, DESK_METRICS);
    else if (strcmp(line, "invite") == 0)
        invite(node, false);
    else if (strcmp(line, "invite owner") == 0)
        invite(node, true);
    else if (strcmp(line, "users") == 0)
        users(node, "");
    else if (strncmp(line, "users ", 6) == 0)
        users(node, line + 6);
    else if (strncmp(line, "backup ", 7) == 0)
        backup(node, line + 7);
    else if (strncmp(line, "drain ", 6) == 0)
        drain(node, line + 6);
    else if (!trace_take(node, line) && !acts_take(node, line))
        desk_refuse(node, "UNSUPPORTED no such question");
}
