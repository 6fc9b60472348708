/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/checker_parts.h"

/* The rules that look at numbers, not at time: one value at a number (I4), one number for a value
 * (I3), every value has its send (I2); and time against numbers, chat by chat (I5). */

static const struct history_event *event_of(const struct checker *checker, size_t event)
{
    return &checker->history->events[event];
}

static void found_pair(struct violation *found, size_t first, size_t second)
{
    violation_event(found, first);
    violation_event(found, second);
}

/* 0 is "not known". */
static bool alike(uint64_t a, uint64_t b)
{
    return a == b || a == 0 || b == 0;
}

/* All devices saw the same at one number of a chat. */
static void check_value(struct checker *checker, size_t event)
{
    const struct checked_entry *entry = &checker->entries[checker->refs[event].entry];
    const struct history_event *first = event_of(checker, entry->event);
    const struct history_event *here = event_of(checker, event);
    if (entry->event == event)
        return;
    bool same = ID_EQUAL(first->mid, here->mid) && ID_EQUAL(first->from_dev, here->from_dev) &&
                ID_EQUAL(first->from_user, here->from_user) && alike(first->hash, here->hash) &&
                alike(first->ts, here->ts) && (first->system != 0) == (here->system != 0);
    if (same)
        return;
    bool own = first->op == HISTORY_RECV && ID_EQUAL(first->from_user, here->user) &&
               ID_EQUAL(first->from_user, first->user) && !ID_EQUAL(first->dev, here->dev);
    found_pair(checker_found(checker, own ? "I16" : "I4",
                             "number %llu of chat …%s is %s for one device and %s for another",
                             (unsigned long long)here->cseq, short_id(here->chat.at).text,
                             short_id(first->mid.at).text, short_id(here->mid.at).text),
               entry->event, event);
}

static void check_author(struct checker *checker, size_t event)
{
    const struct history_event *here = event_of(checker, event);
    if (here->system)
        return;
    uint32_t message = checker->refs[event].message;
    size_t send = message == NOTHING ? SIZE_MAX : checker->messages[message].send;
    if (send == SIZE_MAX) {
        violation_event(checker_found(checker, "I2", "mid …%s was received but nobody sent it",
                                      short_id(here->mid.at).text),
                        event);
        return;
    }
    const struct history_event *sent = event_of(checker, send);
    const char *differs = !ID_EQUAL(sent->dev, here->from_dev)     ? "device"
                          : !ID_EQUAL(sent->user, here->from_user) ? "author"
                          : !ID_EQUAL(sent->chat, here->chat)      ? "chat"
                          : here->hash == HISTORY_UNREADABLE       ? "content, unreadable,"
                          : !alike(sent->hash, here->hash)         ? "content"
                                                                   : NULL;
    if (differs)
        found_pair(checker_found(checker, "I2", "mid …%s was received with another %s than sent",
                                 short_id(here->mid.at).text, differs),
                   send, event);
}

/* One number for a mid, and one mid for a counter of a device. */
static void check_once(struct checker *checker, uint32_t index)
{
    const struct checked_entry *entry = &checker->entries[index];
    const struct history_event *here = event_of(checker, entry->event);
    if (entry->message == NOTHING || entry->system)
        return;
    struct checked_message *message = &checker->messages[entry->message];
    if (message->entry != NOTHING &&
        event_of(checker, checker->entries[message->entry].event)->epoch == here->epoch)
        found_pair(checker_found(checker, "I3", "mid …%s stands at two numbers of chat …%s",
                                 short_id(here->mid.at).text, short_id(here->chat.at).text),
                   checker->entries[message->entry].event, entry->event);
    message->entry = index;
    uint64_t device_chat = (uint64_t)checker->refs[entry->event].from_device << 32 | entry->chat,
             old;
    const uint64_t key[2] = {device_chat, here->sctr};
    if (here->sctr != 0 && checker_seen(checker, &checker->counter_map, key, entry->event, &old) &&
        !ID_EQUAL(event_of(checker, old)->mid, here->mid))
        found_pair(checker_found(checker, "I3", "counter %llu of a device stands twice in a chat",
                                 (unsigned long long)here->sctr),
                   old, entry->event);
}

/* Numbers 1, 2, 3 … of one epoch, `ts` that never falls. */
static void check_chain(struct checker *checker, const struct checked_chat *chat)
{
    size_t before = SIZE_MAX;
    for (uint32_t i = 0; i < chat->entries_count; i++) {
        size_t event = checker->entries[chat->entries + i].event;
        const struct history_event *here = event_of(checker, event);
        const struct history_event *last = before == SIZE_MAX ? NULL : event_of(checker, before);
        if (last && last->epoch != here->epoch)
            last = NULL;
        uint64_t want = last ? last->cseq + 1 : 1;
        if (here->cseq != want)
            found_pair(checker_found(checker, "I4",
                                     "chat …%s has a hole: nobody ever saw number %llu, but %llu",
                                     short_id(here->chat.at).text, (unsigned long long)want,
                                     (unsigned long long)here->cseq),
                       before, event);
        if (last && last->ts > here->ts && here->ts != 0)
            found_pair(checker_found(checker, "I4", "time runs back at number %llu of chat …%s",
                                     (unsigned long long)here->cseq, short_id(here->chat.at).text),
                       before, event);
        before = event;
    }
}

/* The same for an inbox: one value at a number, one number for an entry of a chat. */
static void check_inbox(struct checker *checker, size_t event)
{
    const struct history_event *here = event_of(checker, event);
    const struct checked_refs *refs = &checker->refs[event];
    uint64_t old;
    if (here->useq == 0 || refs->user == NOTHING)
        return;
    if (here->prev_useq + 1 != here->useq)
        violation_event(checker_found(checker, "I4", "inbox number %llu came with prev_useq %llu",
                                      (unsigned long long)here->useq,
                                      (unsigned long long)here->prev_useq),
                        event);
    const uint64_t key[3] = {refs->user, here->epoch, here->useq};
    if (checker_seen(checker, &checker->inbox_map, key, event, &old)) {
        const struct history_event *first = event_of(checker, old);
        if (first->cseq != 0 && here->cseq != 0 &&
            (first->cseq != here->cseq || !ID_EQUAL(first->chat, here->chat)))
            found_pair(checker_found(checker, "I4", "inbox number %llu has two values",
                                     (unsigned long long)here->useq),
                       old, event);
    }
    if (refs->entry == NOTHING)
        return;
    const uint32_t place[2] = {refs->user, refs->entry};
    if (checker_seen(checker, &checker->place_map, place, event, &old) &&
        event_of(checker, old)->useq != here->useq)
        found_pair(checker_found(checker, "I4", "number %llu of chat …%s stands twice in an inbox",
                                 (unsigned long long)here->cseq, short_id(here->chat.at).text),
                   old, event);
}

/* ---- I5 ---- */

enum moment { MOMENT_SEND, MOMENT_ACK, MOMENT_RECEIVED }; /* at equal times in this order */

/* The highest number known so far, and by which event. */
struct highest {
    uint64_t cseq;
    size_t event;
};

static uint64_t number_of(const struct checker *checker, size_t event)
{
    uint32_t message = checker->refs[event].message;
    uint32_t entry = message == NOTHING ? NOTHING : checker->messages[message].entry;
    return entry == NOTHING ? 0 : event_of(checker, checker->entries[entry].event)->cseq;
}

static void check_send(struct checker *checker, size_t event, const struct highest *acked,
                       const struct highest *received)
{
    uint64_t number = number_of(checker, event);
    if (number == 0)
        return;
    if (number < acked->cseq)
        found_pair(checker_found(checker, "I5",
                                 "a message sent after number %llu was acknowledged got %llu",
                                 (unsigned long long)acked->cseq, (unsigned long long)number),
                   acked->event, event);
    if (number < received->cseq)
        found_pair(checker_found(checker, "I5",
                                 "a message sent after number %llu was received got %llu",
                                 (unsigned long long)received->cseq, (unsigned long long)number),
                   received->event, event);
}

static bool is_moment(const struct history_event *event, enum moment *moment, uint64_t *time)
{
    *time = event->t_ret;
    switch ((int)event->op) {
    case HISTORY_SENT: *moment = MOMENT_ACK; return true;
    case HISTORY_RECV: *moment = MOMENT_RECEIVED; return true;
    case HISTORY_SEND:
        *moment = MOMENT_SEND;
        *time = event->t_inv;
        return true;
    default: return false;
    }
}

/* Of a message that was refused or bound to a later counter after an answer: its first send, and no
 * answer, since SENT does not say for which attempt it speaks. */
static bool counts(const struct checker *checker, size_t event)
{
    uint32_t index = checker->refs[event].message;
    enum history_op op = checker->history->events[event].op;
    if (index == NOTHING)
        return true;
    const struct checked_message *message = &checker->messages[index];
    return op == HISTORY_SEND ? event == message->send
                              : op != HISTORY_SENT || message->taken_back == 0;
}

/* Chat by chat, then by time; a send answered at once counts twice. */
static size_t moments_of(struct checker *checker, struct checked_key *keys)
{
    const struct history *history = checker->history;
    size_t count = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct history_event *event = &history->events[i];
        uint32_t chat = checker->refs[i].chat;
        enum moment moment;
        uint64_t time;
        if (!is_moment(event, &moment, &time) || !counts(checker, i))
            continue;
        if (chat == NOTHING && checker->refs[i].message != NOTHING) {
            size_t send = checker->messages[checker->refs[i].message].send;
            chat = send == SIZE_MAX ? NOTHING : checker->refs[send].chat;
        }
        if (chat == NOTHING)
            continue;
        keys[count++] = (struct checked_key){chat, time, moment, i};
        if (event->op == HISTORY_SEND && event->res == HISTORY_OK)
            keys[count++] = (struct checked_key){chat, event->t_ret, MOMENT_ACK, i};
    }
    checker_sort(keys, count);
    return count;
}

static void raise(struct highest *highest, uint64_t cseq, size_t event)
{
    if (cseq > highest->cseq)
        *highest = (struct highest){cseq, event};
}

static void check_causes(struct checker *checker)
{
    struct checked_key *keys = checker_array(checker, 2 * checker->history->count, sizeof *keys);
    struct highest *received = checker_array(checker, checker->devices_count, sizeof *received);
    uint32_t *chat_of = checker_array(checker, checker->devices_count, sizeof *chat_of);
    if (checker->exhausted)
        return;
    size_t count = moments_of(checker, keys);
    struct highest acked = {0, SIZE_MAX};
    for (size_t i = 0; i < count; i++) {
        size_t event = keys[i].event;
        uint32_t device = checker->refs[event].device, chat = (uint32_t)keys[i].a;
        if (i == 0 || keys[i - 1].a != keys[i].a)
            acked = (struct highest){0, SIZE_MAX};
        if (device == NOTHING)
            continue;
        if (chat_of[device] != chat + 1) /* its first moment in this chat */
            received[device] = (struct highest){0, SIZE_MAX};
        chat_of[device] = chat + 1;
        if (keys[i].c == MOMENT_SEND)
            check_send(checker, event, &acked, &received[device]);
        else if (keys[i].c == MOMENT_ACK)
            raise(&acked, number_of(checker, event), event);
        else
            raise(&received[device], event_of(checker, event)->cseq, event);
    }
}

void checker_orders(struct checker *checker)
{
    const struct history *history = checker->history;
    for (size_t i = 0; i < history->count; i++) {
        enum history_op op = history->events[i].op;
        if (op == HISTORY_RECV && checker->refs[i].entry != NOTHING) {
            check_value(checker, i);
            check_author(checker, i);
        }
        if (op == HISTORY_RECV || op == HISTORY_ENTRY)
            check_inbox(checker, i);
    }
    for (uint32_t i = 0; i < checker->entries_count; i++)
        check_once(checker, i);
    for (uint32_t i = 0; i < checker->chats_count; i++)
        check_chain(checker, &checker->chats[i]);
    check_causes(checker);
}
