/* SPDX-License-Identifier: Apache-2.0 */
#include "core/step.h"

#include <string.h>

#include "base/assert.h"

#define OFFENCES_MAX 3
#define OUTCOME_S \
    15u /* a fold's answer that is not there by then is lost: the client reads again */

/* NULL once the session is closing: a CLOSE is the last effect. */
static struct effect *effect_add(struct step *step, enum effect_kind kind)
{
    struct effects *effects = step->effects;
    if (step->session->state == SESSION_CLOSING)
        return NULL;
    assert(effects->count < effects->max);
    struct effect *effect = &effects->at[effects->count++];
    *effect = (struct effect){.kind = kind};
    return effect;
}

/* ---- answers ---- */

void step_send(struct step *step, const struct pb_frame *frame)
{
    struct slice bytes = pb_frame_pack(frame, step->arena);
    struct effect *effect = bytes.bytes > 0 ? effect_add(step, EFFECT_SEND) : NULL;
    if (effect == NULL)
        return;
    effect->bytes = bytes;
    step->output_bytes += (uint32_t)bytes.bytes;
}

static void error_send(struct step *step, uint32_t req, struct pb_error error)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_ERROR};
    frame.body.error = error;
    step->effects->tally.errors |= UINT64_C(1) << ((uint32_t)error.code & 63);
    step_send(step, &frame);
}

void step_error(struct step *step, uint32_t req, enum pb_error_code code)
{
    error_send(step, req, (struct pb_error){.code = code});
}

void step_error_retry(struct step *step, uint32_t req, enum pb_error_code code, uint64_t retry_ms)
{
    error_send(step, req, (struct pb_error){.code = code, .retry_ms = retry_ms});
}

void step_conflict(struct step *step, uint32_t req, enum pb_error_code code, uint64_t ver)
{
    error_send(step, req, (struct pb_error){.code = code, .ver = ver});
}

void step_ok(struct step *step, uint32_t req, uint64_t ver)
{
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_OK};
    frame.body.ok.ver = ver;
    step_send(step, &frame);
}

void step_offence(struct step *step, uint32_t req)
{
    step_error(step, req, PB_ERROR_CODE_BAD_FRAME);
    if (++step->session->offences >= OFFENCES_MAX)
        step_close(step, 1008, "bad frames");
}

void step_goaway(struct step *step, enum pb_goaway_reason reason, uint64_t retry_ms)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_GOAWAY};
    frame.body.goaway = (struct pb_goaway){.reason = reason, .retry_ms = retry_ms};
    if (reason == PB_GOAWAY_REASON_FENCED)
        step_note(step, NOTE_FENCED);
    if (reason == PB_GOAWAY_REASON_SIGNED_OUT)
        step_note(step, NOTE_REMOVED);
    if (reason == PB_GOAWAY_REASON_SUSPENDED)
        step_note(step, NOTE_SUSPENDED);
    step_send(step, &frame);
    step_close(step, 1000, "goaway");
}

void step_detach(struct step *step)
{
    struct session *session = step->session;
    if (session->state != SESSION_ATTACHING && session->state != SESSION_LIVE)
        return;
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_DETACH};
    rpc.body.detach = (struct pb_detach){.user_id = ID_SLICE(session->user),
                                         .device_id = ID_SLICE(session->device),
                                         .conn = session->conn};
    step_rpc(step, &rpc);
}

void step_close(struct step *step, uint16_t code, const char *reason)
{
    step_detach(step); /* the CLOSED that follows may say nothing any more */
    struct effect *effect = effect_add(step, EFFECT_CLOSE);
    if (effect == NULL)
        return;
    effect->close_code = code;
    effect->reason = reason;
    step->session->state = SESSION_CLOSING;
}

void step_note(struct step *step, enum note note)
{
    step->effects->tally.notes |= 1u << note;
}

/* ---- operations ---- */

struct ticket step_ticket(uint8_t op, uint32_t req)
{
    return (struct ticket){.op = op, .req = req};
}

static struct effect *operation_add(struct step *step, enum effect_kind kind, struct ticket ticket,
                                    struct slice held)
{
    struct effect *effect = effect_add(step, kind);
    if (effect == NULL)
        return NULL;
    effect->ticket = ticket;
    effect->held = held;
    step->session->in_flight++;
    return effect;
}

void step_submit(struct step *step, uint8_t topic, const uint8_t key[ID_BYTES],
                 const struct pb_record *record, struct ticket ticket)
{
    struct slice bytes = pb_record_pack_v1(record, step->arena);
    struct effect *effect =
        bytes.bytes > 0 ? operation_add(step, EFFECT_SUBMIT, ticket, SLICE_EMPTY) : NULL;
    if (effect == NULL)
        return;
    effect->topic = topic;
    memcpy(effect->key, key, ID_BYTES);
    effect->bytes = bytes;
}

void step_read(struct step *step, const struct read *reads, size_t reads_count,
               struct ticket ticket, struct slice held)
{
    struct read *copy = ARENA_ARRAY(step->arena, struct read, reads_count);
    if (copy == NULL)
        return;
    for (size_t i = 0; i < reads_count; i++) {
        copy[i] = reads[i];
        copy[i].keys =
            (const struct row_key *)(const void *)arena_copy(
                step->arena, slice_make(reads[i].keys, reads[i].keys_count * sizeof *reads->keys))
                .at;
    }
    struct slice kept = arena_copy(step->arena, held);
    struct effect *effect =
        step->arena->exhausted ? NULL : operation_add(step, EFFECT_READ, ticket, kept);
    if (effect == NULL)
        return;
    effect->reads = copy;
    effect->reads_count = reads_count;
}

void step_read_keys(struct step *step, const struct row_key *keys, size_t keys_count,
                    struct ticket ticket, struct slice held)
{
    const struct read read = {.keys = keys, .keys_count = keys_count};
    step_read(step, &read, 1, ticket, held);
}

static void password(struct step *step, struct slice text, struct ticket ticket, struct slice held,
                     const struct slice *hash)
{
    struct slice kept = arena_copy(step->arena, held);
    struct effect *effect = operation_add(step, EFFECT_PASSWORD, ticket, kept);
    if (effect == NULL)
        return;
    effect->bytes = text;
    effect->verify = hash != NULL;
    effect->hash = hash != NULL ? *hash : SLICE_EMPTY;
}

void step_verify(struct step *step, struct slice text, struct slice hash, struct ticket ticket,
                 struct slice held)
{
    password(step, text, ticket, held, &hash);
}

void step_hash(struct step *step, struct slice text, struct ticket ticket, struct slice held)
{
    password(step, text, ticket, held, NULL);
}

void step_rpc(struct step *step, const struct pb_rpc *rpc)
{
    struct slice bytes = pb_rpc_pack(rpc, step->arena);
    struct effect *effect = bytes.bytes > 0 ? effect_add(step, EFFECT_RPC) : NULL;
    if (effect == NULL)
        return;
    memcpy(effect->key, step->session->user.at, ID_BYTES);
    effect->bytes = bytes;
}

void step_alarm(struct step *step, enum session_alarm alarm, uint64_t claim, uint64_t head)
{
    struct effect *effect = effect_add(step, EFFECT_ALARM);
    if (effect == NULL)
        return;
    effect->alarm = alarm;
    effect->claim = claim;
    effect->head = head;
}

void step_rate_give(struct step *step, enum rate_class class, const uint8_t key[ID_BYTES])
{
    struct effect *effect = effect_add(step, EFFECT_RATE_BACK);
    if (effect == NULL)
        return;
    effect->rate = (uint8_t) class;
    memcpy(effect->key, key, ID_BYTES);
}

void step_rate_back(struct step *step, struct slice frame)
{
    uint8_t key[ID_BYTES];
    enum rate_class class = session_rate_named(frame, step->arena, key);
    if (class != RATE_NONE)
        step_rate_give(step, class, key);
}

bool step_held_frame(struct step *step, struct pb_frame *frame)
{
    enum status status = pb_frame_decode(step->event->held, step->arena, frame);
    /* it was decoded before: only for memory */
    return status == STATUS_OK && frame->body_case != 0;
}

/* ---- rows ---- */

struct row_key key_one(enum table table, const uint8_t a[ID_BYTES], uint64_t n)
{
    struct row_key key = {.table = table, .n = n};
    memcpy(key.a, a, ID_BYTES);
    return key;
}

struct row_key key_two(enum table table, const uint8_t a[ID_BYTES], const uint8_t b[ID_BYTES])
{
    struct row_key key = {.table = table};
    memcpy(key.a, a, ID_BYTES);
    memcpy(key.b, b, ID_BYTES);
    return key;
}

const struct row *step_row(const struct step *step, size_t read, size_t i)
{
    const struct event *event = step->event;
    if (read >= event->results_count || i >= event->results[read].count)
        return NULL;
    const struct row *row = &event->results[read].at[i];
    return row->found ? row : NULL;
}

bool step_row_message(struct step *step, const struct row *row, const struct pb_type *type,
                      void *out)
{
    struct slice body;
    if (row == NULL || pb_unwrap(row->value, ROW_VERSION, &body) != STATUS_OK)
        return false;
    return pb_decode(type, body, step->arena, out) == STATUS_OK;
}

/* ---- requests that a fold answers ---- */

struct session_waiting *step_waiting(struct session *session, uint32_t req)
{
    for (size_t i = 0; i < SESSION_WAITING; i++)
        if (session->waiting[i].op != 0 && session->waiting[i].req == req)
            return &session->waiting[i];
    return NULL;
}

bool step_wait(struct step *step, uint32_t req, uint8_t op)
{
    struct session *session = step->session;
    if (step_waiting(session, req) != NULL) { /* its answer could not be told from the other's */
        step_offence(step, req);
        return false;
    }
    for (size_t i = 0; i < SESSION_WAITING; i++) {
        if (session->waiting[i].op != 0)
            continue;
        uint32_t until_s = (uint32_t)(step->event->mono_ms / 1000) + OUTCOME_S;
        session->waiting[i] = (struct session_waiting){.req = req, .until_s = until_s, .op = op};
        return true;
    }
    step_error_retry(step, req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
    return false;
}

void step_submit_account(struct step *step, const struct pb_account *account, uint32_t req,
                         uint8_t op)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_ACCOUNT};
    record.body.account = *account;
    record.body.account.has_origin = true;
    record.body.account.origin = (struct pb_origin){.gateway = step->config->gateway,
                                                    .shard = step->config->shard,
                                                    .session = step->session->handle,
                                                    .req = req};
    step_submit(step, TOPIC_OF_USERS, step->session->user.at, &record, step_ticket(op, req));
}

/* ---- membership, entries ---- */

const struct pb_membership *membership_at(const struct pb_member_row *row, uint64_t head_cseq)
{
    if (row->w_cseq <= head_cseq)
        return row->has_now ? &row->now : NULL;
    return row->has_prev ? &row->prev : NULL;
}

const struct pb_span *membership_span(const struct pb_membership *membership)
{
    if (membership == NULL || membership->spans_count == 0)
        return NULL;
    return &membership->spans[membership->spans_count - 1];
}

bool membership_active(const struct pb_membership *membership)
{
    const struct pb_span *span = membership_span(membership);
    return span != NULL && span->to == 0;
}

void entry_show_to(struct pb_entry *entry, const user_id *user)
{
    if (entry->body_case != PB_ENTRY_BODY_MESSAGE)
        return;
    struct pb_message *message = &entry->body.message;
    if (!message->hidden || slice_equal(message->user_id, ID_SLICE(*user)))
        return;
    message->hidden = false; /* nor may it see that it was hidden */
    message->tombstone = true;
    message->envelope = SLICE_EMPTY;
}
