#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""websockets_test PARLEYD: a second opinion: Debian's python3-websockets as the client of a real
parleyd. It checks the handshake, masks, fragments, pings and close frames by its own lights."""
import asyncio
import os
import sys
import unittest

import websockets

sys.path.insert(0, os.path.dirname(__file__))
from servers import Parleyd

OPTIONS = {"subprotocols": ["parley.v1"], "open_timeout": 30, "close_timeout": 30,
           "ping_interval": None, "max_size": 1 << 21}


def connect(server, **more):
    return websockets.connect(f"ws://127.0.0.1:{server.port}/v1/ws/new", **{**OPTIONS, **more})


class SecondOpinion(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Parleyd(sys.argv[1], "--origins", "https://chat.example")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    async def test_the_handshake_and_a_clean_end(self):
        for offered in ("deflate", None):
            async with connect(self.server, compression=offered) as socket:
                self.assertEqual(socket.subprotocol, "parley.v1")
                self.assertEqual(socket.extensions, [])
                welcome = await socket.recv()
                self.assertIsInstance(welcome, bytes)
            self.assertEqual(socket.close_code, 1000)

    async def test_pings_are_answered(self):
        async with connect(self.server) as socket:
            waiters = [await socket.ping(bytes([i]) * i) for i in range(126)]
            for waiter in waiters:
                await asyncio.wait_for(waiter, 30)

    async def test_a_message_in_fragments(self):
        async with connect(self.server) as socket:
            await socket.recv()
            await socket.send([b"\xff", b"\xff", b"", b"\xff"])
            self.assertIsInstance(await socket.recv(), bytes)  # an error in an answer of its own

    async def closed(self, message, **more):
        async with connect(self.server, **more) as socket:
            await socket.send(message)
            with self.assertRaises(websockets.ConnectionClosed) as closed:
                while True:
                    await socket.recv()
        return closed.exception.rcvd.code

    async def test_text_is_not_spoken(self):
        self.assertEqual(await self.closed("hello"), 1003)

    async def test_a_stranger_says_little(self):
        self.assertEqual(await self.closed(b"x" * 4097), 1009)
        self.assertEqual(await self.closed([b"x" * 2048, b"x" * 2049]), 1009)

    async def test_who_may_come(self):
        async with connect(self.server, origin="https://chat.example"):
            pass
        for refused, status in (({"origin": "https://evil.example"}, 403),
                                ({"subprotocols": ["chat"]}, 400)):
            with self.assertRaises(websockets.InvalidStatusCode) as seen:
                async with connect(self.server, **refused):
                    pass
            self.assertEqual(seen.exception.status_code, status)

    async def test_many_at_once(self):
        async def one(i):
            async with connect(self.server) as socket:
                waiter = await socket.ping(str(i))
                await asyncio.wait_for(waiter, 30)
        await asyncio.gather(*(one(i) for i in range(100)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
