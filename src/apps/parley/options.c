/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each option once: its letter, which commands take it, and its line of help. */
#define OPTIONS(X)                                                                           \
    X(PROFILE, "profile", 1, ALL,                                                            \
      "NAME  whose device this is (default: $PARLEY_PROFILE, "                               \
      "or \"default\")")                                                                     \
    X(PROFILE_DIR, "profile-dir", 1, ALL, "DIR  the profile's folder itself")                \
    X(JSON, "json", 0, ALL, "  one JSON object a line on stdout")                            \
    X(HELP, "help", 0, ALL, "  this text")                                                   \
    X(TIMEOUT, "timeout", 1, NETWORK, "S  give up after S seconds")                          \
    X(SERVER, "server", 1, ENROL, "URL  where the server is, as https://chat.example.org")   \
    X(CA, "ca", 1, NETWORK,                                                                  \
      "FILE  trust the authorities in FILE (PEM) for https, "                                \
      "instead of the system's; the profile keeps them")                                     \
    X(USERNAME, "username", 1, ENROL, "NAME  3 to 32 of a-z 0-9 _ .")                        \
    X(INVITE, "invite", 1, BIT(REGISTER),                                                    \
      "SECRET  works once; from parley invite, or "                                          \
      "parleyctl invite")                                                                    \
    X(DEVICE_NAME, "device-name", 1, ENROL, "NAME  how this device is listed")               \
    X(PASSWORD_FD, "password-fd", 1, ENROL | BIT(PASSWORD),                                  \
      "N  read the password from descriptor N, one a line")                                  \
    X(MESSAGE, "message", 1, BIT(SEND), "TEXT  (-m) what to say; - reads it from stdin")     \
    X(STDIN, "stdin", 0, BIT(SEND), "  as -m -")                                             \
    X(WAIT, "wait", 1, BIT(SEND), "server|delivered|read  until when (default: server)")     \
    X(FOLLOW, "follow", 0, BIT(RECEIVE), "  (-f) go on until --timeout, --max or Ctrl-C")    \
    X(MAX, "max", 1, BIT(RECEIVE), "N  stop after N messages")                               \
    X(INCLUDE_OWN, "include-own", 0, BIT(RECEIVE), "  what you sent, too")                   \
    X(LIMIT, "limit", 1, BIT(HISTORY) | BIT(CHATS), "N  the newest N only (default: 50)")    \
    X(BEFORE, "before", 1, BIT(HISTORY), "CSEQ  only what stands before this number")        \
    X(OFFLINE, "offline", 0, BIT(HISTORY) | BIT(CHATS), "  what is on this device, at once") \
    X(USES, "uses", 1, BIT(INVITE_), "N  how many people it lets in (default: 1)")           \
    X(DAYS, "days", 1, BIT(INVITE_), "N  how long it works (default: 7)")

#define COMMAND_INVITE_ COMMAND_INVITE
#define BIT(name)       (1u << COMMAND_##name)
#define ENROL           (BIT(REGISTER) | BIT(LOGIN))
#define ALL             ((1u << COMMAND_COUNT) - 1)
#define NETWORK         (ALL & ~BIT(VERSION))

enum option_letter {
    OPTION_FIRST = 1000,
#define X(id, name, argument, commands, help) OPTION_##id,
    OPTIONS(X)
#undef X
};

static const struct {
    const char *name, *help;
    uint32_t commands;
} option_table[] = {
#define X(id, name, argument, commands, help) {name, help, commands},
    OPTIONS(X)
#undef X
};

static const struct option long_options[] = {
#define X(id, name, argument, commands, help) {name, argument, NULL, OPTION_##id},
    OPTIONS(X)
#undef X
        {NULL, 0, NULL, 0},
};

#define OPTION_COUNT (sizeof option_table / sizeof *option_table)

static const struct {
    const char *name, *words, *help;
    size_t words_min, words_max;
} command_table[COMMAND_COUNT] = {
    [COMMAND_REGISTER] = {"register", "", "make an account, with this device as its first", 0, 0},
    [COMMAND_LOGIN] = {"login", "", "add this device to an account", 0, 0},
    [COMMAND_SEND] = {"send", " TO...", "send a message to @name or a chat id", 1, 32},
    [COMMAND_RECEIVE] = {"receive", "", "print what has come and was not printed before", 0, 0},
    [COMMAND_CHAT] = {"chat", " TO", "talk, line by line; Ctrl-D ends it", 1, 1},
    [COMMAND_CHATS] = {"chats", "", "list the chats, the newest first", 0, 0},
    [COMMAND_HISTORY] = {"history", " TO", "print the messages of a chat, the oldest first", 1, 1},
    [COMMAND_READ] = {"read", " TO [ID]", "mark a chat as read, up to a message", 1, 2},
    [COMMAND_DEVICES] = {"devices", " [rm ID]", "list your devices, or sign one out", 0, 2},
    [COMMAND_INVITE] = {"invite", "", "make an invite, and print just the secret", 0, 0},
    [COMMAND_PASSWORD] = {"password", "", "change your password", 0, 0},
    [COMMAND_VERSION] = {"version", "", "print the version", 0, 0},
};

static void help_all(void)
{
    puts("parley: talk to people over a server that anyone can run\n\n"
         "usage: parley [--profile NAME] COMMAND ...\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-9s%-10s %s\n", command_table[i].name, command_table[i].words,
               command_table[i].help);
    puts("\n`parley COMMAND --help` lists its options. stdout is data, stderr is talk.\n"
         "Exit: 0 ok, 1 failure here, 2 usage, 3 network (try again), 4 not allowed or not\n"
         "signed in, 5 the other's identity changed, 6 sent to some only.");
}

void options_help(const struct options *options)
{
    if (options->command == COMMAND_COUNT) {
        help_all();
        return;
    }
    printf("usage: parley %s%s\n%s\n\n", command_table[options->command].name,
           command_table[options->command].words, command_table[options->command].help);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].commands & (1u << options->command))
            printf("  --%s %s\n", option_table[i].name, option_table[i].help);
}

__attribute__((format(printf, 2, 3))) static bool wrong(struct options *out, const char *format,
                                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out->trouble, sizeof out->trouble, format, arguments);
    va_end(arguments);
    return false;
}

static bool number(struct options *options, const char *name, const char *text, uint64_t max,
                   uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value > max)
        return wrong(options, "--%s takes a number up to %llu, not '%s'", name,
                     (unsigned long long)max, text);
    *out = value;
    return true;
}

static bool read_wait(struct options *options, const char *text)
{
    static const char *const names[] = {"server", "delivered", "read"};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            options->wait = (enum wait_for)i;
            return true;
        }
    return wrong(options, "--wait takes server, delivered or read, not '%s'", text);
}

static bool number_option(int letter, const char *text, struct options *out)
{
    uint64_t value = 0;
    const char *name = option_table[letter - OPTION_FIRST - 1].name;
    if (!number(out, name, text, letter == OPTION_TIMEOUT ? 31536000 : 1000000000, &value))
        return false;
    switch (letter) {
    case OPTION_TIMEOUT:
        out->timeout_ms = value * 1000;
        out->has_timeout = true;
        break;
    case OPTION_MAX: out->max = value; break;
    case OPTION_LIMIT: out->limit = value; break;
    case OPTION_BEFORE: out->before = value; break;
    case OPTION_USES: out->uses = (uint32_t)value; break;
    case OPTION_DAYS: out->days = (uint32_t)value; break;
    default: out->password_fd = (int)value; break;
    }
    return true;
}

static bool set_option(int letter, const char *text, struct options *out)
{
    switch (letter) {
    case OPTION_PROFILE: out->profile = text; break;
    case OPTION_PROFILE_DIR: out->profile_dir = text; break;
    case OPTION_JSON: out->json = true; break;
    case OPTION_HELP: out->help = true; break;
    case OPTION_SERVER: out->server = text; break;
    case OPTION_CA: out->ca = text; break;
    case OPTION_USERNAME: out->username = text[0] == '@' ? text + 1 : text; break;
    case OPTION_INVITE: out->invite = text; break;
    case OPTION_DEVICE_NAME: out->device_name = text; break;
    case OPTION_MESSAGE: out->message = text; break;
    case OPTION_STDIN: out->message = "-"; break;
    case OPTION_WAIT: return read_wait(out, text);
    case OPTION_FOLLOW: out->follow = true; break;
    case OPTION_INCLUDE_OWN: out->include_own = true; break;
    case OPTION_OFFLINE: out->offline = true; break;
    default: return number_option(letter, text, out);
    }
    return true;
}

static bool find_command(const char *word, struct options *out)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(word, command_table[i].name) == 0) {
            out->command = (enum command_name)i;
            return true;
        }
    return wrong(out, "no command is called '%s'; parley --help lists them", word);
}

static bool check_words(struct options *out)
{
    const char *name = command_table[out->command].name;
    const char *words = command_table[out->command].words;
    if (out->words_count > command_table[out->command].words_max)
        return wrong(out, "'%s' is one word too many; usage: parley %s%s",
                     out->words[command_table[out->command].words_max], name, words);
    if (out->words_count < command_table[out->command].words_min)
        return wrong(out, "a word is missing; usage: parley %s%s", name, words);
    return true;
}

/* The word behind an option that takes one is another option: most likely the value was a variable
 * of the shell, and empty. A secret may begin with -, so only whole names count. */
static bool check_value(struct options *out, const char *name, const char *text)
{
    if (strcmp(name, "message") == 0)
        return true; /* whatever a person wants to say */
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strncmp(text, "--", 2) == 0 && strcmp(text + 2, option_table[i].name) == 0)
            return wrong(out, "--%s has no value: the word behind it is %s", name, text);
    if (strcmp(name, "invite") == 0 && text[0] == '\0')
        return wrong(out, "the invite is empty; ask for one (parley invite, or parleyctl invite)");
    return true;
}

static bool getopt_refused(struct options *out, int letter, const char *word)
{
    if (letter == ':')
        return wrong(out, "%s has no value", word);
    return wrong(out, "there is no option %s, or it takes no value; parley COMMAND --help", word);
}

static bool read_letters(int argc, char **argv, struct options *out, bool given[])
{
    int letter;
    opterr = 0; /* its words would miss the JSON error */
    while ((letter = getopt_long(argc, argv, ":m:fh", long_options, NULL)) != -1) {
        if (letter == 'm')
            letter = OPTION_MESSAGE;
        if (letter == 'f')
            letter = OPTION_FOLLOW;
        if (letter == 'h')
            letter = OPTION_HELP;
        if (letter < OPTION_FIRST)
            return getopt_refused(out, letter, argv[optind - 1]);
        size_t at = (size_t)(letter - OPTION_FIRST - 1);
        if ((long_options[at].has_arg && !check_value(out, option_table[at].name, optarg)) ||
            !set_option(letter, optarg, out))
            return false;
        given[at] = true;
    }
    return true;
}

static bool check_given(struct options *out, const bool given[])
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (given[i] && !(option_table[i].commands & (1u << out->command)))
            return wrong(out, "%s takes no --%s", command_table[out->command].name,
                         option_table[i].name);
    return true;
}

static struct options defaults(void)
{
    const char *profile = getenv("PARLEY_PROFILE");
    return (struct options){.command = COMMAND_COUNT,
                            .profile = profile && profile[0] ? profile : "default",
                            .password_fd = -1,
                            .limit = 50,
                            .uses = 1,
                            .days = 7};
}

static bool read_all(int argc, char **argv, struct options *out)
{
    bool given[OPTION_COUNT] = {false};
    *out = defaults();
    if (!read_letters(argc, argv, out, given))
        return false;
    if (optind == argc)
        return out->help || wrong(out, "say a command; parley --help lists them");
    if (!find_command(argv[optind++], out) || !check_given(out, given))
        return false;
    while (optind < argc && out->words_count < OPTIONS_WORDS_MAX)
        out->words[out->words_count++] = argv[optind++];
    return out->help || check_words(out);
}

bool options_read(int argc, char **argv, struct options *out)
{
    bool done = read_all(argc, argv, out);
    for (int i = 1; i < argc && !done; i++) /* it may stand behind what is wrong */
        out->json |= strcmp(argv[i], "--json") == 0;
    return done;
}
