/* SPDX-License-Identifier: Apache-2.0
 * The window, ACK, SYNC, PUSH, PING: how an inbox reaches its device, in order and without a queue.
 * One reading of the tail is under way at a time, always from `pushed` on. A DELIVER that fits goes
 * out at once; any other only raises `head`, and the store is read again (levels, not edges).
 * Bodies of pointers come in a second read; SYNC reads them BODIES_MAX at a time and gathers. */
#include <string.h>

#include "base/assert.h"
#include "core/command.h"
#include "core/witness.h"

#define BODIES_MAX        64u /* entries per read of bodies, pushes per step */
#define SYNC_ENTRIES_MAX  500u
#define TAIL_RETRY_MS     100u
#define TAIL_RETRY_MS_MAX 2000u
#define FLIGHT_ENTRIES    32u
#define TOKEN_MS          1000u

/* ---- window ---- */

static uint64_t bytes_in_flight(const struct session *session)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < session->flights_count; i++)
        bytes += session->flights[i].bytes;
    return bytes;
}

static bool window_takes(const struct step *step, size_t bytes)
{
    const struct session *session = step->session;
    uint64_t waiting = bytes_in_flight(session);
    return session->pushed - session->acked < step->config->window_entries &&
           (waiting == 0 || waiting + bytes <= step->config->window_bytes);
}

static void flight_add(struct session *session, uint64_t upto, size_t bytes, uint32_t bytes_each)
{
    uint32_t count = session->flights_count;
    struct session_flight *last = count > 0 ? &session->flights[count - 1] : NULL;
    uint32_t first = count > 1 ? session->flights[count - 2].above : 0;
    bool open = last != NULL && last->bytes < bytes_each && last->above - first < FLIGHT_ENTRIES;
    if (!open && count < SESSION_FLIGHTS) {
        last = &session->flights[session->flights_count++];
        last->bytes = 0;
    }
    assert(last != NULL);
    last->above = (uint32_t)(upto - session->acked); /* a window holds a few hundred */
    last->bytes += (uint32_t)bytes;
}

static void flights_ack(struct session *session, uint64_t useq)
{
    uint32_t gone = 0;
    uint64_t passed = useq - session->acked;
    while (gone < session->flights_count && session->flights[gone].above <= passed)
        gone++;
    session->flights_count -= gone;
    memmove(session->flights, session->flights + gone,
            session->flights_count * sizeof session->flights[0]);
    for (uint32_t i = 0; i < session->flights_count; i++)
        session->flights[i].above -= (uint32_t)passed;
    session->acked = useq;
    session->window_shut = false;
}

void delivery_reset(struct session *session, uint64_t cursor)
{
    session->acked = session->pushed = cursor;
    session->said = session->said < cursor ? session->said : cursor;
    session->flights_count = 0;
    session->sampled = 0;
    session->window_shut = false;
    session->tail_tries = 0;
    session->tail_retry_ms = 0;
}

static bool push(struct step *step, uint64_t useq, struct pb_entry *entry)
{
    struct session *session = step->session;
    assert(useq == session->pushed + 1);
    entry_show_to(entry, &session->user);
    size_t bytes = pb_entry_size(entry);
    if (!window_takes(step, bytes)) {
        session->window_shut = true;
        return false;
    }
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_PUSH};
    frame.body.push = (struct pb_push){.useq = useq,
                                       .prev_useq = session->pushed,
                                       .log_epoch = session->log_epoch,
                                       .has_entry = true,
                                       .entry = *entry};
    step_send(step, &frame);
    session->pushed = useq;
    step->effects->tally.pushed++;
    flight_add(session, useq, bytes, step->config->window_bytes / SESSION_FLIGHTS);
    return true;
}

static bool may_push(const struct step *step)
{
    const struct session *session = step->session;
    return !session->snapshot && !session->syncing && !session->tail_reading &&
           !session->window_shut && session->tail_retry_ms == 0 &&
           step->output_bytes <= SESSION_OUTPUT_BYTES_MAX &&
           session->pushed - session->acked < step->config->window_entries;
}

static void inbox_read(struct step *step, struct ticket ticket, uint64_t from, uint64_t upto)
{
    const uint8_t *user = step->session->user.at;
    const struct row_key keys[] = {key_one(TABLE_INBOX, user, from),
                                   key_one(TABLE_INBOX, user, upto)};
    const struct read read = {
        .keys = keys, .keys_count = 2, .range = true, .rows_max = (uint32_t)(upto - from + 1)};
    ticket.a = from;
    step_read(step, &read, 1, ticket, SLICE_EMPTY);
}

void delivery_pump(struct step *step)
{
    struct session *session = step->session;
    if (!may_push(step) || session->pushed >= session->head)
        return;
    uint64_t room = step->config->window_entries - (session->pushed - session->acked);
    room = room < BODIES_MAX ? room : BODIES_MAX;
    uint64_t there = session->head - session->pushed;
    session->tail_reading = true;
    inbox_read(step, step_ticket(OP_TAIL, 0), session->pushed + 1,
               session->pushed + (there < room ? there : room));
}

void delivery_on_deliver(struct step *step, const struct pb_deliver *deliver)
{
    struct session *session = step->session;
    if (deliver->useq > session->head)
        session->head = deliver->useq;
    if (!deliver->has_entry || deliver->useq != session->pushed + 1 || !may_push(step))
        return; /* the pump reads it */
    struct pb_entry entry = deliver->entry;
    bool message = entry.body_case == PB_ENTRY_BODY_MESSAGE;
    if (push(step, deliver->useq, &entry) && message && session->sampled == 0) {
        session->sampled = deliver->useq;
        session->sampled_ms = entry.body.message.ts;
    }
}

/* ---- reading the inbox: rows → bodies ---- */

/* Values of inbox rows as held between two reads: length u32 ‖ value, each. */
static struct slice rows_hold(struct step *step, struct slice before, size_t count)
{
    size_t bytes = 4 + before.bytes;
    for (size_t i = 0; i < count; i++)
        bytes += 4 + step_row(step, 0, i)->value.bytes;
    struct buf held = buf_in(step->arena, bytes);
    buf_u32be(&held, (uint32_t)before.bytes);
    buf_put(&held, before);
    for (size_t i = 0; i < count; i++) {
        buf_u32be(&held, (uint32_t)step_row(step, 0, i)->value.bytes);
        buf_put(&held, step_row(step, 0, i)->value);
    }
    return buf_slice(&held);
}

static bool held_next(struct step *step, struct slice *held, struct pb_inbox_row *row)
{
    struct slice rest = *held, value, body;
    uint32_t bytes;
    if (!take_u32be(&rest, &bytes) || !take_bytes(&rest, bytes, &value) ||
        pb_unwrap(value, ROW_VERSION, &body) != STATUS_OK ||
        pb_inbox_row_decode(body, step->arena, row) != STATUS_OK)
        return false;
    *held = rest;
    return true;
}

/* Rows in sequence from `from` on: what stands behind a hole is not there yet. */
static size_t dense_count(const struct step *step, uint64_t from)
{
    size_t count = 0;
    const struct row *row;
    while ((row = step_row(step, 0, count)) != NULL && row->key.n == from + count)
        count++;
    return count;
}

/* Does the row name the body that is its entry? */
static bool points(const struct pb_inbox_row *row)
{
    return !row->has_entry && row->cseq > 0 && row->chat_id.bytes == ID_BYTES;
}

/* Ask for the bodies of the first held rows. */
static void bodies_read(struct step *step, struct ticket ticket, struct slice held)
{
    struct slice rest = held, gathered;
    uint32_t bytes;
    struct row_key *keys = ARENA_ARRAY(step->arena, struct row_key, BODIES_MAX);
    size_t count = 0;
    if (keys == NULL || !take_u32be(&rest, &bytes) || !take_bytes(&rest, bytes, &gathered))
        return;
    struct pb_inbox_row row;
    for (size_t i = 0; i < BODIES_MAX && held_next(step, &rest, &row); i++)
        if (points(&row))
            keys[count++] = key_one(TABLE_MSG, row.chat_id.at, row.cseq);
    ticket.round = 1;
    step_read_keys(step, keys, count, ticket, held);
}

/* The entry of the next held row; `body` counts rows of bodies used. False: not there (yet). */
static bool entry_next(struct step *step, struct slice *held, size_t *body, struct pb_entry *entry)
{
    struct pb_inbox_row row;
    struct slice rest = *held;
    if (!held_next(step, &rest, &row))
        return false;
    if (row.has_entry) {
        *entry = row.entry;
    } else {
        struct pb_msg_row msg;
        if (!points(&row) ||
            !step_row_message(step, step_row(step, 0, *body), &pb_msg_row_type, &msg))
            return false;
        (*body)++;
        *entry = msg.entry;
    }
    *held = rest;
    return true;
}

static void tail_wait(struct step *step)
{
    struct session *session = step->session;
    uint32_t tries = session->tail_tries < 5 ? session->tail_tries++ : 5;
    uint64_t wait_ms = (uint64_t)TAIL_RETRY_MS << tries;
    session->tail_retry_ms =
        step->event->mono_ms + (wait_ms < TAIL_RETRY_MS_MAX ? wait_ms : TAIL_RETRY_MS_MAX);
}

void tail_on_rows(struct step *step)
{
    struct session *session = step->session;
    struct ticket ticket = step->event->ticket;
    bool stale = session->syncing || session->snapshot || ticket.a != session->pushed + 1 ||
                 session->state != SESSION_LIVE;
    size_t count = ticket.round == 0 && !stale ? dense_count(step, ticket.a) : 0;
    if (count > 0) {
        bodies_read(step, ticket, rows_hold(step, SLICE_EMPTY, count));
        return;
    }
    session->tail_reading = false;
    if (stale)
        return;
    struct slice held = slice_sub(step->event->held, 4, SIZE_MAX);
    struct pb_entry entry;
    size_t body = 0;
    uint64_t before = session->pushed;
    while (ticket.round == 1 && entry_next(step, &held, &body, &entry))
        if (!push(step, session->pushed + 1, &entry))
            break;
    if (session->pushed > before)
        session->tail_tries = 0;
    else if (!session->window_shut)
        tail_wait(step); /* the store is behind the head it was told */
}

/* ---- SYNC ---- */

void sync_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    uint64_t from = frame->body.sync.from_useq;
    if (from > session->head) {
        step_offence(step, frame->req);
        return;
    }
    if (session->syncing) {
        step_error_retry(step, frame->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        return;
    }
    struct pb_frame answer = {.req = frame->req, .body_case = PB_FRAME_BODY_SYNC_PART};
    answer.body.sync_part.from_useq = from;
    answer.body.sync_part.snapshot = from < session->floor;
    if (from < session->floor || from == session->head) {
        session->snapshot |= from < session->floor;
        if (from == session->head)
            delivery_reset(session, from);
        step_send(step, &answer);
        return;
    }
    uint64_t upto =
        session->head - from > SYNC_ENTRIES_MAX ? from + SYNC_ENTRIES_MAX : session->head;
    delivery_reset(session, from); /* the device says where it is: the window begins there */
    session->syncing = true;
    inbox_read(step, step_ticket(PB_FRAME_BODY_SYNC, frame->req), from + 1, upto);
}

static void sync_finish(struct step *step, struct pb_sync_part *part)
{
    struct session *session = step->session;
    size_t bytes = pb_sync_part_size(part);
    session->syncing = false;
    session->pushed += part->entries_count;
    step->effects->tally.pushed += (uint32_t)part->entries_count;
    part->more = session->pushed < session->head;
    if (part->entries_count > 0)
        flight_add(session, session->pushed, bytes, 0);
    struct pb_frame frame = {.req = step->event->ticket.req, .body_case = PB_FRAME_BODY_SYNC_PART};
    frame.body.sync_part = *part;
    step_send(step, &frame);
}

/* What earlier rounds gathered, with room for more. */
static bool sync_gathered(struct step *step, struct slice *held, struct pb_sync_part *part)
{
    uint32_t bytes;
    struct slice gathered;
    struct pb_push *all = ARENA_ARRAY(step->arena, struct pb_push, SYNC_ENTRIES_MAX);
    if (all == NULL || !take_u32be(held, &bytes) || !take_bytes(held, bytes, &gathered) ||
        pb_sync_part_decode(gathered, step->arena, part) != STATUS_OK)
        return false;
    if (part->entries_count > 0)
        memcpy(all, part->entries, part->entries_count * sizeof *all);
    part->entries = all;
    part->from_useq = step->event->ticket.a - 1;
    return true;
}

void sync_on_rows(struct step *step)
{
    struct session *session = step->session;
    struct ticket ticket = step->event->ticket;
    struct pb_sync_part part = {.from_useq = ticket.a - 1};
    size_t count = ticket.round == 0 ? dense_count(step, ticket.a) : 0;
    if (count > 0) {
        bodies_read(step, ticket, rows_hold(step, SLICE_EMPTY, count));
        return;
    }
    struct slice held = step->event->held;
    struct pb_entry entry;
    size_t body = 0;
    bool full = false, missing = false;
    if (ticket.round == 0 || !sync_gathered(step, &held, &part)) {
        sync_finish(step, &part);
        return;
    }
    size_t bytes = pb_sync_part_size(&part);
    for (size_t i = 0; i < BODIES_MAX && held.bytes > 0 && !full; i++) {
        struct slice before = held;
        missing = !entry_next(step, &held, &body, &entry);
        if (missing)
            break;
        entry_show_to(&entry, &session->user);
        bytes += pb_entry_size(&entry) + 24;
        full = part.entries_count > 0 && bytes > step->config->window_bytes;
        if (full) {
            held = before;
            break;
        }
        uint64_t useq = ticket.a + part.entries_count;
        part.entries[part.entries_count++] = (struct pb_push){.useq = useq,
                                                              .prev_useq = useq - 1,
                                                              .log_epoch = session->log_epoch,
                                                              .has_entry = true,
                                                              .entry = entry};
    }
    if (full || missing || held.bytes == 0) {
        sync_finish(step, &part);
        return;
    }
    struct slice gathered = pb_sync_part_pack(&part, step->arena);
    struct buf again = buf_in(step->arena, 4 + gathered.bytes + held.bytes);
    buf_u32be(&again, (uint32_t)gathered.bytes);
    buf_put(&again, gathered);
    buf_put(&again, held);
    bodies_read(step, ticket, buf_slice(&again));
}

/* ---- ACK, PING ---- */

/* Entries, and the age of the one that was sampled (one at a time, pushed as it came). */
static void acked_count(struct step *step, uint64_t useq)
{
    struct session *session = step->session;
    struct tally *tally = &step->effects->tally;
    uint64_t now_ms = step->event->now_ms;
    tally->acked += (uint32_t)(useq - session->acked);
    if (session->sampled == 0 || useq < session->sampled)
        return;
    tally->aged = true;
    tally->age_ms = now_ms > session->sampled_ms ? (uint32_t)(now_ms - session->sampled_ms) : 0;
    session->sampled = 0;
}

void ack_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    const struct pb_ack *ack = &frame->body.ack;
    if (ack->useq > session->pushed) { /* a cursor from the future */
        step_offence(step, frame->req);
        return;
    }
    session->lazy = ack->lazy;
    session->said = ack->useq > session->said ? ack->useq : session->said;
    session->acked_d = ack->dseq > session->acked_d ? ack->dseq : session->acked_d;
    if (ack->useq > session->acked) {
        acked_count(step, ack->useq);
        flights_ack(session, ack->useq);
    }
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ACKED};
    rpc.body.acked = (struct pb_acked){.user_id = ID_SLICE(session->user),
                                       .device_id = ID_SLICE(session->device),
                                       .conn = session->conn,
                                       .useq = ack->useq,
                                       .dseq = ack->dseq,
                                       .lazy = ack->lazy};
    step_rpc(step, &rpc);
}

static bool token_due(struct step *step, uint64_t *last_ms)
{
    if (*last_ms != 0 && step->event->mono_ms < *last_ms + TOKEN_MS)
        return false;
    *last_ms = step->event->mono_ms;
    return true;
}

static void token_fill(struct step *step, const struct witness_claim *claim,
                       struct pb_witness *witness, uint8_t mac[WITNESS_MAC_BYTES])
{
    witness_sign(&step->config->witness, &step->session->user, claim, mac);
    *witness = (struct pb_witness){.log_epoch = claim->log_epoch,
                                   .useq = claim->useq,
                                   .partition = claim->partition,
                                   .offset = claim->offset,
                                   .is_log = claim->is_log,
                                   .mac = slice_make(mac, WITNESS_MAC_BYTES)};
}

bool witness_of_log(struct step *step, struct pb_witness *witness, uint8_t mac[16])
{
    const struct event *event = step->event;
    if (!token_due(step, &step->session->log_token_ms))
        return false;
    const struct witness_claim claim = {event->log_epoch, true, 0, event->partition, event->offset};
    token_fill(step, &claim, witness, mac);
    return true;
}

/* A PING is also the moment to look whether a DELIVER was lost on its way. */
void ping_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    uint8_t mac[WITNESS_MAC_BYTES];
    struct pb_frame answer = {.req = frame->req, .body_case = PB_FRAME_BODY_PONG};
    struct pb_pong *pong = &answer.body.pong;
    *pong = (struct pb_pong){.t = frame->body.ping.t, .now_ms = step->event->now_ms};
    bool live = session->state == SESSION_LIVE;
    if (live && token_due(step, &session->inbox_token_ms)) {
        const struct witness_claim claim = {session->log_epoch, false, session->head, 0, 0};
        token_fill(step, &claim, &pong->witness, mac);
        pong->has_witness = true;
    }
    step_send(step, &answer);
    if (!live || session->head_reading)
        return;
    session->head_reading = true;
    struct row_key key = key_one(TABLE_USER_HEAD, session->user.at, 0);
    step_read_keys(step, &key, 1, step_ticket(OP_HEAD, 0), SLICE_EMPTY);
}

void head_on_rows(struct step *step)
{
    struct pb_user_head head;
    step->session->head_reading = false;
    if (step_row_message(step, step_row(step, 0, 0), &pb_user_head_type, &head) &&
        head.useq > step->session->head)
        step->session->head = head.useq;
}
