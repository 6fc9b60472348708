#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench_test PARLEYD PARLEY_BENCH: the load client against a real server: nothing lost, doubled or
out of order; what it refuses; and the unsafe switch of parleyd, which holds for one folder."""
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
import unittest

DEADLINE = 60
parleyd = bench = None


def run(*arguments):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=DEADLINE)


class Scene(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="bench-test-")
        self.data = os.path.join(self.folder, "data")
        self.server = None

    def tearDown(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        shutil.rmtree(self.folder)

    def start(self, *arguments):
        out, err = (pathlib.Path(self.folder, name) for name in ("out", "err"))
        with out.open("w") as stdout, err.open("w") as stderr:
            self.server = subprocess.Popen(
                [parleyd, "--data", self.data, "--listen", "127.0.0.1:0", "--segment-mib", "4",
                 *arguments], stdout=stdout, stderr=stderr)
        end = time.monotonic() + DEADLINE
        while "carried over" not in out.read_text():
            self.assertIsNone(self.server.poll(), err.read_text())
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.said = err.read_text()
        return re.search(r"http://(\S+) ", out.read_text()).group(1)

    def stop(self):
        self.server.send_signal(signal.SIGINT)
        self.assertEqual(self.server.wait(DEADLINE), 0)

    def measure(self, *arguments):
        path = os.path.join(self.folder, "report.json")
        done = run(bench, *arguments, "--json", path)
        self.assertIn(done.returncode, (0, 3), done.stderr)  # 3: a busy machine, all the same whole
        return json.loads(pathlib.Path(path).read_text())

    def whole(self, report, messages):
        self.assertEqual(
            [report[key] for key in ("lost", "doubled", "misordered", "unacknowledged")], [0] * 4)
        self.assertEqual(report["sent"], messages)

    def test_pm_loses_nothing(self):
        address = self.start("--unsafe-bench", self.data, "--metrics-listen", "127.0.0.1:0")
        self.assertIn("UNSAFE", self.said)
        port = re.search(r"Metrics .* \(port (\d+)\)",
                         pathlib.Path(self.folder, "out").read_text()).group(1)
        report = self.measure("pm", "--server", address, "--pairs", "2", "--closed",
                              "--frames-per-write", "5", "--in-flight", "40", "--messages", "200",
                              "--warmup", "0", "--server-pid", str(self.server.pid),
                              "--metrics", "127.0.0.1:" + port)
        self.whole(report, 200)
        self.assertGreater(report["messages_per_sync"], 0)
        self.assertEqual(report["acks"], 200)
        self.assertEqual(report["deliveries"], 200)
        self.assertGreater(report["server_rss_kib"], 1000)
        report = self.measure("pm", "--server", address, "--pairs", "2", "--one-way", "--rate",
                              "200", "--warmup", "0", "--seconds", "1")
        self.whole(report, 200)
        self.assertEqual(report["deliveries"], 200)
        self.assertIs(report["ceiling"], False)

    def test_cut_connections_lose_nothing(self):
        address = self.start("--unsafe-bench", self.data)
        report = self.measure("loss", "--server", address, "--pairs", "2", "--messages", "400")
        self.assertEqual([report[key] for key in ("lost", "doubled", "misordered")], [0] * 3)
        self.assertEqual(report["acknowledged"], 400)
        self.assertEqual(report["sign_ins"], 4 + 2 + 5 * 2)  # all; the readers; senders five times

    def test_connections(self):
        address = self.start("--unsafe-bench", self.data)
        report = self.measure("login-storm", "--server", address, "--connections", "50",
                              "--in-flight", "16", "--server-pid", str(self.server.pid))
        self.assertEqual(report["logins"], 50)
        self.assertGreater(report["rate"], 1)
        report = self.measure("idle", "--server", address, "--connections", "20", "--seconds", "1",
                              "--server-pid", str(self.server.pid))
        self.assertGreater(report["private_kib_all"], 1000)
        self.assertIn("bytes_per_connection_held", report)

    def test_a_storm_shows_nothing_twice(self):
        address = self.start("--unsafe-bench", self.data)
        report = self.measure("reconnect-storm", "--server", address, "--connections", "20",
                              "--rate", "500", "--warmup", "1", "--seconds", "1")
        self.assertEqual([report[key] for key in ("lost", "doubled", "misordered")], [0] * 3)
        self.assertEqual(report["logins"], 20)
        self.assertEqual(report["acks"], 500)
        self.assertGreaterEqual(report["resynced_s"], report["all_back_s"])

    def test_history_goes_on_over_a_restart(self):
        state = os.path.join(self.folder, "state")
        for messages, kill in ((400, False), (600, True), (600, True)):
            address = self.start("--unsafe-bench", self.data)
            report = self.measure("history", "--server", address, "--pairs", "2", "--state", state,
                                  "--messages", str(messages), "--frames-per-write", "4",
                                  "--in-flight", "64", "--pages", "20", "--server-pid",
                                  str(self.server.pid))
            self.assertEqual(report["messages"], messages)
            self.assertEqual([report[key] for key in ("lost", "doubled", "misordered")], [0] * 3)
            self.assertEqual(report["rows"], 2 * (2 + 20) * 50)  # cold and warm; newest, then back
            self.assertEqual(report["back_warm"], 20)
            if kill:
                self.server.kill()
                self.server.wait()
            else:
                self.stop()
        done = run(bench, "history", "--server", address, "--pairs", "3", "--state", state)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another --pairs", done.stderr)

    def test_baselines(self):
        report = self.measure("echo", "--connections", "4", "--closed", "--frames-per-write", "1",
                              "--in-flight", "4", "--messages", "400", "--warmup", "0")
        self.whole(report, 400)
        self.assertEqual(report["deliveries"], 400)
        report = self.measure("fan", "--fanout", "5", "--in-flight", "3", "--warmup", "0",
                              "--seconds", "1")
        self.assertGreater(report["deliveries"], 100)
        hdr = pathlib.Path(self.folder, "sync.hdr")
        report = self.measure("sync", "--folder", self.folder, "--seconds", "1", "--hdr", str(hdr))
        self.assertIn("Total count    = %12d]" % report["syncs"], hdr.read_text())
        self.assertGreater(report["syncs"], 0)
        self.assertGreaterEqual(report["sync_max_us"], report["sync_p50_us"])

    def test_what_has_no_default_is_asked_for(self):
        for arguments in (["pm", "--pairs", "2"],
                          ["echo", "--connections", "2", "--closed", "--in-flight", "2"],
                          ["echo", "--connections", "2", "--closed", "--frames-per-write", "1"],
                          ["echo", "--connections", "2"],
                          ["echo", "--connections", "3", "--closed", "--frames-per-write", "2",
                           "--in-flight", "4"],
                          ["echo", "--connections", "none"], ["sync"], ["unknown"]):
            done = run(bench, *arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn("parley-bench", done.stderr)

    def refused(self, *arguments):
        done = run(parleyd, "--data", self.data, "--listen", "127.0.0.1:0", *arguments)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def test_a_folder_is_for_people_or_for_measuring(self):
        self.start()
        self.stop()
        self.assertIn("real accounts", self.refused("--unsafe-bench", self.data))
        shutil.rmtree(self.data)
        self.start("--unsafe-bench", self.data)
        self.stop()
        self.assertIn("not protected", self.refused())
        self.assertIn("name the same folder twice", self.refused("--unsafe-bench", "elsewhere"))
        self.start("--unsafe-bench", self.data)
        self.stop()


if __name__ == "__main__":
    parleyd, bench = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
