/* SPDX-License-Identifier: Apache-2.0
 * reconnect-storm: all connections are cut by RST in the middle of a load and come back at once:
 * how long until all are back, until all that was under way has come, and what sending costs
 * afterwards. Time counts from the cut. */
#include <stdio.h>

#include "apps/parley-bench/load.h"
#include "apps/parley-bench/subcommands.h"

#define WINDOW_US 10000000u /* in which sending is measured, from --seconds after the cut */
#define RESYNC_US 60000000u /* not resynced by then: a failure */

struct storm {
    uint64_t cut_us, back_us, resynced_us;
    double client;
};

static bool turns_until(struct load *load, uint64_t until_us)
{
    while (load->now_us < until_us && load->broken == 0)
        if (!load_turn(load, until_us))
            return false;
    return load->broken == 0;
}

static bool resynced(const struct load *load, uint64_t meant_us)
{
    for (uint32_t i = 0; i < load->senders; i++) {
        const struct peer *peer = &load->peers[i];
        uint64_t next = peer->delivered * load->senders + peer->number;
        if (peer->delivered < peer->due && schedule_at_us(&load->schedule, next) < meant_us)
            return false;
    }
    return true;
}

static bool storm(struct load *load, const struct options *options, struct storm *out)
{
    uint64_t before_us = options->numbers[OPTION_WARMUP] * 1000000;
    uint64_t after_us = options->numbers[OPTION_SECONDS] * 1000000;
    uint64_t from_us = bench_now_us();
    load->mode = LOAD_OPEN;
    load->schedule.start_us = load->now_us = from_us;
    bool done = load_nudge(load) && turns_until(load, from_us + before_us);
    histogram_reset(&load->login);
    out->client = bench_cpu_s();
    out->cut_us = bench_now_us();
    load->begin_us = out->cut_us + after_us;
    load->end_us = load->begin_us + (after_us < WINDOW_US ? after_us : WINDOW_US);
    load_drop(load, 0, load->peers_count);
    done = done && load_sign_in(load, 0, load->peers_count, load->peers_count);
    out->back_us = bench_now_us();
    while (done && !resynced(load, out->back_us) && load->now_us < out->cut_us + RESYNC_US)
        done = turns_until(load, load->now_us + 1000);
    done = done && resynced(load, out->back_us);
    out->resynced_us = load->now_us;
    done = done && turns_until(load, load->end_us);
    out->client = (bench_cpu_s() - out->client) * 1e6 / (double)(bench_now_us() - out->cut_us);
    return done;
}

/* Nothing more is sent; what is under way comes. */
static bool end(struct load *load)
{
    load->messages_max = 0;
    load->mode = LOAD_STILL;
    for (uint32_t i = 0; i < load->senders; i++)
        load->peers[i].due = load->peers[i].sent;
    return load_settle(load);
}

static uint64_t report_all(struct report *report, const struct load *load,
                           const struct storm *times)
{
    static const char *const login[7] = {"login_p50_us", "login_p90_us",  "login_p95_us",
                                         "login_p99_us", "login_p999_us", "login_max_us",
                                         "logins"};
    static const char *const ack[7] = {"ack_p50_us",  "ack_p90_us", "ack_p95_us", "ack_p99_us",
                                       "ack_p999_us", "ack_max_us", "acks"};
    uint64_t lost = 0, doubled = 0, misordered = 0, acked = 0;
    for (uint32_t i = 0; i < load->senders; i++) {
        const struct peer *peer = &load->peers[i];
        acked += peer->acked;
        lost += tally_lost(&peer->tally, peer->acked);
        doubled += peer->tally.doubled;
        misordered += peer->tally.misordered;
    }
    report_count(report, "connections", load->peers_count);
    report_count(report, "rate_intended", load->schedule.rate);
    report_count(report, "body_bytes", load->run.body_bytes);
    report_number(report, "all_back_s", (double)(times->back_us - times->cut_us) / 1e6);
    report_number(report, "resynced_s", (double)(times->resynced_us - times->cut_us) / 1e6);
    report_histogram(report, login, &load->login);
    report_histogram(report, ack, &load->ack);
    report_count(report, "acknowledged", acked);
    report_count(report, "lost", lost);
    report_count(report, "doubled", doubled);
    report_count(report, "misordered", misordered);
    return lost + doubled + misordered;
}

enum bench_exit reconnect_run(const struct options *options)
{
    static struct load load;
    static struct report report;
    struct storm times = {0};
    uint32_t count = (uint32_t)options->numbers[OPTION_CONNECTIONS];
    report_begin(&report, options);
    bool done = load_open(&load, &driver_parley, options->texts[OPTION_SERVER], count + count % 2,
                          options->numbers[OPTION_BODY]) &&
                load_pin(options->numbers[OPTION_CLIENT_CPU]) && load_ready(&load);
    load.senders = load.peers_count;
    load.messages_max = UINT64_MAX;
    load.schedule.rate = options->numbers[OPTION_RATE];
    done = done && storm(&load, options, &times) && end(&load);
    uint64_t wrong = done ? report_all(&report, &load, &times) : 0;
    bool bound = done && report_client(&report, times.client);
    if (!done)
        (void)fprintf(stderr, "parley-bench: %s\n",
                      load.reason[0] ? load.reason : "it was not resynced within a minute");
    done = done && report_end(&report, options) && report_hdr(options, &load.ack);
    load_close(&load);
    if (!done)
        return BENCH_ERROR;
    if (wrong > 0)
        return BENCH_LOST;
    return bound ? BENCH_REFUSED : BENCH_OK;
}
