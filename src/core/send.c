/* SPDX-License-Identifier: Apache-2.0
 * SEND, CHAT_CREATE, READ, DELIVERED: what a session appends to the log of a chat.
 * R1 (storage §2.4): a session acknowledges its sends of a chat in their order. After an append
 * that is not known to have happened, all later ones of that chat are answered RETRY until the
 * client starts again, and those submitted before that start are never acknowledged. */
#include <string.h>

#include "base/assert.h"
#include "core/command.h"
#include "core/witness.h"
#include "ports/crypto.h"
#include "wire/envelope.h"

/* Numbers that a device may have been told and the chat's head in the store does not show yet: the
 * lag at which new sends are refused. */
#define BEHIND_MAX 100000u

static struct session_stalled *stalled_find(struct session *session, const uint8_t *chat)
{
    for (size_t i = 0; i < SESSION_STALLED; i++)
        if (memcmp(session->stalled[i].chat, chat, sizeof session->stalled[i].chat) == 0)
            return &session->stalled[i];
    return NULL;
}

void send_stall(struct step *step, struct slice chat)
{
    static const uint8_t nobody[8] = {0};
    struct session *session = step->session;
    assert(chat.bytes == ID_BYTES); /* frame.proto: exact_bytes, required */
    struct session_stalled *stalled = stalled_find(session, chat.at);
    if (stalled == NULL)
        stalled = stalled_find(session, nobody);
    if (stalled == NULL) { /* a fresh connection is in step with every chat */
        step_close(step, 1013, "too many chats out of step");
        return;
    }
    memcpy(stalled->chat, chat.at, sizeof stalled->chat);
    stalled->retry = true;
}

/* Places whose chat has started again are free once nothing submitted before is under way. */
static void stalled_sweep(struct session *session)
{
    if (session->sends_in_flight != 0)
        return;
    for (size_t i = 0; i < SESSION_STALLED; i++)
        if (!session->stalled[i].retry)
            memset(&session->stalled[i], 0, sizeof session->stalled[i]);
}

void send_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    const struct pb_send *asked = &frame->body.send;
    struct envelope envelope;
    bool valid = envelope_read(asked->envelope, &envelope) == STATUS_OK &&
                 slice_equal(asked->chat_id, SLICE_OF(envelope.header.chat)) &&
                 slice_equal(ID_SLICE(session->device), SLICE_OF(envelope.header.device)) &&
                 envelope.header.sctr == asked->sctr && asked->sctr > 0; /* 0: a transient one */
    if (!valid) {
        step_offence(step, frame->req);
        return;
    }
    if (session->creating && memcmp(session->creating_chat, asked->chat_id.at, 8) == 0) {
        /* it would overtake the chat's creation */
        step_error_retry(step, frame->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        send_stall(step, asked->chat_id);
        return;
    }
    struct session_stalled *stalled = stalled_find(session, asked->chat_id.at);
    if (stalled != NULL && asked->start) {
        stalled->retry = false;
        stalled->seq = session->send_seq + 1;
    } else if (stalled != NULL && stalled->retry) {
        step_error(step, frame->req, PB_ERROR_CODE_RETRY);
        return;
    }
    struct pb_record record = {.body_case = PB_RECORD_BODY_ENTRY};
    record.body.entry = (struct pb_chat_entry){.user_id = ID_SLICE(session->user),
                                               .mid = asked->mid,
                                               .expire_s = asked->expire_s,
                                               .envelope = asked->envelope};
    struct ticket ticket = step_ticket(PB_FRAME_BODY_SEND, frame->req);
    ticket.seq = ++session->send_seq;
    memcpy(ticket.id, asked->mid.at, ID_BYTES);
    memcpy(&ticket.a, asked->chat_id.at, sizeof ticket.a);
    session->sends_in_flight++;
    step_submit(step, TOPIC_OF_CHATS, asked->chat_id.at, &record, ticket);
}

/* A gateway that stood still may answer for a device that was signed out meanwhile: until its new
 * owner has spoken, what became of the message is not known (I18). */
static void answer_sent(struct step *step)
{
    const struct ticket *ticket = &step->event->ticket;
    if (step->session->unsure) {
        step_error(step, ticket->req, PB_ERROR_CODE_RETRY);
        return;
    }
    uint8_t mac[WITNESS_MAC_BYTES];
    struct pb_frame frame = {.req = ticket->req, .body_case = PB_FRAME_BODY_SENT};
    frame.body.sent.mid = slice_make(ticket->id, ID_BYTES);
    frame.body.sent.has_witness = witness_of_log(step, &frame.body.sent.witness, mac);
    step_send(step, &frame);
}

static void answer_append_error(struct step *step)
{
    uint32_t req = step->event->ticket.req;
    enum status status = step->event->status;
    if (status == STATUS_BUSY)
        step_error_retry(step, req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
    else
        step_error(step, req,
                   status == STATUS_TOO_LARGE ? PB_ERROR_CODE_STORAGE_FULL : PB_ERROR_CODE_RETRY);
}

void send_on_appended(struct step *step)
{
    struct session *session = step->session;
    const struct ticket *ticket = &step->event->ticket;
    uint8_t chat[ID_BYTES] = {0};
    memcpy(chat, &ticket->a, sizeof ticket->a);
    session->sends_in_flight -= session->sends_in_flight > 0;
    const struct session_stalled *stalled = stalled_find(session, chat);
    bool late = stalled != NULL && (stalled->retry || ticket->seq < stalled->seq);
    if (late)
        step_error(step, ticket->req, PB_ERROR_CODE_RETRY);
    else if (step->event->status == STATUS_OK) {
        step->effects->tally.sent++;
        answer_sent(step);
    } else {
        answer_append_error(step);
        send_stall(step, SLICE_OF(chat));
    }
    stalled_sweep(session);
}

/* ---- CHAT_CREATE: the owners of the leaves are looked up here, the fold decides the rest ---- */

void chat_create_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    const struct pb_chat_create *asked = &frame->body.chat_create;
    if (asked->leaves_count == 0 || asked->policy.bytes == 0) {
        step_offence(step, frame->req);
        return;
    }
    struct row_key *keys = ARENA_ARRAY(step->arena, struct row_key, asked->leaves_count);
    if (session->creating || keys == NULL) { /* one at a time */
        step_error_retry(step, frame->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        return;
    }
    for (size_t i = 0; i < asked->leaves_count; i++)
        keys[i] = key_one(TABLE_DIR, asked->leaves[i].at, DIR_DEVICE);
    session->creating = true;
    memcpy(session->creating_chat, asked->chat_id.at, sizeof session->creating_chat);
    step_read_keys(step, keys, asked->leaves_count,
                   step_ticket(PB_FRAME_BODY_CHAT_CREATE, frame->req), step->event->bytes);
}

static bool direct_chat_of(const struct pb_chat_create *asked, const user_id *self,
                           struct slice other)
{
    uint8_t text[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
    direct_chat_input(self->at, other.at, text);
    const struct slice part = SLICE_OF(text);
    crypto_sha256(&part, 1, hash);
    return slice_equal(asked->chat_id, slice_make(hash, ID_BYTES));
}

/* Each leaf is a listed device of the asker or of one other user, and the chat is theirs. */
static bool take_leaf_users(struct step *step, const struct pb_chat_create *asked,
                            struct slice *users)
{
    struct slice self = ID_SLICE(step->session->user), other = self;
    bool has_other = false;
    for (size_t i = 0; i < asked->leaves_count; i++) {
        struct pb_device_row row;
        if (!step_row_message(step, step_row(step, 0, i), &pb_device_row_type, &row) ||
            row.removed_n != 0)
            return false;
        users[i] = row.user_id;
        if (slice_equal(row.user_id, self))
            continue;
        if (has_other && !slice_equal(row.user_id, other))
            return false;
        other = row.user_id;
        has_other = true;
    }
    return direct_chat_of(asked, &step->session->user, other);
}

void chat_create_on_rows(struct step *step)
{
    struct session *session = step->session;
    struct pb_frame frame;
    session->creating = false;
    if (!step_held_frame(step, &frame))
        return;
    const struct pb_chat_create *asked = &frame.body.chat_create;
    struct slice *users = ARENA_ARRAY(step->arena, struct slice, asked->leaves_count);
    if (users == NULL || !take_leaf_users(step, asked, users)) {
        step_error(step, frame.req, PB_ERROR_CODE_DENIED);
        return;
    }
    struct pb_record record = {.body_case = PB_RECORD_BODY_CREATE};
    record.body.create = (struct pb_create){.user_id = ID_SLICE(session->user),
                                            .device_id = ID_SLICE(session->device),
                                            .mid = asked->mid,
                                            .gen = asked->gen,
                                            .mls_epoch = asked->mls_epoch,
                                            .policy = asked->policy,
                                            .leaves = asked->leaves,
                                            .leaves_count = asked->leaves_count,
                                            .leaf_users = users,
                                            .leaf_users_count = asked->leaves_count};
    struct ticket ticket = step_ticket(PB_FRAME_BODY_CHAT_CREATE, frame.req);
    memcpy(ticket.id, asked->mid.at, ID_BYTES);
    step_submit(step, TOPIC_OF_CHATS, asked->chat_id.at, &record, ticket);
}

void chat_create_on_appended(struct step *step)
{
    if (step->event->status == STATUS_OK)
        answer_sent(step);
    else
        answer_append_error(step);
}

/* ---- READ: RECEIPT, then, when it is durable, OWN. DELIVERED: RECEIPT, then ok ---- */

static void mark_ask(struct step *step, uint8_t op, const struct pb_frame *frame, struct slice chat)
{
    const struct row_key keys[] = {key_one(TABLE_CHAT_HEAD, chat.at, 0),
                                   key_two(TABLE_MEMBER, chat.at, step->session->user.at)};
    step_read_keys(step, keys, 2, step_ticket(op, frame->req), step->event->bytes);
}

void read_on_frame(struct step *step, const struct pb_frame *frame)
{
    mark_ask(step, PB_FRAME_BODY_READ, frame, frame->body.read.chat_id);
}

void delivered_on_frame(struct step *step, const struct pb_frame *frame)
{
    mark_ask(step, PB_FRAME_BODY_DELIVERED, frame, frame->body.delivered.chat_id);
}

void mark_on_rows(struct step *step)
{
    struct pb_frame frame;
    struct pb_chat_head head;
    struct pb_member_row member;
    if (!step_held_frame(step, &frame))
        return;
    bool read = frame.body_case == PB_FRAME_BODY_READ;
    struct slice chat = read ? frame.body.read.chat_id : frame.body.delivered.chat_id;
    uint64_t upto = read ? frame.body.read.upto : frame.body.delivered.upto;
    bool entitled = step_row_message(step, step_row(step, 0, 0), &pb_chat_head_type, &head) &&
                    step_row_message(step, step_row(step, 0, 1), &pb_member_row_type, &member) &&
                    membership_active(membership_at(&member, head.cseq));
    if (!entitled) {
        step_error(step, frame.req, PB_ERROR_CODE_DENIED);
        return;
    }
    if (upto > head.cseq + BEHIND_MAX) { /* the fold cuts it to what is there by then */
        step_offence(step, frame.req);
        return;
    }
    struct pb_record record = {.body_case = PB_RECORD_BODY_RECEIPT};
    record.body.receipt = (struct pb_receipt){.user_id = ID_SLICE(step->session->user),
                                              .delivered_upto = upto,
                                              .read_upto = read ? upto : 0};
    struct ticket ticket = step_ticket(step->event->ticket.op, frame.req);
    memcpy(ticket.id, chat.at, ID_BYTES);
    ticket.a = upto;
    step_submit(step, TOPIC_OF_CHATS, chat.at, &record, ticket);
}

void mark_on_appended(struct step *step)
{
    struct ticket ticket = step->event->ticket;
    if (step->event->status != STATUS_OK) {
        answer_append_error(step);
        return;
    }
    if (ticket.op == PB_FRAME_BODY_DELIVERED) {
        step_ok(step, ticket.req, 0);
        return;
    }
    if (ticket.round == 1)
        return; /* the OWN entry itself tells all devices */
    struct pb_record record = {.body_case = PB_RECORD_BODY_OWN};
    record.body.own =
        (struct pb_own){.chat_id = slice_make(ticket.id, ID_BYTES), .read_upto = ticket.a};
    ticket.round = 1;
    step_submit(step, TOPIC_OF_USERS, step->session->user.at, &record, ticket);
}
