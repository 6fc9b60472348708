/* SPDX-License-Identifier: Apache-2.0
 * history: old chats. Fills a server up to so many messages, then asks for pages of 50 rows, one
 * request under way: of each chat the newest, then pages from anywhere in it; all of that once
 * (cold, if the server and the machine's cache are fresh) and once more (warm).
 * Sets of accounts lie in a state file, so that filling can be done in pieces and the server be
 * stopped or killed between filling and asking. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "apps/parley-bench/server.h"
#include "apps/parley-bench/state.h"
#include "apps/parley-bench/subcommands.h"

#define ROWS      50u
#define SIGN_INS  32u
#define ANSWER_US 20000000u
#define FOLLOW_S  1 /* after filling: the rows follow the log by less */

struct pages {
    struct histogram newest[2], back[2]; /* cold, warm */
    uint64_t rows, read_bytes[2];
};

struct fill {
    uint64_t before, after, lost, doubled, misordered; /* messages there, of all senders */
    double wall_s, client_s;
};

static uint64_t there(const struct load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < load->peers_count; i++)
        sum += load->peers[i].acked;
    return sum;
}

static bool accounts(struct load *load, const char *path)
{
    if (access(path, F_OK) != 0)
        return load_ready(load);
    return state_read(load, path) && load_sign_in(load, 0, load->peers_count, SIGN_INS);
}

/* Everybody sends until there are as many as asked for, or time is out; then all is settled. */
static bool fill(struct load *load, const struct options *options, struct fill *out)
{
    uint64_t from_us = bench_now_us(), each = options->numbers[OPTION_MESSAGES];
    uint64_t until_us = from_us + options->numbers[OPTION_SECONDS] * 1000000;
    out->before = there(load);
    out->client_s = bench_cpu_s();
    load->senders = load->peers_count;
    load->messages_max = (each + load->senders - 1) / load->senders;
    load->frames_per_write = options->numbers[OPTION_FRAMES_PER_WRITE];
    load->window = options->numbers[OPTION_IN_FLIGHT] / load->senders;
    load->mode = LOAD_CLOSED;
    bool done = load_nudge(load);
    while (done && load->broken == 0 && bench_now_us() < until_us && there(load) < each)
        done = load_turn(load, until_us);
    for (uint32_t i = 0; i < load->senders; i++)
        if (load->messages_max > load->peers[i].sent && bench_now_us() >= until_us)
            load->messages_max = 0; /* nothing more; what is under way is waited for */
    done = done && load_settle(load);
    out->wall_s = (double)(bench_now_us() - from_us) / 1e6;
    out->client_s = bench_cpu_s() - out->client_s;
    out->after = there(load);
    load->mode = LOAD_STILL;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < load->senders; i++) {
        seen += load->peers[i].tally.seen;
        out->doubled += load->peers[i].tally.doubled;
        out->misordered += load->peers[i].tally.misordered;
    }
    out->lost = out->after - out->before - seen;
    return done;
}

/* One page, and how long it took. */
static bool ask(struct load *load, uint32_t number, uint64_t before, struct histogram *took)
{
    struct peer *peer = &load->peers[number];
    uint64_t pages = load->pages, from_us = bench_now_us();
    parley_page(&load->run, peer, before, ROWS);
    load_touch(load, peer);
    while (load->pages == pages && load->broken == 0 && load->now_us < from_us + ANSWER_US)
        if (!load_turn(load, from_us + ANSWER_US))
            return false;
    if (load->pages == pages && load->reason[0] == '\0')
        (void)snprintf(load->reason, sizeof load->reason, "a page was not answered");
    histogram_add(took, bench_now_us() - from_us);
    return load->pages > pages;
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The same requests each time: `warm` only says where they are counted. */
static bool pass(struct load *load, const struct options *options, size_t warm, struct pages *out)
{
    uint64_t random = 0x9e3779b97f4a7c15u, count = options->numbers[OPTION_PAGES];
    uint32_t pairs = load->peers_count / 2;
    bool done = true;
    for (uint32_t i = 0; done && i < pairs && i < count; i++)
        done = ask(load, i, 0, &out->newest[warm]);
    for (uint64_t i = 0; done && i < count; i++) {
        uint32_t chat = (uint32_t)(random_next(&random) % pairs);
        uint64_t head = load->peers[chat].sent + load->peers[chat].other->sent;
        done =
            ask(load, chat, head < ROWS + 2 ? 0 : ROWS + 1 + random_next(&random) % (head - ROWS),
                &out->back[warm]);
    }
    out->rows = load->page_rows;
    return done;
}

static void report_fill(struct report *report, const struct load *load, const struct fill *fill)
{
    report_count(report, "chats", load->peers_count / 2);
    report_count(report, "body_bytes", load->run.body_bytes);
    report_count(report, "frames_per_write", load->frames_per_write);
    report_count(report, "in_flight", load->window * load->senders);
    report_count(report, "messages_before", fill->before);
    report_count(report, "messages", fill->after);
    report_number(report, "fill_s", fill->wall_s);
    report_number(report, "fill_rate", (double)(fill->after - fill->before) / fill->wall_s);
    report_count(report, "lost", fill->lost);
    report_count(report, "doubled", fill->doubled);
    report_count(report, "misordered", fill->misordered);
}

static void report_pages(struct report *report, const struct pages *pages)
{
    static const char *const names[4][7] = {
        {"newest_cold_p50_us", "newest_cold_p90_us", "newest_cold_p95_us", "newest_cold_p99_us",
         "newest_cold_p999_us", "newest_cold_max_us", "newest_cold"},
        {"newest_warm_p50_us", "newest_warm_p90_us", "newest_warm_p95_us", "newest_warm_p99_us",
         "newest_warm_p999_us", "newest_warm_max_us", "newest_warm"},
        {"back_cold_p50_us", "back_cold_p90_us", "back_cold_p95_us", "back_cold_p99_us",
         "back_cold_p999_us", "back_cold_max_us", "back_cold"},
        {"back_warm_p50_us", "back_warm_p90_us", "back_warm_p95_us", "back_warm_p99_us",
         "back_warm_p999_us", "back_warm_max_us", "back_warm"}};
    for (size_t warm = 0; warm < 2; warm++) {
        report_histogram(report, names[warm], &pages->newest[warm]);
        report_histogram(report, names[2 + warm], &pages->back[warm]);
    }
    report_count(report, "rows", pages->rows);
}

static bool read_all(struct load *load, const struct options *options, struct pages *pages)
{
    struct server_use use[3] = {{0}};
    pid_t pid =
        options_given(options, OPTION_SERVER_PID) ? (pid_t)options->numbers[OPTION_SERVER_PID] : 0;
    for (size_t warm = 0; warm < 2; warm++) {
        if (pid > 0 && !server_read(pid, &use[warm]))
            return false;
        if (!pass(load, options, warm, pages))
            return false;
        if (pid > 0 && !server_read(pid, &use[warm + 1]))
            return false;
        pages->read_bytes[warm] = use[warm + 1].read_bytes - use[warm].read_bytes;
    }
    return true;
}

static bool fitting(const struct options *options)
{
    uint64_t senders = 2 * options->numbers[OPTION_PAIRS];
    uint64_t frames = options->numbers[OPTION_FRAMES_PER_WRITE];
    uint64_t window = options->numbers[OPTION_IN_FLIGHT] / senders;
    if (!options_given(options, OPTION_MESSAGES))
        return true;
    if (frames != OPTION_UNSET && options->numbers[OPTION_IN_FLIGHT] != OPTION_UNSET &&
        window >= frames && window <= PEER_FLIGHT_MAX)
        return true;
    (void)fprintf(stderr,
                  "parley-bench: --messages needs --frames-per-write F and --in-flight W, W from "
                  "%llu F to %llu\n",
                  (unsigned long long)senders, (unsigned long long)senders * PEER_FLIGHT_MAX);
    return false;
}

enum bench_exit history_run(const struct options *options)
{
    static struct load load;
    static struct report report;
    static struct pages pages;
    struct fill filled = {0};
    bool fills = options_given(options, OPTION_MESSAGES);
    if (!fitting(options))
        return BENCH_USAGE;
    report_begin(&report, options);
    bool done =
        load_open(&load, &driver_parley, options->texts[OPTION_SERVER],
                  2 * (uint32_t)options->numbers[OPTION_PAIRS], options->numbers[OPTION_BODY]) &&
        load_pin(options->numbers[OPTION_CLIENT_CPU]) &&
        accounts(&load, options->texts[OPTION_STATE]);
    done = done && (!fills || fill(&load, options, &filled));
    if (done && fills)
        report_fill(&report, &load, &filled);
    const struct timespec follow = {.tv_sec = fills ? FOLLOW_S : 0};
    (void)nanosleep(&follow, NULL);
    if (done && options->numbers[OPTION_PAGES] > 0 && read_all(&load, options, &pages)) {
        report_pages(&report, &pages);
        report_count(&report, "cold_read_bytes", pages.read_bytes[0]);
        report_count(&report, "warm_read_bytes", pages.read_bytes[1]);
    } else if (options->numbers[OPTION_PAGES] > 0) {
        done = false;
    }
    bool bound = done && fills && report_client(&report, filled.client_s / filled.wall_s);
    done = done && load.broken == 0 && state_write(&load, options->texts[OPTION_STATE]);
    if (!done)
        (void)fprintf(stderr, "parley-bench: %s\n",
                      load.reason[0] ? load.reason : "the system refused it");
    load_close(&load);
    if (!done || !report_end(&report, options) || !report_hdr(options, &pages.back[1]))
        return BENCH_ERROR;
    if (filled.lost + filled.doubled + filled.misordered > 0)
        return BENCH_LOST;
    return bound ? BENCH_REFUSED : BENCH_OK;
}
