/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buf.h"
#include "apps/parley/text.h"

#define KEY_CTRL(letter) ((letter)-0x40)
#define ESCAPE           0x1b
#define DELETE           0x7f

/* One descriptor for two: a host watches one. */
static int both_open(int stops_fd)
{
    struct epoll_event keys = {.events = EPOLLIN}, stop = {.events = EPOLLIN};
    int fd = stops_fd < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, STDIN_FILENO, &keys) == 0 &&
        epoll_ctl(fd, EPOLL_CTL_ADD, stops_fd, &stop) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

void line_open(struct line *line)
{
    memset(line, 0, sizeof *line);
    line->both_fd = line->stops.fd = -1;
    line->terminal =
        isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tcgetattr(STDIN_FILENO, &line->seen) == 0;
    if (!line->terminal)
        return;
    stops_open(&line->stops); /* before the terminal changes */
    line->both_fd = both_open(line->stops.fd);
    if (line->both_fd < 0)
        stops_close(&line->stops); /* they end the program at once, as ever */
    struct termios keys = line->seen;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    keys.c_iflag &= ~(tcflag_t)IXON;
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
}

void line_close(struct line *line)
{
    if (line->terminal)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &line->seen);
    line->terminal = false;
    if (line->both_fd < 0)
        return;
    (void)close(line->both_fd);
    line->both_fd = -1;
    stops_close(&line->stops);
}

int line_fd(const struct line *line, bool keys)
{
    if (line->over)
        return -1;
    if (!keys)
        return line->stops.fd;
    return line->both_fd >= 0 ? line->both_fd : STDIN_FILENO;
}

void line_read(struct line *line)
{
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    if (line->both_fd >= 0 && (line->stopped_by = stops_take(&line->stops)) != 0)
        line->over = true;
    if (line->pending_at < line->pending_count || line->over)
        return; /* not all taken yet */
    if (line->both_fd >= 0 && poll(&keys, 1, 0) == 0)
        return; /* it was no key */
    ssize_t got = read(STDIN_FILENO, line->pending, sizeof line->pending);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    line->over = got <= 0;
    line->pending_at = 0;
    line->pending_count = got > 0 ? (size_t)got : 0;
}

static void drop_character(struct line *line)
{
    while (line->count && ((uint8_t)line->bytes[line->count - 1] & 0xc0) == 0x80)
        line->count--;
    if (line->count)
        line->count--;
}

static void drop_word(struct line *line)
{
    while (line->count && line->bytes[line->count - 1] == ' ')
        line->count--;
    while (line->count && line->bytes[line->count - 1] != ' ')
        drop_character(line);
}

/* One key at a terminal; true: the line is whole. */
static bool on_key(struct line *line, uint8_t key)
{
    if (line->escape) { /* arrows and the like do nothing */
        line->escape = line->escape == 1 && (key == '[' || key == 'O')   ? 2
                       : line->escape == 2 && (key < 0x40 || key == '[') ? 2
                                                                         : 0;
        return false;
    }
    switch (key) {
    case '\r':
    case '\n': return true;
    case ESCAPE: line->escape = 1; break;
    case DELETE:
    case KEY_CTRL('H'): drop_character(line); break;
    case KEY_CTRL('U'): line->count = 0; break;
    case KEY_CTRL('W'): drop_word(line); break;
    case KEY_CTRL('C'): line->over = true; break;
    case KEY_CTRL('D'): line->over = line->count == 0; break;
    default:
        if (key >= 0x20 && line->count < LINE_BYTES_MAX)
            line->bytes[line->count++] = (char)key;
    }
    return false;
}

static bool on_byte(struct line *line, uint8_t byte)
{
    if (line->terminal)
        return on_key(line, byte);
    if (byte == '\n')
        return true;
    if (line->count < LINE_BYTES_MAX)
        line->bytes[line->count++] = (char)byte;
    return false;
}

bool line_next(struct line *line, struct slice *out)
{
    while (line->pending_at < line->pending_count) {
        if (!on_byte(line, line->pending[line->pending_at++]))
            continue;
        *out = slice_make(line->bytes, line->count);
        line->count = 0;
        return true;
    }
    if (line->over && !line->terminal && line->count) { /* a last line without its end */
        *out = slice_make(line->bytes, line->count);
        line->count = 0;
        return true;
    }
    return false;
}

void line_hide(struct line *line)
{
    if (line->terminal)
        (void)!write(STDOUT_FILENO, "\r\x1b[J", 4);
}

void line_draw(struct line *line)
{
    static const char prompt[] = "> ";
    uint8_t text[512];
    struct buf buf = buf_over(text, sizeof text);
    if (!line->terminal)
        return;
    size_t from = line->count > 60 ? line->count - 60 : 0; /* the end of a long line */
    while (from < line->count && ((uint8_t)line->bytes[from] & 0xc0) == 0x80)
        from++;
    buf_text(&buf, "\r\x1b[J");
    buf_text(&buf, prompt);
    text_neutral(&buf, slice_make(line->bytes + from, line->count - from), -1);
    (void)!write(STDOUT_FILENO, buf.at, buf.bytes);
}
