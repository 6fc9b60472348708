#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the real parley says, in words and in JSON, when something is refused or was done.

usage: words_cli_test.py PARLEYD PARLEYCTL PARLEY [unittest arguments]"""
import json
import subprocess
import sys
import unittest

from talk_cli_test import AUTH, FAILURE, NETWORK, PARTLY, PASSWORD, USAGE, Talk, World


def sign_up_both(world):
    world.register("alice", world.ctl("invite", "--owner").strip())
    world.register("bob", world.parley("alice", "invite").stdout.strip())


class WordsTest(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def test_errors_are_json_too(self):
        """With --json a script reads one object whatever happened; the words stay on stderr."""
        world = self.world
        self.assertIn("say a command", world.fails("x", expect=USAGE)["text"])
        self.assertIn("'dance'", world.fails("x", "dance", expect=USAGE)["text"])
        self.assertIn("nobody is signed in", world.fails("new", "chats", expect=AUTH)["text"])
        enrol = ["--server", world.url, "--username"]
        error = world.fails("alice", "register", *enrol, "alice", "--invite", "wrong-invite",
                            password=PASSWORD, expect=AUTH)
        self.assertEqual(error["code"], "invite_used")
        for empty in ([""], []):
            self.assertIn("invite", world.fails("alice", "register", "--invite", *empty, *enrol,
                                                "alice", expect=USAGE)["text"])
        sign_up_both(world)
        error = world.fails("other", "login", *enrol, "alice", password="wrong wrong wrong",
                            expect=AUTH)
        self.assertEqual(error["code"], "auth")
        error = world.fails("alice", "send", "@nobody.here", "-m", "x", expect=USAGE)
        self.assertEqual(error["code"], "not_found")
        self.assertIn("not sent to @nobody.here: no such username", error["text"])
        error = world.fails("alice", "send", "@bob", "@nobody.here", "-m", "x", expect=PARTLY)
        self.assertIn("@nobody.here", error["text"])
        self.assertIn("there is no chat", world.fails("alice", "history", "@no",
                                                      expect=USAGE)["text"])
        receiver = Talk(world, "bob", "receive", "--follow", "--json")
        receiver.until(lambda seen: seen, "bob receives")
        self.assertIn("another parley", world.fails("bob", "devices", expect=FAILURE)["text"])
        world.kill()
        kept = world.fails("alice", "send", "@bob", "-m", "kept", expect=NETWORK)["text"]
        self.assertIn("cannot reach the server", kept)
        self.assertIn("is kept on this device", kept)
        self.assertEqual([m["text"] for m in world.messages("alice", "@bob")], ["x", "kept"])

    def test_what_was_read_is_said(self):
        world = self.world
        sign_up_both(world)
        for text in ("one", "two", "three"):
            world.parley("alice", "send", "@bob", "-m", text)
        numbers = [m["cseq"] for m in world.messages("bob", "@alice")]
        for beyond in ("99999", "0", "1" * 32):
            error = world.fails("bob", "read", "@alice", beyond, expect=USAGE)
            self.assertIn(f"there is no message '{beyond}'", error["text"])
            self.assertIn(f"the newest is {numbers[-1]}", error["text"])
        self.assertEqual(world.json("bob", "chats")[0]["unread"], 3)
        read, = world.json("bob", "read", "@alice", str(numbers[1]))
        self.assertEqual((read["read_upto"], read["head"]), (numbers[1], numbers[2]))
        self.assertEqual(world.json("bob", "chats")[0]["unread"], 1)
        self.assertEqual(world.parley("bob", "read", "@alice").stdout,
                         f"@alice: read up to message {numbers[2]} of {numbers[2]}\n")
        read, = world.json("bob", "read", "@alice", str(numbers[0])) # a mark never falls
        self.assertEqual(read["read_upto"], numbers[2])

    def test_a_ninth_device_needs_a_person(self):
        world = self.world
        sign_up_both(world)
        login = ["login", "--server", world.url, "--username", "bob"]
        for i in range(2, 9):
            world.parley(f"bob{i}", *login, password=PASSWORD)
        error = world.fails("bob9", *login, password=PASSWORD, expect=AUTH)
        self.assertEqual(error["code"], "limit")
        self.assertIn("8 devices are signed in already; sign one out", error["text"])

    def test_the_operators_lines(self):
        """parleyctl --json is one object a line, so that `while read` works."""
        world = self.world
        invite = json.loads(world.ctl("invite", "--json"))
        self.assertEqual((invite["v"], invite["type"], len(invite["secret"])), (1, "invite", 22))
        sign_up_both(world)
        users = [json.loads(line) for line in world.ctl("users", "list", "--json").splitlines()]
        self.assertEqual(sorted(user["username"] for user in users), ["alice", "bob"])
        for user in users:
            self.assertEqual(set(user), {"v", "type", "username", "role", "state", "created",
                                         "user_id"})
            self.assertEqual((user["v"], user["type"]), (1, "user"))
            self.assertRegex(user["created"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        status, = world.ctl("status", "--json").splitlines()
        self.assertEqual((json.loads(status)["v"], json.loads(status)["type"]), (1, "status"))
        for words in (("check", "--json"), ("log", "verify", "--json"), ("status", "--owner")):
            with self.assertRaises(subprocess.CalledProcessError) as refused:
                world.ctl(*words)
            self.assertEqual(refused.exception.returncode, 2)
        for words in ("invite [--owner] [--json]", "status [--json]", "users list [--json]"):
            self.assertIn(words, world.ctl("--help"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
