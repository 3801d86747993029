# SPDX-License-Identifier: Apache-2.0
"""Networks: who is let in, turned away, or may relay without signing in. Clients come from other addresses of
loopback; swaks and smtp-source (Postfix) are programs of others."""
import json
import os
import shutil
import signal
import smtplib
import subprocess

import pytest

from glasspost import Server, insecure_tls, wait_for

ALICE, BERT = "alice@example.org", "bert@example.org"
PASSWORD = "correct horse"
PRINTER, OFFICE, BANNED, STRANGER, RATED = "127.0.1.7", "127.0.2.7", "127.0.3.7", "127.0.4.7", "127.0.5.7"


@pytest.fixture(scope="module")
def server():
    """Names that nobody answers for: what is relayed stays in the queue."""
    config = 'relay = users\nresolver = "127.0.0.1:9"\nqueue_retry_min = 1h\nconnections_exempt = "127.0.0.1"'
    with Server(accounts={ALICE: PASSWORD, BERT: PASSWORD}, config=config) as running:
        running.run("network", "add", "127.0.1.0/24", "--relay", "--sender", "scan@example.org", "--sender", "@print.example")
        running.run("network", "add", "127.0.2.0/24", "--relay")
        running.run("network", "add", "127.0.3.0/24", "--deny")
        running.run("network", "add", "127.0.5.0/24", "--relay", "--rate", "3/10m")
        wait_for(lambda: say(running, OFFICE, "a@b.example", "x@far.example", "submission")[0] == 250, what="the gates' list")
        yield running


def say(server, client, sender, recipient, service="smtp"):
    """The last reply of a transaction's envelope."""
    with smtplib.SMTP(local_hostname="c.example", source_address=(client, 0), timeout=30) as smtp:
        code, text = smtp.connect("127.0.0.1", server.port(service))
        if code != 220:
            return code, text.decode()
        smtp.ehlo()
        code, text = smtp.mail(sender)
        if code == 250:
            code, text = smtp.rcpt(recipient)
        return code, text.decode()


@pytest.mark.parametrize("client, sender, recipient, wanted", [
    (PRINTER, "scan@example.org", "x@far.example", (250, "2.1.5")),
    (PRINTER, "SCAN@Example.ORG", "x@far.example", (250, "2.1.5")),
    (PRINTER, "any@print.example", "x@far.example", (250, "2.1.5")),
    (PRINTER, "any@sub.print.example", "x@far.example", (550, "5.7.1")),
    (PRINTER, "scan@example.org.evil.example", "x@far.example", (550, "5.7.1")),
    (PRINTER, "", "x@far.example", (550, "5.7.1")),
    (PRINTER, "anybody@far.example", ALICE, (250, "2.1.5")),
    (OFFICE, "anybody@anywhere.example", "x@far.example", (250, "2.1.5")),
    (OFFICE, "", "x@far.example", (250, "2.1.5")),
    (STRANGER, "scan@example.org", "x@far.example", (554, "5.7.1")),
    (STRANGER, "anybody@far.example", ALICE, (250, "2.1.5")),
    ("127.0.0.1", "scan@example.org", "x@far.example", (554, "5.7.1")),
    (BANNED, "anybody@far.example", ALICE, (554, "5.7.1")),
])
def test_who_may_write_to_whom(server, client, sender, recipient, wanted):
    code, text = say(server, client, sender, recipient)
    assert code == wanted[0] and text.startswith(wanted[1]), (code, text)


@pytest.mark.parametrize("client, sender, recipient, code", [
    (PRINTER, "scan@example.org", "x@far.example", 250),
    (PRINTER, "scan@example.org", ALICE, 250),
    (PRINTER, "mallory@far.example", ALICE, 550),
    (STRANGER, "scan@example.org", "x@far.example", 530),
    (STRANGER, "scan@example.org", ALICE, 530),
])
def test_on_the_submission_port_a_listed_client_need_not_sign_in(server, client, sender, recipient, code):
    said, text = say(server, client, sender, recipient, "submission")
    assert said == code, text


def test_the_banned_hear_it_at_once_and_the_trace_says_why(server):
    code, text = say(server, BANNED, "a@far.example", ALICE)
    assert code == 554 and "address" in text

    def refusals():
        rows = [row for row in server.rows("session", "list") if row["peer"].startswith(BANNED)]
        return [fields for row in rows for fields in decisions_of(server, row["session"])]

    found = wait_for(refusals, what="the refused session")
    assert any(event["rule"] == "network" and "127.0.3.0/24" in event["detail"] and event["verdict"] == "refuse"
               for event in found), found


def decisions_of(server, session):
    lines = server.run("session", "show", session, "--json").stdout.splitlines()
    return [event["fields"] for event in map(json.loads, lines) if event["kind"] == "policy"]


def test_the_trace_says_which_network_let_it_pass(server):
    say(server, PRINTER, "scan@example.org", "traced@far.example")

    def decisions():
        rows = [row for row in server.rows("session", "list") if row["peer"].startswith(PRINTER)]
        return [fields for row in rows for fields in decisions_of(server, row["session"])
                if "traced@far.example" in fields["detail"]]

    event, = wait_for(decisions, what="the decision")
    assert event["rule"] == "relay" and event["verdict"] == "accept" and "network 127.0.1.0/24" in event["detail"]


def swaks(server, client, sender, recipient, *more):
    return subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.port("smtp")), "--local-interface", client,
                           "--helo", "printer.example", "--from", sender, "--to", recipient, *more],
                          capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed: tools/install-packages check")
def test_a_scanner_sends_to_another_server(server):
    done = swaks(server, PRINTER, "scan@example.org", "boss@far.example")
    assert done.returncode == 0, done.stdout
    row, = [row for row in server.rows("queue", "list") if row["recipient"] == "boss@far.example"]
    assert row["sender"] == "scan@example.org"
    done = swaks(server, PRINTER, "ceo@example.org", "boss@far.example")
    assert done.returncode != 0 and "550 5.7.1" in done.stdout, done.stdout


@pytest.mark.skipif(not shutil.which("smtp-source"), reason="smtp-source is not installed: tools/install-packages check")
def test_a_crowd_of_messages_from_a_listed_network_is_queued(server):
    done = subprocess.run(["smtp-source", "-s", "10", "-m", "200", "-l", "2000", "-A", "-f", "x@y.example", "-t", "crowd@far.example",
                           f"127.0.0.1:{server.port('smtp')}"], capture_output=True, text=True, timeout=120)
    assert "554 5.7.1" in done.stderr, "127.0.0.1 is not listed"
    server.run("network", "add", "127.0.0.1", "--relay", "--sender", "x@y.example")
    try:
        done = subprocess.run(["smtp-source", "-s", "10", "-m", "200", "-l", "2000", "-f", "x@y.example", "-t", "crowd@far.example",
                               f"127.0.0.1:{server.port('smtp')}"], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    finally:
        server.run("network", "delete", "127.0.0.1")
    assert sum(row["recipient"] == "crowd@far.example" for row in server.rows("queue", "list")) == 200


def test_only_so_many_recipients_a_period(server):
    with smtplib.SMTP(local_hostname="c.example", source_address=(RATED, 0), timeout=30) as smtp:
        smtp.connect("127.0.0.1", server.port("smtp"))
        smtp.ehlo()
        smtp.mail("a@b.example")
        codes = [smtp.rcpt(f"rated{i}@far.example")[0] for i in range(5)]
        assert codes == [250, 250, 250, 450, 450]
        assert smtp.data(b"Subject: x\r\n\r\ny\r\n")[0] == 250
        smtp.mail("a@b.example")
        code, text = smtp.rcpt("rated9@far.example")
        assert code == 450 and b"4.7.1" in text and b"3/10m" in text, text
        assert smtp.rcpt(ALICE)[0] == 250, "mail for our own users is not counted"
    assert say(server, "127.0.5.8", "a@b.example", "x@far.example")[0] == 250, "another client has a count of its own"


def test_a_user_who_signs_in_may_send_as_others_only_when_allowed(server):
    def sends_as(sender):
        with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as smtp:
            smtp.starttls(context=insecure_tls())
            smtp.login(ALICE, PASSWORD)
            return smtp.mail(sender)[0]

    assert sends_as("info@shop.example") == 553 and sends_as(BERT) == 553
    server.run("sender", "add", ALICE, "@shop.example", BERT)
    assert sends_as("info@shop.example") == 250 and sends_as(BERT) == 250 and sends_as("info@sub.shop.example") == 553
    rows = server.rows("sender", "list")
    assert {(row["address"], row["sender"]) for row in rows} == {(ALICE, "@shop.example"), (ALICE, BERT)}
    server.run("sender", "delete", ALICE, BERT)
    assert sends_as(BERT) == 553 and sends_as("info@shop.example") == 250
    server.run("sender", "delete", ALICE)
    assert sends_as("info@shop.example") == 553
    assert server.run("sender", "delete", ALICE, check=False).returncode != 0
    assert server.run("sender", "add", "nobody@example.org", BERT, check=False).returncode != 0
    assert server.run("sender", "add", ALICE, "no address", check=False).returncode != 0


def test_the_first_that_matches_decides(server):
    server.run("network", "add", "127.0.6.0/24", "--deny")
    wait_for(lambda: say(server, "127.0.6.9", "a@b.example", ALICE)[0] == 554, what="being turned away")
    server.run("network", "add", "127.0.6.9", "--allow")
    assert say(server, "127.0.6.9", "a@b.example", ALICE)[0] == 554, "the one before decides"
    server.run("network", "delete", "127.0.6.9")
    server.run("network", "add", "127.0.6.9", "--allow", "--before", "127.0.6.0/24")
    wait_for(lambda: say(server, "127.0.6.9", "a@b.example", ALICE)[0] == 250, what="being let in")
    assert say(server, "127.0.6.8", "a@b.example", ALICE)[0] == 554
    names = [row["network"] for row in server.rows("network", "list")]
    assert names.index("127.0.6.9/32") + 1 == names.index("127.0.6.0/24")


@pytest.mark.parametrize("arguments, said", [
    (("10.0.0.0/8",), "one of --relay"),
    (("10.0.0.0/8", "--relay", "--deny"), "one of --relay"),
    (("10.0.0.1/8", "--deny"), "not a network"),
    (("10.0.0.0/33", "--deny"), "not a network"),
    (("ten", "--deny"), "not a network"),
    (("10.0.0.0/8", "--deny", "--sender", "a@b.example"), "--sender"),
    (("10.0.0.0/8", "--relay", "--sender", "nobody"), "not a sender"),
    (("10.0.0.0/8", "--relay", "--rate", "many"), "not a rate"),
    (("10.0.0.0/8", "--relay", "--before", "11.0.0.0/8"), "is not listed"),
    (("127.0.1.0/24", "--deny"), "listed already"),
    (("certificate:x y", "--relay"), "not what a certificate proves"),
    (("certificate:a@b.example", "--deny"), "only be allowed to relay"),
])
def test_mistakes_are_told(server, arguments, said):
    done = server.run("network", "add", *arguments, check=False)
    assert done.returncode != 0 and said in done.stderr, done.stderr


def test_ten_thousand_networks_and_a_restart_of_the_store(server):
    many = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(10_000)]
    for i in range(0, len(many), 500):
        server.run("network", "add", *many[i:i + 500], "--deny")
    assert server.run("network", "add", "11.0.0.0/8", many[7], "--deny", check=False).returncode != 0, "all or none"
    assert len([row for row in server.rows("network", "list") if row["network"].startswith("10.")]) == 10_000
    os.kill(server.role_pids()["store"][0], signal.SIGKILL)
    assert say(server, BANNED, "a@far.example", ALICE)[0] == 554, "also while the store is away"
    wait_for(lambda: say(server, PRINTER, "scan@example.org", "x@far.example")[0] == 250, seconds=20, what="the store")
    assert say(server, BANNED, "a@far.example", ALICE)[0] == 554
    assert say(server, STRANGER, "scan@example.org", "x@far.example")[0] == 554
