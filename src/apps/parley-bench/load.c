/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/parley-bench/subcommands.h"
#include "base/assert.h"
#include "base/memory.h"

#define EVENTS_MAX      512
#define READ_BYTES      8192u
#define SIGNING_IN_MAX  32u /* at once: the pool of passwords takes 64 */
#define SILENCE_US      20000000u
#define ARENA_BYTES_MAX ((size_t)64 << 20)

bool load_pin(uint64_t cpu)
{
    cpu_set_t set;
    if (cpu == OPTION_UNSET)
        return true;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static void trouble(struct load *load, const char *what, const char *why)
{
    if (load->reason[0] == '\0')
        (void)snprintf(load->reason, sizeof load->reason, "%s: %s", what, why);
}

static void lose(struct load *load, struct peer *peer, const char *what, const char *why)
{
    trouble(load, what, why);
    if (peer->fd >= 0)
        (void)close(peer->fd);
    peer->fd = -1;
    load->broken += peer->stage != PEER_BROKEN;
    peer->stage = PEER_BROKEN;
}

/* ---- open and close ---- */

static bool address_read(struct load *load, const char *server)
{
    const char *colon = strrchr(server, ':');
    char host[64];
    struct in_addr address;
    char *end;
    if (colon == NULL || (size_t)(colon - server) >= sizeof host)
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port == 0 || port > UINT16_MAX)
        return false;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - server), server);
    (void)snprintf(load->run.host, sizeof load->run.host, "%.79s", server);
    load->port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address) != 1)
        return false;
    load->address = address.s_addr;
    return true;
}

bool load_open(struct load *load, const struct driver *driver, const char *server, uint32_t peers,
               uint64_t body_bytes)
{
    memset(load, 0, sizeof *load);
    load->poll = -1;
    load->driver = driver;
    load->run.body_bytes = body_bytes;
    load->run.acknowledges = !driver->delivery_acknowledges;
    if (!address_read(load, server)) {
        trouble(load, server, "give an IPv4 address and a port, as 127.0.0.1:8787");
        return false;
    }
    load->peers = memory_array(peers, sizeof *load->peers);
    load->touched = memory_array(peers, sizeof(struct peer *));
    load->poll = epoll_create1(EPOLL_CLOEXEC);
    if (load->peers == NULL || load->touched == NULL || load->poll < 0 || sodium_init() < 0) {
        trouble(load, "no memory", "for so many connections");
        return false;
    }
    arena_init(&load->run.arena, ARENA_BYTES_MAX);
    randombytes_buf(&load->run.id, sizeof load->run.id);
    load->run.masks = load->run.id | (uint64_t)1 << 40;
    memset(load->peers, 0, peers * sizeof *load->peers);
    load->peers_count = peers;
    for (uint32_t i = 0; i < peers; i++) {
        struct peer *peer = &load->peers[i];
        peer->fd = -1;
        peer->number = i;
        peer->other = driver->pairs ? &load->peers[(i + peers / 2) % peers] : peer;
    }
    load->now_us = bench_now_us();
    return true;
}

static void reset(struct peer *peer)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (peer->fd < 0)
        return;
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(peer->fd);
    peer->fd = -1;
}

void load_close(struct load *load)
{
    for (uint32_t i = 0; i < load->peers_count; i++) {
        struct peer *peer = &load->peers[i];
        reset(peer);
        memory_free(peer->in.at);
        memory_free(peer->out.at);
        tally_deinit(&peer->tally);
    }
    memory_free(load->peers);
    memory_free(load->touched);
    arena_deinit(&load->run.arena);
    if (load->poll >= 0)
        (void)close(load->poll);
    load->peers_count = 0;
}

/* ---- one peer ---- */

void load_touch(struct load *load, struct peer *peer)
{
    if (!peer->touched)
        load->touched[load->touched_count++] = peer;
    peer->touched = true;
}

static void flush(struct load *load, struct peer *peer)
{
    while (peer->out.bytes > 0) {
        ssize_t bytes = send(peer->fd, peer->out.at, peer->out.bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (bytes < 0 && errno == EAGAIN)
            return; /* the edge tells */
        if (bytes < 0) {
            lose(load, peer, "the connection broke", strerror(errno));
            return;
        }
        bytes_drop(&peer->out, (size_t)bytes);
    }
}

static bool counts(const struct load *load, uint64_t at_us)
{
    return at_us >= load->begin_us && at_us < load->end_us;
}

static uint64_t both(const struct load *load, const struct peer *peer)
{
    return load->acks_only || peer->acked < peer->delivered ? peer->acked : peer->delivered;
}

static void on_acked(struct load *load, struct peer *peer)
{
    uint64_t intended_us = peer->flight_us[peer->acked % PEER_FLIGHT_MAX];
    if (peer->acked >= peer->sent)
        return;
    if (counts(load, intended_us))
        histogram_add(&load->ack, load->now_us - intended_us);
    uint64_t before = both(load, peer);
    peer->acked++;
    load->done += counts(load, load->now_us) ? both(load, peer) - before : 0;
}

static void on_mark(struct load *load, struct peer *peer, const struct mark *mark)
{
    if (mark->run != load->run.id || mark->sender >= load->peers_count)
        return;
    struct peer *sender = &load->peers[mark->sender];
    if (sender->other != peer || tally_add(&sender->tally, mark->seq) != TALLY_NEW)
        return;
    if (load->driver->delivery_acknowledges)
        on_acked(load, sender);
    if (counts(load, mark->intended_us))
        histogram_add(&load->delivery, load->now_us - mark->intended_us);
    uint64_t before = both(load, sender);
    sender->delivered++;
    load->delivered += counts(load, load->now_us);
    load->done += counts(load, load->now_us) ? both(load, sender) - before : 0;
    load_touch(load, sender);
}

static void on_said(struct load *load, struct peer *peer, const struct said *said)
{
    struct slice bytes = said->bytes;
    struct mark mark;
    switch (said->kind) {
    case SAID_READY:
        peer->stage = id_is_zero(peer->chat) ? PEER_READY : PEER_PAIRED;
        load->ready++;
        histogram_add(&load->login, load->now_us - peer->begun_us);
        load_touch(load, peer);
        break;
    case SAID_PAIRED:
        peer->stage = peer->other->stage = PEER_PAIRED;
        load->paired++;
        break;
    case SAID_PAGE:
        load->pages++;
        load->page_rows += said->rows;
        break;
    case SAID_TAKEN: peer->acked = peer->sent = said->rows; break;
    case SAID_ACKED: on_acked(load, peer); break;
    case SAID_BYTES:
        while (mark_next(&peer->scanner, &bytes, &mark))
            on_mark(load, peer, &mark);
        break;
    case SAID_REFUSED: lose(load, peer, "the server", said->reason); break;
    case SAID_NOTHING: break;
    }
}

static void events_take(struct load *load, struct peer *peer)
{
    struct said said;
    do {
        said.kind = SAID_NOTHING;
        said.bytes = SLICE_EMPTY;
        load->driver->next(&load->run, peer, &said);
        on_said(load, peer, &said);
    } while (said.kind != SAID_NOTHING && peer->stage != PEER_BROKEN);
    bytes_drop(&peer->in, peer->consumed);
    peer->consumed = 0;
}

static void receive(struct load *load, struct peer *peer)
{
    bool more = peer->fd >= 0;
    while (more) {
        uint8_t *at = bytes_room(&peer->in, READ_BYTES);
        size_t room = at == NULL ? 0 : peer->in.capacity - peer->in.bytes;
        ssize_t bytes = at == NULL ? 0 : recv(peer->fd, at, room, MSG_DONTWAIT);
        if (bytes < 0 && errno == EAGAIN)
            return;
        if (bytes <= 0) {
            lose(load, peer, "the connection broke", bytes < 0 ? strerror(errno) : "closed");
            return;
        }
        peer->in.bytes += (size_t)bytes;
        events_take(load, peer);
        more = (size_t)bytes == room && peer->fd >= 0;
    }
}

static void connect_one(struct load *load, struct peer *peer)
{
    const int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = load->port};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = peer};
    to.sin_addr.s_addr = load->address;
    peer->stage = PEER_SIGNING_IN;
    peer->begun_us = bench_now_us();
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd >= 0 && load->receive_bytes > 0) /* later it would drop what it had room for */
        (void)setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &load->receive_bytes,
                         sizeof load->receive_bytes);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(load->poll, EPOLL_CTL_ADD, peer->fd, &event) != 0) {
        lose(load, peer, "no connection", strerror(errno));
        return;
    }
    load->driver->begin(&load->run, peer);
    events_take(load, peer); /* who needs no sign-in is ready */
    load_touch(load, peer);
}

/* ---- sending ---- */

static void send_one(struct load *load, struct peer *peer, uint64_t intended_us)
{
    uint8_t body[4096];
    struct mark mark = {load->run.id, peer->number, peer->sent, intended_us};
    memset(body, '.', load->run.body_bytes);
    mark_write(&mark, body);
    load->driver->send(&load->run, peer, slice_make(body, load->run.body_bytes));
    peer->flight_us[peer->sent % PEER_FLIGHT_MAX] = intended_us;
    peer->sent++;
    load->sent += counts(load, intended_us); /* as its ack and its delivery are */
}

static void send_closed(struct load *load, struct peer *peer)
{
    while (peer->fd >= 0 &&
           peer->sent - both(load, peer) + load->frames_per_write <= load->window &&
           peer->sent < load->messages_max) {
        for (uint64_t i = 0; i < load->frames_per_write && peer->sent < load->messages_max; i++)
            send_one(load, peer, load->now_us);
        flush(load, peer);
    }
}

static void send_open(struct load *load, struct peer *peer)
{
    while (peer->fd >= 0 && peer->sent < peer->due &&
           peer->sent - both(load, peer) < PEER_FLIGHT_MAX) {
        uint64_t intended_us =
            schedule_at_us(&load->schedule, peer->sent * load->senders + peer->number);
        if (counts(load, intended_us))
            histogram_add(&load->late, load->now_us - intended_us);
        send_one(load, peer, intended_us);
    }
}

static void due_take(struct load *load)
{
    assert(load->senders > 0);
    for (uint64_t due = schedule_due(&load->schedule, load->now_us); due > 0; due--) {
        struct peer *peer = &load->peers[load->schedule.next++ % load->senders];
        peer->due++;
        load_touch(load, peer);
    }
}

static void touched_run(struct load *load)
{
    for (uint32_t i = 0; i < load->touched_count; i++) {
        struct peer *peer = load->touched[i];
        peer->touched = false;
        if (peer->fd < 0)
            continue;
        if (peer->stage >= PEER_READY)
            load->driver->finish(&load->run, peer);
        if (peer->stage == PEER_PAIRED && peer->number < load->senders) {
            if (load->mode == LOAD_CLOSED)
                send_closed(load, peer);
            else if (load->mode == LOAD_OPEN)
                send_open(load, peer);
        }
        if (peer->fd >= 0)
            flush(load, peer);
    }
    load->touched_count = 0;
}

/* ---- turns ---- */

static struct timespec sleep_of(const struct load *load, uint64_t until_us)
{
    if (load->mode == LOAD_OPEN) {
        uint64_t next_us = schedule_at_us(&load->schedule, load->schedule.next);
        until_us = next_us < until_us ? next_us : until_us;
    }
    uint64_t now_us = bench_now_us();
    if (load->touched_count > 0)
        until_us = now_us; /* somebody has something to send */
    uint64_t us = until_us > now_us ? until_us - now_us : 0;
    return (struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
}

bool load_turn(struct load *load, uint64_t until_us)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec sleep = sleep_of(load, until_us);
    int count = epoll_pwait2(load->poll, events, EVENTS_MAX, &sleep, NULL);
    if (count < 0 && errno != EINTR)
        return false;
    load->now_us = bench_now_us();
    for (int i = 0; i < count; i++) {
        struct peer *peer = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            receive(load, peer);
        load_touch(load, peer);
    }
    if (load->mode == LOAD_OPEN)
        due_take(load);
    touched_run(load);
    return true;
}

/* Turns until *count reaches `wanted`; silence of SILENCE_US is a failure. */
static bool wait_for(struct load *load, const uint32_t *count, uint32_t wanted)
{
    uint64_t last_us = load->now_us;
    uint32_t last = *count;
    while (*count < wanted && load->broken == 0) {
        if (!load_turn(load, bench_now_us() + 100000))
            return false;
        if (*count != last)
            last_us = load->now_us;
        last = *count;
        if (load->now_us - last_us > SILENCE_US) {
            trouble(load, "the server", "does not answer");
            return false;
        }
    }
    return load->broken == 0;
}

bool load_sign_in(struct load *load, uint32_t first, uint32_t count, uint32_t at_once)
{
    uint32_t before = load->ready;
    for (uint32_t i = 0; i < count; i++) {
        connect_one(load, &load->peers[first + i]);
        if (i + 1 >= at_once && !wait_for(load, &load->ready, before + i + 2 - at_once))
            return false;
    }
    return wait_for(load, &load->ready, before + count);
}

void load_drop(struct load *load, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct peer *peer = &load->peers[i];
        reset(peer);
        peer->stage = PEER_FREE;
        peer->sent = peer->acked;
        peer->account.acked_useq = peer->account.useq; /* HELLO says so */
        peer->scanner.held_bytes = 0;
        bytes_drop(&peer->in, peer->in.bytes);
        bytes_drop(&peer->out, peer->out.bytes);
    }
}

bool load_stall(struct load *load, uint32_t first, uint32_t count, bool still)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct peer *peer = &load->peers[i];
        struct epoll_event event = {.events = EPOLLET | EPOLLOUT | (still ? 0 : EPOLLIN),
                                    .data.ptr = peer};
        if (epoll_ctl(load->poll, EPOLL_CTL_MOD, peer->fd, &event) != 0)
            return false;
    }
    return true;
}

bool load_settle(struct load *load)
{
    uint64_t until_us = bench_now_us() + SILENCE_US;
    bool open = true;
    while (open && load->broken == 0 && load->now_us < until_us) {
        open = false;
        for (uint32_t i = 0; i < load->senders; i++)
            open |= load->peers[i].sent < load->messages_max ||
                    load_open_messages(load, &load->peers[i]) > 0;
        if (open && !load_turn(load, bench_now_us() + 100000))
            return false;
    }
    if (open)
        trouble(load, "the server", "does not answer all");
    return !open && load->broken == 0;
}

bool load_ready(struct load *load)
{
    uint32_t pairs = load->driver->pairs ? load->peers_count / 2 : load->peers_count;
    if (!load_sign_in(load, 0, load->peers_count, SIGNING_IN_MAX))
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        struct peer *peer = &load->peers[i];
        if (load->driver->pair(&load->run, peer)) {
            peer->stage = peer->other->stage = PEER_PAIRED;
            load->paired++;
        }
        load_touch(load, peer);
    }
    touched_run(load);
    return wait_for(load, &load->paired, pairs);
}

bool load_nudge(struct load *load)
{
    for (uint32_t i = 0; i < load->senders; i++)
        load_touch(load, &load->peers[i]);
    return load_turn(load, bench_now_us());
}

uint64_t load_open_messages(const struct load *load, const struct peer *peer)
{
    uint64_t meant = load->mode == LOAD_OPEN ? peer->due : peer->sent;
    return meant - both(load, peer);
}
