/* SPDX-License-Identifier: Apache-2.0
 * good_history.h: a random history of a small server that keeps all promises, for the checker's
 * property test. Tests only. Owner: one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prng.h"
#include "sim/history.h"

#define USERS     3u
#define OF_USER   2u /* devices */
#define DEVICES   (USERS * OF_USER)
#define CHATS     3u /* each pair of users */
#define LOG_MAX   64u
#define INBOX_MAX 256u
#define STEPS     400u

struct row {
    uint64_t mid, ts, hash, sctr;
    uint32_t device; /* its sender */
};

struct pointer {
    uint32_t chat;
    uint64_t cseq; /* 0: an entry that is no row */
};

struct device {
    uint64_t cursor, conn, sctr[CHATS];
    uint64_t held[CHATS];                   /* of each chat: all up to here */
    uint64_t delivered[CHATS], read[CHATS]; /* marks of the peer, as seen here */
};

struct flying {
    uint32_t chat;
    struct row row;
    bool landed;
};

struct server {
    struct prng prng;
    struct history history;
    uint64_t now_us, mids, conns;
    struct row logs[CHATS][LOG_MAX];
    uint64_t heads[CHATS];
    struct pointer inboxes[USERS][INBOX_MAX];
    uint64_t ends[USERS];
    uint64_t read[USERS][CHATS];
    struct device devices[DEVICES];
    struct flying flying[STEPS];
    size_t flying_count;
};

/* Overwrites the server; its history is closed by the caller. */
void history_make(struct server *server, uint64_t seed);
/* One event more; time goes on. */
void history_event_add(struct server *server, const struct history_event *event);
