#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees and does: metrics as a real parser reads them, on the page and by the
tool; acts on accounts, each with its reason in the audit log.
usage: ops_test.py PARLEYD PARLEYCTL PARLEY PLANT_RECORD [unittest arguments]"""
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

import parleyd_test as rig


def figures(text):
    """{(name, labels): value} of a text that a parser of Prometheus's own takes."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            if key in found:
                raise AssertionError(f"{key} stands there twice")
            found[key] = sample.value
    return found


class Operator(rig.Scene):
    def parley(self, *arguments, code=0, stdin=None):
        done = subprocess.run([rig.parley, *arguments], capture_output=True, text=True, input=stdin,
                              timeout=rig.DEADLINE, stdin=None if stdin else subprocess.DEVNULL,
                              env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def two(self, *arguments):
        server = self.start("--register-burst", "0", *arguments)
        self.assertEqual(self.register(server, "alice", server.invite()).returncode, 0)
        self.assertEqual(self.register(server, "bob", self.ctl("invite").stdout.strip()).returncode,
                         0)
        return server

    def send(self, text, wait="server"):
        self.parley("--profile", "alice", "send", "@bob", "-m", text, "--wait", wait)

    def metrics(self):
        done = self.ctl("metrics")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def page(self, server, path="/metrics", method="GET"):
        port = int(server.output().split("/metrics (port ")[1].split(")")[0])
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    def events(self, server):
        """Those of a server with --log-format json, which stand among words on stderr."""
        found = []
        for line in server.errors().splitlines():
            if line.startswith("{"):
                found.append(json.loads(line))
        return found

    def wait_event(self, server, **wanted):
        end = time.monotonic() + rig.DEADLINE
        while time.monotonic() < end:
            for one in self.events(server):
                if wanted.items() <= one.items():
                    return one
            time.sleep(0.01)
        raise AssertionError(f"no {wanted} in {server.errors()}")


class Metrics(Operator):
    def test_a_parser_reads_them_and_they_are_true(self):
        server = self.two("--shards", "2", "--metrics-listen", "127.0.0.1:0")
        before = figures(self.metrics())
        for number in range(3):
            self.send(f"word {number}")
        self.assertIn("word 2", self.parley("--profile", "bob", "receive"))
        end = time.monotonic() + rig.DEADLINE
        after = {("parley_index_lag_records", ()): 1}
        while after["parley_index_lag_records", ()] > 0 and time.monotonic() < end:
            kind, text = self.page(server)  # rows follow the log
            self.assertTrue(kind.startswith("text/plain; version=0.0.4"), kind)
            after = figures(text)

        def grown(name, **labels):
            key = name, tuple(sorted(labels.items()))
            return after[key] - before[key]

        self.assertEqual(grown("parley_messages_sent_total"), 3)
        self.assertGreaterEqual(grown("parley_entries_acked_total"), 3)
        self.assertGreaterEqual(grown("parley_account_events_total", event="signed_in"), 2)
        self.assertGreater(grown("parley_sent_bytes_total"), 0)
        self.assertGreater(grown("parley_received_bytes_total"), 0)
        self.assertGreaterEqual(grown("parley_append_seconds_count"), 3)
        syncs = grown("parley_log_sync_seconds_count")
        self.assertGreaterEqual(syncs, 3)
        self.assertEqual(syncs, grown("parley_log_sync_records_count"))
        self.assertGreaterEqual(grown("parley_log_sync_records_sum"), syncs)
        self.assertEqual(after["parley_index_lag_records", ()], 0)
        self.assertEqual(after["parley_log_end_offset", ()], after["parley_log_folded_offset", ()])
        self.assertEqual(after["parley_limit_max", (("limit", "connections"),)], 4096)
        self.assertEqual(after["parley_bound", (("name", "FRAME_BYTES_MAX"),)], 1 << 20)
        self.assertEqual(after["parley_shards", ()], 2)
        self.assertGreater(after["process_start_time_seconds", ()], 1.6e9)
        self.assertGreater(after["process_resident_memory_bytes", ()], 1 << 20)
        buckets = [value for (name, _), value in after.items()
                   if name == "parley_log_sync_seconds_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], after["parley_log_sync_seconds_count", ()])
        for word in ("alice", "bob", "word 2", self.folder):
            self.assertNotIn(word, text)

    def test_a_refusal_is_counted_where_it_belongs(self):
        self.two("--send-burst", "2", "--send-back-ms", "86400000")
        for number in range(2):
            self.send(f"word {number}")
        self.parley("--profile", "alice", "send", "@bob", "-m", "one too many", "--timeout", "1",
                    code=3)
        found = figures(self.metrics())
        self.assertGreaterEqual(found["parley_rate_refused_total", (("class", "send"),)], 1)
        self.assertGreaterEqual(found["parley_errors_total", (("code", "LIMIT"),)], 1)
        self.assertEqual(found["parley_rate_refused_total", (("class", "login"),)], 0)

    def test_the_page_is_for_the_machine_itself(self):
        server = self.start("--metrics-listen", "127.0.0.1:0")
        for path, method, code in (("/", "GET", 404), ("/metrics", "POST", 405)):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.page(server, path, method)
            self.assertEqual(refused.exception.code, code)
        port = int(server.output().split("/metrics (port ")[1].split(")")[0])
        with socket.create_connection(("127.0.0.1", port)) as idle:  # says nothing: 2 s, then next
            self.assertIn("parley_build_info", self.page(server)[1])
            idle.close()
        self.assertEqual(server.stop(), 0)
        self.refused(2, "can be reached from other machines",
                     arguments=("--metrics-listen", "0.0.0.0:0"))
        server = self.start("--metrics-listen", "0.0.0.0:0", "--metrics-open", "on")
        self.assertIn("parley_build_info", self.page(server)[1])

    def test_every_family_has_words_and_stands_in_the_manual(self):
        self.start()
        told = {name for name, _ in figures(self.metrics())}
        manual = pathlib.Path(__file__).parents[2].joinpath("docs/operations.md").read_text()
        lines = rig.run(rig.parleyd, "--help-metrics").stdout.splitlines()
        self.assertGreater(len(lines), 40)
        for line in lines:
            name, kind = line.split(" ", 2)[:2]
            self.assertTrue(any(one.startswith(name) for one in told), name)
            self.assertIn(f"`{name}`", manual)
        for line in rig.run(rig.parleyd, "--help-events").stdout.splitlines():
            name, rest = line.split(" ", 1)
            level, fields = rest.strip("(").split("):")
            self.assertIn(f"| {name} | {level} | {', '.join(fields.split())} |", manual)


class Acts(Operator):
    def act(self, *words, code=0):
        done = self.ctl(*words)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.strip()

    def login(self, server, password, code=0, profile="other"):
        read_end, write_end = os.pipe()
        os.write(write_end, (password + "\n").encode())
        os.close(write_end)
        done = subprocess.run(
            [rig.parley, "--profile", profile, "login", "--server",
             f"http://127.0.0.1:{server.port}", "--username", "bob", "--password-fd",
             str(read_end)], capture_output=True, text=True, timeout=rig.DEADLINE,
            pass_fds=[read_end],
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        os.close(read_end)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def audit(self):
        with open(os.path.join(self.data, "audit.log"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_a_suspension_ends_sessions_and_is_undone(self):
        server = self.two("--log-format", "json")
        follower = subprocess.Popen(
            [rig.parley, "--profile", "bob", "receive", "--follow"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        self.addCleanup(follower.kill)
        self.send("before", "delivered")
        self.act("users", "suspend", "bob", "--reason", 'spam "to all"')
        _, said = follower.communicate(timeout=rig.DEADLINE)
        asked = self.wait_event(server, event="operator.act", act="suspend")["ts"]
        ended = self.wait_event(server, event="account.refused", what="suspended")["ts"]
        took = [datetime.datetime.fromisoformat(at.rstrip("Z")) for at in (asked, ended)]
        self.assertLess((took[1] - took[0]).total_seconds(), 2)
        self.assertEqual(follower.returncode, 4, said)
        self.assertIn("the operator of the server suspended this account", said)
        self.assertIn("suspended this account", self.login(server, rig.PASSWORD, code=4))
        self.assertIn("username or the password is wrong", self.login(server, "not this one", 4))
        self.send("meanwhile")  # nobody is told, nothing is lost
        users = {one["username"]: one for one in
                 map(json.loads, self.act("users", "list", "--json").splitlines())}
        self.assertEqual(users["bob"]["state"], "suspended")
        self.assertEqual(users["alice"]["state"], "active")
        self.assertEqual(server.stop(signal.SIGKILL), -9)  # a record of the log, so it stays
        server = self.start("--register-burst", "0", listen=f"127.0.0.1:{server.port}")
        self.parley("--profile", "bob", "receive", code=4)
        self.act("users", "unsuspend", "bob", "--reason", "it was a mistake")
        self.assertIn("meanwhile", self.parley("--profile", "bob", "receive"))
        self.login(server, rig.PASSWORD)
        lines = self.audit()
        self.assertEqual([(one["act"], one["reason"]) for one in lines],
                         [("suspend", 'spam "to all"'), ("unsuspend", "it was a mistake")])
        self.assertEqual({one["user"] for one in lines}, {users["bob"]["user_id"]})
        self.assertEqual(lines[0]["uid"], os.getuid())
        self.assertEqual(os.stat(os.path.join(self.data, "audit.log")).st_mode & 0o777, 0o600)

    def test_a_deletion_is_for_good(self):
        server = self.two()
        self.act("users", "delete", "bob", "--reason", "asked for by letter")
        self.parley("--profile", "bob", "receive", code=4)
        self.assertIn("wrong", self.login(server, rig.PASSWORD, code=4))
        for verb in ("unsuspend", "reset-link", "suspend"):
            self.act("users", verb, "bob", "--reason", "second thoughts", code=1)
        invite = self.ctl("invite").stdout.strip()
        self.assertEqual(self.register(server, "bob2", invite).returncode, 0)
        self.assertEqual(len(self.audit()), 1)  # what was refused was not done

    def test_a_reset_secret_opens_until_a_password_is_set(self):
        server = self.two()
        secret = self.act("users", "reset-link", "bob", "--reason", "forgot it")
        self.assertRegex(secret, r"^[A-Za-z0-9_-]{22}$")
        self.login(server, "a" * 22, code=4, profile="guess")
        self.login(server, secret, profile="first")
        self.login(server, rig.PASSWORD, profile="second")  # the old one is not lost by it
        read_end, write_end = os.pipe()
        os.write(write_end, f"{secret}\na quite new password\n".encode())
        os.close(write_end)
        done = subprocess.run(
            [rig.parley, "--profile", "first", "password", "--password-fd", str(read_end)],
            capture_output=True, text=True, pass_fds=[read_end], timeout=rig.DEADLINE,
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        os.close(read_end)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text, code in ((secret, 4), (rig.PASSWORD, 4), ("a quite new password", 0)):
            self.login(server, text, code=code, profile="third")
        self.assertNotIn(secret, json.dumps(self.audit()))

    def test_what_is_refused_is_refused_in_words(self):
        self.two()
        for words, code, text in (
                (("users", "suspend", "bob"), 2, "--reason"),
                (("users", "suspend", "bob", "--reason", "x"), 1, "3 to 200 bytes"),
                (("users", "suspend", "bob", "--reason", "x" * 201), 1, "3 to 200 bytes"),
                (("users", "suspend", "nobody", "--reason", "why not"), 1, "nobody has this"),
                (("users", "rename", "bob", "--reason", "why not"), 2, "not understood"),
                (("drain",), 2, "--reason")):
            done = self.ctl(*words)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertIn(text, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.data, "audit.log")))

    def trace(self, mid, *words, code=0):
        asked = "trace", mid, "--reason", "a lost message", *words
        end = time.monotonic() + rig.DEADLINE
        while "AGAIN" in self.ctl(*asked).stderr and time.monotonic() < end:
            pass  # rows follow the log
        return self.act(*asked, code=code)

    def test_a_message_is_traced_without_its_words(self):
        server = self.two()
        sent = self.parley("--profile", "alice", "send", "@bob", "-m", "dust and amber", "--wait",
                           "server", "--json")
        mid = json.loads(sent.splitlines()[0])["mid"]
        before = json.loads(self.trace(mid, "--json"))
        self.assertEqual((before["type"], before["mid"], before["kind"]), ("trace", mid, "message"))
        self.assertEqual((before["cseq"], before["head"], before["sctr"]), (2, 2, 1))
        self.assertLessEqual(abs(before["ts_ms"] / 1000 - time.time()), 60)
        alice, bob = sorted(before["members"], key=lambda one: one["user"] != before["user"])
        self.assertGreater(alice["useq"], 0)
        self.assertEqual((bob["delivered"], bob["read"], bob["gone"]), (False, False, False))
        self.assertEqual([one["has"] for one in bob["devices"]], [False])
        self.assertIn("not delivered", self.trace(mid))
        self.parley("--profile", "bob", "receive", "--follow", "--max", "1", "--timeout", "60")
        end = time.monotonic() + rig.DEADLINE
        while not bob["delivered"] or not bob["devices"][0]["has"]:
            after = json.loads(self.trace(mid, "--json"))
            bob = next(one for one in after["members"] if one["user"] == bob["user"])
            self.assertLess(time.monotonic(), end)
        self.assertEqual(bob["read"], False)
        self.assertIn("has it", self.trace(mid))
        self.assertNotIn("amber", self.trace(mid) + json.dumps(after))
        self.assertEqual(self.audit()[0] | {"at": ""}, {
            "at": "", "uid": os.getuid(), "act": "trace", "mid": mid, "reason": "a lost message"})
        self.assertEqual(server.stop(), 0)

    def test_what_cannot_be_traced_is_said(self):
        self.two()
        for words, code, text in (
                (("trace", "0011"), 2, "32 hex digits"), (("trace", "00" * 16), 2, "--reason"),
                (("trace", "00" * 16, "--reason", "x"), 1, "3 to 200 bytes"),
                (("trace", "00" * 16, "--reason", "why not"), 1, "NOT_FOUND no message"),
                (("trace",), 2, "not understood")):
            done = self.ctl(*words)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
            self.assertIn(text, done.stderr)
        self.assertEqual(len(self.audit()), 1)
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(os.path.join(self.data, "admin.sock"))
            asked.sendall(b"trace-on\n")
            self.assertIn(b"error CONFLICT", asked.makefile("rb").read())

    def test_an_upgrade_says_what_is_due_and_refuses_what_it_does_not_know(self):
        server = self.start()
        for words in (("upgrade", "--dry-run"), ("upgrade",)):
            self.assertIn("nothing to do: the folder has format 1", self.act(*words))
        self.assertEqual(server.stop(), 0)
        with open(os.path.join(self.data, "format"), "w", encoding="utf-8") as file:
            file.write("parley-data 9\n")
        before = rig.snapshot(self.data)
        done = self.ctl("upgrade")
        self.assertEqual(done.returncode, 1)
        self.assertIn("newer version (format 9, this one knows 1)", done.stderr)
        self.assertEqual(rig.snapshot(self.data), before)

    def test_a_backup_has_what_operators_did(self):
        server = self.two()
        self.act("users", "suspend", "bob", "--reason", "before the backup")
        backup, again = (os.path.join(self.folder, name) for name in ("backup", "again"))
        self.act("backup", backup)
        self.assertEqual(server.stop(), 0)
        done = rig.run(rig.parleyctl, "--data", again, "restore", backup)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = self.audit()
        self.assertEqual(lines[0]["reason"], "before the backup")
        self.data = again
        self.assertEqual(self.audit(), lines)
        self.start(data=again)
        states = {one["username"]: one["state"] for one in
                  map(json.loads, self.act("users", "list", "--json").splitlines())}
        self.assertEqual(states, {"alice": "active", "bob": "suspended"})

    def test_drain_waits_until_the_log_is_sealed(self):
        server = self.two()
        follower = subprocess.Popen(
            [rig.parley, "--profile", "bob", "receive", "--follow", "--timeout", "20"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        self.addCleanup(follower.communicate)
        self.addCleanup(follower.kill)
        self.send("before", "delivered")
        self.assertIn("sealed", self.act("drain", "--reason", "a new kernel"))
        self.assertEqual(server.process.wait(rig.DEADLINE), 0)
        self.assertIn("the log is sealed", server.errors())
        self.assertEqual(self.audit()[0]["act"], "drain")
        self.act("drain", "--reason", "again", code=3)


class Events(Operator):
    def test_a_life_is_told(self):
        server = self.two("--shards", "2", "--log-format", "json")
        self.send("hello")
        wrong = rig.run(rig.parley, "--profile", "guess", "login", "--server",
                        f"http://127.0.0.1:{server.port}", "--username", "bob", "--password-fd",
                        "0", env={"HOME": self.folder, "XDG_DATA_HOME": self.folder})
        self.assertNotEqual(wrong.returncode, 0)
        with socket.create_connection(("127.0.0.1", server.port)) as rude:
            rude.sendall(b"NONSENSE\r\n\r\n")
            rude.recv(100)
        self.ctl("users", "suspend", "bob", "--reason", "for the test")
        self.parley("--profile", "bob", "receive", code=4)
        self.wait_event(server, event="account.refused", what="suspended")
        self.wait_event(server, event="input.refused", what="http", code=501, user="-")
        signed_up = self.wait_event(server, event="account", what="signed_up")
        self.assertRegex(signed_up["ip"], r"^[0-9a-f]{16}$")
        self.assertRegex(signed_up["user"], r"^[0-9a-f]{16}$")
        act = self.wait_event(server, event="operator.act", act="suspend")
        self.assertEqual(act["uid"], os.getuid())
        self.assertRegex(act["user"], r"^[0-9a-f]{16}$")
        self.assertEqual(server.stop(), 0)
        found = self.events(server)
        names = [one["event"] for one in found]
        self.assertEqual(names[0], "server.start")
        self.assertEqual(names[-1], "server.stop")
        self.assertEqual(found[-1]["how"], "sealed")
        for one in found:
            self.assertRegex(one["ts"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertIn(one["level"], ("info", "warn", "alarm"))
        again = self.start("--log-format", "json")
        recovered = self.wait_event(again, event="log.recovered")
        self.assertEqual(recovered["verdict"], "sound")
        self.assertEqual(again.stop(signal.SIGKILL), -9)

    def test_off_is_silent_and_logfmt_is_the_default(self):
        server = self.start("--log-format", "off")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("server.start", server.errors())
        server = self.start()
        self.assertEqual(server.stop(), 0)
        self.assertRegex(server.errors(), r"(?m)^ts=\S+Z level=info event=server\.start pid=\d+ ")
        self.assertRegex(server.errors(), r"(?m)^ts=\S+Z level=info event=server\.stop how=sealed$")

    def test_nobody_is_named_and_nothing_is_repeated(self):
        """Canaries in everything that people write or choose."""
        server = self.start("--register-burst", "0", "--metrics-listen", "127.0.0.1:0",
                            "--log-format", "json", "--send-burst", "3",
                            "--send-back-ms", "86400000")
        invite = server.invite()
        secrets = [invite, rig.PASSWORD]
        self.assertEqual(self.register(server, "canary_anna", invite).returncode, 0)
        self.register(server, "canary_carl", invite)  # used up
        self.register(server, "canary_carl", "canary_invite_of_nobody")
        second = self.ctl("invite").stdout.strip()
        self.assertEqual(self.register(server, "canary_bert", second).returncode, 0)
        secrets.append(second)
        for number in range(5):
            self.parley("--profile", "canary_anna", "send", "@canary_bert", "-m",
                        f"canary_words {number}", "--timeout", "1", code=0 if number < 3 else 3)
        self.parley("--profile", "canary_bert", "receive")
        self.parley("--profile", "canary_anna", "send", "@canary_nobody", "-m", "canary_lost",
                    code=2)
        secret = self.ctl("users", "reset-link", "canary_bert", "--reason", "for the test")
        secrets.append(secret.stdout.strip())
        self.ctl("users", "suspend", "canary_bert", "--reason", "for the test")
        self.parley("--profile", "canary_bert", "receive", code=4)
        told = self.page(server)[1] + self.metrics() + self.ctl("status").stdout
        self.assertEqual(server.stop(), 0)
        told += server.errors()
        with open(os.path.join(self.data, "audit.log"), encoding="utf-8") as file:
            told += file.read()
        self.assertIn("account_events_total", told)
        self.assertIn('"event":"limit.reached"', told)
        self.assertNotIn("canary", told.lower())
        self.assertNotRegex(told, r'"ip":"(::ffff:)?127\.')
        for one in secrets:
            self.assertTrue(len(one) >= 20)
            self.assertNotIn(one, told)


class Doctor(Operator):
    def findings(self, code=0):
        done = self.ctl("doctor", "--json")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        for one in found:
            self.assertEqual((one["v"], one["type"]), (1, "finding"))
            self.assertIn(one["level"], ("ok", "note", "warning", "problem"))
            if one["level"] in ("warning", "problem"):
                self.assertTrue(one["todo"], one)
        return found

    def levels(self, check, code=0):
        return [one["level"] for one in self.findings(code) if one["check"] == check]

    def test_a_sound_server_and_one_at_rest(self):
        server = self.start()
        found = {one["check"]: one for one in self.findings()}
        for check in ("folder", "server", "port"):
            self.assertEqual(found[check]["level"], "ok", found[check])
        for check in ("disk", "sync", "clock", "descriptors", "kernel", "certificate"):
            self.assertIn(check, found)
        self.assertNotIn("problem", {one["level"] for one in found.values()})
        words = self.ctl("doctor")
        self.assertIn("0 problems", words.stdout)
        self.assertEqual(server.stop(), 0)
        found = {one["check"]: one for one in self.findings()}
        self.assertEqual(found["server"]["level"], "note")
        self.assertNotIn("port", found)
        leftovers = [name for name in os.listdir(self.data) if "tmp" in name or "doctor" in name]
        self.assertEqual(leftovers, [])

    def test_what_is_wrong_is_a_problem_with_a_remedy(self):
        self.assertEqual(self.levels("folder", code=1), ["problem"])  # none is there
        server = self.start()
        key = os.path.join(self.data, "keys", "witness.key")
        os.chmod(key, 0o644)
        found = [one for one in self.findings(code=1) if one["check"] == "folder"]
        self.assertEqual([(one["level"], one["todo"]) for one in found],
                         [("problem", f"chmod go= {key}")])
        os.chmod(key, 0o600)
        self.assertEqual(server.stop(), 0)
        os.utime(os.path.join(self.data, "log"), (time.time() + 3600, time.time() + 3600))
        self.assertEqual(self.levels("clock", code=1), ["problem"])
        os.utime(os.path.join(self.data, "log"))
        os.rename(key, key + ".away")
        self.assertEqual(self.levels("folder", code=1), ["problem"])
        os.rename(key + ".away", key)
        server = self.start(descriptors=1200)
        self.assertEqual(self.levels("descriptors"), ["ok"])  # fewer connections were taken
        self.assertEqual(server.stop(), 0)

    @unittest.skipUnless(os.access("/dev/shm", os.W_OK), "no file system in memory to write to")
    def test_a_folder_in_memory_is_found(self):
        shared = tempfile.mkdtemp(prefix="parley-doctor-", dir="/dev/shm")
        self.addCleanup(shutil.rmtree, shared)
        self.data = os.path.join(shared, "data")
        server = self.start(data=self.data)
        self.assertIn("problem", self.levels("disk", code=1))
        self.assertEqual(self.levels("sync", code=1), ["warning"])  # and so are its syncs
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    rig.parleyd, rig.parleyctl, rig.parley, rig.plant_record = sys.argv[1:5]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
