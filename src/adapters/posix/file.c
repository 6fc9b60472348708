/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "adapters/posix/folder.h"
#include "base/assert.h"
#include "base/memory.h"

#define SLICE_BYTES \
    ((size_t)256 * 1024) /* of zeros per turn: a sync of that costs well below 1 ms */
#define ASKED_MAX 8192u  /* requests in flight and a close for every handle */

static_assert(FILE_REQUESTS_MAX + FILE_HANDLES_MAX <= ASKED_MAX, "the ring never refuses");

/* What travels to the thread. */
struct asked {
    struct file_request *request; /* NULL: close `handle`, or, if that is 0, end */
    uint32_t handle;
};

static const struct file_vtable posix_vtable;

static enum status status_of(int error)
{
    switch (error) {
    case ENOENT: return STATUS_NOT_FOUND;
    case ENOSPC:
    case EDQUOT: return STATUS_TOO_LARGE;
    case EMFILE:
    case ENFILE: return STATUS_BUSY;
    default: return STATUS_IO;
    }
}

/* --- the I/O thread --- */

static void finish(struct posix_file *file, struct file_request *request, enum status status)
{
    request->status = status;
    enum status put = ring_put(&file->done, &request);
    assert(put == STATUS_OK);
    (void)sem_post(&file->done_count);
    waker_wake(file->waker);
}

/* A handle for the descriptor, or 0. */
static uint32_t handle_take(struct posix_file *file, int fd)
{
    for (uint32_t i = 0; i < FILE_HANDLES_MAX; i++) {
        if (file->fds[i] >= 0)
            continue;
        file->fds[i] = fd;
        return i + 1;
    }
    return 0;
}

static int fd_of(const struct posix_file *file, uint32_t handle)
{
    assert(handle >= 1 && handle <= FILE_HANDLES_MAX && file->fds[handle - 1] >= 0);
    return file->fds[handle - 1];
}

static enum status write_all(int fd, const uint8_t *at, size_t bytes, uint64_t offset)
{
    while (bytes > 0) {
        ssize_t written = pwrite(fd, at, bytes, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? status_of(errno) : STATUS_IO;
        at += written;
        offset += (uint64_t)written;
        bytes -= (size_t)written;
    }
    return STATUS_OK;
}

static enum status do_write(int fd, const struct file_request *request)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return status_of(errno);
    uint64_t length = (uint64_t)stat.st_size;
    if (request->at > length || request->from.bytes > length - request->at)
        return STATUS_INVALID;
    return write_all(fd, request->from.at, request->from.bytes, request->at);
}

static enum status do_sync(int fd)
{
    return fdatasync(fd) == 0 ? STATUS_OK : STATUS_IO;
}

static enum status do_read(int fd, struct file_request *request)
{
    request->bytes = 0;
    while (request->bytes < request->into_bytes) {
        ssize_t got =
            pread(fd, request->into + request->bytes, request->into_bytes - (size_t)request->bytes,
                  (off_t)(request->at + request->bytes));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_of(errno);
        if (got == 0)
            break;
        request->bytes += (uint64_t)got;
    }
    return STATUS_OK;
}

static enum status do_open(struct posix_file *file, struct file_request *request)
{
    int fd = openat(file->root, request->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return status_of(errno);
    struct stat stat;
    enum status status = fstat(fd, &stat) == 0 ? STATUS_OK : status_of(errno);
    if (status == STATUS_OK) {
        request->bytes = (uint64_t)stat.st_size;
        request->file = handle_take(file, fd);
        status = request->file == 0 ? STATUS_BUSY : STATUS_OK;
    }
    if (status != STATUS_OK)
        (void)close(fd);
    return status;
}

static enum status do_rename(struct posix_file *file, const struct file_request *request)
{
    if (renameat(file->root, request->name, file->root, request->to) != 0)
        return status_of(errno);
    return folder_sync_of(file->root, request->to) == 0 ? STATUS_OK : STATUS_IO;
}

static enum status do_delete(struct posix_file *file, const struct file_request *request)
{
    if (unlinkat(file->root, request->name, 0) != 0)
        return status_of(errno);
    return folder_sync_of(file->root, request->name) == 0 ? STATUS_OK : STATUS_IO;
}

static void perform(struct posix_file *file, struct file_request *request)
{
    enum status status = STATUS_INVALID;
    switch (request->op) {
    case FILE_CREATE: /* create_start and create_step */ break;
    case FILE_OPEN: status = do_open(file, request); break;
    case FILE_READ: status = do_read(fd_of(file, request->file), request); break;
    case FILE_WRITE: status = do_write(fd_of(file, request->file), request); break;
    case FILE_SYNC: status = do_sync(fd_of(file, request->file)); break;
    case FILE_WRITE_SYNC:
        status = do_write(fd_of(file, request->file), request);
        status = status == STATUS_OK ? do_sync(fd_of(file, request->file)) : status;
        break;
    case FILE_RENAME: status = do_rename(file, request); break;
    case FILE_DELETE: status = do_delete(file, request); break;
    case FILE_LIST: status = folder_list(file->root, request); break;
    }
    finish(file, request, status);
}

/* --- CREATE, a slice at a time --- */

static bool has_room(const struct posix_file *file, uint64_t bytes)
{
    struct statvfs disk;
    if (file->free_bytes == 0 || fstatvfs(file->root, &disk) != 0)
        return true; /* the write itself will tell */
    return (uint64_t)disk.f_bavail * disk.f_frsize >= file->free_bytes + bytes;
}

static void part_name(const struct file_request *request, char out[FILE_NAME_BYTES + 8])
{
    (void)snprintf(out, FILE_NAME_BYTES + 8, "%s.part", request->name);
}

static void create_end(struct posix_file *file, enum status status)
{
    struct posix_create *create = &file->create;
    struct file_request *request = create->request;
    if (status != STATUS_OK && create->fd >= 0) {
        char part[FILE_NAME_BYTES + 8];
        part_name(request, part);
        (void)close(create->fd);
        (void)unlinkat(file->root, part, 0); /* give the space back */
    }
    create->request = NULL;
    finish(file, request, status);
}

static void create_start(struct posix_file *file, struct file_request *request)
{
    struct posix_create *create = &file->create;
    char part[FILE_NAME_BYTES + 8];
    *create = (struct posix_create){.request = request, .fd = -1};
    if (faccessat(file->root, request->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        create_end(file, STATUS_CONFLICT);
        return;
    }
    enum status status = STATUS_TOO_LARGE;
    if (has_room(file, request->bytes))
        status = folder_make_of(file->root, request->name) == 0 ? STATUS_OK : status_of(errno);
    part_name(request, part);
    if (status == STATUS_OK) {
        create->fd =
            openat(file->root, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (create->fd < 0)
            status = status_of(errno);
    }
    if (status != STATUS_OK)
        create_end(file, status);
}

/* All zeros are written and synced: give it its name. */
static enum status create_name(struct posix_file *file)
{
    struct posix_create *create = &file->create;
    char part[FILE_NAME_BYTES + 8];
    part_name(create->request, part);
    if (fsync(create->fd) != 0)
        return STATUS_IO;
    if (renameat(file->root, part, file->root, create->request->name) != 0)
        return status_of(errno);
    if (folder_sync_of(file->root, create->request->name) != 0)
        return STATUS_IO;
    create->request->file = handle_take(file, create->fd);
    return create->request->file == 0 ? STATUS_BUSY : STATUS_OK;
}

static void create_step(struct posix_file *file)
{
    struct posix_create *create = &file->create;
    uint64_t left = create->request->bytes - create->at;
    size_t bytes = left < SLICE_BYTES ? (size_t)left : SLICE_BYTES;
    enum status status = write_all(create->fd, file->zeros, bytes, create->at);
    if (status == STATUS_OK && fdatasync(create->fd) != 0)
        status = errno == ENOSPC || errno == EDQUOT ? STATUS_TOO_LARGE : STATUS_IO;
    create->at += bytes;
    if (status != STATUS_OK)
        create_end(file, status);
    else if (create->at == create->request->bytes)
        create_end(file, create_name(file));
}

/* --- the thread's loop --- */

/* False: the end was asked for. */
static bool serve(struct posix_file *file, const struct asked *asked)
{
    if (asked->request == NULL && asked->handle == 0)
        return false;
    if (asked->request == NULL) {
        (void)close(fd_of(file, asked->handle)); /* what had to be durable was synced */
        file->fds[asked->handle - 1] = -1;
        return true;
    }
    if (asked->request->op != FILE_CREATE) {
        perform(file, asked->request);
        return true;
    }
    while (file->create.request != NULL)
        create_step(file);
    create_start(file, asked->request);
    return true;
}

static void *run(void *argument)
{
    struct posix_file *file = argument;
    bool going = true;
    while (going) {
        struct asked asked;
        bool waiting = file->create.request == NULL;
        int taken = waiting ? sem_wait(&file->asked_count) : sem_trywait(&file->asked_count);
        if (taken == 0 && ring_take(&file->asked, &asked))
            going = serve(file, &asked);
        else if (file->create.request != NULL)
            create_step(file);
    }
    if (file->create.request != NULL)
        create_end(file, STATUS_IO); /* closing: nobody waits for it */
    return NULL;
}

/* --- the owner's side --- */

static struct posix_file *posix_of(struct file_port *port)
{
    return (struct posix_file *)port;
}

static void ask(struct posix_file *file, struct file_request *request, uint32_t handle)
{
    struct asked asked = {request, handle};
    enum status put = ring_put(&file->asked, &asked);
    assert(put == STATUS_OK);
    (void)sem_post(&file->asked_count);
}

static void posix_submit(struct file_port *port, struct file_request *request)
{
    struct posix_file *file = posix_of(port);
    assert(file->in_flight < FILE_REQUESTS_MAX);
    file->in_flight++;
    ask(file, request, 0);
}

static size_t posix_poll(struct file_port *port, struct file_request **done, size_t max)
{
    struct posix_file *file = posix_of(port);
    size_t count = 0;
    while (count < max && ring_take(&file->done, &done[count])) {
        (void)sem_trywait(&file->done_count);
        file->in_flight--;
        count++;
    }
    return count;
}

static void posix_close(struct file_port *port, uint32_t handle)
{
    assert(handle >= 1 && handle <= FILE_HANDLES_MAX);
    ask(posix_of(port), NULL, handle);
}

static const struct file_vtable posix_vtable = {
    .submit = posix_submit, .poll = posix_poll, .close = posix_close};

void posix_file_wait(struct posix_file *file, uint32_t timeout_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (sem_timedwait(&file->done_count, &until) == 0)
        (void)sem_post(&file->done_count); /* poll takes it */
}

/* The thread takes no signals: those are for the one that runs main(). */
static int thread_start(struct posix_file *file)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    int error = pthread_create(&file->thread, NULL, run, file);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

enum status posix_file_open(struct posix_file *file, const char *path, struct waker *waker,
                            struct failure *failure)
{
    memset(file, 0, sizeof *file);
    file->port.vtable = &posix_vtable;
    file->waker = waker;
    file->root = folder_open(path, failure);
    if (file->root < 0)
        return STATUS_IO;
    file->fds = memory_array(FILE_HANDLES_MAX, sizeof *file->fds);
    file->zeros = memory_reserve(SLICE_BYTES); /* never written: no page of it is ours */
    if (file->fds == NULL || file->zeros == NULL ||
        ring_open(&file->asked, ASKED_MAX, sizeof(struct asked)) != STATUS_OK ||
        ring_open(&file->done, FILE_REQUESTS_MAX, sizeof(struct file_request *)) != STATUS_OK) {
        posix_file_close(file);
        return failure_set(failure, STATUS_BUSY, "no memory for the I/O thread");
    }
    for (size_t i = 0; i < FILE_HANDLES_MAX; i++)
        file->fds[i] = -1;
    file->semaphores =
        sem_init(&file->asked_count, 0, 0) == 0 && sem_init(&file->done_count, 0, 0) == 0;
    file->started = file->semaphores && thread_start(file) == 0;
    if (!file->started) {
        posix_file_close(file);
        return failure_set(failure, STATUS_IO, "the I/O thread cannot be started");
    }
    return STATUS_OK;
}

void posix_file_close(struct posix_file *file)
{
    if (file->port.vtable == NULL)
        return;
    if (file->started) {
        ask(file, NULL, 0);
        (void)pthread_join(file->thread, NULL);
        for (size_t i = 0; i < FILE_HANDLES_MAX; i++)
            if (file->fds[i] >= 0)
                (void)close(file->fds[i]);
    }
    if (file->semaphores) {
        (void)sem_destroy(&file->asked_count);
        (void)sem_destroy(&file->done_count);
    }
    ring_close(&file->asked);
    ring_close(&file->done);
    memory_free(file->fds);
    memory_free(file->zeros);
    if (file->root >= 0)
        (void)close(file->root);
    memset(file, 0, sizeof *file);
}
