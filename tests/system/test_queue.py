# SPDX-License-Identifier: Apache-2.0
"""The queue by its commands: mail for other servers waits, is held, sent another way and deleted."""
import smtplib

import pytest

from glasspost import Server, insecure_tls, wait_for

ALICE, PASSWORD = "alice@example.org", "correct horse"


@pytest.fixture()
def server():
    with Server(accounts={ALICE: PASSWORD}, config='relay = users\nresolver = "127.0.0.1:1"\n') as running:
        yield running


def submit(server, *recipients):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=20) as smtp:
        smtp.starttls(context=insecure_tls())
        smtp.login(ALICE, PASSWORD)
        return smtp.sendmail(ALICE, list(recipients), "Subject: hello\r\n\r\ntext\r\n")


def queue(server):
    return server.rows("queue", "list")


def states(server):
    return [row["state"] for row in queue(server)]


def test_mail_for_others_waits_and_obeys(server):
    assert submit(server, "bob@far.example", "eve@far.example", ALICE, "zoe@else.example") == {}
    # The relay tries once: no name can be looked up here.
    wait_for(lambda: states(server) == ["waiting"] * 3, 60, "the first attempt to fail")
    rows = queue(server)
    assert [row["recipient"] for row in rows] == ["bob@far.example", "eve@far.example", "zoe@else.example"]
    message = rows[0]["message"]
    assert "2 recipients" in server.run("queue", "hold", "@far.example").stdout
    assert states(server)[:2] == ["held", "held"]
    server.run("queue", "redirect", "@far.example", "third.example")
    assert queue(server)[0]["destination"] == "third.example"
    shown = server.run("message", "show", message).stdout
    assert ALICE in shown and "zoe@else.example" in shown
    assert "2 recipients" in server.run("queue", "release", message).stdout
    assert "held" not in states(server)
    assert server.run("queue", "hold", "all").returncode == 0
    wait_for(lambda: states(server) == ["held"] * 3, 60, "what was being tried to come back")
    assert "3 recipients" in server.run("queue", "delete", "all").stdout
    assert queue(server) == []
    assert "deleted" in server.run("message", "show", message).stdout
    assert "complaints" not in server.run("store", "check").stdout


def test_nobody_else_relays(server):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=20) as smtp:
        smtp.ehlo("client.example")
        smtp.mail(ALICE)
        assert smtp.rcpt("bob@far.example")[0] == 554
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=20) as smtp:
        smtp.starttls(context=insecure_tls())
        smtp.login(ALICE, PASSWORD)
        assert smtp.mail("mallory@example.org")[0] == 553
