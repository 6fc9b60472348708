/* SPDX-License-Identifier: Apache-2.0
 * format.c: `parleyctl upgrade`. */
#include <stdio.h>

#include "apps/parleyctl/ctl.h"
#include "apps/parleyctl/upgrade.h"

int ctl_upgrade(const struct ctl *ctl)
{
    struct upgrade_plan plan = upgrade_plan();
    struct failure failure = {0};
    size_t first, count;
    enum status status = upgrade_look(&plan, ctl->data, &first, &count, &failure);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        (void)printf("%s format %u to %u: %s\n", ctl->dry_run ? "would go from" : "from",
                     plan.steps[first + i].from, plan.steps[first + i].from + 1,
                     plan.steps[first + i].text);
    if (status == STATUS_OK && !ctl->dry_run)
        status = upgrade_run(&plan, ctl->data, &failure);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "parleyctl: %s\n", failure.text);
        return CTL_PROBLEM;
    }
    if (count == 0)
        (void)printf("nothing to do: the folder has format %u, the newest\n", plan.newest);
    else if (ctl->dry_run)
        (void)puts("nothing was changed; make a backup before the real one (parleyctl backup)");
    else
        (void)printf("done: the folder has format %u\n", plan.newest);
    return CTL_OK;
}
