/* SPDX-License-Identifier: Apache-2.0
 * pm and echo: one message at a time from a sender to one other, closed or open loop, over any
 * driver; echo brings its own server, so that the same client measures the machine alone. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "apps/parley-bench/echo_server.h"
#include "apps/parley-bench/load.h"
#include "apps/parley-bench/metrics.h"
#include "apps/parley-bench/server.h"
#include "apps/parley-bench/subcommands.h"

#define DRAIN_US 15000000u

struct window {
    struct server_use before, after;
    struct metrics told[3]; /* at its beginning, in the middle, at its end */
    bool has_metrics;
    double client_s, wall_s;
    bool has_server;
};

struct verdict {
    uint64_t lost, doubled, misordered, unacknowledged;
};

/* F and W, or R: checked against each other. */
static bool plan(struct load *load, const struct options *options)
{
    bool closed = options_given(options, OPTION_CLOSED);
    uint64_t frames = options->numbers[OPTION_FRAMES_PER_WRITE];
    uint64_t in_flight = options->numbers[OPTION_IN_FLIGHT];
    load->senders = load->peers_count;
    if (options_given(options, OPTION_ONE_WAY))
        load->senders /= 2;
    load->messages_max = UINT64_MAX;
    if (options_given(options, OPTION_MESSAGES))
        load->messages_max =
            (options->numbers[OPTION_MESSAGES] + load->senders - 1) / load->senders;
    if (closed == options_given(options, OPTION_RATE)) {
        (void)fputs("parley-bench: give --closed (a ceiling) or --rate R (latencies)\n", stderr);
        return false;
    }
    load->schedule.rate = options->numbers[OPTION_RATE];
    if (!closed)
        return true;
    if (frames == OPTION_UNSET || in_flight == OPTION_UNSET) {
        (void)fputs("parley-bench: --closed needs --frames-per-write and --in-flight; neither has "
                    "a default\n",
                    stderr);
        return false;
    }
    load->frames_per_write = frames;
    load->window = in_flight / load->senders;
    if (in_flight % load->senders != 0 || load->window < frames || load->window > PEER_FLIGHT_MAX) {
        (void)fprintf(stderr,
                      "parley-bench: --in-flight %llu is for all %u senders together: give a "
                      "multiple of them, from %llu to %u each\n",
                      (unsigned long long)in_flight, load->senders, (unsigned long long)frames,
                      PEER_FLIGHT_MAX);
        return false;
    }
    return true;
}

static bool finished(const struct load *load)
{
    for (uint32_t i = 0; i < load->senders; i++)
        if (load->peers[i].sent < load->messages_max || load_open_messages(load, &load->peers[i]))
            return false;
    return true;
}

static bool turns_until(struct load *load, uint64_t until_us)
{
    bool counted = load->messages_max != UINT64_MAX;
    while (load->now_us < until_us && load->broken == 0 && !(counted && finished(load)))
        if (!load_turn(load, until_us))
            return false;
    return load->broken == 0;
}

static void start(struct load *load, const struct options *options)
{
    load->begin_us = bench_now_us() + options->numbers[OPTION_WARMUP] * 1000000;
    load->end_us = load->begin_us + options->numbers[OPTION_SECONDS] * 1000000;
    load->schedule.start_us = load->now_us = bench_now_us();
    load->mode = options_given(options, OPTION_CLOSED) ? LOAD_CLOSED : LOAD_OPEN;
    for (uint32_t i = 0; i < load->senders; i++) {
        load->touched[load->touched_count++] = &load->peers[i];
        load->peers[i].touched = true;
    }
}

/* What is not there when the window closes counts at its age. */
static void ages_add(struct load *load)
{
    for (uint32_t i = 0; load->mode == LOAD_OPEN && i < load->senders; i++)
        for (uint64_t k = load->peers[i].delivered; k < load->peers[i].due; k++) {
            uint64_t at_us = schedule_at_us(&load->schedule, k * load->senders + i);
            if (at_us >= load->begin_us && at_us < load->end_us)
                histogram_add(&load->delivery, load->now_us - at_us);
        }
}

static void tell(const struct options *options, struct window *window, size_t at)
{
    const char *server = options->texts[OPTION_METRICS];
    window->has_metrics = server != NULL && (at == 0 || window->has_metrics) &&
                          metrics_read(server, &window->told[at]);
    if (server != NULL && !window->has_metrics)
        (void)fprintf(stderr, "parley-bench: no metrics at %s: no figures of them\n", server);
}

static bool measure(struct load *load, const struct options *options, pid_t server,
                    struct window *window)
{
    start(load, options);
    bool done = turns_until(load, load->begin_us);
    uint64_t from_us = bench_now_us();
    double client_s = bench_cpu_s();
    window->has_server = server > 0 && server_read(server, &window->before);
    tell(options, window, 0);
    done = done && turns_until(load, (load->begin_us + load->end_us) / 2);
    tell(options, window, 1);
    done = done && turns_until(load, load->end_us);
    tell(options, window, 2);
    window->has_server = window->has_server && server_read(server, &window->after);
    window->client_s = bench_cpu_s() - client_s;
    window->wall_s = (double)(bench_now_us() - from_us) / 1e6;
    ages_add(load);
    uint64_t until_us = bench_now_us() + DRAIN_US;
    load->end_us = load->now_us; /* what comes now counts for loss only */
    load->begin_us = load->end_us;
    load->mode = LOAD_STILL;
    for (uint32_t i = 0; i < load->senders; i++)
        load->peers[i].due = load->peers[i].sent;
    load->messages_max = 0;
    return turns_until(load, until_us) && done;
}

static struct verdict judge(const struct load *load)
{
    struct verdict verdict = {0};
    for (uint32_t i = 0; i < load->senders; i++) {
        const struct peer *peer = &load->peers[i];
        verdict.lost += tally_lost(&peer->tally, peer->acked);
        verdict.doubled += peer->tally.doubled;
        verdict.misordered += peer->tally.misordered;
        verdict.unacknowledged += peer->sent - peer->acked;
    }
    return verdict;
}

static void report_server(struct report *report, const struct window *window, uint64_t done)
{
    const struct server_use *a = &window->before, *b = &window->after;
    double user_s = b->cpu_user_s - a->cpu_user_s, system_s = b->cpu_system_s - a->cpu_system_s;
    report_number(report, "server_cpu_user_s", user_s);
    report_number(report, "server_cpu_system_s", system_s);
    report_number(report, "server_cores", (user_s + system_s) / window->wall_s);
    if (user_s + system_s > 0)
        report_number(report, "per_server_cpu_s", (double)done / (user_s + system_s));
    report_count(report, "server_rss_kib", b->rss_kib);
    report_count(report, "server_private_kib", b->private_kib);
    report_count(report, "server_switches", b->switches - a->switches);
}

static void report_metrics(struct report *report, const struct window *window)
{
    const struct metrics *a = &window->told[0], *b = &window->told[2];
    double syncs = b->syncs - a->syncs, appends = b->appends - a->appends;
    report_number(report, "syncs_per_s", syncs / window->wall_s);
    report_number(report, "sync_mean_us", syncs > 0 ? (b->sync_s - a->sync_s) * 1e6 / syncs : 0);
    report_number(report, "messages_per_sync", syncs > 0 ? (b->sent - a->sent) / syncs : 0);
    report_number(report, "records_per_sync",
                  syncs > 0 ? (b->sync_records - a->sync_records) / syncs : 0);
    report_number(report, "append_mean_us",
                  appends > 0 ? (b->append_s - a->append_s) * 1e6 / appends : 0);
    report_number(report, "lag_records_begin", a->lag);
    report_number(report, "lag_records_middle", window->told[1].lag);
    report_number(report, "lag_records_end", b->lag);
}

static void report_setting(struct report *report, const struct load *load, bool closed)
{
    report_text(report, "driver", load->driver->name);
    report_text(report, "loop", closed ? "closed" : "open");
    report_count(report, "connections", load->peers_count);
    report_count(report, "senders", load->senders);
    report_count(report, "body_bytes", load->run.body_bytes);
    if (closed) {
        report_count(report, "frames_per_write", load->frames_per_write);
        report_count(report, "in_flight", load->window * load->senders);
    } else {
        report_count(report, "rate_intended", load->schedule.rate);
    }
}

static enum bench_exit report_all(struct load *load, const struct options *options,
                                  const struct window *window)
{
    static const char *const ack[7] = {"ack_p50_us",  "ack_p90_us", "ack_p95_us", "ack_p99_us",
                                       "ack_p999_us", "ack_max_us", "acks"};
    static const char *const delivery[7] = {
        "delivery_p50_us",  "delivery_p90_us", "delivery_p95_us", "delivery_p99_us",
        "delivery_p999_us", "delivery_max_us", "deliveries"};
    static const char *const late[7] = {"late_p50_us",  "late_p90_us", "late_p95_us", "late_p99_us",
                                        "late_p999_us", "late_max_us", "sent_open"};
    static struct report report;
    bool closed = options_given(options, OPTION_CLOSED);
    struct verdict verdict = judge(load);
    report_begin(&report, options);
    report_setting(&report, load, closed);
    report_number(&report, "window_s", window->wall_s);
    report_count(&report, "sent", load->sent);
    report_number(&report, "rate", (double)load->done / window->wall_s);
    bool bound = report_client(&report, window->client_s / window->wall_s);
    report_bool(&report, "ceiling", closed && !bound);
    if (window->has_server)
        report_server(&report, window, load->done);
    if (window->has_metrics)
        report_metrics(&report, window);
    report_histogram(&report, ack, &load->ack);
    report_histogram(&report, delivery, &load->delivery);
    if (!closed)
        report_histogram(&report, late, &load->late);
    report_count(&report, "lost", verdict.lost);
    report_count(&report, "doubled", verdict.doubled);
    report_count(&report, "misordered", verdict.misordered);
    report_count(&report, "unacknowledged", verdict.unacknowledged);
    if (!report_end(&report, options) || !report_hdr(options, &load->delivery))
        return BENCH_ERROR;
    if (verdict.lost + verdict.doubled + verdict.misordered > 0)
        return BENCH_LOST;
    return bound ? BENCH_REFUSED : BENCH_OK;
}

struct target {
    const struct driver *driver;
    const char *server;
    uint32_t peers;
    pid_t pid; /* 0: unknown */
};

static enum bench_exit run(const struct options *options, const struct target *target)
{
    static struct load load;
    struct window window = {.has_server = false};
    enum bench_exit code = BENCH_ERROR;
    bool open = load_open(&load, target->driver, target->server, target->peers,
                          options->numbers[OPTION_BODY]);
    if (open && !plan(&load, options))
        code = BENCH_USAGE;
    else if (open && load_pin(options->numbers[OPTION_CLIENT_CPU]) && load_ready(&load) &&
             measure(&load, options, target->pid, &window))
        code = report_all(&load, options, &window);
    if (code == BENCH_ERROR)
        (void)fprintf(stderr, "parley-bench: %s\n",
                      load.reason[0] ? load.reason : "the system refused it");
    load_close(&load);
    return code;
}

enum bench_exit pm_run(const struct options *options)
{
    struct target target = {.server = options->texts[OPTION_SERVER],
                            .peers = 2 * (uint32_t)options->numbers[OPTION_PAIRS]};
    target.driver = driver_named(options->texts[OPTION_DRIVER]);
    if (target.driver == NULL)
        return BENCH_USAGE;
    if (options_given(options, OPTION_SERVER_PID))
        target.pid = (pid_t)options->numbers[OPTION_SERVER_PID];
    return run(options, &target);
}

enum bench_exit echo_run(const struct options *options)
{
    char server[32];
    struct echo_server echo;
    if (!echo_server_open(&echo, options->numbers[OPTION_SERVER_CPU])) {
        (void)fputs("parley-bench: the echo server does not start\n", stderr);
        return BENCH_ERROR;
    }
    (void)snprintf(server, sizeof server, "127.0.0.1:%u", echo.port);
    struct target target = {.driver = &driver_echo,
                            .server = server,
                            .peers = (uint32_t)options->numbers[OPTION_CONNECTIONS],
                            .pid = echo.pid};
    enum bench_exit code = run(options, &target);
    echo_server_close(&echo);
    return code;
}
