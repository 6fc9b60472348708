/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/opening.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_FORMAT  "%-23s signal %02u cut %02u\n"
#define SIGNAL_AT    31u
#define CUT_AT       38u
#define LINE_BYTES   41u
#define COUNT_MAX    99u
#define WORDS_BYTES  512u
#define DEATHS_COUNT (sizeof deaths / sizeof deaths[0])

struct entry {
    char name[OPENING_NAME_BYTES];
    struct opening_past past;
};

struct notes {
    struct entry entries[OPENING_NAMES_MAX];
    size_t count;
};

/* ---- the file ---- */

static void file_path(const char *data, const char *end, char out[OPENING_PATH_BYTES + 32])
{
    (void)snprintf(out, OPENING_PATH_BYTES + 32, "%s/store.opening%s", data, end);
}

static bool two_digits(const char *at, unsigned *out)
{
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
        return false;
    *out = (unsigned)(at[0] - '0') * 10 + (unsigned)(at[1] - '0');
    return true;
}

static bool line_read(const char *line, struct entry *entry)
{
    char again[LINE_BYTES + 1];
    size_t bytes = strcspn(line, " ");
    *entry = (struct entry){.name = ""};
    if (bytes == 0 || bytes >= OPENING_NAME_BYTES)
        return false;
    memcpy(entry->name, line, bytes);
    if (!two_digits(line + SIGNAL_AT, &entry->past.signal) ||
        !two_digits(line + CUT_AT, &entry->past.cut))
        return false;
    (void)snprintf(again, sizeof again, LINE_FORMAT, entry->name, entry->past.signal,
                   entry->past.cut);
    return memcmp(line, again, LINE_BYTES) == 0;
}

static void notes_read(const char *data, struct notes *notes)
{
    char path[OPENING_PATH_BYTES + 32], text[OPENING_NAMES_MAX * LINE_BYTES + 1];
    notes->count = 0;
    file_path(data, "", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    size_t bytes = got > 0 ? (size_t)got : 0;
    for (size_t at = 0; at + LINE_BYTES <= bytes; at += LINE_BYTES)
        if (line_read(text + at, &notes->entries[notes->count]))
            notes->count++;
}

static struct entry *entry_find(struct notes *notes, const char *name)
{
    for (size_t i = 0; i < notes->count; i++)
        if (strcmp(notes->entries[i].name, name) == 0)
            return &notes->entries[i];
    return NULL;
}

static void entry_drop(struct notes *notes, struct entry *entry)
{
    size_t at = (size_t)(entry - notes->entries);
    memmove(entry, entry + 1, (notes->count - at - 1) * sizeof *entry);
    notes->count--;
}

/* The folder knows the name, too. */
static bool names_sync(const char *data)
{
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return synced;
}

/* Under its name all at once: a start that reads it reads a whole one. -1: not written. */
static int notes_write(const char *data, const struct notes *notes)
{
    char path[OPENING_PATH_BYTES + 32], fresh[OPENING_PATH_BYTES + 32];
    char text[OPENING_NAMES_MAX * LINE_BYTES + 1];
    size_t bytes = 0;
    for (size_t i = 0; i < notes->count; i++, bytes += LINE_BYTES) {
        const struct entry *entry = &notes->entries[i];
        (void)snprintf(text + bytes, LINE_BYTES + 1, LINE_FORMAT, entry->name, entry->past.signal,
                       entry->past.cut);
    }
    file_path(data, "", path);
    file_path(data, ".new", fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0 && rename(fresh, path) == 0 &&
        names_sync(data))
        return fd;
    (void)close(fd);
    (void)unlink(fresh);
    return -1;
}

/* Not synced: what a power cut brings back counts one opening too many. */
static void notes_keep(const char *data, const struct notes *notes)
{
    char path[OPENING_PATH_BYTES + 32];
    if (notes->count > 0) {
        int fd = notes_write(data, notes);
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    file_path(data, "", path);
    (void)unlink(path);
}

/* ---- who dies ---- */

static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

/* EXCEPTION: a handler, and state that is nobody's: whoever dies of an assertion in a library's own
 * thread is handed nothing, and has no other way to leave word. */
static struct {
    int fd;
    off_t at; /* of the two digits of the signal */
    size_t words_bytes;
    char words[WORDS_BYTES];
    struct sigaction before[DEATHS_COUNT];
} last = {.fd = -1};

static void signals_give_back(void)
{
    for (size_t i = 0; i < DEATHS_COUNT; i++)
        (void)sigaction(deaths[i], &last.before[i], NULL);
}

static void on_death(int number)
{
    const char digits[2] = {(char)('0' + number / 10 % 10), (char)('0' + number % 10)};
    signals_give_back();
    (void)!pwrite(last.fd, digits, sizeof digits, last.at);
    (void)fsync(last.fd);
    (void)!write(STDERR_FILENO, last.words, last.words_bytes);
    (void)raise(number); /* for whoever had it before; else the end */
}

static void signals_take(int fd, size_t line, const struct opening *opening, const char *program)
{
    struct sigaction action = {.sa_handler = on_death};
    last.fd = fd;
    last.at = (off_t)(line * LINE_BYTES + SIGNAL_AT);
    int bytes = snprintf(last.words, sizeof last.words,
                         "%s: ALARM: RocksDB died while it opened rows (%s): they are damaged, or "
                         "memory ran out. Start again; after the second time in a row these rows "
                         "are put aside, and built again from what else there is\n",
                         program, opening->name);
    last.words_bytes = bytes > 0 && (size_t)bytes < sizeof last.words ? (size_t)bytes : 0;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < DEATHS_COUNT; i++)
        (void)sigaction(deaths[i], &action, &last.before[i]);
}

/* ---- for index.c ---- */

struct opening_past opening_past(const char *data, const char *name)
{
    struct notes notes;
    notes_read(data, &notes);
    const struct entry *entry = entry_find(&notes, name);
    return entry == NULL ? (struct opening_past){.signal = 0} : entry->past;
}

bool opening_blames(const char *data, const char *name, char why[OPENING_WHY_BYTES])
{
    struct opening_past past = opening_past(data, name);
    if (past.signal != 0)
        (void)snprintf(why, OPENING_WHY_BYTES, "opening it, RocksDB died of signal %u, again",
                       past.signal);
    else
        (void)snprintf(why, OPENING_WHY_BYTES, "opening it was cut short %u times in a row",
                       past.cut);
    return past.cut >= (past.signal != 0 ? OPENING_DIED_MAX : OPENING_CUT_MAX);
}

void opening_begin(struct opening *opening, const char *data, const char *name, const char *program)
{
    struct notes notes;
    (void)snprintf(opening->data, sizeof opening->data, "%s", data);
    (void)snprintf(opening->name, sizeof opening->name, "%s", name);
    notes_read(data, &notes);
    struct entry *entry = entry_find(&notes, opening->name);
    if (entry == NULL) {
        if (notes.count == OPENING_NAMES_MAX)
            entry_drop(&notes, notes.entries);
        entry = &notes.entries[notes.count++];
        *entry = (struct entry){.name = ""};
        memcpy(entry->name, opening->name, sizeof entry->name);
    }
    entry->past.signal = 0;
    if (entry->past.cut < COUNT_MAX)
        entry->past.cut++;
    int fd = notes_write(data, &notes);
    if (fd >= 0)
        signals_take(fd, (size_t)(entry - notes.entries), opening, program);
}

void opening_end(struct opening *opening)
{
    if (last.fd >= 0) {
        signals_give_back();
        (void)close(last.fd);
        last.fd = -1;
    }
    opening_forget(opening->data, opening->name);
}

void opening_forget(const char *data, const char *name)
{
    struct notes notes;
    notes_read(data, &notes);
    struct entry *entry = name == NULL ? NULL : entry_find(&notes, name);
    if (name == NULL)
        notes.count = 0;
    else if (entry == NULL)
        return;
    else
        entry_drop(&notes, entry);
    notes_keep(data, &notes);
}
