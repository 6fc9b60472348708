/* SPDX-License-Identifier: Apache-2.0
 * parley-sim: the simulated world, and the checker of histories. */
#include <stdbool.h>
#include <string.h>

#include "apps/parley-sim/check.h"
#include "apps/parley-sim/run.h"

int main(int argc, char **argv)
{
    bool checks = argc > 1 && strcmp(argv[1], "check") == 0;
    bool asks_how = checks && argc > 2 && strcmp(argv[2], "--help") == 0;
    if (checks && !asks_how)
        return check_main(argc - 2, argv + 2);
    return run_main(argc - asks_how, argv + asks_how);
}
