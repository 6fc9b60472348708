/* SPDX-License-Identifier: Apache-2.0
 * gateway_said.c: what happens on connections, counted and said. */
#include <string.h>

#include "runtime/gateway_conn.h"
#include "wire/gen/frame.pb.h"

static const char *const words[NOTES] = {
    [NOTE_SIGNED_IN] = "signed_in",           [NOTE_SIGNED_UP] = "signed_up",
    [NOTE_PASSWORD_RIGHT] = "password_right", [NOTE_PASSWORD_WRONG] = "password_wrong",
    [NOTE_KEY_WRONG] = "key_wrong",           [NOTE_REMOVED] = "removed",
    [NOTE_SUSPENDED] = "suspended",           [NOTE_FENCED] = "fenced",
    [NOTE_DEVICES_SET] = "devices_set",       [NOTE_PASSWORD_SET] = "password_set",
    [NOTE_INVITE_MADE] = "invite_made",       [NOTE_INVITE_WRONG] = "invite_wrong"};

#define WRONG                                                                \
    (1u << NOTE_PASSWORD_WRONG | 1u << NOTE_KEY_WRONG | 1u << NOTE_REMOVED | \
     1u << NOTE_SUSPENDED | 1u << NOTE_INVITE_WRONG)

/* Who: two values, an address and an account. */
static void who_put(const struct gateway_conn *conn, struct said_value *values)
{
    memcpy(values[0].id, conn->peer, ID_BYTES);
    memcpy(values[1].id, conn->session.user.at, ID_BYTES);
}

static struct said_value *say(struct gateway *gateway, enum said_id id)
{
    return said_add(&gateway->said, id, gateway->now.wall_us);
}

void conn_tally(struct gateway *gateway, const struct gateway_conn *conn, const struct tally *tally)
{
    metrics_take(&gateway->counts, tally);
    for (uint32_t left = tally->notes; left != 0; left &= left - 1) {
        uint32_t note = (uint32_t)__builtin_ctz(left);
        struct said_value *values =
            say(gateway, (WRONG >> note & 1u) != 0 ? SAID_ACCOUNT_REFUSED : SAID_ACCOUNT);
        values[0].text = words[note];
        who_put(conn, values + 1);
    }
    if (tally->errors & UINT64_C(1) << PB_ERROR_CODE_DENIED)
        who_put(conn, say(gateway, SAID_DENIED));
    if (tally->errors & UINT64_C(1) << PB_ERROR_CODE_BAD_FRAME)
        conn_said_input(gateway, conn, "frame", PB_ERROR_CODE_BAD_FRAME);
}

void conn_said_input(struct gateway *gateway, const struct gateway_conn *conn, const char *what,
                     uint32_t code)
{
    struct said_value *values = say(gateway, SAID_INPUT);
    values[0].text = what;
    values[1].number = code;
    who_put(conn, values + 2);
}

void conn_said_limit(struct gateway *gateway, const struct gateway_conn *conn,
                     enum rate_class class, uint32_t wait_ms)
{
    struct said_value *values = say(gateway, SAID_LIMIT);
    values[0].number = class;
    values[1].number = wait_ms;
    who_put(conn, values + 2);
}

void conn_said_rollback(struct gateway *gateway, const struct gateway_conn *conn)
{
    who_put(conn, say(gateway, SAID_ROLLBACK));
}
