/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a history: a refusal names a line and a column; what is taken is written back, and
 * reads again as the same events. */
#include <string.h>

#include "base/assert.h"
#include "sim/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes);

static void write_and_read(const struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        uint8_t line[HISTORY_LINE_BYTES_MAX];
        struct buf out = buf_over(line, sizeof line);
        struct history_event again;
        history_write(&out, &history->events[i]);
        assert(!out.overflow && out.bytes > 0 && line[out.bytes - 1] == '\n');
        enum status status = history_read(slice_make(line, out.bytes - 1), &again, NULL);
        assert(status == STATUS_OK);
        assert(memcmp(&again, &history->events[i], sizeof again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t bytes)
{
    struct history history = {0};
    struct failure failure = {STATUS_OK, ""};
    enum status status = history_read_all(slice_make(at, bytes), &history, &failure);
    if (status != STATUS_OK)
        assert(strncmp(failure.text, "line ", 5) == 0 && strstr(failure.text, "column "));
    write_and_read(&history);
    history_close(&history);
    return 0;
}
