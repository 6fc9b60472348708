/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parleyctl/upgrade.h"

#include "adapters/posix/file.h"
#include "apps/parleyd/data.h"

struct upgrade_plan upgrade_plan(void)
{
    return (struct upgrade_plan){.newest = DATA_FORMAT};
}

/* The step that leads on from `format`, and those behind it up to the newest. */
static enum status due(const struct upgrade_plan *plan, unsigned format, size_t *first,
                       size_t *count, struct failure *failure)
{
    *first = *count = 0;
    if (format > plan->newest)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "the folder is of a newer version (format %u, this one knows %u); "
                           "nothing was changed: use the newer parleyctl",
                           format, plan->newest);
    while (*first < plan->steps_count && plan->steps[*first].from < format)
        ++*first;
    *count = plan->newest - format;
    for (size_t i = 0; i < *count; i++)
        if (*first + i >= plan->steps_count || plan->steps[*first + i].from != format + i)
            return failure_set(failure, STATUS_INVALID,
                               "no step leads on from format %u to %u; nothing was changed: use a "
                               "version between the two first",
                               format, plan->newest);
    return STATUS_OK;
}

enum status upgrade_look(const struct upgrade_plan *plan, const char *path, size_t *first,
                         size_t *count, struct failure *failure)
{
    unsigned format;
    enum status status = data_format(path, &format, failure);
    return status == STATUS_OK ? due(plan, format, first, count, failure) : status;
}

enum status upgrade_run(const struct upgrade_plan *plan, const char *path, struct failure *failure)
{
    size_t first, count;
    int lock = -1;
    enum status status = upgrade_look(plan, path, &first, &count, failure);
    if (status != STATUS_OK || count == 0)
        return status;
    status = posix_lock_folder(path, &lock, failure);
    if (status != STATUS_OK)
        return status;
    for (size_t i = first; status == STATUS_OK && i < first + count; i++) {
        status = plan->steps[i].run(path, failure);
        if (status == STATUS_OK)
            status = data_format_note(path, plan->steps[i].from + 1, failure);
    }
    posix_unlock_folder(lock);
    return status;
}
