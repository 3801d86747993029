# SPDX-License-Identifier: Apache-2.0
"""Files are damaged: `store check --deep` finds it and says what to do; nothing wrong is served as right."""
import contextlib
import json
import os
import pathlib
import poplib
import random
import shutil
import sqlite3
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


def refuses_to_start(server, advice="from a backup"):
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
    assert advice in server.log(), server.log()
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


def sql(*statements):
    def damage(store):
        with contextlib.closing(sqlite3.connect(store / "glasspost.db")) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()
    return damage


# What was done to the rows, what the check must say of it, and whether all mail is still to be had.
ROW_DAMAGES = {
    "a row of a message without its body": (sql("DELETE FROM body WHERE id = 2"), "has lost its body", False),
    "a body that no message refers to": (sql("DELETE FROM message WHERE uid = 2"), "references", False),
    "a body counted too often": (sql("UPDATE body SET references_count = 7 WHERE id = 1"), "references", True),
    "a message that refers to another's body": (sql("UPDATE message SET body = 3 WHERE uid = 2"), "lost its body", False),
    "a body whose place is wrong": (sql("UPDATE body SET start = start + 8 WHERE id = 2"), "is not at octet", False),
    "a body whose length is wrong": (sql("UPDATE body SET length = length - 1 WHERE id = 2"), "is not at octet", False),
    "a body in a file that never was": (sql("UPDATE body SET segment = 77 WHERE id = 2"), "not known", False),
    "a body file without its row": (sql("DELETE FROM segment WHERE number = 1"), "not known", True),
    "a body file counted wrong": (sql("UPDATE segment SET live = live + 8 WHERE number = 1"), "live octets", True),
    "a body file said to be longer": (sql("UPDATE segment SET end_offset = 1 << 30 WHERE number = 1"), "octets of", True),
    "a mailbox counted wrong": (sql("UPDATE mailbox SET messages = messages + 1, octets = octets + 9"), "counts", True),
    "a mailbox whose next UID is taken": (sql("UPDATE mailbox SET uid_next = 1"), "mailbox", True),
    "a mailbox that is gone": (sql("DELETE FROM mailbox WHERE account = (SELECT id FROM account WHERE address = "
                                   f"'{ADDRESS}')"), "which is not there", False),
    "an alias to nobody": (sql("INSERT INTO alias VALUES ('old@example.org', 'gone@example.org', 'example.org')"),
                           "leads to", True),
}


@pytest.mark.parametrize("what", ROW_DAMAGES)
def test_rows_that_do_not_hang_together_are_found(whole, tmp_path, what):
    damage, said, is_whole = ROW_DAMAGES[what]
    ledger = whole[1]
    with Damaged(whole, tmp_path, damage) as server:
        assert any(said in row["what"] for row in complaints(server)), complaints(server)
        try:
            served = readable(server, ledger)
        except poplib.error_proto as error:  # it has no mailbox any more
            assert str(error).startswith("b'-ERR"), error
            served = set()
        assert (len(served) == len(SIZES)) == is_whole, len(served)
        assert complaints(server), "the damage is forgotten"


@pytest.mark.parametrize("name", ["message_once", "body_segment", "message", "body", "mailbox"])
def test_a_damaged_table_or_index_is_found(whole, tmp_path, name):
    ledger = whole[1]

    def damage(store):
        path = store / "glasspost.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
        with open(path, "r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(os.urandom(4096))

    damaged = Damaged(whole, tmp_path, damage)
    if refuses_to_start(damaged.server):
        return
    with damaged as server:
        assert any("database" in row["what"] or "damaged" in row["what"] for row in complaints(server))
        with contextlib.suppress(poplib.error_proto):
            readable(server, ledger)
        assert "SIGSEGV" not in server.log() and "SIGABRT" not in server.log(), server.log()[-2000:]


def test_a_torn_last_record_is_cut_off(whole, tmp_path):
    """As power cuts leave it: the start of a record, and of a frame of the log, that were never committed."""
    ledger = whole[1]

    def damage(store):
        with open(segments(store)[-1], "r+b") as file:
            record = file.read()[32:32 + 32 + 100]
            file.seek(0, os.SEEK_END)
            file.write(record)
        (store / "glasspost.db-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(28) + os.urandom(3000))

    with Damaged(whole, tmp_path, damage) as server:
        assert server.run("store", "check", "--deep").returncode == 0
        assert len(readable(server, ledger)) == len(SIZES)
        still_takes_mail(server, ledger)
        assert server.run("store", "check", "--deep").returncode == 0


def test_a_journal_from_another_store_is_found_or_harmless(whole, tmp_path):
    """Its pages are well formed and of another store: what they show of ours must be told."""
    ledger = whole[1]
    other = new_server(folder=tmp_path / "other")
    (tmp_path / "other").mkdir()
    with other:
        with Session(Ledger(), other.port("smtp")) as session:
            for _ in range(5):
                session.send(ADDRESS, random.Random(13), 300)
        other.kill()
    journal = (other.folder / "store" / "glasspost.db-wal").read_bytes()
    assert journal

    damaged = Damaged(whole, tmp_path, lambda store: (store / "glasspost.db-wal").write_bytes(journal))
    if refuses_to_start(damaged.server):
        return
    with damaged as server:
        if server.run("store", "check", "--deep", check=False).returncode == 0:
            assert len(readable(server, ledger)) == len(SIZES)
            still_takes_mail(server, ledger)


def test_body_files_of_another_store_are_not_taken_for_ours(whole, tmp_path):
    """All of one's own are replaced: every body is missed, none of the other's is served."""
    ledger = whole[1]
    other = new_server(folder=tmp_path / "other")
    (tmp_path / "other").mkdir()
    with other, Session(Ledger(), other.port("smtp")) as session:
        for size in SIZES:
            session.send(ADDRESS, random.Random(14), size)
    theirs = segments(other.folder / "store")

    def damage(store):
        for ours, file in zip(segments(store), theirs, strict=True):
            shutil.copy(file, ours)

    with Damaged(whole, tmp_path, damage) as server:
        assert any("header" in row["what"] for row in complaints(server))
        assert not readable(server, ledger)


def test_a_lock_that_a_crash_left_holds_nobody_and_a_live_one_does(whole, tmp_path):
    ledger = whole[1]
    with Damaged(whole, tmp_path, lambda store: (store / "store.lock").write_bytes(b"31337\n")) as server:
        assert len(readable(server, ledger)) == len(SIZES)
        second = subprocess.run([PROGRAM, "--dir", str(server.folder), "serve", "--port-base", "61000"],
                                capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode != 0 and second.stderr
        still_takes_mail(server, ledger)


@pytest.mark.parametrize("mode", [0o711, 0o755, 0o770])
def test_a_folder_that_is_open_to_others_is_told(whole, tmp_path, mode):
    ledger = whole[1]
    with Damaged(whole, tmp_path, lambda store: store.chmod(mode)) as server:
        rows = complaints(server)
        assert any("open to others" in row["what"] and "chmod" in row["advice"] for row in rows), rows
        assert len(readable(server, ledger)) == len(SIZES)
        still_takes_mail(server, ledger)


@pytest.mark.parametrize("name", ["bodies/00000001.seg", "store.key", "glasspost.db"])
def test_a_file_that_may_not_be_read_is_told_or_read_all_the_same(whole, tmp_path, name):
    """All the same: by root with every capability."""
    ledger = whole[1]
    damaged = Damaged(whole, tmp_path, lambda store: (store / name).chmod(0))
    ready = subprocess.Popen([PROGRAM, "--dir", str(damaged.server.folder), "serve", "--port-base",
                              str(damaged.server.base)], stderr=subprocess.PIPE, text=True)
    up = subprocess.run([PROGRAM, "--dir", str(damaged.server.folder), "ready", "--wait", "3s"],
                        capture_output=True, check=False).returncode == 0
    ready.terminate()
    said = ready.communicate(timeout=30)[1]
    if not up:
        assert pathlib.Path(name).name in said and "ermission" in said, said
        return
    (damaged.server.folder / "store" / name).chmod(0)
    with damaged as server:
        checked = server.run("store", "check", "--deep", check=False)
        assert checked.returncode != 0 or len(readable(server, ledger)) == len(SIZES)


def test_a_store_of_a_newer_program_is_refused_untouched(whole, tmp_path):
    damaged = Damaged(whole, tmp_path, sql("UPDATE schema_version SET version = 999"))
    before = (damaged.server.folder / "store" / "glasspost.db").read_bytes()
    assert refuses_to_start(damaged.server, "use a newer glasspost")
    assert (damaged.server.folder / "store" / "glasspost.db").read_bytes() == before
