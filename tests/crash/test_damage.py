# SPDX-License-Identifier: Apache-2.0
"""Files are damaged: `store check --deep` finds it and says what to do; nothing wrong is served as right."""
import json
import os
import poplib
import random
import shutil
import subprocess

import pytest

from glasspost import PROGRAM, body_of, insecure_tls, wait_for
from ledger import Ledger, Session, ident_of
from scene import ADDRESSES, PASSWORD, new_server

ADDRESS = ADDRESSES[0]
SIZES = [300, 3000, 40_000, 600_000, 600_000, 200, 90_000, 5000]  # three segments of a mebibyte


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with some mail in it, stopped, and its ledger. Every test damages a copy."""
    ledger, rng = Ledger(), random.Random(10)
    server = new_server(folder=tmp_path_factory.mktemp("whole"), keep_secrets="yes")
    with server:
        with Session(ledger, server.port("smtp")) as session:
            for size in SIZES:
                session.send(ADDRESS, rng, size)
        assert server.run("store", "check", "--deep").returncode == 0
        assert server.stop() == 0
    return server.folder, ledger


class Damaged:
    """A copy of the folder, damaged, and served: `with Damaged(whole, damage) as server:`"""

    def __init__(self, whole, folder, damage):
        shutil.copytree(whole[0], folder / "data", symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        damage(folder / "data" / "store")
        self.server = new_server(folder=folder)
        self.server.config = ""  # it is in the copy

    def __enter__(self):
        self.server.create()
        self.server.start()
        return self.server

    def __exit__(self, *_):
        self.server.stop()


def segments(store):
    return sorted((store / "bodies").glob("*.seg"))


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        octet = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([octet ^ 0x10]))


def readable(server, ledger):
    """ids that are served whole; any octet that is wrong fails the test."""
    box = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=20)
    box._maxline = 1 << 20
    try:
        box.stls(context=insecure_tls())
        box.user(ADDRESS)
        box.pass_(PASSWORD)
        count, served = box.stat()[0], set()
        for number in range(1, count + 1):
            try:
                octets = body_of(b"".join(line + b"\r\n" for line in box.retr(number)[1]))
            except poplib.error_proto as error:
                assert str(error).startswith("b'-ERR"), error
                continue
            verdicts = ledger.judge({ADDRESS: [octets]})
            assert not verdicts["ghost"] and not verdicts["torn"], verdicts
            served.add(ident_of(octets))
        return served
    finally:
        box.close()


def complaints(server):
    """What the check says, one row for each thing: [(what, advice), ...]"""
    done = server.run("store", "check", "--deep", "--json", check=False)
    assert done.returncode != 0, "the check found nothing"
    rows = json.loads(done.stdout)
    assert rows and all(row["what"] and row["advice"] for row in rows), done.stdout
    return rows


def still_takes_mail(server, ledger):
    with Session(ledger, server.port("smtp")) as session:
        session.send(ADDRESSES[1], random.Random(11), 500)


def refuses_to_start(server):
    """Does it end by itself, having said what to do?"""
    with open(server.log_path, "ab") as log:
        process = subprocess.Popen([PROGRAM, "--dir", str(server.folder), "serve", "--port-base", str(server.base)],
                                   stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    ready = subprocess.run([PROGRAM, "--dir", str(server.folder), "ready", "--wait", "2s"], capture_output=True, check=False)
    if ready.returncode == 0:
        process.terminate()
        assert process.wait(timeout=30) == 0
        return False
    assert process.wait(timeout=30) > 0, server.log()
    assert "from a backup" in server.log(), server.log()
    return True


def flip_a_body(store):
    flip(segments(store)[0], 32 + 32 + 100)


def flip_a_record_header(store):
    flip(segments(store)[0], 32 + 8)


def flip_a_segment_header(store):
    flip(segments(store)[-1], 16)


def cut_a_segment(store):
    os.truncate(segments(store)[0], 2000)


def cut_the_newest_segment(store):
    os.truncate(segments(store)[-1], 40)


def empty_the_newest_segment(store):
    os.truncate(segments(store)[-1], 0)


def lose_a_segment(store):
    segments(store)[0].unlink()


def lose_the_newest_segment(store):
    segments(store)[-1].unlink()


SEGMENT_DAMAGES = [flip_a_body, flip_a_record_header, cut_a_segment, cut_the_newest_segment, empty_the_newest_segment,
                   lose_a_segment, lose_the_newest_segment]


@pytest.mark.parametrize("damage", SEGMENT_DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_segment_is_found_and_never_served(whole, tmp_path, damage):
    ledger = whole[1]
    with Damaged(whole, tmp_path, damage) as server:
        assert complaints(server)
        served = readable(server, ledger)
        assert 0 < len(served) < len(SIZES)
        still_takes_mail(server, ledger)
        assert complaints(server), "the damage is forgotten"


def test_a_damaged_segment_header_is_found(whole, tmp_path):
    """Its bodies have headers and checksums of their own, and are served."""
    ledger = whole[1]
    with Damaged(whole, tmp_path, flip_a_segment_header) as server:
        assert complaints(server)
        assert len(readable(server, ledger)) == len(SIZES)
        still_takes_mail(server, ledger)


@pytest.mark.parametrize("page", range(1, 12))
def test_a_damaged_page_of_the_database_is_found_or_harmless(whole, tmp_path, page):
    """Never a wrong octet, never a crash; where the engine sees it, so does the check."""
    ledger = whole[1]

    def damage(store):
        path = store / "glasspost.db"
        with open(path, "r+b") as file:
            file.seek(page * 4096)
            if len(file.read(4096)) == 4096:
                file.seek(page * 4096)
                file.write(b"\xa5" * 4096)

    damaged = Damaged(whole, tmp_path, damage)
    if refuses_to_start(damaged.server):
        return
    with damaged as server:
        assert complaints(server)
        try:
            readable(server, ledger)
        except poplib.error_proto as error:
            assert str(error).startswith("b'-ERR"), error
        assert "SIGSEGV" not in server.log() and "SIGABRT" not in server.log(), server.log()[-2000:]


@pytest.mark.parametrize("how", ["missing", "empty", "not a database"])
def test_a_lost_database_is_not_taken_for_a_new_one(whole, tmp_path, how):
    def damage(store):
        for name in ("glasspost.db-wal", "glasspost.db-shm"):
            (store / name).unlink(missing_ok=True)
        if how == "missing":
            (store / "glasspost.db").unlink()
        else:
            (store / "glasspost.db").write_bytes(b"" if how == "empty" else b"nonsense" * 4096)

    count = len(segments(whole[0] / "store"))
    assert refuses_to_start(Damaged(whole, tmp_path, damage).server)
    assert len(segments(tmp_path / "data" / "store")) == count, "body files were removed"


def test_a_lost_key_costs_no_mail_and_is_told(whole, tmp_path):
    ledger = whole[1]
    with Damaged(whole, tmp_path, lambda store: (store / "store.key").unlink()) as server:
        assert any("secret" in row["what"] for row in complaints(server))
        assert "store.key was lost" in server.log()
        assert len(readable(server, ledger)) == len(SIZES)
        still_takes_mail(server, ledger)


def test_a_damaged_trace_harms_nothing(whole, tmp_path):
    ledger = whole[1]

    def damage(store):
        files = sorted((store / "trace").glob("*.trace"))
        assert files
        for path in files:
            for offset in range(8, path.stat().st_size, 997):
                flip(path, offset)

    with Damaged(whole, tmp_path, damage) as server:
        server.run("session", "list")
        assert len(readable(server, ledger)) == len(SIZES)
        still_takes_mail(server, ledger)
        wait_for(lambda: ADDRESSES[1] in server.run("session", "list", "--json").stdout or
                 len(server.rows("session", "list")) > 0, what="a session that is recorded")
