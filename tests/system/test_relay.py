# SPDX-License-Identifier: Apache-2.0
"""Mail that leaves: submitted by a user who signed in, sent to other people's servers."""
import json
import os
import signal
import smtplib
import time

import pytest

from glasspost import Server, insecure_tls, wait_for
from peers_outside import Names, Sink, need_outside, some_address

ALICE = "alice@example.org"
TEXT = "From: alice@example.org\r\nTo: bob@there.example\r\nSubject: out\r\n\r\nHello.\r\n.a dot\r\n"


@pytest.fixture(scope="module")
def places():
    need_outside()
    return {name: some_address() for name in ("there", "later", "second")}


@pytest.fixture(scope="module")
def server(tmp_path_factory, places):
    records = {
        "there.example": ["MX 10 mx.there.example"], "mx.there.example": [f"A {places['there']}"],
        "later.example": ["MX 10 mx.later.example"], "mx.later.example": [f"A {places['later']}"],
        "two.example": ["MX 10 mx.later.example", "MX 20 mx.second.example"],
        "mx.second.example": [f"A {places['second']}"],
        "null.example": ["MX 0 ."],
    }
    with Names(tmp_path_factory.mktemp("names"), records) as names:
        config = f'relay = users\nresolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\n'
        with Server(accounts={ALICE: "correct horse"}, config=config) as running:
            yield running


def submit(server, to, text=TEXT, sender=ALICE, options=()):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
        client.starttls(context=insecure_tls())
        client.login(ALICE, "correct horse")
        client.sendmail(sender, to, text.encode(), mail_options=list(options))


def waiting(server, address):
    """The rows of the queue for that recipient, those that are done apart."""
    return [row for row in server.rows("queue", "list") if address in json.dumps(row)]


def body_of_dump(dump):
    """A dump of smtp-sink has lines of its own in front and a blank one behind, and LF for line ends."""
    return dump.split(b"\n\n", 1)[1].removesuffix(b"\n").replace(b"\n", b"\r\n")


def test_a_message_reaches_the_mx_of_its_domain_as_it_was_written(server, places, tmp_path):
    with Sink(tmp_path / "sink", places["there"]) as sink:
        submit(server, ["bob@there.example", "carol@there.example"])
        dump, = wait_for(sink.taken, seconds=20, what="the message")
        assert dump.count(b"X-Rcpt-Args: ") == 2, "one transaction for the two of a destination"
        assert body_of_dump(dump) == TEXT.split("\r\n\r\n", 1)[1].encode()


def sessions_with(server, address):
    return [row for row in server.rows("session", "list") if row["peer"] == f"{address}:25"]


def test_what_is_refused_for_now_comes_later(server, places, tmp_path):
    with Sink(tmp_path / "busy", places["later"], "-r", "RCPT"):
        submit(server, ["dora@later.example"])
        wait_for(lambda: sessions_with(server, places["later"]), seconds=20, what="a first attempt")
        row, = waiting(server, "dora@later.example")
    with Sink(tmp_path / "sink", places["later"]) as sink:
        server.run("queue", "retry", row["message"])
        wait_for(sink.taken, seconds=60, what="the message")
    assert not bounces(server), "nobody is told of what went well in the end"


def test_nobody_there_is_tried_again_and_the_second_mx_takes_it(server, places, tmp_path):
    with Sink(tmp_path / "sink", places["second"]) as sink:
        submit(server, ["emil@two.example"])
        wait_for(sink.taken, seconds=20, what="the message at the second host")


def bounces(server):
    return [text for text in server.messages(ALICE) if b"message/delivery-status" in text]


@pytest.mark.parametrize("address, said", [
    ("nobody@null.example", b"5.1.10"),
    ("nobody@nowhere.example", b"5.1.2"),
])
def test_what_can_never_be_delivered_comes_back_with_the_reason(server, address, said):
    before = len(bounces(server))
    submit(server, [address])
    wait_for(lambda: len(bounces(server)) > before, seconds=20, what="a notification")
    newest = bounces(server)[-1]
    assert said in newest and address.encode() in newest


def test_a_refusal_for_good_comes_back_with_the_servers_own_words(server, places, tmp_path):
    before = len(bounces(server))
    with Sink(tmp_path / "harsh", places["there"], "-f", "RCPT", "-B", "550 5.7.1 not from you"):
        submit(server, ["bob@there.example"])
        wait_for(lambda: len(bounces(server)) > before, seconds=20, what="a notification")
    assert b"not from you" in bounces(server)[-1]


def test_a_user_sends_as_himself_only(server):
    with pytest.raises(smtplib.SMTPException):
        submit(server, ["bob@there.example"], sender="mallory@example.org")


def test_strangers_relay_nothing(server):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo()
        client.mail(ALICE)
        code, text = client.rcpt("bob@there.example")
        assert code in (550, 551, 554), text


def test_killed_relays_and_stores_lose_nothing(server, places, tmp_path):
    with Sink(tmp_path / "sink", places["there"]) as sink:
        for i in range(20):
            submit(server, ["bob@there.example"], TEXT.replace("Subject: out", f"Subject: number {i}."))
            if i % 5 == 2:
                os.kill(server.role_pids()["relay"][0], signal.SIGKILL)
            if i % 5 == 4:
                os.kill(server.role_pids()["store"][0], signal.SIGKILL)
                time.sleep(1)

        def numbers():
            return {i for i in range(20) if any(f"Subject: number {i}.\n".encode() in dump for dump in sink.taken())}

        wait_for(lambda: len(numbers()) == 20, seconds=60, what="all twenty messages")
