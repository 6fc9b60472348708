/* SPDX-License-Identifier: Apache-2.0
 * parleyd: the server. Life: settings → checks → node_open → node_serve → node_close. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/posix/last_words.h"
#include "apps/parleyd/bounds.h"
#include "apps/parleyd/node.h"
#include "apps/parleyd/settings.h"
#include "apps/parleyd/unsafe.h"
#include "base/assert.h"

#define EXIT_PROBLEM 1
#define EXIT_USAGE   2

#define DESCRIPTORS_APART 512 /* segments of the log, files, sockets of our own */

#define PLAIN_LINE                                                                             \
    "Messages are not end-to-end encrypted yet, and data of this version will not be carried " \
    "over."

static const char help[] =
    "parleyd: the server of Parley, a private messenger that anyone can run.\n"
    "\n"
    "  parleyd [--data FOLDER] [--listen ADDRESS:PORT]   serve, until Ctrl-C\n"
    "  parleyd --tls-cert FILE --tls-key FILE [...]      the same by https, on any address\n"
    "  parleyd --check [...]           only look: all errors of the settings at once\n"
    "  parleyd --help-config           every setting, its flag and its variable\n"
    "  parleyd --sample-config         a configuration file with the defaults\n"
    "  parleyd --limits                every fixed bound, and why\n"
    "  parleyd --help-metrics          every figure it tells Prometheus\n"
    "  parleyd --help-events           every event of its log\n"
    "  parleyd --version\n"
    "\n"
    "  --config FILE                   read settings from FILE (or PARLEY_CONFIG)\n"
    "\n"
    "Without anything it serves http://127.0.0.1:8787 from ./parley-data, which it makes.\n"
    "Ask a running server with parleyctl.\n"
    "Exit: 0 stopped as asked, 1 a failure, 2 wrong settings.\n"
    "\n" PLAIN_LINE "\n";

static const char ended_at_once[] =
    "parleyd: ended at once, by a fault that it cannot go on from: no memory, files of the index "
    "that a library gives up on, or a bug. Nothing acknowledged is lost: start it again. If that "
    "ends the same way, parleyctl doctor and parleyctl recover look for the reason\n";

static void print_text(void (*write_text)(struct buf *out))
{
    static char space[64 << 10];
    struct buf text = buf_over(space, sizeof space);
    write_text(&text);
    (void)fwrite(space, 1, text.bytes, stdout);
}

static void report_assert(const struct assert_report *report)
{
    (void)fprintf(stderr,
                  "parleyd: a bug: %s:%d: %s does not hold (shard %u, %s). Nothing acknowledged is "
                  "lost; please report this.\n",
                  report->file, report->line, report->expression, report->shard, report->event);
}

/* As many descriptors as the connections need, as far as the system lets us; else fewer
 * connections, for the log must never find none left. */
static void descriptors_take(struct config *config)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)config->connections + DESCRIPTORS_APART;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == wanted)
        return;
    rlim_t apart = limit.rlim_cur > 2 * DESCRIPTORS_APART ? DESCRIPTORS_APART : limit.rlim_cur / 2;
    config->connections = (uint32_t)(limit.rlim_cur - apart);
    (void)fprintf(stderr,
                  "parleyd: the system allows %lu descriptors, so there will be at most %u "
                  "connections (ulimit -n)\n",
                  (unsigned long)limit.rlim_cur, config->connections);
}

static const char *scheme(const struct config *config)
{
    return config_tls(config) ? "https" : "http";
}

static void greet(const struct node *node)
{
    char host[64];
    (void)snprintf(host, sizeof host, "%s", node->config->listen);
    *strrchr(host, ':') = '\0';
    (void)printf("Parley listens on %s://%s:%u (data in %s)\n", scheme(node->config), host,
                 node->port, node->config->data);
    if (node->owner_invite[0] != '\0')
        (void)printf("One-time invite: %s\n", node->owner_invite);
    if (node->scrape.started)
        (void)printf("Metrics are at http://%s/metrics (port %u)\n", node->config->metrics_listen,
                     node->scrape.port);
    unsafe_warn(node->config);
    (void)printf(PLAIN_LINE "\n");
    (void)fflush(stdout);
}

static int serve(struct config *config)
{
    static struct node node; /* large: shards, log, rings */
    static struct posix_signals signals;
    struct failure failure = {0};
    (void)umask(0077);
    assert_handler_set(report_assert);
    posix_last_words(ended_at_once);

    descriptors_take(config);
    enum status status = posix_signals_open(&signals, config_tls(config));
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "parleyd: signals cannot be taken\n");
        return EXIT_PROBLEM;
    }
    status = node_open(&node, config, &signals, &failure);
    bool opened = status == STATUS_OK;
    if (opened) {
        greet(&node);
        status = node_serve(&node, &failure);
    }
    bool sealed = status == STATUS_OK && node.log.state == LOG_STOPPED;
    node_close(&node);
    posix_signals_close(&signals);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "parleyd: %s\n", failure.text);
        return status == STATUS_CLOSED ? 0 : EXIT_PROBLEM;
    }
    (void)fprintf(stderr, sealed ? "parleyd: stopped, the log is sealed\n" : "parleyd: stopped\n");
    return 0;
}

static int check(const struct config_reading *reading)
{
    struct failure failure = {0};
    enum status status = data_look(reading->config.data, &failure);
    if ((status == STATUS_OK || status == STATUS_NOT_FOUND) && config_tls(&reading->config)) {
        enum status pair = certificate_look(&reading->config, &failure);
        status = pair == STATUS_OK ? status : pair == STATUS_NOT_FOUND ? STATUS_INVALID : pair;
    }
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        (void)fprintf(stderr, "parleyd: %s\n", failure.text);
        return EXIT_PROBLEM;
    }
    (void)printf("The settings are right: %s://%s, data in %s (%s).\n", scheme(&reading->config),
                 reading->config.listen, reading->config.data,
                 status == STATUS_OK ? "there" : "to be made");
    return 0;
}

static int findings(const struct config_reading *reading)
{
    const struct config_findings *found = &reading->findings;
    (void)fprintf(stderr, "%.*sparleyd: %u error%s in the settings; nothing was started\n",
                  (int)found->text.bytes, found->space, found->count, found->count == 1 ? "" : "s");
    return EXIT_USAGE;
}

int main(int count, char **arguments)
{
    static struct config_reading reading;
    enum settings_action action = settings_read(&reading, count, arguments, environ);
    switch (action) {
    case SETTINGS_HELP: (void)fputs(help, stdout); return 0;
    case SETTINGS_VERSION: (void)puts("parleyd " PARLEY_VERSION); return 0;
    case SETTINGS_HELP_CONFIG: print_text(config_help); return 0;
    case SETTINGS_SAMPLE: print_text(config_sample); return 0;
    case SETTINGS_LIMITS: print_text(bounds_text); return 0;
    case SETTINGS_METRICS: print_text(metrics_help); return 0;
    case SETTINGS_EVENTS: print_text(said_help); return 0;
    case SETTINGS_CHECK:
    case SETTINGS_RUN: break;
    }
    if (reading.findings.count > 0)
        return findings(&reading);
    return action == SETTINGS_CHECK ? check(&reading) : serve(&reading.config);
}
