# SPDX-License-Identifier: Apache-2.0
"""Each check of the tree must be able to fail: every case is a small tree, the check, and a word
that its output must hold (None: the tree is good). Exit 1 if a check judges otherwise."""
import pathlib
import subprocess
import sys
import tempfile

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
PYTHON = "/usr/bin/python3"
LAYERS = """base :
wire : base
core : base wire ports/crypto.h
client : base wire ports/crypto.h ports/e2ee.h
ports : base
runtime : base wire core ports
adapters : base ports
sim : base wire core client ports runtime
apps : base wire core client ports runtime adapters sim
"""
README = "# core\n## Owns\n## Must never\n## Read first\n## Invariants\n## How it is tested\n"
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def function(head="int f(void)", lines=1, inside="    return 0;\n"):
    return f"{head}\n{{\n{'    x++;' + chr(10) if lines > 1 else ''}" \
        f"{('    x--;' + chr(10)) * max(lines - 2, 0)}{inside}}}\n"


NESTED = "    for (;;) {\n if (a) {\n while (b) {\n switch (c) {\n case 1: f(); }\n }\n }\n }\n"
# (check, file, its text, word expected in the output or None)
CASES = [
    ("layers", "src/core/a.c", '#include "wire/pb.h"\n#include <stdint.h>\n', None),
    ("layers", "src/core/a.c", '#include "ports/crypto.h"\n#include "wire/gen/x.h"\n', None),
    ("layers", "src/core/a.c", '/* #include "apps/x.h" */\n', None),
    ("layers", "src/core/a.c", '#include "ports/bus.h"\n', "may not include"),
    ("layers", "src/core/a.c", '#include "client/x.h"\n', "may not include"),
    ("layers", "src/core/a.c", '#  include "e2ee.h"\n', "not of the form"),
    ("layers", "src/core/a.c", '#include "core/../apps/x.h"\n', "not of the form"),
    ("layers", "src/core/a.c", '#include <time.h>\n', "includes only"),
    ("layers", "src/core/a.c", '#include <inttypes.h>\n', "includes only"),
    ("layers", "src/core/a_test.c", '#include <stdio.h>\n', None),
    ("layers", "src/core/a_test.c", '#include "apps/x.h"\n', "may not include"),
    ("layers", "src/base/ring.c", '#include <stdatomic.h>\n', None),
    ("layers", "src/base/queue.c", '#include <stdatomic.h>\n', "atomics"),
    ("layers", "src/runtime/a.c", '#include <sys/socket.h>\n', None),
    ("layers", "src/runtime/a.c", '#include <openssl/evp.h>\n', "third-party"),
    ("layers", "src/runtime/a.c", '#include <pthread.h>\n', "threads live"),
    ("layers", "src/adapters/epoll/a.c", '#include "adapters/epoll/b.h"\n', None),
    ("layers", "src/adapters/epoll/a.c", '#include "adapters/log/b.h"\n', "includes another"),
    ("layers", "src/adapters/log/a.c", '#include "core/b.h"\n', "may not include"),
    ("layers", "src/sim/a.c", '#include "adapters/memory/b.h"\n', "may not include"),
    ("layers", "src/attic/a.c", "int x;\n", "does not stand"),
    ("sizes", "src/core/a.c", function(lines=60), None),
    ("sizes", "src/core/a.c", function(lines=62), "at most 60"),
    ("sizes", "src/core/a.c", "/* EXCEPTION: a table. */\n" + function(lines=62), "1 exception"),
    ("sizes", "src/core/a.c", function("int f(int a, int b, int c, int d, int e)"), None),
    ("sizes", "src/core/a.c", function("int f(int a, int b, int c,\n  int d, int e, int g)"),
     "6 parameters"),
    ("sizes", "src/core/a.c", function(inside=NESTED), "levels of nesting"),
    ("sizes", "src/core/a.c", function(inside=NESTED.replace("while (b)", "struct p q =")), None),
    ("sizes", "src/core/a.c", "int x;\n" * 601, "601 lines"),
    ("sizes", "crates/e2ee/src/a.rs", "mod x;\n" * 601, "601 lines"),
    ("sizes", "src/core/a.c", "int " + "a, " * 40 + "b;\n", "columns"),
    ("readmes", "src/core/README.md", README, None),
    ("readmes", "src/core/README.md", README.replace("## Invariants\n", ""), "headings are"),
    ("readmes", "src/core/README.md", README + "\n" * 60, "at most 60"),
    ("readmes", "src/core/a.c", "int x;\n", "missing"),
    ("docs", "docs/a.md", "`src/LAYERS` [x](../src/LAYERS) `http_x(y)`\n", "no name http_x"),
    ("docs", "docs/a.md", "`src/LAYERS` [x](../src/LAYERS) `tests/*.c` `a b_c`\n", None),
    ("docs", "docs/a.md", "`src/none.c`\n", "no file src/none.c"),
    ("docs", "docs/a.md", "[x](none.md)\n", "no file none.md"),
    ("docs", "docs/a.md", "`make nothing`\n", "no target make nothing"),
    ("man", "docs/man/a.1", ".Dd January 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Nd b\n", None),
    ("man", "docs/man/a.1", ".Dd January 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Xx\n", "Xx"),
    ("patches", "tests/mutants/1-a.patch", "--- a/src/LAYERS\n+++ b/src/LAYERS\n@@ -1 +1 @@\n"
     "-base :\n+base : core\n", None),
    ("patches", "tests/mutants/1-a.patch", "--- a/src/LAYERS\n+++ b/src/LAYERS\n@@ -1 +1 @@\n"
     "-bass :\n+base : core\n", "does not apply"),
    ("spdx", "src/core/a.c", SPDX, None),
    ("spdx", "src/core/a.c", "int x;\n", "no line"),
    ("symbols", "src/core/a.c", "#include <string.h>\nvoid f(char *a); "
     "void f(char *a) { memset(a, 0, 99); }\n", None),
    ("symbols", "src/core/a.c", "long time(long *); long f(void); "
     "long f(void) { return time(0); }\n", "needs 'time'"),
    ("symbols", "src/client/a.c", "int e2ee_x(void); int f(void); "
     "int f(void) { return e2ee_x(); }\n", None),
    ("symbols", "src/core/a.c", "int e2ee_x(void); int f(void); "
     "int f(void) { return e2ee_x(); }\n", "needs 'e2ee_x'"),
    ("symbols", "src/core/a.c", "int f(void); int f(void) { static int n; return n++; }\n",
     "writable data"),
]


def judge(check, name, text, expected):
    """What is wrong with the check on this tree, or None."""
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place)
        # A room without code needs no README; the case about READMEs has one source file.
        files = {"src/LAYERS": LAYERS, name: text}
        if check == "readmes":
            files.setdefault("src/core/b.c", "int x;\n")
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        done = subprocess.run([PYTHON, TOOLS / f"check-{check}", "--root", root],
                              capture_output=True, text=True)
    output = done.stdout + done.stderr
    clean = expected is None or "exception" in expected
    if clean != (done.returncode == 0) or (expected or "") not in output:
        return f"check-{check} on {text[:60]!r} in {name}: expected {expected}, said:\n{output}"
    return None


WASM_TREE = {
    "meson.build": "project('toy', 'c')\nsubdir('src/wire')\n",
    "meson_options.txt": "option('tests', type: 'boolean', value: true)\n",
    "src/wire/meson.build": "static_library('wire', 'a.c')\n",
}


def judge_wasm(callee, expected):
    """What is wrong with check-wasm on a room that calls `callee`, or None."""
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place)
        source = f"int {callee}(int); int f(void); int f(void) {{ return {callee}(0); }}\n"
        for path, content in {**WASM_TREE, "src/wire/a.c": source}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content)
        (root / "tools").mkdir()
        (root / "tools/wasm32.ini").write_text((TOOLS / "wasm32.ini").read_text())
        done = subprocess.run([PYTHON, TOOLS / "check-wasm", "--root", root, "--folder",
                               root / "out"], capture_output=True, text=True)
    output = done.stdout + done.stderr
    if (expected is None) != (done.returncode == 0) or (expected or "") not in output:
        return f"check-wasm on a call of {callee}: expected {expected}, said:\n{output}"
    return None


def main():
    wrong = [said for case in CASES if (said := judge(*case))]
    wrong += [said for case in [("crypto_sha256", None), ("getpid", "imports env.getpid")]
              if (said := judge_wasm(*case))]
    print(*wrong, sep="\n")
    print(f"{len(CASES) + 2} cases, {len(wrong)} judged wrongly")
    return 1 if wrong else 0


sys.exit(main())
