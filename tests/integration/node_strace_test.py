#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""node_strace_test.py PROGRAM: runs burst_test under strace and holds every SENT and PUSH of a
whole node against the log: the bytes that name a message leave a socket only after an fdatasync
that began after the pwrite of its group had ended. Exit 77 (skipped) where strace cannot trace."""
import re
import subprocess
import sys
import tempfile

CALL = re.compile(r"^(\d+) +(.*)$")
MID = re.compile(rb"MIDTRACE\d{8}")


def decode(text):
    return bytes(int(pair, 16) for pair in re.findall(r"\\x([0-9a-f]{2})", text))


def calls(path):
    """('begin' or 'end', name, first argument, bytes) in the order of the trace."""
    open_calls = {}
    for line in open(path):
        thread, rest = CALL.match(line).groups()
        begin = re.match(r'(pwrite64|fdatasync|sendto)\((\d+)(?:, "([^"]*)")?', rest)
        if begin:
            value = (begin[1], int(begin[2]), decode(begin[3] or ""))
            yield ("begin", *value)
            if "<unfinished" in rest:
                open_calls[thread] = value
            else:
                yield ("end", *value)
        elif "resumed>" in rest and thread in open_calls:
            yield ("end", *open_calls.pop(thread))


def main():
    with tempfile.NamedTemporaryFile() as trace:
        done = subprocess.run(
            ["strace", "-f", "-xx", "-s", "2000000", "-e", "trace=pwrite64,fdatasync,sendto", "-o",
             trace.name, sys.argv[1]], capture_output=True)
        if b"ptrace" in done.stderr or b"not permitted" in done.stderr:
            sys.exit(77)
        if done.returncode:
            sys.exit(done.stderr.decode(errors="replace"))
        written, syncing, durable, told, servers, syncs = {}, {}, set(), set(), set(), 0
        for when, name, fd, data in calls(trace.name):
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
