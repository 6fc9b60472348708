/* SPDX-License-Identifier: Apache-2.0
 * topic.h: the names of the logs, known to the folds and to the bus port alike (storage §2.1). */
#pragma once

enum topic {
    TOPIC_MESSAGES = 1,   /* key chat_id */
    TOPIC_DELIVERIES = 2, /* key user_id */
    TOPIC_QUARANTINE = 3  /* key of the record in question; for people, folded by nobody */
};

/* In words, for people; never NULL. */
static inline const char *topic_text(enum topic topic)
{
    switch (topic) {
    case TOPIC_MESSAGES: return "messages";
    case TOPIC_DELIVERIES: return "deliveries";
    case TOPIC_QUARANTINE: return "quarantine";
    default: return "unknown";
    }
}
