/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "apps/parley-bench/peer.h"

const struct driver *driver_named(const char *name)
{
    static const struct driver *const drivers[] = {&driver_parley, &driver_mqtt, &driver_xmpp,
                                                   &driver_xmpp_plain};
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        if (name == NULL || strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    (void)fprintf(stderr,
                  "parley-bench: there is no driver %s; there are parley, mqtt, xmpp and "
                  "xmpp-plain\n",
                  name);
    return NULL;
}
