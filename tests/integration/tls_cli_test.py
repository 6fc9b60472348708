#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real programs over https: an authority of one's own, a certificate that is replaced while
people talk, and what is said when there is no trust.

usage: tls_cli_test.py PARLEYD PARLEYCTL PARLEY MAKE-CERTS [unittest arguments]"""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import unittest

from talk_cli_test import NETWORK, PARLEYD, PASSWORD, USAGE, Talk, World, until

MAKE_CERTS = os.path.abspath(sys.argv[4])


class SecureWorld(World):
    def __init__(self):
        self.certificate = "good"
        super().__init__()

    def start(self, *arguments):
        self.certs = os.path.join(self.folder.name, "certs")
        if not os.path.exists(self.certs):
            os.mkdir(self.certs)
            subprocess.run([MAKE_CERTS, self.certs], check=True, capture_output=True)
            self.use(self.certificate)
        self.url = f"https://127.0.0.1:{self.port}"
        super().start("--tls-cert", self.path("cert"), "--tls-key", self.path("key"), *arguments)

    def path(self, name):
        return os.path.join(self.certs, name)

    def use(self, name):
        """Put a pair where the server looks, as a renewal does."""
        for kind in ("key", "cert"):
            shutil.copy(self.path(f"{name}.{kind}"), self.path(f"{kind}.new"))
            os.rename(self.path(f"{kind}.new"), self.path(kind))

    def served(self):
        """The certificate that a new connection is shown."""
        trust = ssl.create_default_context(cafile=self.path("ca.pem"))
        with socket.create_connection(("127.0.0.1", self.port)) as plain:
            with trust.wrap_socket(plain, server_hostname="127.0.0.1") as line:
                return line.getpeercert(binary_form=True)

    def on_disk(self, name):
        with open(self.path(f"{name}.cert"), encoding="ascii") as file:
            return ssl.PEM_cert_to_DER_cert(file.read())

    def status(self):
        return dict(line.split(None, 1) for line in self.ctl("status").splitlines()
                    if len(line.split(None, 1)) == 2)

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as file:
            return file.read()

    def sign_up(self, name, invite, *arguments, **options):
        return self.parley(name, "register", "--server", self.url, "--username", name, "--invite",
                           invite, *arguments, password=PASSWORD, **options)

    def sign_up_both(self):
        ca = ["--ca", self.path("ca.pem")]
        self.sign_up("alice", self.ctl("invite", "--owner").strip(), *ca)
        self.sign_up("bob", self.parley("alice", "invite").stdout.strip(), *ca)


class SecureTest(unittest.TestCase):
    def setUp(self):
        self.world = SecureWorld()
        self.addCleanup(self.world.close)

    def test_a_certificate_is_replaced_while_people_talk(self):
        world = self.world
        world.sign_up_both()  # the profiles keep the authority: it is not named again
        alice = Talk(world, "alice", "chat", "@bob", "--json")
        bob = Talk(world, "bob", "chat", "@alice", "--json")
        texts = lambda talk: [m["text"] for m in talk.drain() if m["type"] == "message"]
        alice.say("before")
        bob.until(lambda _: "before" in texts(bob), "bob hears")
        accepted = world.status()["accepted"]
        self.assertEqual(world.served(), world.on_disk("good"))
        world.use("next")
        world.server.send_signal(signal.SIGHUP)
        until(lambda: world.served() == world.on_disk("next"), "the next certificate")
        alice.say("after")
        bob.until(lambda _: "after" in texts(bob), "bob hears after it")
        bob.say("here too")
        alice.until(lambda _: "here too" in texts(alice), "alice hears")
        # Nobody was disconnected: two probes of ours at least, and no connection else.
        self.assertEqual((alice.errors + bob.errors).count("connected again"), 0)
        upgraded = world.status()["upgraded"]
        self.assertEqual(alice.end(), 0)
        self.assertEqual(bob.end(), 0)
        self.assertGreaterEqual(int(world.status()["accepted"]), int(accepted) + 2)
        self.assertEqual(world.status()["upgraded"], upgraded)

    def test_a_bad_certificate_is_refused_and_the_old_one_stays(self):
        world = self.world
        for name, kind, word in (("wrong", "key", "does not belong to"),
                                 ("expired", None, "has expired")):
            if kind is None:
                world.use(name)
            else:
                shutil.copy(world.path(f"{name}.{kind}"), world.path(kind))
            world.server.send_signal(signal.SIGHUP)
            until(lambda: word in world.status()["certificate_trouble"], word)
            self.assertIn("The old one stays", world.said())
            self.assertEqual(world.served(), world.on_disk("good"))
        world.use("soon")
        world.server.send_signal(signal.SIGHUP)
        until(lambda: world.served() == world.on_disk("soon"), "the one that is good for now")
        self.assertEqual(world.status()["certificate_trouble"], "none")
        self.assertEqual(world.status()["certificate"], "EXPIRES in 5 days")
        world.kill()
        world.start()
        self.assertIn("EXPIRES in 5 days; put a new one there", world.said())

    def refused(self, word, *arguments, url=None, expect=NETWORK, env=None):
        world = self.world
        before = world.env
        world.env = {**before, **(env or {})}
        error = world.parley("stranger", "register", "--server", url or world.url, "--username",
                             "stranger", "--invite", "x", *arguments, password=PASSWORD,
                             expect=expect).stderr
        world.env = before
        self.assertIn(word, error)
        return error

    def test_what_is_not_trusted_is_said(self):
        world = self.world
        ca = ["--ca", world.path("ca.pem")]
        unknown = "of an authority that is not known here"
        self.refused(unknown)
        self.assertNotIn("is parleyd running", self.refused(unknown, "--ca",
                                                            world.path("other.pem")))
        self.refused("cannot be read", "--ca", world.path("none.pem"), expect=USAGE)
        self.refused("holds no authority", "--ca", world.path("key"), expect=USAGE)
        self.refused("is it https:// there?", url=world.url.replace("https", "http"))
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            dead = f"https://127.0.0.1:{silent.getsockname()[1]}"
            self.refused("is parleyd running there?", *ca, url=dead)
        self.refused("its name is not found", *ca, url="https://no.such.host.invalid")
        for name, word in (("wrong", "for another name"), ("expired", "has expired")):
            world.kill()
            world.use(name)
            world.start()
            self.refused(word, *ca)
        self.assertIn("EXPIRED: no client connects", world.said())
        # A server without TLS.
        world.kill()
        with subprocess.Popen([PARLEYD, "--data", world.data, "--listen",
                               f"127.0.0.1:{world.port}"], stdout=world.log, stderr=world.log,
                              env=world.env) as plain:
            self.addCleanup(plain.kill)
            until(lambda: socket.socket().connect_ex(("127.0.0.1", world.port)) == 0, "it listens")
            self.refused("does not speak TLS there", *ca)
            plain.kill()

    def test_the_systems_store_is_trusted(self):
        """Here it is a file that OpenSSL is told to take for it; and a name that is looked up."""
        world = self.world
        world.env["SSL_CERT_FILE"] = world.path("ca.pem")
        world.url = f"https://localhost:{world.port}"
        world.sign_up("alice", world.ctl("invite", "--owner").strip())
        self.assertEqual(world.status()["certificate"], "valid for 90 days")
        world.parley("alice", "chats")

    def test_any_address_with_a_certificate(self):
        world = self.world
        world.kill()
        world.start("--listen", f"0.0.0.0:{world.port}")
        world.sign_up_both()
        checked = subprocess.run([PARLEYD, "--check", "--data", world.data, "--tls-cert",
                                  world.path("good.cert"), "--tls-key", world.path("next.key")],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("does not belong to the certificate", checked.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[5:], verbosity=2)
