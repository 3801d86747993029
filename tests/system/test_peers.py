# SPDX-License-Identifier: Apache-2.0
"""Mail to and from Debian's Postfix, Exim and OpenSMTPD, each on an address of its own."""
import smtplib

import pytest

from glasspost import Server, insecure_tls, wait_for
from mail_servers import ALL, OpenSMTPD
from peers_outside import Names, need_outside, some_address

ALICE = "alice@example.org"
HEADER = ("Message-ID: <{mark}@example.org>\r\nDate: Sun, 22 Nov 2026 06:00:00 +0000\r\nFrom: {sender}\r\nTo: {to}\r\n"
          "Subject: {mark}\r\n\r\n")
BODIES = {
    "plain": b"Hello.\r\n",
    "dots": b".\r\n..\r\n.a\r\n...\r\nend.\r\n.",
    "blank": b"\r\n\r\n  leading and trailing  \r\n\t\r\n\r\n",
    "eight": "Grüße, 日本語\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
    "long": b"x" * 998 + b"\r\n" + b"y" * 990 + b"\r\n",
    "from": b"From somebody at some time\r\n>From quoted\r\n",
    "large": b"".join(b"%06d the quick brown fox jumps over the lazy dog\r\n" % i for i in range(20000)),
}


@pytest.fixture(scope="module", params=ALL, ids=lambda kind: kind.name)
def pair(request, tmp_path_factory):
    """(Glasspost, the other one); each is the other's next host."""
    need_outside()
    address = some_address()
    records = {name: ["MX 10 mx.there.example"] for name in ("there.example", "wrong.example")}
    records |= {"mx.there.example": [f"A {address}"]}
    with Names(tmp_path_factory.mktemp("names"), records) as names:
        config = f'relay = users\nresolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\n'
        with Server(accounts={ALICE: "correct horse"}, config=config) as server:
            onward = {"example.org": ("127.0.0.1", server.port("smtp"))}
            with request.param(address, "there.example", onward) as peer:
                yield server, peer


def submit(server, to, octets, mail_options=(), rcpt_options=()):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
        client.starttls(context=insecure_tls())
        client.login(ALICE, "correct horse")
        client.sendmail(ALICE, to, octets, mail_options, rcpt_options)


def mail(mark, body, sender=ALICE, to="anna@there.example"):
    return HEADER.format(mark=mark, sender=sender, to=to).encode() + body


def arrived(messages, mark):
    return [message for message in messages if f"Subject: {mark}\r\n".encode() in message]


def at_peer(pair, mark, seconds=20):
    found = wait_for(lambda: arrived(pair[1].messages(), mark), seconds=seconds, what=f"{mark} at {pair[1].name}")
    return found[0]


def session_texts(server, address):
    """What was said in each session with that server, oldest first."""
    rows = [row for row in server.rows("session", "list") if row["peer"] == f"{address}:25"]
    return [server.run("session", "show", row["session"], "--text").stdout for row in rows]


def ended_as(octets, sent):
    """The same octets, but for a last line that had no end."""
    return octets.endswith(sent) or octets.endswith(sent + b"\r\n")


# ---- to the other one ----

@pytest.mark.parametrize("kind", BODIES)
def test_octets_reach_it_as_they_were_sent(pair, kind):
    octets = mail(f"out-{kind}", BODIES[kind])
    submit(pair[0], ["anna@there.example"], octets, ["BODY=8BITMIME"] if kind == "eight" else [])
    assert ended_as(at_peer(pair, f"out-{kind}"), octets)


def test_tls_pipelining_and_chunks_are_used_where_it_offers_them(pair):
    submit(pair[0], ["anna@there.example", "bert@there.example"], mail("offers", b"x\r\n"))
    at_peer(pair, "offers")
    texts = session_texts(pair[0], pair[1].address)
    said = next(text for text in texts if "bert@there.example" in text)
    if pair[1].has_tls():
        assert "TLSv1.3" in said, said
    else:
        assert "TLSv1.3" not in said and any("TLS handshake failed" in text for text in texts), "tried, and then without"
    offered = {word for word in ("CHUNKING", "PIPELINING", "DSN", "SMTPUTF8", "8BITMIME", "SIZE") if f"250-{word}" in said
               or f"250 {word}" in said}
    assert {"8BITMIME", "SIZE", "DSN"} <= offered
    assert ("BDAT " in said) == ("CHUNKING" in offered), said
    transaction = next(part for part in said.split("MAIL FROM:") if "bert@there.example" in part)
    assert transaction.count("RCPT TO:") == 2, "one for both; the session may have others"


def test_addresses_of_other_alphabets_go_where_it_takes_them_and_come_back_where_not(pair):
    server, peer = pair
    octets = mail("utf8", "Grüße\r\n".encode(), to="jürgen@there.example")
    submit(server, ["jürgen@there.example"], octets, ["SMTPUTF8", "BODY=8BITMIME"])
    if isinstance(peer, OpenSMTPD):
        told = wait_for(lambda: [text for text in server.messages(ALICE) if b"SMTPUTF8" in text], seconds=20, what="a notification")
        assert b"5.6.7" in told[0] and "jürgen@there.example".encode() in told[0]
    else:
        assert ended_as(at_peer(pair, "utf8"), octets)


def test_what_it_refuses_comes_back_with_its_words(pair):
    server, peer = pair
    submit(server, ["anna@wrong.example"], mail("refused", b"x\r\n"))
    told = wait_for(lambda: [text for text in server.messages(ALICE) if b"anna@wrong.example" in text], seconds=20,
                    what="a notification")[0]
    assert b"Action: failed" in told and b"Status: 5." in told
    assert b"Remote-MTA: dns; mx.there.example" in told
    assert peer.address.encode() in told


def test_forwarded_mail_says_whom_it_was_for(pair):
    server, peer = pair
    server.run("alias", "add", "carol@example.org", "carol@there.example")
    octets = mail("forwarded", b"x\r\n", sender="bob@far.example", to="carol@example.org")
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.sendmail("bob@far.example", ["carol@example.org"], octets)
    assert ended_as(at_peer(pair, "forwarded"), octets)
    said = next(text for text in session_texts(server, peer.address) if "carol@there.example" in text)
    assert "ORCPT=rfc822;carol@example.org" in said and "=far.example=bob@example.org" in said


# ---- from the other one ----

def inject(peer, sender, to, octets, options=(), rcpt_options=()):
    with smtplib.SMTP(peer.address, 25, timeout=30) as client:
        client.sendmail(sender, to, octets, options, rcpt_options)


def at_alice(pair, mark, seconds=30):
    return wait_for(lambda: arrived(pair[0].messages(ALICE), mark), seconds=seconds, what=f"{mark} here")[0]


@pytest.mark.parametrize("kind", BODIES)
def test_octets_come_from_it_as_they_were_sent(pair, kind):
    octets = mail(f"in-{kind}", BODIES[kind], sender="anna@there.example", to=ALICE)
    inject(pair[1], "anna@there.example", [ALICE], octets, ["BODY=8BITMIME"] if kind == "eight" else [])
    assert ended_as(at_alice(pair, f"in-{kind}"), octets)


def test_it_speaks_tls_to_us(pair):
    inject(pair[1], "anna@there.example", [ALICE], mail("secure", b"x\r\n", sender="anna@there.example", to=ALICE))
    received = at_alice(pair, "secure").split(b"Received:", 2)[1]
    assert b"with ESMTPS" in received or b"with UTF8SMTPS" in received, received


def test_an_unknown_user_is_refused_to_it_and_it_tells_the_sender_and_not_we(pair):
    server, peer = pair
    inject(peer, "anna@there.example", ["nobody@example.org"], mail("nobody", b"x\r\n", "anna@there.example", "nobody@example.org"))
    told = wait_for(lambda: [text for text in peer.messages() if b"nobody@example.org" in text and b"5.1.1" in text], seconds=30,
                    what="the other server's bounce")
    assert told
    assert not [row for row in server.rows("queue", "list") if row["sender"] == ""], "no backscatter"


def test_a_user_of_another_alphabet_is_written_to(pair):
    server, peer = pair
    if isinstance(peer, OpenSMTPD):
        pytest.skip("OpenSMTPD has no SMTPUTF8")
    server.run("alias", "add", "älïce@example.org", ALICE)
    octets = mail("in-utf8", "Grüße\r\n".encode(), "jörg@there.example", "älïce@example.org")
    inject(peer, "jörg@there.example", ["älïce@example.org"], octets, ["SMTPUTF8", "BODY=8BITMIME"])
    assert ended_as(at_alice(pair, "in-utf8"), octets)
