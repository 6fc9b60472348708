/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/posix/last_words.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* EXCEPTION: state outside a struct. A handler of signals gets nothing but a number. */
static const char *last_words;
static size_t last_words_bytes;

/* Only what may be called in a handler. Its return repeats a crash, and abort() goes on: the
 * handler is gone then. */
static void say(int number)
{
    ssize_t written = write(STDERR_FILENO, last_words, last_words_bytes);
    (void)written; /* there is nobody else to tell */
    (void)number;
}

void posix_last_words(const char *words)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    last_words = words;
    last_words_bytes = strlen(words);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_flags = (int)SA_RESETHAND}, old;
        action.sa_handler = say;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(numbers[i], &action, NULL);
    }
}
