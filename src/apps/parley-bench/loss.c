/* SPDX-License-Identifier: Apache-2.0
 * loss: what must come through, once and in order.
 *   reader away: readers are cut off by RST, senders send on; readers sign in again
 *   acks lost:   senders are cut off by RST in mid-stream, sign in again, and send again what was
 *                not acknowledged, with its number and mid
 *   killed:      (--restart) the server is killed in mid-stream and started again; everybody signs
 *                in again and sends again what was not acknowledged
 *   stalled:     (--stall, instead of these) readers stay connected and read nothing while all
 *                but a fiftieth of the messages are sent at once and the rest over so many
 *                seconds; then they read again
 * What has not come when nothing comes any more for SILENCE_US is lost, and said so. */
#include <stdio.h>
#include <stdlib.h>

#include "apps/parley-bench/load.h"
#include "apps/parley-bench/server.h"
#include "apps/parley-bench/subcommands.h"

#define SIGN_INS      32u
#define CUTS          5u
#define SILENCE_US    5000000u
#define FLIGHT_ALL    1000u  /* of all senders of a burst: what one group of the log takes */
#define STALLED_BYTES 16384  /* a small device: what it does not read stays on the server */
#define AHEAD_ALL     20000u /* acknowledged, not in the index yet: far from what makes it BUSY */

struct progress {
    uint64_t acked, seen;
};

static struct progress progress_of(const struct load *load)
{
    struct progress sum = {0, 0};
    for (uint32_t i = 0; i < load->senders; i++) {
        sum.acked += load->peers[i].acked;
        sum.seen += load->peers[i].tally.seen;
    }
    return sum;
}

/* Until `acked` are acknowledged and `seen` have come, or silence. */
static bool wait_for(struct load *load, uint64_t acked, uint64_t seen)
{
    struct progress now = progress_of(load), last = now;
    uint64_t last_us = load->now_us;
    while ((now.acked < acked || now.seen < seen) && load->broken == 0 &&
           load->now_us < last_us + SILENCE_US) {
        if (!load_turn(load, bench_now_us() + 100000))
            return false;
        now = progress_of(load);
        if (now.acked != last.acked || now.seen != last.seen)
            last_us = load->now_us;
        last = now;
    }
    return load->broken == 0;
}

static bool settled(struct load *load)
{
    uint64_t all = load->messages_max * load->senders;
    return wait_for(load, all, all);
}

/* Readers are not there while a share of the messages is sent. */
static bool reader_away(struct load *load, uint64_t messages)
{
    load_drop(load, load->senders, load->senders);
    load->messages_max = messages;
    load->mode = LOAD_CLOSED;
    return load_nudge(load) && wait_for(load, messages * load->senders, 0) &&
           load_sign_in(load, load->senders, load->senders, SIGN_INS) && settled(load);
}

/* Senders are cut off CUTS times, each time after some more acknowledgements. */
static bool acks_lost(struct load *load, uint64_t messages)
{
    uint64_t from = load->messages_max * load->senders;
    uint64_t share = (messages - load->messages_max) * load->senders;
    load->messages_max = messages;
    bool done = load_nudge(load);
    for (uint64_t cut = 1; done && cut <= CUTS; cut++) {
        done = wait_for(load, from + share * cut / (CUTS + 1), 0);
        load_drop(load, 0, load->senders);
        done = done && load_sign_in(load, 0, load->senders, SIGN_INS) && load_nudge(load);
    }
    return done && settled(load);
}

/* `restart` kills the server, starts it, and returns when it listens. */
static bool killed(struct load *load, uint64_t messages, const char *restart)
{
    uint64_t from = load->messages_max * load->senders;
    uint64_t share = (messages - load->messages_max) * load->senders;
    load->messages_max = messages;
    if (!load_nudge(load) || !wait_for(load, from + share / 2, 0))
        return false;
    if (system(restart) != 0) { /* the command is the caller's own */
        (void)snprintf(load->reason, sizeof load->reason, "--restart failed");
        return false;
    }
    load_drop(load, 0, load->peers_count);
    return load_sign_in(load, 0, load->peers_count, SIGN_INS) && load_nudge(load) && settled(load);
}

/* What the server holds before, at the end of the burst, and at the end of the stall. */
struct held {
    struct server_use before, burst, after;
    bool known;
};

static bool held_read(const struct options *options, struct server_use *out)
{
    return options_given(options, OPTION_SERVER_PID) &&
           server_read((pid_t)options->numbers[OPTION_SERVER_PID], out);
}

/* What the senders have seen of their own messages: so much is in the index. */
static uint64_t indexed(const struct load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < load->senders; i++)
        sum += load->peers[i].account.useq;
    return sum;
}

/* As fast as the index follows; until it has all of them. */
static bool burst_send(struct load *load, uint64_t each)
{
    uint64_t before = indexed(load), last = 0, last_us = load->now_us;
    for (uint64_t there = 0; there < each * load->senders; there = indexed(load) - before) {
        uint64_t may = (there + AHEAD_ALL) / load->senders + 1;
        last_us = there != last ? load->now_us : last_us;
        last = there;
        bool more = may > load->messages_max && load->messages_max < each;
        if (more)
            load->messages_max = may < each ? may : each;
        if (load->now_us > last_us + 4 * SILENCE_US) {
            (void)snprintf(load->reason, sizeof load->reason, "the index stands still");
            return false;
        }
        if (load->broken > 0 ||
            !(more ? load_nudge(load) : load_turn(load, bench_now_us() + 20000)))
            return false;
    }
    return true;
}

static bool stalled(struct load *load, const struct options *options, struct held *held)
{
    uint64_t each = (options->numbers[OPTION_MESSAGES] + load->senders - 1) / load->senders;
    uint64_t us = options->numbers[OPTION_STALL] * 1000000, burst = each - each / 50;
    held->known = held_read(options, &held->before);
    if (load->window > FLIGHT_ALL / load->senders)
        load->window = load->senders < FLIGHT_ALL ? FLIGHT_ALL / load->senders : 1;
    load->messages_max = 0;
    load->mode = LOAD_CLOSED;
    if (!load_stall(load, load->senders, load->senders, true) || !burst_send(load, burst))
        return false;
    held->known = held->known && held_read(options, &held->burst);
    (void)fprintf(stderr, "parley-bench: %u readers do not read\n", load->senders);
    uint64_t from_us = bench_now_us(), gone_us = 0;
    while (gone_us < us && load->broken == 0) {
        uint64_t may = burst + (each - burst) * gone_us / us;
        bool more = may > load->messages_max;
        load->messages_max = may;
        if (!(more ? load_nudge(load) : load_turn(load, bench_now_us() + 20000)))
            return false;
        gone_us = bench_now_us() - from_us;
    }
    load->messages_max = each;
    held->known = held->known && held_read(options, &held->after);
    (void)fputs("parley-bench: they read again\n", stderr);
    return load_nudge(load) && load_stall(load, load->senders, load->senders, false) &&
           settled(load);
}

static enum bench_exit judge(const struct load *load, struct report *report,
                             const struct options *options)
{
    uint64_t lost = 0, doubled = 0, misordered = 0, acked = progress_of(load).acked;
    uint64_t unacknowledged = load->messages_max * load->senders - acked;
    for (uint32_t i = 0; i < load->senders; i++) {
        const struct peer *peer = &load->peers[i];
        lost += tally_lost(&peer->tally, peer->acked);
        doubled += peer->tally.doubled;
        misordered += peer->tally.misordered;
    }
    report_text(report, "driver", load->driver->name);
    report_bool(report, "killed", options_given(options, OPTION_RESTART));
    report_count(report, "acknowledged", acked);
    report_count(report, "unacknowledged", unacknowledged);
    report_count(report, "sign_ins", load->ready);
    report_count(report, "lost", lost);
    report_count(report, "doubled", doubled);
    report_count(report, "misordered", misordered);
    if (!report_end(report, options))
        return BENCH_ERROR;
    return lost + doubled + misordered + unacknowledged > 0 ? BENCH_LOST : BENCH_OK;
}

static void held_tell(const struct held *held, struct report *report)
{
    if (!held->known)
        return;
    report_count(report, "server_rss_kib_before", held->before.rss_kib);
    report_count(report, "server_rss_kib_burst", held->burst.rss_kib);
    report_count(report, "server_rss_kib_stalled", held->after.rss_kib);
}

static bool scenes(struct load *load, const struct options *options, struct held *held)
{
    const char *restart = options->texts[OPTION_RESTART];
    uint64_t each = (options->numbers[OPTION_MESSAGES] + load->senders - 1) / load->senders;
    load->frames_per_write = 1;
    load->window = 32;
    load->acks_only = true; /* a message that is lost must not hold up the others */
    if (options_given(options, OPTION_STALL))
        return stalled(load, options, held);
    if (restart == NULL)
        return reader_away(load, each / 2) && acks_lost(load, each);
    return reader_away(load, each / 3) && acks_lost(load, each * 2 / 3) &&
           killed(load, each, restart);
}

enum bench_exit loss_run(const struct options *options)
{
    static struct load load;
    static struct report report;
    struct held held = {.known = false};
    uint32_t pairs = (uint32_t)options->numbers[OPTION_PAIRS];
    const struct driver *driver = driver_named(options->texts[OPTION_DRIVER]);
    if (driver == NULL)
        return BENCH_USAGE;
    report_begin(&report, options);
    bool done = load_open(&load, driver, options->texts[OPTION_SERVER], 2 * pairs,
                          options->numbers[OPTION_BODY]);
    if (options_given(options, OPTION_STALL))
        load.receive_bytes = STALLED_BYTES;
    done = done && load_ready(&load);
    load.senders = pairs;
    done = done && scenes(&load, options, &held);
    held_tell(&held, &report);
    enum bench_exit code = done ? judge(&load, &report, options) : BENCH_ERROR;
    if (!done)
        (void)fprintf(stderr, "parley-bench: %s\n",
                      load.reason[0] ? load.reason : "the system refused it");
    load_close(&load);
    return code;
}
