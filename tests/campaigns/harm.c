/* SPDX-License-Identifier: Apache-2.0
 * libharm: see harm.h. It calls the kernel, or the C library's own names, never what it hides. */
#include "harm.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define HIDES __attribute__((visibility("default")))

/* EXCEPTION: state outside a struct. These functions have the C library's signatures. */
static struct harm *harm; /* NULL: before main(), or nobody asked for harm */
static int (*true_main)(int, char **, char **);

static bool due(struct harm_fault *fault)
{
    atomic_fetch_add(&fault->seen, 1);
    int64_t in = atomic_load(&fault->in);
    if (in <= 0)
        return false;
    bool now = in == 1;
    if (!now || !atomic_load(&fault->for_ever))
        now = atomic_fetch_sub(&fault->in, 1) == 1;
    if (now)
        atomic_fetch_add(&fault->failed, 1);
    return now;
}

/* ---- the beginning ---- */

static void harm_map(void)
{
    const char *path = getenv("PARLEY_HARM");
    int fd = path != NULL ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    void *at = (void *)syscall(SYS_mmap, NULL, sizeof *harm, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                               (off_t)0);
    (void)syscall(SYS_close, fd);
    if (at != MAP_FAILED)
        harm = at;
}

static int harmed_main(int count, char **arguments, char **environment)
{
    harm_map();
    return true_main(count, arguments, environment);
}

HIDES int __libc_start_main(int (*main)(int, char **, char **), int count, char **arguments,
                            void (*init)(void), void (*fini)(void), void (*end)(void), void *stack);

/* EXCEPTION: the C library says what its parameters are, here and below. */
int __libc_start_main(int (*main)(int, char **, char **), int count, char **arguments,
                      void (*init)(void), void (*fini)(void), void (*end)(void), void *stack)
{
    __typeof__(&__libc_start_main) next;
    *(void **)&next = dlsym(RTLD_NEXT, "__libc_start_main");
    true_main = main;
    return next(harmed_main, count, arguments, init, fini, end, stack);
}

/* ---- memory ---- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *had, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static bool memory_fails(void)
{
    if (harm == NULL || !due(&harm->memory))
        return false;
    errno = ENOMEM;
    return true;
}

HIDES void *malloc(size_t bytes)
{
    return memory_fails() ? NULL : __libc_malloc(bytes);
}

HIDES void *calloc(size_t count, size_t bytes)
{
    return memory_fails() ? NULL : __libc_calloc(count, bytes);
}

HIDES void *realloc(void *had, size_t bytes)
{
    return memory_fails() ? NULL : __libc_realloc(had, bytes);
}

HIDES void *aligned_alloc(size_t align, size_t bytes)
{
    return memory_fails() ? NULL : __libc_memalign(align, bytes);
}

HIDES int posix_memalign(void **out, size_t align, size_t bytes)
{
    *out = memory_fails() ? NULL : __libc_memalign(align, bytes);
    return *out != NULL ? 0 : ENOMEM;
}

/* EXCEPTION: the C library says what its parameters are. */
HIDES void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if ((flags & MAP_ANONYMOUS) != 0 && memory_fails())
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

/* EXCEPTION: as above. */
HIDES void *mmap64(void *at, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
    return mmap(at, bytes, protection, flags, fd, offset);
}

/* ---- files ---- */

/* Fails a call that is not cut short: true, and errno. */
static bool file_fails(bool signals)
{
    if (harm == NULL || !due(&harm->files))
        return false;
    uint32_t io = atomic_load(&harm->io);
    errno = io == HARM_IO_FULL ? ENOSPC : io == HARM_IO_SIGNAL && signals ? EINTR : EIO;
    return true;
}

/* How many bytes of a harmed transfer are done; −1 and errno. */
static ssize_t harmed(size_t bytes, int full, int broken)
{
    uint32_t io = atomic_load(&harm->io);
    if (io == HARM_IO_SHORT)
        return (ssize_t)(bytes > 1 ? bytes / 2 : bytes);
    errno = io == HARM_IO_FULL ? full : io == HARM_IO_SIGNAL ? EINTR : broken;
    return -1;
}

/* The same of any transfer. Only files are harmed here. */
static ssize_t transfer(int fd, size_t bytes)
{
    struct stat stat;
    if (harm == NULL || fd <= STDERR_FILENO || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) ||
        !due(&harm->files))
        return (ssize_t)bytes;
    return harmed(bytes, ENOSPC, EIO);
}

HIDES ssize_t pread(int fd, void *into, size_t bytes, off_t at)
{
    ssize_t count = transfer(fd, bytes);
    return count < 0 ? -1 : syscall(SYS_pread64, fd, into, (size_t)count, at);
}

HIDES ssize_t pread64(int fd, void *into, size_t bytes, off64_t at)
{
    return pread(fd, into, bytes, at);
}

HIDES ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at)
{
    ssize_t count = transfer(fd, bytes);
    return count < 0 ? -1 : syscall(SYS_pwrite64, fd, from, (size_t)count, at);
}

HIDES ssize_t pwrite64(int fd, const void *from, size_t bytes, off64_t at)
{
    return pwrite(fd, from, bytes, at);
}

HIDES ssize_t read(int fd, void *into, size_t bytes)
{
    ssize_t count = transfer(fd, bytes);
    return count < 0 ? -1 : syscall(SYS_read, fd, into, (size_t)count);
}

HIDES ssize_t write(int fd, const void *from, size_t bytes)
{
    ssize_t count = transfer(fd, bytes);
    return count < 0 ? -1 : syscall(SYS_write, fd, from, (size_t)count);
}

static mode_t mode_of(int flags, va_list more)
{
    return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
}

static int opened(int folder, const char *path, int flags, mode_t mode)
{
    return file_fails(true) ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define OPENS(name, folder, ...)                                 \
    HIDES int name(__VA_ARGS__ const char *path, int flags, ...) \
    {                                                            \
        va_list more;                                            \
        va_start(more, flags);                                   \
        mode_t mode = mode_of(flags, more);                      \
        va_end(more);                                            \
        return opened(folder, path, flags, mode);                \
    }
#define FOLDER_FIRST int folder,
OPENS(openat, folder, FOLDER_FIRST)
OPENS(openat64, folder, FOLDER_FIRST)
OPENS(open, AT_FDCWD, )
OPENS(open64, AT_FDCWD, )

HIDES int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return file_fails(false) ? -1 : (int)syscall(SYS_renameat, from_folder, from, to_folder, to);
}

HIDES int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

HIDES int unlinkat(int folder, const char *path, int flags)
{
    return file_fails(false) ? -1 : (int)syscall(SYS_unlinkat, folder, path, flags);
}

HIDES int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

HIDES int mkdirat(int folder, const char *path, mode_t mode)
{
    return file_fails(false) ? -1 : (int)syscall(SYS_mkdirat, folder, path, mode);
}

HIDES int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

HIDES int ftruncate(int fd, off_t bytes)
{
    return file_fails(false) ? -1 : (int)syscall(SYS_ftruncate, fd, bytes);
}

HIDES int ftruncate64(int fd, off64_t bytes)
{
    return ftruncate(fd, bytes);
}

HIDES int fallocate(int fd, int mode, off_t at, off_t bytes)
{
    return file_fails(false) ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, bytes);
}

/* ---- syncs ---- */

static bool is_log(int fd)
{
    char link[64], path[256];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    path[bytes > 0 ? bytes : 0] = '\0';
    return strstr(path, "/data/log/") != NULL && strstr(path, ".part") == NULL;
}

static int sync_of(int fd, long call)
{
    if (harm == NULL)
        return (int)syscall(call, fd);
    bool log = is_log(fd), fails = file_fails(false);
    uint64_t number = log ? atomic_fetch_add(&harm->sync_begun, 1) + 1 : 0;
    uint64_t us = atomic_load(&harm->sync_us);
    struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (us > 0)
        (void)nanosleep(&pause, NULL);
    if (log && due(&harm->sync)) {
        errno = EIO;
        fails = true;
    }
    int result = fails ? -1 : (int)syscall(call, fd);
    if (log && result == 0)
        atomic_store(&harm->sync_done, number);
    return result;
}

HIDES int fsync(int fd)
{
    return sync_of(fd, SYS_fsync);
}

HIDES int fdatasync(int fd)
{
    return sync_of(fd, SYS_fdatasync);
}

/* ---- sockets ---- */

static ssize_t talk(size_t bytes)
{
    if (harm == NULL || !due(&harm->net))
        return (ssize_t)bytes;
    return harmed(bytes, ENOBUFS, ECONNRESET);
}

HIDES ssize_t recv(int fd, void *into, size_t bytes, int flags)
{
    ssize_t count = talk(bytes);
    return count < 0 ? -1 : syscall(SYS_recvfrom, fd, into, (size_t)count, flags, NULL, NULL);
}

HIDES ssize_t send(int fd, const void *from, size_t bytes, int flags)
{
    ssize_t count = talk(bytes);
    return count < 0 ? -1 : syscall(SYS_sendto, fd, from, (size_t)count, flags, NULL, 0);
}

HIDES int accept4(int fd, __SOCKADDR_ARG address, socklen_t *bytes, int flags)
{
    if (talk(1) < 0) {
        errno = errno == ECONNRESET ? ECONNABORTED : errno == ENOBUFS ? EMFILE : errno;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, bytes, flags);
}

/* ---- the wall clock ---- */

HIDES int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);
    if (result != 0 || harm == NULL || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return result;
    int64_t us = (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000 + atomic_load(&harm->wall_us);
    out->tv_nsec = (long)(us % 1000000) * 1000 + out->tv_nsec % 1000;
    out->tv_sec = (time_t)(us / 1000000);
    return 0;
}

HIDES int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

HIDES time_t time(time_t *out)
{
    struct timespec now;
    time_t second = clock_gettime(CLOCK_REALTIME, &now) == 0 ? now.tv_sec : (time_t)-1;
    if (out != NULL)
        *out = second;
    return second;
}

/* A deadline by the clock that jumped: as far away as the kernel's own. */
HIDES int sem_timedwait(void *semaphore, const struct timespec *until);
int sem_timedwait(void *semaphore, const struct timespec *until)
{
    int (*next)(void *, const struct timespec *);
    struct timespec moved = *until;
    *(void **)&next = dlsym(RTLD_NEXT, "sem_timedwait");
    if (harm != NULL)
        moved.tv_sec -= (time_t)(atomic_load(&harm->wall_us) / 1000000);
    return next(semaphore, &moved);
}
