/* SPDX-License-Identifier: Apache-2.0
 * ctl.h: the commands of parleyctl. Each returns the exit code and has said what was wrong. */
#pragma once

#include <stdbool.h>

#define CTL_WORDS_MAX 4

enum ctl_exit { CTL_OK = 0, CTL_PROBLEM = 1, CTL_USAGE = 2, CTL_NO_SERVER = 3 };

struct ctl {
    const char *data;
    bool json, owner;
    const char *words[CTL_WORDS_MAX];
    int words_count;
};

/* Asked of a running server (ask.c). */
int ctl_invite(const struct ctl *ctl);
int ctl_status(const struct ctl *ctl);
int ctl_metrics(const struct ctl *ctl);
int ctl_users(const struct ctl *ctl);

/* Looked up in the folder (look.c). */
int ctl_check(const struct ctl *ctl);
int ctl_log_verify(const struct ctl *ctl);

/* Does a server answer for this folder, and is it sound? CTL_NO_SERVER, and nothing said, if none
 * does. */
int ctl_server_sound(const struct ctl *ctl);
