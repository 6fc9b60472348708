/* SPDX-License-Identifier: Apache-2.0
 * ws_suite TABLE PARLEYD: every case of websocket.txt over raw sockets against both servers, its
 * bytes one by one and all at once, many connections together. It reads frames by itself, so that
 * no error of src/wire excuses its own. A case has failed when another frame is heard than the one
 * that was expected, when something follows the close frame, or when the end does not come. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ws_echo.h"
#include "ws_table.h"

enum { AT_ONCE = 128, SINGLE_BYTES = 400, PIECE_BYTES = 997, WHOLE_BYTES = 1 << 18 };
enum { DEADLINE_S = 60, HEARD_BYTES_MAX = (1 << 20) + 64, REQUEST_BYTES = 512 };

/* One case at one server, in one way of sending. */
struct talk {
    const struct ws_case *one;
    enum ws_server server;
    bool single;
    int fd;
    char request[REQUEST_BYTES];
    size_t request_bytes, sent;
    uint8_t *heard;
    size_t heard_bytes, heard_capacity;
    bool upgraded, welcomed, closed, gone;
    unsigned expect, times;
    char wrong[256]; /* "": nothing so far */
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void stop(const char *why)
{
    perror(why);
    exit(2);
}

static void wrong(struct talk *talk, const char *what, unsigned number)
{
    if (talk->wrong[0] == '\0')
        (void)snprintf(talk->wrong, sizeof talk->wrong, "%s %u", what, number);
    talk->gone = true;
}

/* ---- hearing ---- */

static bool payload_is(const struct ws_payload *payload, const uint8_t *at, uint64_t bytes)
{
    if (payload->bytes != bytes)
        return false;
    for (uint64_t i = 0; i < bytes; i++)
        if (at[i] != ws_payload_at(payload, i))
            return false;
    return true;
}

static void judge(struct talk *talk, uint8_t opcode, const uint8_t *at, uint64_t bytes)
{
    const struct ws_expect *expect = &talk->one->expects[talk->server][talk->expect];
    uint16_t code = bytes >= 2 ? (uint16_t)(at[0] << 8 | at[1]) : 0;
    if (talk->closed || talk->expect == talk->one->expects_count[talk->server]) {
        wrong(talk, "behind the end: a frame of opcode", opcode);
        return;
    }
    bool good = false;
    switch (expect->kind) {
    case HEAR_PONG: good = opcode == 10 && payload_is(&expect->payload, at, bytes); break;
    case HEAR_BINARY: good = opcode == 2 && payload_is(&expect->payload, at, bytes); break;
    case HEAR_ERROR: good = opcode == 2; break;
    case HEAR_CLOSE:
        talk->closed = true;
        good = opcode == 8 && bytes != 1 && code == expect->code;
        break;
    }
    if (!good && opcode == 8)
        wrong(talk, "closed with", code);
    else if (!good)
        wrong(talk, "another frame than expected, of opcode", opcode);
    if (++talk->times >= expect->times) {
        talk->times = 0;
        talk->expect++;
    }
}

/* Takes a frame off the front; 0: it is not whole. The server's are whole, unmasked, as short as
 * can be. */
static size_t take_frame(struct talk *talk, const uint8_t *at, size_t count)
{
    if (count < 2)
        return 0;
    uint64_t bytes = at[1] & 0x7f;
    size_t length_bytes = bytes == 127 ? 8 : bytes == 126 ? 2 : 0;
    if ((at[0] & 0xf0) != 0x80 || (at[1] & 0x80) != 0) {
        wrong(talk, "a frame that begins with", at[0]);
        return 0;
    }
    if (count < 2 + length_bytes)
        return 0;
    if (length_bytes > 0)
        bytes = 0;
    for (size_t i = 0; i < length_bytes; i++)
        bytes = bytes << 8 | at[2 + i];
    if ((length_bytes == 2 && bytes < 126) || (length_bytes == 8 && bytes <= UINT16_MAX) ||
        bytes > HEARD_BYTES_MAX)
        wrong(talk, "a length as nobody writes it, in bytes", (unsigned)length_bytes);
    if (talk->gone || bytes > count - 2 - length_bytes)
        return 0;
    uint8_t opcode = at[0] & 0x0f;
    if (talk->server == WS_PARLEYD && !talk->welcomed && opcode == 2)
        talk->welcomed = true;
    else
        judge(talk, opcode, at + 2 + length_bytes, bytes);
    return 2 + length_bytes + (size_t)bytes;
}

static size_t take_head(struct talk *talk)
{
    static const char ok[] = "HTTP/1.1 101 ";
    char *head = (char *)talk->heard;
    const char *end = memmem(head, talk->heard_bytes, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t bytes = (size_t)(end - head) + 4;
    head[bytes - 1] = '\0';
    if (strncmp(head, ok, sizeof ok - 1) != 0 || strcasestr(head, "sec-websocket-extensions"))
        wrong(talk, "the handshake is answered otherwise", 0);
    talk->upgraded = true;
    return bytes;
}

static void hear(struct talk *talk)
{
    for (bool more = true; more; more = !talk->one->slow) {
        if (talk->heard_capacity - talk->heard_bytes < 4096) {
            talk->heard_capacity = 2 * talk->heard_capacity + 8192;
            talk->heard = realloc(talk->heard, talk->heard_capacity);
            if (talk->heard == NULL)
                stop("no memory");
        }
        ssize_t got = recv(talk->fd, talk->heard + talk->heard_bytes,
                           talk->one->slow ? 4096 : talk->heard_capacity - talk->heard_bytes, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            talk->gone = true;
            if (!talk->closed)
                wrong(talk, "gone without a close frame, behind answers:", talk->expect);
            return;
        }
        talk->heard_bytes += (size_t)got;
        size_t used = talk->upgraded ? 0 : take_head(talk), taken = 1;
        for (; talk->upgraded && taken > 0 && !talk->gone; used += taken)
            taken = take_frame(talk, talk->heard + used, talk->heard_bytes - used);
        talk->heard_bytes -= used;
        memmove(talk->heard, talk->heard + used, talk->heard_bytes);
    }
}

/* ---- saying ---- */

/* The next piece, if the socket takes it. Whoever is told goodbye says nothing more. */
static bool say(struct talk *talk)
{
    size_t all = talk->request_bytes + talk->one->bytes_count, bytes = WHOLE_BYTES;
    bool in_head = talk->sent < talk->request_bytes;
    if (talk->closed || talk->sent == all)
        return false;
    const uint8_t *at = in_head ? (const uint8_t *)talk->request + talk->sent
                                : talk->one->bytes + (talk->sent - talk->request_bytes);
    size_t left = (in_head ? talk->request_bytes : all) - talk->sent;
    if (talk->single)
        bytes = talk->sent < talk->request_bytes + SINGLE_BYTES ? 1 : PIECE_BYTES;
    ssize_t gone = send(talk->fd, at, left < bytes ? left : bytes, MSG_NOSIGNAL);
    if (gone > 0)
        talk->sent += (size_t)gone;
    return gone > 0;
}

static void begin(struct talk *talk, const struct ws_case *one, enum ws_server server, bool single,
                  uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *talk = (struct talk){.one = one, .server = server, .single = single};
    talk->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (talk->fd < 0 || connect(talk->fd, (struct sockaddr *)&to, sizeof to) != 0)
        stop("cannot connect");
    (void)setsockopt(talk->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)fcntl(talk->fd, F_SETFL, O_NONBLOCK);
    talk->request_bytes = (size_t)snprintf(
        talk->request, sizeof talk->request,
        "GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: parley.v1\r\n%s%s%s\r\n",
        one->offer[0] != '\0' ? "Sec-WebSocket-Extensions: " : "", one->offer,
        one->offer[0] != '\0' ? "\r\n" : "");
}

static unsigned finish(struct talk *talk)
{
    static const char *const servers[] = {"echo", "parleyd"};
    (void)close(talk->fd);
    free(talk->heard);
    if (talk->wrong[0] == '\0' && talk->expect != talk->one->expects_count[talk->server])
        (void)snprintf(talk->wrong, sizeof talk->wrong, "the end came after %u answers",
                       talk->expect);
    if (talk->wrong[0] == '\0')
        return 0;
    printf("line %u, %s: %s, %s: %s\n", talk->one->line, talk->one->name, servers[talk->server],
           talk->single ? "byte by byte" : "all at once", talk->wrong);
    return 1;
}

/* ---- many together ---- */

static void wait_for_any(struct talk *talks, size_t count)
{
    struct pollfd polls[AT_ONCE];
    nfds_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (!talks[i].gone)
            polls[used++] = (struct pollfd){talks[i].fd, POLLIN, 0};
    (void)poll(polls, used, 100);
}

static unsigned run_batch(struct talk *talks, size_t count, struct ws_echo *echo)
{
    double end = now_s() + DEADLINE_S;
    size_t open = count;
    unsigned failed = 0;
    while (open > 0) {
        bool any = false;
        open = 0;
        for (size_t i = 0; i < count; i++) {
            if (talks[i].gone)
                continue;
            any = say(&talks[i]) || any;
            hear(&talks[i]);
            any = any || talks[i].one->slow;
            open += !talks[i].gone;
        }
        while (echo != NULL && ws_echo_turn(echo))
            any = true;
        if (!any && open > 0 && echo == NULL)
            wait_for_any(talks, count);
        for (size_t i = 0; open > 0 && now_s() > end && i < count; i++)
            if (!talks[i].gone)
                wrong(&talks[i], "no end, behind answers:", talks[i].expect);
    }
    for (size_t i = 0; i < count; i++)
        failed += finish(&talks[i]);
    return failed;
}

static unsigned run(const struct ws_table *table, enum ws_server server, struct ws_echo *echo,
                    uint16_t port)
{
    static struct talk talks[AT_ONCE];
    unsigned failed = 0;
    double begun = now_s();
    size_t used = 0;
    for (size_t i = 0; i < 2 * table->count; i++) {
        begin(&talks[used++], &table->cases[i / 2], server, i % 2 == 0, port);
        if (used < AT_ONCE && i + 1 < 2 * table->count)
            continue;
        failed += run_batch(talks, used, echo);
        used = 0;
    }
    printf("%s: %zu cases in two ways, %u failed, %.1f s\n", echo != NULL ? "echo" : "parleyd",
           table->count, failed, now_s() - begun);
    return failed;
}

/* ---- a real server ---- */

static uint16_t free_port(int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t bytes = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(*fd, (struct sockaddr *)&at, &bytes) != 0)
        stop("no free port");
    return ntohs(at.sin_port);
}

static bool answers(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool connected = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    (void)close(fd);
    return connected;
}

static unsigned run_parleyd(const struct ws_table *table, const char *program)
{
    char folder[] = "/tmp/ws-suite-XXXXXX", data[64], listen[32], command[96];
    int fd, status;
    if (mkdtemp(folder) == NULL)
        stop("no folder");
    uint16_t port = free_port(&fd);
    (void)close(fd);
    (void)snprintf(data, sizeof data, "%s/data", folder);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    (void)fflush(stdout);
    pid_t server = fork();
    if (server == 0) {
        (void)freopen("/dev/null", "w", stdout);
        (void)execl(program, program, "--data", data, "--listen", listen, (char *)NULL);
        _exit(127);
    }
    double end = now_s() + DEADLINE_S;
    while (server > 0 && !answers(port)) {
        if (now_s() > end || waitpid(server, &status, WNOHANG) != 0)
            stop("parleyd does not start");
        (void)poll(NULL, 0, 5);
    }
    unsigned failed = run(table, WS_PARLEYD, NULL, port);
    (void)kill(server, SIGTERM);
    if (waitpid(server, &status, 0) != server || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("parleyd ended with status %d\n", status);
        failed++;
    }
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? failed : failed + 1;
}

/* All of Autobahn's cases of the groups 1-7, 9 and 10 are there. */
static unsigned check_ids(const struct ws_table *table)
{
    unsigned ids = 0;
    char last[16] = "";
    for (size_t i = 0; i < table->count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(table->cases[i].name, " "),
                       table->cases[i].name);
        bool other =
            strncmp(id, "own", 3) == 0 || strncmp(id, "12", 2) == 0 || strncmp(id, "13", 2) == 0;
        ids += !other && strcmp(id, last) != 0;
        memcpy(last, id, sizeof last);
    }
    if (ids != 301)
        printf("%u cases of Autobahn's, not 301\n", ids);
    return ids != 301;
}

int main(int count, char **arguments)
{
    struct ws_table table;
    struct ws_echo echo;
    if (count != 3)
        return 2;
    ws_table_read(&table, arguments[1]);
    unsigned failed = check_ids(&table);
    ws_echo_open(&echo, AT_ONCE);
    failed += run(&table, WS_ECHO, &echo, epoll_port(&echo.net));
    ws_echo_close(&echo);
    failed += run_parleyd(&table, arguments[2]);
    ws_table_free(&table);
    return failed > 0;
}
