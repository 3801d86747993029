# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, has no more inodes, or became read-only, and no more descriptors: mail is refused
for now, at once, nothing acknowledged is lost, and service returns by itself when the trouble ends."""
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import time

import pytest

from glasspost import wait_for
from ledger import Ledger, Refused, Session, ident_of
from machine import memory_disk, run
from scene import ADDRESSES, cycles, delete_all, judge, new_server


def send_until_refused(server, ledger, rng, most=3000):
    """The reply that ended it, and how long it took to come."""
    for _ in range(most):
        begun = time.monotonic()
        try:
            with Session(ledger, server.port("smtp")) as session:
                session.send(rng.choice(ADDRESSES), rng, rng.choice((300, 5000, 90_000)))
        except Refused as refused:
            return refused.args[0], time.monotonic() - begun
    raise AssertionError(f"{most} messages and the disk is not full")


def accepted(server, ledger, rng):
    try:
        with Session(ledger, server.port("smtp")) as session:
            return session.send(ADDRESSES[0], rng, 300)
    except OSError:
        return None


def fill(disk):
    """All that is left of the disk, to the last octet."""
    with open(disk / "ballast", "ab", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


@pytest.mark.parametrize("options", [{"sessions_keep": "0s"}, {}, {"disk_floor": "1M"}], ids=["no traces", "traces", "floor"])
def test_a_full_disk_refuses_for_now_and_recovers(tmp_path, options):
    rng, ledger = random.Random(5), Ledger()
    with memory_disk("size=24m") as disk:
        server = new_server(folder=disk, **options)
        server.log_path = tmp_path / "log"
        with server:
            for cycle in range(cycles(2, 10)):
                line, seconds = send_until_refused(server, ledger, rng)
                assert line.startswith("452 4.3.1"), line
                assert seconds < 2
                fill(disk)
                for _ in range(5):
                    line, _ = send_until_refused(server, ledger, rng, most=20)
                    assert line.startswith(("452 4.3.1", "451")), line
                assert len(list((server.folder / "store" / "trace").iterdir())) < 10, "an empty file for each try"
                os.unlink(disk / "ballast")
                run("mount", "-o", f"remount,size={24 * (cycle + 2)}m", str(disk))
                wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="mail taken again")
                delete_all(server, ledger, ADDRESSES[0], ident_of)
                server.run("store", "compact")
            judge(server, ledger, at_least=50)


def test_no_inodes_left_refuses_for_now_and_recovers(tmp_path):
    rng, ledger = random.Random(6), Ledger()
    with memory_disk("size=200m,nr_inodes=60") as disk:
        server = new_server(folder=disk)
        server.log_path = tmp_path / "log"
        with server:
            (disk / "many").mkdir()
            try:
                for number in range(100):
                    (disk / "many" / str(number)).touch()
            except OSError:
                pass
            line, seconds = send_until_refused(server, ledger, rng)
            assert line.startswith("452 4.3.1"), line
            assert seconds < 2
            for path in (disk / "many").iterdir():
                path.unlink()
            wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="mail taken again")
            judge(server, ledger, at_least=1)


def make_read_only(server, folder):
    """The store holds its files open for writing, so it is killed until the moment between two of them is met."""
    until = time.monotonic() + 10
    while subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], capture_output=True, check=False).returncode:
        assert time.monotonic() < until, "the folder cannot be made read-only"
        for pid in server.role_pids().get("store", []):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_read_only_disk_refuses_for_now_and_recovers(tmp_path):
    rng, ledger = random.Random(7), Ledger()
    with memory_disk("size=100m") as disk:
        server = new_server(folder=disk)
        server.log_path = tmp_path / "log"
        server.create()
        server.config = ""  # it is written
        store = server.folder / "store"
        run("mount", "--bind", str(store), str(store))
        try:
            with server:
                assert accepted(server, ledger, rng)
                make_read_only(server, store)
                for _ in range(3):
                    line, seconds = send_until_refused(server, ledger, rng, most=1)
                    assert line[:1] == "4" and seconds < 3, (line, seconds)
                run("mount", "-o", "remount,bind,rw", str(store))
                wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="mail taken again")
                judge(server, ledger, at_least=2)
        finally:
            run("umount", "-l", str(store))


def limit_descriptors(pid, soft):
    """Returns the limit as it was."""
    usual, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, most))
    return usual


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor_seconds(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_the_gate_neither_spins_nor_ends():
    """Silent clients take every descriptor; when they go, the next client is served."""
    rng, ledger = random.Random(8), Ledger()
    with new_server() as server:
        gate = server.role_pids()["gate-mx"]
        for pid in gate:
            limit_descriptors(pid, descriptors_of(pid) + 12)
        silent = []
        try:
            for _ in range(40):
                silent.append(socket.create_connection(("127.0.0.1", server.port("smtp")), timeout=5))
            time.sleep(0.5)
            before = processor_seconds(gate)
            time.sleep(2)
            spent = processor_seconds(gate) - before
            assert spent < 0.5, f"{spent} s of processor in 2 s of waiting"
        finally:
            for sock in silent:
                sock.close()
        wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="mail taken again")
        assert server.role_pids()["gate-mx"] == gate
        judge(server, ledger, at_least=1)


def test_a_store_without_descriptors_loses_nothing():
    rng, ledger = random.Random(9), Ledger()
    with new_server() as server:
        for _ in range(3):
            store = server.role_pids()["store"][0]
            usual = limit_descriptors(store, descriptors_of(store))
            for _ in range(6):
                try:
                    with Session(ledger, server.port("smtp")) as session:
                        session.send(rng.choice(ADDRESSES), rng, 600_000)
                except OSError:
                    pass
            assert server.role_pids()["store"] == [store], "a body without a descriptor fails alone\n" + server.log()[-3000:]
            limit_descriptors(store, usual)
            wait_for(lambda: accepted(server, ledger, rng), seconds=15, what="mail taken again")
        judge(server, ledger, at_least=3)
