#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""http_test PARLEYD HTTP_COUNT [MUTANTS]: the same bytes before our reader, a real parleyd,
Debian's nginx and Debian's HAProxy. Behind the proxies stands a server that takes every connection
as one request and keeps its bytes; a client's address says which case it is. Smuggling is a request
that one of them sees and the other does not:
  - what a proxy sends on as one request is one request to us, to its last byte, or refused;
  - the requests that a proxy finds in a stream are those that we find there, as far as neither of
    us refuses."""
import asyncio
import pathlib
import re
import resource
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import http_tables
from servers import Parleyd, haproxy, nginx

HERE = pathlib.Path(__file__).parent
LAST = b"GET /last HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AT_ONCE, DEADLINE, BODY_SENT_MAX = 700, 60, 1 << 15
LOCATION = """
            proxy_pass http://127.0.0.1:%d;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection $http_connection;
            proxy_set_header X-Case $remote_addr;
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 2s
    timeout server 2s
    timeout http-request 1s
    timeout http-keep-alive 1s
    option http-server-close
frontend edge
    bind 127.0.0.1:@PORT@
    maxconn 2000
    http-request set-header X-Case %%[src]
    default_backend behind
backend behind
    http-reuse never
    server one 127.0.0.1:%d
"""


def streams():
    """Every table's bytes, with the body that a head announces and a last request behind it."""
    for name, said, verdict in http_tables.read(HERE.parent / "wire" / "http1.txt"):
        taken = re.match(r"accept \w+ (\d+)$", verdict)
        body = b"x" * int(taken[1]) if taken and int(taken[1]) <= BODY_SENT_MAX else b""
        yield "head: " + name, said + body, verdict
    for name, said, verdict in http_tables.read(HERE / "streams.txt"):
        yield "stream: " + name, said, verdict


class Backend:
    """One request a connection; what it got is kept by the case that X-Case names."""

    def __init__(self):
        self.got = {}
        self.accepted = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    @staticmethod
    def whole(got):
        head, end, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        if not end or (length and len(body) < int(length[1])):
            return False
        return not re.search(rb"(?i)\ntransfer-encoding: *chunked", head) or b"0\r\n\r\n" in body

    async def serve(self, reader, writer):
        got, answered = b"", False
        self.accepted += 1
        number = self.accepted
        try:
            while piece := await asyncio.wait_for(reader.read(65536), DEADLINE):
                got += piece
                if not answered and self.whole(got):
                    answered = True
                    writer.write(OK)
                    await writer.drain()
        except (OSError, asyncio.TimeoutError):
            pass
        case = re.search(rb"(?i)\r\nx-case: ([0-9.]+)\r\n", got)
        if case:
            self.got.setdefault(case[1].decode(), []).append((number, got))
        writer.close()

    def of(self, address):
        """In the order in which they came, whenever they ended."""
        return [got for _, got in sorted(self.got.get(address, []))]


async def ask(port, said, address=None, half_close=False):
    """Everything that is answered until the connection ends."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection(
        "127.0.0.1", port, local_addr=(address, 0) if address else None), DEADLINE)
    heard = b""
    try:
        writer.write(said)
        if half_close:
            writer.write_eof()
        while piece := await asyncio.wait_for(reader.read(65536), DEADLINE):
            heard += piece
    except ConnectionError:
        pass
    writer.close()
    return heard


async def ask_all(port, cases, **more):
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number, said):
        async with gate:
            address = f"127.{1 + (number >> 14)}.{number >> 7 & 127}.{1 + (number & 127)}"
            return address, await ask(port, said, address, **more)
    return await asyncio.gather(*(one(i, said) for i, said in enumerate(cases)))


def statuses(heard):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", heard)]


def bare(targets):
    return [re.sub(r"\+(\d+|chunked)$", "", target) for target in targets]


class Http(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        cls.cases = list(streams())
        cls.cases += http_tables.mutants(cls.cases, mutants_count)

    def test_what_our_reader_finds(self):
        table = http_tables.read(HERE / "streams.txt")
        found = http_tables.count(http_count, [said for _, said, _ in table])
        for (name, _, verdict), (targets, rest, _) in zip(table, found):
            with self.subTest(name):
                self.assertEqual(" ".join(targets + [rest] * (rest != "")), verdict)

    def test_enough_of_them(self):
        self.assertGreaterEqual(len(self.cases) - mutants_count, 300)

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)

    async def test_parleyd_answers_once_and_closes(self):
        server = Parleyd(parleyd, "--connections-address", "0")
        try:
            heard = await ask_all(server.port, [said for _, said, _ in self.cases], half_close=True)
        finally:
            server.stop()
        found = http_tables.count(http_count, [said for _, said, _ in self.cases], body_max=0)
        for (name, said, _), (_, answer), (targets, rest, _) in zip(self.cases, heard, found):
            got = statuses(answer)
            with self.subTest(name, said=said):
                if targets:
                    self.assertEqual(len(got), 1)
                    self.assertIn(got[0], (200, 400, 404, 405, 426))
                else:
                    self.assertEqual(got, [int(rest)] if rest.isdigit() else [])
                if got:
                    self.assertIn(b"close", answer.lower())

    async def differential(self, proxy_of):
        backend = Backend()
        await backend.start()
        proxy = proxy_of(backend.port)
        sent = [said + LAST for _, said, _ in self.cases]
        try:
            heard = await ask_all(proxy.port, sent)
        finally:
            proxy.stop()
            backend.server.close()
        raw = http_tables.count(http_count, sent)
        passed = [backend.of(address) for address, _ in heard]
        behind = iter(http_tables.count(http_count, [one for all in passed for one in all]))
        seen = [[next(behind) for _ in all] for all in passed]
        wrong, both = [], 0
        for i, (name, said, _) in enumerate(self.cases):
            # To nginx even `Connection: disclosed` says close; to end early smuggles nothing.
            ends = re.search(rb"(?i)connection:[^\n]*close", said)
            why = self.judge(raw[i], seen[i], passed[i], [400] if ends else statuses(heard[i][1]))
            both += bool(raw[i][0] and seen[i])
            if why:
                wrong.append(f"{name}: {why}\n    said {said[:300]!r}\n    ours {raw[i]}\n    "
                             f"sent on {[one[:200] for one in passed[i]]}")
        print(f"{sum(bool(ours[0]) for ours in raw)} streams with a request to us, "
              f"{sum(bool(theirs) for theirs in seen)} to it, {both} to both", end=" ... ")
        self.assertEqual(wrong, [])
        self.assertGreater(both, 80)  # or nothing was compared

    @staticmethod
    def judge(ours, seen, passed, answered):
        for (targets, rest, used), one in zip(seen, passed):
            if len(targets) > 1 or (targets and not targets[0].endswith("+chunked") and
                                    used < len(one)):
                return "what it sent on as one request is more to us"
        mine, theirs = bare(ours[0]), []
        for one in passed:
            theirs.append(one.split(b" ")[1].decode("latin-1"))
        common = min(len(mine), len(theirs))
        if mine[:common] != theirs[:common]:
            return f"it saw {theirs}, we {mine}"
        we_stop = ours[1] != "" or any(t.endswith("+chunked") for t in ours[0])
        it_refuses = not answered or answered[-1] >= 400 or len(answered) < len(theirs)
        if len(theirs) > len(mine) and not we_stop:
            return f"it saw {len(theirs)} requests, we {len(mine)} and no end"
        if len(mine) > len(theirs) and not it_refuses:
            return f"we saw {len(mine)} requests, it {len(theirs)} and refused none"
        return None

    async def test_nginx_counts_as_we_do(self):
        await self.differential(lambda port: nginx(LOCATION % port))

    async def test_haproxy_counts_as_we_do(self):
        await self.differential(lambda port: haproxy(HAPROXY % port))


if __name__ == "__main__":
    parleyd, http_count = sys.argv[1:3]
    mutants_count = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    unittest.main(argv=sys.argv[:1], verbosity=2)
