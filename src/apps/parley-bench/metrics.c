/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/metrics.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PAGE_BYTES_MAX 131072u
#define ANSWER_S       5

/* The value of the series `name`, at the beginning of a line. */
static bool value_of(const char *text, const char *name, double *out)
{
    size_t bytes = strlen(name);
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, bytes) == 0 && at[bytes] == ' ') {
            *out = strtod(at + bytes, NULL);
            return true;
        }
    }
    return false;
}

bool metrics_parse(const char *text, struct metrics *out)
{
    return value_of(text, "parley_log_sync_seconds_count", &out->syncs) &&
           value_of(text, "parley_log_sync_seconds_sum", &out->sync_s) &&
           value_of(text, "parley_log_sync_records_sum", &out->sync_records) &&
           value_of(text, "parley_messages_sent_total", &out->sent) &&
           value_of(text, "parley_append_seconds_count", &out->appends) &&
           value_of(text, "parley_append_seconds_sum", &out->append_s) &&
           value_of(text, "parley_index_lag_records", &out->lag);
}

static int reach(const char *server)
{
    const struct timeval patience = {.tv_sec = ANSWER_S};
    const char *colon = strrchr(server, ':');
    struct sockaddr_in to = {.sin_family = AF_INET};
    char host[64];
    if (colon == NULL || (size_t)(colon - server) >= sizeof host)
        return -1;
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - server), server);
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

bool metrics_read(const char *server, struct metrics *out)
{
    static char page[PAGE_BYTES_MAX];
    char request[160];
    size_t bytes = 0;
    ssize_t more = -1;
    int length =
        snprintf(request, sizeof request,
                 "GET /metrics HTTP/1.1\r\nHost: %.80s\r\nConnection: close\r\n\r\n", server);
    int fd = reach(server);
    if (fd >= 0 && send(fd, request, (size_t)length, MSG_NOSIGNAL) == length)
        while (bytes + 1 < sizeof page &&
               (more = recv(fd, page + bytes, sizeof page - 1 - bytes, 0)) > 0)
            bytes += (size_t)more;
    page[bytes] = '\0';
    if (fd >= 0)
        (void)close(fd);
    return more == 0 && metrics_parse(page, out);
}
