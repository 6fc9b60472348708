/* SPDX-License-Identifier: Apache-2.0
 * run.h: `parley-sim [--seed N] [--seeds K] …`: runs of the simulated world, one after another.
 * Prints a line for each seed (its hash and what was counted) and a sum. Exit code: 0 all is well,
 * 1 a violation (with the command that repeats it), 2 a wrong option. */
#pragma once

int run_main(int argc, char *const argv[]);
