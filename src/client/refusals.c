/* SPDX-License-Identifier: Apache-2.0
 * What becomes of a message that was sent (e2ee §6.2–6.4):
 *   its mid returns in the log     → settled; it wins over any refusal
 *   REJECTED, repairable           → OPEN, same mid and counter, at most five tries, then given up
 *   REJECTED, final, counter spent → FAILED, told to readers as `voided`
 *   REJECTED, final, counter free  → FAILED, and so is all of the chat that waits behind it
 *   given up, counter free         → FAILED for the person, a filler for the server: `void` content
 *                                    under the same mid and counter, until that is settled
 *   REPEAT                         → bound to another mid: it moves up; a filler is done */
#include <string.h>

#include "client/mind.h"

#define FINAL_FIRST PB_ERROR_CODE_NOT_MEMBER

static struct client_entry *entry_by_mid(struct client *client, struct slice mid)
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (mid.bytes == ID_BYTES && memcmp(client->outbox[i].mid, mid.at, ID_BYTES) == 0)
            return &client->outbox[i];
    return NULL;
}

static struct client_entry *entry_by_sctr(struct client *client, const struct client_chat *chat,
                                          uint64_t sctr)
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].chat == chat && client->outbox[i].sctr == sctr)
            return &client->outbox[i];
    return NULL;
}

/* Nothing unsettled of its chat comes before it. */
static bool oldest(const struct client *client, const struct client_entry *entry)
{
    for (uint32_t i = 0; i < client->outbox_count; i++)
        if (client->outbox[i].chat == entry->chat && client->outbox[i].sctr < entry->sctr)
            return false;
    return true;
}

static void entry_remove(struct client *client, struct client_entry *entry)
{
    *entry = client->outbox[--client->outbox_count];
}

/* The counter is spent without a row: the next message says so to its readers (e2ee §7). */
static void voided(struct client_chat *chat, uint64_t sctr)
{
    if (chat->voided_count == CLIENT_VOIDED_MAX) { /* readers show a gap for the oldest */
        memmove(chat->voided, chat->voided + 1, (CLIENT_VOIDED_MAX - 1) * sizeof chat->voided[0]);
        chat->voided_count--;
    }
    chat->voided[chat->voided_count++] = sctr;
    chat->dirty = true;
}

/* A filler is done: its counter is spent. The row stays, for the person to see what failed. */
void outbox_filled(struct client *client, struct client_entry *entry)
{
    entry->filler = false;
    if (entry->content.bytes)
        rows_store_entry(client, entry);
    else
        rows_delete_entry(client, entry->chat->id, entry->sctr);
    entry_remove(client, entry);
}

void outbox_fail(struct client *client, struct client_entry *entry, uint32_t reason, bool consumed)
{
    entry->state = PB_OUTBOX_STATE_FAILED;
    entry->reason = reason;
    entry->filler = entry->reseal = !consumed;
    rows_store_entry(client, entry);
    outbox_tick(client, entry, PB_TICK_FAILED, 0, reason);
    if (consumed) {
        voided(entry->chat, entry->sctr);
        entry_remove(client, entry);
    }
}

/* Everything of a chat that the server does not know this device in, yet. Its counters are free;
 * fillers for them wait until there is something to say again. */
static void fail_all(struct client *client, struct client_chat *chat, uint32_t reason)
{
    for (uint32_t i = 0; i < client->outbox_count; i++) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat != chat)
            continue;
        if (!entry->filler)
            outbox_fail(client, entry, reason, false);
        entry->parked = true;
    }
}

/* The server expects a counter that nothing here bears (an old profile, a lost row): fill up to the
 * refused one, or the chat would never go on. */
static void fill_holes(struct client *client, struct client_chat *chat, uint64_t from, uint64_t to)
{
    if (from == 0 || to - from > CLIENT_VOIDED_MAX)
        return;
    for (uint64_t sctr = from; sctr < to && client->outbox_count < CLIENT_OUTBOX_MAX; sctr++) {
        uint8_t random[10];
        struct client_entry *entry = &client->outbox[client->outbox_count];
        if (entry_by_sctr(client, chat, sctr))
            continue;
        memset(entry, 0, sizeof *entry);
        mind_random(client, random, sizeof random);
        uuid7_make(entry->mid, client->now_ms, random);
        entry->chat = chat;
        entry->sctr = sctr;
        entry->made_ms = client->now_ms;
        entry->state = PB_OUTBOX_STATE_FAILED;
        entry->filler = entry->reseal = true;
        client->outbox_count++;
        rows_store_entry(client, entry);
    }
}

void outbox_sent(struct client *client, const struct pb_sent *sent)
{
    struct client_entry *entry = entry_by_mid(client, sent->mid);
    if (sent->has_witness) {
        client->log_witness = mind_keep(client, pb_witness_pack(&sent->witness, &client->step));
        client->meta_dirty = true;
    }
    client->read_only = false; /* it takes messages again */
    if (!entry || entry->state != PB_OUTBOX_STATE_OPEN)
        return;
    entry->state = PB_OUTBOX_STATE_SENT;
    entry->sent_ms = client->now_ms;
    rows_store_entry(client, entry);
    outbox_tick(client, entry, PB_TICK_SENT, 0, 0);
    sync_settle_soon(client);
}

/* What an accepted message told of spent counters need not be told again. */
static void told(struct client_chat *chat, const struct pb_content *content)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < chat->voided_count; i++) {
        bool said = false;
        for (size_t k = 0; k < content->voided_count; k++)
            said |= content->voided[k] == chat->voided[i];
        if (!said)
            chat->voided[kept++] = chat->voided[i];
    }
    chat->dirty |= kept != chat->voided_count;
    chat->voided_count = kept;
}

void outbox_settle(struct client *client, struct client_chat *chat,
                   const struct pb_message *message, const struct pb_content *content)
{
    struct client_entry *entry = entry_by_mid(client, message->mid);
    bool is_void = content && content->body_case == PB_CONTENT_BODY_VOID_;
    if (message->sctr >= chat->next_sctr && message->sctr <= NUMBER_MAX) {
        chat->next_sctr = message->sctr + 1;
        chat->dirty = true;
    }
    if (content)
        told(chat, content);
    if (is_void) { /* the failure stays one */
        if (entry && entry->chat == chat && entry->filler)
            outbox_filled(client, entry);
    } else if (entry && entry->chat == chat) {
        sync_progress(client);
        rows_delete_entry(client, chat->id, entry->sctr);
        journal_keep(client, entry, message->cseq);
        outbox_tick(client, entry, PB_TICK_SENT, message->cseq, 0);
        entry_remove(client, entry);
    } else if (!entry_by_sctr(client, chat, message->sctr)) {
        /* a failure that was none: the log wins */
        rows_delete_entry(client, chat->id, message->sctr);
    }
}

void outbox_chat_exists(struct client *client, struct client_chat *chat)
{
    chat->created = chat->dirty = true;
    chat->create_wanted = false;
    memset(chat->create_mid, 0, ID_BYTES);
    outbox_resend(chat, client->mono_ms);
}

/* The chat was not created; what waits for it fails if the reason is final. */
static void create_rejected(struct client *client, struct client_chat *chat, uint32_t reason)
{
    if (reason == PB_ERROR_CODE_CHAT_EXISTS) {
        outbox_chat_exists(client, chat);
        return;
    }
    memset(chat->create_mid, 0, ID_BYTES); /* it may be wanted again with other leaves */
    chat->create_sent = chat->create_wanted = false;
    chat->dirty = true;
    if (reason >= FINAL_FIRST)
        fail_all(client, chat, reason);
}

/* A repairable refusal: the clock again, and the same mid and counter once more; after five tries
 * it is given up. A later counter in flight comes back as SCTR_EXPECTED: that is no try of its own.
 */
static void repair(struct client *client, struct client_entry *entry,
                   const struct pb_rejected *rejected)
{
    struct client_chat *chat = entry->chat;
    bool collateral = rejected->reason == PB_ERROR_CODE_SCTR_EXPECTED && !oldest(client, entry);
    if (!collateral && !entry->refused)
        entry->tries++;
    entry->refused = true;
    if (entry->tries >= CLIENT_TRIES_MAX && !entry->filler) {
        outbox_fail(client, entry, rejected->reason, false);
    } else {
        if (!entry->filler) {
            entry->state = PB_OUTBOX_STATE_OPEN;
            outbox_tick(client, entry, PB_TICK_CLOCK, 0, rejected->reason);
        }
        entry->reason = rejected->reason;
        entry->reseal |= rejected->reason != PB_ERROR_CODE_SCTR_EXPECTED && rejected->gen;
        rows_store_entry(client, entry);
    }
    uint32_t tries = entry->tries < 5 ? entry->tries : 5; /* 0.1 s, 0.4 s … 50 s */
    uint64_t wait = (50 + mind_jitter(client, 100)) << (collateral || !tries ? 0 : 2 * tries - 1);
    outbox_resend(chat, client->mono_ms + wait);
}

static void entry_rejected(struct client *client, struct client_entry *entry,
                           const struct pb_rejected *rejected)
{
    struct client_chat *chat = entry->chat;
    if (rejected->reason >= FINAL_FIRST) {
        if (!rejected->consumed)
            fail_all(client, chat, rejected->reason);
        else if (entry->filler)
            outbox_filled(client, entry);
        else
            outbox_fail(client, entry, rejected->reason, true);
        return;
    }
    if (rejected->reason == PB_ERROR_CODE_SCTR_EXPECTED) {
        fill_holes(client, chat, rejected->expected, entry->sctr);
    } else if (rejected->gen > chat->gen ||
               (rejected->gen == chat->gen && rejected->mls_epoch > chat->mls_epoch)) {
        chat->gen = rejected->gen;
        chat->mls_epoch = rejected->mls_epoch;
        chat->floor = rejected->floor;
        chat->dirty = true;
    }
    repair(client, entry, rejected);
}

void outbox_rejected(struct client *client, const struct pb_rejected *rejected)
{
    struct client_chat *chat = client_chat_find(client, rejected->chat_id.at);
    struct client_entry *entry = entry_by_mid(client, rejected->mid);
    if (!chat || memcmp(rejected->device_id.at, client->device, ID_BYTES) != 0)
        return;
    if (!id_is_zero(chat->create_mid) &&
        memcmp(rejected->mid.at, chat->create_mid, ID_BYTES) == 0) {
        create_rejected(client, chat, rejected->reason);
        return;
    }
    if (entry && entry->chat == chat)
        entry_rejected(client, entry, rejected);
}

void outbox_repeat(struct client *client, const struct pb_repeat *repeat)
{
    struct client_chat *chat = client_chat_find(client, repeat->chat_id.at);
    struct client_entry *entry = chat ? entry_by_sctr(client, chat, repeat->sctr) : NULL;
    if (!entry || chat->load_upto || repeat->last > NUMBER_MAX ||
        memcmp(repeat->device_id.at, client->device, ID_BYTES) != 0)
        return;
    if (repeat->sctr == repeat->last && repeat->last_mid.bytes == ID_BYTES &&
        memcmp(repeat->last_mid.at, entry->mid, ID_BYTES) == 0)
        return;          /* bound to this very message: it comes by itself */
    if (entry->filler) { /* bound to another: nothing is left to fill */
        outbox_filled(client, entry);
        return;
    }
    uint64_t highest = repeat->last >= chat->next_sctr ? repeat->last : chat->next_sctr - 1;
    rows_delete_entry(client, chat->id, entry->sctr);
    entry->sctr = highest + 1;
    chat->next_sctr = entry->sctr + 1;
    chat->dirty = true;
    entry->state = PB_OUTBOX_STATE_OPEN;
    entry->reseal = true; /* the counter is bound by the envelope */
    rows_store_entry(client, entry);
    outbox_tick(client, entry, PB_TICK_CLOCK, 0, PB_ERROR_CODE_SCTR_EXPECTED);
    outbox_resend(chat, client->mono_ms);
}

/* A leaf of the chat to be created is no listed device any more: somebody's list has changed, and
 * before the chat exists nothing tells. */
static void leaves_again(struct client *client, const struct client_chat *chat)
{
    struct client_user *users[2] = {client_user_find(client, client->user),
                                    client_user_find(client, chat->peer)};
    for (int i = 0; i < 2; i++)
        if (users[i])
            contacts_fetch(client, users[i]);
}

void outbox_error(struct client *client, const struct client_request *request,
                  const struct pb_error *error)
{
    struct client_chat *chat = client_chat_find(client, request->id);
    uint64_t wait = error->retry_ms + 200 + mind_jitter(client, error->retry_ms / 2 + 800);
    if (!chat)
        return;
    if (request->kind == PB_FRAME_BODY_CHAT_CREATE)
        chat->create_sent = false;
    if (request->kind == PB_FRAME_BODY_CHAT_CREATE && error->code == PB_ERROR_CODE_DENIED) {
        leaves_again(client, chat);
        wait += 2000;
    } else if (error->code == PB_ERROR_CODE_BAD_FRAME || error->code == PB_ERROR_CODE_DENIED ||
               error->code == PB_ERROR_CODE_UNSUPPORTED)
        wait += 30000; /* a bug or a missing list, never a verdict on the message */
    if (error->code == PB_ERROR_CODE_STORAGE_FULL || error->code == PB_ERROR_CODE_READ_ONLY)
        wait += 5000;
    if (error->code == PB_ERROR_CODE_RETRY)
        sync_repair(client); /* same bytes again after SYNC */
    /* What the server has acknowledged lies in the log: to send it again because a later one was
     * turned away would fill the log with repetitions, and the later one would never get in. */
    struct client_entry *refused = entry_by_sctr(client, chat, request->n);
    if (refused && request->kind == PB_FRAME_BODY_SEND)
        refused->flying = false;
    chat->resend = true;
    chat->resend_at = client->mono_ms + wait;
}

void outbox_loaded(struct client *client, struct client_chat *chat)
{
    for (uint32_t i = client->outbox_count; i-- > 0;) {
        struct client_entry *entry = &client->outbox[i];
        if (entry->chat != chat || entry->sctr > chat->snapshot_sctr)
            continue;
        if (entry->filler)
            outbox_filled(client, entry);
        else
            outbox_fail(client, entry, PB_ERROR_CODE_GONE, true);
    }
    chat->snapshot_sctr = 0;
    chat->dirty = true;
}
