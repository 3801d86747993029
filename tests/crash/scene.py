# SPDX-License-Identifier: Apache-2.0
"""What the crash tests share: accounts, the verdict over a server, how much of a sweep to run.

CRASH_FULL=1 runs every point of every sweep, CRASH_PART=I/N every N-th of them from the I-th on;
CRASH_CYCLES=N that many cycles of kills and power cuts. CRASH_TALLY=FILE: a line is added for every
verdict, with its counts; `tests/crash/tally.py FILE` adds them up.
"""
import json
import os
import time
import poplib

from glasspost import Server, body_of, insecure_tls

FULL = os.environ.get("CRASH_FULL") == "1"
PART, PARTS = map(int, os.environ.get("CRASH_PART", "1/1").split("/"))
CYCLES = int(os.environ.get("CRASH_CYCLES", "0"))
PASSWORD = "correct horse"
ADDRESSES = [f"{name}@example.org" for name in ("alice", "bob", "carol")]
# disk_floor would refuse mail on the small disks of these tests; small segments begin often.
CONFIG = {"disk_floor": "0", "segment_size": "1M"}


def cycles(few, many):
    return CYCLES or (many if FULL else few)


def sample(points, few):
    """All of them, or so many spread evenly, the first and the last among them."""
    points = list(points)
    if FULL:
        return points[PART - 1::PARTS]
    if len(points) <= few:
        return points
    return [points[i * (len(points) - 1) // (few - 1)] for i in range(few)]


def new_server(folder=None, **options):
    """Options of the configuration by name; those of CONFIG unless told otherwise."""
    config = "".join(f"{name} = {value}\n" for name, value in (CONFIG | options).items())
    return Server(accounts={address: PASSWORD for address in ADDRESSES}, config=config, folder=folder)


def calm(server, role="store"):
    """A role that ends often is started later and later; a new supervisor has seen no end yet."""
    if any(row["role"] == role and row["restarts"] > 2 for row in server.rows("status")):
        restart(server)


def restart(server):
    server.stop()
    server.start()


def mailboxes(server):
    return {address: [body_of(octets) for octets in server.messages(address)] for address in ADDRESSES}


def judge(server, ledger, at_least=0, what="", attacks=0):
    """The verdict: nothing acknowledged is missing, and the store finds no fault with itself."""
    found = mailboxes(server)
    verdicts = {name: idents for name, idents in ledger.judge(found).items() if idents}
    tally(what or os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0].split("::")[-1], ledger, found, verdicts, attacks)
    assert not verdicts, {name: [len(idents), *idents[:5]] for name, idents in verdicts.items()}
    assert not ledger.wrong_refusals(), ledger.wrong_refusals()[:5]
    assert len(ledger.acked) >= at_least, f"{len(ledger.acked)} acknowledged: too few to prove anything"
    check_deep(server)


def check_deep(server):
    """It says so, and looks at nothing, while a compaction moves what it would look at."""
    for _ in range(60):
        checked = server.run("store", "check", "--deep", check=False)
        if "a compaction is under way" not in checked.stderr:
            break
        time.sleep(1)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def tally(what, ledger, found, verdicts, attacks=0):
    """Acknowledgements are counted once, however often a ledger is judged."""
    path = os.environ.get("CRASH_TALLY")
    if not path:
        return
    acked, refused = len(ledger.acked), len(ledger.refused)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"what": what, "attacks": attacks, "acked": acked - ledger.told[0],
                               "refused": refused - ledger.told[1], "there": sum(map(len, found.values())),
                               **{name: len(idents) for name, idents in verdicts.items()}}) + "\n")
    ledger.told = (acked, refused)


def delete_all(server, ledger, address, ident_of):
    """Deletes a mailbox's messages over POP3; what the ledger knows of it follows the replies."""
    box = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=15)
    box._maxline = 1 << 20
    try:
        box.stls(context=insecure_tls())
        box.user(address)
        box.pass_(PASSWORD)
        idents = set()
        for number in range(1, box.stat()[0] + 1):
            idents.add(ident_of(b"".join(line + b"\r\n" for line in box.top(number, 0)[1])))
            box.dele(number)
        ledger.leaving |= idents
        box.quit()
        ledger.removed |= idents
    finally:
        box.close()
