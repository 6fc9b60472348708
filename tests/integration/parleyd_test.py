#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""parleyd_test PARLEYD PARLEYCTL PARLEY PLANT_RECORD: the server and its tool as their user meets
them: started, asked, stopped, killed, started again, and given what is wrong. Real programs, free
ports, a folder of its own for each scene; waits are for conditions, with a deadline."""
import base64
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

DEADLINE = 60
PASSWORD = "a long enough password"
parleyd = parleyctl = parley = plant_record = None


def run(program, *arguments, timeout=DEADLINE, env=None):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **(env or {})})


def snapshot(folder):
    """Every file with its bytes, mode and time: what `nothing was touched` means."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(root, name)
            about = os.lstat(path)
            content = pathlib.Path(path).read_bytes() if stat.S_ISREG(about.st_mode) else b""
            found[path] = (about.st_mode, about.st_mtime_ns, content)
    return found


class Server:
    """A running parleyd; its output goes to files, so that no pipe can stop it."""

    def __init__(self, data, *arguments, listen="127.0.0.1:0", descriptors=None):
        def narrow():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
        folder = os.path.dirname(data)
        self.out, self.err = (pathlib.Path(folder, f"{name}-{time.monotonic_ns()}")
                              for name in ("out", "err"))
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [parleyd, "--data", data, "--listen", listen, "--segment-mib", "4", *arguments],
                stdout=out, stderr=err, preexec_fn=narrow)
        self.port = None

    def output(self):
        return self.out.read_text()

    def errors(self):
        return self.err.read_text()

    def wait_ready(self):
        end = time.monotonic() + DEADLINE
        while "carried over" not in self.output():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"parleyd did not start: {self.output()} {self.errors()}")
            time.sleep(0.01)
        self.port = int(re.search(r"http://\S+:(\d+) ", self.output()).group(1))
        return self

    def invite(self):
        found = re.search(r"^One-time invite: (\S+)$", self.output(), re.M)
        return found.group(1) if found else None

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()


class Scene(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="parleyd-test-")
        self.data = os.path.join(self.folder, "data")
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
        said = "".join(server.errors() for server in self.servers)
        shutil.rmtree(self.folder)
        for word in ("Sanitizer", "runtime error", "a bug:"):
            self.assertNotIn(word, said)

    def plant(self, topic, *records):
        """Append records to the log at rest; the offset of the first."""
        done = subprocess.run([plant_record, self.data, str(topic)], capture_output=True, text=True,
                              timeout=DEADLINE, input="".join(f"{line}\n" for line in records))
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    def start(self, *arguments, **options):
        server = Server(options.pop("data", self.data), *arguments, **options)
        self.servers.append(server)
        return server.wait_ready()

    def refused(self, code, *words, arguments=(), listen="127.0.0.1:0", env=None):
        done = run(parleyd, "--data", self.data, "--listen", listen, *arguments, env=env)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(word, done.stderr)
        return done.stderr

    def ctl(self, *arguments):
        return run(parleyctl, "--data", self.data, *arguments)

    def register(self, server, name, invite):
        read_end, write_end = os.pipe()
        os.write(write_end, (PASSWORD + "\n").encode())
        os.close(write_end)
        done = subprocess.run(
            [parley, "--profile", name, "register", "--server", f"http://127.0.0.1:{server.port}",
             "--invite", invite, "--username", name, "--password-fd", str(read_end)],
            capture_output=True, text=True, timeout=DEADLINE, pass_fds=[read_end],
            env={**os.environ, "HOME": self.folder, "XDG_DATA_HOME": self.folder})
        os.close(read_end)
        return done


class Life(Scene):
    def test_first_run_then_again(self):
        server = self.start()
        self.assertIn(f"Parley listens on http://127.0.0.1:{server.port} (data in {self.data})",
                      server.output())
        self.assertRegex(server.invite(), r"^[A-Za-z0-9_-]{22}$")
        self.assertIn("not end-to-end encrypted yet", server.output())
        self.assertEqual(server.get("/health"), "ok\n")
        about = json.loads(server.get("/.well-known/parley"))
        self.assertEqual((about["server_name"], about["sign_up"], about["end_to_end_encrypted"]),
                         ("localhost", "invite", False))
        for name, mode in {"": 0o700, "keys": 0o700, "keys/witness.key": 0o600, "log": 0o700,
                           "keys/server.id": 0o600, "keys/log.id": 0o600, "admin.sock": 0o600,
                           "lock": 0o600}.items():
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.data, name)).st_mode), mode,
                             name)
        self.assertEqual(server.stop(), 0)
        self.assertIn("the log is sealed", server.errors())
        self.assertFalse(os.path.exists(os.path.join(self.data, "admin.sock")))
        again = self.start()
        self.assertIsNone(again.invite())
        self.assertEqual(again.stop(signal.SIGTERM), 0)

    def test_kill_keeps_what_was_said(self):
        server = self.start()
        invites = [server.invite(), self.ctl("invite").stdout.strip()]
        for round_ in range(3):
            server.process.kill()
            server.process.wait()
            server = self.start()
            self.assertIsNone(server.invite())
            invites.append(self.ctl("invite").stdout.strip())
        server.process.kill()
        server.process.wait()
        server = self.start("--register-burst", "0")
        for i, invite in enumerate(invites):
            done = self.register(server, f"person{i}", invite)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotEqual(self.register(server, "late", invites[0]).returncode, 0)
        listed = map(json.loads, self.ctl("users", "list", "--json").stdout.splitlines())
        self.assertEqual({user["username"]: user["role"] for user in listed},
                         {f"person{i}": "owner" if i == 0 else "member" for i in range(5)})

    def test_killed_before_its_first_invite(self):
        """However early the kill, a first run ends with an invite on stdout sooner or later."""
        invite = None
        for delay in (0.0, 0.01, 0.03, 0.06, 0.1):
            server = Server(self.data)
            self.servers.append(server)
            time.sleep(delay)  # the moment of the kill, not a wait for anything
            server.process.kill()
            server.process.wait()
            invite = invite or server.invite()
        server = self.start()
        made = invite or server.invite() or self.ctl("invite", "--owner").stdout.strip()
        self.assertEqual(self.register(server, "owner", made).returncode, 0)

    def test_connections_at_stop(self):
        server = self.start("--drain-ms", "500")
        with socket.create_connection(("127.0.0.1", server.port)) as held:
            held.sendall(b"GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         b"Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef") +
                         b"\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n")
            self.assertTrue(held.recv(4096).startswith(b"HTTP/1.1 101 "))
            self.assertEqual(server.stop(), 0)
        self.assertIn("the log is sealed", server.errors())

    def test_a_crowd_and_few_descriptors(self):
        """More connections than descriptors: some are turned away, the log never lacks one."""
        server = self.start(descriptors=128)
        self.assertIn("at most 64 connections", server.errors())
        crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        for _ in range(3):
            self.assertEqual(self.ctl("invite").returncode, 0)
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertLessEqual(status["connections"], 64)
        for connection in crowd:
            connection.close()
        end = time.monotonic() + DEADLINE
        while json.loads(self.ctl("status", "--json").stdout)["connections"] > 0:
            self.assertLess(time.monotonic(), end)
        self.assertEqual(server.get("/health"), "ok\n")
        self.assertEqual(server.stop(), 0)

    def test_two_shards(self):
        server = self.start("--shards", "2")
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
        for connection in held:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for connection in held:
            self.assertIn(b"200 OK", connection.recv(4096))
            connection.close()
        invites = server.invite(), self.ctl("invite").stdout.strip()
        for name, invite in zip(("anna", "otto"), invites):
            done = self.register(server, name, invite)
            self.assertEqual(done.returncode, 0, done.stderr)
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertEqual((status["shards"], status["read_only"]), (2, None))
        self.assertEqual(server.stop(), 0)
        self.assertEqual(len(self.list_users_of_a_new_server().splitlines()), 2)

    def list_users_of_a_new_server(self):
        self.start()
        return self.ctl("users", "list", "--json").stdout


class Refusals(Scene):
    def test_second_server_on_the_same_data(self):
        server = self.start()
        self.refused(1, "is in use by process", str(server.process.pid))
        self.assertEqual(server.get("/health"), "ok\n")
        self.assertEqual(self.ctl("invite").returncode, 0)

    def test_taken_port(self):
        server = self.start()
        self.data = os.path.join(self.folder, "other")
        self.refused(1, "cannot listen on port", "in use", listen=f"127.0.0.1:{server.port}")

    def test_newer_folder(self):
        os.mkdir(self.data, 0o755)
        with open(os.path.join(self.data, "format"), "w") as file:
            file.write("parley-data 2\n")
        before = snapshot(self.folder)
        self.refused(1, "newer version", "format 2", "nothing was changed")
        self.assertEqual(snapshot(self.folder), before)
        self.assertEqual(self.ctl("check").returncode, 1)
        self.assertEqual(snapshot(self.folder), before)

    def test_log_of_a_newer_program(self):
        """A VERSION record with 2, or a record that begins with byte 2: nobody steps over it."""
        for record, what in (("0142020802", "fold"), ("02ff", "record")):
            self.data = os.path.join(self.folder, what)
            self.start().stop()
            known = self.plant(1, "0142020801")
            server = self.start()
            owner = server.invite() or self.ctl("invite").stdout.strip()
            self.assertEqual(self.register(server, what, owner).returncode, 0)
            self.assertEqual(json.loads(self.ctl("status", "--json").stdout)["unreadable"], 0)
            server.stop()
            offset = self.plant(2, record, "01ff")
            self.assertGreater(offset, known)
            log = os.path.join(self.data, "log")
            before = {path: content for path, (_, _, content) in snapshot(log).items()
                      if path.endswith(".seg")}
            for _ in range(2):
                self.refused(1, f"parleyd: the log goes on with {what} version 2 at offset "
                             f"{offset}; this parleyd knows 1. Nothing was changed. Start the "
                             "newer parleyd")
                after = snapshot(log)
                self.assertEqual({path: after[path][2] for path in before}, before)
                self.assertFalse(os.path.exists(os.path.join(self.data, "quarantine")))

    def test_nonsense_for_a_format(self):
        self.start().stop()
        pathlib.Path(self.data, "format").write_text("nonsense")
        self.refused(1, "format is not what parleyd writes")

    def test_folder_of_something_else(self):
        os.mkdir(self.data, 0o755)
        pathlib.Path(self.data, "letter.txt").write_text("dear")
        before = snapshot(self.folder)
        self.refused(1, "something else")
        self.assertEqual(snapshot(self.folder), before)

    def test_log_is_gone(self):
        """A disk that is not mounted is no first start: no invite, no new log, nothing touched."""
        server = self.start()
        invite = server.invite()
        server.stop()
        log, away = os.path.join(self.data, "log"), os.path.join(self.folder, "away")
        os.rename(log, away)
        for mount_point in (False, True):
            if mount_point:
                os.mkdir(log, 0o700)
            before = snapshot(self.data)
            said = self.refused(1, "the log is gone from", "nothing was changed", "begin anew")
            self.assertNotIn("invite", said)
            lock = os.path.join(self.data, "lock")
            self.assertEqual({k: v for k, v in snapshot(self.data).items() if k != lock},
                             {k: v for k, v in before.items() if k != lock})
            verify = self.ctl("log", "verify")
            self.assertEqual(verify.returncode, 1)
            self.assertIn("the log of this server is not here", verify.stderr)
            self.assertEqual(self.ctl("check").returncode, 1)
        os.rmdir(log)
        os.rename(away, log)
        server = self.start()
        self.assertIsNone(server.invite())
        self.assertEqual(self.register(server, "owner", invite).returncode, 0)
        self.assertEqual(server.stop(), 0)

    def test_log_of_another_server(self):
        self.start().stop()
        other = os.path.join(self.folder, "other")
        self.start(data=other).stop()
        log, away = os.path.join(self.data, "log"), os.path.join(self.folder, "away")
        os.rename(log, away)
        shutil.copytree(os.path.join(other, "log"), log)
        before = snapshot(log)
        self.refused(1, "is the log of another server", "mount or restore the right one",
                     "to begin anew on purpose")
        self.assertEqual(snapshot(log), before)
        self.assertEqual(self.ctl("log", "verify").returncode, 1)
        shutil.rmtree(log)
        os.rename(away, log)
        self.assertIsNone(self.start().invite())

    def test_folder_of_before_the_log_was_noted(self):
        noted = os.path.join(self.data, "keys", "log.id")
        self.start().stop()
        was = pathlib.Path(noted).read_bytes()
        os.remove(noted)
        server = self.start()
        self.assertIsNone(server.invite())
        server.process.kill()
        server.process.wait()
        self.assertEqual((len(was), pathlib.Path(noted).read_bytes()), (16, was))
        shutil.rmtree(os.path.join(self.data, "log"))
        self.refused(1, "the log is gone from")
        pathlib.Path(noted).write_bytes(b"short")
        self.refused(1, "a file in", "is broken")

    def test_data_is_a_file_or_cannot_be_made(self):
        pathlib.Path(self.data).write_text("x")
        self.refused(1, "cannot be opened")
        self.data = os.path.join(self.folder, "not", "there")
        self.refused(1, "cannot be made")

    def test_other_addresses(self):
        for listen in ("0.0.0.0:0", "[::]:0", "10.1.2.3:80"):
            self.refused(2, "without a certificate", "command line --listen", listen=listen)
        self.assertFalse(os.path.exists(self.data))

    def test_corrupt_configuration(self):
        path = os.path.join(self.folder, "parley.conf")
        with open(path, "w") as file:
            file.write("# a comment\n[server]\nshards = many\nlisten = 0.0.0.0:1\n\n"
                       "this is nothing\n  sahrds = 3\n[limits]\nconnections = 1\n"
                       "connections = 5000\nname = x\n[unfinished\n[accounts]\nsign_up = maybe\n"
                       "= 3\nmembers_invite = on ; fine\n" + "long = " + "x" * 5000 + "\n")
        text = self.refused(2, arguments=("--config", path, "--check", "--nonsense", "1"),
                            listen="127.0.0.1:x", env={"PARLEY_CACHE_MIB": "-3"})
        for where in (f"{path}:3: shards = 'many' is not a whole number",
                      f"{path}:6: this is neither", f"{path}:7: there is no setting 'sahrds'",
                      f"{path}:9: connections = '1' is too small",
                      f"{path}:10: connections stands here again, after line 9",
                      f"{path}:11: name does not belong to [limits]. Put it under [server]",
                      f"{path}:12: this is neither", f"{path}:14: sign_up = 'maybe'",
                      f"{path}:15: ", f"{path}:17: the line is longer",
                      "environment PARLEY_CACHE_MIB: cache_mib = '-3'",
                      "there is no flag --nonsense",
                      "command line --listen: listen = '127.0.0.1:x' is no address"):
            self.assertIn(where, text)
        self.assertNotIn(f"{path}:16", text)
        self.assertIn(f"{len(text.splitlines()) - 1} errors in the settings; nothing was started",
                      text)
        self.assertFalse(os.path.exists(self.data))

    def test_garbage_for_a_configuration(self):
        path = os.path.join(self.folder, "parley.conf")
        for content in (os.urandom(4096), b"\0" * 300, b"[" * 1000, b"=\n" * 1000, b"\xff" * 198):
            pathlib.Path(path).write_bytes(content)
            done = subprocess.run([parleyd, "--data", self.data, "--config", path],
                                  capture_output=True, timeout=DEADLINE)
            self.assertEqual(done.returncode, 2, done.stderr)

    def test_configuration_that_cannot_be_opened(self):
        path = self.folder + "/none"
        text = self.refused(2, f"the file {path}: it cannot be opened: No such file",
                            arguments=("--config", path, "--check"))
        self.assertNotIn(f"{path}:0", text)
        self.refused(2, "cannot be read to its end", arguments=("--config", self.folder))

    def test_sections_without_settings(self):
        path = os.path.join(self.folder, "parley.conf")
        for content, place, words in (
                ("[servers]\n", 1, "there is no section [servers]. Write one of [server], "),
                ("[server]\n\n  [Rates] ; no\n[limits]\n", 3, "there is no section [Rates]"),
                ("[]\n", 1, "there is no section []"),
                ("[server] shards = 2\n", 1, "something stands behind [server]")):
            pathlib.Path(path).write_text(content)
            text = self.refused(2, f"{path}:{place}: {words}", arguments=("--config", path,
                                                                           "--check"))
            self.assertIn("1 error in the settings", text)
        pathlib.Path(path).write_text("[server] # all\n[rates]\n[times];\n")
        done = run(parleyd, "--data", self.data, "--config", path, "--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_flags(self):
        self.refused(2, "'extra' is not understood", arguments=("extra",))
        self.refused(2, "--shards has no value", arguments=("--shards",))
        self.refused(2, "--config has no value", arguments=("--config",))

    def test_texts(self):
        for flag, word in (("--help", "127.0.0.1:8787"), ("--version", "parleyd "),
                           ("--help-config", "PARLEY_SHARDS"), ("--sample-config", "#shards = 1"),
                           ("--limits", "FRAME_BYTES_MAX = 1048576"),
                           ("--limits", "CLIENT_OUTBOX_MAX = 1024: ")):
            done = run(parleyd, flag)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(word, done.stdout)
        told = re.findall(r"^(CLIENT_\w+) = ", run(parleyd, "--limits").stdout, re.M)
        source = pathlib.Path(__file__).parents[2] / "src/client/client.h"
        self.assertEqual(told, re.findall(r"^#define (CLIENT_\w+) ", source.read_text(), re.M))
        path = os.path.join(self.folder, "sample.conf")
        for comment in (True, False):
            text = run(parleyd, "--sample-config").stdout
            if not comment:
                text = re.sub(r"^#(\w+ =)", r"\1", text, flags=re.M)
            pathlib.Path(path).write_text(text)
            done = run(parleyd, "--data", self.data, "--config", path, "--check")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertFalse(os.path.exists(self.data))


class Operator(Scene):
    def test_without_a_server(self):
        for words in (("invite",), ("status",), ("users", "list")):
            done = self.ctl(*words)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn(self.data, done.stderr)
        self.start().stop()
        for words in (("invite",), ("status",), ("users", "list")):
            done = self.ctl(*words)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn("no parleyd runs", done.stderr)
        self.assertEqual(self.ctl("check").returncode, 0)
        self.assertEqual(self.ctl("log", "verify").returncode, 0)

    def test_usage(self):
        for words in ((), ("nothing",), ("users",), ("--none",), ("log", "verify", "x"),
                      ("status", "--data")):
            self.assertEqual(self.ctl(*words).returncode, 2, words)
        self.assertEqual(self.ctl("--help").returncode, 0)
        self.assertEqual(self.ctl("--version").returncode, 0)

    def test_status_and_check(self):
        server = self.start()
        status = json.loads(self.ctl("status", "--json").stdout)
        self.assertEqual((status["pid"], status["log_end"], status["lag"], status["read_only"]),
                         (server.process.pid, 1, 0, None))
        self.assertRegex(self.ctl("status").stdout, r"read_only +no\n")
        secret = self.ctl("invite")
        self.assertRegex(secret.stdout, r"^[A-Za-z0-9_-]{22}\n$")
        self.assertEqual(json.loads(self.ctl("status", "--json").stdout)["log_end"], 2)
        self.assertEqual(self.ctl("check").returncode, 0)
        self.assertEqual(self.ctl("log", "verify").returncode, 1)
        os.chmod(os.path.join(self.data, "keys/witness.key"), 0o644)
        self.assertEqual(self.ctl("check").returncode, 1)

    def test_records_that_nobody_can_read(self):
        """They are left out aloud: a line, a copy, a count; all else goes on."""
        self.start().stop()
        large = "01" + "ee" * (262144 - 1)
        offset = self.plant(1, "01ff")
        self.assertEqual(self.plant(2, large, "0142020801", "01", ""), offset + 1)
        self.plant(9, "01")
        copies = {f"{offset + at:016x}.rec": bytes.fromhex(content)
                  for at, content in ((0, "01ff"), (1, large), (3, "01"), (4, ""), (5, "01"))}
        folder = pathlib.Path(self.data, "quarantine")
        for round_ in range(3):
            server = self.start()
            self.assertEqual({path.name: path.read_bytes() for path in folder.iterdir()}, copies)
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
            said = [line for line in server.errors().splitlines() if "cannot be read" in line]
            text = (rf"parleyd: ALARM: record at offset {offset + 5} of topic unknown cannot be "
                    r"read \(no record, 1 bytes\), and 4 before it; it was left out; a copy is in "
                    rf"{folder}/{offset + 5:016x}.rec") if round_ != 1 else ""  # known
            self.assertRegex("\n".join(said), f"^{text}$")
            status = json.loads(self.ctl("status", "--json").stdout)
            told = [status[f"unreadable{name}"] for name in ("", "_last", "_kept")]
            self.assertEqual(told, [5, f"unknown {offset + 5}", 5] if text else [0, "none", 5])
            done = self.register(server, f"person{round_}", self.ctl("invite").stdout.strip())
            self.assertEqual(done.returncode, 0, done.stderr)
            server.stop()
            if round_ == 1:  # one is lost, one is another's; with the rows built anew both are made
                shutil.rmtree(os.path.join(self.data, "store"))
                (folder / f"{offset:016x}.rec").unlink()
                (folder / f"{offset + 1:016x}.rec").write_bytes(b"of another log")

    def test_clients_that_say_nothing(self):
        """An operator's client may sleep, babble or leave; the server goes on."""
        server = self.start()
        address = os.path.join(self.data, "admin.sock")
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(address)
        began = time.monotonic()
        self.assertEqual(server.get("/health"), "ok\n")
        self.assertLess(time.monotonic() - began, 4)
        silent.close()
        for said in (b"x" * 4096, b"\n", b"nothing\n", b"users zz\n", b"users " + b"f" * 500):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(DEADLINE)
                client.connect(address)
                try:
                    client.sendall(said)
                    heard = client.recv(4096)
                except OSError:
                    heard = b"error"  # it hung up on us
                self.assertTrue(heard == b"" or heard.startswith(b"error"), (said, heard))
        self.assertEqual(self.ctl("status").returncode, 0)
        self.assertEqual(server.stop(), 0)

    def test_damage_makes_it_read_only(self):
        server = self.start()
        for _ in range(20):
            self.ctl("invite")
        server.process.kill()  # after a clean stop the next start need not read what is applied
        server.process.wait()
        segment = os.path.join(self.data, "log", "0" * 16 + ".seg")
        with open(segment, "r+b") as file:
            file.seek(4096 + 4096 * 3 + 40)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0x10]))
        before = snapshot(self.data)
        verify = self.ctl("log", "verify")
        self.assertEqual(verify.returncode, 1, verify.stdout)
        self.assertEqual(self.ctl("check").returncode, 1)
        lock = os.path.join(self.data, "lock")
        self.assertEqual({k: v for k, v in snapshot(self.data).items() if k != lock},
                         {k: v for k, v in before.items() if k != lock})
        server = self.start()
        self.assertIn("ALARM", server.errors())
        self.assertEqual(server.get("/health"), "ok\n")
        status = self.ctl("status", "--json")
        self.assertEqual(status.returncode, 1)
        told = json.loads(status.stdout)["read_only"]
        for text in (server.errors(), verify.stdout, told):
            self.assertIn("parleyctl recover", text)
        refused = self.ctl("invite")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    parleyd, parleyctl, parley, plant_record = sys.argv[1:5]
    unittest.main(argv=sys.argv[:1] + sys.argv[5:])
