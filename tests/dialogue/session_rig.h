/* SPDX-License-Identifier: Apache-2.0
 * session_rig.h: a session under test: a table of rows that answers READs, and lists of all that
 * the session sent, submitted and told its owner. Only for tests. Owner: one test.
 * Invariants: session_check after every step; a READ is answered at once unless `hold_reads`. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "core/step.h"

#define RIG_ROWS 4096u
#define RIG_LIST 1024u

struct rig {
    struct session session;
    struct session_config config;
    struct arena arena, keep; /* of a step; of the test */
    struct effect effects[SESSION_EFFECTS_MAX];
    struct row rows[RIG_ROWS];
    size_t rows_count;
    struct pb_frame frames[RIG_LIST]; /* sent to the client */
    size_t frames_count;
    struct effect submits[RIG_LIST], passwords[RIG_LIST], reads[RIG_LIST]; /* reads: held ones */
    size_t submits_count, passwords_count, reads_count;
    struct pb_rpc rpcs[RIG_LIST];
    size_t rpcs_count;
    size_t alarms_count, reads_done;
    size_t given[RATE_CLASSES]; /* back */
    enum session_alarm alarm;
    uint16_t close_code; /* 0 = not closed */
    uint64_t mono_ms, armed_ms;
    uint32_t output_bytes;
    bool hold_reads, answering;
    size_t mark; /* frames before the last event of the test */
    uint8_t entropy;
    struct tally tally; /* of the last step */
    struct arena lean;  /* of the sweeps */
    bool sweeping;
    uint32_t starved, twisted; /* steps */
};

struct rig *rig_new(void);
void rig_free(struct rig *rig);
void rig_open(struct rig *rig);                                /* → WELCOMED */
void rig_frame(struct rig *rig, const struct pb_frame *frame); /* from the client */
void rig_bytes(struct rig *rig, struct slice frame, uint32_t limit_ms);
void rig_rpc(struct rig *rig, const struct pb_rpc *rpc);
/* DELIVER of an entry that says it was read; without one: too large to ride along. */
void rig_deliver(struct rig *rig, uint64_t useq, bool with_entry);
void rig_event(struct rig *rig, struct event *event);                  /* fills in times, entropy */
void rig_appended(struct rig *rig, size_t submit, enum status status); /* of submits[submit] */
void rig_hashed(struct rig *rig, size_t password, bool match);
void rig_rows(struct rig *rig, size_t read, enum status status); /* a held read */
void rig_advance(struct rig *rig, uint64_t ms);                  /* with a TIMER at its end */
void rig_outcome(struct rig *rig, uint32_t req, bool ok, uint32_t error, uint64_t ver);

void rig_row(struct rig *rig, struct row_key key, const struct pb_type *type, const void *value);
void rig_columns(struct rig *rig, struct row_key key, uint64_t a, uint64_t b);

/* The last frame sent, an answer to the last event, which must be of this body. */
const struct pb_frame *rig_last(const struct rig *rig, enum pb_frame_body body);
void rig_expect_error(const struct rig *rig, uint32_t req, enum pb_error_code code);
size_t rig_count(const struct rig *rig, enum pb_frame_body body);
struct pb_record rig_submitted(struct rig *rig, size_t submit);

/* User 1 with device 1 (a real key), signed in: head as told, cursor as said. */
void rig_hello(struct rig *rig, uint64_t conn, uint64_t cursor, uint32_t log_epoch);
void rig_attached(struct rig *rig, uint64_t head, uint64_t floor);
void rig_live(struct rig *rig, uint64_t cursor, uint64_t head);
struct slice rig_id(struct rig *rig, uint8_t first);
/* A chat of users 1 and 2 with `count` messages of user 2, and an inbox that points at them. */
void rig_chat(struct rig *rig, uint8_t chat, uint64_t count, size_t envelope_bytes);

/* ---- frames of a client ---- */
void rig_ask(struct rig *rig, uint32_t req, enum pb_frame_body body); /* an empty body */
void rig_ack(struct rig *rig, uint64_t useq);
void rig_sync(struct rig *rig, uint32_t req, uint64_t from);
struct pb_frame rig_send_frame(struct rig *rig, uint32_t req, uint8_t chat, uint64_t sctr);

/* starve.c: this event, on copies of the session, with ever more memory until it is enough: the
 * connection closes and nothing else is said or done; or all is as with plenty. */
void rig_starve(struct rig *rig, const struct event *event);

/* twist.c: this event, on copies of the session, with each of its parts wrong in every way: a frame
 * of a malicious client, a store or a log that fails. The session speaks for nobody else, answers
 * at most once, and what failed makes nobody somebody and acknowledges nothing. */
void rig_twist(struct rig *rig, const struct event *event);

/* Twice: as it is, then with every step swept before it is taken. */
#define RIG_TEST(name)                                           \
    RIG_PLAIN(name),                                             \
    {                                                            \
#name " (swept)", name, rig_set_up, rig_tear_down, #name \
    }
/* Once: a test that changes the session or its config in the middle. */
#define RIG_PLAIN(name)                              \
    {                                                \
#name, name, rig_set_up, rig_tear_down, NULL \
    }

int rig_set_up(void **state);
int rig_tear_down(void **state);
