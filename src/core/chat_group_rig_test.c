/* SPDX-License-Identifier: Apache-2.0 */
#include "core/chat_group_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ports/crypto.h"

#define PEOPLE_MAX 512u

void group_open(struct group_rig *group)
{
    memset(group, 0, sizeof *group);
    rig_open(&group->rig);
    memset(group->chat, 0xC4, ID_BYTES);
    group->mid = 100;
}

void group_close(struct group_rig *group)
{
    rig_close(&group->rig);
}

int group_setup(void **state)
{
    static struct group_rig group;
    group_open(&group);
    *state = &group;
    return 0;
}

int group_teardown(void **state)
{
    group_close(*state);
    return 0;
}

/* ---- names ---- */

static struct slice id_of(struct group_rig *group, uint8_t kind, uint16_t person, uint8_t device)
{
    uint8_t *id = ARENA_ARRAY(&group->rig.arena, uint8_t, ID_BYTES);
    assert_non_null(id);
    id[0] = kind;
    id[1] = (uint8_t)(person >> 8);
    id[2] = (uint8_t)person;
    id[3] = device;
    return slice_make(id, ID_BYTES);
}

void group_again(struct group_rig *group)
{
    group_close(group);
    group_open(group);
}

struct slice group_user(struct group_rig *group, uint16_t person)
{
    return id_of(group, 0x10, person, 0);
}

struct slice group_device(struct group_rig *group, uint16_t person, uint8_t device)
{
    return id_of(group, 0x20, person, device);
}

struct slice group_mid(struct group_rig *group, uint8_t mid)
{
    uint8_t *id = ARENA_ARRAY(&group->rig.arena, uint8_t, ID_BYTES);
    assert_non_null(id);
    memset(id, mid, ID_BYTES);
    return slice_make(id, ID_BYTES);
}

static uint16_t person_of(char letter)
{
    return (uint16_t)((letter | 0x20) - 'a' + 1);
}

struct slice *group_users(struct group_rig *group, const char *people, size_t *count)
{
    struct slice *users = ARENA_ARRAY(&group->rig.arena, struct slice, strlen(people) + 1);
    assert_non_null(users);
    *count = 0;
    for (; *people != '\0'; people++)
        users[(*count)++] = group_user(group, person_of(*people));
    return users;
}

struct slice *group_leaves(struct group_rig *group, const char *leaves, struct slice **owners,
                           size_t *count)
{
    size_t room = strlen(leaves) / 2 + 1;
    struct slice *devices = ARENA_ARRAY(&group->rig.arena, struct slice, room);
    *owners = ARENA_ARRAY(&group->rig.arena, struct slice, room);
    assert_true(devices != NULL && *owners != NULL);
    *count = 0;
    for (; *leaves != '\0'; leaves += 2) {
        (*owners)[*count] = group_user(group, person_of(leaves[0]));
        devices[(*count)++] = group_device(group, person_of(leaves[0]), (uint8_t)(leaves[1] - '0'));
    }
    return devices;
}

/* ---- policies ---- */

struct roster {
    uint16_t count;
    uint16_t person[PEOPLE_MAX];
    uint8_t role[PEOPLE_MAX];
};

static struct slice roster_write(struct group_rig *group, const struct roster *roster,
                                 const uint8_t head[7])
{
    struct buf out =
        buf_in(&group->rig.arena, POLICY_HEAD_BYTES + (size_t)roster->count * POLICY_MEMBER_BYTES);
    buf_put(&out, slice_make(head, 7));
    buf_u16be(&out, roster->count);
    for (uint16_t i = 0; i < roster->count; i++) {
        buf_put(&out, group_user(group, roster->person[i]));
        buf_zero(&out, 32);
        buf_u8(&out, roster->role[i]);
    }
    assert_false(out.overflow);
    return buf_slice(&out);
}

struct slice group_policy(struct group_rig *group, const char *people, uint8_t kind, uint32_t ver,
                          uint8_t rights)
{
    static struct roster roster;
    const uint8_t head[7] = {1, 0, 0, (uint8_t)(ver >> 8), (uint8_t)ver, kind, rights};
    roster.count = 0;
    for (; *people != '\0'; people++) {
        uint16_t at = roster.count++;
        roster.person[at] = person_of(*people);
        roster.role[at] = *people < 'a' ? POLICY_ROLE_OWNER : POLICY_ROLE_MEMBER;
        if (people[1] == '\'') {
            roster.role[at] = POLICY_ROLE_ADMIN;
            people++;
        }
    }
    return roster_write(group, &roster, head);
}

void group_pair(struct group_rig *group, uint16_t person, uint16_t other)
{
    uint8_t input[DIRECT_CHAT_INPUT_BYTES], hash[SHA256_BYTES];
    struct slice part = SLICE_OF(input);
    direct_chat_input(group_user(group, person).at, group_user(group, other).at, input);
    crypto_sha256(&part, 1, hash);
    memcpy(group->chat, hash, ID_BYTES);
}

/* ---- records ---- */

static struct pb_record create_by(struct group_rig *group, uint16_t person, uint32_t gen)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_CREATE};
    record.body.create = (struct pb_create){.user_id = group_user(group, person),
                                            .device_id = group_device(group, person, 1),
                                            .mid = group_mid(group, group->mid++),
                                            .gen = gen,
                                            .mls_epoch = 1};
    return record;
}

struct pb_record group_create(struct group_rig *group, uint16_t person, uint32_t gen,
                              const char *people, const char *leaves)
{
    struct pb_record record = create_by(group, person, gen);
    struct pb_create *create = &record.body.create;
    create->policy = group_policy(group, people, POLICY_GROUP, gen, POLICY_ALL_MAY_SEND);
    create->leaves = group_leaves(group, leaves, &create->leaf_users, &create->leaves_count);
    create->leaf_users_count = create->leaves_count;
    return record;
}

struct pb_record group_create_range(struct group_rig *group, uint16_t first, uint16_t count,
                                    uint32_t gen)
{
    static struct roster roster;
    const uint8_t head[7] = {
        1, 0, 0, (uint8_t)(gen >> 8), (uint8_t)gen, POLICY_GROUP, POLICY_ALL_MAY_SEND};
    struct pb_record record = create_by(group, 1, gen);
    struct pb_create *create = &record.body.create;
    assert_true(count < PEOPLE_MAX);
    create->leaves = ARENA_ARRAY(&group->rig.arena, struct slice, count + 1u);
    create->leaf_users = ARENA_ARRAY(&group->rig.arena, struct slice, count + 1u);
    assert_true(create->leaves != NULL && create->leaf_users != NULL);
    roster.count = (uint16_t)(count + 1);
    for (uint16_t i = 0; i <= count; i++) {
        roster.person[i] = i == 0 ? 1 : (uint16_t)(first + i - 1);
        roster.role[i] = i == 0 ? POLICY_ROLE_OWNER : POLICY_ROLE_MEMBER;
        create->leaf_users[i] = group_user(group, roster.person[i]);
        create->leaves[i] = group_device(group, roster.person[i], 1);
    }
    /* As many leaves as a creation may bring. */
    create->leaves_count = create->leaf_users_count = count < 256 ? count + 1u : 256u;
    create->policy = roster_write(group, &roster, head);
    return record;
}

struct pb_record group_create_many(struct group_rig *group, uint16_t count, uint32_t gen)
{
    return group_create_range(group, 2, (uint16_t)(count - 1), gen);
}

void group_start(struct group_rig *group, const char *people, uint8_t rights)
{
    char leaves[64];
    size_t at = 0;
    for (const char *person = people; *person != '\0'; person++) {
        if (*person == '\'')
            continue;
        leaves[at++] = *person;
        leaves[at++] = '1';
    }
    leaves[at] = '\0';
    struct pb_record record = group_create(group, 1, 1, people, leaves);
    record.body.create.policy = group_policy(group, people, POLICY_GROUP, 1, rights);
    assert_int_equal(group_fold(group, &record), FOLD_APPLIED);
}

void group_usual(struct group_rig *group)
{
    group_start(group, "Ab'cd", POLICY_ALL_MAY_SEND);
}

static const char *text(const char *maybe)
{
    return maybe != NULL ? maybe : "";
}

struct pb_record group_commit_record(struct group_rig *group, const struct group_commit *commit)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_COMMIT};
    struct pb_commit *body = &record.body.commit;
    struct pb_chat_head head = group_head(group);
    struct slice *owners;
    *body = (struct pb_commit){.user_id = group_user(group, commit->person),
                               .device_id = group_device(group, commit->person, commit->device),
                               .mid = group_mid(group, group->mid++),
                               .gen = head.gen,
                               .mls_epoch = commit->mls_epoch,
                               .external = commit->external,
                               .commit = SLICE_LITERAL("handshake")};
    if (commit->people != NULL)
        body->policy = group_policy(group, commit->people, (uint8_t)head.kind,
                                    head.policy_ver + (commit->ver != 0 ? commit->ver : 1),
                                    commit->rights != 0 ? commit->rights : POLICY_ALL_MAY_SEND);
    body->users_added = group_users(group, text(commit->users_added), &body->users_added_count);
    body->users_removed =
        group_users(group, text(commit->users_removed), &body->users_removed_count);
    body->leaves_removed =
        group_leaves(group, text(commit->leaves_removed), &owners, &body->leaves_removed_count);
    body->leaves_added = group_leaves(group, text(commit->leaves_added), &body->leaf_users,
                                      &body->leaves_added_count);
    body->leaf_users_count = body->leaves_added_count;
    return record;
}

enum fold_verdict group_commit(struct group_rig *group, const struct group_commit *commit)
{
    struct pb_record record = group_commit_record(group, commit);
    return group_fold(group, &record);
}

struct pb_record group_leave_record(struct group_rig *group, uint16_t person, uint64_t join_cseq)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_LEAVE};
    record.body.leave = (struct pb_leave){.user_id = group_user(group, person),
                                          .device_id = group_device(group, person, 1),
                                          .mid = group_mid(group, group->mid++),
                                          .gen = group_head(group).gen,
                                          .join_cseq = join_cseq,
                                          .statement = SLICE_LITERAL("I leave")};
    return record;
}

enum fold_verdict group_leave(struct group_rig *group, uint16_t person, uint64_t join_cseq)
{
    struct pb_record record = group_leave_record(group, person, join_cseq);
    return group_fold(group, &record);
}

enum fold_verdict group_devices_go(struct group_rig *group, uint16_t person, const char *devices,
                                   bool closed)
{
    struct pb_record record = {.body_case = PB_RECORD_BODY_DEVICE_CHANGE};
    struct pb_device_change *change = &record.body.device_change;
    struct slice *owners;
    *change = (struct pb_device_change){
        .user_id = group_user(group, person), .dl_n = 2, .closed = closed};
    change->removed = group_leaves(group, devices, &owners, &change->removed_count);
    return group_fold(group, &record);
}

enum fold_verdict group_fold(struct group_rig *group, const struct pb_record *record)
{
    return rig_fold(&group->rig, TOPIC_MESSAGES, group->chat, record);
}

enum fold_verdict group_send_at(struct group_rig *group, uint16_t person, uint8_t device,
                                uint64_t sctr, uint16_t gen, uint64_t mls_epoch)
{
    struct buf envelope = buf_in(&group->rig.arena, ENVELOPE_OVERHEAD_BYTES + 64);
    struct envelope_header header = {.gen = gen, .mls_epoch = mls_epoch, .sctr = sctr};
    memcpy(header.chat, group->chat, ID_BYTES);
    memcpy(header.device, group_device(group, person, device).at, ID_BYTES);
    envelope_header_write(&header, &envelope);
    buf_zero(&envelope, ENVELOPE_OVERHEAD_BYTES + 64 - envelope.bytes);
    struct pb_record record = {.body_case = PB_RECORD_BODY_ENTRY};
    record.body.entry =
        (struct pb_chat_entry){.user_id = group_user(group, person),
                               .mid = group_mid(group, (uint8_t)(person * 16 + sctr)),
                               .envelope = buf_slice(&envelope)};
    return group_fold(group, &record);
}

enum fold_verdict group_send(struct group_rig *group, uint16_t person, uint8_t device,
                             uint64_t sctr, uint64_t mls_epoch)
{
    return group_send_at(group, person, device, sctr, 1, mls_epoch);
}

/* ---- what is stored ---- */

struct pb_chat_head group_head(struct group_rig *group)
{
    struct pb_chat_head head = {0};
    const struct row *row = rig_row(&group->rig, TABLE_CHAT_HEAD, group->chat, NULL, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_chat_head_type, row, &group->rig.arena, &head));
    return head;
}

struct pb_membership group_membership(struct group_rig *group, uint16_t person)
{
    struct pb_member_row member = {0};
    const struct row *row =
        rig_row(&group->rig, TABLE_MEMBER, group->chat, group_user(group, person).at, 0);
    if (row != NULL)
        assert_true(fold_decode(&pb_member_row_type, row, &group->rig.arena, &member));
    return member.now;
}

void group_check_refused(struct group_rig *group, uint16_t person, enum pb_error_code reason)
{
    const struct fold_outcome *out = &group->rig.out;
    const struct pb_record *record =
        rig_bore(&group->rig, group_user(group, person).at, PB_RECORD_BODY_REJECTED);
    if (reason == PB_ERROR_CODE_NONE) {
        assert_null(record);
        return;
    }
    assert_non_null(record);
    const struct pb_rejected *rejected = &record->body.rejected;
    struct pb_chat_head head = group_head(group);
    assert_int_equal(rejected->reason, reason);
    assert_int_equal(rejected->gen, head.gen);
    assert_int_equal(rejected->mls_epoch, head.mls_epoch);
    assert_int_equal(rejected->floor, head.floor);
    assert_int_equal(out->emissions_count, 1);
    assert_int_equal(out->writes_count, 0);
    assert_int_equal(out->late_count, rejected->consumed ? 2 : 0);
}

void group_replay(struct group_rig *group, const struct pb_record *record, uint64_t offset,
                  const struct fold_outcome *before)
{
    struct fold_place at = {1, offset, 0};
    assert_int_equal(rig_fold_at(&group->rig, TOPIC_MESSAGES, group->chat, record, at),
                     FOLD_REPLAYED);
    const struct fold_outcome *out = &group->rig.out;
    assert_int_equal(out->writes_count + out->late_count, 0);
    assert_int_equal(out->emissions_count, before->emissions_count);
    for (size_t i = 0; i < before->emissions_count; i++) {
        assert_memory_equal(before->emissions[i].key, out->emissions[i].key, ID_BYTES);
        assert_int_equal(before->emissions[i].body->body_case, out->emissions[i].body->body_case);
        struct slice was = pb_record_pack_v1(before->emissions[i].body, &group->rig.arena);
        struct slice is = pb_record_pack_v1(out->emissions[i].body, &group->rig.arena);
        assert_true(slice_equal(was, is));
    }
}
