# SPDX-License-Identifier: Apache-2.0
"""Browsers of the web role for tests: a server of each kind, requests, a reader of live events."""
import http.client
import json
import re
import signal
import smtplib
import socket
import subprocess
import time

from glasspost import PROGRAM, ROOT, free_port_base, insecure_tls

ADMIN, USER, OTHER = "admin@example.org", "user@example.org", "other@example.org"
CONFIG = """
web_admins = { "admin@example.org" }
relay = users
listener "mx" { protocol = smtp address = { 127.0.0.1 } }
listener "submission" { protocol = submission address = { 127.0.0.1 } auth_without_tls = yes }
listener "pop3" { protocol = pop3 address = { 127.0.0.1 } auth_without_tls = yes }
listener "web" { protocol = http address = { 127.0.0.1 } }
listener "webs" { protocol = http address = { 127.0.0.1 } tls = implicit }
"""


def limit(name):
    """A number of src/base/limits.def."""
    return int(re.search(rf"^LIMIT\({name}, (\d+),", (ROOT / "src/base/limits.def").read_text(), re.MULTILINE).group(1))


class Dev:
    """glasspost dev on a port base of its own; its log goes to a file, or where `log` says."""

    def __init__(self, folder, log=None):
        self.folder, self.base = folder, free_port_base()
        self.log = log or open(folder / "log", "wb")
        self.process = subprocess.Popen([PROGRAM, "--dir", str(folder / "d"), "dev", "--port-base", str(self.base)],
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.run("ready", "--wait", "30s")

    def run(self, *arguments):
        return subprocess.run([PROGRAM, "--dir", str(self.folder / "d"), *arguments], check=True, capture_output=True,
                              text=True, timeout=60).stdout

    @property
    def web(self):
        return self.base + 80

    @property
    def smtp(self):
        return self.base + 25

    def send(self, subject="hello", to="anna@example.org"):
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=30) as smtp:
            smtp.sendmail("me@client.example", [to], f"Subject: {subject}\r\n\r\ntext\r\n")

    def web_pid(self):
        return next(row["pid"] for row in json.loads(self.run("status", "--json")) if row["role"] == "web")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.log.close()


def get(port, path, method="GET", body=None, headers=None, tls=False, host="127.0.0.1"):
    """(status, headers, body) of one request."""
    connection = (http.client.HTTPSConnection(host, port, timeout=30, context=insecure_tls()) if tls
                  else http.client.HTTPConnection(host, port, timeout=30))
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    octets = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), octets


def get_json(port, path, **more):
    status, _, body = get(port, path, **more)
    assert status == 200, (path, status, body)
    return json.loads(body)


def newest_session(dev):
    """Its client may see the end of it before the recorder does."""
    for _ in range(100):
        row = get_json(dev.web, "/api/v1/sessions?limit=1")["sessions"][0]
        if not row["open"]:
            break
        time.sleep(0.05)
    return row


class Events:
    """A reader of /api/v1/events: (event, id, data) in order."""

    def __init__(self, port, last=None, query="", headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        headers = dict(headers or {})
        if last:
            headers["Last-Event-ID"] = last
        self.connection.request("GET", "/api/v1/events" + query, headers=headers)
        self.answer = self.connection.getresponse()

    def next(self):
        """None at the end of the stream."""
        event, ident, data = "message", None, None
        while True:
            line = self.answer.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("id: "):
                ident = line[4:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif not line and data is not None:
                return event, ident, data

    def until(self, fits):
        found = []
        while True:
            found.append(self.next())
            assert found[-1] is not None
            if fits(found[-1]):
                return found

    def close(self):
        self.connection.sock and self.connection.sock.close()
        self.answer.close()
        self.connection.close()


def is_close(event):
    return event[2].get("kind") == "close"


def raw(port, octets, wait=1, stop=True):
    """What comes back for these octets until the server closes or `wait` seconds passed."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as client:
        got = b""
        try:
            client.sendall(octets)
            if stop:
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                got += piece
        except OSError:  # closed, or silent for so long
            pass
        return got


def sign_in(server, address, password, tls=False):
    port = server.base + (443 if tls else 80)
    status, headers, body = get(port, "/api/v1/sign-in", "POST", json.dumps({"address": address, "password": password}),
                                {"Content-Type": "application/json"}, tls=tls)
    return status, headers.get("Set-Cookie", ""), body


def cookie(server, address, password):
    status, line, _ = sign_in(server, address, password)
    assert status == 200
    return {"Cookie": line.split(";")[0]}


def submit(server, address, password):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as smtp:
        smtp.login(address, password)
        smtp.sendmail(address, [OTHER], f"Subject: of {address}\r\n\r\ntext\r\n")
