# SPDX-License-Identifier: Apache-2.0
"""The n-th write, flush or change of a file fails or kills the store, for every n of a short run.

What was acknowledged is there once, what was refused was refused for now, and service comes back by
itself. CRASH_FULL=1: every n of every call; else a sample.
"""
import os
import random
import signal
import time

import pytest

from glasspost import wait_for
from ledger import Ledger, Session, ident_of
from scene import ADDRESSES, FULL, calm, delete_all, judge, new_server, restart, sample
from strace import Traced, need_strace

CALLS = ["pwrite64", "pwritev", "fdatasync", "fsync", "fallocate", "ftruncate", "openat", "unlinkat,unlink"]
FAULTS = ["error=EIO", "error=ENOSPC", "signal=KILL"]
SIZES = [200, 3000, 600_000, 100, 600_000, 2000]  # the segments of a mebibyte begin anew in between


@pytest.fixture(scope="module")
def stand():
    need_strace()
    with new_server() as server:
        yield server, Ledger(), random.Random(3)


def one_run(server, ledger, rng):
    """Mail is taken, deleted, compacted. Every step may fail; the ledger knows which did not."""
    address = ADDRESSES[rng.randrange(len(ADDRESSES))]
    for size in SIZES:
        try:
            with Session(ledger, server.port("smtp")) as session:
                session.send(address, rng, size)
        except OSError:
            pass
    for step in (lambda: delete_all(server, ledger, address, ident_of),
                 lambda: server.run("store", "compact", check=False)):
        try:
            step()
        except Exception as error:  # poplib's errors are of many kinds; a bug shows in the verdict
            if isinstance(error, AssertionError):
                raise


def store_pid(server):
    return wait_for(lambda: server.role_pids().get("store"), seconds=20, what="a store")[0]


def service_returns(server, ledger, rng):
    """One message is acknowledged, without anybody's help."""
    def accepted():
        try:
            with Session(ledger, server.port("smtp")) as session:
                return session.send(ADDRESSES[0], rng, 100)
        except OSError:
            return None
    wait_for(accepted, seconds=15, what="an acknowledgement")


def files_of_the_store(server):
    """So that the supervisor, which is traced because it makes the new store, does not meet the fault."""
    store = server.folder / "store"
    names = ["glasspost.db", "glasspost.db-wal", "glasspost.db-shm", "store.key", "store.lock", "bodies"]
    return [store / name for name in names] + list((store / "bodies").iterdir())


def how_often(server, ledger, rng, call):
    with Traced([store_pid(server)], call) as traced:
        one_run(server, ledger, rng)
    return max(traced.most_of(name) for name in call.split(","))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_nth_call_fails_or_kills(stand, call, fault):
    server, ledger, rng = stand
    count = how_often(server, ledger, rng, call)
    struck = 0
    assert count, f"a run makes no {call}"
    for nth in sample(range(1, count + 1), 3):
        with Traced([store_pid(server)], call, fault, nth) as traced:
            one_run(server, ledger, rng)
        struck += traced.struck()
        service_returns(server, ledger, rng)
        calm(server)
    if "unlink" in call:
        restart(server)  # a file that could not be removed goes then
    judge(server, ledger, what=f"{fault} at the n-th {call}", attacks=struck)
    assert struck, "no fault happened"
    print(f"{fault} at {call}: {count} in a run, {struck} faults happened")


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "ftruncate", "openat", "unlink,unlinkat"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_nth_call_of_a_starting_store_fails_or_kills(stand, call, fault):
    """The store is killed, and the one that the supervisor starts in its place meets the fault."""
    server, ledger, rng = stand
    struck = 0
    for nth in range(1, 41) if FULL else (1, 2, 4):
        one_run(server, ledger, rng)
        with Traced([server.process.pid], call, fault, nth, files_of_the_store(server)) as traced:
            os.kill(store_pid(server), signal.SIGKILL)
            until = time.monotonic() + 1.5
            while not traced.struck() and time.monotonic() < until:
                time.sleep(0.05)
        service_returns(server, ledger, rng)
        calm(server)
        if not traced.struck():
            break
        struck += 1
    judge(server, ledger, what=f"{fault} at the n-th {call} of a start", attacks=struck)
