/* SPDX-License-Identifier: Apache-2.0
 * doctor_machine.c: what the machine gives: room, honest syncs, the time, descriptors, the
 * kernel. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "apps/parleyctl/doctor.h"

#define GIB            (1024.0 * 1024.0 * 1024.0)
#define ROOM_LEAST     0.5 /* GiB: some segments of the log */
#define ROOM_LOW       5.0
#define SYNCS          32
#define SYNC_HONEST_US 60 /* the fastest drives with a cache that survives take about this */
#define SYNC_SLOW_US   100000
#define YEAR_LEAST_S   1767225600 /* 2026-01-01: before this was written */
#define FILES_APART    512        /* as parleyd keeps for itself */
#define FILES_USUAL    (4096 + FILES_APART)
#define FUSE_MAGIC     0x65735546

/* ---- room ---- */

void doctor_disk(struct doctor *doctor)
{
    struct statvfs found;
    if (statvfs(doctor->ctl->data, &found) != 0) {
        doctor_find(doctor, DOCTOR_PROBLEM, "disk", "mount it", "the disk cannot be asked: %s",
                    strerror(errno));
        return;
    }
    double free_gib = (double)found.f_bavail * (double)found.f_frsize / GIB;
    enum doctor_level level = free_gib < ROOM_LEAST ? DOCTOR_PROBLEM
                              : free_gib < ROOM_LOW ? DOCTOR_WARNING
                                                    : DOCTOR_OK;
    doctor_find(doctor, level, "disk",
                level == DOCTOR_OK ? "" : "make room: nothing can be sent when it is full",
                "%.1f GiB are free", free_gib);
    if (found.f_files > 0 && found.f_favail < 1000)
        doctor_find(doctor, DOCTOR_PROBLEM, "disk", "remove small files: no new one can be made",
                    "only %llu files more can be made", (unsigned long long)found.f_favail);
}

/* ---- syncs: does the disk do what it says? ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int longer(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

/* The median of SYNCS times 4 KiB written and synced; false: it could not be done. */
static bool syncs_time(const char *folder, uint64_t *median_us)
{
    static const char block[4096] = "parley";
    uint64_t times_us[SYNCS];
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    bool done = fd >= 0;
    for (int i = 0; done && i < SYNCS; i++) {
        uint64_t begun_us = now_us();
        done = pwrite(fd, block, sizeof block, (off_t)i * (off_t)sizeof block) ==
                   (ssize_t)sizeof block &&
               fdatasync(fd) == 0;
        times_us[i] = now_us() - begun_us;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = error;
    if (done)
        qsort(times_us, SYNCS, sizeof times_us[0], longer);
    *median_us = done ? times_us[SYNCS / 2] : 0;
    return done;
}

static void filesystem_judge(struct doctor *doctor)
{
    struct statfs found;
    if (statfs(doctor->ctl->data, &found) != 0)
        return;
    switch ((unsigned long)found.f_type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        doctor_find(doctor, DOCTOR_PROBLEM, "disk", "put the data folder on a disk",
                    "the data lies in memory: all of it is gone when the machine stops");
        break;
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case FUSE_MAGIC:
        doctor_find(doctor, DOCTOR_WARNING, "disk",
                    "use a disk of this machine: locks and syncs are only as good as the other "
                    "side",
                    "the data lies on a network or FUSE file system");
        break;
    default: break;
    }
}

void doctor_sync(struct doctor *doctor)
{
    uint64_t median_us;
    filesystem_judge(doctor);
    if (!syncs_time(doctor->ctl->data, &median_us))
        doctor_find(doctor, DOCTOR_WARNING, "sync", "run it as the user of parleyd",
                    "syncs could not be timed: %s", strerror(errno));
    else if (median_us < SYNC_HONEST_US)
        doctor_find(doctor, DOCTOR_WARNING, "sync",
                    "unless the drive's cache survives a power cut, acknowledged messages may "
                    "not: look for tmpfs, eatmydata, a virtual disk with cache=unsafe, a drive "
                    "with a volatile cache",
                    "a sync takes %llu µs: too fast to be true for most disks",
                    (unsigned long long)median_us);
    else if (median_us > SYNC_SLOW_US)
        doctor_find(doctor, DOCTOR_WARNING, "sync", "every tick waits for one: use another disk",
                    "a sync takes %.0f ms", (double)median_us / 1000);
    else
        doctor_find(doctor, DOCTOR_OK, "sync", "", "a sync takes %.2f ms, as an honest disk does",
                    (double)median_us / 1000);
}

/* ---- time ---- */

void doctor_clock(struct doctor *doctor)
{
    struct timex state = {.modes = 0};
    struct stat log;
    char path[512];
    time_t now_s = time(NULL);
    (void)snprintf(path, sizeof path, "%s/log", doctor->ctl->data);
    if (now_s < YEAR_LEAST_S) {
        doctor_find(doctor, DOCTOR_PROBLEM, "clock", "set it: certificates and dates are wrong",
                    "the clock is years behind");
        return;
    }
    if (stat(path, &log) == 0 && log.st_mtime > now_s + 60) {
        doctor_find(doctor, DOCTOR_PROBLEM, "clock",
                    "set it; until it passes that time again, messages are dated as the log's end",
                    "the log was last changed %lld s in the future: the clock went back",
                    (long long)(log.st_mtime - now_s));
        return;
    }
    int synced = adjtimex(&state);
    if (synced == TIME_ERROR || (state.status & STA_UNSYNC) != 0)
        doctor_find(doctor, DOCTOR_NOTE, "clock",
                    "install systemd-timesyncd or chrony, unless the host of a container keeps it",
                    "the kernel knows no time source: the clock may drift");
    else
        doctor_find(doctor, DOCTOR_OK, "clock", "", "it follows a time source");
}

/* ---- descriptors ---- */

/* Of the running server, else of a process that this shell would start. */
static bool files_max(const struct doctor *doctor, unsigned long long *max)
{
    struct rlimit own;
    char path[64], line[256];
    bool found = false;
    if (!doctor->runs) {
        found = getrlimit(RLIMIT_NOFILE, &own) == 0;
        *max = found ? own.rlim_max : 0; /* parleyd raises its own */
        return found;
    }
    (void)snprintf(path, sizeof path, "/proc/%llu/limits", (unsigned long long)doctor->pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "Max open files %llu", max) == 1;
    if (file != NULL)
        (void)fclose(file);
    return found;
}

void doctor_descriptors(struct doctor *doctor)
{
    unsigned long long max = 0, wanted = FILES_USUAL;
    if (doctor->runs)
        wanted = doctor->connections_max + FILES_APART;
    if (!files_max(doctor, &max))
        doctor_find(doctor, DOCTOR_NOTE, "descriptors", "", "the limit cannot be read");
    else if (max < wanted)
        doctor_find(doctor, DOCTOR_WARNING, "descriptors",
                    "raise it (ulimit -n, or LimitNOFILE= of the unit); parleyd takes fewer "
                    "connections until then",
                    "%llu may be open; %llu are wanted", max, wanted);
    else
        doctor_find(doctor, DOCTOR_OK, "descriptors", "", "%llu may be open; %llu are wanted", max,
                    wanted);
}

/* ---- the kernel ---- */

/* May a ring be made? Asked with an address that cannot be read, so that none is. */
static bool io_uring_there(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EFAULT;
}

void doctor_kernel(struct doctor *doctor)
{
    struct utsname about;
    unsigned major = 0, minor = 0;
    if (uname(&about) != 0 || sscanf(about.release, "%u.%u", &major, &minor) != 2)
        return;
    bool old = major < 5 || (major == 5 && minor < 10);
    doctor_find(doctor, old ? DOCTOR_WARNING : DOCTOR_OK, "kernel",
                old ? "use Linux 5.10 or newer: nothing older is tried" : "",
                "Linux %s; io_uring %s (epoll serves without it)", about.release,
                io_uring_there() ? "is allowed" : "is not allowed");
}
