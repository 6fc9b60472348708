#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pbgen_test: what the codec cannot express is an error of the generator, each for its own reason,
and the base of the table alone is none."""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = 'syntax = "proto3";\npackage parley;\nimport "options.proto";\n'
DEEP = "message D0 {}\n" + "".join(
    f"message D{n} {{ D{n - 1} d = 1; }}\n" for n in range(1, 9))
CASES = [
    ("", "message A { uint32 register = 1; oneof body { bytes b = 2; A.B c = 3; } message B {} }"),
    ("", DEEP.replace("message D8 { D7 d = 1; }\n", "")),
    ("its type is none of", "message A { int32 x = 1; }"),
    ("its type is none of", "message A { fixed64 x = 1; }"),
    ("optional is for messages only", "message A { optional uint32 x = 1; }"),
    ("no maps", "message A { map<uint32, uint32> x = 1; }"),
    ("contains itself", "message A { B b = 1; } message B { repeated A a = 1; }"),
    ("nested deeper than 8", DEEP),
    ("exclude each other", "message A { bytes x = 1 [(max_bytes) = 4, (exact_bytes) = 4]; }"),
    ("exact_bytes is for bytes", "message A { string x = 1 [(exact_bytes) = 4]; }"),
    ("max_bytes is for bytes and strings", "message A { uint32 x = 1 [(max_bytes) = 4]; }"),
    ("max_count is for repeated", "message A { uint32 x = 1 [(max_count) = 4]; }"),
    ("max_count is 1..65536", "message A { repeated bytes x = 1 [(max_count) = 65537]; }"),
    ("numbers are always packed", "message A { repeated uint32 x = 1 [packed = false]; }"),
    ("below 0", "enum E { E_A = 0; E_B = -1; }"),
    ("does not begin with E_", "enum E { A = 0; }"),
    ("the tag pb_a_body is already", "message A { oneof body { bytes b = 1; } } message ABody {}"),
    ("the tag pb_type is already", "message Type {}"),
]


def run(folder, text):
    (folder / "x.proto").write_text(HEAD + text)
    return subprocess.run(["protoc", f"--plugin=protoc-gen-pb={ROOT / 'tools/pbgen'}",
                           f"--pb_out=c:{folder}", "-I", str(folder), "-I", str(ROOT / "proto"),
                           str(folder / "x.proto")], capture_output=True, text=True, check=False)


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        for reason, text in CASES:
            done = run(pathlib.Path(name), text)
            good = reason in done.stderr and done.returncode != 0 if reason \
                else done.returncode == 0
            if not good:
                failed += 1
                print(f"expected {reason or 'no error'!r}: {text}\n  {done.stderr.strip()}")
    print(f"{len(CASES)} cases, {failed} failed")
    sys.exit(failed > 0)


main()
