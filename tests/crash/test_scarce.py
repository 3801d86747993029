# SPDX-License-Identifier: Apache-2.0
"""Memory that is not given, and a role that hangs: mail is refused for now or waits, and none is lost."""
import contextlib
import os
import random
import resource
import signal
import threading
import time

import pytest

from glasspost import wait_for
from ledger import Ledger, Load, Session
from scene import ADDRESSES, calm, judge, new_server, restart, sample
from strace import Traced, need_strace

# Small messages lie in memory, larger ones in a file that is mapped by filter and store.
SIZES = [200, 3000, 600_000, 2_000_000, 100]
ROLES = ["store", "filter", "gate-mx", "gate-user"]
CALLS = "mmap,mremap,brk,memfd_create"


@pytest.fixture(scope="module")
def stand():
    need_strace()
    with new_server() as server:
        yield server, Ledger(), random.Random(15)


def one_run(server, ledger, rng):
    for size in SIZES:
        with contextlib.suppress(OSError), Session(ledger, server.port("smtp")) as session:
            session.send(ADDRESSES[0], rng, size)
    with contextlib.suppress(Exception):  # whatever poplib makes of a reply; the verdict counts
        server.messages(ADDRESSES[1])


def role_pid(server, role):
    return wait_for(lambda: server.role_pids().get(role), seconds=20, what=f"a process of {role}")[0]


def accepted(server, ledger, rng):
    with contextlib.suppress(OSError), Session(ledger, server.port("smtp")) as session:
        return session.send(ADDRESSES[0], rng, 100)
    return None


@pytest.mark.parametrize("role", ["store", "filter", "gate-mx"])
def test_the_nth_allocation_that_fails_loses_nothing(stand, role):
    """The role does without, refuses for now, or ends and is started again."""
    server, ledger, rng = stand
    with Traced([role_pid(server, role)], CALLS) as traced:
        one_run(server, ledger, rng)
    count = max(traced.most_of(call) for call in CALLS.split(","))
    struck = 0
    for nth in sample(range(1, min(count, 40) + 1), 3):
        with Traced([role_pid(server, role)], CALLS, "error=ENOMEM", nth) as traced:
            one_run(server, ledger, rng)
        struck += traced.struck()
        wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="an acknowledgement")
        calm(server, role)
    judge(server, ledger, what=f"the n-th allocation of {role} fails", attacks=struck)
    print(f"{role}: {count} in a run, {struck} faults happened")
    assert struck, "no fault happened"


def address_space(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_gets_no_more_memory_loses_nothing(stand, role):
    """As of a moment nothing more is given to it, with a little left or without; a young one has kept nothing back."""
    server, ledger, rng = stand
    extras = [0, 1 << 18, 1 << 22]
    struck = 0
    for seed, extra in enumerate(extras, 1 + 10 * ROLES.index(role)):  # no client sends what another sent
        restart(server)
        pid, refused = role_pid(server, role), len(ledger.refused)
        usual = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (address_space(pid) + extra, usual[1]))
        with contextlib.suppress(OSError), Load(ledger, server.port("smtp"), ADDRESSES, clients=20, seed=seed, most=50):
            one_run(server, ledger, rng)
        with contextlib.suppress(ProcessLookupError):  # it ended; the next one has the usual limit
            resource.prlimit(pid, resource.RLIMIT_AS, usual)
        wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="an acknowledgement")
        struck += pid not in server.role_pids().get(role, []) or len(ledger.refused) > refused
    judge(server, ledger, what=f"no more memory for {role}", attacks=len(extras))
    assert struck, "it needed no more"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_hangs_for_a_while_loses_nothing(role):
    ledger = Ledger()
    with new_server() as server:
        with Load(ledger, server.port("smtp"), ADDRESSES) as load:
            for _ in range(3):
                time.sleep(0.4)
                pids = server.role_pids()[role]
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                time.sleep(1.5)
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                before = len(ledger.acked)
                wait_for(lambda: len(ledger.acked) > before, seconds=5, what="mail flowing again")
            load.finish()
        assert server.role_pids()[role] == pids, "it was ended, though it only paused"
        judge(server, ledger, at_least=50, what=f"SIGSTOP and SIGCONT of {role}", attacks=3)


def test_a_store_that_hangs_for_good_gets_refusals_for_now_and_is_not_waited_for_at_the_end():
    """RCPT asks the store, and gives up after ten seconds; stopping ends what does not answer."""
    ledger, rng = Ledger(), random.Random(16)
    with new_server() as server:
        assert accepted(server, ledger, rng)
        pid = role_pid(server, "store")
        os.kill(pid, signal.SIGSTOP)
        replies = []

        def try_to_send():
            with contextlib.suppress(OSError), Session(ledger, server.port("smtp"), timeout=40) as session:
                session.send(ADDRESSES[0], rng, 300)
            replies.append(time.monotonic())

        begun = time.monotonic()
        clients = [threading.Thread(target=try_to_send) for _ in range(3)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(timeout=45)
        assert len(replies) == 3 and max(replies) - begun < 35, "a client waits for ever"
        assert ledger.refused and not ledger.wrong_refusals(), ledger.refused
        begun = time.monotonic()
        assert server.stop() is not None
        assert time.monotonic() - begun < 30
        server.start()
        assert accepted(server, ledger, rng)
        judge(server, ledger, at_least=2, what="SIGSTOP of store, for good", attacks=1)
