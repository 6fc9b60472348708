/* SPDX-License-Identifier: Apache-2.0
 * check.h: `parley-sim check FILE…`: the histories of one run's clients, one file or several, read
 * and checked as one. Prints the verdict on stdout. Exit code: 0 all promises kept, 1 a violation,
 * 2 a file that cannot be read or is no history. */
#pragma once

int check_main(int files_count, char *const files[]);
