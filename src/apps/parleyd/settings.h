/* SPDX-License-Identifier: Apache-2.0
 * settings.h: the settings of this run, from the command line, the environment and the file.
 * Owner: the main thread, at start. */
#pragma once

#include "runtime/config.h"

enum settings_action {
    SETTINGS_RUN,
    SETTINGS_CHECK,
    SETTINGS_HELP,
    SETTINGS_HELP_CONFIG,
    SETTINGS_SAMPLE,
    SETTINGS_LIMITS,
    SETTINGS_METRICS,
    SETTINGS_EVENTS,
    SETTINGS_VERSION,
};

/* What is asked for. Whatever is wrong stands in reading->findings. */
enum settings_action settings_read(struct config_reading *reading, int count,
                                   char *const *arguments, char *const *environment);

/* The file alone, into `reading`. */
void settings_file(struct config_reading *reading, const char *path);
