/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/server.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool times_read(pid_t pid, struct server_use *out)
{
    char path[64], text[1024];
    unsigned long user, system;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[bytes] = '\0';
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    for (int i = 0; at != NULL && i < 12; i++)
        at = strchr(at + 1, ' ');
    char *end;
    if (at == NULL)
        return false;
    user = strtoul(at, &end, 10);
    system = strtoul(end, &end, 10);
    double ticks = (double)sysconf(_SC_CLK_TCK);
    out->cpu_user_s = (double)user / ticks;
    out->cpu_system_s = (double)system / ticks;
    return true;
}

/* Sum of the lines that begin with `key`. */
static uint64_t sum_of(const char *path, const char *key)
{
    char line[256];
    uint64_t sum = 0;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strstr(line, key) != NULL) {
            const char *value = strchr(line, ':');
            sum += value != NULL ? strtoull(value + 1, NULL, 10) : 0;
        }
    if (file != NULL)
        (void)fclose(file);
    return sum;
}

static uint64_t switches_read(pid_t pid)
{
    char path[320];
    uint64_t sum = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/status", (int)pid, entry->d_name);
        sum += sum_of(path, "ctxt_switches");
    }
    if (folder != NULL)
        (void)closedir(folder);
    return sum;
}

bool server_read(pid_t pid, struct server_use *out)
{
    char path[64];
    *out = (struct server_use){0};
    if (!times_read(pid, out))
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    out->rss_kib = sum_of(path, "VmRSS");
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    out->private_kib = sum_of(path, "Private_");
    (void)snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
    out->read_bytes = sum_of(path, "read_bytes:");
    out->switches = switches_read(pid);
    return true;
}
