# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load: what was acknowledged is there once, octet for octet."""
import os
import random
import signal
import statistics
import time

import pytest

from glasspost import wait_for
from ledger import Ledger, Load
from scene import ADDRESSES, calm, cycles, judge, new_server

ROLES = ["store", "filter", "gate-mx", "gate-user"]
CLIENTS = 6


@pytest.fixture
def loaded():
    """A server under load by several clients, and their ledger."""
    with new_server() as server:
        ledger = Ledger()
        with Load(ledger, server.port("smtp"), ADDRESSES, CLIENTS) as load:
            yield server, ledger, load


def kill_role(server, role):
    for pid in wait_for(lambda: server.role_pids().get(role), what=f"a process of {role}"):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it fell with another


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_killing_everything_loses_nothing(loaded):
    server, ledger, load = loaded
    rng = random.Random(1)
    count = cycles(5, 100)
    for _ in range(count):
        time.sleep(rng.uniform(0.3, 1.2))
        ledger.close()
        server.kill()
        ledger.reopen()
        server.start()
    time.sleep(0.5)
    load.finish()
    judge(server, ledger, at_least=50, what="kill -9 of everything", attacks=count)


@pytest.mark.parametrize("role", ROLES)
def test_killing_one_role_loses_nothing_and_service_resumes(loaded, role):
    server, ledger, load = loaded
    count = cycles(3, 15)
    pauses = []
    for _ in range(count):
        time.sleep(0.5)
        before = len(ledger.acked)
        killed = time.monotonic()
        kill_role(server, role)
        wait_for(lambda: len(ledger.acked) > before + CLIENTS, seconds=20, what="mail flowing again")
        pauses.append(time.monotonic() - killed)
        calm(server, role)
    load.finish()
    assert statistics.median(pauses) < 2.5, pauses
    judge(server, ledger, at_least=50, what=f"kill -9 of {role}", attacks=count)


def test_killing_roles_at_random_loses_nothing(loaded):
    server, ledger, load = loaded
    rng = random.Random(2)
    kills = 0
    for _ in range(cycles(8, 120)):
        time.sleep(rng.uniform(0.05, 1.0))
        for role in rng.sample(ROLES, rng.choice((1, 1, 1, 2, 4))):
            kill_role(server, role)
            kills += 1
        before = len(ledger.acked)
        wait_for(lambda: len(ledger.acked) > before, seconds=10, what="mail flowing again")
        for role in ROLES:
            calm(server, role)
    load.finish()
    judge(server, ledger, at_least=50, what="kill -9 of one to four roles", attacks=kills)


def test_roles_end_with_their_supervisor_and_a_restart_works(loaded):
    server, ledger, load = loaded
    count = cycles(3, 30)
    for _ in range(count):
        time.sleep(0.4)
        pids = [pid for pids in server.role_pids().values() for pid in pids]
        assert len(pids) > len(ROLES)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(timeout=10)
        wait_for(lambda: not any(is_running(pid) for pid in pids), seconds=5, what="the end of the orphans")
        server.start()
    time.sleep(0.5)
    load.finish()
    judge(server, ledger, at_least=50, what="kill -9 of the supervisor", attacks=count)
