#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The newcomer's path with the real programs: parleyd, parleyctl and parley in a folder of their
own, on a free port. Everything waits for a condition with a deadline; nothing sleeps for luck.

usage: talk_cli_test.py PARLEYD PARLEYCTL PARLEY [unittest arguments]"""
import json
import os
import pty
import queue
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

PARLEYD, PARLEYCTL, PARLEY = (os.path.abspath(path) for path in sys.argv[1:4])
PASSWORD = "correct horse battery staple"
DEADLINE_S = 60
OK, FAILURE, USAGE, NETWORK, AUTH, IDENTITY, PARTLY = range(7)
EXITS = ["ok", "failure", "usage", "network", "auth", "identity", "partly"]
TICKS = ["clock", "sent", "delivered", "read"]

# The schema, version 1: what each kind of line carries. A key that goes or changes its type breaks
# somebody's script: add to it, or raise "v".
SCHEMA = {
    "account": {"username": str, "user_id": "id", "device_id": "id", "server": str},
    "tick": {"chat_id": "id", "mid": "id", "tick": str, "time": "time", "to?": str, "cseq?": int},
    "message": {"chat_id": "id", "with": str, "mid": "id", "from": str, "user_id": "id",
                "device_id": "id", "time": "time", "text": str, "readable": bool, "own": bool,
                "cseq?": int, "tick?": str},
    "system": {"chat_id": "id", "with": str, "cseq": int, "from": str, "user_id": "id",
               "time": "time", "text": str, "mid?": "id", "device_id?": "id"},
    "chat": {"chat_id": "id", "with": str, "head": int, "unread": int, "read_upto": int,
             "time?": "time"},
    "read": {"chat_id": "id", "read_upto": int, "head": int},
    "device": {"device_id": "id", "name": str, "this_device": bool, "added_n": int},
    "signed_out": {"device_id": "id"},
    "invite": {"secret": str, "uses": int, "days": int},
    "password": {"changed": bool},
    "error": {"error": str, "exit": int, "text": str, "code?": str, "retry_ms?": int},
    "version": {"version": str, "schema": int, "protocol": int, "encrypts": bool},
}
FORMS = {"id": r"[0-9a-f]{32}", "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"}


def check_schema(line):
    """The line as a dict, if it holds the schema."""
    found = json.loads(line)
    fields = {"v": int, "type": str, **{k.rstrip("?"): v for k, v in
                                        SCHEMA[found["type"]].items()}}
    needed = {"v", "type"} | {k for k in SCHEMA[found["type"]] if not k.endswith("?")}
    assert found["v"] == 1, line
    assert needed <= set(found) <= set(fields), f"{sorted(found)} in {line}"
    for name, value in found.items():
        form = fields[name]
        if isinstance(form, str):
            assert re.fullmatch(FORMS[form], value), f"{name} in {line}"
        else:
            assert type(value) is form, f"{name} in {line}"
    return found


def until(condition, what, deadline_s=DEADLINE_S):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


class Talk:
    """A running `parley`, whose lines of JSON come in one by one."""

    def __init__(self, world, profile, *arguments, schema=True):
        self.lines, self.seen, self.errors = queue.Queue(), [], []
        self.process = subprocess.Popen([PARLEY, "--profile", profile, *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=world.env)
        world.processes.append(self.process)
        self.schema = schema
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _listen(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def drain(self):
        while not self.lines.empty():
            line = self.lines.get()
            if line is not None:
                self.seen.append(check_schema(line) if self.schema else line)
        return self.seen

    def until(self, condition, what):
        return until(lambda: condition(self.drain()), f"{what}; stderr: {self.errors}")

    def end(self):
        self.process.stdin.close()
        return self.process.wait(DEADLINE_S)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)


class Terminal:
    """A `parley` at a terminal of its own, and what is on the screen."""

    def __init__(self, world, *arguments):
        self.screen = bytearray()
        self.child, self.here = pty.fork()
        if self.child == 0:
            os.execve(PARLEY, [PARLEY, *arguments], world.env)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                self.screen.extend(os.read(self.here, 65536))
        except OSError:
            pass

    def shows(self, text):
        until(lambda: text.encode() in bytes(self.screen), f"{text!r} in {bytes(self.screen)!r}")

    def types(self, keys):
        os.write(self.here, keys)

    def modes(self):
        """Whether it takes whole lines, and whether it echoes."""
        flags = termios.tcgetattr(self.here)[3]
        return bool(flags & termios.ICANON), bool(flags & termios.ECHO)

    def ends(self):
        """Its exit code; minus a signal's number."""
        ended = []

        def over():
            if not ended:
                pid, status = os.waitpid(self.child, os.WNOHANG)
                ended.extend([status] if pid else [])
            return ended
        until(over, f"its end; it showed {bytes(self.screen)!r}")
        return os.waitstatus_to_exitcode(ended[0])


class World:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="parley-talk-")
        self.data = os.path.join(self.folder.name, "server")
        self.env = {**os.environ, "XDG_DATA_HOME": os.path.join(self.folder.name, "home"),
                    "LC_ALL": "C.UTF-8"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server, self.processes = None, []
        self.log = open(os.path.join(self.folder.name, "parleyd.log"), "a+")
        self.start()

    def start(self, *arguments):
        self.server = subprocess.Popen([PARLEYD, "--data", self.data, "--listen",
                                        f"127.0.0.1:{self.port}", *arguments], stdout=self.log,
                                       stderr=self.log, env=self.env)

        def answers():
            if self.server.poll() is not None:
                self.log.seek(0)
                raise AssertionError(f"parleyd: {self.server.returncode} " + self.log.read())
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        until(answers, "parleyd listens")

    def kill(self):
        self.server.kill()
        self.server.wait()

        def refuses():  # the kernel ends the rings of a process a moment after it
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) != 0
        until(refuses, "the port is free")

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()
        self.kill()
        self.log.close()
        self.folder.cleanup()

    def ctl(self, *arguments):
        return subprocess.run([PARLEYCTL, "--data", self.data, *arguments], capture_output=True,
                              text=True, timeout=DEADLINE_S, env=self.env, check=True).stdout

    def parley(self, profile, *arguments, expect=OK, password=None, stdin=""):
        command = [PARLEY, "--profile", profile, *arguments]
        fds = ()
        if password is not None:
            reader, writer = os.pipe()
            os.write(writer, (password + "\n").encode())
            os.close(writer)
            command += ["--password-fd", str(reader)]
            fds = (reader,)
        done = subprocess.run(command, capture_output=True, text=True, pass_fds=fds, input=stdin,
                              timeout=DEADLINE_S, env=self.env)
        for fd in fds:
            os.close(fd)
        if done.returncode != expect:
            raise AssertionError(f"{command[1:]}: exit {done.returncode}, not {expect}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def json(self, profile, *arguments, **options):
        done = self.parley(profile, *arguments, "--json", **options)
        return [check_schema(line) for line in done.stdout.splitlines()]

    def fails(self, profile, *arguments, expect, **options):
        """What the one JSON error says of a command that must fail; other lines may precede it."""
        done = self.parley(profile, *arguments, "--json", expect=expect, **options)
        *before, error = [check_schema(line) for line in done.stdout.splitlines()]
        assert error["type"] == "error" and error["exit"] == expect, done.stdout
        assert "error" not in [line["type"] for line in before], done.stdout
        assert EXITS[expect] == error["error"], done.stdout
        assert all(part in done.stderr for part in re.split(r"; |: ", error["text"])), done.stderr
        return error

    def register(self, name, invite, **options):
        return self.parley(name, "register", "--server", self.url, "--invite", invite,
                           "--username", name, password=options.pop("password", PASSWORD),
                           **options)

    def messages(self, profile, other):
        return [line for line in self.json(profile, "history", other, "--limit", "100000")
                if line["type"] == "message"]


class TalkTest(unittest.TestCase):
    def setUp(self):
        self.world = World()
        self.addCleanup(self.world.close)

    def sign_up_both(self):
        self.world.register("alice", self.world.ctl("invite", "--owner").strip())
        invite = self.world.parley("alice", "invite").stdout.strip()
        self.world.register("bob", invite)

    def same_story(self):
        """Both sides tell the same messages, each once, in one order."""
        stories = [[(m["cseq"], m["mid"], m["from"], m["text"]) for m in
                    self.world.messages(*pair)] for pair in (("alice", "@bob"), ("bob", "@alice"))]
        self.assertEqual(stories[0], stories[1])
        numbers, mids = [m[0] for m in stories[0]], [m[1] for m in stories[0]]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(len(mids), len(set(mids)))
        return stories[0]

    def test_the_newcomers_path(self):
        world = self.world
        self.sign_up_both()
        receiver = Talk(world, "bob", "receive", "--follow", "--json")
        ticks = world.json("alice", "send", "@bob", "-m", "hello", "--wait", "delivered",
                           "--timeout", "30")
        self.assertEqual([t["tick"] for t in ticks], ["clock", "sent", "delivered"])
        came = receiver.until(lambda seen: seen, "bob receives")[0]
        self.assertEqual((came["text"], came["from"], came["mid"]),
                         ("hello", "alice", ticks[0]["mid"]))
        receiver.stop()
        world.parley("bob", "send", "alice", "-m", "-", stdin="from a pipe\nwith two lines\n")
        self.assertEqual([m[3] for m in self.same_story()],
                         ["hello", "from a pipe\nwith two lines"])
        self.assertEqual(world.json("alice", "chats")[0]["unread"], 1)
        self.assertEqual(world.json("bob", "chats")[0]["unread"], 1)
        world.json("bob", "read", "@alice")
        self.assertEqual(world.json("bob", "chats")[0]["unread"], 0)
        self.assertEqual(world.messages("alice", "@bob")[0]["tick"], "read")
        self.assertEqual(len(world.json("alice", "history", "@bob", "--limit", "1")), 1)
        device, = world.json("alice", "devices")
        self.assertTrue(device["this_device"])
        text = world.parley("alice", "history", "@bob").stdout
        self.assertRegex(text, r"✓✓ you: hello\n")
        self.assertEqual(world.json("alice", "receive")[0]["text"], "from a pipe\nwith two lines")
        self.assertEqual(world.json("alice", "receive"), [])

    def test_wait_for_read_and_several_receivers(self):
        world = self.world
        self.sign_up_both()
        world.register("carol", world.parley("bob", "invite").stdout.strip())
        talk = Talk(world, "bob", "chat", "@alice", "--json")
        ticks = world.json("alice", "send", "@bob", "-m", "seen?", "--wait", "read",
                           "--timeout", "30")
        self.assertEqual(ticks[-1]["tick"], "read")
        self.assertEqual(talk.end(), OK)
        done = world.parley("alice", "send", "@bob", "@carol", "-m", "both")
        self.assertEqual(done.stdout.count("sent\n"), 2)
        world.parley("alice", "send", "@bob", "@nobody.here", "-m", "one of two", expect=PARTLY)
        self.assertEqual(world.json("carol", "receive")[0]["text"], "both")

    def test_refusals_have_their_exit_codes(self):
        world = self.world
        refused = world.register("alice", "wrong-invite", expect=AUTH).stderr
        self.assertIn("invite", refused)
        self.sign_up_both()
        world.register("again", world.parley("alice", "invite").stdout.strip(), expect=OK)
        again = ["--server", world.url, "--username", "alice"]
        self.assertIn("password", world.parley("other", "login", *again, expect=AUTH,
                                               password="wrong wrong wrong").stderr)
        self.assertIn("is signed in", world.parley("alice", "register", *again, expect=USAGE,
                                                   password=PASSWORD).stderr)
        self.assertIn("no such username", world.parley("alice", "send", "@nobody.here", "-m", "x",
                                                       expect=USAGE).stderr)
        self.assertIn("nobody is signed in", world.parley("new", "chats", expect=AUTH).stderr)
        for url in ("http://10.0.0.1:8787", "https://a/b", "nonsense"):
            world.parley("new", "register", "--server", url, "--username", "x", expect=USAGE,
                         password=PASSWORD)
        self.assertIn("16 KiB", world.parley("alice", "send", "@bob", "-m", "-", expect=USAGE,
                                             stdin="x" * 16385).stderr)
        world.parley("alice", "send", "@bob", "-m", "-", stdin="x" * 16384)

    def test_a_profile_is_opened_once(self):
        world = self.world
        self.sign_up_both()
        receiver = Talk(world, "bob", "receive", "--follow", "--json")
        world.parley("alice", "send", "@bob", "-m", "one", "--wait", "delivered", "--timeout", "30")
        refused = world.parley("bob", "send", "@alice", "-m", "x", expect=FAILURE).stderr
        self.assertIn(f"another parley uses this profile (process {receiver.process.pid})", refused)
        self.assertEqual([m["text"] for m in world.messages("bob", "@alice")], ["one"])
        receiver.stop()
        world.parley("bob", "send", "@alice", "-m", "x")

    def test_without_a_server_a_message_is_kept(self):
        world = self.world
        self.sign_up_both()
        world.parley("alice", "send", "@bob", "-m", "first")
        world.kill()
        kept = world.parley("alice", "send", "@bob", "-m", "kept", expect=NETWORK)
        self.assertIn("is kept on this device", kept.stderr)
        self.assertIn("is parleyd running", kept.stderr)
        self.assertEqual([m["tick"] for m in world.messages("alice", "@bob")], ["sent", "clock"])
        world.parley("bob", "devices", expect=NETWORK)
        world.start()
        world.parley("alice", "send", "@bob", "-m", "third")
        self.assertEqual([m[3] for m in self.same_story()], ["first", "kept", "third"])
        world.parley("bob", "receive")

    def test_a_broken_identity_gets_nothing(self):
        world = self.world
        self.sign_up_both()
        world.parley("alice", "send", "@bob", "-m", "before")
        rows = sqlite3.connect(os.path.join(world.env["XDG_DATA_HOME"],
                                            "parley/alice/rows.sqlite"))
        for key, value in rows.execute("SELECT key, value FROM rows WHERE tbl = 4").fetchall():
            if b"\x0a\x03bob" in value: # broken = 6 comes before devices = 7
                at = value.index(b"\x3a\x34")
                rows.execute("UPDATE rows SET value = ? WHERE tbl = 4 AND key = ?",
                             (value[:at] + b"\x30\x01" + value[at:], key))
        rows.commit()
        rows.close()
        refused = world.parley("alice", "send", "@bob", "-m", "after", expect=IDENTITY).stderr
        self.assertIn("another identity for @bob", refused)
        self.assertEqual([m["text"] for m in world.json("bob", "receive")], ["before"])

    def test_devices_and_sign_out(self):
        world = self.world
        self.sign_up_both()
        world.parley("alice", "send", "@bob", "-m", "before")
        world.parley("bob2", "login", "--server", world.url, "--username", "bob",
                     "--device-name", "second", password=PASSWORD)
        self.assertEqual([m["text"] for m in world.messages("bob2", "@alice")], ["before"])
        names = {d["name"]: d["device_id"] for d in world.json("bob", "devices")}
        self.assertEqual(len(names), 2)
        follower = Talk(world, "bob2", "receive", "--follow", "--json")
        follower.until(lambda seen: seen, "bob2 is connected")
        gone, = world.json("bob", "devices", "rm", names["second"][:8])
        self.assertEqual((gone["type"], gone["device_id"]), ("signed_out", names["second"]))
        self.assertEqual(follower.process.wait(DEADLINE_S), AUTH)
        world.parley("bob2", "chats", expect=AUTH)
        world.parley("bob", "devices", "rm", names["second"], expect=USAGE)

    def test_password(self):
        world = self.world
        self.sign_up_both()
        done, = world.json("alice", "password", password=f"{PASSWORD}\nanother good long password")
        self.assertTrue(done["changed"])
        login = ["login", "--server", world.url, "--username", "alice"]
        world.parley("alice2", *login, password=PASSWORD, expect=AUTH)
        world.parley("alice2", *login, password="another good long password")

    def test_a_conversation_survives_kill_9(self):
        world = self.world
        self.sign_up_both()
        talks = {"alice": Talk(world, "alice", "chat", "@bob", "--json"),
                 "bob": Talk(world, "bob", "chat", "@alice", "--json")}
        said = {"alice": [], "bob": []}

        def own_ticks(name, at_least):
            best = {}
            for line in talks[name].drain():
                if line["type"] == "tick" or (line["type"] == "message" and line["own"]):
                    best[line["mid"]] = max(best.get(line["mid"], 0), TICKS.index(line["tick"]))
            return [mid for mid, tick in best.items() if tick >= at_least]

        for cycle in range(3):
            for i in range(40):
                for name, talk in talks.items():
                    said[name].append(f"{name} {cycle} {i}")
                    talk.say(said[name][-1])
            for name in talks: # in mid-conversation: some are ✓, some are not
                until(lambda: len(own_ticks(name, 1)) > cycle * 40 + 5, f"some ✓ of {name}")
            world.kill()
            world.start()
        for name in talks:
            until(lambda: len(own_ticks(name, 2)) == len(said[name]), f"all ✓✓ of {name}")
        for talk in talks.values():
            self.assertEqual(talk.end(), OK)
        story = self.same_story()
        self.assertEqual(sorted(m[3] for m in story), sorted(said["alice"] + said["bob"]))
        for name in talks: # what one says stays in the order it was said
            self.assertEqual([m[3] for m in story if m[2] == name], said[name])
            shown = [m["mid"] for m in talks[name].seen if m["type"] == "message"]
            self.assertEqual(shown, [m[1] for m in story])

    def test_a_killed_client_loses_and_doubles_nothing(self):
        world = self.world
        self.sign_up_both()
        receiver = Talk(world, "bob", "receive", "--follow", "--json")
        kept, printed = [], []
        for cycle in range(3):
            talk = Talk(world, "alice", "chat", "@bob", "--json")
            for i in range(15):
                talk.say(f"{cycle} {i}")
            talk.until(lambda seen: sum(line["type"] == "tick" for line in seen) > 5, "ticks")
            talk.process.kill()
            talk.process.wait()
            kept += [line["mid"] for line in talk.drain() if line["type"] == "tick"]
            receiver.process.kill()
            receiver.process.wait()
            printed += receiver.drain()
            receiver = Talk(world, "bob", "receive", "--follow", "--json")
        world.parley("alice", "send", "@bob", "-m", "last", "--wait", "delivered",
                     "--timeout", "30")
        receiver.until(lambda seen: seen and seen[-1]["text"] == "last", "bob has the last")
        receiver.stop()
        printed += receiver.drain()
        story = self.same_story()
        self.assertLessEqual(set(kept), {m[1] for m in story}) # what had a tick is there
        self.assertEqual(len({m[3] for m in story}), len(story)) # and once
        self.assertEqual({m["mid"] for m in printed}, {m[1] for m in story}) # at least once

    def test_chat_at_a_terminal(self):
        world = self.world
        self.sign_up_both()
        follower = Talk(world, "bob", "receive", "--follow", "--json")
        chat = Terminal(world, "--profile", "alice", "chat", "@bob")
        shows = chat.shows
        shows("Ctrl-D ends it")
        self.assertEqual(chat.modes(), (False, False)) # key by key
        chat.types("helö\x7fo\r".encode())
        shows("you: helo")
        shows("✓✓ delivered")
        follower.until(lambda seen: seen and seen[0]["text"] == "helo", "bob sees it")
        follower.stop()
        world.parley("bob", "send", "@alice", "-m", "an \x1b[31mescape")
        shows("an ␛[31mescape")
        chat.types(b"\x04")
        self.assertEqual(chat.ends(), OK)
        self.assertEqual(chat.modes(), (True, True))

    def test_a_signal_puts_the_terminal_right(self):
        world = self.world
        self.sign_up_both()
        world.parley("alice", "send", "@bob", "-m", "first")
        for stop in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            chat = Terminal(world, "--profile", "alice", "chat", "@bob")
            chat.shows("Ctrl-D ends it")
            chat.types(b"not sent")
            chat.shows("> not sent")
            self.assertEqual(chat.modes(), (False, False))
            os.kill(chat.child, stop)
            self.assertEqual(chat.ends(), -stop)
            self.assertEqual(chat.modes(), (True, True))
        ask = Terminal(world, "--profile", "alice", "password")
        ask.shows(": ")
        until(lambda: ask.modes() == (True, False), "no echo")
        os.kill(ask.child, signal.SIGTERM)
        self.assertEqual(ask.ends(), -signal.SIGTERM)
        self.assertEqual(ask.modes(), (True, True))
        self.assertEqual([m["text"] for m in world.messages("alice", "@bob")], ["first"])

    def test_the_same_by_io_uring(self):
        world = self.world
        world.kill()
        world.start("--net-backend", "io_uring")  # or by epoll, where the kernel refuses
        self.assertRegex(world.ctl("status"), r"net_backend +(io_uring|epoll)\n")
        self.sign_up_both()
        world.parley("alice", "send", "@bob", "-m", "by rings")
        self.assertEqual([m["text"] for m in world.messages("bob", "@alice")], ["by rings"])
        world.kill()
        world.start("--net-backend", "io_uring")  # its port is not held by the one before
        self.assertEqual([m["text"] for m in world.messages("alice", "@bob")], ["by rings"])

    def test_another_server_gets_nothing(self):
        world = self.world
        self.sign_up_both()
        world.parley("alice", "send", "@bob", "-m", "before")
        world.kill()
        world.start("--name", "other.example")
        words = 'this server is "other.example", not "localhost": it was told nothing'
        refused = world.parley("alice", "send", "@bob", "-m", "kept", expect=IDENTITY).stderr
        self.assertIn(words, refused)
        self.assertIn("is kept on this device", refused)
        self.assertIn(words, world.parley("bob", "receive", expect=IDENTITY).stderr)
        self.assertIn(words, world.parley("bob", "receive", "--follow", "--timeout", "1",
                                          expect=NETWORK).stderr)
        looked = world.parley("alice", "history", "@bob")
        self.assertIn(words, looked.stderr)
        self.assertIn("this is what is on this device", looked.stderr)
        self.assertIn("kept", looked.stdout)
        chat = Terminal(world, "--profile", "alice", "chat", "@bob")
        chat.shows(words)
        self.assertNotIn(b"busy", chat.screen)
        world.kill()
        world.start()
        chat.shows("connected again")
        chat.shows("you: kept")
        chat.types(b"\x04")
        self.assertEqual(chat.ends(), OK)
        self.assertEqual([m["text"] for m in world.json("bob", "receive")], ["before", "kept"])

    def test_words_about_itself(self):
        world = self.world
        version, = world.json("none", "version")
        self.assertFalse(version["encrypts"])
        self.assertIn("not end-to-end encrypted", world.register(
            "alice", world.ctl("invite", "--owner").strip()).stderr)
        for command in ("register login send receive chat chats history read devices invite "
                        "password version").split():
            self.assertIn(f"parley {command}", world.parley("x", command, "--help").stdout)
        world.parley("x", "--help")
        world.parley("x", "dance", expect=USAGE)
        invite, = world.json("alice", "invite", "--uses", "2", "--days", "1")
        self.assertEqual((invite["uses"], invite["days"]), (2, 1))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2)
