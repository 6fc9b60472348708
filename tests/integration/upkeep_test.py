#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a running parleyd does for its next start: flushes, checkpoints, a trimmed log; and what
becomes of it when the rows are gone then.
usage: upkeep_test.py PARLEYD PARLEYCTL PARLEY PLANT_RECORD [unittest arguments]"""
import json
import os
import pathlib
import shutil
import sys
import time
import unittest

import index_test
import parleyd_test as rig

# A log of 4 MiB, and a second between checkpoints: a day's upkeep in a test.
BUSY = ("--keep-mib", "4", "--flush-s", "1", "--checkpoint-s", "1", "--register-burst", "0")


class Upkeep(index_test.Index):
    def status(self):
        done = self.ctl("status", "--json")
        return json.loads(done.stdout) if done.stdout else {}

    def wait(self, condition):
        end = time.monotonic() + rig.DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), end, self.status())
            time.sleep(0.05)

    def again(self, *arguments):
        return self.start(*arguments, "--register-burst", "0",
                          listen=f"127.0.0.1:{self.port()}")

    def checkpoints(self):
        return sorted(pathlib.Path(self.data, "checkpoints").glob("?" * 16))

    def segments(self):
        return sorted(pathlib.Path(self.data, "log").glob("*.seg"))

    def trimmed(self):
        """Eight messages, a log that begins behind most of them, two checkpoints."""
        self.begin().stop()
        server = self.again(*BUSY)
        self.wait(lambda: len(self.checkpoints()) == 1)
        server.stop()
        self.plant(1, *["01" + "ff" * 240000] * 60)  # 14 MB that nobody can read
        server = self.again("--keep-mib", "4", "--flush-s", "1")
        self.wait(lambda: len(self.checkpoints()) == 2)  # the second by size, not by time
        self.assertEqual(self.ctl("invite").returncode, 0)
        self.wait(lambda: self.status()["flushed"] == self.status()["log_end"])
        self.assertEqual(self.status()["log_first"], 0)  # the older one needs it
        server.stop()
        server = self.again(*BUSY)
        for number in range(5, 8):
            self.talk(server, number, number + 1)
            self.talk_more(self.checkpoints()[-1])
        self.wait(lambda: self.status()["log_first"] > 0)
        return server

    def talk_more(self, newest):
        """Until the next checkpoint: one more record and a second."""
        self.assertEqual(self.ctl("invite").returncode, 0)
        self.wait(lambda: self.checkpoints()[-1] != newest)

    def test_trim(self):
        server = self.trimmed()
        status = self.status()
        self.assertGreaterEqual(status["log_trimmed"], 1)
        self.assertGreaterEqual(status["log_first"], 1)
        self.assertEqual(int(self.segments()[0].name[:16], 16), status["log_first"])
        self.assertLessEqual(status["log_first"], int(self.checkpoints()[-2].name, 16))
        self.assertLessEqual(status["log_first"], status["flushed"])
        self.holds(server, 8, "trimmed")
        server.process.kill()
        server.process.wait()
        server = self.again()
        self.holds(server, 8, "killed")
        self.assertEqual(server.stop(), 0)
        server = self.again()
        self.assertNotIn("ALARM", server.errors())
        self.assertEqual(server.stop(), 0)
        self.rows_gone_and_damaged()
        self.nothing_covers_it()

    def rows_gone_and_damaged(self):
        """From a checkpoint each time, all of it."""
        shutil.rmtree(self.store)
        server = self.again()
        self.assertIn("ALARM: the index was gone: it goes on from the checkpoint", server.errors())
        self.holds(server, 8, "gone")
        server.stop()
        (self.store / "CURRENT").write_text("nonsense")
        server = self.again()
        self.assertIn("from the checkpoint", server.errors())
        self.holds(server, 8, "damaged")
        server.stop()
        older, newest = (path.name for path in self.checkpoints()[-2:])
        with open(self.note(newest, 11, 2), "a", encoding="ascii") as file:
            file.write(f"{'store':<23} signal 06 cut 02\n{older:<23} signal 00 cut 99\n")
        server = self.again()
        self.assertIn("is of no use (opening it, RocksDB died of signal 11, again)",
                      server.errors())
        self.assertIn(f"offset {int(older, 16)},", server.errors())
        self.holds(server, 8, "asserted")
        server.stop()
        newest = self.checkpoints()[-1]
        table = max(newest.glob("*.sst"), key=lambda path: path.stat().st_size)
        flipped = bytearray(table.read_bytes())
        flipped[len(flipped) // 2] ^= 1
        table.unlink()  # its other names stay as they are
        table.write_bytes(flipped)
        shutil.rmtree(self.store)
        server = self.again()
        self.assertIn(f"the checkpoint {newest} is of no use", server.errors())
        self.assertIn(f"offset {int(self.checkpoints()[-2].name, 16)},", server.errors())
        self.holds(server, 8, "older")
        self.assertEqual(server.stop(), 0)

    def nothing_covers_it(self):
        """The log begins late, and there is neither store nor checkpoint: refused, in words."""
        shutil.rmtree(os.path.join(self.data, "checkpoints"))
        shutil.move(self.store, os.path.join(self.folder, "store"))
        log = rig.snapshot(os.path.join(self.data, "log"))
        self.refused(1, "the index is gone, the log begins at offset", "parleyctl restore")
        self.assertFalse(self.store.exists())
        self.assertEqual(rig.snapshot(os.path.join(self.data, "log")), log)
        shutil.move(os.path.join(self.folder, "store"), self.store)
        note = self.note("store", 6, 2)
        self.refused(1, "the index is damaged, the log begins at offset", f"remove {note}")
        self.assertTrue(self.store.exists() and note.exists())
        note.unlink()
        server = self.again()
        self.holds(server, 8, "put-back")
        self.assertEqual(server.stop(), 0)

    def test_a_record_without_a_copy_is_kept(self):
        """Its quarantine is no folder: the log has the only copy, and keeps it."""
        self.begin().stop()
        pathlib.Path(self.data, "quarantine").touch()
        self.plant(1, *["01" + "ff" * 240000] * 60)
        server = self.again(*BUSY)
        for _ in range(3):
            self.assertEqual(self.ctl("invite").returncode, 0)
            count = len(self.checkpoints())
            newest = self.checkpoints()[-1:]
            self.wait(lambda: self.checkpoints()[-1:] != newest or len(self.checkpoints()) > count)
        self.assertEqual(self.status()["log_first"], 0)
        self.assertEqual(self.status()["log_trimmed"], 0)
        self.assertEqual(server.stop(), 0)


# Its base class has its own run.
for name in [name for name in dir(index_test.Index) if name.startswith("test_")]:
    setattr(Upkeep, name, None)


if __name__ == "__main__":
    rig.parleyd, rig.parleyctl, rig.parley, rig.plant_record = sys.argv[1:5]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
