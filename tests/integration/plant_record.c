/* SPDX-License-Identifier: Apache-2.0
 * plant-record DATA TOPIC: appends a record for each line of stdin, its bytes in hex, to the log of
 * a data folder at rest, as a newer program, or a bug, would have; prints the offset of the first.
 * The topic is a number, the key zero. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapters/log/log.h"
#include "adapters/posix/file.h"
#include "adapters/system/system.h"
#include "base/base64.h"

static struct log target;
static struct posix_file file;

static int fail(const char *why)
{
    (void)fprintf(stderr, "plant-record: %s\n", why);
    return 1;
}

static void turn(void)
{
    struct bus_event events[16];
    posix_file_wait(&file, 100);
    (void)target.bus.vtable->poll(&target.bus, events, 16);
}

static bool plant(enum topic topic, const char *hex)
{
    static const uint8_t key[ID_BYTES];
    static uint8_t bytes[BUS_RECORD_BYTES_MAX];
    struct buf out = buf_over(bytes, sizeof bytes);
    if (hex_read(slice_text(hex), &out) != STATUS_OK || out.overflow)
        return false;
    enum status status;
    while ((status = target.bus.vtable->append(&target.bus, topic, key, buf_slice(&out), 1)) ==
           STATUS_BUSY)
        turn();
    return status == STATUS_OK;
}

int main(int count, char **arguments)
{
    struct failure failure = {0};
    struct log_options options = log_options_default();
    options.folder = "log";
    options.segment_bytes = 4u << 20;
    if (count != 3)
        return fail("plant-record DATA TOPIC < LINES");
    if (posix_file_open(&file, arguments[1], NULL, &failure) != STATUS_OK)
        return fail(failure.text);
    if (log_open(&target, &file.port, system_clock(), system_entropy(), &options) != STATUS_OK)
        return fail("no memory");
    while (target.state == LOG_RECOVERING)
        turn();
    if (target.state != LOG_READY)
        return fail("the log is not sound");
    static char line[2 * BUS_RECORD_BYTES_MAX + 2];
    uint64_t first = target.end, planted = 0;
    for (; fgets(line, sizeof line, stdin) != NULL; planted++) {
        line[strcspn(line, "\n")] = '\0';
        if (!plant((enum topic)strtoul(arguments[2], NULL, 10), line))
            return fail("a record is refused");
    }
    while (target.state == LOG_READY && target.end < first + planted)
        turn();
    log_stop(&target);
    while (target.state == LOG_READY)
        turn();
    if (target.state != LOG_STOPPED)
        return fail("the log could not be written");
    log_close(&target);
    posix_file_close(&file);
    (void)printf("%" PRIu64 "\n", first);
    return 0;
}
