/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/checker_parts.h"

/* The rules that need time: at the last quiesce everything acknowledged is decided (I1), decided
 * right (I3), and on every device that it is due to (I6, I16), and so are its ticks (I8). */

#define REASON_NOT_FOUND  51 /* PB_ERROR_CODE_GONE: a snapshot showed that it is not in the chat */
#define REASON_NOT_MEMBER 48 /* PB_ERROR_CODE_NOT_MEMBER */

static const struct history_event *event_of(const struct checker *checker, size_t event)
{
    return &checker->history->events[event];
}

static bool is_before_quiesce(const struct checker *checker, size_t event)
{
    size_t quiesce = checker->by_time[checker->quiesce].event;
    return event_of(checker, event)->t_ret <= event_of(checker, quiesce)->t_ret;
}

/* Some event of the device between two moments of it. */
static bool happened(const struct checker *checker, uint32_t device, enum history_op op,
                     uint64_t from_us, uint64_t upto_us)
{
    for (size_t i = 0; i < checker->history->count; i++) {
        const struct history_event *event = event_of(checker, i);
        if (event->op == op && checker->refs[i].device == device && event->t_ret >= from_us &&
            event->t_ret <= upto_us)
            return true;
    }
    return false;
}

static const char *signed_out(const struct checker *checker, uint32_t device, uint64_t upto_us)
{
    size_t revoke = checker->devices[device].revoke_event;
    return revoke != SIZE_MAX && event_of(checker, revoke)->t_inv <= upto_us ? "signed out" : NULL;
}

/* What in the history makes this final refusal right; NULL: nothing. */
static const char *cause_of(const struct checker *checker, const struct checked_message *message)
{
    const struct history_event *failed = event_of(checker, message->failed);
    uint32_t device = checker->refs[message->failed].device;
    if (failed->op == HISTORY_SEND)
        return "refused at once";
    if (device == NOTHING)
        return NULL;
    if (failed->reason == REASON_NOT_FOUND) {
        uint64_t from_us = message->send == SIZE_MAX ? 0 : event_of(checker, message->send)->t_inv;
        return happened(checker, device, HISTORY_SNAPSHOT, from_us, failed->t_ret) ? "a snapshot"
                                                                                   : NULL;
    }
    if (failed->reason == REASON_NOT_MEMBER)
        return signed_out(checker, device, failed->t_ret);
    return NULL;
}

/* A message that its device cannot answer for: it was signed out, or its rows are an older copy. */
static bool is_excused(const struct checker *checker, const struct checked_message *message)
{
    size_t quiesce = checker->by_time[checker->quiesce].event;
    uint64_t now_us = event_of(checker, quiesce)->t_ret;
    const struct history_event *send = event_of(checker, message->send);
    uint32_t device = checker->refs[message->send].device;
    if (device == NOTHING)
        return true;
    if (message->sent != SIZE_MAX && message->taken_back == 0) {
        size_t revoke = checker->devices[device].revoke_event;
        return revoke != SIZE_MAX &&
               event_of(checker, revoke)->t_inv <= event_of(checker, message->sent)->t_ret;
    }
    return signed_out(checker, device, now_us) ||
           happened(checker, device, HISTORY_RESTORED, send->t_inv, now_us);
}

static void check_message(struct checker *checker, const struct checked_message *message)
{
    bool is_there = message->entry != NOTHING, has_failed = message->failed != SIZE_MAX;
    struct violation *found = NULL;
    if (message->send == SIZE_MAX || !is_before_quiesce(checker, message->send))
        return;
    const struct short_id id = short_id(event_of(checker, message->send)->mid.at);
    const char *mid = id.text;
    if (is_there && has_failed) {
        found =
            checker_found(checker, "I3", "mid …%s is marked failed, yet it is in the chat", mid);
        violation_event(found, checker->entries[message->entry].event);
    } else if (has_failed && !cause_of(checker, message)) {
        found = checker_found(checker, "I1", "mid …%s failed with reason %llu and no cause", mid,
                              (unsigned long long)event_of(checker, message->failed)->reason);
    } else if (!is_there && !has_failed && !is_excused(checker, message)) {
        found = checker_found(checker, "I1",
                              message->sent != SIZE_MAX
                                  ? "mid …%s was acknowledged, but no device has ever received it"
                                  : "mid …%s is neither in the chat nor refused: its sender waits",
                              mid);
    } else {
        return;
    }
    violation_event(found, message->send);
    violation_event(found, message->sent);
    violation_event(found, message->failed);
}

static bool is_due(const struct checker *checker, uint32_t index)
{
    const struct checked_device *device = &checker->devices[index];
    return device->first_event != SIZE_MAX && is_before_quiesce(checker, device->first_event) &&
           !signed_out(checker, index, UINT64_MAX);
}

static void check_held(struct checker *checker, uint32_t index, uint32_t user)
{
    const struct checked_entry *entry = &checker->entries[index];
    const struct history_event *event = event_of(checker, entry->event);
    for (uint32_t device = checker->users[user].first_device; device != NOTHING;
         device = checker->devices[device].next_of_user) {
        if (!is_due(checker, device) || checker_holds(checker, device, index))
            continue;
        bool own = checker->refs[entry->event].from_user == user;
        struct violation *found = checker_found(
            checker, own ? "I16" : "I6", "device …%s lacks number %llu of chat …%s",
            short_id(event_of(checker, checker->devices[device].first_event)->dev.at).text,
            (unsigned long long)event->cseq, short_id(event->chat.at).text);
        violation_event(found, entry->event);
        if (entry->message != NOTHING)
            violation_event(found, checker->messages[entry->message].send);
        violation_event(found, checker->devices[device].cursor_event);
    }
}

/* What the devices of a user owe to the author of an entry: a device that stays has stored it, its
 * person has read it. */
struct owed {
    bool delivered, read;
};

static struct owed owed_by(struct checker *checker, uint32_t index, uint32_t user)
{
    const struct checked_entry *entry = &checker->entries[index];
    struct owed owed = {false, false};
    for (uint32_t device = checker->users[user].first_device; device != NOTHING;
         device = checker->devices[device].next_of_user) {
        if (!is_due(checker, device) || !checker_holds(checker, device, index))
            continue;
        const struct checked_pair *pair = checker_pair(checker, device, entry->chat);
        owed.delivered = true;
        owed.read |= pair->wished >= event_of(checker, entry->event)->cseq;
    }
    return owed;
}

static void check_tick(struct checker *checker, uint32_t index, struct owed owed, uint32_t device)
{
    const struct checked_entry *entry = &checker->entries[index];
    const struct history_event *event = event_of(checker, entry->event);
    if (!is_due(checker, device) || !checker_holds(checker, device, index) ||
        checker->devices[device].epoch != event->epoch)
        return;
    const struct checked_pair *pair = checker_pair(checker, device, entry->chat);
    bool lacks_delivered = owed.delivered && pair->told_delivered < event->cseq;
    if (!lacks_delivered && (!owed.read || pair->told_read >= event->cseq))
        return;
    struct violation *found = checker_found(
        checker, "I8", "device …%s was never told that number %llu of chat …%s is %s",
        short_id(event_of(checker, checker->devices[device].first_event)->dev.at).text,
        (unsigned long long)event->cseq, short_id(event->chat.at).text,
        lacks_delivered ? "delivered" : "read");
    violation_event(found, entry->event);
    violation_event(found, pair->marks_event);
}

/* The other members of the chat owe its author two ticks; of a direct chat there is one. */
static void check_receipts(struct checker *checker, uint32_t index)
{
    const struct checked_entry *entry = &checker->entries[index];
    const struct checked_chat *chat = &checker->chats[entry->chat];
    uint32_t author = checker->refs[entry->event].from_user;
    for (uint32_t k = 0; author != NOTHING && k < chat->members_count; k++)
        if (chat->members[k] != author) {
            struct owed owed = owed_by(checker, index, chat->members[k]);
            for (uint32_t device = checker->users[author].first_device; device != NOTHING;
                 device = checker->devices[device].next_of_user)
                check_tick(checker, index, owed, device);
        }
}

void checker_settled(struct checker *checker)
{
    for (uint32_t i = 0; i < checker->messages_count; i++)
        check_message(checker, &checker->messages[i]);
    for (uint32_t i = 0; i < checker->entries_count; i++) {
        const struct checked_entry *entry = &checker->entries[i];
        const struct checked_chat *chat = &checker->chats[entry->chat];
        if (entry->system || !is_before_quiesce(checker, entry->event))
            continue;
        for (uint32_t k = 0; k < chat->members_count; k++)
            check_held(checker, i, chat->members[k]);
        check_receipts(checker, i);
    }
}
