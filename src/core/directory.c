/* SPDX-License-Identifier: Apache-2.0
 * LOOKUP, DEVLIST, VAULT: what stands in the directory, and how requests that a fold decides
 * end. */
#include <string.h>

#include "core/command.h"
#include "core/username.h"

#define LISTS_MAX 100u

/* ---- requests that a fold answers ---- */

void account_on_appended(struct step *step)
{
    enum status status = step->event->status;
    uint32_t req = step->event->ticket.req;
    struct session_waiting *waiting = step_waiting(step->session, req);
    if (status == STATUS_OK || waiting == NULL)
        return; /* OUTCOME answers, or has */
    if (waiting->op == PB_FRAME_BODY_REGISTER)
        step->session->signing_in = false;
    waiting->op = 0;
    if (status == STATUS_BUSY)
        step_error_retry(step, req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
    else
        step_error(step, req,
                   status == STATUS_TOO_LARGE ? PB_ERROR_CODE_STORAGE_FULL : PB_ERROR_CODE_RETRY);
}

void account_on_outcome(struct step *step, const struct pb_outcome *outcome)
{
    if (outcome->code == PB_OUTCOME_CODE_OK)
        step_ok(step, outcome->req, outcome->ver);
    else
        step_conflict(step, outcome->req, (enum pb_error_code)outcome->error, outcome->ver);
}

/* ---- LOOKUP: the name's row is its skeleton's; only the exact name is found ---- */

void lookup_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct row_key key = {.table = TABLE_DIR, .n = DIR_NAME};
    username_key(frame->body.lookup.username, key.a);
    step_read_keys(step, &key, 1, step_ticket(PB_FRAME_BODY_LOOKUP, frame->req),
                   step->event->bytes);
}

void lookup_on_rows(struct step *step)
{
    struct ticket ticket = step->event->ticket;
    struct pb_frame asked;
    if (!step_held_frame(step, &asked))
        return;
    struct pb_name_row name = {0};
    struct pb_user_row user = {0};
    if (ticket.round == 0 &&
        step_row_message(step, step_row(step, 0, 0), &pb_name_row_type, &name)) {
        (void)id_take(ticket.id, name.user_id);
        ticket.round = 1;
        struct row_key key = key_one(TABLE_DIR, ticket.id, DIR_USER);
        step_read_keys(step, &key, 1, ticket, step->event->held);
        return;
    }
    bool found = ticket.round == 1 &&
                 step_row_message(step, step_row(step, 0, 0), &pb_user_row_type, &user) &&
                 !user.closed && slice_equal(user.username, asked.body.lookup.username);
    if (!found) {
        step_error(step, ticket.req, PB_ERROR_CODE_NOT_FOUND);
        return;
    }
    struct pb_frame frame = {.req = ticket.req, .body_case = PB_FRAME_BODY_LOOKUP_ANSWER};
    frame.body.lookup_answer =
        (struct pb_lookup_answer){.user_id = slice_make(ticket.id, ID_BYTES), .dl_n = user.dl_n};
    step_send(step, &frame);
}

/* ---- DEVLIST ---- */

/* Is a list under way whose outcome is not known yet? */
static bool enrolling(const struct session *session)
{
    bool any = false;
    for (size_t i = 0; i < SESSION_WAITING; i++)
        any = any || session->waiting[i].op == PB_FRAME_BODY_DEVLIST_PUT;
    return any;
}

void devlist_put_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct session *session = step->session;
    bool granted = session->state == SESSION_GRANTED;
    if (frame->body.devlist_put.dl.bytes == 0) {
        step_offence(step, frame->req);
        return;
    }
    if (granted && session->enrolled) { /* a grant enrols one device */
        step_error(step, frame->req, PB_ERROR_CODE_DENIED);
        return;
    }
    if (granted && enrolling(session)) {
        step_error_retry(step, frame->req, PB_ERROR_CODE_BUSY, BUSY_RETRY_MS);
        return;
    }
    if (!step_wait(step, frame->req, PB_FRAME_BODY_DEVLIST_PUT))
        return;
    struct pb_account account = {.body_case = PB_ACCOUNT_BODY_DEVICE_LIST};
    account.body.device_list = (struct pb_account_device_list){
        .dl = frame->body.devlist_put.dl,
        .session_device = granted ? SLICE_EMPTY : ID_SLICE(session->device)};
    step_submit_account(step, &account, frame->req, PB_FRAME_BODY_DEVLIST_PUT);
}

void devlist_put_on_outcome(struct step *step, const struct pb_outcome *outcome)
{
    if (outcome->code == PB_OUTCOME_CODE_OK)
        step->session->enrolled = true;
    account_on_outcome(step, outcome);
}

void devlist_get_on_frame(struct step *step, const struct pb_frame *frame)
{
    const struct pb_devlist_get *asked = &frame->body.devlist_get;
    struct ticket ticket = step_ticket(PB_FRAME_BODY_DEVLIST_GET, frame->req);
    (void)id_take(ticket.id, asked->user_id);
    if (step->session->state == SESSION_GRANTED &&
        !slice_equal(asked->user_id, ID_SLICE(step->session->user))) {
        step_error(step, frame->req, PB_ERROR_CODE_DENIED);
        return;
    }
    const struct row_key keys[] = {key_one(TABLE_DEVICE_LIST, ticket.id, asked->from_n),
                                   key_one(TABLE_DEVICE_LIST, ticket.id, UINT64_MAX)};
    const struct read read = {
        .keys = keys, .keys_count = 2, .range = true, .rows_max = LISTS_MAX + 1};
    step_read(step, &read, 1, ticket, SLICE_EMPTY);
}

void devlist_get_on_rows(struct step *step)
{
    const struct ticket *ticket = &step->event->ticket;
    struct pb_frame frame = {.req = ticket->req, .body_case = PB_FRAME_BODY_DEVLIST_ANSWER};
    struct pb_devlist_answer *answer = &frame.body.devlist_answer;
    answer->user_id = slice_make(ticket->id, ID_BYTES);
    answer->lists = ARENA_ARRAY(step->arena, struct slice, LISTS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; answer->lists != NULL; i++) {
        struct pb_device_list_row row;
        if (!step_row_message(step, step_row(step, 0, i), &pb_device_list_row_type, &row))
            break;
        answer->more = answer->lists_count == LISTS_MAX || bytes + row.dl.bytes > ANSWER_BYTES_MAX;
        if (answer->more)
            break;
        answer->lists[answer->lists_count++] = row.dl;
        bytes += row.dl.bytes;
    }
    step_send(step, &frame);
}

/* ---- VAULT ---- */

void vault_put_on_frame(struct step *step, const struct pb_frame *frame)
{
    if (!step_wait(step, frame->req, PB_FRAME_BODY_VAULT_PUT))
        return;
    struct pb_account account = {.body_case = PB_ACCOUNT_BODY_VAULT};
    account.body.vault = (struct pb_account_vault){.ver = frame->body.vault_put.ver,
                                                   .blob = frame->body.vault_put.blob};
    step_submit_account(step, &account, frame->req, PB_FRAME_BODY_VAULT_PUT);
}

void vault_get_on_frame(struct step *step, const struct pb_frame *frame)
{
    struct row_key key = key_one(TABLE_DIR, step->session->user.at, DIR_VAULT);
    step_read_keys(step, &key, 1, step_ticket(PB_FRAME_BODY_VAULT_GET, frame->req), SLICE_EMPTY);
}

void vault_get_on_rows(struct step *step)
{
    struct pb_vault_row row = {0};
    (void)step_row_message(step, step_row(step, 0, 0), &pb_vault_row_type, &row);
    struct pb_frame frame = {.req = step->event->ticket.req,
                             .body_case = PB_FRAME_BODY_VAULT_ANSWER};
    frame.body.vault_answer = (struct pb_vault_answer){.ver = row.ver, .blob = row.blob};
    step_send(step, &frame);
}
