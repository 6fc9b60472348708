#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""memory_test PARLEYD [CONNECTIONS]: what a stranger can make a server remember. Many connections
that go half a way each, in every way there is, cost at most 8 KiB each; and they are reaped."""
import re
import resource
import socket
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from servers import Parleyd

EACH_MAX = 8192
SHARED_MAX = 256 * 16384  # receive buffers of the net port, for the events of one turn
UPGRADE = (b"GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
           b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n")


def frame(opcode, bytes_count, final=True, there=None):
    """A masked frame, or as much of its payload as is there."""
    length = (bytes([0x80 | bytes_count]) if bytes_count < 126 else
              b"\xfe" + bytes_count.to_bytes(2, "big"))
    payload = b"x" * (bytes_count if there is None else there)
    return bytes([(0x80 if final else 0) | opcode]) + length + b"\1\2\3\4" + payload


HALF_WAYS = {
    "nothing": b"",
    "the largest head but a byte": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000)[:7167],
    "an upgrade": UPGRADE,
    "the largest frame but a byte": UPGRADE + frame(2, 4096, there=4095),
    "the beginning of the largest frame": UPGRADE + frame(2, 4096, there=1),
    "fragments, then the largest that is held but a byte":
        UPGRADE + frame(2, 3080, final=False) + frame(0, 1016, there=1015),
    "a fragment, then a ping but a byte":
        UPGRADE + frame(2, 4000, final=False) + frame(9, 125, there=124),
}


class Memory(unittest.TestCase):
    def setUp(self):
        self.count = int(sys.argv[2]) if len(sys.argv) > 2 else 1500
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def resident(self, server):
        text = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) * 1024

    def settled(self, server):
        """When nothing has changed for a moment."""
        before, still, end = self.resident(server), 0, time.monotonic() + 30
        while still < 4 and time.monotonic() < end:
            time.sleep(0.02)
            now = self.resident(server)
            still = still + 1 if now == before else 0
            before = now
        return before

    def half_open(self, server, said, count):
        lines = []
        for _ in range(count):
            lines.append(socket.create_connection(("127.0.0.1", server.port), 60))
            lines[-1].sendall(said)
        return lines

    @staticmethod
    def ended(line):
        """To its end: a close frame or not, in good order or reset."""
        line.settimeout(30)
        try:
            while line.recv(4096):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return False
        finally:
            line.close()
        return True

    def test_a_stranger_costs_little(self):
        for name, said in HALF_WAYS.items():
            server = Parleyd(sys.argv[1], "--connections-address", "0", "--http-ms", "60000",
                             "--connections", str(self.count + 400), "--sign-in-ms", "60000")
            with self.subTest(name):
                try:
                    before = self.settled(server)
                    lines = self.half_open(server, said, self.count)
                    cost = self.settled(server) - before
                    print(f"{name}: {cost / self.count:.0f} bytes each, with what all share")
                    self.assertLessEqual(cost, SHARED_MAX + self.count * EACH_MAX)
                    for line in lines:
                        line.close()
                finally:
                    server.stop()

    def test_all_are_reaped(self):
        server = Parleyd(sys.argv[1], "--connections-address", "0", "--http-ms", "1000",
                         "--connections", "1200", "--sign-in-ms", "1000")
        try:
            lines = [line for said in HALF_WAYS.values()
                     for line in self.half_open(server, said, 150)]
            self.assertEqual([self.ended(line) for line in lines], [True] * len(lines))
        finally:
            server.stop()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
