#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""slow_test PARLEYD CONNECTIONS SECONDS: attacks on time by Debian's slowhttptest (slow heads, slow
bodies, many ranges, slow reading) with thousands of connections, while a good client asks: its 99th
percentile stays below 200 ms. Twice: with so many connections to one address allowed, and with the
share that an address has by default."""
import http.client
import json
import pathlib
import resource
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from servers import Parleyd

P99_MAX_S = 0.2
ATTACKS = {
    "slow heads": ["-H", "-i", "2"],
    "slow bodies": ["-B", "-i", "2", "-s", "8192"],
    "ranges": ["-R", "-a", "10", "-b", "3000"],
    "slow reading": ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32"],
}


class Slow(unittest.TestCase):
    def setUp(self):
        self.connections, self.seconds = int(sys.argv[2]), int(sys.argv[3])
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def ask(self, server):
        """A new connection, a request, the answer: in seconds."""
        begun = time.monotonic()
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30,
                                          source_address=("127.0.0.2", 0))
        line.request("GET", "/.well-known/parley")
        answer = line.getresponse()
        json.loads(answer.read())
        line.close()
        self.assertEqual(answer.status, 200)
        return time.monotonic() - begun

    def attack(self, server, name, options):
        command = ["slowhttptest", "-c", str(self.connections), "-r", "1000",
                   "-l", str(self.seconds), "-p", "3", "-t", "GET",
                   "-u", f"http://127.0.0.1:{server.port}/.well-known/parley", *options]
        attacker = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, cwd=server.folder)
        taken = []
        try:
            while attacker.poll() is None:
                taken.append(self.ask(server))
                time.sleep(0.01)  # a person, not another attack
        finally:
            attacker.kill()
            attacker.wait()
        taken.sort()
        p99 = taken[int(len(taken) * 0.99)]
        print(f"{name}: {len(taken)} answers, p50 {taken[len(taken) // 2] * 1000:.1f} ms, "
              f"p99 {p99 * 1000:.1f} ms, slowest {taken[-1] * 1000:.1f} ms")
        self.assertGreater(len(taken), 100)
        self.assertLess(p99, P99_MAX_S)

    def all_attacks(self, *arguments):
        server = Parleyd(sys.argv[1], "--connections", str(self.connections + 1000), *arguments)
        try:
            for name, options in ATTACKS.items():
                with self.subTest(name):
                    self.attack(server, name, options)
        finally:
            server.stop()

    def test_from_everywhere(self):
        self.all_attacks("--connections-address", "0")

    def test_from_one_address(self):
        self.all_attacks()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
