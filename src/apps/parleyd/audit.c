/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/system/system.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/utf8.h"

bool audit_reason_valid(const char *reason)
{
    size_t bytes = strlen(reason);
    for (const char *at = reason; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    return bytes >= 3 && bytes <= AUDIT_REASON_BYTES && utf8_valid(slice_text(reason));
}

static void json_put(struct buf *out, const char *text)
{
    buf_text(out, "\"");
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            buf_u8(out, '\\');
        buf_u8(out, (uint8_t)*text);
    }
    buf_text(out, "\"");
}

static void id_put(struct buf *out, const char *key, const uint8_t *id)
{
    if (id == NULL)
        return;
    buf_text(out, key);
    hex_write(out, slice_make(id, ID_BYTES));
    buf_text(out, "\"");
}

static void time_put(struct buf *out)
{
    char text[32] = "?";
    time_t now_s = (time_t)(system_clock()->vtable->read(system_clock()).wall_us / 1000000);
    struct tm parts;
    if (gmtime_r(&now_s, &parts) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    buf_text(out, text);
}

enum status audit_write(const char *data, const struct audit_entry *entry, struct failure *failure)
{
    uint8_t space[1024];
    char path[512];
    struct buf line = buf_over(space, sizeof space);
    buf_text(&line, "{\"at\":\"");
    time_put(&line);
    buf_text(&line, "\",\"uid\":");
    buf_decimal(&line, entry->uid);
    buf_text(&line, ",\"act\":\"");
    buf_text(&line, entry->act);
    buf_text(&line, "\"");
    id_put(&line, ",\"user\":\"", entry->user);
    id_put(&line, ",\"mid\":\"", entry->mid);
    buf_text(&line, ",\"reason\":");
    json_put(&line, entry->reason);
    buf_text(&line, "}\n");
    (void)snprintf(path, sizeof path, "%s/audit.log", data);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool done = fd >= 0 && !line.overflow &&
                write(fd, line.at, line.bytes) == (ssize_t)line.bytes && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (!done)
        return failure_set(failure, STATUS_IO, "%.80s cannot be written: %s", path,
                           strerror(error));
    return STATUS_OK;
}
