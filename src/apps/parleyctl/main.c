/* SPDX-License-Identifier: Apache-2.0
 * parleyctl: the operator's tool. It asks a running parleyd over the socket in the data folder
 * (adapters/posix/admin.h), or looks at the folder of one that does not run. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/parleyctl/ctl.h"

static const char help[] =
    "parleyctl: ask and look after a server of Parley.\n"
    "\n"
    "  parleyctl [--data FOLDER] invite [--owner] [--json]\n"
    "                                     a new one-time invite, only its secret on stdout\n"
    "  parleyctl [--data FOLDER] status [--json]\n"
    "                                     what the server does\n"
    "  parleyctl [--data FOLDER] metrics  every figure, as Prometheus reads it\n"
    "  parleyctl [--data FOLDER] users list [--json]\n"
    "                                     who has an account\n"
    "  parleyctl [--data FOLDER] users suspend|unsuspend|delete|reset-link NAME --reason TEXT "
    "[--json]\n"
    "                                     end its sessions and let nobody sign in; undo that;\n"
    "                                     close it for good; print a one-time secret that is as\n"
    "                                     good as its password for 24 hours\n"
    "  parleyctl [--data FOLDER] drain --reason TEXT\n"
    "                                     stop the server: clients are told, the log is sealed\n"
    "  parleyctl [--data FOLDER] trace MID --reason TEXT [--json]\n"
    "                                     where a message is: log, chat, inboxes, devices; not\n"
    "                                     what it says\n"
    "  parleyctl [--data FOLDER] doctor [--json]\n"
    "                                     is anything wrong with machine, folder, certificate,\n"
    "                                     server? Each finding with what to do\n"
    "  parleyctl [--data FOLDER] check    is the data folder sound? The server may run\n"
    "  parleyctl [--data FOLDER] log verify\n"
    "                                     read the whole log, change nothing; the server must\n"
    "                                     not run\n"
    "  parleyctl [--data FOLDER] backup DIR\n"
    "                                     copy all a server needs to DIR; it may run\n"
    "  parleyctl restore DIR --verify     can this backup be restored? Changes nothing\n"
    "  parleyctl [--data NEW] restore DIR make the data folder NEW from a backup\n"
    "  parleyctl [--data FOLDER] recover [--rollback] [--rebuild] [--yes]\n"
    "                                     what is wrong with the folder; with --yes: go on with\n"
    "                                     what is left. --rollback: a device proved a loss;\n"
    "                                     --rebuild: build the index again\n"
    "  parleyctl [--data FOLDER] upgrade [--dry-run]\n"
    "                                     bring the folder of an older version to this one's\n"
    "                                     format, step by step; the server must not run\n"
    "  parleyctl --help, --version\n"
    "\n"
    "The folder is ./parley-data (or PARLEY_DATA) unless --data names another.\n"
    "--json: one JSON object a line on stdout (each with v, the schema's version, and type);\n"
    "errors are words on stderr, and the exit code.\n"
    "Exit: 0 done, 1 a problem was found, 2 not understood, 3 no server answers.\n";

static int usage(const char *what, const char *word)
{
    (void)fprintf(stderr, "parleyctl: %s%s%s; parleyctl --help lists what is understood\n", what,
                  word[0] != '\0' ? ": " : "", word);
    return CTL_USAGE;
}

static bool words_are(const struct ctl *ctl, const char *first, const char *second)
{
    int count = second != NULL ? 2 : 1;
    return ctl->words_count == count && strcmp(ctl->words[0], first) == 0 &&
           (second == NULL || strcmp(ctl->words[1], second) == 0);
}

static bool is_act(const char *word)
{
    return strcmp(word, "suspend") == 0 || strcmp(word, "unsuspend") == 0 ||
           strcmp(word, "delete") == 0 || strcmp(word, "reset-link") == 0;
}

static int run(const struct ctl *ctl)
{
    if (ctl->words_count == 0)
        return usage("nothing was asked", "");
    bool judges = words_are(ctl, "check", NULL) || words_are(ctl, "log", "verify") ||
                  words_are(ctl, "metrics", NULL) || words_are(ctl, "upgrade", NULL);
    if (ctl->json && judges)
        return usage("its answer has one form: it takes no --json", ctl->words[0]);
    if (ctl->owner && !words_are(ctl, "invite", NULL))
        return usage("only invite takes --owner", ctl->words[0]);
    if ((ctl->yes || ctl->rollback || ctl->rebuild) && !words_are(ctl, "recover", NULL))
        return usage("only recover takes --yes, --rollback and --rebuild", ctl->words[0]);
    if (ctl->dry_run && !words_are(ctl, "upgrade", NULL))
        return usage("only upgrade takes --dry-run", ctl->words[0]);
    if (ctl->verify && strcmp(ctl->words[0], "restore") != 0)
        return usage("only restore takes --verify", ctl->words[0]);
    if (words_are(ctl, "invite", NULL))
        return ctl_invite(ctl);
    if (words_are(ctl, "status", NULL))
        return ctl_status(ctl);
    if (words_are(ctl, "metrics", NULL))
        return ctl_metrics(ctl);
    if (ctl->words_count == 3 && strcmp(ctl->words[0], "users") == 0 && is_act(ctl->words[1]))
        return ctl_act(ctl, ctl->words[1], ctl->words[2]);
    if (ctl->words_count == 2 && strcmp(ctl->words[0], "trace") == 0)
        return ctl_trace(ctl, ctl->words[1]);
    if (words_are(ctl, "doctor", NULL))
        return ctl_doctor(ctl);
    if (words_are(ctl, "drain", NULL))
        return ctl_drain(ctl);
    if (words_are(ctl, "users", "list"))
        return ctl_users(ctl);
    if (words_are(ctl, "check", NULL))
        return ctl_check(ctl);
    if (words_are(ctl, "log", "verify"))
        return ctl_log_verify(ctl);
    if (words_are(ctl, "recover", NULL))
        return ctl_recover(ctl);
    if (words_are(ctl, "upgrade", NULL))
        return ctl_upgrade(ctl);
    if (ctl->words_count == 2 && strcmp(ctl->words[0], "backup") == 0)
        return ctl_backup(ctl);
    if (ctl->words_count == 2 && strcmp(ctl->words[0], "restore") == 0)
        return ctl_restore(ctl);
    return usage("not understood", ctl->words[0]);
}

/* Options of one command alone; NULL: none of those. */
static bool *option_of(struct ctl *ctl, const char *word)
{
    const struct {
        const char *word;
        bool *at;
    } options[] = {{"--verify", &ctl->verify},
                   {"--yes", &ctl->yes},
                   {"--rollback", &ctl->rollback},
                   {"--rebuild", &ctl->rebuild},
                   {"--dry-run", &ctl->dry_run}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strcmp(word, options[i].word) == 0)
            return options[i].at;
    return NULL;
}

/* One word of the command line; −1: go on. */
static int word_read(struct ctl *ctl, int count, char **arguments, int *at)
{
    const char *word = arguments[*at];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        (void)fputs(help, stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        (void)puts("parleyctl " PARLEY_VERSION);
        return 0;
    }
    bool *option = option_of(ctl, word);
    if (option != NULL)
        *option = true;
    else if (strcmp(word, "--json") == 0)
        ctl->json = true;
    else if (strcmp(word, "--owner") == 0)
        ctl->owner = true;
    else if (strncmp(word, "--reason=", 9) == 0)
        ctl->reason = word + 9;
    else if (strcmp(word, "--reason") == 0 && *at + 1 < count)
        ctl->reason = arguments[++*at];
    else if (strncmp(word, "--data=", 7) == 0)
        ctl->data = word + 7;
    else if (strcmp(word, "--data") == 0 && *at + 1 < count)
        ctl->data = arguments[++*at];
    else if (word[0] == '-')
        return usage("no such option, or no value behind it", word);
    else if (ctl->words_count == CTL_WORDS_MAX)
        return usage("too many words", word);
    else
        ctl->words[ctl->words_count++] = word;
    return -1;
}

int main(int count, char **arguments)
{
    struct ctl ctl = {.data = "./parley-data"};
    for (char *const *at = environ; *at != NULL; at++)
        if (strncmp(*at, "PARLEY_DATA=", 12) == 0 && (*at)[12] != '\0')
            ctl.data = *at + 12;
    for (int at = 1; at < count; at++) {
        int code = word_read(&ctl, count, arguments, &at);
        if (code >= 0)
            return code;
    }
    int code = run(&ctl);
    if (fflush(stdout) != 0 && code == CTL_OK) {
        (void)fprintf(stderr, "parleyctl: stdout cannot be written: %s\n", strerror(errno));
        code = CTL_PROBLEM;
    }
    return code;
}
