# SPDX-License-Identifier: Apache-2.0
"""tools/mutants on a toy tree: it must tell a killed mutant from every kind that proves nothing."""
import json
import pathlib
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/mutants"
TREE = {
    "meson.build": "project('toy', 'c')\n"
                   "exe = executable('toy', 'toy.c', 'add.c')\n"
                   "test('core/toy', exe, args: ['2'])\n",
    "add.c": "int add(int a, int b);\nint add(int a, int b)\n{\n    return a + b;\n}\n",
    "toy.c": "#include <stdio.h>\n#include <stdlib.h>\nint add(int a, int b);\n"
             "int main(int argc, char **argv)\n{\n    int want = argc > 1 ? atoi(argv[1]) : 9;\n"
             "    if (add(1, 1) != want)\n        return puts(\"I1 is broken\"), 1;\n"
             "    return 0;\n}\n",
}
PATCH = """{header}
--- a/add.c
+++ b/add.c
@@ -2,4 +2,4 @@
 int add(int a, int b)
 {{
-    return {before};
+    return {after};
 }}
"""
# name: (header, line before, line after, killed?, words of the report)
CASES = {
    "01-by-test": ("Kill: test core/toy", "a + b", "a - b", True, "by test core/toy"),
    "02-by-program": ("Kill: toy 2\nExpect: I1", "a + b", "a * b", True, "by toy 2"),
    "03-second-kills": ("Kill: toy 2\nKill: test core/toy", "a + b", "a", True, "by toy 2"),
    "04-survives": ("Kill: test core/toy", "a + b", "b + a", False, "SURVIVED"),
    "05-stale": ("Kill: test core/toy", "a ^ b", "a", False, "does not apply"),
    "06-compiles-not": ("Kill: test core/toy", "a + b", "a +", False, "error:"),
    "07-wrong-reason": ("Kill: toy 2\nExpect: I9", "a + b", "a", False, "without saying 'I9'"),
    "08-baseline": ("Kill: toy 3", "a + b", "a", False, "fails without a mutant"),
    "09-no-test": ("Kill: test core/none", "a + b", "a", False, "no test"),
    "10-no-kill": ("Breaks: I1", "a + b", "a", False, "no 'Kill:' line"),
    "11-endless": ("Kill: toy 2", "a + b", "({ for (;;) ; a; })", False, "did not end"),
    "12-after-endless": ("Kill: test core/toy", "a + b", "a", True, "by test core/toy"),
}


def main():
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place) / "toy"
        (root / "tests/mutants").mkdir(parents=True)
        for name, text in TREE.items():
            (root / name).write_text(text)
        for name, (header, before, after, _, _) in CASES.items():
            text = PATCH.format(header=header, before=before, after=after)
            (root / f"tests/mutants/{name}.patch").write_text(text)
        log = pathlib.Path(place) / "log/mutants.json"
        done = subprocess.run(["/usr/bin/python3", TOOL, "--root", root, "--timeout", "2",
                               "--log", log], capture_output=True, text=True)
        results = {entry["name"].split("/")[1]: entry["result"] == "OK"
                   for entry in map(json.loads, log.read_text().splitlines())}
    wrong = 0
    if done.returncode != 1 or len(results) != len(CASES):
        wrong += 1
    for name, (_, _, _, killed, words) in CASES.items():
        said = done.stdout.partition(f"  {name}  ")[2].partition("  killed  ")[0]
        if results.get(name) != killed or words not in said:
            print(f"{name}: expected killed={killed} and '{words}'")
            wrong += 1
    if wrong:
        print(done.stdout, done.stderr)
    print(f"{len(CASES)} cases, {wrong} judged wrongly")
    return 1 if wrong else 0


sys.exit(main())
