#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rows on disk, of a real parleyd: whatever becomes of DATA/store, what was acknowledged is
there again, or the server says what it lacks and only reads.
usage: index_test.py PARLEYD PARLEYCTL PARLEY PLANT_RECORD [unittest arguments]"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import unittest

import parleyd_test as rig


class Index(rig.Scene):
    def setUp(self):
        super().setUp()
        self.store = pathlib.Path(self.data, "store")

    def parley(self, *arguments, stdin=None):
        done = subprocess.run([rig.parley, *arguments], capture_output=True, text=True, input=stdin,
                              timeout=rig.DEADLINE, stdin=None if stdin else subprocess.DEVNULL,
                              env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def talk(self, server, first, last):
        for number in range(first, last):
            self.parley("--profile", "alice", "send", "@bob", "-m", f"word {number}",
                        "--wait", "server")

    def begin(self):
        server = self.start("--register-burst", "0", listen=f"127.0.0.1:{self.port()}")
        self.assertEqual(self.register(server, "alice", server.invite()).returncode, 0)
        invite = self.ctl("invite").stdout.strip()
        self.assertEqual(self.register(server, "bob", invite).returncode, 0)
        self.talk(server, 0, 5)
        return server

    def port(self):
        if not hasattr(self, "known_port"):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.known_port = probe.getsockname()[1]
        return self.known_port

    def again(self):
        return self.start("--register-burst", "0", listen=f"127.0.0.1:{self.port()}")

    def holds(self, server, words, profile):
        """A new device of Bob's reads all of it, from the server's rows."""
        read_end, write_end = os.pipe()
        os.write(write_end, (rig.PASSWORD + "\n").encode())
        os.close(write_end)
        done = subprocess.run(
            [rig.parley, "--profile", profile, "login", "--server",
             f"http://127.0.0.1:{server.port}", "--username", "bob", "--password-fd",
             str(read_end)],
            capture_output=True, text=True, timeout=rig.DEADLINE, pass_fds=[read_end],
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        os.close(read_end)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.parley("--profile", profile, "receive", "--max", str(words))
        told = self.parley("--profile", profile, "history", "@alice", "--json")
        texts = [line.get("text") for line in map(json.loads, told.splitlines())]
        self.assertEqual([text for text in texts if text and text.startswith("word")],
                         [f"word {number}" for number in range(words)])

    def test_whatever_becomes_of_the_store(self):
        """Killed, gone, replaced by an older copy, unreadable: each time all of it is there."""
        server = self.begin()
        server.stop()
        older = os.path.join(self.folder, "older")
        shutil.copytree(self.store, older)
        server = self.again()
        self.talk(server, 5, 8)
        server.process.kill()
        server.process.wait()
        server = self.again()
        self.holds(server, 8, "killed")
        server.stop()
        shutil.rmtree(self.store)
        server = self.again()
        self.assertNotIn("ALARM", server.errors())
        self.holds(server, 8, "gone")
        server.stop()
        shutil.rmtree(self.store)
        shutil.copytree(older, self.store)
        server = self.again()
        self.holds(server, 8, "older")
        server.stop()
        (self.store / "CURRENT").write_text("MANIFEST-999999\n")
        server = self.again()
        self.assertRegex(server.errors(), r"ALARM: the index is damaged \(.*\): it is now "
                         rf"{self.store}.damaged-1, and is built again from the log. Nothing is")
        self.assertTrue(os.path.isdir(f"{self.store}.damaged-1"))
        self.holds(server, 8, "unreadable")
        self.assertEqual(server.stop(), 0)

    def note(self, name, signal, cut):
        """As who died while RocksDB opened that folder leaves it."""
        path = pathlib.Path(self.data, "store.opening")
        path.write_text(f"{name:<23} signal {signal:02} cut {cut:02}\n")
        return path

    def test_whoever_died_opening_it(self):
        """Cut short: tried again, with a line. Of an assertion, twice: put aside, and all of it is
        there."""
        self.begin().stop()
        note = self.note("store", 0, 4)
        server = self.again()
        self.assertIn("the last opening of the index was cut short (4 in a row; after 5",
                      server.errors())
        self.assertFalse(note.exists())
        self.assertFalse(os.path.exists(f"{self.store}.damaged-1"))
        server.process.kill()
        server.process.wait()
        self.note("store", 6, 1)
        server = self.again()
        self.assertIn("was cut short (1 in a row", server.errors())
        self.assertNotIn("ALARM", server.errors())
        server.stop()
        self.note("store", 6, 2)
        server = self.again()
        self.assertIn("ALARM: the index is damaged (opening it, RocksDB died of signal 6, again): "
                      f"it is now {self.store}.damaged-1, and is built again", server.errors())
        self.assertTrue(os.path.isdir(f"{self.store}.damaged-1"))
        self.assertFalse(note.exists())
        self.holds(server, 5, "asserted")
        server.stop()
        self.note("store", 0, 5)
        server = self.again()
        self.assertIn("(opening it was cut short 5 times in a row)", server.errors())
        self.holds(server, 5, "cut")
        self.assertEqual(server.stop(), 0)

    def tables(self):
        return {path.name for path in self.store.iterdir() if path.suffix in (".sst", ".log")}

    def test_damaged_again_and_again(self):
        """A machine that damages everything is not served on for ever."""
        self.start().stop()
        for number in range(1, 10):
            os.mkdir(f"{self.store}.damaged-{number}")
        (self.store / "CURRENT").write_text("nonsense")
        before = self.tables()
        self.refused(1, "damaged for the 10th time", f"remove {self.store}.damaged-*")
        self.assertEqual(self.tables(), before)

    def test_a_log_older_than_the_rows(self):
        """A restored log that lacks what the rows have: reads only, and says why."""
        server = self.begin()
        server.stop()
        shutil.copytree(os.path.join(self.data, "log"), os.path.join(self.folder, "log"))
        server = self.again()
        self.talk(server, 5, 8)
        server.stop()
        newer = os.path.join(self.folder, "newer")
        os.rename(os.path.join(self.data, "log"), newer)
        shutil.copytree(os.path.join(self.folder, "log"), os.path.join(self.data, "log"))
        server = self.again()
        self.assertIn("ALARM", server.errors())
        self.assertIsNotNone(json.loads(self.ctl("status", "--json").stdout)["read_only"])
        server.stop()
        shutil.rmtree(os.path.join(self.data, "log"))
        os.rename(newer, os.path.join(self.data, "log"))
        server = self.again()
        self.assertNotIn("ALARM", server.errors())
        self.holds(server, 8, "put-back")

    def test_a_quarantine_that_is_full_or_cannot_be(self):
        self.start().stop()
        folder = pathlib.Path(self.data, "quarantine")
        folder.mkdir(0o700)
        for number in range(1000):
            (folder / f"{number + 10**9:016x}.rec").touch()
        self.plant(1, "01ff")
        server = self.start()
        self.assertIn(f"no copy was made: {folder} holds 1000; the log holds the record",
                      server.errors())
        self.assertEqual(len(list(folder.iterdir())), 1000)
        self.assertEqual(json.loads(self.ctl("status", "--json").stdout)["unreadable"], 1)
        server.stop()
        shutil.rmtree(folder)
        folder.touch()
        self.plant(1, "01ff")
        server = self.start()
        self.assertRegex(server.errors(), rf"no copy was made: {folder}: \w.*; the log holds")
        self.assertEqual(self.ctl("status").returncode, 0)
        self.assertEqual(server.stop(), 0)

    def test_something_else_for_a_store(self):
        """Refused in words, and nothing is touched."""
        self.start().stop()
        shutil.rmtree(self.store)
        self.store.write_text("a file")
        self.refused(1, "store")
        self.assertEqual(self.store.read_text(), "a file")


if __name__ == "__main__":
    rig.parleyd, rig.parleyctl, rig.parley, rig.plant_record = sys.argv[1:5]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
