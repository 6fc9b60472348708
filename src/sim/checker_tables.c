/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim/checker_parts.h"

#define MAP_KEYS_MAX (1u << 30)

static void open_map(struct checker *checker, struct map *map, uint32_t key_bytes)
{
    static const uint8_t seed[SIPHASH_SEED_BYTES] = {1};
    if (map_open(map, MAP_KEYS_MAX, key_bytes, seed) != STATUS_OK)
        checker->exhausted = true;
}

static void open_maps(struct checker *checker)
{
    open_map(checker, &checker->device_map, ID_BYTES);
    open_map(checker, &checker->user_map, ID_BYTES);
    open_map(checker, &checker->chat_map, ID_BYTES);
    open_map(checker, &checker->message_map, ID_BYTES);
    open_map(checker, &checker->pair_map, sizeof(uint32_t[2]));
    open_map(checker, &checker->reader_map, sizeof(uint32_t[2]));
    open_map(checker, &checker->held_map, sizeof(uint32_t[2]));
    open_map(checker, &checker->stored_map, sizeof(uint32_t[2]));
    open_map(checker, &checker->shown_map, sizeof(uint32_t[2]));
    open_map(checker, &checker->inbox_map, sizeof(uint64_t[3]));
    open_map(checker, &checker->place_map, sizeof(uint32_t[2]));
    open_map(checker, &checker->counter_map, sizeof(uint64_t[2]));
}

/* The index of an id, new or not; NOTHING for the id of zeroes. */
static uint32_t intern(struct checker *checker, struct map *map, const uint8_t id[ID_BYTES])
{
    uint64_t index;
    if (id_is_zero(id))
        return NOTHING;
    (void)checker_seen(checker, map, id, map->used, &index);
    return (uint32_t)index;
}

static void intern_events(struct checker *checker)
{
    const struct history *history = checker->history;
    checker->refs = checker_array(checker, history->count, sizeof *checker->refs);
    for (size_t i = 0; i < history->count && !checker->exhausted; i++) {
        const struct history_event *event = &history->events[i];
        checker->refs[i] = (struct checked_refs){
            .device = intern(checker, &checker->device_map, event->dev.at),
            .user = intern(checker, &checker->user_map, event->user.at),
            .chat = intern(checker, &checker->chat_map, event->chat.at),
            .message = intern(checker, &checker->message_map, event->mid.at),
            .from_user = intern(checker, &checker->user_map, event->from_user.at),
            .from_device = intern(checker, &checker->device_map, event->from_dev.at),
            .entry = NOTHING,
        };
    }
    checker->devices_count = checker->device_map.used;
    checker->users_count = checker->user_map.used;
    checker->chats_count = checker->chat_map.used;
    checker->messages_count = checker->message_map.used;
}

static void tables_new(struct checker *checker)
{
    checker->devices = checker_array(checker, checker->devices_count, sizeof *checker->devices);
    checker->users = checker_array(checker, checker->users_count, sizeof *checker->users);
    checker->chats = checker_array(checker, checker->chats_count, sizeof *checker->chats);
    checker->messages = checker_array(checker, checker->messages_count, sizeof *checker->messages);
    if (checker->exhausted)
        return;
    for (uint32_t i = 0; i < checker->devices_count; i++)
        checker->devices[i] = (struct checked_device){.user = NOTHING,
                                                      .next_of_user = NOTHING,
                                                      .first_event = SIZE_MAX,
                                                      .revoke_event = SIZE_MAX,
                                                      .cursor_event = SIZE_MAX,
                                                      .conn_event = SIZE_MAX};
    for (uint32_t i = 0; i < checker->users_count; i++)
        checker->users[i].first_device = NOTHING;
    for (uint32_t i = 0; i < checker->messages_count; i++)
        checker->messages[i] = (struct checked_message){SIZE_MAX, SIZE_MAX, SIZE_MAX, NOTHING, 0};
}

static void add_device(struct checker *checker, size_t event)
{
    const struct checked_refs *refs = &checker->refs[event];
    struct checked_device *device = &checker->devices[refs->device];
    if (device->user != NOTHING || refs->user == NOTHING)
        return;
    device->user = refs->user;
    device->first_event = event;
    device->next_of_user = checker->users[refs->user].first_device;
    checker->users[refs->user].first_device = refs->device;
}

static void add_member(struct checker *checker, uint32_t chat_index, uint32_t user)
{
    struct checked_chat *chat = &checker->chats[chat_index];
    for (uint32_t i = 0; i < chat->members_count; i++)
        if (chat->members[i] == user)
            return;
    if (user != NOTHING && chat->members_count < 2)
        chat->members[chat->members_count++] = user;
}

static bool earlier(const struct history *history, size_t event, size_t than)
{
    return than == SIZE_MAX || history->events[event].t_ret < history->events[than].t_ret;
}

/* Of a sign-out: the first answer, else the first wish, which may have come true or not. */
static bool tells_more(const struct history *history, size_t event, size_t than)
{
    bool answered = history->events[event].res == HISTORY_OK;
    bool was = than != SIZE_MAX && history->events[than].res == HISTORY_OK;
    return answered == was ? earlier(history, event, than) : answered;
}

/* A device from an old copy binds a message it still had to a later counter (e2ee §6.4); what was
 * answered before spoke of the other message under the old one. */
static bool bound_anew(const struct history_event *first, const struct history_event *again)
{
    return memcmp(first->dev.at, again->dev.at, ID_BYTES) == 0 && first->hash == again->hash &&
           again->sctr > first->sctr;
}

/* The events of a message: its send, its first acknowledgement, its final refusal. */
static void add_message_event(struct checker *checker, size_t event)
{
    const struct history_event *e = &checker->history->events[event];
    struct checked_message *message = &checker->messages[checker->refs[event].message];
    bool ok = e->op == HISTORY_SENT || (e->op == HISTORY_SEND && e->res == HISTORY_OK);
    if (e->op == HISTORY_SEND && message->send != SIZE_MAX) {
        if (bound_anew(&checker->history->events[message->send], e)) {
            message->taken_back = event;
            message->sent = SIZE_MAX;
            return;
        }
        struct violation *found =
            checker_found(checker, "I3", "mid …%s was composed twice", short_id(e->mid.at).text);
        violation_event(found, message->send);
        violation_event(found, event);
    } else if (e->op == HISTORY_SEND) {
        message->send = event;
        checker->verdict->sends++;
    }
    if (e->op == HISTORY_REJECTED)
        message->taken_back = event;
    if (ok && earlier(checker->history, event, message->sent))
        message->sent = event;
    if (e->res == HISTORY_FAIL && earlier(checker->history, event, message->failed))
        message->failed = event;
}

static void scan(struct checker *checker)
{
    const struct history *history = checker->history;
    for (size_t i = 0; i < history->count; i++) {
        const struct history_event *event = &history->events[i];
        const struct checked_refs *refs = &checker->refs[i];
        if (refs->device != NOTHING)
            add_device(checker, i);
        if (event->op == HISTORY_DEVICE_REVOKE && refs->from_device != NOTHING &&
            tells_more(history, i, checker->devices[refs->from_device].revoke_event))
            checker->devices[refs->from_device].revoke_event = i;
        if (refs->chat != NOTHING &&
            (event->op == HISTORY_CHAT_CREATE || event->op == HISTORY_SEND)) {
            add_member(checker, refs->chat, refs->user);
            add_member(checker, refs->chat, refs->from_user);
        }
        if (refs->message != NOTHING && (event->op == HISTORY_SEND || event->op == HISTORY_SENT ||
                                         event->op == HISTORY_REJECTED))
            add_message_event(checker, i);
    }
    for (uint32_t i = 0; i < checker->messages_count; i++) {
        checker->verdict->acked += checker->messages[i].sent != SIZE_MAX;
        checker->verdict->failed += checker->messages[i].failed != SIZE_MAX;
    }
}

/* Every number of every chat that anybody has received, once, in order. */
static void build_entries(struct checker *checker)
{
    const struct history *history = checker->history;
    size_t count = 0;
    struct checked_key *keys = checker_array(checker, history->count, sizeof *keys);
    checker->entries = checker_array(checker, history->count, sizeof *checker->entries);
    if (checker->exhausted)
        return;
    for (size_t i = 0; i < history->count; i++)
        if (history->events[i].op == HISTORY_RECV && checker->refs[i].chat != NOTHING)
            keys[count++] = (struct checked_key){checker->refs[i].chat, history->events[i].epoch,
                                                 history->events[i].cseq, i};
    checker->verdict->entries = count;
    checker_sort(keys, count);
    for (size_t i = 0; i < count; i++) {
        const struct checked_key *key = &keys[i];
        const struct checked_refs *refs = &checker->refs[key->event];
        struct checked_chat *chat = &checker->chats[refs->chat];
        bool is_new =
            i == 0 || keys[i - 1].a != key->a || keys[i - 1].b != key->b || keys[i - 1].c != key->c;
        if (is_new) {
            if (chat->entries_count++ == 0)
                chat->entries = checker->entries_count;
            checker->entries[checker->entries_count++] = (struct checked_entry){
                key->event, refs->chat, refs->message, history->events[key->event].system != 0};
        }
        checker->refs[key->event].entry = checker->entries_count - 1;
    }
}

/* Rooms for what a device holds of a chat, and for what a user has read of it. */
static void build_pairs(struct checker *checker)
{
    checker->pairs = checker_array(checker, checker->history->count, sizeof *checker->pairs);
    checker->readers = checker_array(checker, checker->history->count, sizeof *checker->readers);
    checker->undone = checker_array(checker, checker->history->count, sizeof *checker->undone);
}

static void sort_by_time(struct checker *checker)
{
    const struct history *history = checker->history;
    checker->by_time = checker_array(checker, history->count, sizeof *checker->by_time);
    if (checker->exhausted)
        return;
    for (size_t i = 0; i < history->count; i++)
        checker->by_time[i] = (struct checked_key){history->events[i].t_ret, 0, 0, i};
    checker_sort(checker->by_time, history->count);
    for (size_t i = 0; i < history->count; i++)
        if (history->events[checker->by_time[i].event].op == HISTORY_QUIESCE)
            checker->quiesce = i;
}

void checker_intern(struct checker *checker)
{
    open_maps(checker);
    if (!checker->exhausted)
        intern_events(checker);
    if (!checker->exhausted)
        tables_new(checker);
    if (checker->exhausted)
        return;
    scan(checker);
    build_entries(checker);
    build_pairs(checker);
    sort_by_time(checker);
}
