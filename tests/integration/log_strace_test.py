#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""log_strace_test.py PROGRAM: runs log_trace_test under strace and holds its answers ("ACK offset"
on standard error) against the system calls: an answer must come after an fdatasync that began after
the pwrite of its group had ended. Exit 77 (skipped) where strace cannot trace."""
import os
import re
import subprocess
import sys
import tempfile

CALL = re.compile(r"^(\d+) +(.*)$")


def decode(text):
    return bytes(int(pair, 16) for pair in re.findall(r"\\x([0-9a-f]{2})", text))


def calls(path):
    """(thread, 'begin' or 'end', name, first argument, bytes) in the order of the trace."""
    open_calls = {}
    for line in open(path):
        thread, rest = CALL.match(line).groups()
        begin = re.match(r'(pwrite64|fdatasync|write)\((\d+)(?:, "([^"]*)")?', rest)
        if begin:
            value = (begin[1], int(begin[2]), decode(begin[3] or ""))
            yield (thread, "begin", *value)
            if "<unfinished" in rest:
                open_calls[thread] = value
            else:
                yield (thread, "end", *value)
        elif "resumed>" in rest and thread in open_calls:
            yield (thread, "end", *open_calls.pop(thread))


def main():
    with tempfile.NamedTemporaryFile() as trace:
        done = subprocess.run(
            ["strace", "-f", "-xx", "-s", "64", "-e", "trace=pwrite64,fdatasync,write", "-o",
             trace.name, sys.argv[1]], env={**os.environ, "PARLEY_STRACE": "1"},
            capture_output=True)
        if b"ptrace" in done.stderr or b"not permitted" in done.stderr:
            sys.exit(77)
        if done.returncode:
            sys.exit(done.stderr.decode(errors="replace"))
        written, covered, durable, answers, syncs = {}, {}, -1, 0, 0
        for _, when, name, fd, data in calls(trace.name):
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
