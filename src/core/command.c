/* SPDX-License-Identifier: Apache-2.0 */
#include "core/command.h"

#define WELCOMED IN(SESSION_WELCOMED)
#define GRANTED  IN(SESSION_GRANTED)
#define LIVE     IN(SESSION_LIVE)
#define ANY      (WELCOMED | GRANTED | IN(SESSION_ATTACHING) | LIVE)
#define COMMAND(TAG, low, ...)                                                            \
    {                                                                                     \
        .tag = PB_FRAME_BODY_##TAG, .name = #TAG, .on_frame = low##_on_frame, __VA_ARGS__ \
    }

static const struct command table[] = {
    COMMAND(REGISTER, register, .states = WELCOMED, .body_bytes_max = 512, .rate = RATE_REGISTER,
            .answered = true, .writes = true, .on_hashed = register_on_hashed,
            .on_appended = account_on_appended, .on_outcome = register_on_outcome),
    COMMAND(LOGIN, login, .states = WELCOMED, .body_bytes_max = 512, .rate = RATE_LOGIN,
            .answered = true, .on_rows = login_on_rows, .on_hashed = login_on_hashed),
    COMMAND(HELLO, hello, .states = WELCOMED | GRANTED, .body_bytes_max = 512, .answered = true,
            .on_rows = hello_on_rows),
    COMMAND(DEVLIST_PUT, devlist_put, .states = GRANTED | LIVE, .body_bytes_max = 8256,
            .rate = RATE_WRITE, .answered = true, .writes = true,
            .on_appended = account_on_appended, .on_outcome = devlist_put_on_outcome),
    COMMAND(DEVLIST_GET, devlist_get, .states = GRANTED | LIVE, .body_bytes_max = 64,
            .rate = RATE_READ, .answered = true, .on_rows = devlist_get_on_rows),
    COMMAND(VAULT_PUT, vault_put, .states = GRANTED | LIVE, .body_bytes_max = 16448,
            .rate = RATE_WRITE, .answered = true, .writes = true,
            .on_appended = account_on_appended, .on_outcome = account_on_outcome),
    COMMAND(VAULT_GET, vault_get, .states = GRANTED | LIVE, .body_bytes_max = 16, .rate = RATE_READ,
            .answered = true, .on_rows = vault_get_on_rows),
    COMMAND(CHAT_CREATE, chat_create, .states = LIVE, .body_bytes_max = 24576, .rate = RATE_WRITE,
            .answered = true, .writes = true, .on_rows = chat_create_on_rows,
            .on_appended = chat_create_on_appended),
    COMMAND(SEND, send, .states = LIVE, .body_bytes_max = 65664, .rate = RATE_SEND,
            .answered = true, .writes = true, .on_appended = send_on_appended),
    COMMAND(ACK, ack, .states = LIVE, .body_bytes_max = 64),
    COMMAND(DELIVERED, delivered, .states = LIVE, .body_bytes_max = 64, .rate = RATE_WRITE,
            .answered = true, .writes = true, .on_rows = mark_on_rows,
            .on_appended = mark_on_appended),
    COMMAND(SYNC, sync, .states = LIVE, .body_bytes_max = 32, .rate = RATE_READ, .answered = true,
            .on_rows = sync_on_rows),
    COMMAND(SNAPSHOT, snapshot, .states = LIVE, .body_bytes_max = 64, .rate = RATE_READ,
            .answered = true, .on_rows = snapshot_on_rows),
    COMMAND(HISTORY, history, .states = LIVE, .body_bytes_max = 64, .rate = RATE_READ,
            .answered = true, .on_rows = history_on_rows),
    COMMAND(MARKS, marks, .states = LIVE, .body_bytes_max = 64, .rate = RATE_READ, .answered = true,
            .on_rows = marks_on_rows),
    COMMAND(READ, read, .states = LIVE, .body_bytes_max = 64, .rate = RATE_WRITE, .answered = true,
            .writes = true, .on_rows = mark_on_rows, .on_appended = mark_on_appended),
    COMMAND(LOOKUP, lookup, .states = LIVE, .body_bytes_max = 64, .rate = RATE_LOOKUP,
            .answered = true, .on_rows = lookup_on_rows),
    COMMAND(INVITE, invite, .states = LIVE, .body_bytes_max = 32, .rate = RATE_INVITE,
            .answered = true, .writes = true, .on_rows = invite_on_rows,
            .on_appended = account_on_appended, .on_outcome = invite_on_outcome),
    COMMAND(PASSWORD_SET, password_set, .states = LIVE, .body_bytes_max = 640, .rate = RATE_LOGIN,
            .answered = true, .writes = true, .on_rows = password_set_on_rows,
            .on_hashed = password_set_on_hashed, .on_appended = account_on_appended,
            .on_outcome = account_on_outcome),
    COMMAND(PING, ping, .states = ANY, .body_bytes_max = 32),
};

const struct command *command_find(uint32_t tag)
{
    for (size_t i = 0; i < command_count(); i++)
        if (table[i].tag == tag)
            return &table[i];
    return NULL;
}

const struct command *command_at(size_t index)
{
    return &table[index];
}

size_t command_count(void)
{
    return sizeof table / sizeof table[0];
}
