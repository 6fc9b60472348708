/* SPDX-License-Identifier: Apache-2.0
 * client.h: the client's mind: a value goes in, effects come out (design §8).
 * The host executes one effect batch in this order: all of `store` in one transaction; then the
 * frames; then the notices (a message notice only if its store op really inserted). If the
 * transaction fails the host deinits the client and restores a new one from its rows.
 * Invariants (client_check): conn and counters never fall within a log_epoch, the cursor only by a
 * SNAPSHOT; nothing is sent that is not stored; a message is SENT, FAILED or in the outbox until
 * its mid returns.
 * Repeats: what the server acknowledged and does not show, and marks that do not come true, go
 * again after 10 s, then 20, 40 … up to 5 min, with jitter from the event's entropy; from 10 s
 * again on a new connection, a new acknowledgement, or when an own message returns.
 * Owner: one thread. Memory: two arenas under the host's ceiling. Source: design §5, protocol,
 * e2ee §§4–7. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "ports/e2ee.h"
#include "wire/gen/frame.pb.h"
#include "wire/gen/host.pb.h"

#define CLIENT_CHATS_MAX     5000 /* as many as the server tells of a removed device */
#define CLIENT_USERS_MAX     5000
#define CLIENT_OUTBOX_MAX    1024 /* unsettled messages, all chats */
#define CLIENT_JOURNAL_MAX   256  /* settled messages kept for a restored server … */
#define CLIENT_JOURNAL_MS    (7 * (uint64_t)86400000) /* … this long */
#define CLIENT_REQUESTS_MAX  512                      /* answers awaited on one connection */
#define CLIENT_WAITING_MAX   16 /* commands that wait for a name to be looked up */
#define CLIENT_SPANS_MAX     64
#define CLIENT_HIDDEN_MAX    128
#define CLIENT_REMOVED_MAX   512 /* devices removed in one direct chat: all of both */
#define CLIENT_VOIDED_MAX    64
#define CLIENT_TRIES_MAX     5   /* repairable refusals of one message, then it fails */
#define CLIENT_DEVICES_MAX   256 /* of one user, over all its lists: what the server lists */
#define CLIENT_BYTES_DEFAULT ((size_t)64 << 20)

struct client_span {
    uint64_t from, to;
};

/* of a chat: a device that a DEVICE_CHANGE took out */
struct client_removed {
    uint8_t device[ID_BYTES];
    uint64_t cseq;
};

struct client_chat {
    uint8_t id[ID_BYTES], peer[ID_BYTES];
    uint64_t head, mls_epoch, floor;
    uint32_t gen;
    struct slice policy;
    uint64_t delivered_by_all, read_by_all, own_read, read_wish, delivered_wish;
    struct client_span spans[CLIENT_SPANS_MAX]; /* held rows, ascending, never touching */
    uint32_t span_count;
    uint64_t hidden[CLIENT_HIDDEN_MAX];
    uint32_t hidden_count;
    struct client_removed *removed; /* grows; see rows_removed_new */
    uint32_t removed_count, removed_room;
    uint64_t voided[CLIENT_VOIDED_MAX]; /* own counters finally refused, not told yet */
    uint32_t voided_count;
    uint64_t load_upto, next_sctr, snapshot_sctr, joined;
    uint64_t stale_upto; /* rows up to here that are not held are of a server that lost them */
    uint8_t create_mid[ID_BYTES];
    bool created, create_wanted;
    /* of this connection only */
    bool dirty, resend, create_sent, start_next, listed; /* listed: in the SNAPSHOT under way */
    bool resend_all; /* acknowledged ones too, not only what the server has not taken */
    uint64_t resend_at;
};

/* of the outbox */
struct client_entry {
    struct client_chat *chat;
    uint8_t mid[ID_BYTES];
    uint64_t sctr, made_ms, sent_ms;
    enum pb_outbox_state state;
    /* filler: FAILED, but its counter is free: `void` content goes under it */
    bool reseal, filler;
    uint32_t reason, tries;
    /* of this connection: sent since the chat last started anew; refused since it was last sent;
     * a filler that waits for the next connection or message */
    bool flying, refused, parked;
    struct slice envelope, content;
};

/* of the journal: an own message that is in the log; a restored server may lack it */
struct client_settled {
    struct client_chat *chat;
    uint8_t mid[ID_BYTES];
    uint64_t sctr, cseq, made_ms, settled_ms;
    struct slice content;
};

/* of a user: one that any of its lists named */
struct client_device {
    uint8_t id[ID_BYTES], sigpub[32];
    bool removed;
};

struct client_user {
    uint8_t id[ID_BYTES];
    uint8_t aik[32], dl_hash[32];
    uint32_t dl_n;
    struct slice username, dl;
    struct client_device *devices; /* grows; see rows_device_new */
    uint32_t device_count, device_room;
    bool broken, dirty;
    uint64_t wanted_n; /* a list of this number is said to exist */
    uint64_t asked_n;  /* … when the request under way left */
    /* of this connection: a list is asked for; the newest was answered; the device that an entry
     * waits for, the one that the request under way was made for, the one it was answered for */
    bool fetching, fetched;
    uint8_t ask[ID_BYTES], asked[ID_BYTES], answered[ID_BYTES];
};

struct client_request {
    /* kind: enum pb_frame_body of the request; command: the host's number */
    uint32_t req, kind, command;
    uint8_t id[ID_BYTES];
    uint64_t n;
};

/* a SEND or OPEN whose chat is not known yet */
struct client_waiting {
    bool used, is_send, asked, found; /* found: the name is somebody's */
    uint32_t command;
    struct slice username, text;
};

enum client_phase {
    CLIENT_PHASE_IDLE,       /* no connection; maybe waiting to connect */
    CLIENT_PHASE_CONNECTING, /* asked the host */
    CLIENT_PHASE_GREETING,   /* connected, before WELCOME */
    CLIENT_PHASE_ENROLLING,  /* REGISTER or LOGIN, then under the grant */
    CLIENT_PHASE_HELLO,      /* HELLO sent */
    CLIENT_PHASE_READY,      /* a session */
};

/* why this device gives the server nothing, though it answers */
enum client_doubt {
    CLIENT_DOUBT_NONE,
    CLIENT_DOUBT_SERVER,  /* it calls itself otherwise than the pinned one */
    CLIENT_DOUBT_ACCOUNT, /* it takes this device for another account's */
    CLIENT_DOUBT_DEVICE,  /* it refuses this device's HELLO, twice in a row */
};

/* what the sign-up or sign-in waits for */
enum client_enrol {
    CLIENT_ENROL_NONE,
    CLIENT_ENROL_ASKED,
    CLIENT_ENROL_VAULT_GET,
    CLIENT_ENROL_VAULT_PUT,
    CLIENT_ENROL_LIST_GET,
    CLIENT_ENROL_LIST_PUT,
};

struct client {
    struct arena boot, blob[2], step;
    int blob_now;
    size_t blob_live;
    struct e2ee *e2ee;
    bool restored, exhausted;

    /* the account: META */
    struct slice server, server_name, username, device_name, keys;
    uint8_t user[ID_BYTES], device[ID_BYTES];
    uint64_t conn, useq, dseq, regressed_ms;
    uint32_t log_epoch, dl_n;
    struct slice useq_witness, log_witness;
    bool enrolled, meta_dirty;

    struct client_chat *chats[CLIENT_CHATS_MAX];
    uint32_t chat_count;
    struct client_user *users[CLIENT_USERS_MAX];
    uint32_t user_count;
    struct client_entry outbox[CLIENT_OUTBOX_MAX];
    uint32_t outbox_count;
    struct client_settled journal[CLIENT_JOURNAL_MAX];
    uint32_t journal_count;

    /* the connection */
    enum pb_client_state state, told_state;
    enum client_phase phase;
    bool read_only, told_read_only, stopped, synced, syncing, snapshotting, loading;
    uint32_t attempts, failed_repairs, next_req, settle_tries;
    uint64_t retry_at, ping_at, dead_at, settle_at, load_at, fetch_at, ready_useq, acked_useq;
    uint64_t repair_useq, snapshot_useq;
    uint32_t ready_epoch;
    enum client_doubt doubt, told_doubt; /* until a session; told once, as NoticeState.detail */
    struct slice doubt_text;             /* of the step that began to doubt */
    uint8_t nonce[32];
    uint64_t load_before, load_after;
    uint8_t load_chat[ID_BYTES];
    bool need_repair;
    bool regressed; /* the SNAPSHOT under way is of a server that lost what this device has */
    bool deferred;  /* entries wait for a device list */
    struct client_request requests[CLIENT_REQUESTS_MAX];
    uint32_t request_count;
    struct client_waiting waiting[CLIENT_WAITING_MAX];

    /* sign-up or sign-in under way */
    enum client_enrol enrol;
    bool enrol_wanted, enrol_registers, enrol_sent;
    uint32_t enrol_command, enrol_tries;
    struct slice enrol_password, enrol_invite, enrol_list;
    uint64_t enrol_dl_n;
    uint8_t remove_device[ID_BYTES];
    uint32_t remove_command;

    /* of the step under way */
    uint64_t now_ms, mono_ms, random_count;
    uint8_t entropy[32];
    struct pb_host_effects *out;
    size_t store_capacity, frame_capacity, notice_capacity;
};

/* OK, or BUSY: the ceiling is too low. Follow with EventRestore (also without rows: `last`). */
enum status client_init(struct client *client, size_t bytes_max) MUST_USE;
void client_deinit(struct client *client);

/* One step. `out` lives until the next step. INVALID: an event out of place (before restore,
 * unknown body); BUSY: the ceiling is reached, `out` is empty: deinit and restore. Input from the
 * server is data: it never makes a step fail. */
enum status client_step(struct client *client, const struct pb_host_event *event,
                        struct pb_host_effects *out) MUST_USE;

/* Assert the invariants. O(state). */
void client_check(const struct client *client);

/* The chat, user or outbox entry, or NULL. O(n). */
struct client_chat *client_chat_find(const struct client *client, const uint8_t id[ID_BYTES]);
struct client_user *client_user_find(const struct client *client, const uint8_t id[ID_BYTES]);
struct client_user *client_user_named(const struct client *client, struct slice username);
const struct client_entry *client_entry_find(const struct client *client,
                                             const uint8_t mid[ID_BYTES]);

/* Is the row of this number stored here? */
bool client_chat_holds(const struct client_chat *chat, uint64_t cseq);
/* Bodies are still loaded after a SNAPSHOT. */
bool client_is_lazy(const struct client *client);
/* Tick of an own message that stands at `cseq`. */
enum pb_tick client_tick(const struct client_chat *chat, uint64_t cseq);
