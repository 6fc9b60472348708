/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "apps/parley-bench/hdr.h"
#include "base/assert.h"

static struct figure *figure_new(struct report *report, const char *name, bool quoted)
{
    assert(report->count < REPORT_FIGURES);
    struct figure *figure = &report->figures[report->count++];
    figure->name = name;
    figure->quoted = quoted;
    return figure;
}

void report_text(struct report *report, const char *name, const char *text)
{
    struct figure *figure = figure_new(report, name, true);
    (void)snprintf(figure->text, sizeof figure->text, "%s", text);
}

void report_count(struct report *report, const char *name, uint64_t value)
{
    struct figure *figure = figure_new(report, name, false);
    (void)snprintf(figure->text, sizeof figure->text, "%llu", (unsigned long long)value);
}

void report_number(struct report *report, const char *name, double value)
{
    struct figure *figure = figure_new(report, name, false);
    (void)snprintf(figure->text, sizeof figure->text, "%.3f", value);
}

void report_bool(struct report *report, const char *name, bool value)
{
    struct figure *figure = figure_new(report, name, false);
    (void)snprintf(figure->text, sizeof figure->text, "%s", value ? "true" : "false");
}

void report_histogram(struct report *report, const char *const names[7],
                      const struct histogram *histogram)
{
    static const double shares[] = {0.5, 0.9, 0.95, 0.99, 0.999, 1};
    for (size_t i = 0; i < 6; i++)
        report_count(report, names[i], histogram_at(histogram, shares[i]));
    report_count(report, names[6], histogram->count);
}

bool report_client(struct report *report, double share)
{
    bool bound = share > CLIENT_CPU_MAX;
    report_number(report, "client_cpu", share);
    report_bool(report, "client_bound", bound);
    if (bound)
        (void)fprintf(stderr,
                      "parley-bench: the client used %.2f of its core: what is printed is what it "
                      "reached, no ceiling and no latency (client-bound)\n",
                      share);
    return bound;
}

static bool cannot(const char *path)
{
    (void)fprintf(stderr, "parley-bench: %s cannot be written: %s\n", path, strerror(errno));
    return false;
}

bool report_hdr(const struct options *options, const struct histogram *histogram)
{
    const char *path = options->texts[OPTION_HDR];
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return cannot(path);
    hdr_write(file, histogram);
    bool done = ferror(file) == 0;
    return (fclose(file) == 0 && done) || cannot(path);
}

/* The value behind `key` in a file of "key : value" lines; empty if there is none. */
static void line_of(const char *path, const char *key, char *out, size_t bytes)
{
    char line[REPORT_TEXT_BYTES];
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *value = line + strlen(key);
        value += strspn(value, " \t:");
        (void)snprintf(out, bytes, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    if (file != NULL)
        (void)fclose(file);
}

static void host(struct report *report)
{
    char text[REPORT_TEXT_BYTES];
    struct utsname system;
    struct rlimit limit;
    line_of("/proc/cpuinfo", "model name", text, sizeof text);
    report_text(report, "cpu", text);
    report_count(report, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    if (uname(&system) == 0)
        report_text(report, "kernel", system.release);
    line_of("/proc/loadavg", "", text, sizeof text);
    report_text(report, "load", text);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        report_count(report, "nofile", limit.rlim_cur);
}

void report_begin(struct report *report, const struct options *options)
{
    char line[REPORT_TEXT_BYTES] = "";
    size_t bytes = 0;
    report->count = 0;
    report_count(report, "schema", 1);
    report_text(report, "version", PARLEY_VERSION);
    for (int i = 1; i < options->count && bytes < sizeof line; i++)
        bytes += (size_t)snprintf(line + bytes, sizeof line - bytes, i > 1 ? " %s" : "%s",
                                  options->arguments[i]);
    report_text(report, "command", line);
    host(report);
}

static void value_write(FILE *file, const struct figure *figure)
{
    if (!figure->quoted) {
        (void)fputs(figure->text, file);
        return;
    }
    (void)fputc('"', file);
    for (const char *at = figure->text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            (void)fputc('\\', file);
        (void)fputc((unsigned char)*at < ' ' ? ' ' : *at, file);
    }
    (void)fputc('"', file);
}

bool report_end(const struct report *report, const struct options *options)
{
    for (uint32_t i = 0; i < report->count; i++)
        (void)printf("%-28s %s\n", report->figures[i].name, report->figures[i].text);
    (void)fflush(stdout);
    const char *path = options->texts[OPTION_JSON];
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "we");
    for (uint32_t i = 0; file != NULL && i < report->count; i++) {
        (void)fprintf(file, "%s\n  \"%s\": ", i == 0 ? "{" : ",", report->figures[i].name);
        value_write(file, &report->figures[i]);
    }
    bool done = file != NULL && fputs("\n}\n", file) >= 0;
    done = file != NULL && fclose(file) == 0 && done;
    return done || cannot(path);
}
