# SPDX-License-Identifier: Apache-2.0
"""Aliases that lead to other people's servers, and bounces that come back; Mail::SRS, which others forward with,
as the judge of our addresses."""
import hashlib
import hmac
import re
import smtplib
import subprocess

import pytest

from glasspost import Server, wait_for
from peers_outside import Names, Sink, need_outside, some_address

ALICE = "alice@example.org"
BODY = "Hello.\r\n..\r\n.a dot\r\nlast line without anything special\r\n"
TEXT = "DKIM-Signature: v=1; d=far.example; b=abc\r\nFrom: bob@far.example\r\nSubject: forward me\r\n\r\n" + BODY


@pytest.fixture(scope="module")
def places():
    need_outside()
    return {name: some_address() for name in ("there", "far")}


@pytest.fixture(scope="module")
def server(tmp_path_factory, places):
    records = {f"{name}.example": [f"MX 10 mx.{name}.example"] for name in places}
    records |= {f"mx.{name}.example": [f"A {address}"] for name, address in places.items()}
    with Names(tmp_path_factory.mktemp("names"), records) as names:
        config = f'resolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\n'
        with Server(accounts={ALICE: "correct horse"}, config=config) as running:
            running.run("alias", "add", "carol@example.org", "Carol.C@there.example")
            running.run("alias", "add", ALICE, ALICE, "copy@there.example")
            yield running


def send(server, sender, to, text=TEXT):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.example")
        return client.sendmail(sender, to, text.encode())


def verdict(server, sender, to):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.example")
        assert client.mail(sender)[0] == 250
        return client.rcpt(to)


def senders(sink):
    return [re.search(rb"X-Mail-Args: <([^>]*)>", dump).group(1).decode() for dump in sink.taken()]


def recipients(sink):
    return {address.decode() for dump in sink.taken() for address in re.findall(rb"X-Rcpt-Args: <([^>]*)>", dump)}


def mail_srs(server, *lines):
    """What Mail::SRS says with the server's own secret; each line is Perl with $s."""
    if subprocess.run(["perl", "-MMail::SRS", "-e", "1"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("libmail-srs-perl is not installed: tools/install-packages check")
    key = (server.folder / "store/store.key").read_bytes()
    label = hmac.new(key, b"sender rewriting", hashlib.sha256).digest()
    secret = hmac.new(label, b"", hashlib.sha256).hexdigest()
    program = f'my $s = Mail::SRS->new(Secret => pack("H*", "{secret}"), HashLength => 6, HashMin => 6);'
    program += "".join(f'print {line}, "\\n";' for line in lines)
    done = subprocess.run(["perl", "-MMail::SRS", "-e", program], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split("\n")[:len(lines)]


@pytest.fixture(scope="module")
def forwarded(server, places, tmp_path_factory):
    """What the other server got of a message from far.example: sender, dump."""
    with Sink(tmp_path_factory.mktemp("sink") / "there", places["there"]) as sink:
        send(server, "Bob+x@far.example", ["carol@example.org"])
        dump, = wait_for(sink.taken, seconds=20, what="the forwarded message")
        return senders(sink)[0], dump, recipients(sink)


def test_it_leaves_as_it_came_with_a_sender_of_ours(forwarded):
    sender, dump, to = forwarded
    assert to == {"Carol.C@there.example"}, "in the case that the operator wrote"
    assert re.fullmatch(r"SRS0=[A-Za-z0-9+/]{6}=[A-Z2-7]{2}=far\.example=Bob\+x@example\.org", sender)
    octets = dump.split(b"\n\n", 1)[0] + b"\n\n" + dump.split(b"\n\n", 1)[1].removesuffix(b"\n")
    assert octets.replace(b"\n", b"\r\n").endswith(TEXT.encode()), "no octet behind our Received line is another"


def test_mail_srs_reads_what_we_wrote(server, forwarded):
    assert mail_srs(server, f"$s->reverse('{forwarded[0]}')", f"$s->reverse(lc '{forwarded[0]}')") == [
        "Bob+x@far.example", "bob+x@far.example"]


def test_a_bounce_goes_on_to_the_sender_and_nothing_else_does(server, places, forwarded, tmp_path):
    with Sink(tmp_path / "far", places["far"]) as sink:
        assert verdict(server, "mallory@there.example", forwarded[0])[0] == 550
        assert verdict(server, "", forwarded[0].replace("Bob", "Eve"))[0] == 550
        send(server, "", [forwarded[0]], "Subject: undelivered\r\n\r\nsorry\r\n")
        wait_for(sink.taken, seconds=20, what="the bounce")
        assert senders(sink) == [""] and recipients(sink) == {"Bob+x@far.example"}


def test_we_read_what_mail_srs_wrote(server, places, tmp_path):
    first, second, old = mail_srs(
        server, "$s->forward('eve@far.example', 'alias@example.org')",
        "$s->forward('SRS0=abcd=XY=orig.example=user@far.example', 'alias@example.org')",
        "do { my $t = $s->timestamp_create(time - 23 * 86400);"
        " 'SRS0=' . join('=', $s->hash_create($t, 'far.example', 'eve'), $t, 'far.example', 'eve') . '@example.org' }")
    assert second.startswith("SRS1=")
    with Sink(tmp_path / "far", places["far"]) as sink:
        send(server, "", [first, second], "Subject: undelivered\r\n\r\nsorry\r\n")
        wait_for(lambda: recipients(sink) == {"eve@far.example", "SRS0=abcd=XY=orig.example=user@far.example"}, seconds=20,
                 what="both bounces")
    code, text = verdict(server, "", old)
    assert code == 550, text


def test_a_copy_stays_when_the_alias_names_itself(server, places, tmp_path):
    before = len(server.messages(ALICE))
    with Sink(tmp_path / "there", places["there"]) as sink:
        send(server, "bob@far.example", [ALICE])
        wait_for(sink.taken, seconds=20, what="the forwarded copy")
        assert recipients(sink) == {"copy@there.example"}
    assert len(server.messages(ALICE)) == before + 1


def test_who_the_other_server_does_not_know_is_told_to_the_sender_by_us(server, places, tmp_path):
    with Sink(tmp_path / "harsh", places["there"], "-f", "RCPT", "-B", "550 5.1.1 no such user there"), \
            Sink(tmp_path / "far", places["far"]) as far:
        send(server, "bob@far.example", ["carol@example.org"])
        dump, = wait_for(far.taken, seconds=20, what="the notification")
        assert senders(far) == [""] and recipients(far) == {"bob@far.example"}
        assert b"no such user there" in dump
        assert b"Original-Recipient: rfc822;carol@example.org" in dump


def test_a_message_that_came_through_here_ten_times_is_in_a_loop(server):
    hops = "".join(f"Received: from there.example ([127.0.0.1]) by mail.example.org with ESMTP\r\n\tid {i}; Sun, 22 Nov 2026"
                   " 06:00:00 +0000\r\n" for i in range(10))
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(server, "bob@far.example", ["carol@example.org"], hops + TEXT)
    assert refused.value.smtp_code == 554 and b"5.4.6" in refused.value.smtp_error


def test_the_queue_says_who_it_is_sent_as(server):
    send(server, "bob@far.example", ["carol@example.org"])  # nobody is there: it waits
    message = wait_for(lambda: [row for row in server.rows("queue", "list") if row["recipient"] == "Carol.C@there.example"],
                       what="a row of the queue")[0]["message"]
    shown = server.rows("queue", "show", message)
    assert shown[0]["sender"] == "bob@far.example" and shown[0]["sent_as"].startswith("SRS0=")
    server.run("queue", "delete", message)
    assert server.run("store", "check").returncode == 0
