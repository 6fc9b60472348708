/* SPDX-License-Identifier: Apache-2.0
 * The sweep over wrong input: session_rig.h says what it asks. */
#include <string.h>

#include "base/assert.h"
#include "session_rig.h"
#include "wire/pb_twist.h"

#define TWISTED_STEPS_MAX 40u /* of a test */
#define ROWS_TWISTED_MAX  6u  /* of a read; and so many reads */

static struct effect at[SESSION_EFFECTS_MAX];

static bool own(const struct rig *rig, const struct session *after, const struct pb_record *record)
{
    struct slice user = ID_SLICE(after->user), device = ID_SLICE(rig->session.device);
    uint32_t kind = (uint32_t)record->body_case;
    if (kind == PB_RECORD_BODY_ENTRY)
        return slice_equal(record->body.entry.user_id, user);
    if (kind == PB_RECORD_BODY_CREATE)
        return slice_equal(record->body.create.user_id, user) &&
               slice_equal(record->body.create.device_id, device);
    if (kind == PB_RECORD_BODY_RECEIPT)
        return slice_equal(record->body.receipt.user_id, user);
    if (kind == PB_RECORD_BODY_ACCOUNT)
        return record->body.account.origin.session == after->handle &&
               record->body.account.origin.gateway == rig->config.gateway;
    return kind == PB_RECORD_BODY_OWN; /* the others only folds write */
}

/* Whatever was said or sent: a session speaks for itself alone, answers once, and an error is no
 * half of a deed. */
static void check_effects(struct rig *rig, const struct session *after,
                          const struct effects *effects)
{
    size_t answers = 0, errors = 0, submits = 0;
    for (size_t i = 0; i < effects->count; i++) {
        const struct effect *effect = &effects->at[i];
        struct pb_frame frame;
        struct pb_record record;
        struct slice body;
        bool closes = effect->kind == EFFECT_CLOSE;
        assert(!closes || (i + 1 == effects->count && after->state == SESSION_CLOSING));
        if (effect->kind == EFFECT_SEND) {
            assert(pb_frame_decode(effect->bytes, &rig->lean, &frame) == STATUS_OK);
            answers += frame.req != 0;
            errors += frame.body_case == PB_FRAME_BODY_ERROR;
        } else if (effect->kind == EFFECT_SUBMIT) {
            submits++;
            assert(pb_unwrap(effect->bytes, 1, &body) == STATUS_OK);
            assert(pb_record_decode(body, &rig->lean, &record) == STATUS_OK);
            assert(own(rig, after, &record));
            assert(effect->topic == TOPIC_OF_CHATS || effect->topic == TOPIC_OF_USERS);
            assert(effect->topic == TOPIC_OF_CHATS ||
                   memcmp(effect->key, after->user.at, ID_BYTES) == 0);
        } else if (effect->kind == EFFECT_RPC) {
            assert(memcmp(effect->key, after->user.at, ID_BYTES) == 0);
        }
    }
    assert(answers <= 1 && (errors == 0 || submits == 0));
}

/* One step of a copy. Nobody becomes somebody, and nothing is acknowledged, by a failure. */
static void one(struct rig *rig, const struct event *event)
{
    struct effects effects = {.at = at, .max = SESSION_EFFECTS_MAX};
    struct session after = rig->session;
    arena_reset(&rig->lean);
    rig->lean.bytes_max = SESSION_STEP_BYTES_MAX;
    session_step(&after, &rig->config, event, &rig->lean, &effects);
    session_check(&after, &rig->config);
    check_effects(rig, &after, &effects);
    bool failed = event->status != STATUS_OK;
    assert(!failed || (effects.tally.sent == 0 && after.state != SESSION_GRANTED) ||
           after.state == rig->session.state);
    assert(!failed || effects.tally.sent == 0);
    bool signs = event->kind == EVENT_FRAME || event->kind == EVENT_ROWS;
    assert(!signs || after.state == rig->session.state || after.state == SESSION_CLOSING ||
           after.state == SESSION_ATTACHING);
}

static void twist_frame(struct rig *rig, const struct event *event)
{
    struct event wrong = *event;
    struct arena arena;
    arena_init(&arena, (size_t)4 << 20);
    bool more = true;
    for (size_t nth = 0; more; nth++) {
        struct pb_frame frame;
        arena_reset(&arena);
        if (pb_frame_decode(event->bytes, &arena, &frame) != STATUS_OK)
            break;
        more = pb_twist(&pb_frame_type, &frame, nth, &arena);
        wrong.bytes = pb_frame_pack(&frame, &arena);
        one(rig, &wrong);
    }
    arena_deinit(&arena);
    wrong = *event;
    wrong.limit_retry_ms = 700;
    one(rig, &wrong);
    for (size_t bytes = 0; bytes < event->bytes.bytes && bytes < 80; bytes++) {
        wrong.bytes = slice_sub(event->bytes, 0, bytes);
        (void)session_rate(wrong.bytes);
        one(rig, &wrong);
    }
}

/* A row that is not there, is of another version, or is cut; no rows; no answer; a short memory. */
static void twist_rows(struct rig *rig, const struct event *event)
{
    const struct slice values[] = {SLICE_EMPTY, SLICE_LITERAL("\x02later"),
                                   SLICE_LITERAL("\x01\xff")};
    struct event wrong = *event;
    for (size_t r = 0; r < event->results_count && r < ROWS_TWISTED_MAX; r++) {
        struct rows *rows = (struct rows *)(uintptr_t)&event->results[r];
        const struct rows is = *rows;
        rows->count = 0;
        one(rig, event);
        *rows = is;
        for (size_t i = 0; i < is.count && i < ROWS_TWISTED_MAX; i++) {
            struct row *row = (struct row *)(uintptr_t)&is.at[i];
            const struct row was = *row;
            row->found = false;
            one(rig, event);
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                *row = was;
                row->value = values[v];
                one(rig, event);
            }
            *row = was;
            row->key.n += 1;
            one(rig, event);
            *row = was;
        }
    }
    wrong.results_count = 0;
    one(rig, &wrong);
    for (size_t bytes = 0; bytes < event->held.bytes && bytes < 8; bytes++) {
        wrong.held = slice_sub(event->held, 0, bytes);
        one(rig, &wrong);
    }
}

void rig_twist(struct rig *rig, const struct event *event)
{
    static const enum status statuses[] = {STATUS_BUSY, STATUS_TOO_LARGE, STATUS_TIMEOUT};
    struct event wrong = *event;
    bool completion =
        event->kind == EVENT_ROWS || event->kind == EVENT_APPENDED || event->kind == EVENT_HASHED;
    if (rig->session.state == SESSION_CLOSING || rig->twisted++ >= TWISTED_STEPS_MAX)
        return;
    if (event->kind == EVENT_FRAME)
        twist_frame(rig, event);
    if (event->kind == EVENT_ROWS)
        twist_rows(rig, event);
    for (size_t i = 0; completion && i < sizeof statuses / sizeof statuses[0]; i++) {
        wrong.status = statuses[i];
        one(rig, &wrong);
    }
    if (completion) { /* of something that nobody asked for */
        wrong = *event;
        wrong.ticket.op = 0;
        one(rig, &wrong);
        wrong.ticket.op = PB_FRAME_BODY_PING;
        one(rig, &wrong);
        wrong = *event;
        wrong.match = !event->match;
        wrong.ticket.req += 1;
        one(rig, &wrong);
    }
    struct session was = rig->session;
    struct session_config plain = rig->config;
    rig->config.busy = event->kind == EVENT_FRAME;
    one(rig, event);
    rig->config.read_only = rig->config.busy;
    one(rig, event);
    rig->config = plain;
    rig->session.signing_in = true;
    one(rig, event);
    rig->session = was;
}
