/* SPDX-License-Identifier: Apache-2.0
 * marks.h: what really happened in a run: one counter for each fault and each rare branch. A fault
 * that a campaign enables and that never fires proves nothing, so the campaign fails.
 * Owner: the world. */
#pragma once

#include <stdint.h>

/* X(enumerator, name) */
#define SIM_MARKS(X)                                                         \
    X(NET_SPLIT, "net-split")             /* a read gave a part of it */     \
    X(NET_SLOW, "net-slow")               /* a stream stood still */         \
    X(NET_RESET, "net-reset")             /* a connection broke */           \
    X(NET_HALF_OPEN, "net-half-open")     /* … and one end never knew */   \
    X(NET_DEAF, "net-deaf")               /* a device stopped reading */     \
    X(DISK_CRASH, "disk-crash")           /* power cut */                    \
    X(DISK_SECTORS, "disk-sectors")       /* … that hurt unsynced bytes */ \
    X(DISK_SYNC_ERROR, "disk-sync-error") /* EIO at a sync */                \
    X(DISK_FULL, "disk-full")                                                \
    X(DISK_SLOW, "disk-slow")     /* syncs of a second */                    \
    X(SERVER_KILL, "server-kill") /* kill -9 of a server */                  \
    X(SERVER_STOP, "server-stop") /* a server stopped by itself */           \
    X(DEVICE_KILL, "device-kill") /* kill -9 of a device */                  \
    X(KILL_BEFORE_STORE, "kill-before-store")                                \
    X(KILL_AFTER_STORE, "kill-after-store") /* between rows and frames */    \
    X(KILL_AFTER_FRAMES, "kill-after-frames")                                \
    X(STORE_ERROR, "store-error") /* a device's transaction */               \
    X(OLD_COPY, "old-copy")       /* a device from an old copy */            \
    X(SIGN_OUT, "sign-out")       /* by another device */                    \
    X(LATE_DEVICE, "late-device") /* signs in in the middle */               \
    X(OFFLINE, "offline")         /* a device without network */             \
    X(LOG_TRIM, "log-trim")       /* a segment went */                       \
    X(STORE_LOST, "store-lost")   /* rows begin at a checkpoint */           \
    X(CLOCK_JUMP, "clock-jump")   /* of wall time */                         \
    X(BURST, "burst")                                                        \
    X(SNAPSHOT, "snapshot")       /* a device took one */                    \
    X(FULL_OUTBOX, "full-outbox") /* … with ≥ 3 unsettled sends */       \
    X(RESEND, "resend")           /* a message left twice */                 \
    X(REPAIR, "repair")           /* SYNC asked for a gap */                 \
    X(REJECTED, "rejected")                                                  \
    X(FLEET_HAND_OVER, "hand-over") /* an inbox or chat moved */             \
    X(FLEET_LATE_OWNER, "late-owner")                                        \
    X(FLEET_REDELIVERY, "redelivery")                                        \
    X(FLEET_STORE_DELAY, "store-delay")                                      \
    X(FLEET_STORE_TIMEOUT, "store-timeout")                                  \
    X(FLEET_APPEND_UNKNOWN, "append-unknown")                                \
    X(FLEET_RPC_LOST, "rpc-lost")

enum sim_mark {
#define X(name, text) SIM_MARK_##name,
    SIM_MARKS(X)
#undef X
        SIM_MARKS_COUNT
};

struct sim_marks {
    uint64_t count[SIM_MARKS_COUNT];
};
