/* SPDX-License-Identifier: Apache-2.0
 * status.h: the one set of outcomes (status.def), and the shape of a detailed failure.
 * Functions that can fail return `enum status`; a detail text exists only at start-up and in
 * adapters, as `struct failure`. */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))

enum status {
#define STATUS(name, text) STATUS_##name,
#include "base/status.def"
#undef STATUS
};

struct failure {
    enum status status;
    char text[160]; /* zero-terminated, cut if longer; never holds content, names or secrets */
};

/* The text of status.def. */
const char *status_text(enum status status);

/* "OK", "AGAIN", …: for logs and metrics. */
const char *status_name(enum status status);

/* Fill `failure` printf-like and return its status, so that `return failure_set(…)` reads well.
 * `failure` may be NULL. */
enum status failure_set(struct failure *failure, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
