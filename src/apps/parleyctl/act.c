/* SPDX-License-Identifier: Apache-2.0
 * act.c: what a running server is asked to do to an account or to itself. The reason goes into its
 * audit log (DATA/audit.log) before anything happens. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "adapters/posix/admin.h"
#include "apps/parleyctl/ctl.h"

#define DRAIN_EXTRA_MS 15000

int ctl_reason_missing(void)
{
    (void)fprintf(stderr,
                  "parleyctl: say why, for the audit log: --reason TEXT (3 to 200 bytes)\n");
    return CTL_USAGE;
}

/* What was done, in the past. */
static const char *done_text(const char *verb)
{
    return strcmp(verb, "suspend") == 0     ? "suspended: its sessions are ended"
           : strcmp(verb, "unsuspend") == 0 ? "no longer suspended"
           : strcmp(verb, "delete") == 0    ? "closed for good: its sessions are ended"
                                            : "may use this secret as its password for 24 hours, "
                                              "until it sets a new one (parley password)";
}

int ctl_act(const struct ctl *ctl, const char *verb, const char *name)
{
    char line[ADMIN_LINE_BYTES];
    const char *key, *value, *secret = "";
    char *lines;
    if (ctl->reason == NULL)
        return ctl_reason_missing();
    const char *asked = strcmp(verb, "reset-link") == 0 ? "reset" : verb;
    int bytes = snprintf(line, sizeof line, "%s %s %s", asked, name, ctl->reason);
    if (bytes < 0 || (size_t)bytes >= sizeof line || strpbrk(name, " \n") != NULL ||
        strchr(ctl->reason, '\n') != NULL) {
        (void)fprintf(stderr, "parleyctl: the name or the reason is too long, or has more lines\n");
        return CTL_USAGE;
    }
    int code = ctl_ask(ctl, line, &lines);
    if (code != CTL_OK)
        return code;
    while (ctl_next_line(&lines, &key, &value))
        if (strcmp(key, "secret") == 0)
            secret = value;
    if (ctl->json)
        (void)printf("{\"v\":1,\"type\":\"act\",\"act\":\"%s\",\"username\":\"%s\"%s%s%s}\n", verb,
                     name, *secret != '\0' ? ",\"secret\":\"" : "", secret,
                     *secret != '\0' ? "\"" : "");
    else {
        (void)fprintf(stderr, "%s %s\n", name, done_text(verb));
        if (*secret != '\0')
            (void)puts(secret);
    }
    return CTL_OK;
}

/* ---- drain ---- */

/* Wait for the end of a process that is not ours; it may wait for its parent then. */
static bool process_ended(long pid, int timeout_ms)
{
    struct pollfd wait = {.fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0), .events = POLLIN};
    if (wait.fd < 0)
        return errno == ESRCH;
    bool ended = poll(&wait, 1, timeout_ms) == 1;
    (void)close(wait.fd);
    return ended;
}

int ctl_drain(const struct ctl *ctl)
{
    char line[ADMIN_LINE_BYTES];
    const char *key, *value;
    char *lines;
    long drain_ms = 0, pid = 0;
    if (ctl->reason == NULL)
        return ctl_reason_missing();
    (void)snprintf(line, sizeof line, "drain %s", ctl->reason);
    int code = ctl_ask(ctl, line, &lines);
    if (code != CTL_OK)
        return code;
    while (ctl_next_line(&lines, &key, &value)) {
        if (strcmp(key, "drain_ms") == 0)
            drain_ms = strtol(value, NULL, 10);
        if (strcmp(key, "pid") == 0)
            pid = strtol(value, NULL, 10);
    }
    if (!process_ended(pid, (int)drain_ms + DRAIN_EXTRA_MS)) {
        (void)fprintf(stderr, "parleyctl: the server was asked to stop, and has not yet: see what "
                              "it says\n");
        return CTL_PROBLEM;
    }
    (void)puts("stopped: clients were told, what was queued is written, the log is sealed");
    return CTL_OK;
}
