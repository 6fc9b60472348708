/* SPDX-License-Identifier: Apache-2.0
 * One connection: connect_now → NET_CONNECTED (request leaves) → LINK_UP → frames → lost. */
#include "apps/parley/host.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "adapters/system/system.h"
#include "base/assert.h"
#include "base/memory.h"

#define SCRATCH_BYTES_MAX  ((size_t)256 << 20)
#define ROWS_PER_PART      1024
#define FAILED_COMMITS_MAX 3
#define CLOSE_MS           1000

uint64_t host_mono_ms(void)
{
    return system_clock()->vtable->read(system_clock()).mono_us / 1000;
}

uint64_t host_wall_ms(void)
{
    return system_clock()->vtable->read(system_clock()).wall_us / 1000;
}

static void fresh(uint8_t *out, size_t bytes)
{
    system_entropy()->vtable->fill(system_entropy(), out, bytes);
}

static const struct net_vtable *net_of(struct host *host)
{
    return host->net.net.vtable;
}

static void trouble(struct host *host, const char *text, uint16_t code)
{
    (void)snprintf(host->trouble, sizeof host->trouble, code ? "%s (%u)" : "%s", text, code);
}

/* ---- the connection ---- */

static void hang_up(struct host *host)
{
    if (host->connecting || host->connected)
        net_of(host)->close(&host->net.net, host->conn, false);
    host->connecting = host->connected = host->sending = false;
    secure_stop(&host->secure);
    host->link.closed = true; /* what it still holds is read by nobody */
}

static void lose(struct host *host, const char *why, uint16_t code)
{
    trouble(host, why, code);
    host->refused += !host->connected || !host->link.up;
    hang_up(host);
    host->lost = true; /* the mind is told at the next turn */
}

static void flush(struct host *host)
{
    struct link_bytes sent = host->flying, *out;
    if (!host->connected || host->sending)
        return;
    if (!secure_out(&host->secure, &host->link.out, &out)) {
        lose(host, host->secure.trouble ? host->secure.trouble : "no memory", 0);
        return;
    }
    if (out->bytes == 0)
        return;
    host->flying = *out;
    sent.bytes = 0;
    *out = sent;
    host->sending = true;
    net_of(host)->send(&host->net.net, host->conn, slice_make(host->flying.at, host->flying.bytes));
}

static void connect_now(struct host *host, struct slice route)
{
    hang_up(host);
    host->lost = false;
    host->route_bytes = route.bytes < sizeof host->route ? route.bytes : sizeof host->route;
    memcpy(host->route, route.at, host->route_bytes);
    if (!address_find(&host->address, host->refused)) {
        lose(host, "nobody knows where that is (its name is not found)", 0);
        return;
    }
    if (net_of(host)->connect(&host->net.net, host->address.peer, host->address.port,
                              &host->conn) != STATUS_OK) {
        lose(host, "no socket", 0);
        return;
    }
    host->connecting = true;
}

static void on_connected(struct host *host)
{
    uint8_t nonce[UPGRADE_NONCE_BYTES];
    fresh(nonce, sizeof nonce);
    host->connecting = false;
    host->connected = true;
    if (!secure_start(&host->secure) ||
        link_start(&host->link, slice_text(host->address.host),
                   slice_make(host->route, host->route_bytes), nonce) != STATUS_OK)
        lose(host, "no memory", 0);
    flush(host);
}

static void on_received(struct host *host, const struct net_event *event)
{
    struct slice in = slice_make(event->bytes, event->bytes_count);
    if (!secure_take(&host->secure, &host->link, &in)) {
        lose(host, host->secure.trouble ? host->secure.trouble : "no memory", 0);
        return;
    }
    net_of(host)->consume(&host->net.net, host->conn, event->bytes_count - in.bytes);
    flush(host);
}

static void on_net(struct host *host, const struct net_event *event)
{
    if (memcmp(&event->conn, &host->conn, sizeof event->conn) != 0)
        return;
    switch (event->kind) {
    case NET_CONNECTED: on_connected(host); break;
    case NET_RECEIVED: on_received(host, event); break;
    case NET_SENT:
        host->sending = false;
        flush(host);
        break;
    case NET_CLOSED: {
        bool stood = host->connected;
        host->connecting = host->connected = false;
        host->refused += !stood || !host->link.up;
        trouble(host,
                !stood                                 ? "nothing answers there"
                : !host->link.up && !host->address.tls ? "it hung up (is it https:// there?)"
                                                       : "the connection broke",
                0);
        host->lost = true;
        host->sending = false;
        break;
    }
    case NET_ACCEPTED:
    case NET_WOKEN: break;
    }
}

/* ---- one step ---- */

static enum host_turn failed(struct host *host, const char *what, enum status status)
{
    (void)failure_set(&host->failure, status, "%s: %s", what, status_text(status));
    return HOST_FAILED;
}

static bool commit(struct host *host)
{
    struct cstore *store = &host->profile.store.cstore;
    const struct pb_host_effects *out = &host->out;
    arena_reset(&host->scratch);
    host->ops = NULL;
    if (out->store_count == 0)
        return true;
    host->ops = ARENA_ARRAY(&host->scratch, struct cstore_op, out->store_count);
    if (!host->ops)
        return false;
    for (size_t i = 0; i < out->store_count; i++) {
        const struct pb_store_op *op = &out->store[i];
        host->ops[i] = (struct cstore_op){
            .kind = op->kind == PB_STORE_OP_KIND_DELETE   ? CSTORE_DELETE
                    : op->kind == PB_STORE_OP_KIND_INSERT ? CSTORE_INSERT
                                                          : CSTORE_PUT,
            .table = op->table,
            .key = op->key,
            .value = op->value,
        };
    }
    return store->vtable->commit(store, host->ops, out->store_count) == STATUS_OK;
}

static void run_frames(struct host *host)
{
    for (size_t i = 0; i < host->out.frames_count && host->link.up && host->connected; i++) {
        uint8_t mask[WS_MASK_BYTES];
        fresh(mask, sizeof mask);
        if (link_send(&host->link, WS_BINARY, host->out.frames[i], mask) != STATUS_OK)
            lose(host, "too much is unsent", 0);
    }
    flush(host);
    if (host->out.close) {
        hang_up(host);
        host->lost = false; /* the mind knows */
    }
    if (host->out.connect && !host->offline)
        connect_now(host, host->out.route);
}

static enum host_turn step(struct host *host, struct pb_host_event *event)
{
    uint8_t entropy[32];
    fresh(entropy, sizeof entropy);
    event->entropy = slice_make(entropy, sizeof entropy);
    event->now_ms = host_wall_ms();
    event->mono_ms = host_mono_ms();
    enum status status = client_step(&host->client, event, &host->out);
    event->entropy = SLICE_EMPTY; /* it was lent for the step */
    bool committed = status == STATUS_OK && !host->profile.read_only && commit(host);
    if (host->profile.read_only && status == STATUS_OK) {
        host->out = (struct pb_host_effects){0};
        return HOST_STEPPED;
    }
    if (!committed) {
        host->out = (struct pb_host_effects){0};
        hang_up(host);
        host->lost = false;
        host->broken = true; /* restored at the next turn */
        return ++host->failed_commits < FAILED_COMMITS_MAX
                   ? HOST_STEPPED
                   : failed(host, "the profile cannot be written",
                            status == STATUS_OK ? STATUS_IO : status);
    }
    if (host->out.store_count)
        host->failed_commits = 0; /* it can be written again */
    host->wake_ms = host->out.wake_mono_ms;
    run_frames(host);
    if (host->out.wipe)
        profile_wipe(&host->profile);
    return HOST_STEPPED;
}

/* Rows of one table, part by part. The part's arena is free again when the step returns. */
static enum host_turn restore_table(struct host *host, uint32_t table)
{
    struct cstore *store = &host->profile.store.cstore;
    uint8_t from_bytes[65] = {0}, to_bytes[64];
    struct slice from = slice_make(from_bytes, 0);
    struct arena arena;
    enum host_turn turn = HOST_STEPPED;
    memset(to_bytes, 0xff, sizeof to_bytes);
    arena_init(&arena, SCRATCH_BYTES_MAX);
    for (size_t count = ROWS_PER_PART; turn == HOST_STEPPED && count == ROWS_PER_PART;) {
        arena_reset(&arena);
        struct cstore_row *rows = ARENA_ARRAY(&arena, struct cstore_row, ROWS_PER_PART);
        struct pb_state_row *parts = ARENA_ARRAY(&arena, struct pb_state_row, ROWS_PER_PART);
        struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
        if (!rows || !parts ||
            store->vtable->range(store, table, from, SLICE_OF(to_bytes), false, rows, ROWS_PER_PART,
                                 &count, &arena) != STATUS_OK) {
            turn = failed(host, "the profile cannot be read", STATUS_IO);
            break;
        }
        for (size_t i = 0; i < count; i++)
            parts[i] =
                (struct pb_state_row){.table = table, .key = rows[i].key, .value = rows[i].value};
        event.body.restore.rows = parts;
        event.body.restore.rows_count = count;
        turn = step(host, &event);
        if (count == ROWS_PER_PART) { /* behind the last key: the same with a zero byte more */
            struct slice last = rows[count - 1].key;
            memset(from_bytes, 0, sizeof from_bytes);
            memcpy(from_bytes, last.at, last.bytes);
            from = slice_make(from_bytes, last.bytes + 1);
        }
    }
    arena_deinit(&arena);
    return turn;
}

static enum host_turn restore(struct host *host)
{
    static const uint32_t tables[] = {PB_TABLE_META, PB_TABLE_CHAT, PB_TABLE_USER, PB_TABLE_OUTBOX,
                                      PB_TABLE_JOURNAL};
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_RESTORE};
    host->broken = false;
    client_deinit(&host->client);
    if (client_init(&host->client, CLIENT_BYTES_DEFAULT) != STATUS_OK)
        return failed(host, "no memory", STATUS_BUSY);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        enum host_turn turn = restore_table(host, tables[i]);
        if (turn != HOST_STEPPED)
            return turn;
    }
    event.body.restore.last = true;
    return step(host, &event);
}

/* ---- the turn ---- */

/* What is there to step on without waiting; false: nothing. */
static bool take_event(struct host *host, struct pb_host_event *event)
{
    uint8_t mask[WS_MASK_BYTES];
    struct link_event said;
    fresh(mask, sizeof mask);
    link_next(&host->link, mask, &said);
    switch (said.kind) {
    case LINK_NONE:
        flush(host);
        if (!host->lost)
            return false;
        host->lost = false;
        event->body_case = PB_HOST_EVENT_BODY_DISCONNECTED;
        return true;
    case LINK_UP:
        host->refused = 0;
        host->ups++;
        host->trouble[0] = '\0';
        event->body_case = PB_HOST_EVENT_BODY_CONNECTED;
        return true;
    case LINK_FRAME:
        event->body_case = PB_HOST_EVENT_BODY_FRAME;
        event->body.frame.bytes = said.bytes;
        return true;
    case LINK_CLOSED:
        lose(host, said.reason, said.code);
        host->lost = false;
        event->body_case = PB_HOST_EVENT_BODY_DISCONNECTED;
        return true;
    }
    return false;
}

/* Wait for the socket, the watched descriptor or the time; true: the descriptor. */
static bool sleep_until(struct host *host, uint64_t until_ms)
{
    uint64_t now = host_mono_ms();
    uint64_t wait = until_ms > now ? until_ms - now : 0;
    struct net_event events[8];
    struct pollfd fds[2] = {{.fd = host->net.epoll_fd, .events = POLLIN},
                            {.fd = host->watch_fd, .events = POLLIN}};
    size_t count = net_of(host)->wait(&host->net.net, events, 8, 0);
    if (count == 0) {
        (void)poll(fds, 2, wait < 3600000 ? (int)wait : 3600000);
        count = net_of(host)->wait(&host->net.net, events, 8, 0);
    }
    for (size_t i = 0; i < count; i++)
        on_net(host, &events[i]);
    return (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

enum host_turn host_turn(struct host *host, uint64_t deadline_ms)
{
    host->out = (struct pb_host_effects){0};
    for (;;) {
        struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_NONE};
        uint64_t now = host_mono_ms();
        if (host->broken)
            return restore(host);
        if (take_event(host, &event))
            return step(host, &event);
        if (host->wake_ms && host->wake_ms <= now) {
            event.body_case = PB_HOST_EVENT_BODY_TIMER;
            return step(host, &event);
        }
        if (now >= deadline_ms)
            return HOST_IDLE;
        uint64_t until = host->wake_ms && host->wake_ms < deadline_ms ? host->wake_ms : deadline_ms;
        if (sleep_until(host, until))
            return HOST_IDLE;
    }
}

enum host_turn host_command(struct host *host, const struct pb_event_command *command)
{
    struct pb_host_event event = {.body_case = PB_HOST_EVENT_BODY_COMMAND};
    event.body.command = *command;
    return step(host, &event);
}

/* ---- open and close ---- */

enum status host_server(struct host *host, const char *url, struct failure *failure)
{
    enum status status = address_read(url, &host->address, failure);
    if (status == STATUS_OK)
        status = secure_open(&host->secure, &host->address, host->profile.folder, failure);
    return status;
}

enum status host_open(struct host *host, bool offline)
{
    struct epoll_options options = {.connections_max = 2};
    host->watch_fd = -1;
    host->offline = offline || host->profile.read_only;
    arena_init(&host->scratch, SCRATCH_BYTES_MAX);
    if (epoll_open(&host->net, &options, &host->failure) != STATUS_OK)
        return host->failure.status;
    /* The address must stand before the first step wants to connect. */
    struct pb_client_meta meta;
    struct cstore *store = &host->profile.store.cstore;
    struct cstore_row row;
    size_t count = 0;
    struct slice key = SLICE_LITERAL("account");
    if (store->vtable->range(store, PB_TABLE_META, key, key, false, &row, 1, &count,
                             &host->scratch) == STATUS_OK &&
        count == 1 && pb_client_meta_decode_v1(row.value, &host->scratch, &meta) == STATUS_OK &&
        meta.server.bytes) {
        char url[256] = "";
        memcpy(url, meta.server.at, meta.server.bytes < 255 ? meta.server.bytes : 255);
        enum status status = host_server(host, url, &host->failure);
        if (status != STATUS_OK)
            return status;
    }
    return restore(host) == HOST_STEPPED ? STATUS_OK : host->failure.status;
}

void host_close(struct host *host)
{
    uint64_t deadline = host_mono_ms() + CLOSE_MS;
    if (host->connected && host->link.up) {
        uint8_t mask[WS_MASK_BYTES];
        fresh(mask, sizeof mask);
        link_bye(&host->link, mask);
        flush(host);
        while (host->connected && host->sending && host_mono_ms() < deadline)
            (void)sleep_until(host, deadline);
    }
    if (host->net.net.vtable)
        hang_up(host);
    secure_close(&host->secure);
    link_deinit(&host->link);
    memory_free(host->flying.at);
    epoll_close(&host->net);
    arena_deinit(&host->scratch);
    client_deinit(&host->client);
    profile_close(&host->profile);
}
