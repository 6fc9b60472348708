/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/admin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/memory.h"

/* The folder's descriptor keeps the address short, however deep the folder lies. */
static struct sockaddr_un address_of(int folder_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" ADMIN_SOCKET,
                   folder_fd);
    return address;
}

static void deadlines(int fd)
{
    struct timeval limit = {.tv_sec = ADMIN_SECONDS};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static bool send_all(int fd, struct slice bytes)
{
    while (bytes.bytes > 0) {
        ssize_t sent = send(fd, bytes.at, bytes.bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        bytes = slice_sub(bytes, (size_t)sent, bytes.bytes);
    }
    return true;
}

/* ---- the thread ---- */

static bool may_ask(int fd, uint32_t *uid)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0)
        return false;
    *uid = peer.uid;
    return peer.uid == geteuid() || peer.uid == 0;
}

static bool line_read(int fd, char line[ADMIN_LINE_BYTES])
{
    for (size_t at = 0; at < ADMIN_LINE_BYTES; at++) {
        ssize_t got = recv(fd, &line[at], 1, 0);
        if (got < 0 && errno == EINTR)
            at--;
        else if (got != 1)
            return false;
        else if (line[at] == '\n') {
            line[at] = '\0';
            return true;
        }
    }
    return false;
}

static void serve_one(struct posix_admin *admin, int fd)
{
    deadlines(fd);
    if (!may_ask(fd, &admin->uid)) {
        (void)send_all(fd,
                       SLICE_LITERAL("error DENIED only the owner of the server may ask\nend\n"));
        return;
    }
    if (!line_read(fd, admin->line)) {
        (void)send_all(fd, SLICE_LITERAL("error INVALID one line was expected\nend\n"));
        return;
    }
    uint8_t one = 1;
    enum status put = ring_put(&admin->asked, &one);
    assert(put == STATUS_OK); /* one at a time */
    waker_wake(admin->waker);
    while (sem_wait(&admin->answered) != 0)
        ;
    (void)send_all(fd, buf_slice(&admin->answer));
}

static bool stopping(struct posix_admin *admin)
{
    struct pollfd stop = {.fd = admin->stop_fd, .events = POLLIN};
    return poll(&stop, 1, 0) == 1;
}

static void *admin_thread(void *argument)
{
    struct posix_admin *admin = argument;
    while (!stopping(admin)) {
        struct pollfd wait[] = {{.fd = admin->listen_fd, .events = POLLIN},
                                {.fd = admin->stop_fd, .events = POLLIN}};
        if (poll(wait, 2, -1) <= 0 || (wait[0].revents & POLLIN) == 0)
            continue;
        int fd = accept4(admin->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve_one(admin, fd);
        (void)close(fd);
    }
    return NULL;
}

/* ---- the shard's side ---- */

static enum status socket_open(struct posix_admin *admin, const char *path, struct failure *failure)
{
    admin->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    admin->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    admin->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (admin->folder_fd < 0 || admin->listen_fd < 0 || admin->stop_fd < 0)
        return failure_set(failure, STATUS_IO, "the admin socket cannot be made: %s",
                           strerror(errno));
    struct sockaddr_un address = address_of(admin->folder_fd);
    (void)unlinkat(admin->folder_fd, ADMIN_SOCKET, 0); /* of a process that was killed */
    if (bind(admin->listen_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        fchmodat(admin->folder_fd, ADMIN_SOCKET, 0600, 0) != 0 || listen(admin->listen_fd, 8) != 0)
        return failure_set(failure, STATUS_IO, "the admin socket in %.80s cannot be made: %s", path,
                           strerror(errno));
    return STATUS_OK;
}

enum status posix_admin_open(struct posix_admin *admin, const char *path, struct waker *waker,
                             struct failure *failure)
{
    *admin = (struct posix_admin){.waker = waker, .folder_fd = -1, .listen_fd = -1, .stop_fd = -1};
    uint8_t *space = memory_reserve(ADMIN_ANSWER_BYTES);
    if (space == NULL || ring_open(&admin->asked, 2, 1) != STATUS_OK) {
        memory_free(space);
        *admin = (struct posix_admin){0};
        return failure_set(failure, STATUS_BUSY, "no memory for the admin socket");
    }
    admin->answer = buf_over(space, ADMIN_ANSWER_BYTES);
    int made = sem_init(&admin->answered, 0, 0);
    assert(made == 0);
    enum status status = socket_open(admin, path, failure);
    if (status == STATUS_OK && pthread_create(&admin->thread, NULL, admin_thread, admin) != 0)
        status = failure_set(failure, STATUS_IO, "no thread for the admin socket");
    admin->started = status == STATUS_OK;
    if (status != STATUS_OK)
        posix_admin_close(admin);
    return status;
}

void posix_admin_close(struct posix_admin *admin)
{
    if (admin->answer.at == NULL)
        return;
    if (admin->started) {
        uint64_t one = 1;
        (void)!write(admin->stop_fd, &one, sizeof one);
        (void)sem_post(&admin->answered); /* a question under way ends without its answer */
        (void)pthread_join(admin->thread, NULL);
    }
    if (admin->folder_fd >= 0)
        (void)unlinkat(admin->folder_fd, ADMIN_SOCKET, 0);
    int fds[] = {admin->listen_fd, admin->stop_fd, admin->folder_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    (void)sem_destroy(&admin->answered);
    ring_close(&admin->asked);
    memory_free(admin->answer.at);
    *admin = (struct posix_admin){0};
}

const char *posix_admin_next(struct posix_admin *admin)
{
    uint8_t one;
    if (!admin->started || admin->taken || !ring_take(&admin->asked, &one))
        return NULL;
    admin->taken = true;
    admin->answer.bytes = 0;
    admin->answer.overflow = false;
    return admin->line;
}

void posix_admin_answer(struct posix_admin *admin)
{
    assert(admin->taken);
    admin->taken = false;
    (void)sem_post(&admin->answered);
}

/* ---- the client's side ---- */

static enum status exchange(int fd, const char *line, char *answer, size_t bytes,
                            struct failure *failure)
{
    size_t at = 0;
    deadlines(fd);
    if (!send_all(fd, slice_text(line)) || !send_all(fd, SLICE_LITERAL("\n")))
        return failure_set(failure, STATUS_CLOSED, "the server hung up");
    while (at + 1 < bytes) {
        ssize_t got = recv(fd, answer + at, bytes - 1 - at, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set(failure, STATUS_TIMEOUT, "the server does not answer");
        if (got == 0)
            break;
        at += (size_t)got;
    }
    answer[at] = '\0';
    if (at < 4 || strcmp(answer + at - 4, "end\n") != 0)
        return failure_set(failure, STATUS_CORRUPT, "the server's answer was cut off");
    answer[at - 4] = '\0';
    return STATUS_OK;
}

enum status posix_admin_ask(const char *path, const char *line, char *answer, size_t bytes,
                            struct failure *failure)
{
    int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return failure_set(failure, STATUS_NOT_FOUND, "the folder %.80s cannot be opened: %s", path,
                           strerror(errno));
    struct sockaddr_un address = address_of(folder_fd);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    enum status status;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        status = failure_set(failure, errno == EACCES ? STATUS_DENIED : STATUS_CLOSED, "%s",
                             strerror(errno));
    else
        status = exchange(fd, line, answer, bytes, failure);
    if (fd >= 0)
        (void)close(fd);
    (void)close(folder_fd);
    return status;
}
