/* SPDX-License-Identifier: Apache-2.0
 * power-cut PARLEYD COUNT HISTORY|- TORNFS [liar]: the data lies on a file system that forgets what
 * was not synced, or tears it (tornfs.c). The server is killed at a random moment, the power with
 * it, and starts again on what is left: everything acknowledged is there. The index may be damaged;
 * then it is built again. With a liar's disk this must fail: there acknowledged data is lost.
 * Needs root and /dev/fuse; else it is skipped. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "campaign.h"

static const char *tornfs, *liar;
static char backing[CAMPAIGN_PATH_BYTES], mounted[CAMPAIGN_PATH_BYTES];
static pid_t file_system;

static void disk_open(const struct campaign *campaign)
{
    char seed[32], control[CAMPAIGN_PATH_BYTES];
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)campaign->seed);
    (void)snprintf(backing, sizeof backing, "%.70s/backing", campaign->place);
    (void)snprintf(mounted, sizeof mounted, "%.70s/disk", campaign->place);
    (void)snprintf(control, sizeof control, "%.80s/.cut", mounted);
    assert_int_equal(mkdir(backing, 0700), 0);
    assert_int_equal(mkdir(mounted, 0700), 0);
    file_system = fork();
    if (file_system == 0) {
        (void)execl(tornfs, tornfs, backing, mounted, seed, liar, (char *)NULL);
        _exit(127);
    }
    uint64_t until_us = campaign_now_us() + campaign_wait_us();
    while (access(control, F_OK) != 0) {
        if (waitpid(file_system, NULL, WNOHANG) == file_system || campaign_now_us() > until_us) {
            (void)fprintf(stderr, "power-cut: SKIPPED: FUSE cannot be mounted here\n");
            exit(CAMPAIGN_SKIPPED);
        }
        (void)usleep(1000); /* the look's pace */
    }
}

static void power_off(void)
{
    char control[CAMPAIGN_PATH_BYTES];
    (void)snprintf(control, sizeof control, "%.80s/.cut", mounted);
    FILE *file = fopen(control, "w");
    assert_non_null(file);
    assert_true(fputs("cut", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void look(struct campaign *campaign)
{
    if (campaign_heard(campaign, "is built again"))
        campaign_count(campaign, "index built again");
    if (campaign_heard(campaign, "newest part of the index was damaged"))
        campaign_count(campaign, "index cut to a prefix");
    if (campaign_heard(campaign, "only reads"))
        fail_msg("the log lost what was synced");
}

static void one_cycle(struct campaign *campaign)
{
    struct prng *prng = &campaign->prng;
    CAMPAIGN_AWAIT(campaign, campaign_heard(campaign, "only reads") || campaign_synced(campaign));
    look(campaign);
    campaign_talk(campaign, 20000 + prng_below(prng, 150000));
    for (int again = 0; again < 3; again++) {
        campaign_stop(campaign, SIGKILL);
        power_off();
        campaign_count(campaign, "power cut");
        campaign_start(campaign);
        if (!prng_chance(prng, 300))
            return;
        campaign_talk(campaign, prng_below(prng, 100000)); /* cut again while it recovers */
        if (campaign_ended(campaign))
            fail_msg("parleyd ended by itself: status %d", campaign->status);
    }
}

static void what_is_acknowledged_outlives_the_power(void **state)
{
    struct campaign *campaign = *state;
    campaign->trial = "power cut";
    disk_open(campaign);
    (void)snprintf(campaign->data, sizeof campaign->data, "%.80s/data", mounted);
    campaign_start(campaign);
    campaign_register(campaign);
    while (campaign_tally(campaign, "power cut") < campaign->count)
        one_cycle(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
    look(campaign);
    assert_true(campaign_judge(campaign) > 50);
    campaign_stop(campaign, SIGTERM);
}

static int teardown(void **state)
{
    struct campaign *campaign = *state;
    if (campaign->server > 0)
        campaign_stop(campaign, SIGKILL);
    if (mounted[0] != '\0')
        (void)umount2(mounted, MNT_DETACH);
    if (file_system > 0)
        (void)waitpid(file_system, NULL, 0);
    return campaign_close(state);
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (argc < 5 || !campaign_arguments(&campaign, "power-cut", argc, argv)) {
        (void)fprintf(stderr, "usage: power-cut PARLEYD COUNT HISTORY|- TORNFS [liar]\n");
        return 2;
    }
    campaign.history_path = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    tornfs = argv[4];
    liar = argc > 5 ? argv[5] : NULL;
    if (access("/dev/fuse", R_OK | W_OK) != 0) {
        (void)fprintf(stderr, "power-cut: SKIPPED: no /dev/fuse for this user\n");
        return CAMPAIGN_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(what_is_acknowledged_outlives_the_power,
                                                 campaign_open, teardown, &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
