/* SPDX-License-Identifier: Apache-2.0
 * campaign.h: what all campaigns share: a few people with real clients talk through a real parleyd
 * in a folder of its own, something harms that server, and in the end the history that the clients
 * wrote is judged (sim/checker.h) and a line goes to the ledger.
 * A campaign is a cmocka program: NAME PARLEYD COUNT [HISTORY]. Chance is seeded by PARLEY_SEED
 * (else by the clock); PARLEY_LEDGER names the file that gets the line, none if it is not set.
 * Owner: one thread, one campaign a process. */
#pragma once

#include <sys/types.h>

#include "base/prng.h"
#include "person_rig.h"
#include "sim/checker.h"

#define CAMPAIGN_PEOPLE     4
#define CAMPAIGN_SKIPPED    77 /* exit code: the machine lacks what it needs */
#define CAMPAIGN_PATH_BYTES 96
#define CAMPAIGN_TALLIES    24
#define CAMPAIGN_SETTINGS   8
#define CAMPAIGN_TEXT_BYTES 8000

/* How often something was seen; for the ledger. */
struct campaign_tally {
    const char *kind;
    uint64_t count;
};

struct campaign {
    const char *name, *program, *history_path;
    uint32_t count; /* how many, as asked for; of what, the campaign says */
    uint64_t seed;
    char place[CAMPAIGN_PATH_BYTES]; /* everything of this campaign, removed at the end */
    char data[CAMPAIGN_PATH_BYTES];  /* parleyd's folder; place/data unless changed */
    char said[CAMPAIGN_PATH_BYTES];  /* what the newest parleyd said on stderr */
    char listen[32];
    const char *environment[CAMPAIGN_SETTINGS]; /* KEY=VALUE of the next parleyd; NULL ends */
    const char *settings[CAMPAIGN_SETTINGS];    /* more of its arguments; NULL ends */
    uint16_t port;
    pid_t server; /* 0: none */
    int status;   /* of the one that ended */
    struct prng prng;
    struct epoll sockets;
    struct history history;
    struct person people[CAMPAIGN_PEOPLE];
    struct person *all[CAMPAIGN_PEOPLE];
    uint64_t sends, started_us;
    uint32_t text_bytes; /* of a message at least; at most CAMPAIGN_TEXT_BYTES */
    struct campaign_tally tallies[CAMPAIGN_TALLIES];
    const char *trial; /* what the bound counts; one of the kinds */
    bool passed;
};

uint64_t campaign_now_us(void);
/* How long to wait for whatever must happen: PARLEY_WAIT_S seconds, else a minute. */
uint64_t campaign_wait_us(void);

/* Fill name, program, count, history from the arguments; false: usage was told. */
bool campaign_arguments(struct campaign *campaign, const char *name, int count, char **arguments);
/* Setup and teardown for cmocka; *state is the struct campaign. Teardown writes the ledger. */
int campaign_open(void **state);
int campaign_close(void **state);

/* Fork a parleyd on campaign->data; its stdout goes nowhere, its stderr to campaign->said. */
void campaign_start(struct campaign *campaign);
/* Send a signal and wait for the end; for SIGKILL it must have been the cause. */
void campaign_stop(struct campaign *campaign, int signal);
/* Has it ended by itself? Then campaign->status says how, and it is reaped. */
bool campaign_ended(struct campaign *campaign);
/* Is this among what the newest parleyd said? */
bool campaign_heard(const struct campaign *campaign, const char *text);

/* One turn of all people, and a short pause. */
void campaign_turn(struct campaign *campaign);
/* The same for so long, while now and then somebody writes to somebody. */
void campaign_talk(struct campaign *campaign, uint64_t for_us);
void campaign_write_one(struct campaign *campaign);
/* Everybody gets an account; needs a server. */
void campaign_register(struct campaign *campaign);

/* As kill -9 and a start leave a client; it is not synced until a server has said so. */
void campaign_person_restart(struct campaign *campaign, uint64_t index);
void campaign_all_restart(struct campaign *campaign);

bool campaign_synced(const struct campaign *campaign);
/* Nothing unsent, unanswered, unseen or untold on any device. */
bool campaign_settled(const struct campaign *campaign);

/* Close the history, let it be judged, fail with the checker's words if a promise was broken.
 * Returns how many of a hundred messages got their SENT: few, and the run says little. */
uint64_t campaign_judge(struct campaign *campaign);
void campaign_count(struct campaign *campaign, const char *kind);
uint64_t campaign_tally(const struct campaign *campaign, const char *kind);

/* Turn until the condition holds; a server that ends by itself meanwhile is a failure. */
#define CAMPAIGN_AWAIT(campaign, condition)                                       \
    do {                                                                          \
        uint64_t until_us = campaign_now_us() + campaign_wait_us();               \
        while (!(condition)) {                                                    \
            if (campaign_ended(campaign))                                         \
                fail_msg("line %d: parleyd ended by itself, status %d", __LINE__, \
                         (campaign)->status);                                     \
            campaign_turn(campaign);                                              \
            if (campaign_now_us() > until_us)                                     \
                fail_msg("line %d, seed %llu: never: %s", __LINE__,               \
                         (unsigned long long)(campaign)->seed, #condition);       \
        }                                                                         \
    } while (0)
