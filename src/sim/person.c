/* SPDX-License-Identifier: Apache-2.0
 * The person before a device: what it asks for, and whether it still waits. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/device.h"
#include "sim/profile.h"

void sim_device_send(struct sim_device *device, const char *username, size_t bytes)
{
    char text[SIM_TEXT_BYTES_MAX];
    int used = snprintf(text, sizeof text, "%s/%u says %llu ", device->username, device->number,
                        (unsigned long long)device->texts++);
    assert(used > 0);
    size_t count = (size_t)used;
    while (count < bytes && count < sizeof text)
        text[count++] = (char)('a' + prng_below(&device->prng, 26));
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_SEND};
    command.body.send.to_username = slice_make((const uint8_t *)username, strlen(username));
    command.body.send.text = slice_make((const uint8_t *)text, count);
    sim_device_command(device, &command);
}

void sim_device_read(struct sim_device *device, const uint8_t chat[ID_BYTES], uint64_t upto)
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_READ};
    command.body.read =
        (struct pb_command_read){.chat_id = slice_make(chat, ID_BYTES), .upto = upto};
    sim_device_command(device, &command);
}

void sim_device_ask(struct sim_device *device, uint64_t which, const char *username)
{
    struct slice password = SLICE_LITERAL("correct horse battery staple");
    const struct client *client = &device->client;
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_DEVICES};
    switch (which % 5) {
    case 0: break;
    case 1: {
        static const uint8_t nobody[ID_BYTES] = {1};
        bool any = client->chat_count > 0;
        command.body_case = PB_EVENT_COMMAND_BODY_MARKS;
        command.body.marks.chat_id =
            slice_make(any ? client->chats[which / 5 % client->chat_count]->id : nobody, ID_BYTES);
        break;
    }
    case 2:
        command.body_case = PB_EVENT_COMMAND_BODY_INVITE;
        command.body.invite = (struct pb_command_invite){.uses = 1, .days = 1};
        break;
    case 3:
        command.body_case = PB_EVENT_COMMAND_BODY_PASSWORD;
        command.body.password =
            (struct pb_command_password){.old_password = password, .new_password = password};
        break;
    default:
        command.body_case = PB_EVENT_COMMAND_BODY_OPEN;
        command.body.open.username = slice_text(username);
        break;
    }
    sim_device_command(device, &command);
}

void sim_device_enrol(struct sim_device *device, bool registers)
{
    struct slice server = SLICE_LITERAL("http://localhost");
    struct slice password = SLICE_LITERAL("correct horse battery staple");
    struct slice name = SLICE_LITERAL("simulated");
    struct slice username = slice_make((const uint8_t *)device->username, strlen(device->username));
    struct pb_event_command command = {.body_case = registers ? PB_EVENT_COMMAND_BODY_REGISTER
                                                              : PB_EVENT_COMMAND_BODY_LOGIN};
    if (registers)
        command.body.register_ = (struct pb_command_register){
            .server = server, .username = username, .password = password, .device_name = name};
    else
        command.body.login = (struct pb_command_login){
            .server = server, .username = username, .password = password, .device_name = name};
    device->awaited = device->next_request + 1;
    sim_device_command(device, &command);
}

void sim_device_sign_out(struct sim_device *device, const uint8_t other[ID_BYTES])
{
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_REMOVE_DEVICE};
    command.body.remove_device.device_id = slice_make(other, ID_BYTES);
    device->awaited = device->next_request + 1;
    sim_device_command(device, &command);
}

/* What the mind still wants of its server; NULL: nothing. */
static const char *wanted(const struct client *client)
{
    if (client->outbox_count > 0)
        return "messages in the outbox";
    if (client->request_count > 0)
        return "a request without an answer";
    if (client->deferred || client->need_repair || client->syncing)
        return "entries to come";
    if (client->acked_useq != client->useq)
        return "an ACK";
    for (uint32_t i = 0; i < client->chat_count; i++) {
        const struct client_chat *chat = client->chats[i];
        if (chat->load_upto > 0)
            return "a history to load";
        if (chat->read_wish > 0 || chat->delivered_wish > 0)
            return "marks that are not true";
    }
    for (uint32_t i = 0; i < client->user_count; i++)
        if (client->users[i]->wanted_n > client->users[i]->dl_n)
            return "a device list";
    for (uint32_t i = 0; i < CLIENT_WAITING_MAX; i++)
        if (client->waiting[i].used)
            return "a name to be looked up";
    return NULL;
}

const char *sim_device_owed(const struct sim_device *device)
{
    if (device->power == SIM_DEVICE_GONE)
        return NULL;
    if (device->power != SIM_DEVICE_ON || device->state != PB_CLIENT_STATE_SYNCED)
        return "a session";
    if (device->commands_count > 0)
        return "a command without an answer";
    const char *wants = wanted(&device->client);
    return wants ? wants : profile_wrong(device->store, &device->client);
}
