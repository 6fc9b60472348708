/* SPDX-License-Identifier: Apache-2.0
 * fold_script.h: a random log of what devices sent to two direct chats and a group of three users,
 * a naive model of what must become of it, and the checks of a database after the folds. For tests
 * that fold it in different worlds. Two scripts of one seed are equal. */
#pragma once

#include "adapters/memory/memory_store.h"
#include "base/prng.h"
#include "base/topic.h"

#define SCRIPT_RECORDS 200u
#define SCRIPT_USERS   3u
#define SCRIPT_CHATS   3u
#define SCRIPT_GROUP   2u /* its first user owns it */
#define SCRIPT_DEVICES 6u /* two of each user */

struct script_entry {
    enum topic topic;
    uint8_t key[ID_BYTES];
    struct slice bytes;
};

struct script_naive {
    uint8_t mids[SCRIPT_CHATS][SCRIPT_RECORDS][ID_BYTES];
    size_t counts[SCRIPT_CHATS];
    uint8_t entitled[SCRIPT_CHATS][SCRIPT_RECORDS]; /* a bit for each user */
    uint64_t last[SCRIPT_CHATS][SCRIPT_DEVICES];
    bool created[SCRIPT_CHATS], removed[SCRIPT_DEVICES];
    /* The group. */
    uint64_t mls_epoch, floor;
    uint32_t policy_ver;
    bool in[SCRIPT_USERS];
    uint64_t joined;      /* of the last user: where its newest span begins */
    bool pending;         /* it left, and no commit has covered that yet */
    size_t newest_commit; /* its place in the script, to be repeated; 0: none */
};

struct script {
    struct arena arena;
    struct prng prng;
    struct script_entry entries[SCRIPT_RECORDS];
    size_t count;
    struct script_naive naive;
};

void script_open(struct script *script, uint64_t seed);
void script_close(struct script *script);

/* The rows of both are equal: all on one machine; those of the chats in a fleet, where a repeat may
 * take a useq of its own. */
void script_same_rows(struct memory_db *a, struct memory_db *b, bool single);
void script_as_the_model_says(struct memory_db *db, const struct script *script);
/* Every member's inbox: useq dense up to its head, every number of the chat once and in order. */
void script_chains_are_dense(struct memory_db *db, const struct script *script);
/* Nobody was told less than in `calm`: of each (user, chat) the highest receipts in the inbox. */
void script_receipts_not_lost(struct memory_db *calm, struct memory_db *rough);
