# SPDX-License-Identifier: Apache-2.0
"""Mail that leaves, under kills and faults: accepted from users, queued, sent to servers that keep what they get.

Every message whose 250 was read arrives, octet for octet, and nothing arrives that was not sent. Twice is
forgiven only where the log says of that message that an outcome is not known (docs/relaying.md).
"""
import base64
import contextlib
import json
import os
import random
import re
import signal
import socketserver
import subprocess
import threading
import time

import pytest

from glasspost import Server, body_of, insecure_tls, wait_for
from ledger import Ledger, Load, Session, ident_of
from scene import ADDRESSES, CONFIG, FULL, PASSWORD, calm, cycles, sample, tally
from strace import Traced, need_strace

SENDER = ADDRESSES[0]
ROLES = ["relay", "relay", "store", "gate-user", "filter"]


class Visit(socketserver.StreamRequestHandler):
    """An SMTP server's half of a session. Its 250 takes a while, so that deaths fall in between."""

    def say(self, line):
        self.wfile.write(line + b"\r\n")

    def handle(self):
        with contextlib.suppress(OSError):
            self.talk()

    def talk(self):
        recipients = []
        self.say(b"220 sink ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                recipients.append(line.split(b"<")[1].split(b">")[0].decode())
            if verb == b"DATA":
                self.say(b"354 go on")
                if not self.take(recipients):
                    return
            elif verb in (b"QUIT", b""):
                self.say(b"221 goodbye")
                return
            else:
                self.say(b"250 yes")
            if verb in (b"MAIL", b"DATA", b"RSET"):
                recipients = []

    def take(self, recipients):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                return False
            lines.append(line[1:] if line.startswith(b".") else line)
        time.sleep(random.uniform(0, 0.01))
        with self.server.lock:
            for recipient in recipients:
                self.server.kept.append((recipient, b"".join(lines)))
        self.say(b"250 we have it")
        return True


class Sink(socketserver.ThreadingTCPServer):
    """A server at port 25 of an address of loopback; `kept`: recipient and octets of each message it took."""
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, address):
        self.address, self.kept, self.lock = address, [], threading.Lock()
        super().__init__((address, 25), Visit)
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Submission(Session):
    """A user's session: in TLS, signed in, and sending under his own address."""
    sender = SENDER.encode()

    def __init__(self, ledger, port, timeout=20):
        super().__init__(ledger, port, timeout)
        self.ask(b"STARTTLS\r\n", b"220")
        self.replies.close()
        self.socket = insecure_tls().wrap_socket(self.socket)
        self.replies = self.socket.makefile("rb")
        self.ask(b"EHLO client.example\r\n", b"250")
        self.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{SENDER}\0{PASSWORD}".encode()) + b"\r\n", b"235")


class Sinks:
    """Some of them, and the recipients there."""

    def __init__(self, count=3):
        part = random.randrange(1, 250), random.randrange(0, 250)
        self.addresses = [f"127.{part[0]}.{part[1]}.{2 + i}" for i in range(count)]
        self.recipients = [f"user{i}@[{address}]" for address in self.addresses for i in range(3)]

    def __enter__(self):
        self.sinks = [Sink(address) for address in self.addresses]
        return self

    def __exit__(self, *_):
        for sink in self.sinks:
            sink.__exit__()

    def kept(self):
        found = {recipient: [] for recipient in self.recipients}
        for sink in self.sinks:
            with sink.lock:
                for recipient, octets in sink.kept:
                    found[recipient].append(octets)
        return found


@pytest.fixture
def sinks():
    if os.geteuid() != 0:
        pytest.skip("port 25 of other loopback addresses needs root: NO QUEUE WAS KILLED")
    with Sinks() as running:
        yield running


def new_relay():
    options = CONFIG | {"relay": "users", "queue_retry_min": "1s", "queue_retry_max": "2s", "log": "json",
                        "connections_exempt": '"127.0.0.0/8"'}
    return Server(accounts={address: PASSWORD for address in ADDRESSES},
                  config="".join(f"{name} = {value}\n" for name, value in options.items()))


def id_of(octets):
    """The id that our Received field gives a message."""
    return re.search(rb"\sid ([0-9A-Z]{13})\s", octets).group(1).decode()


def of_unknown_outcome(server):
    """Messages of which the log says so."""
    found = set()
    for line in server.log().splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if "unknown" in (row.get("outcome"), row.get("what")):
                found.add(row["message"])
    return found


def drain(server):
    left = []

    def is_empty():
        left[:] = server.rows("queue", "list")
        if left and all(row["state"] == "waiting" for row in left):
            server.run("queue", "retry", "all")
        return not left

    with contextlib.suppress(AssertionError):
        wait_for(is_empty, seconds=60)
    assert not left, (left, server.log()[-6000:])


def judge(server, ledger, sinks, what, attacks, at_least=30):
    """All that was acknowledged arrived; twice only what the log excuses; the sender heard of no failure."""
    drain(server)
    kept = sinks.kept()
    found = {recipient: [body_of(b"Return-Path: <>\r\n" + octets) for octets in bodies] for recipient, bodies in kept.items()}
    verdicts = {name: idents for name, idents in ledger.judge(found).items() if idents}
    excused = of_unknown_outcome(server)
    ids = {ident_of(octets): id_of(octets) for bodies in kept.values() for octets in bodies}
    twice = verdicts.pop("twice", [])
    if unexplained := [ident for ident in twice if ids[ident] not in excused]:
        verdicts["twice"] = unexplained
    tally(what, ledger, found, verdicts, attacks)
    print(f"{what}: {attacks} attacks, {len(ledger.acked)} acknowledged; {len(twice)} arrived twice, of which the log "
          f"does not excuse {len(unexplained)}")
    assert not verdicts, {name: [len(idents), *idents[:5]] for name, idents in verdicts.items()}
    assert not ledger.wrong_refusals(), ledger.wrong_refusals()[:5]
    assert len(ledger.acked) >= at_least, f"{len(ledger.acked)} acknowledged: too few to prove anything"
    assert not server.messages(SENDER), "a notification, and nothing was refused"
    checked = server.run("store", "check", "--deep", check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def kill(server, role):
    for pid in server.role_pids().get(role, []):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return 1
    return 0


def kill_everything(server, ledger):
    ledger.close()
    server.kill()
    ledger.reopen()
    server.start()


def test_killed_relays_stores_and_servers_lose_nothing_of_the_queue(sinks):
    ledger, rng = Ledger(), random.Random(21)
    kills = 0
    with new_relay() as server:
        with Load(ledger, server.port("submission"), sinks.recipients, clients=3, session=Submission) as load:
            for cycle in range(cycles(26, 200)):
                time.sleep(rng.uniform(0.1, 0.6))
                if cycle % 4 == 3:
                    kill_everything(server, ledger)
                    kills += 1
                    continue
                for role in rng.sample(ROLES, rng.choice((2, 3, 4))):
                    with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                        kills += kill(server, role)
            time.sleep(0.5)
            load.finish()
        calm(server)
        judge(server, ledger, sinks, "kill -9 of relay, store and everything, with a queue", kills)
    assert kills >= 50, f"{kills} kills only"


def submit_some(server, ledger, sinks, rng, count=4):
    with contextlib.suppress(OSError), Submission(ledger, server.port("submission")) as session:
        for _ in range(count):
            session.send(rng.choice(sinks.recipients), rng, rng.choice((200, 3000, 90_000)))


def is_quiet(server):
    with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
        return not server.rows("queue", "list")
    return False


def one_run(server, ledger, sinks, rng):
    """Accepted, claimed, reported: all writes of a queue. Each may fail."""
    submit_some(server, ledger, sinks, rng)
    with contextlib.suppress(AssertionError):  # the fault may be what keeps it
        wait_for(lambda: is_quiet(server), seconds=2, what="the end of the queue")


def store_pid(server):
    return wait_for(lambda: server.role_pids().get("store"), seconds=20, what="a store")[0]


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "pwritev"] if FULL else ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("fault", ["error=EIO", "signal=KILL"])
def test_the_nth_call_of_a_store_with_a_queue_fails_or_kills(sinks, call, fault):
    need_strace()
    ledger, rng = Ledger(), random.Random(22)
    struck = 0
    with new_relay() as server:
        with Traced([store_pid(server)], call) as traced:
            one_run(server, ledger, sinks, rng)
        count = traced.most_of(call)
        assert count, f"a run makes no {call}"
        for nth in sample(range(1, count + 1), 3):
            with Traced([store_pid(server)], call, fault, nth) as traced:
                one_run(server, ledger, sinks, rng)
            struck += traced.struck()
            calm(server)
        judge(server, ledger, sinks, f"{fault} at the n-th {call}, with a queue", struck, at_least=4)
    assert struck, "no fault happened"


def test_a_relay_that_gets_no_memory_gives_back_what_it_cannot_send(sinks):
    """A stack for one more message, or the mapping of a large one: neither keeps its lease until that ends (an hour)."""
    need_strace()
    ledger, rng = Ledger(), random.Random(23)
    with new_relay() as server:
        with Traced(server.role_pids()["relay"], "mmap", "error=ENOMEM", "1+") as traced:
            with Submission(ledger, server.port("submission")) as session:
                for size in (300, 2_000_000, 300, 2_000_000) * 3:
                    session.send(rng.choice(sinks.recipients), rng, size)
            time.sleep(3)
        assert traced.struck(), "no fault happened"
        judge(server, ledger, sinks, "no memory for the relay", 1, at_least=12)
