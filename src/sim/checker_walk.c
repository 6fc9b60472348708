/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sim/checker_parts.h"

/* The rules that look at one moment after another: cursors (I4), what is shown (I7), marks against
 * what is stored (I8), sign-out and sessions (I18), bounds (I20). */

static const struct history_event *event_of(const struct checker *checker, size_t event)
{
    return &checker->history->events[event];
}

/* ---- what a device holds ---- */

static struct checked_pair *pair_of(struct checker *checker, struct map *map, uint32_t who,
                                    uint32_t chat)
{
    bool is_reader = map == &checker->reader_map;
    struct checked_pair *pairs = is_reader ? checker->readers : checker->pairs;
    uint32_t *count = is_reader ? &checker->readers_count : &checker->pairs_count;
    const uint32_t key[2] = {who, chat};
    uint64_t index;
    if (!checker_seen(checker, map, key, *count, &index))
        pairs[(*count)++] = (struct checked_pair){.marks_event = SIZE_MAX, .read_event = SIZE_MAX};
    return &pairs[index];
}

const struct checked_pair *checker_pair(struct checker *checker, uint32_t device, uint32_t chat)
{
    return pair_of(checker, &checker->pair_map, device, chat);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What settles I8: told and wished, as the device's rows have it. */
static void remember(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    const struct checked_refs *refs = &checker->refs[index];
    if (refs->chat == NOTHING)
        return;
    struct checked_pair *pair = pair_of(checker, &checker->pair_map, refs->device, refs->chat);
    if (event->op == HISTORY_RECV) {
        pair->newest = larger(pair->newest, event->cseq);
    } else if (event->op == HISTORY_RECEIPT_RX) {
        pair->told_delivered = larger(pair->told_delivered, event->delivered);
        pair->told_read = larger(pair->told_read, event->read);
    } else if (event->op == HISTORY_RECEIPT_TX) {
        uint64_t upto = event->read < pair->newest ? event->read : pair->newest;
        pair->wished = larger(pair->wished, upto);
    }
}

bool checker_holds(const struct checker *checker, uint32_t device, uint32_t entry)
{
    const uint32_t key[2] = {device, entry};
    return map_find(&checker->held_map, key, NULL);
}

/* Everything up to number `cseq` that is a message once stood on a device of this user, each on
 * whichever: a mark stays true when a device is set back to an old copy, and when the newest were
 * read on a new device and the older ones on another. */
static bool stored_upto(struct checker *checker, uint32_t user, uint32_t chat_index, uint64_t cseq)
{
    const struct checked_chat *chat = &checker->chats[chat_index];
    struct checked_pair *pair = pair_of(checker, &checker->reader_map, user, chat_index);
    for (; pair->held < chat->entries_count; pair->held++) {
        uint32_t index = chat->entries + pair->held;
        const struct checked_entry *entry = &checker->entries[index];
        const uint32_t key[2] = {user, index};
        if (!entry->system && !map_find(&checker->stored_map, key, NULL))
            return event_of(checker, entry->event)->cseq > cseq;
    }
    return true;
}

/* ---- cursors ---- */

static void move_cursor(struct checked_device *device, const struct history_event *event,
                        size_t index)
{
    device->has_cursor = true;
    device->cursor = event->useq;
    device->epoch = event->epoch;
    device->cursor_event = index;
}

/* The next inbox entry: the cursor's number + 1, or one that was there already. */
static void on_inbox_number(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    struct checked_device *device = &checker->devices[checker->refs[index].device];
    if (event->useq == 0 || event->useq <= device->cursor)
        return;
    if (event->useq != device->cursor + 1) {
        struct violation *found =
            checker_found(checker, "I4", "a device's cursor moved from %llu to %llu over a hole",
                          (unsigned long long)device->cursor, (unsigned long long)event->useq);
        violation_event(found, device->cursor_event);
        violation_event(found, index);
    }
    move_cursor(device, event, index);
}

static void on_restart(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    struct checked_device *device = &checker->devices[checker->refs[index].device];
    if (device->has_cursor && event->useq != device->cursor && event->op == HISTORY_RESTART) {
        struct violation *found =
            checker_found(checker, "I4", "a device stored cursor %llu and began again with %llu",
                          (unsigned long long)device->cursor, (unsigned long long)event->useq);
        violation_event(found, device->cursor_event);
        violation_event(found, index);
    }
    move_cursor(device, event, index);
}

/* The device is what its copy was: what it stored and showed since never happened to it. */
static void on_restored(struct checker *checker, size_t place)
{
    size_t index = checker->by_time[place].event;
    uint32_t device = checker->refs[index].device;
    for (size_t i = 0; i < place; i++) {
        size_t old = checker->by_time[i].event;
        const struct checked_refs *refs = &checker->refs[old];
        const struct history_event *event = event_of(checker, old);
        if (refs->device != device)
            continue;
        if (refs->chat != NOTHING) {
            struct checked_pair *pair = pair_of(checker, &checker->pair_map, device, refs->chat);
            *pair = (struct checked_pair){.marks_event = SIZE_MAX, .read_event = SIZE_MAX};
        }
        if (event->t_ret <= event_of(checker, index)->t_copy)
            continue;
        checker->undone[old] = true;
        const uint32_t held[2] = {device, refs->entry}, shown[2] = {device, refs->message};
        if (event->op == HISTORY_RECV && refs->entry != NOTHING)
            (void)map_remove(&checker->held_map, held, NULL);
        if (event->op == HISTORY_SHOW)
            (void)map_remove(&checker->shown_map, shown, NULL);
    }
    for (size_t i = 0; i < place; i++) {
        size_t old = checker->by_time[i].event;
        if (checker->refs[old].device == device && !checker->undone[old])
            remember(checker, old);
    }
    on_restart(checker, index);
}

/* ---- what is shown ---- */

static void on_show(struct checker *checker, size_t index)
{
    const struct checked_refs *refs = &checker->refs[index];
    const uint32_t key[2] = {refs->device, refs->message};
    uint64_t old;
    checker->verdict->shown++;
    if (!checker_seen(checker, &checker->shown_map, key, index, &old))
        return;
    struct violation *found = checker_found(checker, "I7", "mid …%s was shown twice on one device",
                                            short_id(event_of(checker, index)->mid.at).text);
    violation_event(found, old);
    violation_event(found, index);
}

/* ---- marks ---- */

static void on_receipt_tx(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    struct checked_pair *reader = pair_of(checker, &checker->reader_map, checker->refs[index].user,
                                          checker->refs[index].chat);
    if (event->read > reader->read) {
        reader->read = event->read;
        reader->read_event = index;
    }
}

/* The other member of a direct chat. */
static uint32_t peer_of(const struct checker *checker, uint32_t chat_index, uint32_t user)
{
    const struct checked_chat *chat = &checker->chats[chat_index];
    for (uint32_t i = 0; i < chat->members_count; i++)
        if (chat->members[i] != user)
            return chat->members[i];
    return NOTHING;
}

static uint64_t head_of(const struct checker *checker, uint32_t chat_index)
{
    const struct checked_chat *chat = &checker->chats[chat_index];
    if (chat->entries_count == 0)
        return 0;
    return event_of(checker, checker->entries[chat->entries + chat->entries_count - 1].event)->cseq;
}

static void check_truth(struct checker *checker, size_t index, uint32_t user)
{
    const struct history_event *event = event_of(checker, index);
    uint32_t chat = checker->refs[index].chat;
    const struct short_id short_chat = short_id(event->chat.at);
    const char *id = short_chat.text;
    const struct checked_pair *reader = pair_of(checker, &checker->reader_map, user, chat);
    if (event->delivered > head_of(checker, chat)) {
        violation_event(checker_found(checker, "I8", "delivered mark %llu is above the head of …%s",
                                      (unsigned long long)event->delivered, id),
                        index);
    } else if (event->delivered > reader->read && /* read on a new device, still loading */
               !stored_upto(checker, user, chat, event->delivered)) {
        violation_event(
            checker_found(
                checker, "I8",
                "delivered mark %llu of chat …%s: that user's devices do not hold all of it",
                (unsigned long long)event->delivered, id),
            index);
    }
    if (event->read > reader->read) {
        struct violation *found = checker_found(
            checker, "I8", "read mark %llu of chat …%s: that user has read up to %llu only",
            (unsigned long long)event->read, id, (unsigned long long)reader->read);
        violation_event(found, reader->read_event);
        violation_event(found, index);
    }
}

static void on_receipt_rx(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    const struct checked_refs *refs = &checker->refs[index];
    struct checked_pair *pair = pair_of(checker, &checker->pair_map, refs->device, refs->chat);
    uint32_t user =
        refs->from_user == NOTHING ? peer_of(checker, refs->chat, refs->user) : refs->from_user;
    checker->verdict->marks++;
    if (event->delivered < pair->delivered || event->read < pair->read) {
        struct violation *found =
            checker_found(checker, "I8", "a mark of chat …%s went back on one device",
                          short_id(event->chat.at).text);
        violation_event(found, pair->marks_event);
        violation_event(found, index);
    }
    if (event->read > event->delivered)
        violation_event(checker_found(checker, "I8", "read mark %llu is above delivered mark %llu",
                                      (unsigned long long)event->read,
                                      (unsigned long long)event->delivered),
                        index);
    pair->delivered = event->delivered;
    pair->read = event->read;
    pair->marks_event = index;
    if (user != NOTHING)
        check_truth(checker, index, user);
}

/* ---- sessions ---- */

static void on_connect(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    struct checked_device *device = &checker->devices[checker->refs[index].device];
    if (event->conn == 0)
        return;
    if (event->conn <= device->conn) {
        struct violation *found =
            checker_found(checker, "I18", "a session began as number %llu after number %llu had",
                          (unsigned long long)event->conn, (unsigned long long)device->conn);
        violation_event(found, device->conn_event);
        violation_event(found, index);
        return;
    }
    device->conn = event->conn;
    device->conn_us = event->t_ret;
    device->conn_event = index;
}

static bool comes_from_server(enum history_op op)
{
    return op == HISTORY_RECV || op == HISTORY_ENTRY || op == HISTORY_SENT ||
           op == HISTORY_SNAPSHOT || op == HISTORY_CONNECT || op == HISTORY_RECEIPT_RX;
}

static void check_session(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    const struct checked_device *device = &checker->devices[checker->refs[index].device];
    if (!comes_from_server(event->op))
        return;
    if (device->revoke_event != SIZE_MAX) {
        const struct history_event *revoke = event_of(checker, device->revoke_event);
        if (revoke->res == HISTORY_OK && event->t_ret > revoke->t_ret + CHECKER_GRACE_US) {
            struct violation *found =
                checker_found(checker, "I18", "a device got '%s' %llu ms after its sign-out",
                              history_op_name(event->op),
                              (unsigned long long)((event->t_ret - revoke->t_ret) / 1000));
            violation_event(found, device->revoke_event);
            violation_event(found, index);
        }
    }
    if (event->op != HISTORY_CONNECT && event->conn != 0 && event->conn < device->conn &&
        event->t_ret > device->conn_us + CHECKER_GRACE_US) {
        struct violation *found = checker_found(
            checker, "I18", "session %llu got '%s' after session %llu of the same device began",
            (unsigned long long)event->conn, history_op_name(event->op),
            (unsigned long long)device->conn);
        violation_event(found, device->conn_event);
        violation_event(found, index);
    }
}

static void on_gauge(struct checker *checker, size_t index)
{
    const struct history_event *event = event_of(checker, index);
    if (event->value > event->cap)
        violation_event(checker_found(checker, "I20", "'%s' is %llu, its cap is %llu", event->what,
                                      (unsigned long long)event->value,
                                      (unsigned long long)event->cap),
                        index);
}

static void on_recv(struct checker *checker, size_t index)
{
    const struct checked_refs *refs = &checker->refs[index];
    const uint32_t key[2] = {refs->device, refs->entry};
    uint64_t old;
    if (refs->entry != NOTHING) {
        (void)checker_seen(checker, &checker->held_map, key, index, &old);
        if (refs->user != NOTHING) {
            const uint32_t stored[2] = {refs->user, refs->entry};
            (void)checker_seen(checker, &checker->stored_map, stored, index, &old);
        }
    }
    on_inbox_number(checker, index);
}

/* Events of a device; its ids are there. */
static void on_event(struct checker *checker, size_t place)
{
    size_t index = checker->by_time[place].event;
    const struct history_event *event = event_of(checker, index);
    const struct checked_refs *refs = &checker->refs[index];
    check_session(checker, index);
    remember(checker, index);
    switch (event->op) {
    case HISTORY_RECV: on_recv(checker, index); break;
    case HISTORY_ENTRY: on_inbox_number(checker, index); break;
    case HISTORY_SNAPSHOT: move_cursor(&checker->devices[refs->device], event, index); break;
    case HISTORY_SHOW:
        if (refs->message != NOTHING)
            on_show(checker, index);
        break;
    case HISTORY_RECEIPT_TX:
        if (refs->chat != NOTHING && refs->user != NOTHING)
            on_receipt_tx(checker, index);
        break;
    case HISTORY_RECEIPT_RX:
        if (refs->chat != NOTHING && refs->user != NOTHING)
            on_receipt_rx(checker, index);
        break;
    case HISTORY_CONNECT: on_connect(checker, index); break;
    case HISTORY_RESTART: on_restart(checker, index); break;
    case HISTORY_RESTORED:
        on_restored(checker, place);
        /* its sessions are numbered on from there: a server that was restarted since may have
         * forgotten the higher ones (it keeps them in its index alone) */
        checker->devices[refs->device].conn = event->conn;
        break;
    case HISTORY_DEVICE_ADD:
    case HISTORY_DEVICE_REVOKE:
    case HISTORY_CHAT_CREATE:
    case HISTORY_SEND:
    case HISTORY_SENT:
    case HISTORY_REJECTED:
    case HISTORY_CLOSE:
    case HISTORY_GAUGE:
    case HISTORY_QUIESCE:
    case HISTORY_OPS_COUNT: break;
    }
}

void checker_walk(struct checker *checker)
{
    for (size_t i = 0; i < checker->history->count && !checker->exhausted; i++) {
        size_t index = checker->by_time[i].event;
        if (event_of(checker, index)->op == HISTORY_GAUGE)
            on_gauge(checker, index);
        else if (checker->refs[index].device != NOTHING)
            on_event(checker, i);
        if (i == checker->quiesce)
            checker_settled(checker);
    }
}
