/* SPDX-License-Identifier: Apache-2.0
 * kill-loop PARLEYD CYCLES [HISTORY]: people talk through a real parleyd, of one and two shards in
 * turn, that is killed (-9) again and again; now and then one of them dies between its transaction
 * and its frames. In the end nothing acknowledged is lost, doubled or out of order: the history
 * checker says so. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "campaign.h"

static void one_cycle(struct campaign *campaign)
{
    struct prng *prng = &campaign->prng;
    CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
    campaign_talk(campaign, 20000 + prng_below(prng, 150000));
    if (prng_chance(prng, 200)) {
        campaign->people[prng_below(prng, CAMPAIGN_PEOPLE)].dies = true;
        campaign_count(campaign, "client death");
    }
    campaign_talk(campaign, prng_below(prng, 20000));
    campaign_stop(campaign, SIGKILL);
    campaign_count(campaign, "kill");
    campaign_talk(campaign, prng_below(prng, 20000)); /* to nobody */
    campaign->settings[1] = prng_chance(prng, 500) ? "2" : "1";
    campaign_start(campaign);
    if (campaign_tally(campaign, "kill") % 100 == 0)
        (void)fprintf(stderr, "kill-loop: %llu of %u kills\n",
                      (unsigned long long)campaign_tally(campaign, "kill"), campaign->count);
}

static void nothing_acknowledged_is_lost(void **state)
{
    struct campaign *campaign = *state;
    campaign->trial = "kill";
    campaign->settings[0] = "--shards";
    campaign->settings[1] = "1";
    campaign_start(campaign);
    campaign_register(campaign);
    while (campaign_tally(campaign, "kill") < campaign->count)
        one_cycle(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
    assert_true(campaign_judge(campaign) > 50);
    campaign_stop(campaign, SIGTERM);
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (!campaign_arguments(&campaign, "kill-9", argc, argv))
        return 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(nothing_acknowledged_is_lost, campaign_open,
                                                 campaign_close, &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
