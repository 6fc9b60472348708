/* SPDX-License-Identifier: Apache-2.0
 * options.h: the command line, read once. Secrets never stand on it, but for an invite, which
 * works once. Pure but for getopt's own state. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_WORDS_MAX 64

enum command_name {
    COMMAND_REGISTER,
    COMMAND_LOGIN,
    COMMAND_SEND,
    COMMAND_RECEIVE,
    COMMAND_CHAT,
    COMMAND_CHATS,
    COMMAND_HISTORY,
    COMMAND_READ,
    COMMAND_DEVICES,
    COMMAND_INVITE,
    COMMAND_PASSWORD,
    COMMAND_VERSION,
    COMMAND_COUNT,
};

enum wait_for { WAIT_SERVER, WAIT_DELIVERED, WAIT_READ };

struct options {
    enum command_name command;
    const char *profile, *profile_dir;
    const char *server, *ca, *invite, *username, *device_name, *message;
    bool json, follow, include_own, offline, help, has_timeout;
    uint64_t timeout_ms, max, limit, before;
    uint32_t uses, days;
    int password_fd; /* -1: ask */
    enum wait_for wait;
    const char *words[OPTIONS_WORDS_MAX]; /* behind the command */
    size_t words_count;
    char trouble[200]; /* what was wrong */
};

/* False: it was wrong, `trouble` says what, and only `json` counts; exit 2. */
bool options_read(int argc, char **argv, struct options *out);
void options_help(const struct options *options); /* on stdout */
