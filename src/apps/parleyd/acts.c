/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/acts.h"

#include <stdio.h>
#include <string.h>

#include "adapters/system/system.h"
#include "apps/parleyd/audit.h"
#include "apps/parleyd/desk.h"
#include "apps/parleyd/events.h"
#include "base/base64.h"
#include "core/username.h"
#include "ports/crypto.h"
#include "wire/gen/record.pb.h"
#include "wire/gen/row.pb.h"

#define RESET_MS     (24u * 3600000u)
#define SECRET_BYTES 16u
#define ARENA_BYTES  (64u << 10)

static const struct act {
    const char *verb;
    bool suspended, closed, reset;
} acts[] = {{"suspend", true, false, false},
            {"unsuspend", false, false, false},
            {"delete", true, true, false},
            {"reset", false, false, true}};

/* ---- who is meant ---- */

struct found {
    enum dir_type type;
    const struct pb_type *message;
    void *out;
};

/* The one row of the directory with this key. */
static bool dir_get(struct node *node, const uint8_t key[ID_BYTES], struct arena *arena,
                    struct found found)
{
    uint8_t before[ID_BYTES];
    struct row row;
    struct slice body;
    memcpy(before, key, ID_BYTES);
    for (size_t i = ID_BYTES; i-- > 0 && before[i]-- == 0;)
        ; /* the key before it, for a page begins above a key */
    struct rocks_page page = {
        .type = found.type, .after = before, .rows = &row, .rows_max = 1, .arena = arena};
    return rocks_db_page(&node->index.db, &page) == STATUS_OK && page.rows_count == 1 &&
           memcmp(row.key.a, key, ID_BYTES) == 0 && pb_unwrap(row.value, 1, &body) == STATUS_OK &&
           pb_decode(found.message, body, arena, found.out) == STATUS_OK;
}

static bool user_find(struct node *node, const char *name, struct arena *arena,
                      struct pb_user_row *user)
{
    uint8_t key[ID_BYTES];
    struct pb_name_row row;
    username_key(slice_text(name), key);
    if (!dir_get(node, key, arena, (struct found){DIR_NAME, &pb_name_row_type, &row}) ||
        row.user_id.bytes != ID_BYTES)
        return false;
    memcpy(node->desk.user, row.user_id.at, ID_BYTES);
    return dir_get(node, node->desk.user, arena,
                   (struct found){DIR_USER, &pb_user_row_type, user}) &&
           slice_equal(user->username, slice_text(name));
}

/* ---- the record ---- */

static void reset_fill(struct node *node, struct pb_account_reset *reset,
                       uint8_t hash[SHA256_BYTES])
{
    uint8_t random[SECRET_BYTES];
    system_entropy()->vtable->fill(system_entropy(), random, sizeof random);
    struct buf text = buf_over(node->desk.secret, sizeof node->desk.secret - 1);
    base64url_write(&text, SLICE_OF(random));
    node->desk.secret[text.bytes] = '\0';
    struct slice whole = buf_slice(&text);
    crypto_sha256(&whole, 1, hash);
    uint64_t now_ms = system_clock()->vtable->read(system_clock()).wall_us / 1000;
    *reset = (struct pb_account_reset){slice_make(hash, SHA256_BYTES), now_ms + RESET_MS};
}

static enum status act_append(struct node *node, const struct act *act, struct arena *arena)
{
    uint8_t hash[SHA256_BYTES];
    struct pb_record record = {.body_case = PB_RECORD_BODY_ACCOUNT};
    struct pb_account *account = &record.body.account;
    node->desk.secret[0] = '\0';
    if (act->reset) {
        account->body_case = PB_ACCOUNT_BODY_RESET;
        reset_fill(node, &account->body.reset, hash);
    } else {
        account->body_case = PB_ACCOUNT_BODY_STATE;
        account->body.state = (struct pb_account_state){act->suspended, act->closed};
    }
    struct slice bytes = pb_record_pack_v1(&record, arena);
    if (arena->exhausted)
        return STATUS_BUSY;
    return shard_operate(&node->shards[0].shard, TOPIC_DELIVERIES, node->desk.user, bytes);
}

/* ---- the desk ---- */

static void act_begin(struct node *node, const struct act *act, const char *name,
                      const char *reason)
{
    struct failure failure = {0};
    struct pb_user_row user;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const struct audit_entry entry = {
        .act = act->verb, .uid = node->admin.uid, .user = node->desk.user, .reason = reason};
    if (!audit_reason_valid(reason))
        desk_refuse(node, "INVALID give a reason of 3 to 200 bytes for the audit log");
    else if (node_read_only(node) != NULL)
        desk_refuse(node, "DENIED the server only reads: see parleyctl status");
    else if (!user_find(node, name, &arena, &user))
        desk_refuse(node, "NOT_FOUND nobody has this username");
    else if (user.closed)
        desk_refuse(node, "DENIED this account is closed: nothing changes it any more");
    else if (audit_write(node->config->data, &entry, &failure) != STATUS_OK)
        desk_refuse(node, failure.text);
    else if (act_append(node, act, &arena) != STATUS_OK)
        desk_refuse(node, "BUSY the log has no room now, try again");
    else {
        node->desk.state = DESK_ACT;
        events_act(node, act->verb, node->desk.user);
    }
    arena_deinit(&arena);
}

bool acts_take(struct node *node, const char *line)
{
    char verb[16], name[48];
    int at = 0;
    if (sscanf(line, "%15s %47s %n", verb, name, &at) != 2 || at == 0)
        return false;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        if (strcmp(verb, acts[i].verb) == 0) {
            act_begin(node, &acts[i], name, line + at);
            return true;
        }
    return false;
}

/* Durable, and the folds are past it. */
static bool folded(const struct shard *shard)
{
    const struct lane *lane = shard->processor.lanes[0];
    return lane != NULL && lane->done_offset > shard->operator_offset;
}

void acts_go_on(struct node *node)
{
    const struct shard *shard = &node->shards[0].shard;
    struct buf *out = &node->admin.answer;
    bool wrong = shard->failed || (shard->operator_done && shard->operator_status != STATUS_OK);
    if (!wrong && !(shard->operator_done && folded(shard)))
        return;
    node->desk.state = DESK_IDLE;
    if (wrong) {
        desk_refuse(node, "IO it could not be written");
        return;
    }
    buf_text(out, "ok\n");
    if (node->desk.secret[0] != '\0') {
        buf_text(out, "secret ");
        buf_text(out, node->desk.secret);
        buf_text(out, "\n");
        memset(node->desk.secret, 0, sizeof node->desk.secret);
    }
    desk_finish(node);
}
