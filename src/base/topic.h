/* SPDX-License-Identifier: Apache-2.0
 * topic.h: the names of the two logs, known to the folds and to the bus port alike (storage
 * §2.1). */
#pragma once

enum topic {
    TOPIC_MESSAGES = 1,  /* key chat_id */
    TOPIC_DELIVERIES = 2 /* key user_id */
};
