/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/parley-bench/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_MAGIC 0x3174617473425051u

struct state_head {
    uint64_t magic;
    uint32_t run, peers, line_bytes, pad;
};

struct state_line {
    struct account account;
    uint8_t chat[ID_BYTES];
    uint64_t sent;
};

static bool lines_write(FILE *file, const struct load *load)
{
    struct state_head head = {STATE_MAGIC, load->run.id, load->peers_count,
                              sizeof(struct state_line), 0};
    bool done = fwrite(&head, sizeof head, 1, file) == 1;
    for (uint32_t i = 0; done && i < load->peers_count; i++) {
        const struct peer *peer = &load->peers[i];
        struct state_line line = {.account = peer->account, .sent = peer->sent};
        memcpy(line.chat, peer->chat, ID_BYTES);
        done = fwrite(&line, sizeof line, 1, file) == 1;
    }
    return done;
}

bool state_write(const struct load *load, const char *path)
{
    char beside[512];
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
        errno = ENAMETOOLONG;
        return false;
    }
    mode_t mask = umask(077);
    FILE *file = fopen(beside, "we");
    (void)umask(mask);
    if (file == NULL)
        return false;
    bool done = lines_write(file, load);
    return fclose(file) == 0 && done && rename(beside, path) == 0;
}

static bool lines_read(FILE *file, struct load *load)
{
    struct state_head head;
    if (fread(&head, sizeof head, 1, file) != 1 || head.magic != STATE_MAGIC ||
        head.peers != load->peers_count || head.line_bytes != sizeof(struct state_line))
        return false;
    load->run.id = head.run;
    for (uint32_t i = 0; i < load->peers_count; i++) {
        struct peer *peer = &load->peers[i];
        struct state_line line;
        if (fread(&line, sizeof line, 1, file) != 1)
            return false;
        peer->account = line.account;
        peer->account.acked_useq = line.account.useq;
        memcpy(peer->chat, line.chat, ID_BYTES);
        peer->sent = peer->acked = peer->delivered = line.sent;
    }
    return true;
}

bool state_read(struct load *load, const char *path)
{
    FILE *file = fopen(path, "re");
    bool done = file != NULL && lines_read(file, load);
    if (!done)
        (void)snprintf(load->reason, sizeof load->reason, "%.80s: %s", path,
                       file == NULL ? strerror(errno)
                                    : "made by another build or with another --pairs");
    if (file != NULL)
        (void)fclose(file);
    return done;
}
