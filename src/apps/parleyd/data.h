/* SPDX-License-Identifier: Apache-2.0
 * data.h: the data folder of a server.
 *   format            "parley-data 1": which programs may open it
 *   lock              held while a server runs; names its process
 *   keys/witness.key  32 bytes, HMAC key of witness tokens; keys/witness.before: its predecessor
 *   keys/server.id    16 bytes, the server's name for itself
 *   keys/log.id       16 bytes, log_id of the log, once there is one: a log that is not mounted, or
 *                     another's, is not taken for a first start
 *   log/              the log; all else is built from it
 *   store/            the rows: an index that may be thrown away (index.h)
 *   checkpoints/      copies of it, for when it is (checkpoint.h)
 *   backup/           while a backup is made (upkeep.h)
 *   quarantine/       copies of records that nobody can read, if there are any (quarantine.h)
 *   unsafe-bench      made for measuring (unsafe.h)
 *   admin.sock        while a server runs
 * Invariants: a folder that is a newer version's, or no data folder at all, is left as it is; what
 * is here belongs to one process at a time; a file is whole or not there.
 * Owner: the main thread. */
#pragma once

#include "core/session.h"
#include "ports/entropy.h"

#define DATA_FORMAT 1u

struct data {
    const char *path; /* borrowed */
    int lock;         /* −1: not held */
    bool keys_lost;   /* the folder stood, but the witness key was gone: a new one was made */
    struct witness_keys witness;
    uint8_t server[ID_BYTES];
    bool has_log; /* then log_id is known */
    uint8_t log_id[ID_BYTES];
};

/* Look, touch nothing: OK, NOT_FOUND (no folder, or an empty one: it can be made), UNSUPPORTED (a
 * newer version's, or an older one's: upgrade.h), INVALID (something else lies there), IO. */
MUST_USE enum status data_look(const char *path, struct failure *failure);

/* Which format the folder has, whatever this program knows. As data_look, without UNSUPPORTED. */
MUST_USE enum status data_format(const char *path, unsigned *format, struct failure *failure);
/* Write it, whole and synced: a step of an upgrade is done. The folder is locked by the caller. */
MUST_USE enum status data_format_note(const char *path, unsigned format, struct failure *failure);

/* Make what is missing, lock, read the keys. As data_look, and CONFLICT: another server runs. */
MUST_USE enum status data_open(struct data *data, const char *path, struct entropy *entropy,
                               struct failure *failure);
/* Which log belongs to this folder, by keys/log.id; touches nothing. NOT_FOUND: none yet; INVALID,
 * IO: the file is broken. */
MUST_USE enum status data_log_id(const char *path, uint8_t out[ID_BYTES]);

/* The log was recovered and is durable: note its id, if none is noted. Also for a folder of before
 * this was noted. */
MUST_USE enum status data_log_note(struct data *data, const uint8_t log_id[ID_BYTES],
                                   struct failure *failure);

void data_close(struct data *data);
