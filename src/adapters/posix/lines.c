/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

struct line {
    uint16_t bytes; /* 0: the end */
    uint8_t text[LINES_BYTES - 2];
};

static void *lines_thread(void *argument)
{
    struct posix_lines *lines = argument;
    struct line line;
    for (;;) {
        while (sem_wait(&lines->wake) != 0)
            ;
        while (ring_take(&lines->ring, &line)) {
            if (line.bytes == 0)
                return NULL;
            while (write(lines->fd, line.text, line.bytes) < 0 && errno == EINTR)
                ;
        }
    }
}

enum status posix_lines_open(struct posix_lines *lines, int fd, struct failure *failure)
{
    *lines = (struct posix_lines){.fd = fd};
    if (ring_open(&lines->ring, LINES_MAX, sizeof(struct line)) != STATUS_OK)
        return failure_set(failure, STATUS_BUSY, "no memory for the log of events");
    int made = sem_init(&lines->wake, 0, 0);
    assert(made == 0);
    if (pthread_create(&lines->thread, NULL, lines_thread, lines) != 0) {
        (void)sem_destroy(&lines->wake);
        ring_close(&lines->ring);
        *lines = (struct posix_lines){0};
        return failure_set(failure, STATUS_IO, "no thread for the log of events");
    }
    lines->started = true;
    return STATUS_OK;
}

void posix_lines_close(struct posix_lines *lines)
{
    struct line end = {.bytes = 0};
    if (!lines->started)
        return;
    while (ring_put(&lines->ring, &end) != STATUS_OK)
        (void)usleep(1000); /* full: the thread is at it */
    (void)sem_post(&lines->wake);
    (void)pthread_join(lines->thread, NULL);
    (void)sem_destroy(&lines->wake);
    ring_close(&lines->ring);
    *lines = (struct posix_lines){0};
}

void posix_lines_put(struct posix_lines *lines, struct slice text)
{
    struct line line;
    if (!lines->started || text.bytes == 0)
        return;
    assert(text.bytes <= sizeof line.text);
    line.bytes = (uint16_t)text.bytes;
    memcpy(line.text, text.at, text.bytes);
    if (ring_put(&lines->ring, &line) == STATUS_OK)
        (void)sem_post(&lines->wake);
}

uint64_t posix_lines_lost(const struct posix_lines *lines)
{
    return lines->started ? ring_refused(&lines->ring) : 0;
}
