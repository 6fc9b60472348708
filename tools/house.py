# SPDX-License-Identifier: Apache-2.0
"""What the checks of the tree share: which files there are, C text without its comments, LAYERS."""
import argparse
import pathlib
import re
import sys

SOURCE = {".c", ".h", ".def"}
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def arguments(description, *more):
    """The command line of a check: --root, and what `more` adds as (flag, help)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent,
                        help="the tree to check")
    for flag, text in more:
        parser.add_argument(flag, type=pathlib.Path, help=text)
    return parser.parse_args()


def finish(check, findings, note=""):
    """Prints the findings and ends the process: 0 without any, else 1."""
    for line in findings:
        print(line)
    print(f"{check}: {len(findings)} finding(s){note}")
    sys.exit(1 if findings else 0)


def files(root, *folders, endings=SOURCE):
    """Every file below the folders with one of the endings, in order."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in endings:
                yield path


def blank(text, keep_strings=False):
    """Text with comments (and the insides of strings) blanked; lines and columns stay in place."""
    def empty(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token if keep_strings else token[0] + " " * (len(token) - 2) + token[-1]
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(empty, text)


def layers(root):
    """src/LAYERS: room → the rooms and single headers that it may include."""
    table = {}
    for line in (root / "src/LAYERS").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, _, may = line.partition(":")
            table[room.strip()] = may.split()
    return table
