/* SPDX-License-Identifier: Apache-2.0
 * Rows of log C: each is stored once, whatever brings it (PUSH, SYNC, HISTORY). `spans` remember
 * which numbers are held; after a SNAPSHOT the missing ones are loaded, newest first. */
#include <string.h>

#include "client/mind.h"
#include "wire/devlist.h"
#include "wire/envelope.h"
#include "wire/policy.h"

#define PAGE_ROWS 100

bool client_chat_holds(const struct client_chat *chat, uint64_t cseq)
{
    for (uint32_t i = 0; i < chat->span_count; i++)
        if (cseq >= chat->spans[i].from && cseq <= chat->spans[i].to)
            return true;
    return false;
}

void timeline_hold(struct client_chat *chat, uint64_t from, uint64_t to)
{
    uint32_t first = 0, last;
    if (from == 0 || from > to)
        return;
    while (first < chat->span_count && chat->spans[first].to + 1 < from)
        first++;
    for (last = first; last < chat->span_count && chat->spans[last].from <= to + 1; last++) {
        from = chat->spans[last].from < from ? chat->spans[last].from : from;
        to = chat->spans[last].to > to ? chat->spans[last].to : to;
    }
    if (last == first) { /* nothing to merge with */
        /* forget the oldest: it would be loaded again */
        if (chat->span_count == CLIENT_SPANS_MAX) {
            if (first == 0)
                return;
            memmove(chat->spans, chat->spans + 1, (CLIENT_SPANS_MAX - 1) * sizeof chat->spans[0]);
            chat->span_count--;
            first--;
        }
        memmove(chat->spans + first + 1, chat->spans + first,
                (chat->span_count - first) * sizeof chat->spans[0]);
        chat->span_count++;
    } else if (last > first + 1) {
        memmove(chat->spans + first + 1, chat->spans + last,
                (chat->span_count - last) * sizeof chat->spans[0]);
        chat->span_count -= last - first - 1;
    }
    chat->spans[first] = (struct client_span){from, to};
    chat->dirty = true;
}

void timeline_drop_above(struct client_chat *chat, uint64_t head)
{
    while (chat->span_count && chat->spans[chat->span_count - 1].from > head)
        chat->span_count--;
    if (chat->span_count && chat->spans[chat->span_count - 1].to > head)
        chat->spans[chat->span_count - 1].to = head;
    chat->dirty = true;
}

/* Store a row and tell of it. The host tells only if the row was really new. */
static void insert(struct client *client, struct client_chat *chat, uint64_t cseq,
                   const struct pb_client_message *row, bool own)
{
    uint8_t key[24];
    struct buf buf = buf_over(key, sizeof key);
    buf_put(&buf, slice_make(chat->id, ID_BYTES));
    buf_u64be(&buf, cseq);
    if (cseq <= chat->stale_upto) /* a row that the server lost stands there */
        rows_delete_message(client, chat->id, cseq);
    mind_store(client, PB_STORE_OP_KIND_INSERT, PB_TABLE_MESSAGE, buf_slice(&buf),
               pb_client_message_pack_v1(row, &client->step));
    timeline_hold(chat, cseq, cseq);
    if (cseq > chat->head)
        chat->head = cseq;
    struct pb_notice *notice = mind_notice(client, PB_NOTICE_BODY_MESSAGE);
    if (notice)
        notice->body.message =
            (struct pb_notice_message){.op = (uint32_t)client->out->store_count - 1,
                                       .chat_id = slice_make(chat->id, ID_BYTES),
                                       .cseq = cseq,
                                       .ts = row->ts,
                                       .user_id = row->user_id,
                                       .device_id = row->device_id,
                                       .mid = row->mid,
                                       .sctr = row->sctr,
                                       .own = own,
                                       .readable = row->readable,
                                       .content = row->content,
                                       .has_content = row->has_content,
                                       .system = row->system};
}

static bool removed_before(const struct client_chat *chat, const uint8_t *device, uint64_t cseq)
{
    for (uint32_t i = 0; i < chat->removed_count; i++)
        if (memcmp(chat->removed[i].device, device, ID_BYTES) == 0 && chat->removed[i].cseq < cseq)
            return true;
    return false;
}

/* A reader accepts iff (e2ee §7): header equals the record, sender in the roster, device in its
 * lists, tag and signature verify, the content decodes. */
static bool open_message(struct client *client, const struct client_chat *chat,
                         const struct pb_message *message, const uint8_t *sigpub,
                         struct pb_content *out)
{
    struct envelope envelope;
    uint8_t key[E2EE_KEY_BYTES], context_bytes[ENVELOPE_CONTEXT_BYTES];
    struct buf context = buf_over(context_bytes, sizeof context_bytes);
    struct slice content;
    bool own = memcmp(message->user_id.at, client->user, ID_BYTES) == 0;
    if (!sigpub || envelope_read(message->envelope, &envelope) != STATUS_OK)
        return false;
    const struct envelope_header *header = &envelope.header;
    if (memcmp(header->chat, chat->id, ID_BYTES) != 0 || header->sctr != message->sctr ||
        memcmp(header->device, message->device_id.at, ID_BYTES) != 0 ||
        header->kind != message->kind ||
        (!own && !id_is_zero(chat->peer) &&
         memcmp(message->user_id.at, chat->peer, ID_BYTES) != 0) ||
        removed_before(chat, header->device, message->cseq))
        return false;
    uint8_t *plain = arena_alloc(&client->step, envelope.padded.bytes);
    envelope_context_write(envelope.header_bytes, message->user_id.at, message->mid.at, &context);
    struct slice body =
        slice_sub(message->envelope, ENVELOPE_HEADER_BYTES, message->envelope.bytes);
    return plain &&
           e2ee_epoch_key(client->e2ee, chat->id, header->gen, header->mls_epoch, key) == E2EE_OK &&
           e2ee_msg_open(key, sigpub, buf_slice(&context), body, plain) == E2EE_OK &&
           envelope_unpad(slice_make(plain, envelope.padded.bytes), &content) == STATUS_OK &&
           pb_content_decode(content, &client->step, out) == STATUS_OK &&
           out->expire_s == message->expire_s;
}

bool timeline_message(struct client *client, const struct pb_message *message)
{
    struct client_chat *chat = rows_chat_new(client, message->chat_id.at);
    bool own = memcmp(message->user_id.at, client->user, ID_BYTES) == 0;
    bool own_device = own && memcmp(message->device_id.at, client->device, ID_BYTES) == 0;
    uint8_t own_key[32];
    if (!chat || message->cseq == 0 || message->cseq > NUMBER_MAX ||
        client_chat_holds(chat, message->cseq))
        return true;
    const uint8_t *sigpub = NULL;
    if (own_device) {
        memcpy(own_key, e2ee_facts(client->e2ee).sigpub, 32);
        sigpub = own_key;
    } else {
        struct client_user *user = rows_user_new(client, message->user_id.at);
        sigpub = user ? contacts_sigpub(user, message->device_id.at) : NULL;
        if (user && !sigpub && !message->tombstone &&
            contacts_ask(client, user, message->device_id.at))
            return false;
    }
    struct pb_client_message row = {.ts = message->ts,
                                    .user_id = message->user_id,
                                    .device_id = message->device_id,
                                    .sctr = message->sctr,
                                    .mid = message->mid,
                                    .kind = message->kind};
    uint8_t *hash = arena_alloc(&client->step, 32);
    if (!message->tombstone && hash) {
        mind_hash(message->envelope, hash);
        row.envelope_hash = slice_make(hash, 16);
        row.readable = open_message(client, chat, message, sigpub, &row.content);
        row.has_content = row.readable;
        row.system = row.readable && row.content.body_case == PB_CONTENT_BODY_VOID_; /* no line */
    }
    if (!chat->created)
        outbox_chat_exists(client, chat);
    if (message->hidden)
        marks_hide(chat, message->cseq);
    if (!own && id_is_zero(chat->peer))
        memcpy(chat->peer, message->user_id.at, ID_BYTES);
    insert(client, chat, message->cseq, &row, own);
    if (own_device)
        outbox_settle(client, chat, message, row.readable ? &row.content : NULL);
    return true;
}

static void tell_chat(struct client *client, const struct client_chat *chat)
{
    const struct client_user *peer = client_user_find(client, chat->peer);
    struct pb_notice *notice = mind_notice(client, PB_NOTICE_BODY_CHAT);
    if (notice)
        notice->body.chat = (struct pb_notice_chat){
            .chat_id = slice_make(chat->id, ID_BYTES),
            .peer = slice_make(chat->peer, ID_BYTES),
            .peer_username = peer ? arena_copy(&client->step, peer->username) : SLICE_EMPTY,
            .head = chat->head};
}

static void learn_policy(struct client *client, struct client_chat *chat, struct slice bytes)
{
    struct policy policy;
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[32];
    if (policy_read(bytes, &policy) != STATUS_OK || policy.kind != POLICY_DIRECT)
        return;
    int self = policy_find(&policy, client->user);
    if (self < 0)
        return;
    struct policy_member peer = policy_member_at(&policy, (uint16_t)(1 - self));
    direct_chat_input(client->user, peer.user, input);
    mind_hash(slice_make(input, sizeof input), hash);
    if (memcmp(hash, chat->id, ID_BYTES) != 0)
        return; /* not the chat of these two: believe nothing of it */
    if (!slice_equal(chat->policy, bytes))
        chat->policy = mind_keep(client, bytes);
    if (id_is_zero(chat->peer)) {
        memcpy(chat->peer, peer.user, ID_BYTES);
        tell_chat(client, chat);
    }
    chat->dirty = true;
    struct client_user *user = rows_user_new(client, peer.user);
    if (user && user->dl_n == 0)
        contacts_want(client, peer.user, 1);
}

static void forget_device(struct client *client, struct client_chat *chat, struct slice device,
                          uint64_t cseq)
{
    for (uint32_t i = 0; i < chat->removed_count; i++)
        if (memcmp(chat->removed[i].device, device.at, ID_BYTES) == 0)
            return;
    struct client_removed *removed = rows_removed_new(client, chat);
    if (!removed)
        return;
    memcpy(removed->device, device.at, ID_BYTES);
    removed->cseq = cseq;
    chat->dirty = true;
}

static void epoch_set(struct client_chat *chat, uint32_t gen, uint64_t mls_epoch, uint64_t floor)
{
    chat->gen = gen;
    chat->mls_epoch = mls_epoch;
    chat->floor = floor;
    chat->dirty = true;
}

/* Is something known that came after the creation of this generation? It may be read later. */
static bool newer_known(const struct client_chat *chat, uint32_t gen)
{
    return chat->gen > gen || (chat->gen == gen && chat->mls_epoch > 1);
}

/* What it changes of the group is not understood yet: the epoch is, so that what is sent fits. */
void timeline_commit(struct client *client, const struct pb_commit_entry *entry)
{
    struct client_chat *chat = rows_chat_new(client, entry->chat_id.at);
    const struct pb_commit *commit = &entry->commit;
    if (!chat || entry->cseq == 0 || entry->cseq > NUMBER_MAX ||
        client_chat_holds(chat, entry->cseq))
        return;
    struct pb_client_message row = {.ts = entry->ts,
                                    .user_id = commit->user_id,
                                    .device_id = commit->device_id,
                                    .mid = commit->mid,
                                    .system = true,
                                    .system_text = SLICE_LITERAL("keys changed"),
                                    .readable = true};
    if (commit->gen > chat->gen || (commit->gen == chat->gen && entry->mls_epoch > chat->mls_epoch))
        epoch_set(chat, commit->gen, entry->mls_epoch, entry->floor);
    insert(client, chat, entry->cseq, &row,
           memcmp(commit->user_id.at, client->user, ID_BYTES) == 0);
}

void timeline_member(struct client *client, const struct pb_member_change *member)
{
    struct client_chat *chat = rows_chat_new(client, member->chat_id.at);
    bool own = memcmp(member->user_id.at, client->user, ID_BYTES) == 0;
    if (!chat || member->cseq == 0 || member->cseq > NUMBER_MAX ||
        client_chat_holds(chat, member->cseq))
        return;
    struct pb_client_message row = {.ts = member->ts,
                                    .user_id = member->user_id,
                                    .device_id = member->device_id,
                                    .mid = member->mid,
                                    .system = true,
                                    .readable = true};
    switch (member->kind) {
    case PB_MEMBER_CHANGE_KIND_CREATED:
        learn_policy(client, chat, member->policy);
        if (!newer_known(chat, member->gen))
            epoch_set(chat, member->gen ? member->gen : 1, member->mls_epoch, member->floor);
        outbox_chat_exists(client, chat);
        row.system_text = SLICE_LITERAL("created");
        break;
    case PB_MEMBER_CHANGE_KIND_DEVICE_CHANGE:
        for (size_t i = 0; i < member->removed_count; i++)
            forget_device(client, chat, member->removed[i], member->cseq);
        contacts_want(client, member->user_id.at, member->dl_n);
        row.system_text = SLICE_LITERAL("device removed");
        break;
    case PB_MEMBER_CHANGE_KIND_LEFT:
    case PB_MEMBER_CHANGE_KIND_UNSPECIFIED:
    default: row.system_text = SLICE_LITERAL("left"); break;
    }
    insert(client, chat, member->cseq, &row, own);
}

/* The newest number that is still missing, and the newest held below it. */
static uint64_t missing(const struct client_chat *chat, uint64_t *held_below)
{
    uint64_t at = chat->load_upto, first = chat->joined ? chat->joined : 1;
    *held_below = first - 1;
    for (uint32_t i = chat->span_count; i-- > 0;) {
        if (chat->spans[i].from > at)
            continue;
        if (chat->spans[i].to < at) {
            *held_below = chat->spans[i].to > *held_below ? chat->spans[i].to : *held_below;
            break;
        }
        at = chat->spans[i].from - 1;
    }
    return at >= first ? at : 0;
}

static void wish_delivered(struct client *client, struct client_chat *chat)
{
    uint64_t first = chat->joined ? chat->joined : 1;
    for (uint32_t i = 0; i < chat->span_count; i++)
        if (chat->spans[i].from <= first && chat->spans[i].to >= first) {
            chat->delivered_wish = chat->spans[i].to;
            chat->dirty = true;
            (void)marks_send(client, chat);
            return;
        }
}

static void load_done(struct client *client, struct client_chat *chat)
{
    chat->load_upto = 0;
    chat->dirty = true;
    outbox_loaded(client, chat);
    if (client_is_lazy(client)) {
        wish_delivered(client, chat);
        return;
    }
    /* Lazy ACKs made no receipts for any chat: with the last one loaded, say it for all. */
    for (uint32_t i = 0; i < client->chat_count; i++)
        wish_delivered(client, client->chats[i]);
}

void timeline_load(struct client *client)
{
    if (!client->synced || client->loading)
        return;
    for (uint32_t i = 0; i < client->chat_count; i++) {
        struct client_chat *chat = client->chats[i];
        uint64_t below, top;
        if (!chat->load_upto)
            continue;
        if (client->load_at > client->mono_ms) {
            mind_wake(client, client->load_at);
            return;
        }
        top = missing(chat, &below);
        if (top == 0) {
            load_done(client, chat);
            continue;
        }
        struct pb_frame frame = {.body_case = PB_FRAME_BODY_HISTORY};
        client->load_before = top + 1;
        client->load_after = below;
        memcpy(client->load_chat, chat->id, ID_BYTES);
        frame.body.history = (struct pb_history){.chat_id = slice_make(chat->id, ID_BYTES),
                                                 .before = top + 1,
                                                 .after = below,
                                                 .n = PAGE_ROWS};
        client->loading = mind_request(client, &frame, chat->id, top + 1, 0);
        return;
    }
}

/* The chat and number of an entry that is a row of one. */
static bool number_of(const struct pb_entry *entry, struct slice *chat, uint64_t *cseq)
{
    if (entry->body_case == PB_ENTRY_BODY_MESSAGE) {
        *chat = entry->body.message.chat_id;
        *cseq = entry->body.message.cseq;
    } else if (entry->body_case == PB_ENTRY_BODY_MEMBER) {
        *chat = entry->body.member.chat_id;
        *cseq = entry->body.member.cseq;
    } else if (entry->body_case == PB_ENTRY_BODY_COMMIT) {
        *chat = entry->body.commit.chat_id;
        *cseq = entry->body.commit.cseq;
    } else {
        return false;
    }
    return true;
}

void timeline_page(struct client *client, const struct pb_history_page *page)
{
    struct client_chat *chat = client_chat_find(client, client->load_chat);
    uint64_t lowest = client->load_before;
    if (!client->loading)
        return;
    client->loading = false;
    if (!chat || memcmp(page->chat_id.at, chat->id, ID_BYTES) != 0)
        return;
    for (size_t i = 0; i < page->entries_count; i++) {
        const struct pb_entry *entry = &page->entries[i];
        uint64_t cseq;
        struct slice of;
        if (!number_of(entry, &of, &cseq))
            continue;
        if (memcmp(of.at, chat->id, ID_BYTES) != 0 || cseq >= lowest || cseq <= client->load_after)
            continue; /* not what was asked for */
        if (entry->body_case == PB_ENTRY_BODY_MEMBER)
            timeline_member(client, &entry->body.member);
        else if (entry->body_case == PB_ENTRY_BODY_COMMIT)
            timeline_commit(client, &entry->body.commit);
        else if (!timeline_message(client, &entry->body.message)) {
            client->load_at = client->mono_ms + 100; /* until its sender's list is here */
            return;
        }
        lowest = cseq;
    }
    /* Dense: what the answer leaves out between its rows is not for us (hidden), and will not
     * come. */
    if (page->entries_count == 0 || !page->more)
        lowest = client->load_after + 1;
    timeline_hold(chat, lowest, client->load_before - 1);
}

void timeline_snapshot_chat(struct client *client, const struct pb_chat_state *state)
{
    struct client_chat *chat = rows_chat_new(client, state->chat_id.at);
    uint64_t below;
    if (!chat || state->cseq > NUMBER_MAX || state->last_cseq > NUMBER_MAX ||
        state->last_sctr > NUMBER_MAX)
        return;
    if (client->regressed && !chat->listed)
        journal_chat_lost(client, chat, state->cseq, state->last_sctr);
    chat->listed = true;
    chat->head = state->cseq > chat->head ? state->cseq : chat->head;
    learn_policy(client, chat, state->policy);
    if (state->gen) {
        chat->gen = state->gen;
        chat->mls_epoch = state->mls_epoch;
        chat->floor = state->floor;
    }
    for (size_t i = 0; i < state->members_count; i++)
        if (memcmp(state->members[i].user_id.at, client->user, ID_BYTES) == 0)
            chat->joined = state->members[i].joined;
    for (size_t i = 0; i < state->removed_count; i++)
        forget_device(client, chat, state->removed[i], state->cseq);
    marks_raise(client, chat, state->delivered_by_all, state->read_by_all);
    if (state->own_read > chat->own_read)
        chat->own_read = state->own_read;
    if (state->last_sctr >= chat->next_sctr)
        chat->next_sctr = state->last_sctr + 1;
    if (state->last_sctr > chat->snapshot_sctr)
        chat->snapshot_sctr = state->last_sctr;
    chat->created = chat->dirty = true;
    chat->create_wanted = false;
    memset(chat->create_mid, 0, ID_BYTES);
    /* Its head and this device's counter are two rows, and may be of two moments: what the counter
     * was given for is in the chat, above that head. */
    chat->load_upto = state->last_cseq > state->cseq ? state->last_cseq : state->cseq;
    if (missing(chat, &below) == 0 && state->cseq) {
        chat->load_upto = 0; /* everything is here already */
        outbox_loaded(client, chat);
    }
    outbox_resend(chat, client->mono_ms);
}
