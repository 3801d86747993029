# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: what was acknowledged is there once, octet for octet."""
import os
import random
import signal
import threading
import time

import pytest

from glasspost import Server, body_of, wait_for
from ledger import Client, Ledger

ADDRESS = "alice@example.org"
CLIENTS = 6
CYCLES = int(os.environ.get("CRASH_CYCLES", "6"))


@pytest.fixture
def loaded():
    """A server under load by several clients, and their ledger."""
    with Server(accounts={ADDRESS: "correct horse"}) as server:
        ledger, stop = Ledger(), threading.Event()
        clients = [Client(ledger, server.port("smtp"), ADDRESS, seed, stop) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        yield server, ledger, lambda: finish(clients, stop)
        finish(clients, stop)


def finish(clients, stop):
    stop.set()
    for client in clients:
        client.join(timeout=15)


def judge(server, ledger):
    verdicts = ledger.judge([body_of(octets) for octets in server.messages(ADDRESS)])
    assert len(ledger.acked) > 50, "too little was acknowledged to prove anything"
    assert not any(verdicts.values()), verdicts


def test_killing_everything_loses_nothing(loaded):
    server, ledger, finish_load = loaded
    rng = random.Random(1)
    for _ in range(CYCLES):
        time.sleep(rng.uniform(0.3, 1.2))
        ledger.close()
        server.kill()
        ledger.reopen()
        server.start()
    time.sleep(0.5)
    finish_load()
    judge(server, ledger)


@pytest.mark.parametrize("role", ["store", "filter", "gate-mx", "gate-user"])
def test_killing_one_role_loses_nothing_and_service_resumes(loaded, role):
    server, ledger, finish_load = loaded
    for _ in range(3):
        time.sleep(0.5)
        before = len(ledger.acked)
        killed = time.monotonic()
        for pid in wait_for(lambda: server.role_pids().get(role), what=f"a process of {role}"):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(ledger.acked) > before + CLIENTS, seconds=5, what="mail flowing again")
        assert time.monotonic() - killed < 2.5
    finish_load()
    judge(server, ledger)
