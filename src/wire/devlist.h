/* SPDX-License-Identifier: Apache-2.0
 * devlist.h: the device list of an account: its bytes, and the rule by which one list follows
 * another.
 * "PDL1" ‖ user_id ‖ n u32 ‖ H(previous) ‖ flags u8 ‖ AIK 32 ‖ dsk_ver u32 ‖ DSK 32 ‖ sig_AIK 64 ‖
 * ts u64 ‖ username u8-len ‖ ndev u8 ‖ ndev × (device_id ‖ sigpub 32 ‖ added_n u32 ‖ kind u8 ‖ name
 * u8-len) ‖ nrem u8 ‖ nrem × device_id ‖ sig_DSK 64.
 * Invariants: reading what was written gives the same list; one list has one writing. The server's
 * fold and the client use the same devlist_check_next; both check signatures and hashes by
 * ports/crypto.h and hand in the results. Owner: no state; any thread. Source: e2ee §4. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/slice.h"
#include "base/status.h"

#define DEVLIST_BYTES_MAX                 8192
#define DEVLIST_DEVICES_MAX               8
#define DEVLIST_NAME_BYTES_MAX            80
#define DEVLIST_USERNAME_BYTES_MAX        32
#define DEVLIST_SIG_BYTES                 64
#define DEVLIST_RESET                     1 /* flags: identity reset */
#define DEVLIST_AIK_MESSAGE_BYTES         (14 + ID_BYTES + 4 + 32)
#define DEVLIST_DSK_LABEL_BYTES           18
#define DEVLIST_SESSION_MESSAGE_BYTES_MAX (18 + 255 + 32 + ID_BYTES + 8)

struct devlist_device {
    uint8_t id[ID_BYTES];
    uint8_t sigpub[32];
    uint32_t added_n; /* number of the list that brought it */
    uint8_t kind;
    struct slice name; /* ciphertext */
};

struct devlist {
    uint8_t user[ID_BYTES];
    uint32_t n;           /* 1, 2, 3 … */
    uint8_t previous[32]; /* SHA-256 of list n − 1; zeros in the first */
    uint8_t flags;
    uint8_t aik[32];
    uint32_t dsk_ver;
    uint8_t dsk[32];
    uint8_t sig_aik[DEVLIST_SIG_BYTES];
    uint64_t ts;
    struct slice username;
    uint8_t device_count; /* 0 closes the account */
    struct devlist_device devices[DEVLIST_DEVICES_MAX];
    uint8_t removed_count;
    struct slice removed; /* removed_count × device_id, removed in this list */
    uint8_t sig_dsk[DEVLIST_SIG_BYTES];
    struct slice bytes, unsigned_bytes; /* whole, and what sig_dsk covers after its label */
};

/* INVALID: malformed, or a field out of range; TOO_LARGE: above DEVLIST_BYTES_MAX. */
enum status devlist_read(struct slice bytes, struct devlist *out) MUST_USE;

/* Everything before sig_DSK; appending 64 bytes of signature makes it a list. */
void devlist_write_unsigned(const struct devlist *list, struct buf *out);

/* What sig_AIK signs: "parley/dsk/v1" ‖ user_id ‖ dsk_ver ‖ DSK. */
void devlist_aik_message(const struct devlist *list, uint8_t out[DEVLIST_AIK_MESSAGE_BYTES]);

/* What sig_DSK signs: "parley/devlist/v1" ‖ the unsigned bytes; at most 18 B +
 * DEVLIST_BYTES_MAX. */
void devlist_dsk_message(struct slice unsigned_bytes, struct buf *out);

/* What a device signs at HELLO (protocol §3.4): "parley/session/v1" ‖ server_name ‖ nonce ‖
 * device_id ‖ conn. */
void devlist_session_message(struct slice server_name, struct slice nonce,
                             const uint8_t device[ID_BYTES], uint64_t conn, struct buf *out);

/* The listed device, or NULL. */
const struct devlist_device *devlist_find(const struct devlist *list, const uint8_t id[ID_BYTES]);

/* Did this very list remove the device? */
bool devlist_removes(const struct devlist *list, const uint8_t id[ID_BYTES]);

/* What the caller found out with ports/crypto.h, and knows beyond the two lists. */
struct devlist_proof {
    bool sig_aik_valid, sig_dsk_valid;
    uint8_t previous_hash[32];   /* SHA-256 of the bytes of `prev`; not read without one */
    struct slice removed_before; /* packed device_ids that lists up to `prev` removed, if known */
    bool reset_allowed;
};

enum devlist_fault {
    DEVLIST_OK = 0,
    DEVLIST_FAULT_NUMBER, /* n is not last + 1 */
    /* another predecessor, user or username; a list after the closing one */
    DEVLIST_FAULT_CHAIN,
    DEVLIST_FAULT_IDENTITY,  /* AIK changed without the right to */
    DEVLIST_FAULT_SIGNATURE, /* one of the two does not verify */
    DEVLIST_FAULT_DSK,       /* dsk_ver fell, or stands for another key */
    DEVLIST_FAULT_DEVICES,   /* changed, vanished or returned devices, wrong added_n */
};

/* May `next` follow `prev` (NULL: is it a first list)? Pure; O(devices × removed). */
enum devlist_fault devlist_check_next(const struct devlist *prev, const struct devlist *next,
                                      const struct devlist_proof *proof);
