/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/assert.h"
#include "client/mind.h"
#include "wire/devlist.h"

#define BACKOFF_MIN_MS 1000u
#define BACKOFF_MAX_MS 120000u
#define CONNECT_MS     20000u
#define SILENCE_MS     75000u
#define SETTLE_MS      10000u
#define SETTLE_MAX_MS  240000u
#define NO_REPAIR      UINT64_MAX
/* NoticeState.detail: two names, and the words around them */
#define DOUBT_BYTES_MAX  200u
#define DOUBT_NAME_BYTES 32u

static void forget_connection(struct client *client)
{
    /* A name is looked up again; of the rest nobody knows whether it was done. */
    for (uint32_t i = 0; i < client->request_count; i++)
        if (client->requests[i].kind != PB_FRAME_BODY_LOOKUP)
            mind_result(client, client->requests[i].command, PB_ERROR_CODE_RETRY,
                        SLICE_LITERAL("the connection broke"));
    client->phase = CLIENT_PHASE_IDLE;
    client->synced = client->syncing = client->snapshotting = client->loading = false;
    client->deferred = client->need_repair = false;
    client->request_count = 0;
    client->next_req = 1;
    client->failed_repairs = 0;
    client->repair_useq = NO_REPAIR;
    client->load_at = client->fetch_at = 0;
    for (uint32_t i = 0; i < client->chat_count; i++)
        client->chats[i]->create_sent = false;
    for (uint32_t i = 0; i < client->user_count; i++) {
        struct client_user *user = client->users[i];
        user->fetching = user->fetched = false;
        memset(user->ask, 0, ID_BYTES);
        memset(user->answered, 0, ID_BYTES);
    }
    for (uint32_t i = 0; i < CLIENT_WAITING_MAX; i++)
        client->waiting[i].asked = client->waiting[i].found = false;
    client->enrol = CLIENT_ENROL_NONE;
}

/* Full jitter between 0 and the bound, which doubles with each attempt. */
void sync_connect_later(struct client *client)
{
    uint64_t bound = BACKOFF_MIN_MS;
    for (uint32_t i = 0; i < client->attempts && bound < BACKOFF_MAX_MS; i++)
        bound *= 2;
    if (bound > BACKOFF_MAX_MS)
        bound = BACKOFF_MAX_MS;
    client->attempts++;
    client->retry_at = client->mono_ms + 1 + mind_jitter(client, bound);
}

void sync_lost(struct client *client)
{
    if (client->phase == CLIENT_PHASE_IDLE)
        return;
    forget_connection(client);
    sync_connect_later(client);
}

void sync_connected(struct client *client)
{
    if (client->phase != CLIENT_PHASE_CONNECTING) {
        client->out->close = true; /* nobody asked for it */
        return;
    }
    client->phase = CLIENT_PHASE_GREETING;
    client->dead_at = client->mono_ms + CONNECT_MS;
}

static void connect_now(struct client *client)
{
    static const char digits[] = "0123456789abcdef";
    client->phase = CLIENT_PHASE_CONNECTING;
    client->dead_at = client->mono_ms + CONNECT_MS;
    client->out->connect = true;
    client->out->route = SLICE_LITERAL("new");
    if (id_is_zero(client->user) || !client->enrolled)
        return;
    uint8_t input[16 + ID_BYTES] = "parley/route/v1", hash[32];
    uint8_t *route = arena_alloc(&client->step, 16);
    memcpy(input + 16, client->user, ID_BYTES);
    mind_hash(slice_make(input, sizeof input), hash);
    for (int i = 0; route && i < 8; i++) {
        route[2 * i] = (uint8_t)digits[hash[i] >> 4];
        route[2 * i + 1] = (uint8_t)digits[hash[i] & 15];
    }
    if (route)
        client->out->route = slice_make(route, 16);
}

static void ping(struct client *client)
{
    struct pb_frame frame = {.req = client->next_req++, .body_case = PB_FRAME_BODY_PING};
    frame.body.ping.t = client->mono_ms;
    mind_send(client, &frame);
    client->ping_at = client->mono_ms + 20000 + mind_jitter(client, 10000);
}

/* 10 s, 20 s, 40 s … 4 min, and up to a quarter more, so that devices do not come all at once. */
static uint64_t settle_wait(struct client *client)
{
    uint64_t bound = SETTLE_MS;
    for (uint32_t i = 0; i < client->settle_tries && bound < SETTLE_MAX_MS; i++)
        bound *= 2;
    if (bound > SETTLE_MAX_MS)
        bound = SETTLE_MAX_MS;
    return bound + mind_jitter(client, bound / 4);
}

void sync_settle_soon(struct client *client)
{
    client->settle_tries = 0;
    client->settle_at = client->mono_ms + settle_wait(client);
    mind_wake(client, client->settle_at);
}

void sync_settle_arm(struct client *client)
{
    if (!client->settle_at)
        sync_settle_soon(client);
}

void sync_progress(struct client *client)
{
    if (client->settle_at && client->settle_tries)
        sync_settle_soon(client);
}

/* What was acknowledged and is not seen some time after the cursor reached the head is sent again,
 * and so is a mark that did not come true: its append may have failed. */
static void settle_check(struct client *client)
{
    bool waits = false;
    if (!client->settle_at || !client->synced)
        return;
    if (client->mono_ms < client->settle_at) {
        mind_wake(client, client->settle_at);
        return;
    }
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].state == PB_OUTBOX_STATE_SENT ||
            (client->outbox[i].filler && !client->outbox[i].parked)) {
            outbox_resend(client->outbox[i].chat, client->mono_ms);
            waits = true;
        }
    for (uint32_t i = 0; i < client->chat_count; i++)
        waits |= marks_send(client, client->chats[i]);
    client->settle_tries = waits ? client->settle_tries + 1 : 0;
    client->settle_at = waits ? client->mono_ms + settle_wait(client) : 0;
    if (waits)
        mind_wake(client, client->settle_at);
}

void sync_timer(struct client *client)
{
    if (client->stopped)
        return;
    if (client->phase == CLIENT_PHASE_IDLE) {
        if ((!client->enrolled && !client->enrol_wanted) || client->server.bytes == 0)
            return;
        if (client->mono_ms >= client->retry_at && !client->out->close)
            connect_now(client);
        else
            mind_wake(client, client->retry_at);
        if (client->phase == CLIENT_PHASE_IDLE)
            return;
    }
    if (client->mono_ms >= client->dead_at) {
        mind_close(client);
        mind_wake(client, client->retry_at);
        return;
    }
    mind_wake(client, client->dead_at);
    if (client->phase != CLIENT_PHASE_READY)
        return;
    if (client->mono_ms >= client->ping_at)
        ping(client);
    mind_wake(client, client->ping_at);
    settle_check(client);
}

/* A name that a stranger said, for a terminal: its beginning, in plain letters. */
static void put_name(struct buf *out, struct slice name)
{
    buf_text(out, "\"");
    for (size_t i = 0; i < name.bytes && i < DOUBT_NAME_BYTES; i++)
        buf_u8(out, name.at[i] > ' ' && name.at[i] <= '~' ? name.at[i] : '?');
    buf_text(out, name.bytes > DOUBT_NAME_BYTES ? "...\"" : "\"");
}

void sync_doubt(struct client *client, enum client_doubt doubt, struct slice name)
{
    struct buf out = buf_in(&client->step, DOUBT_BYTES_MAX);
    client->doubt = doubt;
    switch (doubt) {
    case CLIENT_DOUBT_SERVER:
        buf_text(&out, "this server is ");
        put_name(&out, name);
        buf_text(&out, ", not ");
        put_name(&out, client->server_name);
        buf_text(&out, ": it was told nothing; give it its old name back, or sign in to it with a "
                       "new profile");
        break;
    case CLIENT_DOUBT_ACCOUNT:
        buf_text(&out, "the server takes this device for another account's: it was told nothing; "
                       "sign in anew with a new profile");
        break;
    case CLIENT_DOUBT_DEVICE:
        buf_text(&out, "the server does not know this device: was its data lost, or is it another "
                       "one? If it stays so, sign in anew with a new profile");
        break;
    case CLIENT_DOUBT_NONE:
    default: break;
    }
    assert(!out.overflow || client->step.exhausted);
    client->doubt_text = buf_slice(&out);
}

void sync_welcome(struct client *client, const struct pb_welcome *welcome)
{
    if (client->phase != CLIENT_PHASE_GREETING || welcome->nonce.bytes != 32)
        return;
    if (welcome->proto_min > 1 || welcome->proto_max < 1) {
        client->state = PB_CLIENT_STATE_UPDATE_NEEDED;
        client->stopped = true;
        mind_close(client);
        return;
    }
    if (client->server_name.bytes == 0) {
        client->server_name = mind_keep(client, welcome->server_name);
        client->meta_dirty = true;
    } else if (!slice_equal(client->server_name, welcome->server_name)) {
        sync_doubt(client, CLIENT_DOUBT_SERVER, welcome->server_name);
        mind_close(client); /* another server than the pinned one: it gets no signature */
        return;
    }
    memcpy(client->nonce, welcome->nonce.at, 32);
    if (client->enrolled)
        sync_hello(client);
    else
        account_enrol(client);
}

void sync_hello(struct client *client)
{
    struct pb_witness witness[2];
    uint8_t message[DEVLIST_SESSION_MESSAGE_BYTES_MAX];
    uint8_t *sig = arena_alloc(&client->step, E2EE_SIG_BYTES);
    struct buf buf = buf_over(message, sizeof message);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_HELLO};
    struct pb_hello *hello = &frame.body.hello;
    client->conn++; /* stored in this very batch, before the frame leaves */
    client->meta_dirty = true;
    devlist_session_message(client->server_name, slice_make(client->nonce, 32), client->device,
                            client->conn, &buf);
    if (!sig || e2ee_sign(client->e2ee, E2EE_SIGN_SESSION, buf_slice(&buf), sig) != E2EE_OK) {
        mind_close(client);
        return;
    }
    *hello = (struct pb_hello){.device_id = slice_make(client->device, ID_BYTES),
                               .conn = client->conn,
                               .log_epoch = client->log_epoch,
                               .useq = client->useq,
                               .dseq = client->dseq,
                               .lazy = client_is_lazy(client),
                               .client = SLICE_LITERAL("parley 0.1"),
                               .sig = slice_make(sig, E2EE_SIG_BYTES),
                               .witness = witness};
    const struct slice kept[2] = {client->useq_witness, client->log_witness};
    for (int i = 0; i < 2; i++)
        if (kept[i].bytes &&
            pb_witness_decode(kept[i], &client->step, &witness[hello->witness_count]) == STATUS_OK)
            hello->witness_count++;
    client->acked_useq = client->useq;
    client->phase = CLIENT_PHASE_HELLO;
    client->dead_at = client->mono_ms + CONNECT_MS;
    (void)mind_request(client, &frame, NULL, 0, 0);
}

void sync_ready(struct client *client, const struct pb_ready *ready)
{
    if (client->phase != CLIENT_PHASE_HELLO)
        return;
    if (memcmp(ready->user_id.at, client->user, ID_BYTES) != 0) {
        sync_doubt(client, CLIENT_DOUBT_ACCOUNT, SLICE_EMPTY);
        mind_close(client);
        return;
    }
    client->phase = CLIENT_PHASE_READY;
    client->doubt = CLIENT_DOUBT_NONE;
    client->ready_useq = ready->useq;
    client->ready_epoch = ready->log_epoch;
    client->ping_at = client->mono_ms + 20000 + mind_jitter(client, 10000);
    client->dead_at = client->mono_ms + SILENCE_MS;
    client->repair_useq = NO_REPAIR;
    if (client->log_epoch == 0) {
        client->log_epoch = ready->log_epoch;
        client->meta_dirty = true;
    }
    contacts_want(client, client->user, ready->dl_n);
    account_put_again(client, ready->dl_n);
    for (uint32_t i = 0; i < client->user_count; i++)
        if (client->users[i]->wanted_n > client->users[i]->dl_n)
            contacts_fetch(client, client->users[i]);
    if (ready->resume == PB_RESUME_KIND_SNAPSHOT || ready->log_epoch != client->log_epoch)
        sync_snapshot(client);
}

/* false: it waits for a device list. */
static bool apply_entry(struct client *client, const struct pb_entry *entry)
{
    switch (entry->body_case) {
    case PB_ENTRY_BODY_MESSAGE: return timeline_message(client, &entry->body.message);
    case PB_ENTRY_BODY_COMMIT: timeline_commit(client, &entry->body.commit); break;
    case PB_ENTRY_BODY_MEMBER: timeline_member(client, &entry->body.member); break;
    case PB_ENTRY_BODY_RECEIPT: marks_receipt(client, &entry->body.receipt); break;
    case PB_ENTRY_BODY_REJECTED: outbox_rejected(client, &entry->body.rejected); break;
    case PB_ENTRY_BODY_REPEAT: outbox_repeat(client, &entry->body.repeat); break;
    case PB_ENTRY_BODY_OWN: marks_own(client, &entry->body.own); break;
    case PB_ENTRY_BODY_ACCOUNT:
        if (entry->body.account.dl_n)
            contacts_want(client, client->user, entry->body.account.dl_n);
        break;
    case PB_ENTRY_BODY_NONE:
    default: break; /* of a newer version: nothing to do with it, the cursor moves on */
    }
    return true;
}

/* Apply the entry that follows the cursor; false if it could not be. */
static bool take(struct client *client, const struct pb_push *push)
{
    if (!apply_entry(client, &push->entry)) {
        client->deferred = client->need_repair = true;
        return false;
    }
    client->useq = push->useq;
    client->meta_dirty = true;
    client->failed_repairs = 0;
    client->repair_useq = NO_REPAIR;
    return true;
}

void sync_push(struct client *client, const struct pb_push *push)
{
    if (client->snapshotting || client->deferred)
        return;
    if (push->log_epoch != client->log_epoch) {
        sync_snapshot(client);
        return;
    }
    /* SYNC said where this device is: the answer goes on from there. To take, and acknowledge, what
     * was on its way before would be to acknowledge more than the server has begun to send. */
    if (client->syncing || push->useq <= client->useq)
        return;
    if (push->prev_useq == client->useq)
        (void)take(client, push);
    else if (!client->need_repair) /* else it is planned: the server asked to wait */
        sync_repair(client);
}

void sync_repair(struct client *client)
{
    if (client->syncing || client->snapshotting || client->phase != CLIENT_PHASE_READY)
        return;
    if (client->repair_useq == client->useq && ++client->failed_repairs >= 2) {
        sync_snapshot(client);
        return;
    }
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_SYNC};
    frame.body.sync.from_useq = client->repair_useq = client->useq;
    client->syncing = mind_request(client, &frame, NULL, 0, 0);
}

void sync_part(struct client *client, const struct pb_sync_part *part)
{
    bool whole = true;
    if (!client->syncing)
        return;
    if (part->snapshot) {
        client->syncing = false;
        sync_snapshot(client);
        return;
    }
    for (size_t i = 0; i < part->entries_count && !client->deferred; i++) {
        const struct pb_push *push = &part->entries[i];
        if (push->useq <= client->useq)
            continue;
        if (push->prev_useq != client->useq ||
            (push->log_epoch && push->log_epoch != client->log_epoch)) {
            whole = false;
            break;
        }
        if (!take(client, push))
            break;
    }
    client->syncing = false; /* one answer a SYNC; with `more` the server goes on by pushing */
    if (!whole)
        sync_repair(client); /* counts as a failed one */
}

void sync_snapshot(struct client *client)
{
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_SNAPSHOT};
    client->snapshotting = true;
    client->syncing = client->deferred = client->need_repair = false;
    client->synced = false;
    client->failed_repairs = 0;
    if (!mind_request(client, &frame, NULL, 0, 0))
        mind_close(client);
}

void sync_snapshot_page(struct client *client, const struct pb_snapshot_page *page)
{
    if (!client->snapshotting)
        return;
    if (page->page == 0) {
        client->snapshot_useq = page->useq;
        client->regressed = client->ready_epoch != client->log_epoch || page->useq < client->useq;
        for (uint32_t i = 0; i < client->chat_count; i++)
            client->chats[i]->listed = false;
    }
    for (size_t i = 0; i < page->chats_count; i++)
        timeline_snapshot_chat(client, &page->chats[i]);
    if (page->more) {
        struct pb_frame frame = {.body_case = PB_FRAME_BODY_SNAPSHOT};
        frame.body.snapshot = (struct pb_snapshot){
            .page = page->page + 1, .after_chat = page->after_chat, .useq = client->snapshot_useq};
        if (!mind_request(client, &frame, NULL, 0, 0))
            mind_close(client);
        return;
    }
    client->snapshotting = false;
    if (client->regressed)
        journal_unlisted(client);
    client->regressed = false;
    /* Also when it is lower: nothing was taken since SNAPSHOT was asked for, so the server lost
     * what lies above, and its next entries bear those numbers. */
    client->useq = client->snapshot_useq;
    client->log_epoch = client->ready_epoch;
    if (client->ready_useq > client->useq)
        client->ready_useq = client->useq;
    client->meta_dirty = true;
    client->repair_useq = NO_REPAIR;
}

void sync_goaway(struct client *client, const struct pb_goaway *goaway)
{
    switch (goaway->reason) {
    case PB_GOAWAY_REASON_SIGNED_OUT:
        client->out->wipe = client->stopped = true;
        client->state = PB_CLIENT_STATE_SIGNED_OUT;
        break;
    case PB_GOAWAY_REASON_FENCED:
        client->stopped = true;
        client->state = PB_CLIENT_STATE_FENCED;
        break;
    case PB_GOAWAY_REASON_SUSPENDED:
        client->stopped = true;
        client->state = PB_CLIENT_STATE_SUSPENDED;
        break;
    case PB_GOAWAY_REASON_VERSION:
        client->stopped = true;
        client->state = PB_CLIENT_STATE_UPDATE_NEEDED;
        break;
    case PB_GOAWAY_REASON_DRAIN:
    case PB_GOAWAY_REASON_TOO_SLOW:
    case PB_GOAWAY_REASON_UNSPECIFIED:
    default: break;
    }
    mind_close(client);
    if (goaway->retry_ms)
        client->retry_at = client->mono_ms + 1 + mind_jitter(client, goaway->retry_ms);
}

static void now_synced(struct client *client)
{
    client->synced = true;
    client->attempts = 0;
    sync_settle_soon(client);
    for (uint32_t i = 0; i < client->chat_count; i++) {
        outbox_unpark(client, client->chats[i]);
        outbox_resend(client->chats[i], client->mono_ms);
        (void)marks_send(client, client->chats[i]);
    }
}

static void acknowledge(struct client *client)
{
    if (client->acked_useq == client->useq)
        return;
    struct pb_frame frame = {.req = client->next_req++, .body_case = PB_FRAME_BODY_ACK};
    frame.body.ack =
        (struct pb_ack){.useq = client->useq, .dseq = client->dseq, .lazy = client_is_lazy(client)};
    mind_send(client, &frame);
    client->acked_useq = client->useq;
}

void sync_finish(struct client *client)
{
    if (client->phase != CLIENT_PHASE_READY)
        return;
    bool waits = client->load_at > client->mono_ms;
    if (client->need_repair && waits)
        mind_wake(client, client->load_at);
    if (client->need_repair && !client->deferred && !client->syncing && !waits) {
        client->need_repair = false;
        client->repair_useq = NO_REPAIR; /* not a failure: it waited for a device list */
        sync_repair(client);
    }
    if (!client->snapshotting)
        acknowledge(client);
    if (!client->synced && !client->snapshotting && client->useq >= client->ready_useq)
        now_synced(client);
    contacts_go_on(client);
    account_remove_go_on(client);
    timeline_load(client);
    outbox_pump(client);
}
