/* SPDX-License-Identifier: Apache-2.0
 * trace.c: `parleyctl trace`: where a message is, from the lines that the server answers
 * (apps/parleyd/trace.h). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/posix/admin.h"
#include "apps/parleyctl/ctl.h"

#define ID_DIGITS      32
#define PROGRESS_EVERY 64 /* answers */

struct trace {
    const char *kind, *chat, *user, *device;
    uint64_t cseq, head, log_epoch, offset, sub, ts_ms, sctr, hidden, deleted, looked;
    bool found;
};

/* ---- one answer ---- */

static void line_take(struct trace *trace, const char *key, const char *value)
{
    const struct {
        const char *key;
        uint64_t *number;
        const char **text;
    } fields[] = {{"kind", NULL, &trace->kind},
                  {"chat", NULL, &trace->chat},
                  {"user", NULL, &trace->user},
                  {"device", NULL, &trace->device},
                  {"cseq", &trace->cseq, NULL},
                  {"head", &trace->head, NULL},
                  {"log_epoch", &trace->log_epoch, NULL},
                  {"offset", &trace->offset, NULL},
                  {"sub", &trace->sub, NULL},
                  {"ts_ms", &trace->ts_ms, NULL},
                  {"sctr", &trace->sctr, NULL},
                  {"hidden", &trace->hidden, NULL},
                  {"deleted", &trace->deleted, NULL},
                  {"looked", &trace->looked, NULL}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strcmp(key, fields[i].key) != 0)
            continue;
        if (fields[i].number != NULL)
            *fields[i].number = strtoull(value, NULL, 10);
        else
            *fields[i].text = value;
    }
    trace->found = trace->found || strcmp(key, "cseq") == 0;
}

struct person {
    char user[ID_DIGITS + 1], device[ID_DIGITS + 1];
    unsigned long long useq, delivered, read, gone;
};

/* ---- words ---- */

static void message_words(const struct trace *trace, const char *mid)
{
    time_t second = (time_t)(trace->ts_ms / 1000);
    char at[32] = "";
    struct tm parts;
    if (gmtime_r(&second, &parts) != NULL)
        (void)strftime(at, sizeof at, "%Y-%m-%d %H:%M:%S UTC", &parts);
    (void)printf("%s %s: number %llu of %llu in chat %s\n", trace->kind, mid,
                 (unsigned long long)trace->cseq, (unsigned long long)trace->head, trace->chat);
    (void)printf("in the log at offset %llu (log epoch %llu), and in the index\n",
                 (unsigned long long)trace->offset, (unsigned long long)trace->log_epoch);
    if (trace->user != NULL)
        (void)printf("taken at %s from device %s of user %s, its number %llu there\n", at,
                     trace->device, trace->user, (unsigned long long)trace->sctr);
    if (trace->hidden != 0)
        (void)puts("shown to its author only: the other has blocked the author");
    if (trace->deleted != 0)
        (void)puts("deleted: what it said is gone, its number stays");
}

static void person_words(const struct trace *trace, const struct person *at)
{
    const char *role =
        trace->user != NULL && strcmp(trace->user, at->user) == 0 ? "author" : "user";
    (void)printf("%s %s%s: ", role, at->user, at->gone ? " (no longer a member)" : "");
    if (at->useq == 0)
        (void)fputs("in no inbox", stdout);
    else
        (void)printf("entry %llu of the inbox", at->useq);
    if (strcmp(role, "author") == 0)
        (void)puts("");
    else
        (void)puts(at->read >= trace->cseq        ? "; delivered and read"
                   : at->delivered >= trace->cseq ? "; delivered, not read"
                                                  : "; not delivered");
}

static void device_words(const struct person *of, const struct person *at)
{
    const char *state = of->useq == 0 ? "" : at->useq >= of->useq ? "has it; " : "waits for it; ";
    (void)printf("  device %s: %shas acknowledged up to entry %llu\n", at->device, state, at->useq);
}

/* ---- JSON ---- */

static void message_json(const struct trace *trace, const char *mid)
{
    (void)printf("{\"v\":1,\"type\":\"trace\",\"mid\":\"%s\",\"kind\":\"%s\",\"chat\":\"%s\","
                 "\"cseq\":%llu,\"head\":%llu,\"log_epoch\":%llu,\"offset\":%llu,\"sub\":%llu",
                 mid, trace->kind, trace->chat, (unsigned long long)trace->cseq,
                 (unsigned long long)trace->head, (unsigned long long)trace->log_epoch,
                 (unsigned long long)trace->offset, (unsigned long long)trace->sub);
    if (trace->user != NULL)
        (void)printf(",\"ts_ms\":%llu,\"user\":\"%s\",\"device\":\"%s\",\"sctr\":%llu,"
                     "\"hidden\":%s,\"deleted\":%s",
                     (unsigned long long)trace->ts_ms, trace->user, trace->device,
                     (unsigned long long)trace->sctr, trace->hidden ? "true" : "false",
                     trace->deleted ? "true" : "false");
    (void)fputs(",\"members\":[", stdout);
}

static void person_json(const struct trace *trace, const struct person *at, bool first)
{
    (void)printf("%s{\"user\":\"%s\",\"useq\":%llu,\"delivered\":%s,\"read\":%s,\"gone\":%s,"
                 "\"devices\":[",
                 first ? "" : "]},", at->user, at->useq,
                 at->delivered >= trace->cseq ? "true" : "false",
                 at->read >= trace->cseq ? "true" : "false", at->gone ? "true" : "false");
}

/* ---- the whole ---- */

/* Members and their devices, in the order in which the server tells them. */
static void members_tell(const struct trace *trace, char *lines, bool json)
{
    struct person person = {.user = ""}, device;
    const char *key, *value;
    bool first = true, first_device = true;
    while (ctl_next_line(&lines, &key, &value)) {
        if (strcmp(key, "member") == 0 &&
            sscanf(value, "%32s %llu %llu %llu %llu", person.user, &person.useq, &person.delivered,
                   &person.read, &person.gone) == 5) {
            if (json)
                person_json(trace, &person, first);
            else
                person_words(trace, &person);
            first = false;
            first_device = true;
        } else if (strcmp(key, "cursor") == 0 &&
                   sscanf(value, "%32s %32s %llu", device.user, device.device, &device.useq) == 3) {
            if (json)
                (void)printf("%s{\"device\":\"%s\",\"useq\":%llu,\"has\":%s}",
                             first_device ? "" : ",", device.device, device.useq,
                             person.useq > 0 && device.useq >= person.useq ? "true" : "false");
            else
                device_words(&person, &device);
            first_device = false;
        }
    }
    if (json)
        (void)puts(first ? "]}" : "]}]}");
}

/* The lines before the first member; the rest stays in *lines. */
static void trace_read(struct trace *trace, char **lines)
{
    const char *key, *value;
    *trace = (struct trace){.kind = ""};
    while (strncmp(*lines, "member ", 7) != 0 && ctl_next_line(lines, &key, &value))
        line_take(trace, key, value);
}

static bool mid_valid(const char *mid)
{
    return strlen(mid) == ID_DIGITS && strspn(mid, "0123456789abcdefABCDEF") == ID_DIGITS;
}

int ctl_trace(const struct ctl *ctl, const char *mid)
{
    char line[ADMIN_LINE_BYTES];
    struct trace trace;
    char *lines;
    if (!mid_valid(mid)) {
        (void)fprintf(stderr,
                      "parleyctl: %s is no message's id: 32 hex digits, as parley history "
                      "--json tells it\n",
                      mid);
        return CTL_USAGE;
    }
    if (ctl->reason == NULL)
        return ctl_reason_missing();
    int bytes = snprintf(line, sizeof line, "trace %s %s", mid, ctl->reason);
    if (bytes < 0 || (size_t)bytes >= sizeof line || strchr(ctl->reason, '\n') != NULL) {
        (void)fprintf(stderr, "parleyctl: the reason is too long, or has more lines\n");
        return CTL_USAGE;
    }
    int code = ctl_ask(ctl, line, &lines);
    for (uint64_t asked = 1; code == CTL_OK; asked++) {
        trace_read(&trace, &lines);
        if (trace.found)
            break;
        if (asked % PROGRESS_EVERY == 0 && isatty(STDERR_FILENO))
            (void)fprintf(stderr, "parleyctl: looked at %llu messages\n",
                          (unsigned long long)trace.looked);
        code = ctl_ask(ctl, "trace-on", &lines);
    }
    if (code != CTL_OK)
        return code;
    if (ctl->json)
        message_json(&trace, mid);
    else
        message_words(&trace, mid);
    members_tell(&trace, lines, ctl->json);
    return CTL_OK;
}
