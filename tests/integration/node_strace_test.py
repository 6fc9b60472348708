#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""node_strace_test.py PROGRAM: runs burst_test under strace and holds every SENT and PUSH of a
whole node against the log: the bytes that name a message leave a socket only after an fdatasync
that began after the pwrite of its group had ended. Exit 77 (skipped) where strace cannot trace."""
import re
import sys

import strace_calls

NAMES = ["pwrite64", "fdatasync", "sendto"]
MID = re.compile(rb"MIDTRACE\d{8}")


def main():
    written, syncing, durable, told, servers, syncs = {}, {}, set(), set(), set(), 0
    for when, name, fd, data in strace_calls.calls(sys.argv[1], NAMES, 2000000):
        if name == "pwrite64" and when == "end" and data[:4] == b"PLG1":
            written.setdefault(fd, set()).update(MID.findall(data))
        elif name == "fdatasync" and when == "begin":
            syncing[fd] = set(written.get(fd, ()))
        elif name == "fdatasync":
            durable |= syncing.pop(fd, set())
            syncs += 1
        elif name == "sendto" and when == "begin":
            if data.startswith(b"HTTP/1.1 "):
                servers.add(fd)
            elif data.startswith(b"GET "):
                servers.discard(fd)
            if fd not in servers:
                continue
            early = set(MID.findall(data)) - durable
            if early:
                sys.exit(f"{min(early).decode()} told before its sync")
            told |= set(MID.findall(data))
    print(f"{len(told)} messages told, {syncs} syncs, each message behind its sync")
    sys.exit(0 if len(told) == 1000 else 1)


main()
