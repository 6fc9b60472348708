# SPDX-License-Identifier: Apache-2.0
"""Real servers on loopback, as whoever runs the test, each in a folder of its own that is gone at
the end: parleyd, and Debian's nginx and HAProxy in front of something."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

DEADLINE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


class Program:
    """A child process whose output goes to a file; stopped by SIGTERM, killed if it stays."""

    def start(self, command, ready):
        self.log = pathlib.Path(self.folder, "log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        end = time.monotonic() + DEADLINE
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{command[0]} does not start: {self.log.read_text()}")
            time.sleep(0.01)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Parleyd(Program):
    def __init__(self, program, *arguments, scheme="http"):
        self.folder = tempfile.mkdtemp(prefix="parley-conformance-")
        where = re.compile(scheme + r"://\S+:(\d+) ")
        self.start([program, "--data", self.folder + "/data", "--listen", "127.0.0.1:0",
                    "--segment-mib", "4", *arguments],
                   lambda: "carried over" in self.log.read_text())
        self.port = int(where.search(self.log.read_text()).group(1))


class Proxy(Program):
    """A proxy of Debian's in a folder of its own, never as root; `@FOLDER@` and `@PORT@` in the
    configuration are filled in."""

    def __init__(self, command, name, text):
        self.folder = tempfile.mkdtemp(prefix="parley-conformance-")
        self.port = free_port()
        path = pathlib.Path(self.folder, name)
        path.write_text(text.replace("@FOLDER@", self.folder).replace("@PORT@", str(self.port)))
        if os.geteuid() == 0:
            os.chmod(self.folder, 0o755)
            os.chown(self.folder, 65534, 65534)
        self.start([word.replace("@CONFIG@", str(path)) for word in command],
                   lambda: connects(self.port))

    def start(self, command, ready):
        as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        plain = subprocess.Popen
        if os.geteuid() == 0:
            subprocess.Popen = lambda *words, **more: plain(*words, **more, **as_nobody)
        try:
            super().start(command, ready)
        finally:
            subprocess.Popen = plain


NGINX = """
daemon off;
master_process off;
pid @FOLDER@/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    client_header_timeout 1s;
    client_body_timeout 1s;
    keepalive_timeout 1s;
    lingering_timeout 1s;
    server {
        listen 127.0.0.1:@PORT@;
        location / {
%s
        }
    }
}
"""


def nginx(location):
    return Proxy(["/usr/sbin/nginx", "-e", "stderr", "-c", "@CONFIG@"], "nginx.conf",
                 NGINX % location)


def haproxy(text):
    return Proxy(["/usr/sbin/haproxy", "-q", "-db", "-f", "@CONFIG@"], "haproxy.cfg", text)
