/* SPDX-License-Identifier: Apache-2.0
 * One step: restore → connect → (enrol) → HELLO → tail or snapshot → synced.
 *
 *   IDLE ─retry→ CONNECTING ─connected→ GREETING ─WELCOME→ HELLO ─READY→ READY
 *     ↑              │                      └─no device yet→ ENROLLING ─list accepted→ HELLO
 *     └── lost, refused, GOAWAY ────────────────────────────────────────────────┘
 * READY is syncing at first, then synced. Transitions: sync.c; ENROLLING: account.c. */
#include "client/client.h"

#include <string.h>

#include "base/assert.h"
#include "client/mind.h"
#include "ports/crypto.h"

#define STEP_BYTES_MAX ((size_t)32 << 20)

enum status client_init(struct client *client, size_t bytes_max)
{
    memset(client, 0, sizeof *client);
    arena_init(&client->boot, bytes_max);
    arena_init(&client->blob[0], bytes_max);
    arena_init(&client->blob[1], bytes_max);
    arena_init(&client->step, bytes_max < STEP_BYTES_MAX ? bytes_max : STEP_BYTES_MAX);
    client->e2ee = e2ee_open(&client->boot);
    client->next_req = 1;
    return client->e2ee ? STATUS_OK : STATUS_BUSY;
}

void client_deinit(struct client *client)
{
    arena_deinit(&client->boot);
    arena_deinit(&client->blob[0]);
    arena_deinit(&client->blob[1]);
    arena_deinit(&client->step);
}

void mind_random(struct client *client, uint8_t *out, size_t bytes)
{
    while (bytes > 0) {
        uint8_t block[SHA256_BYTES];
        client->random_count++;
        struct slice parts[] = {SLICE_OF(client->entropy), SLICE_OF(client->random_count)};
        crypto_sha256(parts, 2, block);
        size_t part = bytes < sizeof block ? bytes : sizeof block;
        memcpy(out, block, part);
        out += part;
        bytes -= part;
    }
}

uint64_t mind_jitter(struct client *client, uint64_t bound_ms)
{
    uint64_t value;
    mind_random(client, (uint8_t *)&value, sizeof value);
    return bound_ms ? value % bound_ms : 0;
}

void mind_hash(struct slice bytes, uint8_t out[32])
{
    crypto_sha256(&bytes, 1, out);
}

struct slice mind_keep(struct client *client, struct slice bytes)
{
    struct slice kept = arena_copy(&client->blob[client->blob_now], bytes);
    client->exhausted |= client->blob[client->blob_now].exhausted;
    return kept;
}

/* Room for one more item in a growing array of the step. */
static void *grown(struct client *client, void *items, size_t count, size_t *capacity,
                   size_t bytes_each)
{
    if (count < *capacity)
        return items;
    size_t wanted = *capacity ? *capacity * 2 : 16;
    void *more = arena_array(&client->step, wanted, bytes_each);
    if (!more) {
        client->exhausted = true;
        return NULL;
    }
    if (count)
        memcpy(more, items, count * bytes_each);
    *capacity = wanted;
    return more;
}

void mind_store(struct client *client, enum pb_store_op_kind kind, enum pb_table table,
                struct slice key, struct slice value)
{
    struct pb_host_effects *out = client->out;
    struct pb_store_op *ops =
        grown(client, out->store, out->store_count, &client->store_capacity, sizeof *ops);
    struct slice own_key = arena_copy(&client->step, key);
    if (!ops || client->step.exhausted)
        return;
    out->store = ops;
    ops[out->store_count++] =
        (struct pb_store_op){.kind = kind, .table = table, .key = own_key, .value = value};
}

struct pb_notice *mind_notice(struct client *client, enum pb_notice_body body)
{
    static struct pb_notice *const none = NULL;
    struct pb_host_effects *out = client->out;
    struct pb_notice *notices =
        grown(client, out->notices, out->notices_count, &client->notice_capacity, sizeof *notices);
    if (!notices) { /* the step fails as a whole; the caller still needs somewhere to write */
        client->exhausted = true;
        return none;
    }
    out->notices = notices;
    struct pb_notice *notice = &notices[out->notices_count++];
    memset(notice, 0, sizeof *notice);
    notice->body_case = body;
    return notice;
}

void mind_send(struct client *client, struct pb_frame *frame)
{
    struct pb_host_effects *out = client->out;
    struct slice *frames =
        grown(client, out->frames, out->frames_count, &client->frame_capacity, sizeof *frames);
    struct slice bytes = pb_frame_pack(frame, &client->step);
    if (!frames || client->step.exhausted)
        return;
    out->frames = frames;
    frames[out->frames_count++] = bytes;
}

bool mind_request(struct client *client, struct pb_frame *frame, const uint8_t id[ID_BYTES],
                  uint64_t n, uint32_t command)
{
    if (client->phase < CLIENT_PHASE_GREETING || client->request_count == CLIENT_REQUESTS_MAX)
        return false;
    struct client_request *request = &client->requests[client->request_count++];
    memset(request, 0, sizeof *request);
    request->req = frame->req = client->next_req++;
    request->kind = (uint32_t)frame->body_case;
    request->command = command;
    request->n = n;
    if (id)
        memcpy(request->id, id, ID_BYTES);
    mind_send(client, frame);
    return true;
}

void mind_forget(struct client *client, enum pb_frame_body kind, const uint8_t id[ID_BYTES])
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < client->request_count; i++) {
        const struct client_request *request = &client->requests[i];
        if (request->kind != (uint32_t)kind || memcmp(request->id, id, ID_BYTES) != 0)
            client->requests[kept++] = *request;
    }
    client->request_count = kept;
}

struct pb_notice_result *mind_result_of(struct client *client, uint32_t command)
{
    struct pb_notice *notice = command ? mind_notice(client, PB_NOTICE_BODY_RESULT) : NULL;
    if (!notice)
        return NULL;
    notice->body.result.request = command;
    return &notice->body.result;
}

void mind_result(struct client *client, uint32_t command, enum pb_error_code error,
                 struct slice detail)
{
    struct pb_notice_result *result = mind_result_of(client, command);
    if (!result)
        return;
    result->error = (uint32_t)error;
    result->detail = arena_copy(&client->step, detail);
}

void mind_wake(struct client *client, uint64_t mono_ms)
{
    if (client->out->wake_mono_ms == 0 || mono_ms < client->out->wake_mono_ms)
        client->out->wake_mono_ms = mono_ms ? mono_ms : 1;
}

void mind_close(struct client *client)
{
    client->out->close = true;
    sync_lost(client);
}

/* Take the request that this answer names; false: none (an answer of an older connection, or a
 * lie). */
static bool request_take(struct client *client, uint32_t req, struct client_request *out)
{
    for (uint32_t i = 0; i < client->request_count; i++) {
        if (client->requests[i].req != req)
            continue;
        *out = client->requests[i];
        client->requests[i] = client->requests[--client->request_count];
        return true;
    }
    memset(out, 0, sizeof *out);
    return false;
}

static void on_error(struct client *client, const struct client_request *request,
                     const struct pb_error *error)
{
    if (error->code == PB_ERROR_CODE_VERSION) {
        client->state = PB_CLIENT_STATE_UPDATE_NEEDED;
        client->stopped = true;
        mind_close(client);
        return;
    }
    client->read_only = error->code == PB_ERROR_CODE_READ_ONLY;
    switch (request->kind) {
    case PB_FRAME_BODY_SEND:
    case PB_FRAME_BODY_CHAT_CREATE: outbox_error(client, request, error); break;
    case PB_FRAME_BODY_LOOKUP:
    case PB_FRAME_BODY_DEVLIST_GET:
        if (client->phase == CLIENT_PHASE_ENROLLING)
            account_error(client, request, error);
        else
            contacts_refused(client, request, error);
        break;
    case PB_FRAME_BODY_SYNC:
        client->syncing = false;
        client->need_repair = true;
        client->load_at = client->mono_ms + error->retry_ms + 500 + mind_jitter(client, 1000);
        break;
    case PB_FRAME_BODY_SNAPSHOT:
        mind_close(client); /* and try again, with back-off */
        break;
    case PB_FRAME_BODY_HISTORY:
        client->loading = false;
        client->load_at = client->mono_ms + error->retry_ms + 500 + mind_jitter(client, 1000);
        break;
    case PB_FRAME_BODY_DELIVERED: /* the wish stays: sync_settle_arm */ break;
    default: account_error(client, request, error); break;
    }
}

static void on_answer(struct client *client, const struct pb_frame *frame,
                      struct client_request *request)
{
    struct client_chat *chat = client_chat_find(client, request->id);
    /* Cast: most of a frame's bodies are no answers; naming them all would hide those that are. */
    switch ((uint32_t)frame->body_case) {
    case PB_FRAME_BODY_OK:
        if (request->kind == PB_FRAME_BODY_DELIVERED && chat) {
            if (chat->delivered_wish && chat->delivered_wish <= request->n) {
                chat->delivered_wish = 0;
                chat->dirty = true;
            }
        } else {
            account_ok(client, request, &frame->body.ok);
        }
        break;
    case PB_FRAME_BODY_GRANTED: account_granted(client, &frame->body.granted); break;
    case PB_FRAME_BODY_VAULT_ANSWER: account_vault(client, &frame->body.vault_answer); break;
    case PB_FRAME_BODY_DEVLIST_ANSWER:
        if (client->phase == CLIENT_PHASE_ENROLLING)
            account_lists(client, &frame->body.devlist_answer);
        else if (client_user_find(client, request->id))
            contacts_lists(client, client_user_find(client, request->id),
                           &frame->body.devlist_answer);
        break;
    case PB_FRAME_BODY_LOOKUP_ANSWER:
        contacts_lookup(client, request, &frame->body.lookup_answer);
        break;
    case PB_FRAME_BODY_INVITE_ANSWER: {
        struct pb_notice_result *result = mind_result_of(client, request->command);
        if (result)
            result->text = arena_copy(&client->step, frame->body.invite_answer.secret);
        break;
    }
    case PB_FRAME_BODY_MARKS_ANSWER:
        marks_answer(client, &frame->body.marks_answer, request->command);
        break;
    default: break;
    }
}

/* HELLO was refused. A conn that is not the highest, twice in a day: this profile has a copy. */
static void on_hello_error(struct client *client, const struct pb_error *error)
{
    if (error->code == PB_ERROR_CODE_CONFLICT && error->ver >= client->conn &&
        error->ver <= NUMBER_MAX) {
        bool twice = client->regressed_ms && client->now_ms - client->regressed_ms < 86400000;
        client->conn = error->ver; /* the next HELLO goes above it */
        client->regressed_ms = client->now_ms;
        client->meta_dirty = true;
        if (twice) {
            client->state = PB_CLIENT_STATE_CLONED;
            client->stopped = true;
        }
    } else if (error->code == PB_ERROR_CODE_AUTH && client->attempts > 0) {
        sync_doubt(client, CLIENT_DOUBT_DEVICE, SLICE_EMPTY);
    }
    mind_close(client);
}

/* EXCEPTION: one switch over what a server may say; cut up, the list could not be read as one. */
static void on_frame(struct client *client, struct slice bytes)
{
    struct pb_frame frame;
    struct client_request request;
    if (client->phase < CLIENT_PHASE_GREETING)
        return;                               /* of a connection that is given up */
    bytes = arena_copy(&client->step, bytes); /* notices may name parts of it after the step */
    if (pb_frame_decode(bytes, &client->step, &frame) != STATUS_OK) {
        mind_close(client);
        return;
    }
    client->dead_at = client->mono_ms + 75000;
    bool session = client->phase == CLIENT_PHASE_READY;
    switch ((uint32_t)frame.body_case) {
    case PB_FRAME_BODY_WELCOME: sync_welcome(client, &frame.body.welcome); return;
    case PB_FRAME_BODY_GOAWAY: sync_goaway(client, &frame.body.goaway); return;
    case PB_FRAME_BODY_PUSH:
        if (session)
            sync_push(client, &frame.body.push);
        return;
    case PB_FRAME_BODY_PONG:
        if (frame.body.pong.has_witness) {
            client->useq_witness =
                mind_keep(client, pb_witness_pack(&frame.body.pong.witness, &client->step));
            client->meta_dirty = true;
        }
        return;
    case PB_FRAME_BODY_SYNC_PART:
        (void)request_take(client, frame.req, &request);
        if (session)
            sync_part(client, &frame.body.sync_part);
        return;
    case PB_FRAME_BODY_SNAPSHOT_PAGE:
        (void)request_take(client, frame.req, &request);
        if (session)
            sync_snapshot_page(client, &frame.body.snapshot_page);
        return;
    case PB_FRAME_BODY_SENT: /* it names its message: also one whose request was given up */
        (void)request_take(client, frame.req, &request);
        if (session)
            outbox_sent(client, &frame.body.sent);
        return;
    case PB_FRAME_BODY_PUSH_D:
        client->dseq = frame.body.push_d.dseq;
        client->meta_dirty = true;
        return;
    default: break;
    }
    if (!request_take(client, frame.req, &request))
        return;
    switch ((uint32_t)frame.body_case) {
    case PB_FRAME_BODY_READY: sync_ready(client, &frame.body.ready); break;
    case PB_FRAME_BODY_HISTORY_PAGE: timeline_page(client, &frame.body.history_page); break;
    case PB_FRAME_BODY_ERROR:
        if (request.kind == PB_FRAME_BODY_HELLO)
            on_hello_error(client, &frame.body.error);
        else
            on_error(client, &request, &frame.body.error);
        break;
    default: on_answer(client, &frame, &request); break;
    }
}

/* What a client that was not told to stop is about. */
static enum pb_client_state state_of(const struct client *client)
{
    return !client->enrolled && !client->enrol_wanted ? PB_CLIENT_STATE_NEW
           : client->phase == CLIENT_PHASE_IDLE       ? PB_CLIENT_STATE_OFFLINE
           : client->phase != CLIENT_PHASE_READY      ? PB_CLIENT_STATE_CONNECTING
           : client->synced                           ? PB_CLIENT_STATE_SYNCED
                                                      : PB_CLIENT_STATE_SYNCING;
}

static void tell_state(struct client *client)
{
    struct pb_notice *notice;
    if (!client->stopped)
        client->state = state_of(client);
    bool doubts = client->doubt && client->doubt != client->told_doubt;
    client->told_doubt = client->doubt;
    if ((client->state == client->told_state && client->read_only == client->told_read_only &&
         !doubts) ||
        !(notice = mind_notice(client, PB_NOTICE_BODY_STATE)))
        return;
    notice->body.state.state = client->told_state = client->state;
    notice->body.state.read_only = client->told_read_only = client->read_only;
    notice->body.state.detail = doubts ? client->doubt_text : SLICE_EMPTY;
}

static void on_restore(struct client *client, const struct pb_event_restore *restore)
{
    for (size_t i = 0; i < restore->rows_count; i++)
        rows_restore(client, &restore->rows[i]);
    if (restore->last) {
        client->restored = true;
        client->retry_at = client->mono_ms;
    }
}

enum status client_step(struct client *client, const struct pb_host_event *event,
                        struct pb_host_effects *out)
{
    memset(out, 0, sizeof *out);
    if (client->exhausted)
        return STATUS_BUSY;
    bool is_restore = event->body_case == PB_HOST_EVENT_BODY_RESTORE;
    if (client->restored == is_restore || event->entropy.bytes != 32)
        return STATUS_INVALID;
    arena_reset(&client->step);
    client->out = out;
    client->store_capacity = client->frame_capacity = client->notice_capacity = 0;
    client->now_ms = event->now_ms;
    client->mono_ms = event->mono_ms;
    client->random_count = 0;
    memcpy(client->entropy, event->entropy.at, 32);
    switch (event->body_case) {
    case PB_HOST_EVENT_BODY_RESTORE: on_restore(client, &event->body.restore); break;
    case PB_HOST_EVENT_BODY_CONNECTED: sync_connected(client); break;
    case PB_HOST_EVENT_BODY_DISCONNECTED: sync_lost(client); break;
    case PB_HOST_EVENT_BODY_FRAME: on_frame(client, event->body.frame.bytes); break;
    case PB_HOST_EVENT_BODY_TIMER: break;
    case PB_HOST_EVENT_BODY_COMMAND: account_command(client, &event->body.command); break;
    case PB_HOST_EVENT_BODY_NONE:
    default: return STATUS_INVALID;
    }
    if (client->restored) {
        sync_timer(client);
        sync_finish(client);
        tell_state(client);
        rows_store_dirty(client);
        rows_compact(client);
    }
    client->exhausted |= client->step.exhausted;
    client->out = NULL;
    if (client->exhausted) {
        memset(out, 0, sizeof *out);
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

static void chat_check(const struct client_chat *chat)
{
    for (uint32_t i = 0; i < chat->span_count; i++) {
        assert(chat->spans[i].from >= 1 && chat->spans[i].from <= chat->spans[i].to);
        assert(i == 0 || chat->spans[i].from > chat->spans[i - 1].to + 1);
    }
    assert(chat->read_by_all <= chat->delivered_by_all || chat->delivered_by_all == 0);
}

static void entry_check(const struct client *client, uint32_t index)
{
    const struct client_entry *entry = &client->outbox[index];
    assert(entry->sctr >= 1 && entry->sctr < entry->chat->next_sctr);
    for (uint32_t i = 0; i < index; i++)
        assert(client->outbox[i].chat != entry->chat || client->outbox[i].sctr != entry->sctr);
}

void client_check(const struct client *client)
{
    assert(client->outbox_count <= CLIENT_OUTBOX_MAX && client->chat_count <= CLIENT_CHATS_MAX);
    for (uint32_t i = 0; i < client->chat_count; i++)
        chat_check(client->chats[i]);
    for (uint32_t i = 0; i < client->outbox_count; i++)
        entry_check(client, i);
}

struct client_chat *client_chat_find(const struct client *client, const uint8_t id[ID_BYTES])
{
    for (uint32_t i = 0; i < client->chat_count; i++)
        if (memcmp(client->chats[i]->id, id, ID_BYTES) == 0)
            return client->chats[i];
    return NULL;
}

struct client_user *client_user_find(const struct client *client, const uint8_t id[ID_BYTES])
{
    for (uint32_t i = 0; i < client->user_count; i++)
        if (memcmp(client->users[i]->id, id, ID_BYTES) == 0)
            return client->users[i];
    return NULL;
}

struct client_user *client_user_named(const struct client *client, struct slice username)
{
    for (uint32_t i = 0; i < client->user_count; i++)
        if (slice_equal(client->users[i]->username, username))
            return client->users[i];
    return NULL;
}

const struct client_entry *client_entry_find(const struct client *client,
                                             const uint8_t mid[ID_BYTES])
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (memcmp(client->outbox[i].mid, mid, ID_BYTES) == 0)
            return &client->outbox[i];
    return NULL;
}

bool client_is_lazy(const struct client *client)
{
    for (uint32_t i = 0; i < client->chat_count; i++)
        if (client->chats[i]->load_upto)
            return true;
    return false;
}
