/* SPDX-License-Identifier: Apache-2.0
 * checker_parts.h: what the files of the checker share: the history with its ids turned into
 * indexes, the chats' entries in order, and the verdict under way. Nobody else includes it.
 * Memory: one arena and the maps of struct checker, for one checker_run. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "sim/checker.h"

#define NOTHING UINT32_MAX

struct checked_device {
    uint32_t user, next_of_user;
    size_t first_event;
    size_t revoke_event; /* SIZE_MAX: it was never signed out */
    /* the walk along time */
    uint64_t epoch, cursor;
    bool has_cursor, snapshotted;
    size_t cursor_event;
    uint64_t conn, conn_us;
    size_t conn_event;
};

struct checked_user {
    uint32_t first_device;
};

struct checked_chat {
    uint32_t members[2], members_count;
    uint32_t entries, entries_count; /* its part of checker.entries, by (epoch, cseq) */
};

/* A number of a chat that some device has seen. */
struct checked_entry {
    size_t event; /* the first recv of it */
    uint32_t chat, message;
    bool system;
};

struct checked_message {
    size_t send, sent, failed; /* events; SIZE_MAX: there is none */
    uint32_t entry;            /* NOTHING: nobody has received it */
    size_t taken_back; /* the newest event that took its answers back: refused, or bound to a
                        * later counter; 0: none */
};

/* One device in one chat, or one user in it (`read`). */
struct checked_pair {
    uint32_t held; /* of a user: entries of the chat stored without a gap, from its first */
    uint64_t delivered, read;
    size_t marks_event, read_event;
    /* of a device, since its rows began: the highest number it stored, marks it was told, and what
     * its person read (of what was stored) */
    uint64_t newest, told_delivered, told_read, wished;
};

/* The ids of an event as indexes. */
struct checked_refs {
    uint32_t device, user, chat, message, from_user, from_device, entry;
};

/* Sorted by a, b, c, then the event's place in the history. */
struct checked_key {
    uint64_t a, b, c;
    size_t event;
};

struct checker {
    const struct history *history;
    struct verdict *verdict;
    struct arena arena;
    bool exhausted; /* some memory was refused: the verdict is worth nothing */

    struct map device_map, user_map, chat_map, message_map, pair_map, reader_map, held_map,
        stored_map, shown_map, inbox_map, place_map, counter_map;
    struct checked_device *devices;
    struct checked_user *users;
    struct checked_chat *chats;
    struct checked_message *messages;
    struct checked_entry *entries;
    struct checked_pair *pairs, *readers;
    uint32_t devices_count, users_count, chats_count, messages_count, entries_count, pairs_count,
        readers_count;

    struct checked_refs *refs;   /* by event */
    bool *undone;                /* by event: its device was set back to an older copy since */
    struct checked_key *by_time; /* all events: t_ret */
    size_t quiesce;              /* place of the last quiesce in by_time; SIZE_MAX: none */
};

/* A violation with its printf-like sentence; its slice is added by violation_event. NULL when
 * there are enough of this invariant: it is only counted. */
struct violation *checker_found(struct checker *checker, const char *invariant, const char *format,
                                ...) __attribute__((format(printf, 3, 4)));
void violation_event(struct violation *violation, size_t event); /* tolerates NULL and SIZE_MAX */

/* Memory of the run; NULL sets `exhausted`. */
void *checker_array(struct checker *checker, size_t count, size_t bytes_each);

/* Set the value of a key; the map grows. */
void checker_put(struct checker *checker, struct map *map, const void *key, uint64_t value);
/* Value of a key, put as `value` if it is new; true if it was there. */
bool checker_seen(struct checker *checker, struct map *map, const void *key, uint64_t value,
                  uint64_t *old);

void checker_sort(struct checked_key *keys, size_t count);

/* The last bytes of an id as text, enough to tell ids apart by eye. */
struct short_id {
    char text[9];
};
struct short_id short_id(const uint8_t id[ID_BYTES]);

/* What the walk knows of a device in a chat, at its moment. */
const struct checked_pair *checker_pair(struct checker *checker, uint32_t device, uint32_t chat);

/* Whether a device holds an entry at the moment of the walk. */
bool checker_holds(const struct checker *checker, uint32_t device, uint32_t entry);

/* The files: each looks at the whole history once. */
void checker_intern(struct checker *checker); /* checker_tables.c: ids, messages, entries */
void checker_orders(struct checker *checker); /* checker_order.c: I2–I5 */
void checker_walk(struct checker *checker);   /* checker_walk.c: I4, I7, I8, I18, I20 in time */
void checker_settled(
    struct checker *checker); /* checker_settle.c: at quiesce: I1, I3, I6, I8, I16 */
