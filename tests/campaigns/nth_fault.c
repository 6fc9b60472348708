/* SPDX-License-Identifier: Apache-2.0
 * nth-fault PARLEYD COUNT HISTORY|- LIBHARM: of a running parleyd the N-th allocation fails, or the
 * N-th call that concerns a file or a socket: with an error, without room, by a signal, or cut
 * short; once, or from then on for a while; while it starts, or while people talk. It may refuse,
 * wait, or stop and say why; it may not crash without words, hang, or lose what it acknowledged,
 * and it serves again when the fault is over. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "harm_rig.h"

#define FAULTS     3
#define TALK_US    60000u
#define LIMP_US    150000u /* so long it goes on under a fault that lasts */
#define FIRST_MANY 40      /* half of the trials are among the first so many calls */

static const char *library;
static struct harm *harm;

static struct harm_fault *fault_of(uint64_t which)
{
    return which == 0 ? &harm->memory : which == 1 ? &harm->files : &harm->net;
}

/* How many calls there are when nothing fails: of a start, and of a while of talk. */
struct measure {
    uint64_t start[FAULTS], talk[FAULTS];
};

static void seen_take(uint64_t out[FAULTS])
{
    for (uint64_t i = 0; i < FAULTS; i++)
        out[i] = 1 + atomic_exchange(&fault_of(i)->seen, 0);
}

static void measure(struct campaign *campaign, struct measure *out)
{
    uint64_t before[FAULTS];
    campaign_stop(campaign, SIGKILL);
    campaign_all_restart(campaign);
    seen_take(before);
    campaign_start(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
    seen_take(out->start);
    campaign_talk(campaign, TALK_US);
    seen_take(out->talk);
}

static uint64_t nth_of(struct campaign *campaign, uint64_t calls)
{
    if (calls > FIRST_MANY && prng_chance(&campaign->prng, 500))
        calls = FIRST_MANY;
    return 1 + prng_below(&campaign->prng, calls);
}

/* It may have been about to end by itself, for the last fault. */
static void stop(struct campaign *campaign, int signal)
{
    if (campaign->server == 0)
        return;
    assert_int_equal(kill(campaign->server, signal), 0);
    assert_int_equal(waitpid(campaign->server, &campaign->status, 0), campaign->server);
    campaign->server = 0;
    bool killed = WIFSIGNALED(campaign->status) && WTERMSIG(campaign->status) == SIGKILL;
    if (!killed && !(WIFEXITED(campaign->status) && WEXITSTATUS(campaign->status) == 0))
        campaign_count(campaign, harm_ended(campaign, true));
}

/* The start itself is harmed. It serves, or it ends; with a fault that lasts it may also limp. */
static void start_harmed(struct campaign *campaign, bool lasts)
{
    uint64_t limp_us = campaign_now_us() + LIMP_US, end_us = campaign_now_us() + campaign_wait_us();
    campaign_start(campaign);
    while (!campaign_ended(campaign) && !campaign_synced(campaign)) {
        if (lasts && campaign_now_us() > limp_us)
            break;
        if (campaign_now_us() > end_us)
            fail_msg("seed %llu: it neither serves nor stops", (unsigned long long)campaign->seed);
        campaign_turn(campaign);
    }
}

/* What came of it; afterwards a server without faults serves everybody. */
static void aftermath(struct campaign *campaign, bool fired, bool memory)
{
    uint64_t end_us = campaign_now_us() + campaign_wait_us();
    const char *outcome = fired ? "went on" : "not reached";
    for (bool synced = false; !synced; synced = campaign_synced(campaign)) {
        if (campaign_ended(campaign)) {
            outcome = harm_ended(campaign, memory);
            campaign_start(campaign);
        }
        if (campaign_now_us() > end_us)
            fail_msg("seed %llu: the fault is over, but not its harm",
                     (unsigned long long)campaign->seed);
        campaign_turn(campaign);
    }
    campaign_count(campaign, outcome);
    if (campaign_heard(campaign, "the server only reads: "))
        fail_msg("seed %llu: a fault was taken for damage", (unsigned long long)campaign->seed);
}

static void one_trial(struct campaign *campaign, const struct measure *measure)
{
    static const char *const kinds[FAULTS] = {"allocation", "file call", "socket call"};
    struct prng *prng = &campaign->prng;
    uint64_t which = prng_below(prng, FAULTS);
    bool starts = which < 2 && prng_chance(prng, 500), lasts = prng_chance(prng, 300);
    struct harm_fault *fault = fault_of(which);
    uint64_t nth = nth_of(campaign, starts ? measure->start[which] : measure->talk[which]);
    uint32_t io = (uint32_t)prng_below(prng, HARM_IO_KINDS);
    lasts = lasts && io != HARM_IO_SIGNAL; /* no signal comes for ever */
    atomic_store(&harm->io, io);
    (void)fprintf(stderr, "nth-fault: %s %llu, io %u%s%s\n", kinds[which], (unsigned long long)nth,
                  io, starts ? ", at start" : "", lasts ? ", lasting" : "");
    if (starts) {
        stop(campaign, prng_chance(prng, 500) ? SIGKILL : SIGTERM);
        campaign_all_restart(campaign);
        harm_arm(fault, nth, lasts);
        start_harmed(campaign, lasts);
    } else {
        harm_arm(fault, nth, lasts);
        campaign_talk(campaign, TALK_US);
    }
    campaign_count(campaign, kinds[which]);
    campaign_count(campaign, "fault");
    aftermath(campaign, harm_disarm(fault), which == 0);
}

static void no_single_fault_loses_anything(void **state)
{
    struct campaign *campaign = *state;
    struct measure calls;
    campaign->trial = "fault";
    campaign->settings[0] = "--net-backend";
    campaign->settings[1] = "epoll"; /* io_uring's calls cannot be harmed from here */
    harm = harm_open(campaign, library);
    campaign_start(campaign);
    campaign_register(campaign);
    measure(campaign, &calls);
    assert_true(calls.start[0] > FIRST_MANY && calls.start[1] > FIRST_MANY && calls.talk[2] > 1);
    for (uint32_t i = 0; i < campaign->count; i++)
        one_trial(campaign, &calls);
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
    assert_true(campaign_judge(campaign) > 50);
    stop(campaign, SIGTERM);
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (argc < 5 || !campaign_arguments(&campaign, "nth-fault", argc, argv)) {
        (void)fprintf(stderr, "usage: nth-fault PARLEYD COUNT HISTORY|- LIBHARM\n");
        return 2;
    }
    campaign.history_path = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    library = argv[4];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(no_single_fault_loses_anything, campaign_open,
                                                 campaign_close, &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
