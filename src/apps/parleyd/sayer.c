/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/sayer.h"

#include <string.h>
#include <unistd.h>

#include "adapters/system/system.h"
#include "base/assert.h"

/* Is stderr the journal's own socket? Then it takes a line's priority from its beginning. */
static bool journal_reads(void)
{
    for (char *const *at = environ; *at != NULL; at++)
        if (strncmp(*at, "JOURNAL_STREAM=", 15) == 0)
            return true;
    return false;
}

enum status sayer_open(struct sayer *sayer, enum said_format format, struct failure *failure)
{
    *sayer = (struct sayer){.style = {.format = format, .priorities = journal_reads()}};
    system_entropy()->vtable->fill(system_entropy(), sayer->style.key, sizeof sayer->style.key);
    return format == SAID_OFF ? STATUS_OK : posix_lines_open(&sayer->lines, STDERR_FILENO, failure);
}

void sayer_close(struct sayer *sayer)
{
    posix_lines_close(&sayer->lines);
    memset(&sayer->style, 0, sizeof sayer->style);
    sayer->style.format = SAID_OFF;
}

bool sayer_lay(struct sayer_board *board, struct said_queue *queue)
{
    uint32_t room = SAYER_WAITING - board->count;
    uint32_t count = queue->count < room ? queue->count : room;
    if (queue->count == 0 && queue->lost == 0)
        return false;
    memcpy(board->at + board->count, queue->at, count * sizeof queue->at[0]);
    board->count += count;
    board->lost += queue->lost + (queue->count - count);
    queue->count = 0;
    queue->lost = 0;
    return true;
}

void sayer_write(struct sayer *sayer, const struct said *said)
{
    uint8_t space[SAID_IDS * SAID_LINE_BYTES];
    struct buf out = buf_over(space, sizeof space);
    said_write(&sayer->style, said, &out);
    assert(!out.overflow);
    struct slice left = buf_slice(&out);
    while (left.bytes > 0) {
        const uint8_t *end = memchr(left.at, '\n', left.bytes);
        size_t bytes = (size_t)(end - left.at) + 1;
        posix_lines_put(&sayer->lines, slice_make(left.at, bytes));
        left = slice_sub(left, bytes, left.bytes);
    }
}

void sayer_say(struct sayer *sayer, enum said_id id, const struct said_value *values, size_t count)
{
    struct said said = {.id = id, .wall_us = system_clock()->vtable->read(system_clock()).wall_us};
    assert(count <= SAID_FIELDS_MAX);
    for (size_t i = 0; i < count; i++)
        said.values[i] = values[i];
    sayer_write(sayer, &said);
}

uint64_t sayer_lost(const struct sayer *sayer)
{
    return sayer->lost + sayer->style.lost + posix_lines_lost(&sayer->lines);
}
