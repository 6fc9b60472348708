/* SPDX-License-Identifier: Apache-2.0
 * chat_group_rig.h: makers and checks for the tables of group chats, over fold_rig.h. People are
 * numbers from 1, or letters from a; a policy is written as letters in join order, upper case an
 * owner, with ' an admin; leaves as pairs of a person and a digit. Tests only.
 * Owner: one test. Bounds: those of the rig's arena. */
#pragma once

#include "core/chat.h"
#include "core/fold_rig.h"
#include "wire/policy.h"

struct group_rig {
    struct fold_rig rig;
    uint8_t chat[ID_BYTES];
    uint8_t mid; /* of the newest record that carries one */
};

/* A commit in words; NULL and 0: none of it. */
struct group_commit {
    uint16_t person;
    uint8_t device;
    uint64_t mls_epoch; /* that it ends */
    const char *people; /* the new policy */
    const char *users_added, *users_removed, *leaves_added, *leaves_removed;
    bool external;
    uint8_t rights; /* of the new policy; 0: all may send */
    uint8_t ver;    /* of the new policy, above the old one; 0: 1 */
};

/* Who commits, and in which epoch: the beginning of a struct group_commit. */
#define BY(who, which, epoch) .person = who, .device = which, .mls_epoch = epoch

int group_setup(void **state);
int group_teardown(void **state);
void group_open(struct group_rig *group);
void group_close(struct group_rig *group);
void group_again(struct group_rig *group); /* closed, and open for the next row of a table */

struct slice group_user(struct group_rig *group, uint16_t person);
struct slice group_device(struct group_rig *group, uint16_t person, uint8_t device);
/* A mid of its own, all of this byte. */
struct slice group_mid(struct group_rig *group, uint8_t mid);
struct slice group_policy(struct group_rig *group, const char *people, uint8_t kind, uint32_t ver,
                          uint8_t rights);
/* The ids of these people; of these devices, with their owners. */
struct slice *group_users(struct group_rig *group, const char *people, size_t *count);
struct slice *group_leaves(struct group_rig *group, const char *leaves, struct slice **owners,
                           size_t *count);

/* The chat's id is that of the direct chat of these two from here on; of one person: of the self
 * chat. */
void group_pair(struct group_rig *group, uint16_t person, uint16_t other);
/* A creation by device 1 of `person`, all may send, under a mid of its own. */
struct pb_record group_create(struct group_rig *group, uint16_t person, uint32_t gen,
                              const char *people, const char *leaves);
/* By person 1, owner, with `count` people from `first` behind it, a leaf each. */
struct pb_record group_create_range(struct group_rig *group, uint16_t first, uint16_t count,
                                    uint32_t gen);
/* People 1 … count. */
struct pb_record group_create_many(struct group_rig *group, uint16_t count, uint32_t gen);
/* Created with device 1 of each, at cseq 1, epoch 1. */
void group_start(struct group_rig *group, const char *people, uint8_t rights);
/* So started: A owner, b admin, c and d members, and all may send. */
void group_usual(struct group_rig *group);

/* Under a mid of its own, in the generation that stands. */
struct pb_record group_commit_record(struct group_rig *group, const struct group_commit *commit);
enum fold_verdict group_commit(struct group_rig *group, const struct group_commit *commit);

/* Device 1 of the person leaves; the list of the person loses these devices. */
struct pb_record group_leave_record(struct group_rig *group, uint16_t person, uint64_t join_cseq);
enum fold_verdict group_leave(struct group_rig *group, uint16_t person, uint64_t join_cseq);
enum fold_verdict group_devices_go(struct group_rig *group, uint16_t person, const char *devices,
                                   bool closed);

enum fold_verdict group_fold(struct group_rig *group, const struct pb_record *record);
enum fold_verdict group_send(struct group_rig *group, uint16_t person, uint8_t device,
                             uint64_t sctr, uint64_t mls_epoch);
/* EXCEPTION: six parameters: what a message is sealed under is two of them. */
enum fold_verdict group_send_at(struct group_rig *group, uint16_t person, uint8_t device,
                                uint64_t sctr, uint16_t gen, uint64_t mls_epoch);
struct pb_chat_head group_head(struct group_rig *group);
struct pb_membership group_membership(struct group_rig *group, uint16_t person);

/* The newest record bore a REJECTED of this reason to the person, or none (NONE); it wrote nothing
 * but what a consumed counter needs. */
void group_check_refused(struct group_rig *group, uint16_t person, enum pb_error_code reason);
/* Folded again at its place the record writes nothing and bears what it bore before. */
void group_replay(struct group_rig *group, const struct pb_record *record, uint64_t offset,
                  const struct fold_outcome *before);
