/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"

#include <stddef.h>
#include <stdlib.h> /* abort */

/* EXCEPTION: state outside a struct. An assertion must report from any depth, also where no
 * context was passed, and nothing but the report ever depends on these three. */
static assert_handler *handler_now;
static _Thread_local uint32_t note_shard = ASSERT_NO_SHARD;
static _Thread_local const char *note_event = "";

void assert_handler_set(assert_handler *handler)
{
    handler_now = handler;
}

void assert_note(uint32_t shard, const char *event)
{
    note_shard = shard;
    note_event = event;
}

_Noreturn void assert_failed(const char *file, int line, const char *expression)
{
    const struct assert_report report = {file, expression, note_event, note_shard, line};
    assert_handler *handler = handler_now;
    handler_now = NULL; /* an assertion that fails inside the handler must not call it again */
    if (handler != NULL)
        handler(&report);
    abort();
}
