/* SPDX-License-Identifier: Apache-2.0
 * Names, device lists and pins: (AIK, highest n, hash) of each person. A lower list, a fork or a
 * bad signature marks the person broken, for good: nothing is sent to them (e2ee §4). */
#include <string.h>

#include "client/mind.h"
#include "ports/crypto.h"
#include "wire/devlist.h"
#include "wire/envelope.h"

const uint8_t *contacts_sigpub(const struct client_user *user, const uint8_t device[ID_BYTES])
{
    for (uint32_t i = 0; i < user->device_count; i++)
        if (memcmp(user->devices[i].id, device, ID_BYTES) == 0)
            return user->devices[i].sigpub;
    return NULL;
}

void contacts_fetch(struct client *client, struct client_user *user)
{
    if (user->fetching || user->broken || client->phase != CLIENT_PHASE_READY)
        return;
    if (client->fetch_at > client->mono_ms) { /* told to wait */
        mind_wake(client, client->fetch_at);
        return;
    }
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_DEVLIST_GET};
    frame.body.devlist_get = (struct pb_devlist_get){.user_id = slice_make(user->id, ID_BYTES),
                                                     .from_n = user->dl_n ? user->dl_n : 1};
    user->fetching = mind_request(client, &frame, user->id, 0, 0);
    if (!user->fetching)
        return;
    memcpy(user->asked, user->ask, ID_BYTES);
    user->asked_n = user->wanted_n;
}

bool contacts_ask(struct client *client, struct client_user *user, const uint8_t device[ID_BYTES])
{
    if (user->broken || memcmp(user->answered, device, ID_BYTES) == 0)
        return false;
    memcpy(user->ask, device, ID_BYTES);
    contacts_fetch(client, user);
    return true;
}

/* The last answer is here: what waits may try again. */
static void fetched(struct client *client, struct client_user *user)
{
    user->fetched = user->asked_n >= user->wanted_n; /* else one was made while it was under way */
    /* A device that is known by now needs no request of its own. */
    memcpy(user->answered, contacts_sigpub(user, user->ask) ? user->ask : user->asked, ID_BYTES);
    client->deferred = false;
}

void contacts_want(struct client *client, const uint8_t id[ID_BYTES], uint64_t n)
{
    struct client_user *user = rows_user_new(client, id);
    if (!user)
        return;
    if (n > user->wanted_n) {
        user->wanted_n = n;
        user->fetched = false;
    }
    if (user->wanted_n > user->dl_n)
        contacts_fetch(client, user);
}

static void broken(struct client *client, struct client_user *user)
{
    user->broken = user->dirty = true;
    struct pb_notice *notice = mind_notice(client, PB_NOTICE_BODY_STATE);
    if (!notice)
        return;
    notice->body.state.state = client->told_state;
    notice->body.state.detail = SLICE_LITERAL(
        "a device list of a contact is forged or rolled back: nothing is sent to them");
}

/* false: more devices than an account may ever have, or no memory (exhausted). */
static bool learn_devices(struct client *client, struct client_user *user,
                          const struct devlist *list)
{
    for (uint32_t k = 0; k < user->device_count; k++)
        if (devlist_removes(list, user->devices[k].id))
            user->devices[k].removed = true;
    for (uint8_t i = 0; i < list->device_count; i++) {
        if (contacts_sigpub(user, list->devices[i].id))
            continue;
        struct client_device *device = rows_device_new(client, user);
        if (!device)
            return false;
        memcpy(device->id, list->devices[i].id, ID_BYTES);
        memcpy(device->sigpub, list->devices[i].sigpub, 32);
    }
    return true;
}

static bool follows(struct client *client, const struct client_user *user,
                    const struct devlist *next)
{
    struct devlist prev;
    struct devlist_proof proof;
    uint8_t aik_message[DEVLIST_AIK_MESSAGE_BYTES];
    struct buf message =
        buf_in(&client->step, DEVLIST_DSK_LABEL_BYTES + next->unsigned_bytes.bytes);
    bool has_prev = user->dl_n && devlist_read(user->dl, &prev) == STATUS_OK;
    memset(&proof, 0, sizeof proof);
    memcpy(proof.previous_hash, user->dl_hash, 32);
    uint8_t *removed = arena_array(&client->step, user->device_count + 1, ID_BYTES);
    for (uint32_t i = 0; removed && i < user->device_count; i++)
        if (user->devices[i].removed) {
            memcpy(removed + proof.removed_before.bytes, user->devices[i].id, ID_BYTES);
            proof.removed_before.bytes += ID_BYTES;
        }
    proof.removed_before.at = removed;
    devlist_aik_message(next, aik_message);
    devlist_dsk_message(next->unsigned_bytes, &message);
    proof.sig_aik_valid = crypto_ed25519_verify(
        next->aik, slice_make(aik_message, sizeof aik_message), next->sig_aik);
    proof.sig_dsk_valid =
        !message.overflow && crypto_ed25519_verify(next->dsk, buf_slice(&message), next->sig_dsk);
    return devlist_check_next(has_prev ? &prev : NULL, next, &proof) == DEVLIST_OK;
}

/* One served list against what is pinned; false: broken. */
static bool take_list(struct client *client, struct client_user *user, struct slice bytes)
{
    struct devlist next;
    uint8_t hash[32];
    if (devlist_read(bytes, &next) != STATUS_OK || memcmp(next.user, user->id, ID_BYTES) != 0)
        return false;
    mind_hash(bytes, hash);
    if (next.n < user->dl_n)
        return true; /* an older one again: says nothing */
    if (next.n == user->dl_n)
        return memcmp(hash, user->dl_hash, 32) == 0; /* two lists with one number: a fork */
    if (!follows(client, user, &next) ||
        (user->username.bytes && !slice_equal(user->username, next.username)))
        return false;
    if (user->dl_n == 0)
        memcpy(user->aik, next.aik, 32);
    user->dl_n = next.n;
    user->dl = mind_keep(client, bytes);
    memcpy(user->dl_hash, hash, 32);
    if (!slice_equal(user->username, next.username))
        user->username = mind_keep(client, next.username);
    user->dirty = true;
    return learn_devices(client, user, &next) || client->exhausted;
}

static void tell_chats(struct client *client, const struct client_user *user)
{
    for (uint32_t i = 0; i < client->chat_count; i++) {
        const struct client_chat *chat = client->chats[i];
        struct pb_notice *notice;
        if (memcmp(chat->peer, user->id, ID_BYTES) != 0 ||
            !(notice = mind_notice(client, PB_NOTICE_BODY_CHAT)))
            continue;
        notice->body.chat =
            (struct pb_notice_chat){.chat_id = slice_make(chat->id, ID_BYTES),
                                    .peer = slice_make(user->id, ID_BYTES),
                                    .head = chat->head,
                                    .peer_username = arena_copy(&client->step, user->username)};
    }
}

void contacts_lists(struct client *client, struct client_user *user,
                    const struct pb_devlist_answer *answer)
{
    uint32_t before = user->dl_n;
    user->fetching = false;
    for (size_t i = 0; i < answer->lists_count; i++)
        if (!take_list(client, user, answer->lists[i])) {
            broken(client, user);
            break;
        }
    if (answer->more && user->dl_n > before && !user->broken) {
        contacts_fetch(client, user);
        return;
    }
    fetched(client, user);
    if (memcmp(user->id, client->user, ID_BYTES) == 0 && user->dl_n > client->dl_n) {
        client->dl_n = user->dl_n;
        client->meta_dirty = true;
    }
    if (before == 0 && user->dl_n)
        tell_chats(client, user);
}

struct client_chat *contacts_chat_with(struct client *client, struct client_user *user)
{
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[32];
    direct_chat_input(client->user, user->id, input);
    mind_hash(slice_make(input, sizeof input), hash);
    struct client_chat *chat = rows_chat_new(client, hash);
    if (chat && id_is_zero(chat->peer)) {
        memcpy(chat->peer, user->id, ID_BYTES);
        chat->dirty = true;
        tell_chats(client, user);
    }
    return chat;
}

void contacts_wait(struct client *client, struct slice username, struct slice text, bool is_send,
                   uint32_t command)
{
    for (uint32_t i = 0; i < CLIENT_WAITING_MAX; i++) {
        struct client_waiting *waiting = &client->waiting[i];
        if (waiting->used)
            continue;
        memset(waiting, 0, sizeof *waiting);
        waiting->used = true;
        waiting->is_send = is_send;
        waiting->command = command;
        waiting->username = mind_keep(client, username);
        waiting->text = mind_keep(client, text);
        return;
    }
    mind_result(client, command, PB_ERROR_CODE_BUSY, SLICE_LITERAL("too many names to look up"));
}

static void finish(struct client *client, struct client_waiting *waiting, struct client_user *user)
{
    struct client_chat *chat = contacts_chat_with(client, user);
    waiting->used = false;
    if (!chat)
        return;
    if (user->broken) {
        mind_result(client, waiting->command, PB_ERROR_CODE_DENIED,
                    SLICE_LITERAL("this person's device list cannot be trusted"));
    } else if (waiting->is_send) {
        (void)outbox_compose(client, chat, waiting->text, waiting->command);
    } else {
        struct pb_notice_result *result = mind_result_of(client, waiting->command);
        if (result)
            result->chat_id = slice_make(chat->id, ID_BYTES);
    }
}

void contacts_go_on(struct client *client)
{
    for (uint32_t i = 0; i < client->user_count; i++) {
        struct client_user *user = client->users[i];
        bool wanted = user->wanted_n > user->dl_n && !user->fetched;
        if (wanted || memcmp(user->ask, user->answered, ID_BYTES) != 0)
            contacts_fetch(client, user);
    }
    for (uint32_t i = 0; i < CLIENT_WAITING_MAX; i++) {
        struct client_waiting *waiting = &client->waiting[i];
        if (!waiting->used)
            continue;
        struct client_user *user = client_user_named(client, waiting->username);
        if (user && (user->dl_n || user->broken)) {
            finish(client, waiting, user);
            continue;
        }
        if (waiting->found && user && user->fetched && !user->fetching) {
            waiting->used = false; /* signed up, no more: nobody could read it */
            mind_result(client, waiting->command, PB_ERROR_CODE_NOT_FOUND,
                        SLICE_LITERAL("this person has no device yet"));
            continue;
        }
        if (waiting->asked || client->phase != CLIENT_PHASE_READY)
            continue;
        struct pb_frame frame = {.body_case = PB_FRAME_BODY_LOOKUP};
        frame.body.lookup.username = waiting->username;
        waiting->asked = mind_request(client, &frame, NULL, i, waiting->command);
    }
}

void contacts_lookup(struct client *client, const struct client_request *request,
                     const struct pb_lookup_answer *answer)
{
    struct client_waiting *waiting =
        request->n < CLIENT_WAITING_MAX ? &client->waiting[request->n] : NULL;
    struct client_user *user = rows_user_new(client, answer->user_id.at);
    if (!waiting || !waiting->used || waiting->command != request->command || !user)
        return;
    if (answer->dl_n < user->dl_n) {
        broken(client, user); /* the server says less than it served before */
    } else if (user->dl_n && !slice_equal(user->username, waiting->username)) {
        waiting->used = false; /* a known person under another name */
        mind_result(client, waiting->command, PB_ERROR_CODE_DENIED,
                    SLICE_LITERAL("name and key differ"));
        return;
    }
    if (user->dl_n == 0)
        user->username = mind_keep(client, waiting->username);
    waiting->found = true;
    user->fetched = false;
    contacts_want(client, user->id, answer->dl_n ? answer->dl_n : 1);
}

void contacts_refused(struct client *client, const struct client_request *request,
                      const struct pb_error *error)
{
    if (request->kind == PB_FRAME_BODY_DEVLIST_GET) {
        struct client_user *user = client_user_find(client, request->id);
        if (!user)
            return;
        user->fetching = false;
        if (error->retry_ms || error->code == PB_ERROR_CODE_BUSY ||
            error->code == PB_ERROR_CODE_RETRY) {
            client->fetch_at = client->mono_ms + error->retry_ms + 200 + mind_jitter(client, 1000);
            return;
        }
        fetched(client, user);
        return;
    }
    struct client_waiting *waiting =
        request->n < CLIENT_WAITING_MAX ? &client->waiting[request->n] : NULL;
    if (!waiting || !waiting->used || waiting->command != request->command)
        return;
    waiting->used = false;
    struct pb_notice_result *result = mind_result_of(client, waiting->command);
    if (result) {
        result->error = (uint32_t)error->code;
        result->retry_ms = error->retry_ms;
        result->detail = arena_copy(&client->step, error->detail);
    }
}
