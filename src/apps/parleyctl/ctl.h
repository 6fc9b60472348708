/* SPDX-License-Identifier: Apache-2.0
 * ctl.h: the commands of parleyctl. Each returns the exit code and has said what was wrong. */
#pragma once

#include <stdbool.h>

#define CTL_WORDS_MAX 4

enum ctl_exit { CTL_OK = 0, CTL_PROBLEM = 1, CTL_USAGE = 2, CTL_NO_SERVER = 3 };

struct ctl {
    const char *data;
    bool json, owner;
    const char *reason; /* NULL: none was given */
    bool verify, yes, rollback, rebuild, dry_run;
    const char *words[CTL_WORDS_MAX];
    int words_count;
};

/* Asked of a running server (ask.c). */
int ctl_invite(const struct ctl *ctl);
int ctl_status(const struct ctl *ctl);
int ctl_metrics(const struct ctl *ctl);
int ctl_users(const struct ctl *ctl);

/* Done by a running server, with a reason for its audit log (act.c). */
int ctl_act(const struct ctl *ctl, const char *verb, const char *name); /* suspend, … */
int ctl_drain(const struct ctl *ctl); /* and wait until it has stopped */
int ctl_reason_missing(void);         /* says so; CTL_USAGE */

/* Where a message is (trace.c); with a reason, too. */
int ctl_trace(const struct ctl *ctl, const char *mid);

/* Ask, and say what was wrong; on CTL_OK *lines begins behind "ok". (ask.c) */
int ctl_ask(const struct ctl *ctl, const char *line, char **lines);
/* Cut the next "key value" line out; false at the end. */
bool ctl_next_line(char **lines, const char **key, const char **value);

/* A JSON string on stdout, quotes and all; control characters are left out. (ask.c) */
void ctl_json_text(const char *text);

/* Looked up in the folder (look.c). */
int ctl_check(const struct ctl *ctl);
int ctl_log_verify(const struct ctl *ctl);

/* From an older format to this one's (format.c, upgrade.h). */
int ctl_upgrade(const struct ctl *ctl);

/* The machine, the folder and the server on it (doctor.c). */
int ctl_doctor(const struct ctl *ctl);
/* The folder as a whole (backup.c, restore.c, recover.c). words[1] of the first two: the backup. */
int ctl_backup(const struct ctl *ctl);
int ctl_restore(const struct ctl *ctl);
int ctl_recover(const struct ctl *ctl);

/* Does a server answer for this folder, and is it sound? CTL_NO_SERVER, and nothing said, if none
 * does. */
int ctl_server_sound(const struct ctl *ctl);
