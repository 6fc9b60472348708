/* SPDX-License-Identifier: Apache-2.0
 * dialogue.h: what the tests of this room share: a scripted server on one side, one or two minds on
 * the other. Rows are kept as a host keeps them; every step is followed by client_check and by a
 * comparison with a twin restored from the rows. Tests only. */
#pragma once

#include "client/client.h"

#define ROWS_MAX 512

struct stored {
    enum pb_table table;
    struct slice key, value;
};

/* a device: its mind, its rows, what it sent and showed */
struct host {
    struct client client;
    struct arena memory;
    struct stored rows[ROWS_MAX];
    size_t row_count;
    struct pb_host_effects out;
    struct pb_frame frames[256]; /* not yet looked at */
    size_t frame_count, shown, failed;
    uint64_t now, random;
    uint8_t number;
    struct pb_notice_result result;
    struct pb_notice_tick tick;    /* the last one */
    struct pb_notice_message last; /* the last row told of: valid until the next step */
    size_t ticks[PB_TICK_FAILED + 1];
    bool connect, close, wipe;
    uint32_t last_req, epoch; /* epoch: the server's log epoch */
};

/* Ann and Bob signed up; Ann wrote to Bob, her chat is created (useq 1), her SEND is on its way. */
struct pair {
    struct host *ann, *bob;
    struct pb_entry created;
    struct pb_send send;
};

struct stored *row_find(struct host *host, enum pb_table table, struct slice key);
void step(struct host *host, struct pb_host_event *event);
/* sweep_test.c, before each step of a new kind: the step with ever more memory until it is enough
 * is BUSY, with nothing to do, or as with plenty; and with its frame or command wrong in every way
 * it succeeds, moves no pin, counter or cursor back, loses no message and shows no false text. The
 * mind is as before. */
void sweep(struct host *host, const struct pb_host_event *event);
void simple(struct host *host, enum pb_host_event_body body);
void command(struct host *host, struct pb_event_command *command);
/* Time passes, the timer fires. */
void wait_ms(struct host *host, uint64_t ms);
/* How long until a frame of this kind leaves, to half a second; the server lives, and says nothing
 * else. Looks at all that leaves meanwhile. 0: not within ten minutes. */
uint64_t ms_until(struct host *host, enum pb_frame_body body);
void feed(struct host *host, const struct pb_frame *frame);
/* The oldest frame not yet looked at; its kind must be this. */
struct pb_frame expect(struct host *host, enum pb_frame_body body);
void silent(struct host *host);
struct host *host_new(void);
void host_free(struct host *host);
/* kill -9, and a start from the rows. */
void restart(struct host *host);
void greet(struct host *host);
void ok(struct host *host, uint64_t ver);
/* Answer the last request looked at. */
void refuse(struct host *host, enum pb_error_code code, uint64_t ver);
void ready(struct host *host, uint64_t useq, enum pb_resume_kind resume);
void lists(struct host *host, uint8_t first, struct slice list);
void all_lists(struct host *host, uint8_t first, const struct slice *lists, size_t count);
struct slice list_of(struct host *host);
/* Sign up as `name` with user_id {first}; ends synced at useq 0, own list known. */
struct host *signed_up(const char *name, uint8_t first);
void reconnect(struct host *host, uint64_t useq, enum pb_resume_kind resume);
void send_to(struct host *host, const char *name, const char *text);
void push(struct host *host, uint64_t useq, const struct pb_entry *entry);
struct pb_entry created(const struct pb_chat_create *create, const struct host *by, uint64_t cseq);
struct pb_entry message(const struct pb_send *send, const struct host *by, uint64_t cseq);
/* A final reason spends the counter. */
struct pb_entry rejected(const struct pb_send *send, const struct host *by, enum pb_error_code why);
/* ann says "hello" to bob, whom she did not know: up to her CHAT_CREATE. */
struct pb_chat_create first_words(struct host *ann, struct host *bob);
struct pair talking(void);
void end(struct pair pair);
void sent(struct host *host, struct slice mid);
