/* SPDX-License-Identifier: Apache-2.0
 * damage PARLEYD COUNT [HISTORY]: while the server is stopped (or was killed), a file of its log,
 * its index or its keys is damaged: bits flip, a block is zeroed, the end is cut off, it is gone.
 * Then each start must end in one of
 *   untouched    what was hit held nothing yet; everybody has everything
 *   rebuilt      the index is built again, or cut to a prefix and caught up; the same
 *                (RocksDB may have died of it in the start before, with an alarm)
 *   alarm        it serves on and says what is the matter; the same
 *   reads only   with an alarm that names what is affected (damage, or a rollback that a device
 *                has proved)
 *   refused      in words, with exit code 1
 * and never in a hole that nobody hears of: in the end the checker reads the history of the
 * clients. After the last two a copy made before comes back, as from a backup. A block that
 * nobody met for a round is mended again. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "campaign.h"

#define NAMES_MAX  64
#define PATH_BYTES 256
#define BLOCK      4096u

static const char *const folders[] = {"log", "log", "log", "store", "store", "keys"};

static const char *parleyctl;
static const char unreadable[] = "ALARM: rows in ", only_reads[] = "only reads",
                  died[] = "ALARM: RocksDB died while it opened rows";

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[2 * PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own folders */
}

/* A file of that folder that is not empty, by chance; false: there is none. */
static bool pick(struct campaign *campaign, const char *folder, char path[PATH_BYTES])
{
    static char found[NAMES_MAX][PATH_BYTES];
    char where[PATH_BYTES];
    size_t count = 0;
    struct stat stat_of;
    (void)snprintf(where, sizeof where, "%.90s/%s", campaign->data, folder);
    DIR *open_folder = opendir(where);
    for (struct dirent *entry; open_folder && (entry = readdir(open_folder)) != NULL;) {
        (void)snprintf(found[count], PATH_BYTES, "%.100s/%.150s", where, entry->d_name);
        if (count + 1 < NAMES_MAX && stat(found[count], &stat_of) == 0 &&
            S_ISREG(stat_of.st_mode) && stat_of.st_size > 0)
            count++;
    }
    if (open_folder)
        (void)closedir(open_folder);
    if (count > 0)
        memcpy(path, found[prng_below(&campaign->prng, count)], PATH_BYTES);
    return count > 0;
}

/* Most of a segment is zeros ahead of use: look at what is written, mostly. */
static uint64_t written_bytes(int fd, uint64_t bytes)
{
    static uint8_t block[BLOCK], zeros[BLOCK];
    while (bytes > BLOCK && pread(fd, block, BLOCK, (off_t)((bytes - 1) / BLOCK * BLOCK)) >= 0 &&
           memcmp(block, zeros, BLOCK) == 0)
        bytes = (bytes - 1) / BLOCK * BLOCK;
    return bytes;
}

/* What was done last to a block, so that it can be undone: damage that nobody meets would add up
 * until nothing whole is left, and no server can lead out of that. */
static struct {
    char path[PATH_BYTES];
    off_t at;
    size_t bytes; /* 0: nothing */
    uint8_t before[BLOCK], after[BLOCK];
} hidden;

static void block_harm(struct campaign *campaign, const char *path, int fd, uint64_t bytes,
                       bool whole)
{
    uint64_t at = prng_below(&campaign->prng, bytes), block = at / BLOCK * BLOCK;
    memcpy(hidden.path, path, PATH_BYTES);
    hidden.at = (off_t)block;
    hidden.bytes = bytes - block < BLOCK ? bytes - block : BLOCK;
    assert_int_equal(pread(fd, hidden.before, hidden.bytes, hidden.at), hidden.bytes);
    memcpy(hidden.after, hidden.before, hidden.bytes);
    if (whole)
        memset(hidden.after, 0, hidden.bytes);
    else
        hidden.after[at - block] ^= (uint8_t)(1u << prng_below(&campaign->prng, 8));
    assert_int_equal(pwrite(fd, hidden.after, hidden.bytes, hidden.at), hidden.bytes);
}

/* It had one round to be met. Where somebody wrote meanwhile, or the file is gone, nothing is left
 * to undo. */
static void undo(void)
{
    uint8_t now[BLOCK];
    size_t bytes = hidden.bytes;
    int fd = bytes == 0 ? -1 : open(hidden.path, O_RDWR);
    hidden.bytes = 0;
    if (fd < 0)
        return;
    if (pread(fd, now, bytes, hidden.at) == (ssize_t)bytes && memcmp(now, hidden.after, bytes) == 0)
        assert_int_equal(pwrite(fd, hidden.before, bytes, hidden.at), bytes);
    (void)close(fd);
}

/* What the newest start ended in; for the ledger, and for whoever reads along. */
static void ended_in(struct campaign *campaign, const char *kind)
{
    campaign_count(campaign, kind);
    (void)fprintf(stderr, "outcome: %s\n", kind);
}

static void harm_file(struct campaign *campaign, const char *path)
{
    static const char *const kinds[] = {"bit flipped", "block zeroed", "file cut", "file gone"};
    struct stat stat_of;
    uint64_t kind = prng_below(&campaign->prng, 4);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &stat_of) == 0);
    uint64_t bytes = (uint64_t)stat_of.st_size;
    if (prng_chance(&campaign->prng, 900))
        bytes = written_bytes(fd, bytes);
    if (kind < 2)
        block_harm(campaign, path, fd, bytes, kind == 1);
    else if (kind == 2)
        assert_int_equal(ftruncate(fd, (off_t)prng_below(&campaign->prng, bytes)), 0);
    else
        assert_int_equal(unlink(path), 0);
    (void)close(fd);
    campaign_count(campaign, kinds[kind]);
    campaign_count(campaign, "damage");
    (void)fprintf(stderr, "damage: %s: %s\n", kinds[kind], path + strlen(campaign->data));
}

static void harm(struct campaign *campaign)
{
    static const char *const whole[] = {"store", "store", "log", "keys"};
    char path[PATH_BYTES];
    if (prng_chance(&campaign->prng, 80)) {
        const char *folder = whole[prng_below(&campaign->prng, 4)];
        shell("rm -rf '%s/%s'", campaign->data, folder);
        campaign_count(campaign, "folder gone");
        campaign_count(campaign, "damage");
        (void)fprintf(stderr, "damage: folder gone: %s\n", folder);
        return;
    }
    const char *folder = folders[prng_below(&campaign->prng, sizeof folders / sizeof *folders)];
    if (pick(campaign, folder, path))
        harm_file(campaign, path);
}

/* A damaged block can end RocksDB while it opens: it was said, and the next start must know. */
static bool died_opening(struct campaign *campaign)
{
    if (campaign->server != 0 || !WIFSIGNALED(campaign->status) || !campaign_heard(campaign, died))
        return false;
    ended_in(campaign, "died opening");
    return true;
}

/* Until everybody has everything, or it has said or shown why not. */
static void watch(struct campaign *campaign, const char *never)
{
    uint64_t end_us = campaign_now_us() + campaign_wait_us();
    while (!campaign_heard(campaign, only_reads) && !campaign_heard(campaign, unreadable) &&
           !campaign_settled(campaign)) {
        if (campaign_ended(campaign) && !died_opening(campaign))
            return;
        if (campaign->server == 0)
            campaign_start(campaign);
        campaign_turn(campaign);
        if (campaign_now_us() > end_us)
            fail_msg("%s", never);
    }
}

/* It serves, and everybody has everything. */
static void must_serve(struct campaign *campaign, const char *what)
{
    watch(campaign, what);
    if (campaign->server == 0)
        fail_msg("%s: parleyd ended by itself, status %d", what, campaign->status);
    if (!campaign_settled(campaign))
        fail_msg("%s: it serves on, but not all", what);
}

/* Rows of a file that opened well, and does not read: the way out that the alarm names. */
static void rebuild(struct campaign *campaign)
{
    if (campaign->server != 0)
        campaign_stop(campaign, SIGTERM);
    shell("'%s' --data '%s' recover --rebuild --yes >'%s.told' 2>&1 || { cat '%s.told' >&2; exit "
          "1; }",
          parleyctl, campaign->data, campaign->data, campaign->data);
    shell("rm -rf '%s'/store.damaged-*", campaign->data); /* many of them are refused */
    ended_in(campaign, "rebuilt by recover");
    campaign_start(campaign);
    must_serve(campaign, "built again");
}

/* Damage that nobody met at first may be met by any later reader. */
static void settle(struct campaign *campaign)
{
    watch(campaign, "never settled, and nothing is said of it");
    if (campaign_heard(campaign, unreadable))
        rebuild(campaign);
    else
        must_serve(campaign, "settled");
}

/* True: it serves, and everybody has everything. */
static bool outcome(struct campaign *campaign)
{
    watch(campaign, "neither served nor refused: a hole that nobody heard of?");
    if (campaign_heard(campaign, unreadable)) {
        rebuild(campaign);
        return true;
    }
    if (campaign->server == 0) {
        if (!WIFEXITED(campaign->status) || WEXITSTATUS(campaign->status) != 1 ||
            !campaign_heard(campaign, "parleyd: "))
            fail_msg("parleyd ended without a word: status %d", campaign->status);
        ended_in(campaign, "refused");
        return false;
    }
    if (campaign_heard(campaign, only_reads)) {
        ended_in(campaign, "reads only");
        return false;
    }
    bool rebuilt = campaign_heard(campaign, "is built again") ||
                   campaign_heard(campaign, "newest part of the index was damaged");
    ended_in(campaign, rebuilt                             ? "rebuilt"
                       : campaign_heard(campaign, "ALARM") ? "alarm"
                                                           : "untouched");
    return true;
}

/* The copy comes back: nothing in it is damaged. */
static void restore(struct campaign *campaign)
{
    if (campaign->server != 0)
        campaign_stop(campaign, SIGKILL);
    shell("rm -rf '%s' && cp -a '%s.copy' '%s'", campaign->data, campaign->data, campaign->data);
    hidden.bytes = 0;
    campaign_start(campaign);
    must_serve(campaign, "the copy");
}

/* Whoever was connected has to notice, or it would count as settled. */
static void all_restart(struct campaign *campaign)
{
    for (int i = 0; i < CAMPAIGN_PEOPLE; i++)
        campaign_person_restart(campaign, (uint64_t)i);
}

static void one_cycle(struct campaign *campaign)
{
    settle(campaign);
    campaign_talk(campaign, 20000 + prng_below(&campaign->prng, 100000));
    settle(campaign);
    campaign_stop(campaign, prng_chance(&campaign->prng, 500) ? SIGKILL : SIGTERM);
    all_restart(campaign);
    undo();
    shell("rm -rf '%s.copy' && cp -a '%s' '%s.copy'", campaign->data, campaign->data,
          campaign->data);
    harm(campaign);
    campaign_start(campaign);
    if (!outcome(campaign)) {
        all_restart(campaign);
        restore(campaign);
    }
}

static void no_hole_is_silent(void **state)
{
    struct campaign *campaign = *state;
    campaign->trial = "damage";
    campaign_start(campaign);
    campaign_register(campaign);
    while (campaign_tally(campaign, "damage") < campaign->count)
        one_cycle(campaign);
    settle(campaign);
    assert_true(campaign_judge(campaign) > 10); /* it is stopped as soon as all is seen */
    campaign_stop(campaign, SIGTERM);
}

int main(int argc, char **argv)
{
    static struct campaign campaign;
    if (argc < 5 || !campaign_arguments(&campaign, "damage", argc, argv)) {
        (void)fprintf(stderr, "usage: %s PARLEYD COUNT HISTORY|- PARLEYCTL\n", argv[0]);
        return 2;
    }
    campaign.history_path = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
    parleyctl = argv[4];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(no_hole_is_silent, campaign_open, campaign_close,
                                                 &campaign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
