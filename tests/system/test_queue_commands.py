# SPDX-License-Identifier: Apache-2.0
"""Each command of the queue, seen by what it does to mail for servers that are not there (yet)."""
import random
import smtplib

import pytest

from glasspost import Server, insecure_tls, wait_for
from peers_outside import Sink, need_outside

ALICE, PASSWORD = "alice@example.org", "correct horse"


@pytest.fixture(scope="module")
def server():
    """An attempt fails at once, as nobody listens there; the next one would come in five minutes."""
    with Server(accounts={ALICE: PASSWORD}, config="relay = users\n") as running:
        yield running


@pytest.fixture
def places(server):
    """Two destinations where nobody listens; afterwards the queue is empty."""
    numbers = random.sample(range(2, 250), 2)
    yield [f"[127.{random.randint(1, 250)}.{random.randint(0, 250)}.{number}]" for number in numbers]
    server.run("queue", "delete", "all")


def submit(server, *recipients):
    """The message's id, once each recipient was tried and waits."""
    known = {row["message"] for row in server.rows("queue", "list")}
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=20) as smtp:
        smtp.starttls(context=insecure_tls())
        smtp.login(ALICE, PASSWORD)
        assert smtp.sendmail(ALICE, list(recipients), "Subject: hello\r\n\r\ntext\r\n") == {}
    message, = {row["message"] for row in server.rows("queue", "list")} - known
    for recipient in recipients:
        wait_for(lambda: waits_after(server, recipient, 1), seconds=30, what=f"the first attempt for {recipient}")
    return message


def row_of(server, recipient):
    row, = [row for row in server.rows("queue", "list") if row["recipient"] == recipient]
    return row


def waits_after(server, recipient, attempts):
    row = row_of(server, recipient)
    return row["state"] == "waiting" and row["attempts"] == attempts


def test_retry_tries_now_what_would_wait(server, places):
    message = submit(server, f"bob@{places[0]}", f"eve@{places[1]}")
    assert "1 recipient" in server.run("queue", "retry", f"@{places[0]}").stdout
    wait_for(lambda: waits_after(server, f"bob@{places[0]}", 2), seconds=30, what="the second attempt")
    assert waits_after(server, f"eve@{places[1]}", 1)
    assert "2 recipients" in server.run("queue", "retry", message).stdout
    wait_for(lambda: waits_after(server, f"eve@{places[1]}", 2), seconds=30, what="the other one's")


def test_flush_tries_a_destination_and_no_other(server, places):
    submit(server, f"bob@{places[0]}", f"eve@{places[1]}")
    assert "1 recipient" in server.run("queue", "flush", places[1]).stdout
    wait_for(lambda: waits_after(server, f"eve@{places[1]}", 2), seconds=30, what="the second attempt")
    assert waits_after(server, f"bob@{places[0]}", 1)
    assert server.run("queue", "flush", "nobody.example", check=False).stdout != ""


def test_stats_counts_by_destination_and_says_why_one_rests(server, places):
    submit(server, f"bob@{places[0]}", f"eve@{places[0]}", f"zoe@{places[1]}")
    rows = {row["destination"]: row for row in server.rows("queue", "stats")}
    assert rows[places[0]]["recipients"] == 2 and rows[places[1]]["recipients"] == 1
    assert rows[places[0]]["attempts"] >= 1
    assert rows[places[0]]["paused_until"] and "refused" in rows[places[0]]["reply"]
    assert places[0] in server.run("queue", "stats").stdout


def test_hold_keeps_back_also_over_a_restart_and_release_lets_go(server, places):
    bob = f"bob@{places[0]}"
    message = submit(server, bob)
    assert "1 recipient" in server.run("queue", "hold", message).stdout
    server.run("queue", "retry", "all")
    server.stop()
    server.start()
    row = row_of(server, bob)
    assert (row["state"], row["attempts"], row["next"]) == ("held", 1, None)
    assert server.rows("queue", "show", message)[0]["held"] is True
    assert "1 recipient" in server.run("queue", "release", message).stdout
    wait_for(lambda: waits_after(server, bob, 2), seconds=30, what="an attempt after the release")


def test_redirect_sends_another_way(server, places, tmp_path):
    need_outside()
    message = submit(server, f"bob@{places[0]}")
    with Sink(tmp_path / "sink", places[1].strip("[]")) as sink:
        assert "1 recipient" in server.run("queue", "redirect", message, places[1]).stdout
        wait_for(lambda: server.rows("queue", "list") == [], seconds=30, what="the end of the queue")
        # Who gets it stays; who is asked changes.
        wait_for(lambda: any(places[0].encode() in dump for dump in sink.taken()), what="the message at the other place")
    shown = server.rows("message", "show", message)
    assert shown[1]["state"] == "relayed" and places[1].strip("[]") in shown[1]["peer"]


def test_delete_gives_up_without_a_word_to_the_sender(server, places):
    message = submit(server, f"bob@{places[0]}", f"eve@{places[1]}")
    assert "1 recipient" in server.run("queue", "delete", f"@{places[0]}").stdout
    assert [row["recipient"] for row in server.rows("queue", "list")] == [f"eve@{places[1]}"]
    assert "1 recipient" in server.run("queue", "delete", message).stdout
    assert server.rows("queue", "list") == []
    assert {row["state"] for row in server.rows("message", "show", message)[1:]} == {"deleted"}
    assert server.messages(ALICE) == []


def test_one_recipient_of_a_message_is_meant_and_no_other(server, places):
    bob, eve = f"bob@{places[0]}", f"eve@{places[1]}"
    message = submit(server, bob, eve)

    def states():
        return [row_of(server, recipient)["state"] for recipient in (bob, eve)]
    assert "1 recipient held" in server.run("queue", "hold", message, "--recipient", bob).stdout
    assert states() == ["held", "waiting"]
    assert "1 recipient" in server.run("queue", "retry", message, f"--recipient={eve}").stdout
    wait_for(lambda: waits_after(server, eve, 2), seconds=30, what="the second attempt for eve")
    assert row_of(server, bob)["attempts"] == 1
    assert "1 recipient held" in server.run("queue", "hold", message, "--recipient", eve).stdout
    assert "1 recipient" in server.run("queue", "release", message, "--recipient", bob).stdout
    assert states()[1] == "held" and states()[0] != "held"
    assert "1 recipient" in server.run("queue", "redirect", message, places[0], "--recipient", eve).stdout
    assert row_of(server, eve)["destination"] == row_of(server, bob)["destination"] == places[0]
    assert "1 recipient" in server.run("queue", "delete", message, "--recipient", eve).stdout
    assert [row["recipient"] for row in server.rows("queue", "list")] == [bob]


def test_a_recipient_of_no_message_is_refused_and_nothing_is_done(server, places):
    message = submit(server, f"bob@{places[0]}")
    for what in ("all", f"@{places[0]}"):
        done = server.run("queue", "delete", what, "--recipient", f"bob@{places[0]}", check=False)
        assert done.returncode == 1 and "the id of a message" in done.stderr, done.stderr
    done = server.run("queue", "delete", message, "--recipient", "eve@other.example", check=False)
    assert done.returncode == 1 and "that recipient of it is not waiting" in done.stderr, done.stderr
    assert len(server.rows("queue", "list")) == 1


def test_what_others_wrote_is_shown_and_not_obeyed(server):
    """U+202E turns what is written after it, U+009B begins a command to the terminal."""
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=20) as smtp:
        smtp.sendmail("a@b.example", [ALICE], "Subject: =?utf-8?q?=E2=80=AEexe.=C2=9B31mred?=\r\n\r\ntext\r\n")
    message = server.rows("message", "list")[0]["message"]
    print(server.rows("message", "show", message))
    assert "\u202e" in server.rows("message", "show", message)[0]["subject"]
    shown = server.run("message", "show", message).stdout
    assert "\u202e" not in shown and "\x9b" not in shown and "\\xE2\\x80\\xAEexe" in shown, shown


def test_hold_of_a_destination_leaves_the_others_of_its_messages_alone(server, places):
    submit(server, f"bob@{places[0]}", f"eve@{places[1]}")
    assert "1 recipient held" in server.run("queue", "hold", f"@{places[0]}").stdout
    assert "1 recipient" in server.run("queue", "retry", f"@{places[1]}").stdout
    wait_for(lambda: row_of(server, f"eve@{places[1]}")["attempts"] == 2, seconds=30, what="the second attempt")
    assert waits_after(server, f"eve@{places[1]}", 2)
    assert row_of(server, f"bob@{places[0]}")["state"] == "held"


@pytest.mark.parametrize("command", ["retry", "hold", "release", "delete"])
def test_what_is_not_there_is_said_and_what_to_do(server, command):
    done = server.run("queue", command, "0000000000001", check=False)
    assert done.returncode != 0 or "0 recipients" in done.stdout, done.stdout
    assert done.stdout + done.stderr
