# SPDX-License-Identifier: Apache-2.0
"""Other people's servers that greylist, hang up, answer nonsense, take half, break TLS: what becomes of each
recipient, as the queue, the message and the traces tell it. How long a server that hangs is waited for is tried
in the simulated world (client_fault_test), since the times of RFC 5321 4.5.3.2 are minutes."""
import itertools
import json
import smtplib
import time

import pytest

from bad_peer import CLOSE, BadPeer
from glasspost import Server, insecure_tls, wait_for
from mail_servers import make_certificate
from peers_outside import Names, need_outside, some_address

ALICE, PASSWORD = "alice@example.org", "correct horse"
POSTMASTER = "postmaster@example.org"  # made by `glasspost init`
EXPIRES_S = 60


class House:
    """A server, and as many domains of others as tests want."""

    def __init__(self, server, addresses):
        self.server, self.free = server, iter(addresses.items())
        self.submitted_at = time.monotonic()

    def place(self):
        return next(self.free)

    def submit(self, *to, text="Subject: x\r\n\r\ntext\r\n"):
        """The id of the message."""
        with smtplib.SMTP("127.0.0.1", self.server.port("submission"), timeout=30) as client:
            client.starttls(context=insecure_tls())
            client.login(ALICE, PASSWORD)
            client.mail(ALICE)
            for address in to:
                client.rcpt(address)
            _, reply = client.data(text.encode())
        return next(word for word in reply.decode().split() if len(word) == 13 and word.isalnum() and word.isupper())

    def send(self, sender, to, text="Subject: x\r\n\r\ntext\r\n"):
        with smtplib.SMTP("127.0.0.1", self.server.port("smtp"), timeout=30) as client:
            client.sendmail(sender, [to], text)

    def recipients(self, message):
        return {row["recipient"]: row for row in self.server.rows("message", "show", message) if "recipient" in row}

    def wait(self, message, to, state, seconds=30):
        """The row of that recipient once it is in that state and was tried."""
        def is_there():
            row = self.recipients(message).get(to)
            return row if row and row["state"] == state and row["attempts"] else None
        return wait_for(is_there, seconds=seconds, what=f"{to} to be {state}")

    def told(self, *words, who=ALICE):
        """Notifications to alice in which all the words are."""
        return [text for text in self.server.messages(who, PASSWORD)
                if b"message/delivery-status" in text and all(word in text for word in words)]

    def events(self, session):
        done = self.server.run("session", "show", session, "--json")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    need_outside()
    addresses = {f"t{i}.example": some_address() for i in range(80)}
    records = {domain: [f"MX 10 mx.{domain}"] for domain in addresses}
    records |= {f"mx.{domain}": [f"A {address}"] for domain, address in addresses.items()}
    with Names(tmp_path_factory.mktemp("names"), records) as names:
        config = (f'relay = users\nresolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\nqueue_retry_max = 1s\n'
                  f"queue_expire = {EXPIRES_S}s\nqueue_delay_warning = 5s\n")
        with Server(accounts={ALICE: PASSWORD}, config=config) as server:
            house = House(server, addresses)
            yield house
            assert server.run("store", "check").returncode == 0


@pytest.fixture(scope="module", autouse=True)
def dead(house):
    """Nobody is there from the beginning; the last tests look at what became of it."""
    domain, _ = house.place()
    house.submitted_at = time.monotonic()
    return house.submit(f"anna@{domain}"), f"anna@{domain}"


def test_greylisting_is_waited_out(house):
    domain, address = house.place()
    with BadPeer(address, {"RCPT": b"451 4.7.1 greylisted, come back\r\n"}) as peer:
        message = house.submit(f"anna@{domain}")
        row = house.wait(message, f"anna@{domain}", "waiting")
        assert (row["code"], row["enhanced"]) == (451, "4.7.1") and "greylisted" in row["reply"]
        assert row["peer"] == f"mx.{domain} [{address}]"
        assert "greylisted" in house.server.run("queue", "list").stdout
        peer.ways = {}
        row = house.wait(message, f"anna@{domain}", "relayed")
        assert row["attempts"] >= 2 and len(peer.taken) == 1
    assert not house.told(domain.encode()), "nobody is told of what went well"


STAGES = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot")


@pytest.mark.parametrize("stage", STAGES)
def test_421_at_any_stage_defers(house, stage):
    domain, address = house.place()
    with BadPeer(address, {stage: (b"421 4.3.2 going down\r\n", CLOSE)}) as peer:
        message = house.submit(f"anna@{domain}")
        row = house.wait(message, f"anna@{domain}", "waiting")
        assert (row["code"], row["enhanced"]) == (421, "4.3.2") and "going down" in row["reply"]
        peer.ways = {}
        house.wait(message, f"anna@{domain}", "relayed")
        assert len(peer.taken) == 1


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_a_connection_that_is_closed_before_the_end_of_the_data_defers(house, stage):
    domain, address = house.place()
    with BadPeer(address, {stage: CLOSE}) as peer:
        message = house.submit(f"anna@{domain}")
        row = house.wait(message, f"anna@{domain}", "waiting")
        assert row["enhanced"].startswith("4.4."), row
        peer.ways = {}
        house.wait(message, f"anna@{domain}", "relayed")
        assert len(peer.taken) == 1


def test_a_connection_that_is_closed_after_it_leaves_the_outcome_unknown(house):
    """RFC 1047: it may have been taken; so it is not tried at once."""
    domain, address = house.place()
    with BadPeer(address, {"dot": CLOSE}) as peer:
        message = house.submit(f"anna@{domain}")
        row = house.wait(message, f"anna@{domain}", "waiting")
        outcomes = [event["fields"]["outcome"] for event in house.events(row["session"]) if event["kind"] == "attempt"]
        assert outcomes == ["unknown"]
        time.sleep(3)
        assert house.recipients(message)[f"anna@{domain}"]["attempts"] == 1 and peer.sessions == 1
        peer.ways = {}
        house.server.run("queue", "retry", message)
        house.wait(message, f"anna@{domain}", "relayed")


NONSENSE = {
    "text": b"hello there\r\n", "nothing": b"\r\n", "number": b"99999\r\n", "nul": b"25\0 ok\r\n", "bare": b"250 ok\n\n\n",
    "long": b"250 " + b"x" * 200000 + b"\r\n", "endless": b"250-more\r\n" * 50000,
    "eight": b"\xff\xfe\x80 \x1b]0;title\x07\r\n",
}


@pytest.mark.parametrize("stage, kind", itertools.product(("greeting", "MAIL"), NONSENSE))
def test_nonsense_for_a_reply_loses_nothing_and_hurts_nobody(house, stage, kind):
    domain, address = house.place()
    with BadPeer(address, {stage: NONSENSE[kind]}) as peer:
        message = house.submit(f"anna@{domain}")
        row = wait_for(lambda: next((row for row in house.recipients(message).values() if row["attempts"]), None), seconds=30,
                       what="an attempt")
        assert row["state"] in ("waiting", "leased", "relayed"), row
        shown = house.server.run("message", "show", message).stdout
        assert "\x1b" not in shown and len(row["reply"]) < 2000
        peer.ways = {}
        house.wait(message, f"anna@{domain}", "relayed")
        assert len(peer.taken) == 1


def test_a_reply_whose_lines_disagree_is_what_its_last_line_says(house):
    domain, address = house.place()
    with BadPeer(address, {"RCPT": b"250-ok\r\n550 5.1.1 no\r\n"}):
        message = house.submit(f"anna@{domain}")
        assert house.wait(message, f"anna@{domain}", "failed")["code"] == 550


def test_half_of_the_recipients_are_taken(house):
    """Each by its own reply: one is there, one never will be, one is over quota for now."""
    domain, address = house.place()

    def judge(line):
        if "gone@" in line:
            return b"550 5.1.1 no such user here\r\n"
        return b"452 4.2.2 over quota\r\n" if "full@" in line else None

    with BadPeer(address, {"RCPT": judge}) as peer:
        message = house.submit(f"anna@{domain}", f"gone@{domain}", f"full@{domain}")
        assert house.wait(message, f"anna@{domain}", "relayed")["code"] == 250
        assert house.wait(message, f"gone@{domain}", "failed")["enhanced"] == "5.1.1"
        assert house.wait(message, f"full@{domain}", "waiting")["enhanced"] == "4.2.2"
        assert peer.taken[0][1] == [f"anna@{domain}"]
        peer.ways = {}
        house.wait(message, f"full@{domain}", "relayed")
        assert [envelope[1] for envelope in peer.taken] == [[f"anna@{domain}"], [f"full@{domain}"]]
    told, = wait_for(lambda: house.told(b"no such user here"), what="a notification")
    assert f"gone@{domain}".encode() in told
    assert f"rfc822; anna@{domain}".encode() not in told and f"rfc822;anna@{domain}".encode() not in told


@pytest.mark.parametrize("stage, code", [("MAIL", 550), ("RCPT", 550), ("DATA", 554), ("dot", 554)])
def test_a_refusal_for_good_is_told_once_with_the_words(house, stage, code):
    domain, address = house.place()
    with BadPeer(address, {stage: f"{code} 5.7.1 never at {stage}\r\n".encode()}) as peer:
        message = house.submit(f"anna@{domain}")
        row = house.wait(message, f"anna@{domain}", "failed")
        assert (row["code"], row["enhanced"]) == (code, "5.7.1") and row["attempts"] == 1
        told, = wait_for(lambda: house.told(domain.encode()), what="a notification")
        assert f"never at {stage}".encode() in told and b"Status: 5.7.1" in told
        assert not peer.taken


TLS_WAYS = {"garbage": {"handshake": b"this is no handshake\r\n" * 100}, "closed": {"handshake": CLOSE},
            "refused": {"STARTTLS": b"454 4.7.0 not now\r\n"}, "nonsense": {"STARTTLS": b"\x16\x03\x01\x02\x00\r\n"}, "hung up": {"STARTTLS": CLOSE}}


@pytest.mark.parametrize("kind", TLS_WAYS)
def test_broken_tls_does_not_keep_the_mail_where_nobody_asked_for_it(house, tmp_path, kind):
    domain, address = house.place()
    with BadPeer(address, dict(TLS_WAYS[kind]), make_certificate(tmp_path, f"mx.{domain}")) as peer:
        message = house.submit(f"anna@{domain}")
        house.wait(message, f"anna@{domain}", "relayed")
        assert [envelope[3] for envelope in peer.taken] == [False]


def test_a_certificate_that_proves_nothing_is_better_than_none(house, tmp_path):
    domain, address = house.place()
    with BadPeer(address, {}, make_certificate(tmp_path, "somebody.else.example")) as peer:
        message = house.submit(f"anna@{domain}")
        row = house.wait(message, f"anna@{domain}", "relayed")
        assert [envelope[3] for envelope in peer.taken] == [True]
        assert any(event["kind"] == "tls" and event["fields"]["version"] == "TLSv1.3" for event in house.events(row["session"]))


def test_a_bounce_that_cannot_be_delivered_goes_to_the_postmaster(house):
    domain, address = house.place()
    house.server.run("alias", "add", "out@example.org", f"anna@{domain}")
    house.server.run("account", "password", POSTMASTER, "--password-stdin", stdin=PASSWORD + "\n")
    with BadPeer(address, {"RCPT": b"550 5.1.1 who is that\r\n"}):
        house.send("", "out@example.org", "Subject: undelivered\r\n\r\nx\r\n")
        told, = wait_for(lambda: house.told(domain.encode(), b"who is that", who=POSTMASTER), seconds=30, what="the postmaster's copy")
        assert b"Return-Path: <>" in told and b"Action: failed" in told
    assert not [row for row in house.server.rows("queue", "list") if row["sender"] == ""], "and nowhere else"


def test_nobody_is_written_to_for_an_unknown_user_here(house):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        house.send("bob@t79.example", "nobody@example.org")
    assert not [row for row in house.server.rows("queue", "list") if "t79.example" in row["recipient"]]


def test_a_sender_is_warned_once_that_it_takes_long(house, dead):
    _, to = dead
    wait_for(lambda: house.told(to.encode(), b"Action: delayed"), seconds=30, what="a warning")


def test_and_told_when_it_was_given_up(house, dead):
    message, to = dead
    left = EXPIRES_S + 30 - (time.monotonic() - house.submitted_at)
    row = house.wait(message, to, "expired", seconds=max(left, 5))
    assert row["attempts"] > 1
    told, = wait_for(lambda: house.told(to.encode(), b"Action: failed"), what="a notification")
    assert b"Status: 4.4.7" in told
    assert len(house.told(to.encode(), b"Action: delayed")) == 1
