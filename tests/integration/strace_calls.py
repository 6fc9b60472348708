# SPDX-License-Identifier: Apache-2.0
"""Run a program under strace and read its trace; for the tests that hold answers against syncs."""
import os
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"^(\d+) +(.*)$")


def decode(text):
    return bytes(int(pair, 16) for pair in re.findall(r"\\x([0-9a-f]{2})", text))


def read(path, names):
    """('begin' or 'end', name, first argument, bytes) in the order of the trace."""
    call = re.compile(rf'({"|".join(names)})\((\d+)(?:, "([^"]*)")?')
    open_calls = {}
    for line in open(path):
        thread, rest = LINE.match(line).groups()
        begin = call.match(rest)
        if begin:
            value = (begin[1], int(begin[2]), decode(begin[3] or ""))
            yield ("begin", *value)
            if "<unfinished" in rest:
                open_calls[thread] = value
            else:
                yield ("end", *value)
        elif "resumed>" in rest and thread in open_calls:
            yield ("end", *open_calls.pop(thread))


def calls(program, names, bytes_max):
    """The calls of the program, at most bytes_max of each one's bytes. Ends the process with 77
    (skipped) where strace cannot trace, and with what the program said where that fails."""
    with tempfile.NamedTemporaryFile() as trace:
        done = subprocess.run(
            ["strace", "-f", "-xx", "-s", str(bytes_max), "-e", "trace=" + ",".join(names), "-o",
             trace.name, program], env={**os.environ, "PARLEY_STRACE": "1"}, capture_output=True)
        if b"ptrace" in done.stderr or b"not permitted" in done.stderr:
            sys.exit(77)
        if done.returncode:
            sys.exit(done.stderr.decode(errors="replace"))
        yield from read(trace.name, names)
