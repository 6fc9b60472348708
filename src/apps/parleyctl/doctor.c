/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyctl/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "adapters/posix/admin.h"
#include "apps/parleyd/data.h"

#define STATUS_BYTES  (ADMIN_ANSWER_BYTES + 64u)
#define LAG_HIGH      10000u
#define REACH_SECONDS 5

static void json_put(const char *key, const char *text)
{
    (void)printf(",\"%s\":", key);
    ctl_json_text(text);
}

/* EXCEPTION: six parameters; two dozen callers read as the lines they print. */
void doctor_find(struct doctor *doctor, enum doctor_level level, const char *check,
                 const char *todo, const char *format, ...)
{
    static const char *const levels[] = {"ok", "note", "warning", "problem"};
    char text[800];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    doctor->counts[level]++;
    if (!doctor->ctl->json) {
        (void)printf("%-8s %-12s %s\n", levels[level], check, text);
        if (*todo != '\0')
            (void)printf("%-8s %-12s → %s\n", "", "", todo);
        return;
    }
    (void)fputs("{\"v\":1,\"type\":\"finding\"", stdout);
    json_put("level", levels[level]);
    json_put("check", check);
    json_put("text", text);
    json_put("todo", todo);
    (void)puts("}");
}

/* ---- the server, if one runs ---- */

static void take(struct doctor *doctor, const char *key, const char *value)
{
    const struct {
        const char *key;
        char *at;
        size_t bytes;
    } texts[] = {
        {"listen", doctor->listen, sizeof doctor->listen},
        {"name", doctor->name, sizeof doctor->name},
        {"certificate", doctor->certificate, sizeof doctor->certificate},
        {"certificate_trouble", doctor->certificate_trouble, sizeof doctor->certificate_trouble},
        {"certificate_name", doctor->certificate_name, sizeof doctor->certificate_name},
        {"read_only", doctor->read_only, sizeof doctor->read_only},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(key, texts[i].key) == 0)
            (void)snprintf(texts[i].at, texts[i].bytes, "%s", value);
    if (strcmp(key, "connections_max") == 0)
        doctor->connections_max = strtoull(value, NULL, 10);
    if (strcmp(key, "pid") == 0)
        doctor->pid = strtoull(value, NULL, 10);
    if (strcmp(key, "lag") == 0)
        doctor->lag = strtoull(value, NULL, 10);
}

static void server_ask(struct doctor *doctor)
{
    static char answer[STATUS_BYTES];
    struct failure failure = {0};
    const char *key, *value;
    char *lines = answer;
    enum status status =
        posix_admin_ask(doctor->ctl->data, "status", answer, sizeof answer, &failure);
    doctor->runs = status == STATUS_OK;
    if (status == STATUS_CLOSED)
        doctor_find(doctor, DOCTOR_NOTE, "server", "", "no server runs on this data");
    else if (status != STATUS_OK)
        doctor_find(doctor, DOCTOR_PROBLEM, "server",
                    "ask as its user or as root; if it hangs, look at what it says",
                    "the server does not answer: %s", failure.text);
    while (doctor->runs && ctl_next_line(&lines, &key, &value))
        take(doctor, key, value);
}

static void server_judge(struct doctor *doctor)
{
    if (!doctor->runs)
        return;
    if (strcmp(doctor->read_only, "no") != 0)
        doctor_find(doctor, DOCTOR_PROBLEM, "server",
                    "parleyctl log verify, with the server stopped, says what is damaged",
                    "it only reads: %s", doctor->read_only);
    else if (doctor->lag > LAG_HIGH)
        doctor_find(doctor, DOCTOR_WARNING, "server",
                    "look at the disk under store/ and at the load; above 100000 clients get BUSY",
                    "%llu records are not folded yet", (unsigned long long)doctor->lag);
    else
        doctor_find(doctor, DOCTOR_OK, "server", "", "it runs (process %llu) and takes messages",
                    (unsigned long long)doctor->pid);
}

static void certificate_judge(struct doctor *doctor)
{
    const char *text = doctor->certificate;
    if (!doctor->runs)
        return;
    if (strcmp(text, "none") == 0)
        doctor_find(doctor, DOCTOR_NOTE, "certificate", "",
                    "none: plain http, from this machine or through a proxy");
    else if (strncmp(text, "EXPIRED", 7) == 0)
        doctor_find(doctor, DOCTOR_PROBLEM, "certificate",
                    "put a new one into the same files; it is taken within a minute", "%s", text);
    else if (strncmp(text, "EXPIRES", 7) == 0)
        doctor_find(doctor, DOCTOR_WARNING, "certificate",
                    "renew it into the same files; it is taken within a minute", "it %s", text);
    else
        doctor_find(doctor, DOCTOR_OK, "certificate", "", "%s", text);
    if (strcmp(doctor->certificate_trouble, "none") != 0)
        doctor_find(doctor, DOCTOR_PROBLEM, "certificate",
                    "mend the files; the old certificate serves until then",
                    "the newest files are not used: %s", doctor->certificate_trouble);
    if (strcmp(doctor->certificate_name, "no") == 0)
        doctor_find(doctor, DOCTOR_WARNING, "certificate",
                    "get one that names it, or clients that connect by that name refuse it",
                    "it does not name %s", doctor->name);
}

/* ---- can it be reached? ---- */

static bool reach(const struct sockaddr *address, socklen_t bytes)
{
    struct timeval limit = {.tv_sec = REACH_SECONDS};
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    bool there = fd >= 0 && connect(fd, address, bytes) == 0;
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = error;
    return there;
}

static void port_judge(struct doctor *doctor)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    char host[96];
    if (!doctor->runs)
        return;
    (void)snprintf(host, sizeof host, "%s", doctor->listen);
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    uint16_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    four.sin_port = six.sin6_port = port;
    size_t bytes = strlen(host);
    bool bracket = host[0] == '[' && bytes > 2;
    if (bracket)
        host[bytes - 1] = '\0';
    const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    bool there = inet_pton(AF_INET, name, &four.sin_addr) == 1
                     ? reach((struct sockaddr *)&four, sizeof four)
                     : inet_pton(AF_INET6, bracket ? host + 1 : host, &six.sin6_addr) == 1 &&
                           reach((struct sockaddr *)&six, sizeof six);
    if (there)
        doctor_find(doctor, DOCTOR_OK, "port", "", "%s takes connections from this machine",
                    doctor->listen);
    else
        doctor_find(doctor, DOCTOR_PROBLEM, "port", "look at firewall rules of this machine",
                    "%s takes no connection from this machine: %s", doctor->listen,
                    strerror(errno));
}

/* ---- the folder ---- */

static void private_judge(struct doctor *doctor, const char *name, bool needed)
{
    char path[512];
    struct stat found;
    (void)snprintf(path, sizeof path, "%s%s%s", doctor->ctl->data, *name != '\0' ? "/" : "", name);
    if (stat(path, &found) != 0) {
        if (needed)
            doctor_find(doctor, DOCTOR_PROBLEM, "folder", "restore it from a backup",
                        "%s is missing", path);
        return;
    }
    if ((found.st_mode & 077) != 0) {
        char todo[600];
        (void)snprintf(todo, sizeof todo, "chmod go= %s", path);
        doctor_find(doctor, DOCTOR_PROBLEM, "folder", todo,
                    "%s can be reached by other users (mode %03o)", path,
                    (unsigned)found.st_mode & 0777);
    } else if (found.st_uid != geteuid() && geteuid() != 0) {
        doctor_find(doctor, DOCTOR_PROBLEM, "folder", "run parleyd and parleyctl as one user",
                    "%s belongs to another user (%u)", path, (unsigned)found.st_uid);
    }
}

static bool folder_judge(struct doctor *doctor)
{
    struct failure failure = {0};
    if (data_look(doctor->ctl->data, &failure) != STATUS_OK) {
        doctor_find(doctor, DOCTOR_PROBLEM, "folder",
                    "name the folder with --data, or start parleyd, which makes one", "%s",
                    failure.text);
        return false;
    }
    unsigned before = doctor->counts[DOCTOR_PROBLEM];
    private_judge(doctor, "", true);
    private_judge(doctor, "keys", true);
    private_judge(doctor, "keys/witness.key", true);
    private_judge(doctor, "keys/server.id", true);
    private_judge(doctor, "log", true);
    private_judge(doctor, "audit.log", false);
    if (doctor->counts[DOCTOR_PROBLEM] == before)
        doctor_find(doctor, DOCTOR_OK, "folder", "", "%s is whole and private", doctor->ctl->data);
    return true;
}

int ctl_doctor(const struct ctl *ctl)
{
    struct doctor doctor = {.ctl = ctl};
    bool there = folder_judge(&doctor);
    if (there)
        server_ask(&doctor);
    server_judge(&doctor);
    certificate_judge(&doctor);
    port_judge(&doctor);
    if (there) {
        doctor_disk(&doctor);
        doctor_sync(&doctor);
    }
    doctor_clock(&doctor);
    doctor_descriptors(&doctor);
    doctor_kernel(&doctor);
    unsigned problems = doctor.counts[DOCTOR_PROBLEM], warnings = doctor.counts[DOCTOR_WARNING];
    if (!ctl->json)
        (void)printf("%u problem%s, %u warning%s\n", problems, problems == 1 ? "" : "s", warnings,
                     warnings == 1 ? "" : "s");
    return problems > 0 ? CTL_PROBLEM : CTL_OK;
}
