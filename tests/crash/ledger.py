# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was sent, what was acknowledged, and the judge who compares it with what is there.

A verdict is per message: lost (acknowledged, not there), ghost (there, never sent to its end),
torn (octets differ), twice (two copies). Not acknowledged but there once is fine: the connection
broke between the commit and our reading of 250.
"""
import hashlib
import random
import re
import socket
import threading
import uuid


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}      # id -> sha256 of the octets
        self.acked = set()  # ids whose 250 was read before the crash began
        self.closed = False # acknowledgements read from now on prove nothing

    def note_sent(self, ident, octets):
        with self.lock:
            self.sent[ident] = hashlib.sha256(octets).hexdigest()

    def note_acked(self, ident):
        with self.lock:
            if not self.closed:
                self.acked.add(ident)

    def close(self):
        with self.lock:
            self.closed = True

    def reopen(self):
        with self.lock:
            self.closed = False

    def judge(self, bodies):
        """bodies: octets of every message found. A dict of verdict -> ids."""
        found = {}
        verdicts = {"lost": [], "ghost": [], "torn": [], "twice": []}
        for octets in bodies:
            match = re.search(rb"^Message-ID: <([0-9a-f-]+)@ledger>\r\n", octets, re.M)
            ident = match.group(1).decode() if match else "?"
            found.setdefault(ident, []).append(hashlib.sha256(octets).hexdigest())
        for ident, hashes in found.items():
            if ident not in self.sent:
                verdicts["ghost"].append(ident)
                continue
            if any(one != self.sent[ident] for one in hashes):
                verdicts["torn"].append(ident)
            if len(hashes) > 1:
                verdicts["twice"].append(ident)
        verdicts["lost"] = sorted(self.acked - found.keys())
        return verdicts


def message(ident, rng):
    lines = [f"Message-ID: <{ident}@ledger>", f"Subject: {ident}", "From: <sender@client.example>", ""]
    size = rng.choice((0, 200, 2000, 9000, 90000, 300000) if rng.random() < 0.1 else (200, 2000))
    while size > 0:
        line = rng.choice((".", "..", ".dot first", "x" * rng.randrange(1, 200), ""))
        lines.append(line)
        size -= len(line) + 2
    return ("\r\n".join(lines) + "\r\n").encode()


class Client(threading.Thread):
    """Sends message after message to one recipient until told to stop; reconnects for ever."""

    def __init__(self, ledger, port, recipient, seed, stop):
        super().__init__(daemon=True)
        self.ledger, self.port, self.recipient, self.stop = ledger, port, recipient, stop
        self.rng = random.Random(seed)

    def run(self):
        while not self.stop.is_set():
            try:
                self.session()
            except (OSError, ConnectionError):
                self.stop.wait(0.02)

    def session(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            replies = sock.makefile("rb")
            self.expect(replies, b"220")
            self.ask(sock, replies, b"EHLO client.example\r\n", b"250")
            for _ in range(self.rng.randrange(1, 50)):
                if self.stop.is_set():
                    return
                ident = str(uuid.UUID(int=self.rng.getrandbits(128)))
                octets = message(ident, self.rng)
                self.ask(sock, replies, b"MAIL FROM:<sender@client.example>\r\n", b"250")
                self.ask(sock, replies, f"RCPT TO:<{self.recipient}>\r\n".encode(), b"250")
                self.ask(sock, replies, b"DATA\r\n", b"354")
                self.ledger.note_sent(ident, octets)
                stuffed = re.sub(rb"(?m)^\.", b"..", octets)
                self.ask(sock, replies, stuffed + b".\r\n", b"250")
                self.ledger.note_acked(ident)

    def ask(self, sock, replies, octets, code):
        sock.sendall(octets)
        self.expect(replies, code)

    @staticmethod
    def expect(replies, code):
        while True:
            line = replies.readline()
            if not line:
                raise ConnectionError("closed")
            if line[:3] != code:
                raise ConnectionError(line.decode("latin-1"))
            if line[3:4] != b"-":
                return
