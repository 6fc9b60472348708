#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""recipes_test PARLEYD MAKE_CERTS: the recipes for a proxy in front, as README.md has them, with
Debian's nginx and HAProxy; and what the PROXY protocol is for: limits count people."""
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from servers import Parleyd, haproxy, nginx

README = pathlib.Path(__file__).parent.parent.parent / "README.md"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (b"GET /v1/ws/new HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
           b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: parley.v1\r\n\r\n")
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


def recipe(first_line):
    found = re.search(r"```\n(" + re.escape(first_line) + r"\n.*?)```", README.read_text(), re.S)
    assert found, f"README.md has no recipe that begins with {first_line!r}"
    return found[1]


def replaced(text, *pairs):
    for old, new in pairs:
        assert old in text, f"the recipe does not say {old!r}"
        text = text.replace(old, new)
    return text


def call(port, said, address="127.0.0.1", tls=True):
    """The connection and the first piece of the answer; b"": closed without one."""
    line = socket.create_connection(("127.0.0.1", port), 60, source_address=(address, 0))
    try:
        if tls:
            line = TLS.wrap_socket(line)
        line.sendall(said)
        return line, line.recv(4096)
    except OSError:
        return line, b""


class Recipes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="parley-conformance-")
        self.addCleanup(folder.cleanup)
        subprocess.run([sys.argv[2], folder.name], check=True, capture_output=True, timeout=60)
        self.cert, self.key = (f"{folder.name}/good.{end}" for end in ("cert", "key"))

    def parleyd(self, *arguments, scheme="http"):
        server = Parleyd(sys.argv[1], "--trust-proxy", "127.0.0.1", *arguments, scheme=scheme)
        self.addCleanup(server.stop)
        return server

    def expect(self, port, said, status, **how):
        line, answer = call(port, said, **how)
        self.addCleanup(line.close)
        self.assertEqual(answer[:13], b"HTTP/1.1 %d " % status if status else b"")
        return line

    def people_count(self, port, **how):
        """One connection for each address, though all come through one proxy."""
        first = self.expect(port, UPGRADE, 101, address="127.0.0.2", **how)
        self.expect(port, UPGRADE, 101, address="127.0.0.3", **how)
        line, answer = call(port, UPGRADE, address="127.0.0.2", **how)
        line.close()
        self.assertIn(answer[:12], (b"", b"HTTP/1.1 429"))
        first.close()

    def test_nginx(self):
        server = self.parleyd("--connections-address", "1")
        text = replaced(recipe("location / {"), ("127.0.0.1:8787", f"127.0.0.1:{server.port}"))
        proxy = nginx(text.removeprefix("location / {").rstrip().removesuffix("}"))
        self.addCleanup(proxy.stop)
        self.expect(proxy.port, HEALTH, 200, address="127.0.0.9", tls=False)
        self.people_count(proxy.port, tls=False)

    def haproxy_before(self, server, text):
        pem = pathlib.Path(self.cert).parent / "chat.pem"
        pem.write_bytes(pathlib.Path(self.cert).read_bytes() + pathlib.Path(self.key).read_bytes())
        pem.chmod(0o644)
        pem.parent.chmod(0o755)
        proxy = haproxy(replaced(text.replace("/etc/haproxy/chat.pem", str(pem)),
                                 ("bind :443", "bind 127.0.0.1:@PORT@"),
                                 ("127.0.0.1:8787", f"127.0.0.1:{server.port}")))
        self.addCleanup(proxy.stop)
        return proxy

    def test_haproxy(self):
        for line in ("send-proxy-v2", "send-proxy"):
            server = self.parleyd("--proxy-header", "required", "--connections-address", "1")
            text = replaced(recipe("listen parley"), ("send-proxy-v2", line))
            proxy = self.haproxy_before(server, text)
            self.expect(proxy.port, HEALTH, 200, address="127.0.0.9")
            self.people_count(proxy.port)
            self.expect(server.port, HEALTH, 0, tls=False)  # past the proxy, without its header
            self.expect(server.port, b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n" + HEALTH, 501,
                        address="127.0.0.9", tls=False)  # and nobody else may send one

    def test_haproxy_checks_that_it_lives(self):
        server = self.parleyd("--proxy-header", "required")
        text = replaced(recipe("listen parley"), ("send-proxy-v2", "send-proxy-v2 check inter 50"))
        proxy = self.haproxy_before(server, text)
        for _ in range(20):
            self.expect(proxy.port, HEALTH, 200).close()

    def test_haproxy_passes_tls_on(self):
        server = self.parleyd("--proxy-header", "required", "--connections-address", "1",
                              "--tls-cert", self.cert, "--tls-key", self.key, scheme="https")
        text = re.sub(r"(bind :443).*", r"\1", recipe("listen parley"))
        proxy = self.haproxy_before(server, text)
        self.expect(proxy.port, HEALTH, 200, address="127.0.0.9")
        self.people_count(proxy.port)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
