/* SPDX-License-Identifier: Apache-2.0
 * Sign-up, sign-in, devices. Under a grant: vault, then device list, then HELLO on the same
 * connection.
 *   REGISTER ┐                ┌ no vault: make keys → VAULT_PUT ┐  ┌ no list: sign n = 1 ──┐
 *   LOGIN    ┴→ GRANTED ──────┴ VAULT_GET → open it ────────────┴──┴ DEVLIST_GET → n + 1 ──┴
 *   → DEVLIST_PUT → HELLO
 * Keys are stored before they are published, so that a crash anywhere is healed by LOGIN and going
 * on. */
#include <string.h>

#include "client/mind.h"
#include "wire/devlist.h"

#define TRIES_MAX 8

static void enrol_end(struct client *client, enum pb_error_code error, struct slice detail,
                      uint64_t retry_ms)
{
    struct pb_notice_result *result = mind_result_of(client, client->enrol_command);
    if (result) {
        result->error = (uint32_t)error;
        result->detail = arena_copy(&client->step, detail);
        result->retry_ms = retry_ms;
    }
    client->enrol_wanted = false;
    client->enrol = CLIENT_ENROL_NONE;
    client->enrol_command = 0;
    client->enrol_password = client->enrol_invite = client->enrol_list = SLICE_EMPTY;
}

/* EXCEPTION: the texts are the command itself; a struct of them would be unpacked at once. */
static void enrol_begin(struct client *client, uint32_t command, bool registers,
                        struct slice server, struct slice username, struct slice password)
{
    if (client->enrolled || client->enrol_wanted) {
        mind_result(client, command, PB_ERROR_CODE_CONFLICT,
                    SLICE_LITERAL("this profile is signed in"));
        return;
    }
    if (!slice_equal(client->server, server))
        client->server_name = SLICE_EMPTY; /* the pin of a server that never took us */
    client->server = mind_keep(client, server);
    client->username = mind_keep(client, username);
    client->enrol_password = mind_keep(client, password);
    client->enrol_command = command;
    client->enrol_registers = registers;
    client->enrol_wanted = true;
    client->enrol_sent = false;
    client->enrol_tries = 0;
    client->retry_at = client->mono_ms;
    client->attempts = 0;
    client->meta_dirty = true;
}

void account_enrol(struct client *client)
{
    struct pb_frame frame = {0};
    if (!client->enrol_wanted) {
        mind_close(client);
        return;
    }
    if (++client->enrol_tries > TRIES_MAX) {
        enrol_end(client, PB_ERROR_CODE_RETRY, SLICE_LITERAL("the server does not finish it"), 0);
        mind_close(client);
        return;
    }
    client->phase = CLIENT_PHASE_ENROLLING;
    client->dead_at = client->mono_ms + 120000;
    /* A REGISTER whose answer was lost may have happened: LOGIN finds out. */
    if (client->enrol_registers && !client->enrol_sent) {
        frame.body_case = PB_FRAME_BODY_REGISTER;
        frame.body.register_ = (struct pb_register){.username = client->username,
                                                    .password = client->enrol_password,
                                                    .invite = client->enrol_invite};
        client->enrol_sent = true;
    } else {
        frame.body_case = PB_FRAME_BODY_LOGIN;
        frame.body.login =
            (struct pb_login){.username = client->username, .password = client->enrol_password};
    }
    client->enrol = CLIENT_ENROL_ASKED;
    (void)mind_request(client, &frame, NULL, 0, 0);
}

static void enrol_request(struct client *client, struct pb_frame *frame, enum client_enrol next)
{
    client->enrol = next;
    (void)mind_request(client, frame, NULL, 0, 0);
}

static void ask_lists(struct client *client)
{
    struct client_user *self = rows_user_new(client, client->user);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_DEVLIST_GET};
    frame.body.devlist_get = (struct pb_devlist_get){.user_id = slice_make(client->user, ID_BYTES),
                                                     .from_n = self && self->dl_n ? self->dl_n : 1};
    enrol_request(client, &frame, CLIENT_ENROL_LIST_GET);
}

/* The list after `prev` (NULL: the first), with or without one device. Empty: it cannot be made. */
static struct slice sign_list(struct client *client, const struct devlist *prev,
                              const uint8_t *prev_hash, const uint8_t *remove)
{
    struct e2ee_facts facts = e2ee_facts(client->e2ee);
    struct devlist next;
    memset(&next, 0, sizeof next);
    if (prev)
        next = *prev;
    next.n = prev ? prev->n + 1 : 1;
    if (prev)
        memcpy(next.previous, prev_hash, 32);
    memcpy(next.user, client->user, ID_BYTES);
    memcpy(next.aik, facts.aik, 32);
    memcpy(next.dsk, facts.dsk, 32);
    memcpy(next.sig_aik, facts.sig_aik, E2EE_SIG_BYTES);
    next.dsk_ver = facts.dsk_ver;
    next.flags = 0;
    next.ts = client->now_ms;
    next.username = client->username;
    next.removed = SLICE_EMPTY;
    next.removed_count = 0;
    if (remove) {
        const struct devlist_device *gone = devlist_find(&next, remove);
        if (!gone)
            return SLICE_EMPTY;
        next.devices[gone - next.devices] = next.devices[--next.device_count];
        next.removed = slice_make(remove, ID_BYTES);
        next.removed_count = 1;
    } else {
        if (next.device_count == DEVLIST_DEVICES_MAX)
            return SLICE_EMPTY;
        struct devlist_device *device = &next.devices[next.device_count++];
        memset(device, 0, sizeof *device);
        memcpy(device->id, client->device, ID_BYTES);
        memcpy(device->sigpub, facts.sigpub, 32);
        device->added_n = next.n;
        device->name = slice_sub(client->device_name, 0, DEVLIST_NAME_BYTES_MAX);
    }
    struct buf list = buf_in(&client->step, DEVLIST_BYTES_MAX);
    struct buf message = buf_in(&client->step, DEVLIST_BYTES_MAX + DEVLIST_DSK_LABEL_BYTES);
    devlist_write_unsigned(&next, &list);
    devlist_dsk_message(buf_slice(&list), &message);
    uint8_t sig[E2EE_SIG_BYTES];
    if (message.overflow ||
        e2ee_sign(client->e2ee, E2EE_SIGN_DEVLIST, buf_slice(&message), sig) != E2EE_OK)
        return SLICE_EMPTY;
    buf_put(&list, slice_make(sig, sizeof sig));
    return list.overflow ? SLICE_EMPTY : buf_slice(&list);
}

static void make_device(struct client *client)
{
    struct e2ee_facts facts = e2ee_facts(client->e2ee);
    uint8_t random[E2EE_KEY_BYTES];
    if (!facts.has_device) {
        mind_random(client, client->device, ID_BYTES);
        mind_random(client, random, sizeof random);
        (void)e2ee_device_create(client->e2ee, client->device, random);
    } else {
        memcpy(client->device, facts.device, ID_BYTES);
    }
    client->meta_dirty = true;
}

static void put_list(struct client *client)
{
    struct client_user *self = rows_user_new(client, client->user);
    struct devlist prev;
    bool has_prev = self && self->dl_n && devlist_read(self->dl, &prev) == STATUS_OK;
    /* a crash came after the last DEVLIST_PUT */
    if (has_prev && devlist_find(&prev, client->device)) {
        client->enrolled = client->meta_dirty = true;
        client->dl_n = self->dl_n;
        enrol_end(client, PB_ERROR_CODE_NONE, SLICE_EMPTY, 0);
        sync_hello(client);
        return;
    }
    struct slice list =
        sign_list(client, has_prev ? &prev : NULL, self ? self->dl_hash : NULL, NULL);
    if (list.bytes == 0) {
        enrol_end(
            client, PB_ERROR_CODE_LIMIT,
            SLICE_LITERAL("8 devices are signed in already; sign one out from another device: "
                          "parley devices rm ID"),
            0);
        mind_close(client);
        return;
    }
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_DEVLIST_PUT};
    frame.body.devlist_put.dl = list;
    enrol_request(client, &frame, CLIENT_ENROL_LIST_PUT);
}

static void after_vault(struct client *client)
{
    make_device(client);
    if (client->enrol_dl_n == 0)
        put_list(client);
    else
        ask_lists(client);
}

void account_granted(struct client *client, const struct pb_granted *granted)
{
    struct e2ee_facts facts = e2ee_facts(client->e2ee);
    if (client->enrol != CLIENT_ENROL_ASKED)
        return;
    memcpy(client->user, granted->user_id.at, ID_BYTES);
    client->enrol_dl_n = granted->dl_n;
    client->meta_dirty = true;
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_VAULT_GET};
    if (granted->vault_ver) {
        enrol_request(client, &frame, CLIENT_ENROL_VAULT_GET);
        return;
    }
    if (!facts.has_account || memcmp(facts.user, client->user, ID_BYTES) != 0) {
        uint8_t random[2 * E2EE_KEY_BYTES];
        mind_random(client, random, sizeof random);
        (void)e2ee_account_create(client->e2ee, client->user, random);
    }
    frame.body_case = PB_FRAME_BODY_VAULT_PUT;
    frame.body.vault_put.ver = 1;
    if (e2ee_vault_seal(client->e2ee, 1, &client->step, &frame.body.vault_put.blob) == E2EE_OK)
        enrol_request(client, &frame, CLIENT_ENROL_VAULT_PUT);
}

void account_vault(struct client *client, const struct pb_vault_answer *vault)
{
    struct e2ee_facts facts = e2ee_facts(client->e2ee);
    if (client->enrol != CLIENT_ENROL_VAULT_GET)
        return;
    bool known = facts.has_account && memcmp(facts.user, client->user, ID_BYTES) == 0;
    if (!known && e2ee_vault_open(client->e2ee, client->user, vault->blob) != E2EE_OK) {
        enrol_end(client, PB_ERROR_CODE_DENIED, SLICE_LITERAL("the vault does not open"), 0);
        mind_close(client);
        return;
    }
    after_vault(client);
}

void account_lists(struct client *client, const struct pb_devlist_answer *answer)
{
    struct client_user *self = rows_user_new(client, client->user);
    struct e2ee_facts facts = e2ee_facts(client->e2ee);
    if (client->enrol != CLIENT_ENROL_LIST_GET || !self)
        return;
    uint32_t before = self->dl_n;
    contacts_lists(client, self, answer);
    if (self->broken || (self->dl_n && memcmp(self->aik, facts.aik, 32) != 0)) {
        enrol_end(client, PB_ERROR_CODE_DENIED,
                  SLICE_LITERAL("the account's device list is not ours"), 0);
        mind_close(client);
    } else if (answer->more && self->dl_n > before) {
        ask_lists(client);
    } else {
        put_list(client);
    }
}

/* The number that DEVLIST_PUT made; the list itself is read back, and checked, as any other. */
void account_ok(struct client *client, const struct client_request *request, const struct pb_ok *ok)
{
    if (request->kind == PB_FRAME_BODY_VAULT_PUT && client->enrol == CLIENT_ENROL_VAULT_PUT) {
        after_vault(client);
    } else if (request->kind == PB_FRAME_BODY_DEVLIST_PUT &&
               client->enrol == CLIENT_ENROL_LIST_PUT) {
        client->enrolled = client->meta_dirty = true;
        enrol_end(client, PB_ERROR_CODE_NONE, SLICE_EMPTY, 0);
        sync_hello(client);
    } else if (request->kind == PB_FRAME_BODY_DEVLIST_PUT) {
        contacts_want(client, client->user, ok->ver);
        mind_result(client, request->command, PB_ERROR_CODE_NONE, SLICE_EMPTY);
    } else {
        mind_result(client, request->command, PB_ERROR_CODE_NONE, SLICE_EMPTY);
    }
}

static bool passes(enum pb_error_code code)
{
    return code == PB_ERROR_CODE_BUSY || code == PB_ERROR_CODE_RETRY;
}

void account_error(struct client *client, const struct client_request *request,
                   const struct pb_error *error)
{
    if (client->phase != CLIENT_PHASE_ENROLLING) {
        struct pb_notice_result *result = mind_result_of(client, request->command);
        if (result) {
            result->error = (uint32_t)error->code;
            result->retry_ms = error->retry_ms;
            result->detail = arena_copy(&client->step, error->detail);
        }
        return;
    }
    if (passes(error->code)) {
        if (request->kind == PB_FRAME_BODY_REGISTER && error->code == PB_ERROR_CODE_BUSY)
            client->enrol_sent = false; /* surely not done */
        mind_close(client);
        client->retry_at += error->retry_ms;
    } else if (error->code == PB_ERROR_CODE_CONFLICT) {
        struct pb_frame frame = {.body_case = PB_FRAME_BODY_VAULT_GET};
        if (request->kind == PB_FRAME_BODY_VAULT_PUT)
            enrol_request(client, &frame, CLIENT_ENROL_VAULT_GET);
        else
            ask_lists(client);
    } else if (request->kind == PB_FRAME_BODY_LOGIN && client->enrol_registers &&
               client->enrol_tries < 4 && error->code == PB_ERROR_CODE_AUTH) {
        client->enrol_sent = false; /* the REGISTER had not happened: once more */
        mind_close(client);
    } else {
        bool full =
            request->kind == PB_FRAME_BODY_DEVLIST_PUT && error->code == PB_ERROR_CODE_LIMIT;
        enrol_end(client, error->code,
                  full ? SLICE_LITERAL("this account has had 256 devices; it cannot have more")
                       : error->detail,
                  error->retry_ms);
        mind_close(client);
    }
}

/* A list that the server told of is not here yet. */
static bool list_comes(const struct client_user *self)
{
    return self->wanted_n > self->dl_n && !self->fetched;
}

/* Without lines: the newest list is not here yet; ask again. */
static void devices(struct client *client, uint32_t command)
{
    struct client_user *self = client_user_find(client, client->user);
    struct pb_notice_result *result = mind_result_of(client, command);
    struct devlist list;
    if (!result || !self || list_comes(self) || devlist_read(self->dl, &list) != STATUS_OK)
        return;
    result->devices = arena_array(&client->step, DEVLIST_DEVICES_MAX, sizeof *result->devices);
    for (uint8_t i = 0; result->devices && i < list.device_count; i++)
        result->devices[result->devices_count++] = (struct pb_device_line){
            .device_id = arena_copy(&client->step, slice_make(list.devices[i].id, ID_BYTES)),
            .name = arena_copy(&client->step, list.devices[i].name),
            .added_n = list.devices[i].added_n,
            .this_device = memcmp(list.devices[i].id, client->device, ID_BYTES) == 0};
}

/* A restored server lacks the newest list: it gets it again. */
void account_put_again(struct client *client, uint64_t dl_n)
{
    const struct client_user *self = client_user_find(client, client->user);
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_DEVLIST_PUT};
    if (!self || dl_n + 1 != self->dl_n)
        return;
    frame.body.devlist_put.dl = self->dl;
    (void)mind_request(client, &frame, NULL, 0, 0);
}

void account_remove_go_on(struct client *client)
{
    struct client_user *self = client_user_find(client, client->user);
    struct devlist list;
    if (!client->remove_command || !client->synced || !self || list_comes(self) ||
        devlist_read(self->dl, &list) != STATUS_OK)
        return;
    uint32_t command = client->remove_command;
    client->remove_command = 0;
    struct slice bytes = sign_list(client, &list, self->dl_hash, client->remove_device);
    if (bytes.bytes == 0) {
        mind_result(client, command, PB_ERROR_CODE_NOT_FOUND, SLICE_LITERAL("no such device"));
        return;
    }
    struct pb_frame frame = {.body_case = PB_FRAME_BODY_DEVLIST_PUT};
    frame.body.devlist_put.dl = bytes;
    if (!mind_request(client, &frame, NULL, 0, command))
        mind_result(client, command, PB_ERROR_CODE_BUSY, SLICE_EMPTY);
}

static void send_text(struct client *client, const struct pb_command_send *send, uint32_t command)
{
    struct client_chat *chat =
        send->chat_id.bytes == ID_BYTES ? client_chat_find(client, send->chat_id.at) : NULL;
    struct client_user *user =
        send->to_username.bytes ? client_user_named(client, send->to_username) : NULL;
    if (slice_equal(send->to_username, client->username)) {
        mind_result(client, command, PB_ERROR_CODE_DENIED, SLICE_LITERAL("that is yourself"));
        return;
    }
    if (!chat && user && user->dl_n)
        chat = contacts_chat_with(client, user);
    if (!chat && send->to_username.bytes) {
        contacts_wait(client, send->to_username, send->text, true, command);
        return;
    }
    if (!chat) {
        mind_result(client, command, PB_ERROR_CODE_NOT_FOUND, SLICE_LITERAL("no such chat"));
        return;
    }
    user = client_user_find(client, chat->peer);
    if (user && user->broken)
        mind_result(client, command, PB_ERROR_CODE_DENIED,
                    SLICE_LITERAL("this person's device list cannot be trusted"));
    else
        (void)outbox_compose(client, chat, send->text, command);
}

/* A request whose only state is the answer; refused while there is no session. */
static void ask(struct client *client, struct pb_frame *frame, const uint8_t *id, uint32_t command)
{
    if (client->phase != CLIENT_PHASE_READY || !mind_request(client, frame, id, 0, command))
        mind_result(client, command, PB_ERROR_CODE_BUSY, SLICE_LITERAL("not connected"));
}

static void session_command(struct client *client, const struct pb_event_command *command)
{
    struct pb_frame frame = {0};
    switch (command->body_case) {
    case PB_EVENT_COMMAND_BODY_SEND:
        send_text(client, &command->body.send, command->request);
        break;
    case PB_EVENT_COMMAND_BODY_READ:
        marks_read(client, &command->body.read, command->request);
        break;
    case PB_EVENT_COMMAND_BODY_OPEN:
        contacts_wait(client, command->body.open.username, SLICE_EMPTY, false, command->request);
        break;
    case PB_EVENT_COMMAND_BODY_DEVICES: devices(client, command->request); break;
    case PB_EVENT_COMMAND_BODY_REMOVE_DEVICE:
        if (client->remove_command)
            mind_result(client, client->remove_command, PB_ERROR_CODE_BUSY,
                        SLICE_LITERAL("another device is signed out first"));
        (void)id_take(client->remove_device, command->body.remove_device.device_id);
        client->remove_command = command->request;
        break;
    case PB_EVENT_COMMAND_BODY_INVITE:
        frame.body_case = PB_FRAME_BODY_INVITE;
        frame.body.invite = (struct pb_invite){.uses = command->body.invite.uses,
                                               .days = command->body.invite.days};
        ask(client, &frame, NULL, command->request);
        break;
    case PB_EVENT_COMMAND_BODY_PASSWORD:
        frame.body_case = PB_FRAME_BODY_PASSWORD_SET;
        frame.body.password_set =
            (struct pb_password_set){.old_password = command->body.password.old_password,
                                     .new_password = command->body.password.new_password};
        ask(client, &frame, NULL, command->request);
        break;
    case PB_EVENT_COMMAND_BODY_MARKS:
        frame.body_case = PB_FRAME_BODY_MARKS;
        frame.body.marks.chat_id = command->body.marks.chat_id;
        ask(client, &frame,
            command->body.marks.chat_id.bytes == ID_BYTES ? command->body.marks.chat_id.at : NULL,
            command->request);
        break;
    case PB_EVENT_COMMAND_BODY_REGISTER:
    case PB_EVENT_COMMAND_BODY_LOGIN:
    case PB_EVENT_COMMAND_BODY_NONE:
    default: mind_result(client, command->request, PB_ERROR_CODE_UNSUPPORTED, SLICE_EMPTY); break;
    }
}

void account_command(struct client *client, const struct pb_event_command *command)
{
    const struct pb_command_register *sign_up = &command->body.register_;
    const struct pb_command_login *login = &command->body.login;
    if (client->stopped) {
        mind_result(client, command->request, PB_ERROR_CODE_DENIED, SLICE_LITERAL("signed out"));
    } else if (command->body_case == PB_EVENT_COMMAND_BODY_REGISTER) {
        client->device_name = mind_keep(client, sign_up->device_name);
        enrol_begin(client, command->request, true, sign_up->server, sign_up->username,
                    sign_up->password);
        client->enrol_invite = mind_keep(client, sign_up->invite);
    } else if (command->body_case == PB_EVENT_COMMAND_BODY_LOGIN) {
        client->device_name = mind_keep(client, login->device_name);
        enrol_begin(client, command->request, false, login->server, login->username,
                    login->password);
    } else if (!client->enrolled) {
        mind_result(client, command->request, PB_ERROR_CODE_AUTH,
                    SLICE_LITERAL("sign up or sign in first"));
    } else {
        session_command(client, command);
    }
}
