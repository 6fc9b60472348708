#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ci.sh [--long]: all tests, in three builds, ending with one line "N passed, N failed".
#   build-test   gcc, every suite but `long`
#   build-asan   clang with ASan and UBSan, without the suites `once` and `long`
#   build-tsan   clang with TSan, only suite `threads`: what runs threads
# --long runs static analysis (`make check`) too, one test, about two minutes; and what
# tools/test-crate does.
# A test that makes no sense twice (static checks, real processes, mass simulation) is in suite
# `once`. --long runs suite `long` in the gcc build instead. What cannot be configured or compiled
# counts as one failure. All of it needs no network (but crates.io once, for --long).
set -uo pipefail
cd "$(dirname "$0")/.."
# Debian's own tools, whatever comes first in PATH: its python3 has Debian's protobuf.
export PATH=/usr/bin:/bin:$PATH
# Every test is a program of its own; lld links one in a quarter of the time.
export CC_LD=lld
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
start=$SECONDS
broken=0
logs=()
beat=

say() { printf '[%3ds] %s\n' "$((SECONDS - start))" "$*"; }

# Shows every 30 s that a silent step is alive.
heartbeat() {
    { while sleep 30 >/dev/null 2>&1; do say "… still at: $1"; done; } &
    beat=$!
}

quiet() {
    [ -z "$beat" ] || { kill "$beat" && wait "$beat"; } 2>/dev/null
    beat=
}
trap quiet EXIT
trap 'quiet; exit 130' INT TERM

# build FOLDER OPTION…: configure once (again when the options change) and compile.
build() {
    configure "$@" && compile "$1"
}

configure() {
    local folder=$1 stamp=$1/ci-options
    shift
    # Lines are all that a report of a test needs of debug information.
    local options=(-Dwerror=true -Ddebug=false "$@")
    mkdir -p "$folder"
    if [ ! -f "$folder/build.ninja" ] ||
        [ "$(cat "$stamp" 2>/dev/null)" != "${CC:-} ${options[*]}" ]; then
        say "configure $folder"
        rm -rf "$folder"
        mkdir -p "$folder"
        if ! /usr/bin/meson setup "$folder" "${options[@]}" >"$folder/setup.log" 2>&1; then
            tail -40 "$folder/setup.log"
            say "FAILED: $folder cannot be configured"
            rm -f "$folder/build.ninja"
            broken=$((broken + 1))
            return 1
        fi
        echo "${CC:-} ${options[*]}" >"$stamp"
    fi
}

compile() {
    local folder=$1
    say "compile $folder"
    heartbeat "compile $folder"
    if ! ninja -C "$folder" -k 0 >"$folder/compile.log" 2>&1; then
        quiet
        grep -E -A12 '(error|warning|FAILED):|^FAILED|Error' "$folder/compile.log" | head -120
        say "FAILED: $folder cannot be compiled (all of it: $folder/compile.log)"
        broken=$((broken + 1))
        return 1
    fi
    quiet
}

# run FOLDER ARGUMENT…: run tests; what they did is in testlog.json, which the summary reads.
# More processes than there are cores, because some tests mostly wait.
run() {
    local folder=$1 log=$1/meson-logs/testlog.json
    shift
    say "test $folder"
    rm -f "$log"
    heartbeat "test $folder"
    /usr/bin/meson test -C "$folder" --num-processes $(($(nproc) + 1)) --print-errorlogs "$@" 2>&1 |
        grep --line-buffered -v -E '^(ninja: |Full log written|\[[0-9]+/[0-9]+\] |$)'
    quiet
    logs+=("$log")
}

# Static analysis as one test.
analyse() {
    local log=build-lint/meson-logs/testlog.json result=OK begin=$SECONDS
    say 'static analysis'
    tools/lint || result=FAIL
    mkdir -p "${log%/*}"
    printf '{"name": "lint", "result": "%s", "duration": %d}\n' \
        "$result" "$((SECONDS - begin))" >"$log"
    logs+=("$log")
}

if [ "${1:-}" = --long ]; then
    build build-test -Doptimization=2 -Dc_args=-g1 && run build-test --no-rebuild --suite long
    analyse
    say 'crates/e2ee'
    heartbeat crates/e2ee
    tools/test-crate --log build-crate/meson-logs/testlog.json
    quiet
    logs+=(build-crate/meson-logs/testlog.json)
else
    sanitized=(-Db_lundef=false -Doptimization=0 -Dc_args=-gline-tables-only)
    tests=() # with the second build under way nothing is tested, lest times be judged under load
    build build-test -Doptimization=2 -Dc_args=-g1 && tests+=(plain)
    CC=clang build build-asan -Db_sanitize=address,undefined "${sanitized[@]}" && tests+=(asan)
    for which in "${tests[@]}"; do
        case $which in
            plain) run build-test --no-rebuild --no-suite long ;;
            # Fuzzing takes its time, not its work: beside it others run.
            asan) run build-asan --no-rebuild --no-suite long --no-suite once \
                --num-processes $(($(nproc) + 4)) ;;
        esac
    done
    # Only what the suite needs is compiled, by `meson test` itself.
    CC=clang configure build-tsan -Db_sanitize=thread "${sanitized[@]}" &&
        run build-tsan --suite threads --num-processes $(($(nproc) + 3))
    if ls tests/mutants/*.patch >/dev/null 2>&1 && [ "$broken" = 0 ]; then
        say 'mutants'
        heartbeat mutants
        tools/mutants --log build-test/meson-logs/mutants.json
        quiet
        logs+=(build-test/meson-logs/mutants.json)
    fi
fi
say 'done'
tools/sum-tests --broken "$broken" "${logs[@]}"
