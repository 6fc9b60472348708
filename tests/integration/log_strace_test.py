#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""log_strace_test.py PROGRAM: runs log_trace_test under strace and holds its answers ("ACK offset"
on standard error) against the system calls: an answer must come after an fdatasync that began after
the pwrite of its group had ended. Exit 77 (skipped) where strace cannot trace."""
import os
import sys

import strace_calls

NAMES = ["pwrite64", "fdatasync", "write"]


def main():
    os.environ["PARLEY_TRACED"] = "1"
    written, covered, durable, answers, syncs = {}, {}, -1, 0, 0
    for when, name, fd, data in strace_calls.calls(sys.argv[1], NAMES, 64):
        if name == "pwrite64" and when == "end" and data[:4] == b"PLG1":
            base = int.from_bytes(data[16:24], "little")
            written[fd] = base + int.from_bytes(data[40:44], "little")
        elif name == "fdatasync" and when == "begin":
            covered[fd] = written.get(fd, 0)
        elif name == "fdatasync":
            durable = max(durable, covered.get(fd, 0))
            syncs += 1
        elif name == "write" and when == "begin" and data[:4] == b"ACK ":
            answers += 1
            if int(data[4:]) >= durable:
                sys.exit(f"offset {int(data[4:])} answered, durable below {durable}")
    print(f"{answers} answers, {syncs} syncs, each answer behind its sync")
    sys.exit(0 if answers == 400 else 1)


main()
