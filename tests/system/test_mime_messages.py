# SPDX-License-Identifier: Apache-2.0
"""The collection of 822 real and broken messages: through delivery, by DATA and by BDAT, and back over POP3 to the octet."""
import collections
import re
import socket
import tarfile

import pytest

from glasspost import ROOT, Server, body_of

ARCHIVE = ROOT.parent / "shared" / "suites" / "data" / "mime" / "messages.tar.xz"
PASSWORD = "open sesame 42"
REFUSED = 637  # of the 822 hold a bare CR or LF: kept as files of lines that end in LF alone
WAYS = {"as it is": "asis@example.org", "by DATA": "data@example.org", "by BDAT": "bdat@example.org",
        "by BDAT as BINARYMIME": "binary@example.org"}

pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is absent: its 822 messages are NOT delivered")


@pytest.fixture(scope="module")
def collection():
    with tarfile.open(ARCHIVE) as archive:
        messages = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    assert len(messages) == 822
    return messages


@pytest.fixture(scope="module")
def server():
    accounts = {address: PASSWORD for address in WAYS.values()}
    with Server(accounts=accounts, config="received_max = 1000\nerrors_max = 1000\nerrors_soft = 1000") as running:
        yield running


class Client:
    """SMTP with nothing between us and the octets."""

    def __init__(self, server, service="smtp"):
        self.socket = socket.create_connection(("127.0.0.1", server.port(service)), timeout=60)
        self.input = self.socket.makefile("rb")
        self.expect(b"220")

    def expect(self, code):
        line = self.input.readline()
        while line[3:4] == b"-":
            line = self.input.readline()
        assert line.startswith(code), line
        return line

    def send(self, octets, code):
        self.socket.sendall(octets)
        return self.expect(code)

    def close(self):
        self.send(b"QUIT\r\n", b"221")
        self.socket.close()


def in_lines(octets):
    """What a client with a text file makes of it: every line end, of whatever kind, a CRLF, the last line whole."""
    octets = re.sub(rb"\r\n|\r|\n", b"\r\n", octets)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def stuffed(octets):
    return re.sub(rb"(?m)^\.", b"..", octets)


def holds_a_bare_newline(octets):
    return re.search(rb"\r(?!\n)|(?<!\r)\n", octets) is not None


def begin(client, address, more=b""):
    client.send(b"MAIL FROM:<sender@client.example>" + more + b"\r\n", b"250")
    client.send(b"RCPT TO:<" + address.encode() + b">\r\n", b"250")


def by_data(client, octets, code=b"250"):
    client.send(b"DATA\r\n", b"354")
    return client.send(stuffed(octets) + b".\r\n", code)


def by_bdat(client, octets, code=b"250", piece=30_011):
    while len(octets) > piece:
        client.send(b"BDAT %d\r\n" % piece + octets[:piece], b"250")
        octets = octets[piece:]
    return client.send(b"BDAT %d LAST\r\n" % len(octets) + octets, code)


class Mailbox:
    """POP3 with nothing between us and the octets; one message after the other."""

    def __init__(self, server, address):
        import ssl
        raw = socket.create_connection(("127.0.0.1", server.port("pop3s")), timeout=60)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(raw)
        self.input = self.socket.makefile("rb")
        self.line()
        self.ask(b"USER " + address.encode())
        self.ask(b"PASS " + PASSWORD.encode())
        self.count = int(self.ask(b"STAT").split()[1])

    def line(self):
        line = self.input.readline()
        assert line.startswith(b"+OK"), line
        return line

    def ask(self, command):
        self.socket.sendall(command + b"\r\n")
        return self.line()

    def message(self, number):
        announced = int(self.ask(b"LIST %d" % number).split()[2])
        self.ask(b"RETR %d" % number)
        out = []
        while (line := self.input.readline()) != b".\r\n":
            out.append(line[1:] if line.startswith(b".") else line)
        text = b"".join(out)
        assert len(text) in (announced, announced + 2), (number, announced, len(text))
        return text


def assert_came_back(server, address, sent):
    box = Mailbox(server, address)
    assert box.count == len(sent), f"{box.count} messages came, {len(sent)} were acknowledged"
    for number, (name, wanted) in enumerate(sent.items(), 1):
        got = body_of(box.message(number))
        assert got == wanted, f"{name}: {len(got)} octets came, {len(wanted)} were sent"
    box.ask(b"QUIT")


def test_every_message_in_lines_comes_back_by_data(server, collection):
    client, sent = Client(server), {}
    client.send(b"EHLO client.example\r\n", b"250")
    for name, octets in collection.items():
        sent[name] = in_lines(octets)
        begin(client, WAYS["by DATA"])
        by_data(client, sent[name])
    client.close()
    assert len(sent) == 822
    assert_came_back(server, WAYS["by DATA"], sent)


def test_every_message_in_lines_comes_back_by_bdat(server, collection):
    client, sent = Client(server), {}
    client.send(b"EHLO client.example\r\n", b"250")
    for name, octets in collection.items():
        sent[name] = in_lines(octets)
        begin(client, WAYS["by BDAT"], b" BODY=8BITMIME")
        by_bdat(client, sent[name])
    client.close()
    assert len(sent) == 822
    assert_came_back(server, WAYS["by BDAT"], sent)


def test_as_they_are_those_with_bare_newlines_are_refused_and_the_others_come_back(server, collection):
    client, sent, refused = Client(server), {}, collections.Counter()
    client.send(b"EHLO client.example\r\n", b"250")
    for name, octets in collection.items():
        begin(client, WAYS["as it is"])
        if holds_a_bare_newline(octets):
            assert by_bdat(client, octets, code=b"550", piece=1 << 30).startswith(b"550 5.5.2 ")
            refused["550 5.5.2 a bare CR or LF"] += 1
            continue
        sent[name] = octets if octets.endswith(b"\r\n") else octets + b"\r\n"
        by_bdat(client, octets)
    client.close()
    print(f"{len(sent)} taken as they are, {dict(refused)}")
    assert sum(refused.values()) == REFUSED and len(sent) == 822 - REFUSED
    assert_came_back(server, WAYS["as it is"], sent)


def test_as_binary_all_are_taken_and_the_store_holds_each_octet(server, collection):
    """BINARYMIME has no lines: POP3, which has, shows each bare newline as it is, and ends the text with a CRLF."""
    client, sent = Client(server), {}
    client.send(b"EHLO client.example\r\n", b"250")
    for name, octets in collection.items():
        begin(client, WAYS["by BDAT as BINARYMIME"], b" BODY=BINARYMIME")
        by_bdat(client, octets)
        sent[name] = octets if octets.endswith(b"\r\n") else octets + b"\r\n"
    client.close()
    assert_came_back(server, WAYS["by BDAT as BINARYMIME"], sent)
