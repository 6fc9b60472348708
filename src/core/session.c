/* SPDX-License-Identifier: Apache-2.0
 *   NEW ──OPENED──▶ WELCOMED ──REGISTER, LOGIN──▶ GRANTED
 *                      │ ▲                           │
 *                      │ └── conn too low ──┐        │ HELLO of the granted user
 *                 HELLO ▼                   │        ▼
 *                      └─────────────▶ ATTACHING ◀───┘
 *                                           │ ATTACHED
 *                                           ▼
 *                                         LIVE
 *   any ──deadline, idle, offences, FENCE, REVOKE, DRAIN, CLOSED──▶ CLOSING
 * NEW → WELCOMED          on_opened
 * WELCOMED → GRANTED      register_on_outcome, login_on_hashed (sign_in.c)
 * → ATTACHING             hello_on_rows (sign_in.c)
 * ATTACHING → LIVE, back  hello_on_attached (sign_in.c)
 * → CLOSING               step_close (step.c), on_closed */
#include "core/session.h"

#include <string.h>

#include "base/assert.h"
#include "core/command.h"
#include "core/username.h"

#define ATTACH_RETRY_MS 2000u
#define LIMITS_DEVICES  8u

void session_config_init(struct session_config *config)
{
    *config = (struct session_config){.server_name = "localhost",
                                      .gateway = 1,
                                      .log_epoch = 1,
                                      .sign_up = POLICY_INVITE,
                                      .members_invite = true,
                                      .tail_max = 5000,
                                      .window_entries = 256,
                                      .window_bytes = 256u << 10,
                                      .sign_in_ms = 10000,
                                      .granted_ms = 120000,
                                      .idle_ms = 75000};
}

void session_init(struct session *session, uint64_t handle)
{
    memset(session, 0, sizeof *session);
    session->handle = handle;
}

static void on_opened(struct step *step)
{
    struct session *session = step->session;
    const struct session_config *config = step->config;
    if (session->state != SESSION_NEW)
        return;
    session->state = SESSION_WELCOMED;
    session->frame_ms = step->event->mono_ms;
    session->deadline_ms = step->event->mono_ms + config->sign_in_ms;
    memcpy(session->nonce, step->event->entropy, sizeof session->nonce);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_WELCOME};
    frame.body.welcome = (struct pb_welcome){.proto_min = 1,
                                             .proto_max = 1,
                                             .server_name = slice_text(config->server_name),
                                             .nonce = SLICE_OF(session->nonce),
                                             .log_epoch = config->log_epoch,
                                             .now_ms = step->event->now_ms,
                                             .has_limits = true,
                                             .limits = {.frame_bytes = 1u << 20,
                                                        .envelope_bytes = 1u << 16,
                                                        .devices = LIMITS_DEVICES,
                                                        .window_entries = config->window_entries,
                                                        .window_bytes = config->window_bytes},
                                             .sign_up = (enum pb_sign_up)config->sign_up};
    step_send(step, &frame);
}

/* What a frame is refused for before its command sees it; true = answered. */
static bool refuse(struct step *step, const struct command *command, const struct pb_frame *frame)
{
    const struct session *session = step->session;
    bool bad = (IN(session->state) & command->states) == 0 ||
               (command->answered && frame->req == 0) ||
               step->event->bytes.bytes > command->body_bytes_max + 16u;
    bool sends = command->tag == PB_FRAME_BODY_SEND;
    if (bad) {
        step_offence(step, frame->req);
        return true;
    }
    if (command->writes && (step->config->read_only || session->read_only))
        step_error(step, frame->req, PB_ERROR_CODE_READ_ONLY);
    else if (step->event->limit_retry_ms > 0 && command->rate != RATE_NONE)
        step_error_retry(step, frame->req, PB_ERROR_CODE_LIMIT, step->event->limit_retry_ms);
    else if (command->answered && (session->in_flight >= SESSION_IN_FLIGHT_MAX ||
                                   (command->writes && step->config->busy)))
        step_error_retry(step, frame->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
    else
        return false;
    if (step->event->limit_retry_ms == 0 && session->state == SESSION_WELCOMED)
        step_rate_back(step, step->event->bytes);
    if (sends)
        send_stall(step, frame->body.send.chat_id);
    return true;
}

static void on_frame(struct step *step)
{
    struct session *session = step->session;
    struct pb_frame frame;
    if (session->state == SESSION_NEW)
        return;
    session->frame_ms = step->event->mono_ms;
    enum status status = pb_frame_decode(step->event->bytes, step->arena, &frame);
    if (status == STATUS_BUSY)
        return; /* give_up */
    if (status != STATUS_OK) {
        step_offence(step, 0);
        return;
    }
    const struct command *command = command_find((uint32_t)frame.body_case);
    if (command == NULL)
        step_error(step, frame.req, PB_ERROR_CODE_UNSUPPORTED);
    else if (!refuse(step, command, &frame))
        command->on_frame(step, &frame);
}

/* A store that could not answer: the request is told so, what is ours tries again. */
static void on_rows_failed(struct step *step)
{
    struct session *session = step->session;
    const struct ticket *ticket = &step->event->ticket;
    if (ticket->op == OP_TAIL) {
        session->tail_reading = false;
        session->tail_retry_ms = step->event->mono_ms + BUSY_RETRY_MS;
        return;
    }
    if (ticket->op == OP_HEAD) {
        session->head_reading = false;
        return;
    }
    if (ticket->op == PB_FRAME_BODY_SYNC)
        session->syncing = false;
    if (ticket->op == PB_FRAME_BODY_SNAPSHOT)
        session->paging = false;
    if (ticket->op == PB_FRAME_BODY_LOGIN || ticket->op == PB_FRAME_BODY_HELLO) {
        session->signing_in = false;
        step_rate_back(step, step->event->held);
    }
    if (ticket->op == PB_FRAME_BODY_CHAT_CREATE)
        session->creating = false;
    step_error_retry(step, ticket->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
}

static void on_rows(struct step *step)
{
    if (step->event->status != STATUS_OK) {
        on_rows_failed(step);
        return;
    }
    uint8_t op = step->event->ticket.op;
    const struct command *command = command_find(op);
    if (op == OP_TAIL)
        tail_on_rows(step);
    else if (op == OP_HEAD)
        head_on_rows(step);
    else if (command != NULL && command->on_rows != NULL)
        command->on_rows(step);
}

static void on_hashed(struct step *step)
{
    const struct command *command = command_find(step->event->ticket.op);
    if (command == NULL || command->on_hashed == NULL)
        return;
    if (step->event->status == STATUS_OK) {
        command->on_hashed(step);
        return;
    }
    if (command->states & IN(SESSION_WELCOMED)) {
        step->session->signing_in = false;
        step_rate_back(step, step->event->held);
    }
    step_error_retry(step, step->event->ticket.req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
}

static void outcome_note(struct step *step, uint8_t op, const struct pb_outcome *outcome)
{
    if (op == PB_FRAME_BODY_REGISTER && outcome->error == PB_ERROR_CODE_INVITE_USED)
        step_note(step, NOTE_INVITE_WRONG);
    if (outcome->code != PB_OUTCOME_CODE_OK)
        return;
    if (op == PB_FRAME_BODY_REGISTER)
        step_note(step, NOTE_SIGNED_UP);
    if (op == PB_FRAME_BODY_DEVLIST_PUT)
        step_note(step, NOTE_DEVICES_SET);
    if (op == PB_FRAME_BODY_PASSWORD_SET)
        step_note(step, NOTE_PASSWORD_SET);
    if (op == PB_FRAME_BODY_INVITE)
        step_note(step, NOTE_INVITE_MADE);
}

static void on_outcome(struct step *step, const struct pb_outcome *outcome)
{
    struct session_waiting *waiting = step_waiting(step->session, outcome->req);
    if (waiting == NULL) /* given up already: the client reads again */
        return;
    const struct command *command = command_find(waiting->op);
    outcome_note(step, waiting->op, outcome);
    waiting->op = 0;
    assert(command != NULL && command->on_outcome != NULL);
    command->on_outcome(step, outcome);
}

static void on_rpc(struct step *step)
{
    const struct pb_rpc *rpc = step->event->rpc;
    struct session *session = step->session;
    bool device = session->state == SESSION_ATTACHING || session->state == SESSION_LIVE;
    switch (rpc->body_case) {
    case PB_RPC_BODY_ATTACHED:
        if (device && rpc->body.attached.conn == session->conn)
            hello_on_attached(step, &rpc->body.attached);
        break;
    case PB_RPC_BODY_DELIVER:
        if (session->state == SESSION_LIVE)
            delivery_on_deliver(step, &rpc->body.deliver);
        break;
    case PB_RPC_BODY_FENCE:
        if (device && rpc->body.fence.conn > session->conn)
            step_goaway(step, PB_GOAWAY_REASON_FENCED, 0);
        break;
    case PB_RPC_BODY_REVOKE:
        if (device)
            step_goaway(step,
                        rpc->body.revoke.suspended ? PB_GOAWAY_REASON_SUSPENDED
                                                   : PB_GOAWAY_REASON_SIGNED_OUT,
                        0);
        break;
    case PB_RPC_BODY_OUTCOME: on_outcome(step, &rpc->body.outcome); break;
    case PB_RPC_BODY_NONE:
    case PB_RPC_BODY_ATTACH:
    case PB_RPC_BODY_DETACH:
    case PB_RPC_BODY_ACKED:
    default: break; /* for owners */
    }
}

static void on_closed(struct step *step)
{
    struct session *session = step->session;
    step_detach(step);
    session->state = SESSION_CLOSING;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Whatever is due, at any event: a late TIMER changes nothing. */
static void run_deadlines(struct step *step)
{
    struct session *session = step->session;
    uint64_t now_ms = step->event->mono_ms;
    if (session->deadline_ms != 0 && now_ms >= session->deadline_ms)
        step_close(step, 1008, "not signed in in time");
    else if (now_ms >= session->frame_ms + step->config->idle_ms)
        step_close(step, 1001, "idle");
    for (size_t i = 0; i < SESSION_WAITING; i++) {
        struct session_waiting *waiting = &session->waiting[i];
        if (waiting->op == 0 || waiting->until_s > now_ms / 1000)
            continue;
        if (waiting->op == PB_FRAME_BODY_REGISTER)
            session->signing_in = false;
        waiting->op = 0;
        step_error(step, waiting->req, PB_ERROR_CODE_RETRY);
    }
    if (session->tail_retry_ms != 0 && now_ms >= session->tail_retry_ms) {
        session->tail_retry_ms = 0;
        if (session->state == SESSION_ATTACHING) {
            session->tail_retry_ms = now_ms + ATTACH_RETRY_MS;
            hello_attach(step, true);
        }
    }
}

static void arm(struct step *step)
{
    struct session *session = step->session;
    uint64_t next_ms = sooner(session->deadline_ms, session->frame_ms + step->config->idle_ms);
    next_ms = sooner(next_ms, session->tail_retry_ms);
    for (size_t i = 0; i < SESSION_WAITING; i++)
        if (session->waiting[i].op != 0)
            next_ms = sooner(next_ms, (uint64_t)session->waiting[i].until_s * 1000);
    uint64_t armed_ms = session->armed_ms;
    if (armed_ms > step->event->mono_ms && armed_ms <= next_ms)
        return; /* it fires early enough, and looks again */
    struct effects *effects = step->effects;
    assert(effects->count < effects->max);
    effects->at[effects->count++] = (struct effect){.kind = EFFECT_ARM, .at_mono_ms = next_ms};
    session->armed_ms = next_ms;
}

static void dispatch(struct step *step)
{
    struct session *session = step->session;
    switch (step->event->kind) {
    case EVENT_OPENED: on_opened(step); break;
    case EVENT_FRAME: on_frame(step); break;
    case EVENT_APPENDED: {
        const struct command *command = command_find(step->event->ticket.op);
        if (command != NULL && command->on_appended != NULL)
            command->on_appended(step);
        break;
    }
    case EVENT_RPC: on_rpc(step); break;
    case EVENT_ROWS: on_rows(step); break;
    case EVENT_HASHED: on_hashed(step); break;
    case EVENT_OWNER_CHANGED:
        if (session->state == SESSION_LIVE || session->state == SESSION_ATTACHING) {
            session->unsure = true;
            hello_attach(step, true);
        }
        break;
    case EVENT_DRAIN: step_goaway(step, PB_GOAWAY_REASON_DRAIN, step->event->retry_ms); break;
    case EVENT_CLOSED: on_closed(step); break;
    case EVENT_TIMER:
    case EVENT_WRITABLE: break;
    }
}

/* What a step without memory did not find may well be there: it says nothing of it, and does
 * nothing. */
static void give_up(struct step *step, struct arena_mark before)
{
    step->effects->count = 0;
    step->effects->tally = (struct tally){0};
    arena_rewind(step->arena, before); /* for the DETACH */
    step_close(step, 1013, "no memory");
}

void session_step(struct session *session, const struct session_config *config,
                  const struct event *event, struct arena *arena, struct effects *effects)
{
    struct arena_mark before = arena_mark(arena);
    assert(effects->count == 0 && effects->max >= SESSION_EFFECTS_MAX);
    struct step step = {session, config, event, arena, effects, event->output_bytes};
    bool completion =
        event->kind == EVENT_APPENDED || event->kind == EVENT_ROWS || event->kind == EVENT_HASHED;
    if (completion && session->in_flight > 0)
        session->in_flight--;
    if (session->state == SESSION_CLOSING)
        return;
    dispatch(&step);
    if (session->state != SESSION_NEW && session->state != SESSION_CLOSING)
        run_deadlines(&step);
    if (session->state == SESSION_LIVE)
        delivery_pump(&step);
    if (arena->exhausted && session->state != SESSION_CLOSING)
        give_up(&step, before);
    if (session->state != SESSION_NEW && session->state != SESSION_CLOSING)
        arm(&step);
}

/* A frame is {1: req varint}? {tag: length-delimited}: only the tag is wanted, cheaply. */
enum rate_class session_rate(struct slice frame)
{
    size_t i = 0;
    if (frame.bytes > 0 && frame.at[0] == 0x08) {
        for (i = 1; i < frame.bytes && (frame.at[i] & 0x80) != 0; i++)
            ;
        i++;
    }
    if (i >= frame.bytes)
        return RATE_NONE;
    uint32_t key = frame.at[i] & 0x7fu;
    if ((frame.at[i] & 0x80) != 0)
        key |= i + 1 < frame.bytes ? (uint32_t)(frame.at[i + 1] & 0x7f) << 7 : 0;
    const struct command *command = command_find(key >> 3);
    return command == NULL ? RATE_NONE : command->rate;
}

enum rate_class session_rate_named(struct slice bytes, struct arena *arena, uint8_t key[ID_BYTES])
{
    struct pb_frame frame;
    enum rate_class class = session_rate(bytes);
    memset(key, 0, ID_BYTES);
    if ((class != RATE_LOGIN && class != RATE_REGISTER) ||
        pb_frame_decode(bytes, arena, &frame) != STATUS_OK)
        return RATE_NONE;
    if (frame.body_case == PB_FRAME_BODY_REGISTER)
        return frame.body.register_.invite.bytes > 0 ? RATE_INVITE_GUESS : RATE_NONE;
    if (frame.body_case != PB_FRAME_BODY_LOGIN)
        return RATE_NONE;
    username_key(frame.body.login.username, key);
    return RATE_LOGIN_ACCOUNT;
}

void session_check(const struct session *session, const struct session_config *config)
{
    assert(session->state < SESSION_STATES);
    bool device = session->state == SESSION_ATTACHING || session->state == SESSION_LIVE;
    assert(!device || !ID_IS_ZERO(session->device));
    assert((!device && session->state != SESSION_GRANTED) || !ID_IS_ZERO(session->user));
    assert(session->flights_count <= SESSION_FLIGHTS);
    if (session->state != SESSION_LIVE)
        return;
    assert(session->deadline_ms == 0);
    assert(session->acked <= session->pushed && session->pushed <= session->head);
    uint64_t bytes = 0, last = 0;
    for (uint32_t i = 0; i < session->flights_count; i++) {
        assert(session->flights[i].above > last);
        last = session->flights[i].above;
        bytes += session->flights[i].bytes;
    }
    uint64_t entries = session->pushed - session->acked;
    assert(entries <= config->window_entries || entries <= 500);
    assert(bytes <= config->window_bytes || session->flights_count == 1 || entries <= 1);
}
