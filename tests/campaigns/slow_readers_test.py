#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""slow_readers_test PARLEYD PARLEYCTL PARLEY_BENCH READERS MESSAGES SECONDS: so many people stay
connected and read nothing, while each is sent so many messages of 1 KiB: all but a fiftieth in a
burst, the rest over so many seconds, in which ten other pairs talk. What is written to who does
not read is bounded by the window of a device, the server's memory by what it needs anyway; the
others' delivery stays what it was; and all comes, once and in order, when they read again."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE = 600
PAIRS, RATE = 10, 200  # of the others
WINDOW = 256           # entries a device may have unacknowledged; or 256 KiB
AUTHOR = 32            # entries on the way to and from an author
USER_KIB = 16          # of the server's own memory, for each connection of a pair
SYNCS_US = 30000       # what a few syncs of a busy disk add to any p50
APART_KIB = 128 << 10  # what index and caches take while 330 MB are written: 92 to 130 were seen


def fail(text):
    raise SystemExit(f"slow-readers: {text}")


class Scene:
    def __init__(self, arguments):
        self.parleyd, self.parleyctl, self.bench = arguments[:3]
        self.readers, self.each, self.seconds = map(int, arguments[3:6])
        self.place = tempfile.mkdtemp(prefix="parley-slow-readers-")
        self.data = os.path.join(self.place, "data")
        self.server, self.began = None, time.monotonic()

    def path(self, name):
        return pathlib.Path(self.place, name)

    def await_text(self, name, text, process):
        end = time.monotonic() + DEADLINE
        while text not in self.path(name).read_text():
            if process.poll() is not None or time.monotonic() > end:
                fail(f"never said: {text}\n{self.path(name).read_text()}")
            time.sleep(0.01)

    def begin(self, name, *arguments):
        with self.path(name).open("w") as said:
            return subprocess.Popen(arguments, stdout=said, stderr=subprocess.STDOUT)

    def start(self):
        self.server = self.begin(
            "server", self.parleyd, "--data", self.data, "--listen", "127.0.0.1:0",
            "--unsafe-bench", self.data, "--connections", str(2 * self.readers + 200),
            "--connections-address", str(2 * self.readers + 200), "--idle-ms", "600000")
        self.await_text("server", "carried over", self.server)
        return re.search(r"http://(\S+) ", self.path("server").read_text()).group(1)

    def status(self):
        done = subprocess.run([self.parleyctl, "--data", self.data, "status", "--json"],
                              capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def report(self, process, name):
        """0, or 3: a busy machine, whose figures are whole all the same."""
        if process.wait(DEADLINE) not in (0, 3):
            fail(f"{name}: exit code {process.returncode}\n{self.path(name).read_text()}")
        return json.loads(self.path(name + ".json").read_text())

    def others(self, address, name):
        process = self.begin(name, self.bench, "pm", "--server", address, "--pairs", str(PAIRS),
                             "--one-way", "--rate", str(RATE), "--warmup", "0", "--seconds",
                             str(max(1, self.seconds // 4)), "--json",
                             str(self.path(name + ".json")))
        report = self.report(process, name)
        for key in ("lost", "doubled", "misordered", "unacknowledged"):
            if report[key] != 0:
                fail(f"{name}: {key} {report[key]}")
        return report["delivery_p50_us"]

    def run(self):
        address = self.start()
        before_us = self.others(address, "before")
        readers = self.begin(
            "readers", self.bench, "loss", "--server", address, "--pairs", str(self.readers),
            "--messages", str(self.readers * self.each), "--body", "1024", "--stall",
            str(self.seconds), "--server-pid", str(self.server.pid), "--json",
            str(self.path("readers.json")))
        self.await_text("readers", "do not read", readers)
        meanwhile_us = self.others(address, "meanwhile")
        if readers.poll() is not None or "read again" in self.path("readers").read_text():
            fail("the stall was over before the others were measured: give more seconds")
        status = self.status()
        stalled = status["entries_pushed"] - status["entries_acked"]  # authors acknowledge theirs
        report = self.report(readers, "readers")
        self.judge(report, stalled, before_us, meanwhile_us)
        self.server.send_signal(signal.SIGTERM)
        if self.server.wait(60) != 0:
            fail("the server did not stop well")
        return {"p50_us_before": before_us, "p50_us_meanwhile": meanwhile_us,
                "pushed to each": stalled // self.readers,
                **{key: report["server_rss_kib_" + key] for key in ("before", "burst", "stalled")}}

    def judge(self, report, stalled, before_us, meanwhile_us):
        for key in ("lost", "doubled", "misordered", "unacknowledged"):
            if report[key] != 0:
                fail(f"readers: {key} {report[key]}")
        burst = self.readers * self.each * 49 // 50
        if not 0 < stalled <= (WINDOW + AUTHOR) * self.readers < burst:
            fail(f"{stalled} entries were written to {self.readers} who do not read")
        grown = report["server_rss_kib_stalled"] - report["server_rss_kib_before"]
        if grown > APART_KIB + USER_KIB * self.readers:
            fail(f"the server's memory grew by {grown} KiB")
        if meanwhile_us > 2 * before_us + SYNCS_US:
            fail(f"others' delivery: p50 {before_us} us before, {meanwhile_us} us meanwhile")

    def close(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        shutil.rmtree(self.place)

    def ledger(self, counts):
        root = pathlib.Path(__file__).parents[2]
        git = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty", "--exclude",
                              "*"], capture_output=True, text=True)
        messages = self.readers * self.each
        line = json.dumps({
            "campaign": "slow-readers", "commit": git.stdout.strip() or "unknown", "seed": 0,
            "seconds": round(time.monotonic() - self.began, 1), "messages": messages,
            "acked": messages, "violations": 0, "passed": True,
            "bound": f"below {3 / self.readers:.2g} a slow reader at 95 %",
            "counts": {"slow reader": self.readers, **counts}}, separators=(",", ":"))
        print(line, file=sys.stderr)
        if os.environ.get("PARLEY_LEDGER"):
            with open(os.environ["PARLEY_LEDGER"], "a") as ledger:
                ledger.write(line + "\n")


def main():
    scene = Scene(sys.argv[1:])
    try:
        scene.ledger(scene.run())
    finally:
        scene.close()


if __name__ == "__main__":
    main()
