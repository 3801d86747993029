# SPDX-License-Identifier: Apache-2.0
"""What clients may wish beside the message: notifications (rfc3461) and the start of a queue (rfc1985)."""
import email
import re
import shutil
import smtplib
import subprocess
import time

import pytest

from glasspost import Server, insecure_tls, wait_for

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


def test_what_goes_to_another_server_takes_its_wishes_along(server):
    submit(server, "x@far.example", ["RET=FULL", "ENVID=abc"], ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;y@far.example"])
    assert any(row["recipient"] == "x@far.example" for row in server.rows("queue", "list"))


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed: tools/install-packages check")
def test_swaks_wishes_and_mistakes(server):
    def swaks(*more):
        return subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.port("smtp")), "--from", BERT, "--to", ALICE, *more],
                              capture_output=True, text=True, timeout=60)

    assert "250-DSN" in swaks("--quit-after", "EHLO").stdout
    before = len([text for text in server.messages(BERT) if b"delivery-status" in text])
    done = swaks("--to", f"{ALICE}")
    assert done.returncode == 0, done.stdout
    assert len([text for text in server.messages(BERT) if b"delivery-status" in text]) == before


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
