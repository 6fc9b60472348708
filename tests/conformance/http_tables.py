# SPDX-License-Identifier: Apache-2.0
"""The tables of bytes and verdicts: tests/wire/http1.txt (heads) and streams.txt, and small changes
of what they hold."""
import random
import re
import subprocess

CHANGED = (0, 9, 10, 13, 32, 34, 44, 45, 48, 49, 58, 59, 97, 127, 195, 255)


def unescape(text):
    def one(match):
        if match[1]:
            return match[2] * int(match[1])
        kind = match[0][1]
        if kind == "x":
            return chr(int(match[0][2:], 16))
        return {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}[kind]
    found = re.sub(r"\\\{(\d+)\*(.)\}|\\x[0-9a-fA-F]{2}|\\.", one, text)
    return found.encode("latin-1")


def read(path):
    """[(name, bytes, verdict)]"""
    cases, name, said = [], None, b""
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\n")
            if line.startswith("- "):
                name, said = line[2:], b""
            elif line.startswith(">"):
                said += unescape(line[2:])
            elif line.startswith("= "):
                cases.append((name, said, line[2:]))
    return cases


def mutants(cases, count, seed=1):
    """Single bytes replaced, left out or doubled, in cases drawn by lot, every second one of those
    that are taken."""
    lot = random.Random(seed)
    small = [case for case in cases if 20 < len(case[1]) < 400]
    taken = [case for case in small if case[2][0] in "/a"]
    for number in range(count):
        name, said, _ = lot.choice(taken if number % 2 else small)
        at, change = lot.randrange(len(said)), lot.randrange(len(CHANGED) + 2)
        middle = (bytes([CHANGED[change]]) if change < len(CHANGED) else
                  b"" if change == len(CHANGED) else said[at:at + 1] * 2)
        yield f"{name}, changed {number} at {at}", said[:at] + middle + said[at + 1:], None


def count(program, streams, body_max=1 << 20):
    """What our reader finds in each: (targets, rest, bytes): rest is a status, "more" or ""."""
    fed = b"".join(b"%08x" % len(stream) + stream for stream in streams)
    out = subprocess.run([program, str(body_max)], input=fed, capture_output=True, check=True,
                         timeout=60).stdout
    found = []
    for line in out.decode("latin-1").splitlines():
        text, used = line.rsplit("|", 1)
        words = text.split()
        rest = words.pop() if words and not words[-1].startswith("/") else ""
        found.append((words, rest, int(used)))
    assert len(found) == len(streams)
    return found
