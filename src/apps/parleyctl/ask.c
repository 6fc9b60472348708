/* SPDX-License-Identifier: Apache-2.0
 * ask.c: questions to a running server. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/posix/admin.h"
#include "apps/parleyctl/ctl.h"

#define ANSWER_BYTES (ADMIN_ANSWER_BYTES + 64u)

static char answer[ANSWER_BYTES];

/* Ask; on CTL_OK the lines behind "ok" stand in `answer`, at *lines. */
int ctl_ask(const struct ctl *ctl, const char *line, char **lines)
{
    struct failure failure = {0};
    enum status status = posix_admin_ask(ctl->data, line, answer, sizeof answer, &failure);
    if (status == STATUS_CLOSED)
        (void)fprintf(
            stderr, "parleyctl: no parleyd runs on the data in %s (start it: parleyd --data %s)\n",
            ctl->data, ctl->data);
    else if (status != STATUS_OK)
        (void)fprintf(stderr, "parleyctl: %s\n", failure.text);
    if (status != STATUS_OK)
        return CTL_NO_SERVER;
    if (strncmp(answer, "error ", 6) == 0) {
        (void)fprintf(stderr, "parleyctl: the server refused: %s", answer + 6);
        return CTL_PROBLEM;
    }
    if (strncmp(answer, "ok\n", 3) != 0) {
        (void)fprintf(stderr, "parleyctl: the server's answer is not understood\n");
        return CTL_PROBLEM;
    }
    *lines = answer + 3;
    return CTL_OK;
}

/* Cut the next "key value" line out; false at the end. */
bool ctl_next_line(char **lines, const char **key, const char **value)
{
    char *line = *lines, *end = strchr(line, '\n');
    if (end == NULL)
        return false;
    *end = '\0';
    *lines = end + 1;
    char *blank = strchr(line, ' ');
    *key = line;
    *value = blank != NULL ? blank + 1 : "";
    if (blank != NULL)
        *blank = '\0';
    return true;
}

int ctl_server_sound(const struct ctl *ctl)
{
    const char *key, *value;
    if (posix_admin_ask(ctl->data, "status", answer, sizeof answer, NULL) != STATUS_OK)
        return CTL_NO_SERVER;
    char *lines = answer;
    int code = CTL_OK;
    (void)puts("a server runs on this data, and was asked");
    while (ctl_next_line(&lines, &key, &value)) {
        if (strcmp(key, "read_only") != 0 || strcmp(value, "no") == 0)
            continue;
        (void)printf("problem: the server only reads: %s\n", value);
        code = CTL_PROBLEM;
    }
    return code;
}

int ctl_invite(const struct ctl *ctl)
{
    char *lines;
    const char *key, *value;
    int code = ctl_ask(ctl, ctl->owner ? "invite owner" : "invite", &lines);
    if (code != CTL_OK)
        return code;
    while (ctl_next_line(&lines, &key, &value))
        if (strcmp(key, "secret") == 0)
            (void)printf(ctl->json ? "{\"v\":1,\"type\":\"invite\",\"secret\":\"%s\"}\n" : "%s\n",
                         value);
    return CTL_OK;
}

/* ---- status ---- */

static bool is_number(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

void ctl_json_text(const char *text)
{
    (void)putchar('"');
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            (void)printf("\\%c", *text);
        else if ((unsigned char)*text >= 0x20)
            (void)putchar(*text);
    (void)putchar('"');
}

static void status_json(char *lines)
{
    const char *key, *value;
    (void)fputs("{\"v\":1,\"type\":\"status\"", stdout);
    while (ctl_next_line(&lines, &key, &value)) {
        (void)printf(",\"%s\":", key);
        if (strcmp(key, "read_only") == 0 && strcmp(value, "no") == 0)
            (void)fputs("null", stdout); /* else the reason */
        else if (is_number(value))
            (void)fputs(value, stdout);
        else
            ctl_json_text(value);
    }
    (void)puts("}");
}

static void status_text_put(char *lines)
{
    const char *key, *value;
    while (ctl_next_line(&lines, &key, &value))
        (void)printf("%-16s %s\n", key, value);
}

int ctl_status(const struct ctl *ctl)
{
    char *lines;
    int code = ctl_ask(ctl, "status", &lines);
    if (code != CTL_OK)
        return code;
    bool read_only = strstr(lines, "\nread_only no\n") == NULL;
    if (ctl->json)
        status_json(lines);
    else
        status_text_put(lines);
    return read_only ? CTL_PROBLEM : CTL_OK;
}

int ctl_metrics(const struct ctl *ctl)
{
    char *lines;
    int code = ctl_ask(ctl, "metrics", &lines);
    if (code == CTL_OK)
        (void)fputs(lines, stdout);
    return code;
}

/* ---- users ---- */

/* "NAME owner|member active|suspended|closed CREATED_MS USER_ID" */
static void user_show(const struct ctl *ctl, const char *line)
{
    char name[64], role[16], state[16], created[24], id[40], day[32] = "?", clock[32] = "";
    if (sscanf(line, "%63s %15s %15s %23s %39s", name, role, state, created, id) != 5)
        return;
    uint64_t created_ms = strtoull(created, NULL, 10);
    time_t created_s = (time_t)(created_ms / 1000);
    struct tm parts;
    if (gmtime_r(&created_s, &parts) != NULL) {
        (void)strftime(day, sizeof day, "%Y-%m-%d", &parts);
        (void)strftime(clock, sizeof clock, "T%H:%M:%S", &parts);
    }
    if (ctl->json)
        (void)printf("{\"v\":1,\"type\":\"user\",\"username\":\"%s\",\"role\":\"%s\","
                     "\"state\":\"%s\",\"created\":\"%s%s.%03uZ\",\"user_id\":\"%s\"}\n",
                     name, role, state, day, clock, (unsigned)(created_ms % 1000), id);
    else
        (void)printf("%-32s %-6s %-9s since %s  %s\n", name, role, state, day, id);
}

int ctl_users(const struct ctl *ctl)
{
    char question[64] = "users";
    const char *key, *value;
    bool more = true;
    while (more) {
        char *lines;
        int code = ctl_ask(ctl, question, &lines);
        if (code != CTL_OK)
            return code;
        more = false;
        while (ctl_next_line(&lines, &key, &value)) {
            if (strcmp(key, "user") == 0) {
                user_show(ctl, value);
            } else if (strcmp(key, "next") == 0) {
                more = true;
                (void)snprintf(question, sizeof question, "users %s", value);
            }
        }
    }
    return CTL_OK;
}
