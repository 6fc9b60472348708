/* SPDX-License-Identifier: Apache-2.0
 * parley-sim: the simulated world, and the checker of histories. */
#include <string.h>

#include "apps/parley-sim/check.h"
#include "apps/parley-sim/run.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return check_main(argc - 2, argv + 2);
    return run_main(argc, argv);
}
