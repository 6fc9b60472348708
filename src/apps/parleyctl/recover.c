/* SPDX-License-Identifier: Apache-2.0
 * recover.c: parleyctl recover: the way out of what parleyd stops at (ADR 0042). Without --yes it
 * says what is wrong and what --yes would do, and changes nothing in the log. */
#include <stdio.h>
#include <string.h>

#include "adapters/posix/file.h"
#include "apps/parleyctl/ctl.h"
#include "apps/parleyctl/mend.h"
#include "apps/parleyd/data.h"
#include "apps/parleyd/index.h"

static void tell_holes(const struct mend *mend)
{
    for (uint32_t i = 0; i < mend->holes_count; i++)
        (void)printf("hole: offsets %llu to %llu, %s\n", (unsigned long long)mend->holes[i].from,
                     (unsigned long long)mend->holes[i].end - 1,
                     mend->holes[i].lost ? "lost, unless devices send it again"
                                         : "which the index holds");
    if (mend->aside > 0)
        (void)printf("%u files of the log could not be used; they are kept as log/*.bad\n",
                     mend->aside);
}

static int done(const struct ctl *ctl, const struct mend *mend)
{
    tell_holes(mend);
    if (mend->log_epoch != mend->epoch_before)
        (void)printf("log epoch %u begins: devices start from this state and send again what it "
                     "lacks\n",
                     mend->log_epoch);
    (void)printf("recovered: offsets %llu to %llu can be served. Start it: parleyd --data %s\n",
                 (unsigned long long)mend->first, (unsigned long long)mend->end, ctl->data);
    return CTL_OK;
}

/* What is wrong, without touching it. */
static int look(const struct ctl *ctl)
{
    struct mend mend;
    struct failure failure = {0};
    const struct mend_options options = {.data = ctl->data, .inspect = true};
    enum status status = mend_run(&mend, &options, &failure);
    if (status == STATUS_OK && mend.verdict != LOG_DAMAGE && mend.verdict != LOG_ROLLBACK) {
        (void)printf("nothing is wrong with the log in %s. After an alarm that a device proved a "
                     "loss (rollback): parleyctl recover --rollback --yes\n",
                     ctl->data);
        return CTL_OK;
    }
    (void)fprintf(stderr, "parleyctl: %s\n", mend.alarm[0] != '\0' ? mend.alarm : failure.text);
    if (mend.verdict == LOG_DAMAGE || mend.verdict == LOG_ROLLBACK)
        (void)fprintf(stderr,
                      "parleyctl: recover --yes goes on without what cannot be read, keeps all "
                      "that can, and begins a new log epoch if anything is lost. A backup "
                      "(parleyctl backup) of the folder as it is now, first, is wise\n");
    return CTL_PROBLEM;
}

static int repair(const struct ctl *ctl)
{
    struct mend mend;
    struct failure failure = {0};
    const struct mend_options options = {
        .data = ctl->data, .repair = true, .new_epoch = ctl->rollback};
    if (mend_run(&mend, &options, &failure) == STATUS_OK)
        return done(ctl, &mend);
    (void)fprintf(stderr,
                  "parleyctl: it cannot be recovered in place: %s\n"
                  "parleyctl: what is left is parleyctl restore, from a backup\n",
                  failure.text);
    return CTL_PROBLEM;
}

/* The rows go out of the way; this or the next start builds them again. */
static enum status rebuild(const struct ctl *ctl, struct failure *failure)
{
    const struct index_options options = {.data = ctl->data, .program = "parleyctl"};
    return index_put_aside(&options, "an operator says so", failure);
}

int ctl_recover(const struct ctl *ctl)
{
    struct failure failure = {0};
    int lock = -1, code = CTL_PROBLEM;
    enum status status = data_look(ctl->data, &failure);
    if (status == STATUS_OK)
        status = posix_lock_folder(ctl->data, &lock, &failure);
    if (status == STATUS_OK && ctl->rebuild)
        status = rebuild(ctl, &failure);
    if (status != STATUS_OK)
        (void)fprintf(stderr, "parleyctl: %s%s\n", failure.text,
                      status == STATUS_CONFLICT ? "; stop it first" : "");
    else
        code = ctl->yes ? repair(ctl) : look(ctl);
    posix_unlock_folder(lock);
    return code;
}
