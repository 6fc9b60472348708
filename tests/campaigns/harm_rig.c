/* SPDX-License-Identifier: Apache-2.0 */
#include "harm_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct harm *harm_open(struct campaign *campaign, const char *library)
{
    static char preload[512], named[CAMPAIGN_PATH_BYTES + 16];
    char path[CAMPAIGN_PATH_BYTES];
    size_t at = 0;
    (void)snprintf(path, sizeof path, "%.80s/harm", campaign->place);
    (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    (void)snprintf(named, sizeof named, "PARLEY_HARM=%s", path);
    while (campaign->environment[at] != NULL)
        at++;
    campaign->environment[at] = preload;
    campaign->environment[at + 1] = named;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof(struct harm)), 0);
    void *map = mmap(NULL, sizeof(struct harm), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    (void)close(fd);
    return map;
}

void harm_arm(struct harm_fault *fault, uint64_t nth, bool for_ever)
{
    atomic_store(&fault->in, 0);
    atomic_store(&fault->failed, 0);
    atomic_store(&fault->for_ever, for_ever);
    atomic_store(&fault->in, (int64_t)nth);
}

bool harm_disarm(struct harm_fault *fault)
{
    atomic_store(&fault->in, 0);
    return atomic_load(&fault->failed) > 0;
}

/* The newest line in parleyd's own words; "" if there is none. */
static void words(const struct campaign *campaign, char out[256])
{
    char line[1024];
    FILE *said = fopen(campaign->said, "r");
    out[0] = '\0';
    while (said != NULL && fgets(line, sizeof line, said) != NULL)
        if (strncmp(line, "parleyd: ", 9) == 0)
            (void)snprintf(out, 256, "%.*s", (int)strcspn(line, "\n"), line);
    if (said != NULL)
        (void)fclose(said);
}

const char *harm_ended(struct campaign *campaign, bool memory)
{
    char last[256];
    words(campaign, last);
    (void)fprintf(stderr, "ended: %s\n", last);
    int number = WIFSIGNALED(campaign->status) ? WTERMSIG(campaign->status) : 0;
    if (last[0] != '\0' && WIFEXITED(campaign->status) && WEXITSTATUS(campaign->status) == 1)
        return "stopped in words";
    if (last[0] != '\0' && memory && (number == SIGABRT || number == SIGSEGV))
        return "aborted in words";
    fail_msg("parleyd ended %s, status %x", last[0] != '\0' ? "badly" : "without a word",
             (unsigned)campaign->status);
    return "";
}
