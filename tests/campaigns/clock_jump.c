/* SPDX-License-Identifier: Apache-2.0
 * clock-jump PARLEYD COUNT HISTORY|- LIBHARM PARLEYCTL: the wall clock of a running server jumps by
 * seconds, hours or days, forward and back, now and then over a kill -9 and a start. Nobody loses
 * the connection, a device signs in, messages get through, and a chat's times never run back (the
 * checker looks).
 * In the end invites: one is refused once its week is over, and good again when the clock is put
 * right; the server is the same all the time. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "harm_rig.h"

#define S_US       1000000
#define H_US       (3600 * (int64_t)S_US)
#define DAY_US     (24 * H_US)
#define LISTENED   120000u
#define INVITE_AGE 8 /* days */

static const char *library, *parleyctl;
static struct harm *harm;

static bool all_sent(const struct campaign *campaign)
{
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++)
        if (campaign->people[i].client.outbox_count > 0)
            return false;
    return true;
}

static void jump(struct campaign *campaign)
{
    static const int64_t units[] = {S_US, H_US, DAY_US};
    struct prng *prng = &campaign->prng;
    int64_t by = units[prng_below(prng, 3)] * (1 + (int64_t)prng_below(prng, 20));
    if (prng_chance(prng, 200))
        by = -atomic_load(&harm->wall_us); /* it is put right */
    else if (prng_chance(prng, 500))
        by = -by;
    atomic_fetch_add(&harm->wall_us, by);
    campaign_count(campaign, by < 0 ? "jump back" : "jump forward");
    campaign_count(campaign, "jump");
}

static void listen_a_while(struct campaign *campaign)
{
    uint64_t end_us = campaign_now_us() + LISTENED;
    while (campaign_now_us() < end_us) {
        if (prng_chance(&campaign->prng, 200))
            campaign_write_one(campaign);
        campaign_turn(campaign);
        if (!campaign_synced(campaign))
            fail_msg("seed %llu: somebody lost the connection", (unsigned long long)campaign->seed);
    }
}

static void one_trial(struct campaign *campaign)
{
    struct prng *prng = &campaign->prng;
    jump(campaign);
    listen_a_while(campaign);
    CAMPAIGN_AWAIT(campaign, all_sent(campaign));
    if (prng_chance(prng, 300)) {
        campaign_person_restart(campaign, prng_below(prng, CAMPAIGN_PEOPLE));
        CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
        campaign_count(campaign, "sign-in");
    }
    if (!prng_chance(prng, 150))
        return;
    campaign_stop(campaign, SIGKILL);
    jump(campaign);
    campaign_all_restart(campaign);
    campaign_start(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
    campaign_count(campaign, "kill");
}

/* ---- invites ---- */

static void invite_read(const struct campaign *campaign, char out[64])
{
    char command[512];
    (void)snprintf(command, sizeof command, "'%s' --data '%s' invite", parleyctl, campaign->data);
    FILE *answer = popen(command, "r"); /* NOLINT(cert-env33-c): our own program */
    assert_non_null(answer);
    assert_non_null(fgets(out, 64, answer));
    assert_int_equal(pclose(answer), 0);
    out[strcspn(out, "\n")] = '\0';
}

/* 0: it is good. */
static uint32_t invite_try(struct campaign *campaign, const char *secret, const char *name)
{
    static struct person guest;
    struct person *const alone[] = {&guest};
    struct person_options options = {
        .sockets = &campaign->sockets, .tag = CAMPAIGN_PEOPLE + 1, .clock_rate = 10};
    struct pb_event_command command = {.body_case = PB_EVENT_COMMAND_BODY_REGISTER};
    command.body.register_ =
        (struct pb_command_register){.server = SLICE_LITERAL("http://localhost"),
                                     .invite = slice_text(secret),
                                     .username = slice_text(name),
                                     .password = SLICE_LITERAL("correct horse battery staple"),
                                     .device_name = SLICE_LITERAL("test")};
    uint64_t end_us = campaign_now_us() + campaign_wait_us();
    person_open(&guest, &options);
    guest.port = campaign->port;
    person_command(&guest, &command);
    while (guest.result.request == 0 && campaign_now_us() < end_us)
        people_turn(alone, 1);
    assert_int_equal(guest.result.request, 1);
    uint32_t error = (uint32_t)guest.result.error;
    person_close(&guest);
    return error;
}

static void invites_follow_the_clock(struct campaign *campaign)
{
    char early[64], late[64];
    campaign_stop(campaign, SIGTERM);
    campaign->settings[0] = "--sign-up";
    campaign->settings[1] = "invite";
    atomic_store(&harm->wall_us, 0);
    campaign_all_restart(campaign);
    campaign_start(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
    invite_read(campaign, early);
    atomic_store(&harm->wall_us, INVITE_AGE * DAY_US);
    invite_read(campaign, late);
    assert_int_not_equal(invite_try(campaign, early, "erin"), 0);
    assert_int_equal(invite_try(campaign, late, "frank"), 0);
    atomic_store(&harm->wall_us, -H_US);
    assert_int_equal(invite_try(campaign, early, "grace"), 0);
    campaign_count(campaign, "invite out of date");
    assert_true(campaign_synced(campaign));
}

static void no_promise_hangs_on_the_clock(void **state)
{
    struct campaign *campaign = *state;
    campaign->trial = "jump";
    harm = harm_open(campaign, library);
    campaign_start(campaign);
    campaign_register(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_synced(campaign));
    for (uint32_t i = 0; i < campaign->count; i++)
        one_trial(campaign);
    CAMPAIGN_AWAIT(campaign, campaign_settled(campaign));
    assert_true(campaign_judge(campaign) > 50);
    campaign->passed = false;
    invites_follow_the_clock(campaign);
    campaign_stop(campaign, SIGTERM);
    campaign->passed = true;
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (argc < 6 || !campaign_arguments(&campaign, "clock-jump", argc, argv)) {
        (void)fprintf(stderr, "usage: clock-jump PARLEYD COUNT HISTORY|- LIBHARM PARLEYCTL\n");
        return 2;
    }
    campaign.history_path = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    library = argv[4];
    parleyctl = argv[5];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(no_promise_hangs_on_the_clock, campaign_open,
                                                 campaign_close, &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
