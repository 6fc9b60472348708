/* SPDX-License-Identifier: Apache-2.0
 * REGISTER, LOGIN, HELLO, INVITE, PASSWORD_SET: how a connection becomes somebody (protocol §3).
 * The grant is this connection's state GRANTED; its 32 bytes are told for the client's journal
 * only.
 * PASSWORD_SET verifies the old password itself, which is as fresh a proof as a LOGIN. */
#include <string.h>

#include "base/assert.h"
#include "base/base64.h"
#include "core/command.h"
#include "core/password_rule.h"
#include "core/username.h"
#include "core/witness.h"
#include "ports/crypto.h"
#include "wire/devlist.h"

#define INVITE_USES_MAX 100u
#define INVITE_DAYS_MAX 30u
#define INVITE_DAYS     7u
#define DAY_MS          86400000u
#define ATTACH_RETRY_MS 2000u
#define SECRET_BYTES    16u

/* In the seq of a LOGIN's ticket, and of a PASSWORD_SET's. */
enum { LOGIN_SUSPENDED = 1, LOGIN_RESET = 2 };

static bool busy_signing_in(struct step *step, uint32_t req)
{
    if (!step->session->signing_in)
        return false;
    step_error_retry(step, req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
    step_rate_back(step, step->event->bytes);
    return true;
}

static void grant(struct step *step, uint32_t req, uint64_t dl_n, uint64_t vault_ver)
{
    struct session *session = step->session;
    session->state = SESSION_GRANTED;
    session->signing_in = false;
    session->enrolled = false;
    session->deadline_ms = step->event->mono_ms + step->config->granted_ms;
    struct pb_frame frame = {.req = req, .body_case = PB_FRAME_BODY_GRANTED};
    frame.body.granted = (struct pb_granted){.user_id = ID_SLICE(session->user),
                                             .grant = slice_make(step->event->entropy, 32),
                                             .dl_n = dl_n,
                                             .vault_ver = vault_ver};
    step_send(step, &frame);
}

/* ---- REGISTER ---- */

void register_on_frame(struct step *step, const struct pb_frame *frame)
{
    const struct pb_register *asked = &frame->body.register_;
    enum sign_up_policy policy = step->config->sign_up;
    if (busy_signing_in(step, frame->req))
        return;
    if (policy == POLICY_CLOSED)
        step_error(step, frame->req, PB_ERROR_CODE_SIGN_UP_CLOSED);
    else if (policy == POLICY_INVITE && asked->invite.bytes == 0)
        step_error(step, frame->req, PB_ERROR_CODE_INVITE_USED);
    else if (!username_valid(asked->username))
        step_error(step, frame->req, PB_ERROR_CODE_NAME_INVALID);
    else if (!password_strong(asked->password))
        step_error(step, frame->req, PB_ERROR_CODE_PASSWORD_WEAK);
    else {
        step->session->signing_in = true;
        step_hash(step, asked->password, step_ticket(PB_FRAME_BODY_REGISTER, frame->req),
                  step->event->bytes);
        return;
    }
    step_rate_back(step, step->event->bytes); /* no invite was tried */
}

void register_on_hashed(struct step *step)
{
    struct session *session = step->session;
    struct pb_frame frame;
    if (!step_held_frame(step, &frame) || !step_wait(step, frame.req, PB_FRAME_BODY_REGISTER)) {
        session->signing_in = false;
        step_rate_back(step, step->event->held);
        return;
    }
    const struct pb_register *asked = &frame.body.register_;
    memcpy(session->user.at, step->event->entropy, ID_BYTES);
    session->invited = asked->invite.bytes > 0;
    uint8_t invite_hash[SHA256_BYTES];
    crypto_sha256(&asked->invite, 1, invite_hash);
    struct pb_account account = {.body_case = PB_ACCOUNT_BODY_REGISTER};
    account.body.register_ = (struct pb_account_register){
        .username = asked->username,
        .password_hash = step->event->bytes,
        .invite_hash = asked->invite.bytes > 0 ? SLICE_OF(invite_hash) : SLICE_EMPTY,
        .now_ms = step->event->now_ms};
    step_submit_account(step, &account, frame.req, PB_FRAME_BODY_REGISTER);
}

/* Its frame is gone by now; what it took is known without it. */
static void invite_was_right(struct step *step)
{
    static const uint8_t nothing_named[ID_BYTES];
    if (step->session->invited)
        step_rate_give(step, RATE_INVITE_GUESS, nothing_named);
}

void register_on_outcome(struct step *step, const struct pb_outcome *outcome)
{
    struct session *session = step->session;
    if (session->state != SESSION_WELCOMED)
        return;
    session->signing_in = false;
    if (outcome->error != PB_ERROR_CODE_INVITE_USED)
        invite_was_right(step);
    if (outcome->code == PB_OUTCOME_CODE_OK)
        grant(step, outcome->req, 0, 0);
    else {
        memset(&session->user, 0, sizeof session->user);
        account_on_outcome(step, outcome);
    }
}

/* Is `password` the secret of a reset that the operator made (parleyctl users reset-link)? It is as
 * long as a key, so its hash needs no salt and no time. */
static bool reset_opens(const struct step *step, const struct pb_user_row *user,
                        struct slice password)
{
    uint8_t hash[SHA256_BYTES];
    if (user->reset_hash.bytes != SHA256_BYTES || step->event->now_ms >= user->reset_until_ms)
        return false;
    crypto_sha256(&password, 1, hash);
    return slice_equal(user->reset_hash, SLICE_OF(hash));
}

/* ---- LOGIN: name → user → password; every road ends after one hash, with one answer ---- */

void login_on_frame(struct step *step, const struct pb_frame *frame)
{
    if (busy_signing_in(step, frame->req))
        return;
    struct row_key key = {.table = TABLE_DIR, .n = DIR_NAME};
    username_key(frame->body.login.username, key.a);
    step->session->signing_in = true;
    step_read_keys(step, &key, 1, step_ticket(PB_FRAME_BODY_LOGIN, frame->req), step->event->bytes);
}

void login_on_rows(struct step *step)
{
    struct pb_frame frame;
    struct ticket ticket = step->event->ticket;
    if (!step_held_frame(step, &frame))
        return;
    if (ticket.round == 0) {
        struct pb_name_row name = {0};
        if (step_row_message(step, step_row(step, 0, 0), &pb_name_row_type, &name))
            (void)id_take(ticket.id, name.user_id);
        const struct row_key keys[] = {key_one(TABLE_DIR, ticket.id, DIR_USER),
                                       key_one(TABLE_USER_HEAD, ticket.id, 0)};
        ticket.round = 1;
        step_read_keys(step, keys, 2, ticket, step->event->held);
        return;
    }
    struct pb_user_row user = {0};
    struct pb_user_head head = {0};
    bool known = step_row_message(step, step_row(step, 0, 0), &pb_user_row_type, &user) &&
                 slice_equal(user.username, frame.body.login.username) && !user.closed;
    (void)step_row_message(step, step_row(step, 0, 1), &pb_user_head_type, &head);
    ticket.a = head.dl_n;
    ticket.b = head.vault_ver;
    ticket.seq = (known && user.suspended ? LOGIN_SUSPENDED : 0) |
                 (known && reset_opens(step, &user, frame.body.login.password) ? LOGIN_RESET : 0);
    step_verify(step, frame.body.login.password, known ? user.password_hash : SLICE_EMPTY, ticket,
                step->event->held);
}

void login_on_hashed(struct step *step)
{
    struct session *session = step->session;
    const struct ticket *ticket = &step->event->ticket;
    session->signing_in = false;
    if (session->state != SESSION_WELCOMED)
        return;
    bool right = step->event->match || (ticket->seq & LOGIN_RESET) != 0;
    if (!right || id_is_zero(ticket->id)) {
        step_note(step, NOTE_PASSWORD_WRONG);
        step_error(step, ticket->req, PB_ERROR_CODE_AUTH);
        return;
    }
    step_rate_back(step, step->event->held);
    if (ticket->seq & LOGIN_SUSPENDED) { /* said to nobody who does not know the password */
        step_note(step, NOTE_SUSPENDED);
        step_error(step, ticket->req, PB_ERROR_CODE_SUSPENDED);
        return;
    }
    step_note(step, NOTE_PASSWORD_RIGHT);
    memcpy(session->user.at, ticket->id, ID_BYTES);
    grant(step, ticket->req, ticket->a, ticket->b);
}

/* ---- HELLO ---- */

void hello_on_frame(struct step *step, const struct pb_frame *frame)
{
    if (busy_signing_in(step, frame->req))
        return;
    uint8_t device[ID_BYTES];
    (void)id_take(device, frame->body.hello.device_id);
    struct row_key key = key_one(TABLE_DIR, device, DIR_DEVICE);
    step->session->signing_in = true;
    step_read_keys(step, &key, 1, step_ticket(PB_FRAME_BODY_HELLO, frame->req), step->event->bytes);
}

static bool hello_signed(struct step *step, const struct pb_hello *hello, struct slice sigpub)
{
    uint8_t space[DEVLIST_SESSION_MESSAGE_BYTES_MAX];
    struct buf text = buf_over(space, sizeof space);
    devlist_session_message(slice_text(step->config->server_name), SLICE_OF(step->session->nonce),
                            hello->device_id.at, hello->conn, &text);
    assert(!text.overflow); /* its size is that of the longest name */
    /* row.proto and frame.proto: exact_bytes, required */
    assert(sigpub.bytes == ED25519_PUBLIC_BYTES && hello->sig.bytes == ED25519_SIGNATURE_BYTES);
    return crypto_ed25519_verify(sigpub.at, buf_slice(&text), hello->sig.at);
}

/* What valid tokens prove about this server's logs; others' and forged ones prove nothing. */
static void take_witnesses(struct step *step, const struct pb_hello *hello)
{
    struct session *session = step->session;
    session->proven_useq = session->proven_offset = 0;
    for (size_t i = 0; i < hello->witness_count; i++) {
        const struct pb_witness *shown = &hello->witness[i];
        struct witness_claim claim = {shown->log_epoch, shown->is_log, shown->useq,
                                      shown->partition, shown->offset};
        if (shown->log_epoch != step->config->log_epoch || shown->mac.bytes != WITNESS_MAC_BYTES ||
            !witness_valid(&step->config->witness, &session->user, &claim, shown->mac.at))
            continue;
        if (claim.is_log)
            session->proven_offset = claim.offset + 1;
        else
            session->proven_useq = claim.useq;
    }
}

void hello_attach(struct step *step, bool again)
{
    const struct session *session = step->session;
    struct pb_rpc rpc = {.body_case = PB_RPC_BODY_ATTACH};
    rpc.body.attach = (struct pb_attach){.user_id = ID_SLICE(session->user),
                                         .device_id = ID_SLICE(session->device),
                                         .conn = session->conn,
                                         .gateway = step->config->gateway,
                                         .shard = step->config->shard,
                                         .session = session->handle,
                                         .useq = session->said,
                                         .dseq = session->acked_d,
                                         .lazy = session->lazy,
                                         .log_epoch = session->log_epoch,
                                         .again = again,
                                         .proven_useq = session->proven_useq,
                                         .proven_offset = session->proven_offset};
    step_rpc(step, &rpc);
}

void hello_on_rows(struct step *step)
{
    struct session *session = step->session;
    struct pb_frame frame;
    struct pb_device_row row = {0};
    session->signing_in = false;
    if (!step_held_frame(step, &frame))
        return;
    const struct pb_hello *hello = &frame.body.hello;
    bool known = step_row_message(step, step_row(step, 0, 0), &pb_device_row_type, &row) &&
                 hello_signed(step, hello, row.sigpub);
    bool own =
        session->state != SESSION_GRANTED || slice_equal(row.user_id, ID_SLICE(session->user));
    if (!known || !own) {
        step_note(step, NOTE_KEY_WRONG);
        step_error(step, frame.req, PB_ERROR_CODE_AUTH);
        return;
    }
    if (row.removed_n != 0 || row.suspended) {
        step_goaway(
            step, row.removed_n != 0 ? PB_GOAWAY_REASON_SIGNED_OUT : PB_GOAWAY_REASON_SUSPENDED, 0);
        return;
    }
    (void)id_take(session->user.at, row.user_id);
    (void)id_take(session->device.at, hello->device_id);
    take_witnesses(step, hello);
    session->state = SESSION_ATTACHING;
    session->conn = hello->conn;
    session->hello_req = frame.req;
    session->log_epoch = hello->log_epoch;
    session->acked = session->said = hello->useq;
    session->acked_d = hello->dseq;
    session->lazy = hello->lazy;
    session->tail_retry_ms = step->event->mono_ms + ATTACH_RETRY_MS;
    hello_attach(step, false);
}

/* Can the device go on from its cursor, or must it start from the present state? */
static bool resume_by_snapshot(struct step *step, const struct pb_attached *attached)
{
    const struct session *session = step->session;
    bool same_log = session->log_epoch == attached->log_epoch;
    uint64_t cursor = session->acked;
    if (same_log && session->proven_useq > attached->useq)
        step_alarm(step, ALARM_ROLLBACK, session->proven_useq, attached->useq);
    else if (same_log && cursor > attached->useq)
        step_alarm(step, ALARM_CLAIM, cursor, attached->useq);
    return !same_log || cursor > attached->useq || cursor < attached->floor ||
           attached->useq - cursor > step->config->tail_max;
}

static void attached_again(struct step *step, const struct pb_attached *attached)
{
    struct session *session = step->session;
    if (attached->log_epoch != session->log_epoch) {
        step_goaway(step, PB_GOAWAY_REASON_DRAIN, 0); /* other numbers now: HELLO decides anew */
        return;
    }
    session->head = attached->useq > session->head ? attached->useq : session->head;
    session->floor = attached->floor;
    session->read_only = attached->read_only;
}

void hello_on_attached(struct step *step, const struct pb_attached *attached)
{
    struct session *session = step->session;
    session->unsure = false;
    if (attached->signed_out || attached->suspended) {
        step_goaway(step,
                    attached->suspended ? PB_GOAWAY_REASON_SUSPENDED : PB_GOAWAY_REASON_SIGNED_OUT,
                    0);
        return;
    }
    if (attached->refused && session->state == SESSION_LIVE) {
        if (attached->last_conn > session->conn)
            step_goaway(step, PB_GOAWAY_REASON_FENCED, 0);
        return;
    }
    if (session->state == SESSION_LIVE) {
        attached_again(step, attached);
        return;
    }
    /* the device raises its number and says HELLO again, within the deadline */
    if (attached->refused) {
        session->state = SESSION_WELCOMED;
        session->tail_retry_ms = 0;
        step_conflict(step, session->hello_req, PB_ERROR_CODE_CONFLICT, attached->last_conn);
        return;
    }
    bool snapshot = resume_by_snapshot(step, attached);
    step_note(step, NOTE_SIGNED_IN);
    session->state = SESSION_LIVE;
    session->deadline_ms = session->tail_retry_ms = 0;
    session->log_epoch = attached->log_epoch;
    session->head = attached->useq;
    session->floor = attached->floor;
    session->read_only = attached->read_only;
    session->snapshot = snapshot;
    memset(session->nonce, 0, sizeof session->nonce);
    bool usable = !snapshot || session->acked <= session->head;
    delivery_reset(session, usable ? session->acked : 0);
    struct pb_frame frame = {.req = session->hello_req, .body_case = PB_FRAME_BODY_READY};
    frame.body.ready =
        (struct pb_ready){.user_id = ID_SLICE(session->user),
                          .useq = attached->useq,
                          .dseq = attached->dseq,
                          .log_epoch = attached->log_epoch,
                          .settings_ver = attached->settings_ver,
                          .contacts_ver = attached->contacts_ver,
                          .dl_n = attached->dl_n,
                          .resume = snapshot ? PB_RESUME_KIND_SNAPSHOT : PB_RESUME_KIND_TAIL};
    step_send(step, &frame);
}

/* ---- INVITE: only the hash of the secret is stored; the secret waits in the session ---- */

void invite_on_frame(struct step *step, const struct pb_frame *frame)
{
    const struct pb_invite *asked = &frame->body.invite;
    if (asked->uses > INVITE_USES_MAX || asked->days > INVITE_DAYS_MAX) {
        step_offence(step, frame->req);
        return;
    }
    struct row_key key = key_one(TABLE_DIR, step->session->user.at, DIR_USER);
    step_read_keys(step, &key, 1, step_ticket(PB_FRAME_BODY_INVITE, frame->req),
                   step->event->bytes);
}

static struct slice secret_text(const struct session *session, struct arena *arena)
{
    struct buf text = buf_in(arena, base64url_text_bytes(SECRET_BYTES));
    base64url_write(&text, slice_make(session->nonce, SECRET_BYTES));
    return buf_slice(&text);
}

void invite_on_rows(struct step *step)
{
    struct session *session = step->session;
    struct pb_frame frame;
    struct pb_user_row user = {0};
    if (!step_held_frame(step, &frame))
        return;
    bool owner =
        step_row_message(step, step_row(step, 0, 0), &pb_user_row_type, &user) && user.owner;
    if (!owner && !(step->config->members_invite && step->config->sign_up != POLICY_CLOSED)) {
        step_error(step, frame.req, PB_ERROR_CODE_DENIED);
        return;
    }
    for (size_t i = 0; i < SESSION_WAITING; i++)
        if (session->waiting[i].op == PB_FRAME_BODY_INVITE) { /* one secret at a time */
            step_error_retry(step, frame.req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
            return;
        }
    if (!step_wait(step, frame.req, PB_FRAME_BODY_INVITE))
        return;
    uint32_t uses = frame.body.invite.uses, days = frame.body.invite.days;
    memcpy(session->nonce, step->event->entropy, SECRET_BYTES);
    session->invite_expires_ms =
        step->event->now_ms + (uint64_t)(days ? days : INVITE_DAYS) * DAY_MS;
    struct slice secret = secret_text(session, step->arena);
    uint8_t hash[SHA256_BYTES];
    crypto_sha256(&secret, 1, hash);
    struct pb_account account = {.body_case = PB_ACCOUNT_BODY_INVITE};
    account.body.invite = (struct pb_account_invite){.invite_hash = SLICE_OF(hash),
                                                     .uses = uses ? uses : 1,
                                                     .expires_ms = session->invite_expires_ms};
    step_submit_account(step, &account, frame.req, PB_FRAME_BODY_INVITE);
}

void invite_on_outcome(struct step *step, const struct pb_outcome *outcome)
{
    if (outcome->code != PB_OUTCOME_CODE_OK) {
        account_on_outcome(step, outcome);
        return;
    }
    struct pb_frame frame = {.req = outcome->req, .body_case = PB_FRAME_BODY_INVITE_ANSWER};
    frame.body.invite_answer =
        (struct pb_invite_answer){.secret = secret_text(step->session, step->arena),
                                  .expires_ms = step->session->invite_expires_ms};
    step_send(step, &frame);
}

/* ---- PASSWORD_SET: row → verify the old one → hash the new one → fold ---- */

void password_set_on_frame(struct step *step, const struct pb_frame *frame)
{
    if (!password_strong(frame->body.password_set.new_password)) {
        step_error(step, frame->req, PB_ERROR_CODE_PASSWORD_WEAK);
        return;
    }
    struct row_key key = key_one(TABLE_DIR, step->session->user.at, DIR_USER);
    step_read_keys(step, &key, 1, step_ticket(PB_FRAME_BODY_PASSWORD_SET, frame->req),
                   step->event->bytes);
}

void password_set_on_rows(struct step *step)
{
    struct pb_frame frame;
    struct pb_user_row user = {0};
    if (!step_held_frame(step, &frame))
        return;
    (void)step_row_message(step, step_row(step, 0, 0), &pb_user_row_type, &user);
    struct ticket ticket = step->event->ticket;
    ticket.seq = reset_opens(step, &user, frame.body.password_set.old_password) ? LOGIN_RESET : 0;
    step_verify(step, frame.body.password_set.old_password, user.password_hash, ticket,
                step->event->held);
}

void password_set_on_hashed(struct step *step)
{
    struct ticket ticket = step->event->ticket;
    struct pb_frame frame;
    if (!step_held_frame(step, &frame))
        return;
    if (ticket.round == 0 && !step->event->match && (ticket.seq & LOGIN_RESET) == 0) {
        step_error(step, ticket.req, PB_ERROR_CODE_AUTH);
        return;
    }
    if (ticket.round == 0) {
        ticket.round = 1;
        step_hash(step, frame.body.password_set.new_password, ticket, step->event->held);
        return;
    }
    if (!step_wait(step, ticket.req, PB_FRAME_BODY_PASSWORD_SET))
        return;
    struct pb_account account = {.body_case = PB_ACCOUNT_BODY_PASSWORD};
    account.body.password.password_hash = step->event->bytes;
    step_submit_account(step, &account, ticket.req, PB_FRAME_BODY_PASSWORD_SET);
}
