/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyd/settings.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

/* ---- the file ----
 * inih tells only the first bad line, so lines pass through a reader of ours: it counts them, and
 * finds those of which the handler heard nothing. */

struct lines {
    FILE *file;
    struct config_reading *reading;
    struct config_place place; /* of the line being parsed */
    bool awaited;              /* it must be a setting */
};

static void line_missed(struct lines *lines)
{
    if (lines->awaited)
        config_find(
            lines->reading, lines->place,
            "this is neither '[section]' nor 'key = value'. Write one of them, or begin the "
            "line with #.");
    lines->awaited = false;
}

/* Is this the head of a section? inih hears of it only with its settings, so its name is judged
 * here. */
static bool section_line(struct lines *lines, const char *text)
{
    char name[64];
    const char *end = strchr(text, ']');
    if (text[0] != '[' || end == NULL)
        return false;
    (void)snprintf(name, sizeof name, "%.*s", (int)(end - text - 1), text + 1);
    config_file_section(lines->reading, lines->place, name);
    const char *rest = end + 1 + strspn(end + 1, " \t\r\n");
    if (*rest != '\0' && *rest != '#' && *rest != ';')
        config_find(lines->reading, lines->place,
                    "something stands behind [%.40s]. Put it on a line of its own.", name);
    return true;
}

static void skip_rest(FILE *file)
{
    int letter;
    do
        letter = fgetc(file);
    while (letter != EOF && letter != '\n');
}

/* fgets, without leading blanks (inih would take such a line as more of the one before). */
static char *next_line(char *text, int bytes, void *stream)
{
    struct lines *lines = stream;
    line_missed(lines);
    if (fgets(text, bytes, lines->file) == NULL)
        return NULL;
    lines->place.line++;
    if (strchr(text, '\n') == NULL && !feof(lines->file)) {
        skip_rest(lines->file);
        config_find(lines->reading, lines->place, "the line is longer than %d bytes. Shorten it.",
                    bytes - 2);
        (void)snprintf(text, (size_t)bytes, "\n");
    }
    size_t blanks = strspn(text, " \t");
    memmove(text, text + blanks, strlen(text + blanks) + 1);
    lines->awaited = strchr("\r\n#;", text[0]) == NULL && !section_line(lines, text);
    return text;
}

static int on_setting(void *user, const char *section, const char *key, const char *value)
{
    struct lines *lines = user;
    lines->awaited = false;
    config_file_set(lines->reading, lines->place, section, key, value);
    return 1;
}

void settings_file(struct config_reading *reading, const char *path)
{
    struct lines lines = {.reading = reading, .place = {CONFIG_FILE, path, 0}};
    lines.file = fopen(path, "re");
    if (lines.file == NULL) {
        config_find(reading, lines.place,
                    "it cannot be opened: %s. Name another with --config, or make it.",
                    strerror(errno));
        return;
    }
    (void)ini_parse_stream(next_line, &lines, on_setting, &lines);
    line_missed(&lines);
    if (ferror(lines.file))
        config_find(reading, lines.place, "the file cannot be read to its end: %s.",
                    strerror(errno));
    (void)fclose(lines.file);
}

/* ---- the command line ---- */

struct words {
    int count, at;
    char *const *all;
};

/* The value of --name VALUE or --name=VALUE; NULL and a finding without one. */
static const char *value_of(struct config_reading *reading, struct words *words, const char *equals)
{
    if (equals != NULL)
        return equals + 1;
    if (words->at + 1 < words->count)
        return words->all[++words->at];
    config_find(reading, (struct config_place){.source = CONFIG_FLAG},
                "%.80s has no value. Write one behind it.", words->all[words->at]);
    return NULL;
}

static bool is(const char *word, const char *name)
{
    return strcmp(word, name) == 0;
}

static bool action_of(const char *word, enum settings_action *action)
{
    if (is(word, "--help") || is(word, "-h"))
        *action = SETTINGS_HELP;
    else if (is(word, "--version"))
        *action = SETTINGS_VERSION;
    else if (is(word, "--help-config"))
        *action = SETTINGS_HELP_CONFIG;
    else if (is(word, "--sample-config"))
        *action = SETTINGS_SAMPLE;
    else if (is(word, "--limits"))
        *action = SETTINGS_LIMITS;
    else if (is(word, "--help-metrics"))
        *action = SETTINGS_METRICS;
    else if (is(word, "--help-events"))
        *action = SETTINGS_EVENTS;
    else if (is(word, "--check"))
        *action = SETTINGS_CHECK;
    else
        return false;
    return true;
}

/* One flag with its value. With `file` only --config is looked at: the file comes before flags. */
static void flag_read(struct config_reading *reading, struct words *words, const char **file)
{
    const char *word = words->all[words->at];
    const char *equals = strchr(word, '=');
    char name[64];
    size_t bytes = equals != NULL ? (size_t)(equals - word) : strlen(word);
    if (strncmp(word, "--", 2) != 0 || bytes >= sizeof name) {
        config_find(reading, (struct config_place){.source = CONFIG_FLAG},
                    "'%.80s' is not understood. parleyd --help lists what is.", word);
        return;
    }
    memcpy(name, word + 2, bytes - 2);
    name[bytes - 2] = '\0';
    const char *value = value_of(reading, words, equals);
    if (value == NULL)
        return;
    if (is(name, "config"))
        *file = value;
    else if (!config_flag_set(reading, name, value))
        config_find(reading, (struct config_place){.source = CONFIG_FLAG},
                    "there is no flag --%s. parleyd --help lists all.", name);
}

static const char *variable(char *const *environment, const char *name)
{
    size_t bytes = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, bytes) == 0 && (*environment)[bytes] == '=')
            return *environment + bytes + 1;
    return NULL;
}

/* The file to read, by the command line or the environment; NULL: none. */
static const char *file_named(struct words words, char *const *environment)
{
    const char *file = variable(environment, "PARLEY_CONFIG");
    for (int i = 1; i < words.count && words.all[i] != NULL; i++) {
        if (strcmp(words.all[i], "--config") == 0 && i + 1 < words.count)
            file = words.all[++i];
        else if (strncmp(words.all[i], "--config=", 9) == 0)
            file = words.all[i] + 9;
    }
    return file;
}

enum settings_action settings_read(struct config_reading *reading, int count,
                                   char *const *arguments, char *const *environment)
{
    enum settings_action action = SETTINGS_RUN;
    struct words words = {count, 1, arguments};
    config_init(reading);
    const char *file = file_named(words, environment);
    if (file != NULL)
        settings_file(reading, file);
    config_environment(reading, environment);
    for (; words.at < count && arguments[words.at] != NULL; words.at++)
        if (!action_of(arguments[words.at], &action))
            flag_read(reading, &words, &file);
    config_check(reading);
    return action;
}
