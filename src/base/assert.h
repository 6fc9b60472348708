/* SPDX-License-Identifier: Apache-2.0
 * assert.h: the assertion of this tree. It is always on, in every build.
 * `assert(expr)` is for errors of the programmer: arguments, invariants, both sides of a boundary.
 * Never for input, peers or the disk: those get a status. A failed assertion hands a report to the
 * handler that main() installed, and then aborts, whatever the handler did.
 * Never include the system's header of the same name.
 * Owner: the note is per thread; the handler is set once, before the first thread starts. */
#pragma once

#include <stdint.h>

struct assert_report {
    const char *file;
    const char *expression;
    const char *event; /* the last assert_note of this thread; "" before the first */
    uint32_t shard;    /* likewise; ASSERT_NO_SHARD before the first */
    int line;
};

#define ASSERT_NO_SHARD UINT32_MAX

/* Called on the failing thread with a report that lives until it returns. It may write and flush;
 * it need not return. */
typedef void assert_handler(const struct assert_report *report);

/* NULL: no report, only the abort. */
void assert_handler_set(assert_handler *handler);

/* Remember for this thread which shard runs and what it is doing. `event` is borrowed until the
 * next note: hand in literals. Costs two stores. */
void assert_note(uint32_t shard, const char *event);

_Noreturn void assert_failed(const char *file, int line, const char *expression);

#undef assert
#define assert(expr) ((expr) ? (void)0 : assert_failed(__FILE__, __LINE__, #expr))

#ifndef static_assert
#define static_assert _Static_assert
#endif
