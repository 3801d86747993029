# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was sent, what was acknowledged, and the judge who compares it with what is there.

A verdict is per message: lost (acknowledged, not there), ghost (there, never sent to its end),
torn (octets differ), twice (two copies), astray (in another's mailbox), risen (there although its
deletion was acknowledged). Not acknowledged but there once is fine: the connection broke between the
commit and our reading of 250.
"""
import hashlib
import random
import re
import socket
import threading
import uuid


class Refused(ConnectionError):
    """A reply of another code than the one asked for; args[0] is the line."""


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}        # id -> (sha256 of the octets, recipient)
        self.acked = set()    # ids whose 250 was read before the crash began
        self.leaving = set()  # ids whose deletion was asked for
        self.removed = set()  # and acknowledged
        self.refused = []     # replies that were not the one hoped for
        self.closed = False   # acknowledgements read from now on prove nothing
        self.told = (0, 0)    # acknowledged and refused, as last tallied

    def note_sent(self, ident, octets, recipient):
        with self.lock:
            self.sent[ident] = (hashlib.sha256(octets).hexdigest(), recipient)

    def note_acked(self, ident):
        with self.lock:
            if not self.closed:
                self.acked.add(ident)

    def note_refused(self, line):
        with self.lock:
            self.refused.append(line)

    def close(self):
        with self.lock:
            self.closed = True

    def reopen(self):
        with self.lock:
            self.closed = False

    def judge(self, mailboxes):
        """mailboxes: recipient -> octets of every message found. A dict of verdict -> ids."""
        verdicts = {"lost": [], "ghost": [], "torn": [], "twice": [], "astray": [], "risen": []}
        found = set()
        for recipient, bodies in mailboxes.items():
            for octets in bodies:
                ident = ident_of(octets)
                sha256, meant_for = self.sent.get(ident, (None, None))
                for verdict, is_so in (("ghost", sha256 is None), ("twice", ident in found),
                                       ("torn", sha256 and hashlib.sha256(octets).hexdigest() != sha256),
                                       ("astray", sha256 and recipient != meant_for),
                                       ("risen", ident in self.removed)):
                    if is_so:
                        verdicts[verdict].append(ident)
                found.add(ident)
        verdicts["lost"] = sorted(self.acked - found - self.leaving)
        return verdicts

    def wrong_refusals(self):
        """A machine in trouble is no fault of the sender: every refusal must be for now, 4yz."""
        return [line for line in self.refused if line[:1] != "4"]


def ident_of(octets):
    match = re.search(rb"^Message-ID: <([0-9a-f-]+)@ledger>\r\n", octets, re.M)
    return match.group(1).decode() if match else "?"


def message(ident, rng, size=None):
    lines = [f"Message-ID: <{ident}@ledger>", f"Subject: {ident}", "From: <sender@client.example>", ""]
    if size is None:
        size = rng.choice((0, 200, 2000, 9000, 90000, 300000) if rng.random() < 0.1 else (200, 2000))
    while size > 0:
        line = rng.choice((".", "..", ".dot first", "x" * rng.randrange(1, 200), ""))
        lines.append(line)
        size -= len(line) + 2
    return ("\r\n".join(lines) + "\r\n").encode()


class Session:
    """One SMTP connection that sends messages and writes them into the ledger."""
    sender = b"sender@client.example"

    def __init__(self, ledger, port, timeout=15):
        self.ledger = ledger
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.replies = self.socket.makefile("rb")
        self.expect(b"220")
        self.ask(b"EHLO client.example\r\n", b"250")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.replies.close()
        self.socket.close()

    def send(self, recipient, rng, size=None):
        ident = str(uuid.UUID(int=rng.getrandbits(128)))
        octets = message(ident, rng, size)
        self.ask(b"MAIL FROM:<" + self.sender + b">\r\n", b"250")
        self.ask(f"RCPT TO:<{recipient}>\r\n".encode(), b"250")
        self.ask(b"DATA\r\n", b"354")
        self.ledger.note_sent(ident, octets, recipient)
        self.ask(re.sub(rb"(?m)^\.", b"..", octets) + b".\r\n", b"250")
        self.ledger.note_acked(ident)
        return ident

    def ask(self, octets, code):
        self.socket.sendall(octets)
        self.expect(code)

    def expect(self, code):
        while True:
            line = self.replies.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("closed")
            if line[:3] != code:
                self.ledger.note_refused(line.decode("latin-1").rstrip())
                raise Refused(line.decode("latin-1").rstrip())
            if line[3:4] != b"-":
                return


class Client(threading.Thread):
    """Sends message after message to some of the recipients until told to stop, or has tried its most; reconnects."""

    def __init__(self, ledger, port, recipients, seed, stop, session=Session, most=10_000):
        super().__init__(daemon=True)
        self.ledger, self.port, self.recipients, self.stop, self.session = ledger, port, recipients, stop, session
        self.rng, self.left = random.Random(seed), most

    def is_done(self):
        return self.stop.is_set() or self.left == 0

    def run(self):
        while not self.is_done():
            try:
                with self.session(self.ledger, self.port) as session:
                    for _ in range(self.rng.randrange(1, 50)):
                        if self.is_done():
                            return
                        self.left -= 1
                        session.send(self.rng.choice(self.recipients), self.rng)
            except OSError:
                self.stop.wait(0.02)


class Load:
    """Several clients at once: `with Load(ledger, port, recipients) as load:`"""

    def __init__(self, ledger, port, recipients, clients=6, seed=0, **options):
        self.stop = threading.Event()
        self.clients = [Client(ledger, port, recipients, seed * 1000 + i, self.stop, **options) for i in range(clients)]

    def __enter__(self):
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_):
        self.finish()

    def finish(self):
        self.stop.set()
        for client in self.clients:
            client.join(timeout=30)
            assert not client.is_alive(), "a client hangs: the server neither answers nor closes"
