/* SPDX-License-Identifier: Apache-2.0
 * slow-sync PARLEYD COUNT HISTORY|- LIBHARM MS: each sync takes MS milliseconds for a while, now
 * and then with a kill -9 in the middle, and one sync of the log fails. No message gets its SENT
 * or reaches anybody before a sync of the log that began after it was composed has ended well; who
 * is connected stays connected and waits; after a failed sync the server ends in words and syncs no
 * more; what was acknowledged is there at the next start. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harm_rig.h"

#define OPEN_MAX 8192u

/* Composed, and not SENT yet. */
struct open_send {
    uint8_t mid[ID_BYTES];
    uint64_t begun; /* the newest sync of the log before it left its device */
};

static const char *library;
static struct harm *harm;
static struct open_send opened[OPEN_MAX];
static size_t opened_count, looked; /* looked: so far in the history */
static uint64_t sync_us, sent_count;

/* SENT, or in somebody's inbox: after a kill there may be no other answer. */
static void durable(const struct campaign *campaign, const uint8_t mid[ID_BYTES])
{
    for (size_t i = 0; i < opened_count; i++) {
        if (memcmp(opened[i].mid, mid, ID_BYTES) != 0)
            continue;
        if (atomic_load(&harm->sync_done) <= opened[i].begun)
            fail_msg("seed %llu: SENT or seen before its sync", (unsigned long long)campaign->seed);
        opened[i] = opened[--opened_count];
        sent_count++;
        return;
    }
}

/* Right after somebody wrote, before anything leaves; and after each turn. */
static void history_look(const struct campaign *campaign)
{
    for (; looked < campaign->history.count; looked++) {
        const struct history_event *event = &campaign->history.events[looked];
        if (event->op == HISTORY_SENT || event->op == HISTORY_RECV)
            durable(campaign, event->mid.at);
        if (event->op != HISTORY_SEND)
            continue;
        assert_true(opened_count < OPEN_MAX);
        memcpy(opened[opened_count].mid, event->mid.at, ID_BYTES);
        opened[opened_count++].begun = atomic_load(&harm->sync_begun);
    }
}

/* One turn, in which now and then somebody writes. */
static void turn(struct campaign *campaign, uint32_t per_mille)
{
    if (prng_chance(&campaign->prng, per_mille)) {
        campaign_write_one(campaign);
        history_look(campaign);
    }
    campaign_turn(campaign);
    history_look(campaign);
}

/* Everybody stays connected all the while, however long a sync takes. */
static void talk_connected(struct campaign *campaign, uint64_t for_us)
{
    uint64_t end_us = campaign_now_us() + for_us;
    while (campaign_now_us() < end_us) {
        turn(campaign, 20);
        if (!campaign_synced(campaign))
            fail_msg("seed %llu: somebody lost the connection", (unsigned long long)campaign->seed);
    }
}

static void slow_while(struct campaign *campaign)
{
    uint64_t sent_before = sent_count;
    atomic_store(&harm->sync_us, sync_us);
    talk_connected(campaign, 3 * sync_us + prng_below(&campaign->prng, sync_us));
    campaign_count(campaign, "slow sync");
    assert_true(opened_count > 0);
    if (prng_chance(&campaign->prng, 300)) {
        campaign_stop(campaign, SIGKILL);
        campaign_count(campaign, "kill in a slow sync");
        atomic_store(&harm->sync_us, 0);
        campaign_start(campaign);
    }
    atomic_store(&harm->sync_us, 0);
    CAMPAIGN_AWAIT(campaign, (history_look(campaign), campaign_synced(campaign)));
    CAMPAIGN_AWAIT(campaign, (history_look(campaign), opened_count == 0));
    assert_true(sent_count > sent_before);
}

static void error_once(struct campaign *campaign)
{
    uint64_t end_us = campaign_now_us() + campaign_wait_us();
    harm_arm(&harm->sync, 1 + prng_below(&campaign->prng, 20), false);
    while (!campaign_ended(campaign)) {
        turn(campaign, 300);
        if (campaign_now_us() > end_us)
            fail_msg("seed %llu: a failed sync was survived", (unsigned long long)campaign->seed);
    }
    campaign_count(campaign, harm_ended(campaign, false));
    campaign_count(campaign, "failed sync");
    assert_true(harm_disarm(&harm->sync));
    assert_true(campaign_heard(campaign, "a write or its sync failed"));
    for (int i = 0; i < 50; i++) /* to nobody */
        turn(campaign, 300);
    campaign_start(campaign);
    CAMPAIGN_AWAIT(campaign, (history_look(campaign), opened_count == 0));
}

static void nothing_is_sent_before_its_sync(void **state)
{
    struct campaign *campaign = *state;
    campaign->trial = "failed sync";
    harm = harm_open(campaign, library);
    campaign_start(campaign);
    campaign_register(campaign);
    campaign_talk(campaign, 300000); /* everybody knows everybody */
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
    looked = campaign->history.count;
    for (uint32_t i = 0; i < campaign->count; i++) {
        slow_while(campaign);
        error_once(campaign);
    }
    CAMPAIGN_AWAIT(campaign, (history_look(campaign), campaign_settled(campaign)));
    assert_true(campaign_judge(campaign) > 50);
    campaign_stop(campaign, SIGTERM);
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (argc < 6 || !campaign_arguments(&campaign, "slow-sync", argc, argv)) {
        (void)fprintf(stderr, "usage: slow-sync PARLEYD COUNT HISTORY|- LIBHARM MS\n");
        return 2;
    }
    campaign.history_path = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    library = argv[4];
    sync_us = 1000 * strtoull(argv[5], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(nothing_is_sent_before_its_sync, campaign_open,
                                                 campaign_close, &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
