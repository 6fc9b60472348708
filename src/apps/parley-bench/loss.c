/* SPDX-License-Identifier: Apache-2.0
 * loss: what must come through, once and in order.
 *   reader away: readers are cut off by RST, senders send on; readers sign in again
 *   acks lost:   senders are cut off by RST in mid-stream, sign in again, and send again what was
 *                not acknowledged, with its number and mid */
#include <stdio.h>

#include "apps/parley-bench/load.h"
#include "apps/parley-bench/subcommands.h"

#define SIGN_INS 32u
#define CUTS     5u

/* Readers are not there while a share of the messages is sent. */
static bool reader_away(struct load *load, uint64_t messages)
{
    load_drop(load, load->senders, load->senders);
    load->acks_only = true;
    load->messages_max = messages;
    load->mode = LOAD_CLOSED;
    bool done = load_nudge(load) && load_settle(load);
    load->acks_only = false;
    return done && load_sign_in(load, load->senders, load->senders, SIGN_INS) && load_settle(load);
}

static uint64_t acked_by_all(const struct load *load)
{
    uint64_t acked = 0;
    for (uint32_t i = 0; i < load->senders; i++)
        acked += load->peers[i].acked;
    return acked;
}

/* Senders are cut off CUTS times, each time after some more acknowledgements. */
static bool acks_lost(struct load *load, uint64_t messages)
{
    uint64_t from = acked_by_all(load), share = (messages - load->messages_max) * load->senders;
    load->messages_max = messages;
    bool done = load_nudge(load);
    for (uint64_t cut = 1; done && cut <= CUTS; cut++) {
        while (done && acked_by_all(load) < from + share * cut / (CUTS + 1))
            done = load_turn(load, bench_now_us() + 100000) && load->broken == 0;
        load_drop(load, 0, load->senders);
        done = done && load_sign_in(load, 0, load->senders, SIGN_INS) && load_nudge(load);
    }
    return done && load_settle(load);
}

static enum bench_exit judge(const struct load *load, struct report *report,
                             const struct options *options)
{
    uint64_t lost = 0, doubled = 0, misordered = 0, acked = acked_by_all(load);
    for (uint32_t i = 0; i < load->senders; i++) {
        const struct peer *peer = &load->peers[i];
        lost += tally_lost(&peer->tally, peer->acked);
        doubled += peer->tally.doubled;
        misordered += peer->tally.misordered;
    }
    report_count(report, "acknowledged", acked);
    report_count(report, "sign_ins", load->ready);
    report_count(report, "lost", lost);
    report_count(report, "doubled", doubled);
    report_count(report, "misordered", misordered);
    if (!report_end(report, options))
        return BENCH_ERROR;
    return lost + doubled + misordered > 0 ? BENCH_LOST : BENCH_OK;
}

enum bench_exit loss_run(const struct options *options)
{
    static struct load load;
    static struct report report;
    uint32_t pairs = (uint32_t)options->numbers[OPTION_PAIRS];
    uint64_t each = (options->numbers[OPTION_MESSAGES] + pairs - 1) / pairs;
    report_begin(&report, options);
    bool done = load_open(&load, &driver_parley, options->texts[OPTION_SERVER], 2 * pairs,
                          options->numbers[OPTION_BODY]) &&
                load_ready(&load);
    load.senders = pairs;
    load.frames_per_write = 1;
    load.window = 32;
    done = done && reader_away(&load, each / 2) && acks_lost(&load, each);
    enum bench_exit code = done ? judge(&load, &report, options) : BENCH_ERROR;
    if (!done)
        (void)fprintf(stderr, "parley-bench: %s\n",
                      load.reason[0] ? load.reason : "the system refused it");
    load_close(&load);
    return code;
}
