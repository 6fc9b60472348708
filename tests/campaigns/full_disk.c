/* SPDX-License-Identifier: Apache-2.0
 * full-disk PARLEYD COUNT [HISTORY]: the data lies on a small file system that gets full while
 * people talk, sometimes to the last byte, and gets room again. Meanwhile nobody is told SENT for
 * what is not kept, a device that comes back is served what it may read, and the server says what
 * is the matter. When there is room again it goes on by itself: it is one process all the time,
 * unless it is killed and started on the full disk: then it serves, or refuses in words.
 * Needs root, for the mount; else it is skipped. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "campaign.h"

#define MIB         ((uint64_t)1 << 20)
#define ROOM        (96 * MIB)
#define STORE_NEEDS (8 * MIB) /* parleyd's floor with a small store */
#define SEGMENT     (4 * MIB)
#define LOG_LEAVES  (24 * MIB) /* what its log never takes */

#define STUCK_TURNS 10

static char disk[CAMPAIGN_PATH_BYTES];

/* From now on the disk has so much room. */
static void leave(uint64_t bytes)
{
    struct statvfs room;
    char options[64];
    assert_int_equal(statvfs(disk, &room), 0);
    uint64_t used = (room.f_blocks - room.f_bfree) * room.f_bsize;
    (void)snprintf(options, sizeof options, "size=%llu",
                   (unsigned long long)(used + bytes > 4096 ? used + bytes : 4096));
    assert_int_equal(mount("parley", disk, "tmpfs", MS_REMOUNT, options), 0);
}

static size_t waiting(const struct campaign *campaign)
{
    size_t sum = 0;
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++)
        sum += campaign->people[i].client.outbox_count;
    return sum;
}

/* It may refuse to start; then it says why. */
static void start_anew(struct campaign *campaign)
{
    uint64_t end_us = campaign_now_us() + campaign_wait_us();
    campaign_stop(campaign, SIGKILL);
    campaign_person_restart(campaign, 0); /* not synced until it is served */
    campaign_start(campaign);
    while (!campaign_ended(campaign) && !campaign_synced(campaign)) {
        campaign_turn(campaign);
        assert_true(campaign_now_us() < end_us);
    }
    if (campaign->server != 0) {
        campaign_count(campaign, "start on a full disk");
        return;
    }
    assert_true(WIFEXITED(campaign->status) && WEXITSTATUS(campaign->status) == 1);
    assert_true(campaign_heard(campaign, "the disk is full: make 8 MiB free"));
    campaign_count(campaign, "start refused");
}

static bool alarmed(const struct campaign *campaign)
{
    return campaign_heard(campaign, "the disk has no room") ||
           campaign_heard(campaign, "the disk is full");
}

/* Until messages wait on their devices and stay there, and the server has said why. */
static void talk_until_it_shows(struct campaign *campaign)
{
    uint64_t end_us = campaign_now_us() + campaign_wait_us();
    for (int stuck = 0; stuck < STUCK_TURNS;) {
        assert_false(campaign_ended(campaign));
        assert_true(campaign_now_us() < end_us);
        campaign_talk(campaign, 100000);
        bool wait = waiting(campaign) > 2 * (size_t)CAMPAIGN_PEOPLE && alarmed(campaign);
        stuck = wait ? stuck + 1 : 0;
    }
}

static void one_cycle(struct campaign *campaign)
{
    struct prng *prng = &campaign->prng;
    uint64_t kind = prng_below(prng, 3);
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
    campaign_talk(campaign, prng_below(prng, 100000));
    leave(kind == 0   ? 0
          : kind == 1 ? prng_below(prng, STORE_NEEDS)
                      : LOG_LEAVES + prng_below(prng, SEGMENT));
    campaign_count(campaign, "full disk");
    talk_until_it_shows(campaign);
    if (prng_chance(prng, 300))
        start_anew(campaign);
    if (kind == 2) { /* the store still has room: whoever comes back is served */
        campaign_person_restart(campaign, prng_below(prng, CAMPAIGN_PEOPLE));
        CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
        campaign_count(campaign, "device back on a full disk");
    }
    assert_true(waiting(campaign) > 0); /* nobody was told that those are kept */
    leave(ROOM);
    if (campaign_ended(campaign))
        campaign_start(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
}

static void a_full_disk_heals_by_itself(void **state)
{
    struct campaign *campaign = *state;
    campaign->trial = "full disk";
    campaign->text_bytes = 4000;
    (void)snprintf(disk, sizeof disk, "%.80s/disk", campaign->place);
    assert_int_equal(mkdir(disk, 0700), 0);
    if (mount("parley", disk, "tmpfs", 0, "size=96m,mode=700") != 0) {
        (void)fprintf(stderr, "full-disk: SKIPPED: this user may not mount a file system\n");
        exit(CAMPAIGN_SKIPPED);
    }
    (void)snprintf(campaign->data, sizeof campaign->data, "%.80s/data", disk);
    campaign_start(campaign);
    campaign_register(campaign);
    for (uint32_t i = 0; i < campaign->count; i++)
        one_cycle(campaign);
    assert_true(campaign_judge(campaign) > 50);
    campaign_stop(campaign, SIGTERM);
}

static int teardown(void **state)
{
    struct campaign *campaign = *state;
    if (campaign->server > 0)
        campaign_stop(campaign, SIGKILL);
    (void)umount2(disk, MNT_DETACH);
    return campaign_close(state);
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (!campaign_arguments(&campaign, "full-disk", argc, argv))
        return 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(a_full_disk_heals_by_itself, campaign_open,
                                                 teardown, &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
