# SPDX-License-Identifier: Apache-2.0
"""What clients may wish beside the message: notifications (rfc3461) and the start of a queue (rfc1985)."""
import email
import re
import shutil
import smtplib
import subprocess
import time

import pytest

from bad_peer import USUAL, BadPeer
from glasspost import Server, insecure_tls, wait_for
from peers_outside import need_outside, some_address

ALICE, BERT = "alice@example.org", "bert@example.org"
PASSWORD = "correct horse"
TEXT = b"Subject: a wish\r\nMessage-ID: <wish@example.org>\r\n\r\nSecret words.\r\n"


@pytest.fixture(scope="module")
def server():
    config = 'relay = users\nresolver = "127.0.0.1:9"\nqueue_retry_min = 1h'
    with Server(accounts={ALICE: PASSWORD, BERT: PASSWORD}, config=config) as running:
        yield running


def submit(server, recipient, mail_options=(), rcpt_options=()):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as smtp:
        smtp.starttls(context=insecure_tls())
        smtp.login(ALICE, PASSWORD)
        smtp.ehlo()
        assert smtp.has_extn("dsn") and smtp.has_extn("etrn")
        smtp.sendmail(ALICE, [recipient], TEXT, mail_options=list(mail_options), rcpt_options=list(rcpt_options))


def notices(server):
    return [text for text in server.messages(ALICE) if b"message/delivery-status" in text]


def test_success_is_told_once_with_the_clients_own_words(server):
    submit(server, BERT, ["RET=HDRS", "ENVID=QQ+20314159"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;Bert+2Bx@Example.ORG"])
    text, = wait_for(lambda: notices(server), what="a notification")
    report = email.message_from_bytes(text)
    assert report.get_content_type() == "multipart/report" and report["Return-Path"] == "<>"
    status = "".join(str(part) for part in report.get_payload()[1].get_payload())
    assert "Original-Envelope-Id: QQ 314159" in status
    assert "Original-Recipient: rfc822;Bert+x@Example.ORG" in status
    assert "Action: delivered" in status and re.search(r"Status: 2\.\d\.\d", status) and BERT in status
    assert b"wish@example.org" in text and b"Secret words" not in text, "the header comes back, and no more"


def test_nothing_is_told_of_success_where_nobody_asked(server):
    before = len(notices(server))
    submit(server, BERT)
    submit(server, BERT, (), ["NOTIFY=NEVER"])
    submit(server, BERT, (), ["NOTIFY=FAILURE,DELAY"])
    time.sleep(0.5)
    assert len(notices(server)) == before


@pytest.fixture
def far(server):
    """A server of another's for far.example; it hears what is asked of it, and offers DSN while `offers` says so."""
    need_outside()
    heard, offers = [], {"dsn": True}

    def note(line):
        heard.append(line)

    def hello(_):
        return USUAL["EHLO"].replace(b"8BITMIME", b"DSN") if offers["dsn"] else None

    with BadPeer(some_address(), {"EHLO": hello, "MAIL": note, "RCPT": note}) as peer:
        peer.heard, peer.offers = heard, offers
        server.run("route", "add", "far.example", "--smtp", f"{peer.address}:25")
        yield peer
        server.run("route", "delete", "far.example")


def test_a_server_that_offers_dsn_gets_the_wishes_and_the_sender_hears_nothing_from_here(server, far):
    before = len(notices(server))
    submit(server, "x@far.example", ["RET=FULL", "ENVID=abc+3Dd"], ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;y+2Bz@far.example"])
    wait_for(lambda: far.taken, what="the message")
    mail, rcpt = far.heard
    assert mail.startswith(f"MAIL FROM:<{ALICE}>") and {"RET=FULL", "ENVID=abc+3Dd"} <= set(mail.split())
    assert rcpt.startswith("RCPT TO:<x@far.example>") and "ORCPT=rfc822;y+2Bz@far.example" in rcpt.split()
    notify, = re.findall(r"NOTIFY=(\S+)", rcpt)
    assert set(notify.split(",")) == {"SUCCESS", "DELAY"}
    wait_for(lambda: not [row for row in server.rows("queue", "list") if "x@far.example" in row["recipient"]], what="an empty queue")
    assert len(notices(server)) == before, "success is now the other server's to tell"


def test_a_server_without_dsn_gets_none_and_the_sender_hears_that_it_was_relayed(server, far):
    far.offers["dsn"] = False
    before = len(notices(server))
    submit(server, "x@far.example", ["RET=HDRS", "ENVID=abc"], ["NOTIFY=SUCCESS"])
    wait_for(lambda: far.taken, what="the message")
    assert not [line for line in far.heard if "NOTIFY" in line or "RET=" in line or "ENVID" in line]
    wait_for(lambda: len(notices(server)) == before + 1, what="a notification")
    text = notices(server)[-1]
    assert b"Action: relayed" in text and b"x@far.example" in text and b"Original-Envelope-Id: abc" in text


def test_never_is_never_also_when_it_fails(server, far):
    far.ways["RCPT"] = b"550 5.1.1 nobody\r\n"
    before = len(notices(server))
    submit(server, "never@far.example", (), ["NOTIFY=NEVER"])
    submit(server, "told@far.example", (), ["NOTIFY=FAILURE"])
    wait_for(lambda: len(notices(server)) == before + 1, what="a notification")
    assert b"told@far.example" in notices(server)[-1]
    wait_for(lambda: not [row for row in server.rows("queue", "list") if "never@far.example" in row["recipient"]], what="an empty queue")
    assert len(notices(server)) == before + 1


@pytest.mark.skipif(not shutil.which("msmtp"), reason="msmtp is not installed: tools/install-packages check")
def test_msmtp_wishes(server):
    before = len(notices(server))
    done = subprocess.run(["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={server.port('submission')}", "--tls=on", "--tls-certcheck=off",
                           "--auth=plain", f"--user={ALICE}", f"--passwordeval=echo {PASSWORD}", f"--from={ALICE}",
                           "--dsn-notify=success,delay", "--dsn-return=headers", BERT],
                          input=TEXT, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(notices(server)) == before + 1, what="a notification")
    assert b"Action: delivered" in notices(server)[-1] and b"Secret words" not in notices(server)[-1]


def etrn(server, argument, sign_in=True):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as smtp:
        smtp.starttls(context=insecure_tls())
        if sign_in:
            smtp.login(ALICE, PASSWORD)
        else:
            smtp.ehlo()
        return smtp.docmd("ETRN", argument)


def test_etrn_starts_the_queue_of_a_domain(server):
    submit(server, "one@waiting.example")
    submit(server, "two@waiting.example")

    def row():
        return [row for row in server.rows("queue", "list") if row["recipient"] == "one@waiting.example"][0]

    wait_for(lambda: row()["attempts"] >= 1, seconds=40, what="a first attempt")
    attempts = row()["attempts"]
    code, text = etrn(server, "Waiting.example")
    assert (code, text) == (253, b"2.0.0 OK, 2 pending messages for node waiting.example started")
    wait_for(lambda: row()["attempts"] > attempts, seconds=40, what="another attempt")
    assert etrn(server, "waiting.example")[0] == 458, "a moment ago"
    assert etrn(server, "idle.example") == (251, b"2.0.0 OK, no messages waiting for node idle.example")


@pytest.mark.parametrize("argument, code", [("", 501), ("@waiting.example", 501), ("#queue", 501), ("two words", 501)])
def test_etrn_takes_one_domain(server, argument, code):
    assert etrn(server, argument)[0] == code


def test_etrn_is_for_who_may_relay(server):
    assert etrn(server, "far.example", sign_in=False)[0] == 530
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30, source_address=("127.0.9.9", 0)) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("etrn")
        assert smtp.docmd("ETRN", "far.example")[0] == 459
    server.run("network", "add", "127.0.9.9", "--relay")

    def offers():
        with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30, source_address=("127.0.9.9", 0)) as smtp:
            smtp.ehlo()
            return smtp.has_extn("etrn") and smtp.docmd("ETRN", "far.example")[0]

    assert wait_for(offers, what="ETRN for the listed") in (251, 253, 458)
