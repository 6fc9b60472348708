#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""parleyctl backup, restore and recover, with real servers and devices: a backup under load holds
every message acknowledged before it; what was said after it comes back from the devices; and each
verdict at which parleyd stops names the command that leads out of it.
usage: backup_test.py PARLEYD PARLEYCTL PARLEY PLANT_RECORD [unittest arguments]"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import unittest

import index_test
import parleyd_test as rig


class Base(index_test.Index):
    def setUp(self):
        super().setUp()
        self.backup = os.path.join(self.folder, "backup")

    def login(self, profile):
        read_end, write_end = os.pipe()
        os.write(write_end, (rig.PASSWORD + "\n").encode())
        os.close(write_end)
        done = subprocess.run(
            [rig.parley, "--profile", profile, "login", "--server",
             f"http://127.0.0.1:{self.port()}", "--username", "bob", "--password-fd",
             str(read_end)],
            capture_output=True, text=True, timeout=rig.DEADLINE, pass_fds=[read_end],
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        os.close(read_end)
        self.assertEqual(done.returncode, 0, done.stderr)

    def said(self, profile, person):
        told = self.parley("--profile", profile, "history", person, "--json", "--limit", "500")
        texts = [line.get("text") for line in map(json.loads, told.splitlines())]
        return [text for text in texts if text and text.startswith("word")]

    def backed_up(self):
        done = self.ctl("backup", self.backup)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def restored(self):
        """The backup in a folder of its own, which is the server's from now on."""
        self.data = os.path.join(self.folder, "restored")
        done = self.ctl("restore", self.backup)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.store = pathlib.Path(self.data, "store")
        return done.stdout

    def verified(self, code, *words):
        before = rig.snapshot(self.backup)
        done = self.ctl("restore", self.backup, "--verify")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stdout + done.stderr)
        self.assertEqual(rig.snapshot(self.backup), before)
        self.assertFalse(os.path.exists(self.backup + ".verify"))

    def read_only(self):
        return json.loads(self.ctl("status", "--json").stdout)["read_only"]

    def newest(self):
        return max(pathlib.Path(self.data, "log").glob("*.seg"))

    def flip(self, path, at):
        content = bytearray(path.read_bytes())
        content[at] ^= 0x10
        path.write_bytes(content)

    def recovered(self, *options, words=()):
        done = self.ctl("recover", *options, "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in words:
            self.assertIn(word, done.stdout)
        return done.stdout


class Backup(Base):
    def load(self, server, stop, told):
        number = 8
        while not stop.is_set():
            self.talk(server, number, number + 1)
            number += 1
            told.append(number)

    def test_under_load_then_restored_elsewhere(self):
        server = self.begin()
        self.talk(server, 5, 8)
        stop, told = threading.Event(), []
        load = threading.Thread(target=self.load, args=(server, stop, told))
        load.start()
        while len(told) < 2:
            self.assertTrue(load.is_alive())
        before = told[-1]
        self.backed_up()
        stop.set()
        load.join()
        self.talk(server, told[-1], told[-1] + 2)
        after = told[-1] + 2
        self.assertFalse(os.path.exists(self.backup + ".partial"))
        self.assertEqual(json.loads(self.ctl("status", "--json").stdout)["read_only"], None)
        server.process.kill()  # the machine is gone
        server.process.wait()
        self.verified(0, "is good")
        self.assertIn("log epoch 2", self.restored())
        server = self.again()
        self.assertNotIn("ALARM", server.errors())
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertEqual((status["log_epoch"], status["read_only"]), (2, None))
        self.holds_first(before, "new-device")
        self.parley("--profile", "alice", "send", "@bob", "-m", f"word {after}", "--wait", "server")
        wanted = sorted(f"word {number}" for number in range(after + 1))
        self.assertEqual(sorted(self.received("late-device", after + 1)), wanted)
        self.assertEqual(server.stop(), 0)

    def received(self, profile, count):
        self.login(profile)
        self.parley("--profile", profile, "receive", "--max", str(count))
        return self.said(profile, "@alice")

    def holds_first(self, count, profile):
        """All that was acknowledged before the backup began, before a device puts anything back."""
        self.login(profile)
        self.parley("--profile", profile, "receive", "--max", str(count))
        self.assertEqual(self.said(profile, "@alice")[:count],
                         [f"word {number}" for number in range(count)])

    def test_at_rest_and_what_is_refused(self):
        self.begin().stop()
        self.backed_up()
        self.verified(0, "is good")
        done = self.ctl("backup", self.backup)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is there already", done.stderr)
        self.assertIn("left alone", self.ctl("restore", self.backup).stderr)  # --data is in use
        for name in ("keys/witness.key", f"log/{'0' * 16}.seg"):
            path = pathlib.Path(self.backup, name)
            content = path.read_bytes()
            self.flip(path, 10)
            self.verified(1, name, "hash")
            path.write_bytes(content)
        table = max(pathlib.Path(self.backup, "store").glob("*.sst"))
        content = table.read_bytes()
        table.unlink()
        self.verified(1, "missing")
        table.write_bytes(content + b"x")
        self.verified(1, "another length")
        table.write_bytes(content)
        manifest = pathlib.Path(self.backup, "manifest")
        manifest.write_text(manifest.read_text().replace("version", "Version"))
        self.verified(1, "damaged")
        manifest.unlink()
        self.verified(1, "is no backup")
        self.data = os.path.join(self.folder, "never")
        self.assertEqual(self.ctl("restore", self.backup).returncode, 1)
        self.assertFalse(os.path.exists(self.data))
        self.assertFalse(os.path.exists(self.data + ".partial"))


class Recover(Base):
    """Each verdict names its command, and the command leads out."""

    def stops_with(self, *words):
        server = self.again()
        self.assertIsNotNone(self.read_only())
        for word in (*words, "parleyctl recover"):
            self.assertIn(word, server.errors())
        self.assertEqual(server.stop(), 0)
        done = self.ctl("recover")
        self.assertEqual(done.returncode, 1)
        self.assertIn("recover --yes", done.stderr)

    def serves(self, words, profile):
        server = self.again()
        self.assertNotRegex(server.errors(), "ALARM: the (log|index)")
        self.assertIsNone(self.read_only())
        self.holds(server, words, profile)
        self.talk(server, words, words + 1)
        return server

    def test_a_flipped_record(self):
        """The rows have what it held: nothing is lost, no epoch begins."""
        server = self.begin()
        server.process.kill()
        server.process.wait()
        self.flip(self.newest(), 4096 * 3 + 70)
        self.stops_with("damaged")
        self.recovered(words=["which the index holds"])
        server = self.serves(5, "flipped")
        self.assertEqual(json.loads(self.ctl("status", "--json").stdout)["log_epoch"], 1)
        self.assertEqual(server.stop(), 0)

    def test_a_flipped_record_and_no_rows(self):
        """What it held is gone from the server: the device sends it again."""
        server = self.begin()
        server.process.kill()
        server.process.wait()
        content = self.newest().read_bytes()
        groups = [at for at in range(4096, len(content), 4096) if content[at:at + 4] == b"PLG1"]
        sends = [at for at in groups if content[at + 40:at + 44] != bytes(4)]
        self.flip(self.newest(), sends[-2] + 70)
        shutil.rmtree(self.store)
        self.stops_with("damaged")
        self.recovered(words=["lost, unless devices send it again", "log epoch 2 begins"])
        server = self.again()
        self.talk(server, 5, 6)
        self.login("fresh")
        self.parley("--profile", "fresh", "receive", "--max", "6")
        self.assertEqual(sorted(self.said("fresh", "@alice")), [f"word {n}" for n in range(6)])
        self.assertEqual(server.stop(), 0)

    def test_a_missing_segment_and_lost_meta(self):
        self.begin().stop()
        self.plant(1, *["01" + "ff" * 240000] * 40)
        self.again().stop()
        segments = sorted(pathlib.Path(self.data, "log").glob("*.seg"))
        self.assertGreater(len(segments), 2)
        pathlib.Path(self.data, "log", "log.meta").unlink()
        self.stops_with("damaged")
        self.assertIn("log epoch 2 begins", self.recovered())
        self.serves(5, "no-meta").stop()
        shutil.rmtree(self.store)
        shutil.rmtree(os.path.join(self.data, "checkpoints"))
        segments[1].unlink()
        self.stops_with("damaged")
        self.recovered(words=["lost, unless devices send it again", "log epoch 3 begins"])
        self.serves(6, "no-middle").stop()

    def test_rows_newer_than_the_log(self):
        """A restored log lacks what the rows have: they are kept."""
        server = self.begin()
        server.stop()
        older = os.path.join(self.folder, "log")
        shutil.copytree(os.path.join(self.data, "log"), older)
        server = self.again()
        self.talk(server, 5, 8)
        server.stop()
        shutil.rmtree(os.path.join(self.data, "log"))
        shutil.copytree(older, os.path.join(self.data, "log"))
        self.stops_with("rolled back")
        self.recovered(words=["which the index holds", "log epoch 2 begins"])
        self.serves(8, "rolled-back").stop()

    def test_proved_by_a_device_and_built_again(self):
        """Nothing shows on the disk: the operator says what the alarm said."""
        server = self.begin()
        self.assertIn("stop it first", self.ctl("recover", "--yes").stderr)
        server.stop()
        done = self.ctl("recover")
        self.assertEqual(done.returncode, 0)
        self.assertIn("--rollback --yes", done.stdout)
        self.recovered("--rollback", words=["log epoch 2 begins"])
        server = self.serves(5, "proved")
        self.assertEqual(json.loads(self.ctl("status", "--json").stdout)["log_epoch"], 2)
        server.stop()
        self.assertEqual(self.ctl("recover", "--rebuild").returncode, 0)
        self.assertTrue(os.path.isdir(f"{self.store}.damaged-1"))
        self.serves(6, "rebuilt").stop()

    def test_a_lost_log(self):
        """There is nothing to recover in place: a backup is the way, and it is said."""
        server = self.begin()
        server.stop()
        self.backed_up()
        shutil.rmtree(os.path.join(self.data, "log"))
        self.refused(1, "parleyctl restore")
        done = self.ctl("recover", "--yes")
        self.assertEqual(done.returncode, 1)
        self.assertIn("parleyctl restore", done.stderr)
        self.restored()
        self.serves(5, "restored").stop()


for name in [name for name in dir(index_test.Index) if name.startswith("test_")]:
    setattr(Base, name, None)  # it has its own run


if __name__ == "__main__":
    rig.parleyd, rig.parleyctl, rig.parley, rig.plant_record = sys.argv[1:5]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
