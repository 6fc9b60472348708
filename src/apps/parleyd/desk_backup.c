/* SPDX-License-Identifier: Apache-2.0
 * desk_backup.c: the server's half of `parleyctl backup`. The tool asks `backup begin`, then
 * `backup state` until it is ready, copies what the answer names, and says `backup end`. */
#include <string.h>

#include "apps/parleyd/node.h"
#include "base/base64.h"

static void put(struct buf *out, const char *key, uint64_t value)
{
    buf_text(out, key);
    buf_text(out, " ");
    buf_decimal(out, value);
    buf_text(out, "\n");
}

static void state(const struct node *node, struct buf *out)
{
    static const char *const words[] = {"none", "making", "ready", "failed"};
    const struct upkeep *upkeep = &node->upkeep;
    buf_text(out, "ok\nstate ");
    buf_text(out, words[upkeep->backup]);
    buf_text(out, "\n");
    if (upkeep->backup == BACKUP_FAILED) {
        buf_text(out, "why ");
        buf_text(out, upkeep->task.failure.text);
        buf_text(out, "\n");
    }
    if (upkeep->backup != BACKUP_READY)
        return;
    buf_text(out, "log_id ");
    hex_write(out, SLICE_OF(node->log.meta.log_id));
    buf_text(out, "\nrows ");
    buf_text(out, strrchr(upkeep->backup_folder, '/') + 1);
    buf_text(out, "\n");
    put(out, "log_epoch", node->log.meta.log_epoch);
    put(out, "part", upkeep->backup_part);
    put(out, "end", upkeep->backup_end);
    put(out, "end_at", upkeep->backup_end_at);
    put(out, "base", upkeep->backup_base);
    put(out, "number", upkeep->backup_number);
}

void desk_backup(struct node *node, const char *what, struct buf *out)
{
    if (node->log.state != LOG_READY && strcmp(what, "end") != 0) {
        buf_text(out, "error DENIED the server only reads (parleyctl status says why): stop it, "
                      "then back the folder up\n");
    } else if (strcmp(what, "begin") == 0) {
        upkeep_backup_begin(&node->upkeep);
        buf_text(out, "ok\n");
    } else if (strcmp(what, "end") == 0) {
        upkeep_backup_end(&node->upkeep);
        buf_text(out, "ok\n");
    } else if (strcmp(what, "state") == 0) {
        state(node, out);
    } else {
        buf_text(out, "error UNSUPPORTED no such question\n");
    }
}
