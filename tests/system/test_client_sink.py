# SPDX-License-Identifier: Apache-2.0
"""The sending side (smtp/client.h) against other servers: Postfix's smtp-sink in its moods, and Glasspost itself."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile

import pytest

from clients import MESSAGES, PLAIN, EIGHT_BIT, assert_arrived, program
from glasspost import PROGRAM, wait_for

SEND = os.environ.get("SEND", str(pathlib.Path(PROGRAM).parent / "tests" / "system" / "send"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sink:
    """smtp-sink with these options; `messages()` are the octets that it was sent."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="glasspost-sink-")
        self.port = free_port()
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([program("smtp-sink"), *user, *self.options, "-d", self.folder.name + "/%H%M%S.",
                                         f"inet:127.0.0.1:{self.port}", "100"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.listens, what="smtp-sink")
        return self

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(timeout=10)
        self.folder.cleanup()

    def messages(self):
        """smtp-sink writes lines with LF and, in front, X- fields and a Received field of its own."""
        kept = []
        for path in sorted(pathlib.Path(self.folder.name).iterdir(), key=lambda file: file.stat().st_mtime_ns):
            text = path.read_bytes()
            if not text:
                continue
            header = re.match(rb"(X-[^\n]*\n)*Received:[^\n]*\n([ \t][^\n]*\n)*", text)
            assert header, text[:300]
            kept.append(text[header.end():].rstrip(b"\n").replace(b"\n", b"\r\n"))
        return kept


def send(port, *arguments, message=PLAIN, to=("bob@example.org",), timeout=60):
    """The lines that it says, a recipient each, and its exit status."""
    done = subprocess.run([SEND, *map(str, arguments), f"127.0.0.1:{port}", *to], input=message, capture_output=True,
                          timeout=timeout)
    assert done.returncode in (0, 1, 2), done.stderr.decode(errors="replace")
    return done.stdout.decode().splitlines(), done.returncode


def outcomes(lines):
    return [" ".join(line.split()[1:3]) for line in lines]


SINKS = {"as it is": (), "without pipelining": ("-p",), "without ESMTP": ("-e",), "without 8BITMIME": ("-8",)}


@pytest.mark.parametrize("mood", SINKS)
@pytest.mark.parametrize("name", [name for name in MESSAGES if name != "eight-bit"])
def test_the_octets_arrive(mood, name):
    with Sink(*SINKS[mood]) as sink:
        lines, status = send(sink.port, message=MESSAGES[name], to=("bob@example.org", "carol@example.org"))
        assert outcomes(lines) == ["sent 250", "sent 250"] and status == 0
        wait_for(sink.messages, what="the message in the sink")
        assert sink.messages() == [MESSAGES[name].rstrip(b"\r\n")]


def test_eight_bit_octets_go_only_to_who_takes_them():
    with Sink() as sink:
        assert outcomes(send(sink.port, message=EIGHT_BIT)[0]) == ["sent 250"]
        wait_for(sink.messages, what="the message in the sink")
        assert sink.messages() == [EIGHT_BIT.rstrip(b"\r\n")]
    for option in "-8", "-e":
        with Sink(option) as sink:
            lines, status = send(sink.port, message=EIGHT_BIT)
            assert outcomes(lines) == ["refused 554"] and " 5.6.3 " in lines[0] and status == 1
            assert not sink.messages()


def test_many_messages_go_in_one_session():
    with Sink() as sink:
        lines, status = send(sink.port, "--times", 20)
        assert outcomes(lines) == ["sent 250"] * 20 and status == 0
        wait_for(lambda: len(sink.messages()) == 20, what="20 messages")


def test_hundreds_of_recipients_go_with_one_message():
    with Sink() as sink:
        lines, status = send(sink.port, to=[f"user{i}@example.org" for i in range(900)])
        assert outcomes(lines) == ["sent 250"] * 900 and status == 0
        wait_for(lambda: len(sink.messages()) == 1, what="the message")


@pytest.mark.parametrize("option, command, outcome", [
    ("-f", "mail", "refused 500"), ("-f", "rcpt", "refused 500"), ("-f", "data", "refused 500"), ("-f", ".", "refused 500"),
    ("-r", "mail", "deferred 450"), ("-r", "rcpt", "deferred 450"), ("-r", "data", "deferred 450"), ("-r", ".", "deferred 450"),
    ("-f", "connect", "refused 500"), ("-r", "connect", "deferred 450"), ("-r", "ehlo", "deferred 450"),
    ("-q", "connect", "deferred 451"), ("-q", "ehlo", "deferred 451"), ("-q", "mail", "deferred 451"),
    ("-q", "rcpt", "deferred 451"), ("-q", "data", "deferred 451"), ("-q", ".", "unsure 451"),
    ("-Q", "connect", "deferred 421"), ("-Q", "ehlo", "deferred 421"), ("-Q", "mail", "deferred 421"),
    ("-Q", "rcpt", "deferred 421"), ("-Q", "data", "deferred 421"), ("-Q", ".", "deferred 421"),
])
@pytest.mark.parametrize("pipelining", [(), ("-p",)])
def test_every_kind_of_no_is_heard(option, command, outcome, pipelining):
    with Sink(*pipelining, option, command) as sink:
        lines, status = send(sink.port, to=("bob@example.org", "carol@example.org"))
        assert set(outcomes(lines)) == {outcome}, lines
        assert status > 0


def test_ehlo_that_is_refused_becomes_helo():
    with Sink("-f", "ehlo") as sink:
        assert outcomes(send(sink.port)[0]) == ["sent 250"]


def test_the_trace_is_drawn_from_our_side():
    with Sink() as sink:
        done = subprocess.run([SEND, "--trace", f"127.0.0.1:{sink.port}", "bob@example.org"], input=PLAIN,
                              capture_output=True, timeout=60)
        ladder = done.stderr.decode()
        assert "smtp-out session" in ladder and " to localhost" in ladder
        assert re.search(r"│ MAIL FROM:<alice@example.org>.*▶│", ladder)
        assert re.search(r"│◀─.* 250 .*│", ladder)
        assert re.search(r"│ ▓+ 1\d\d octets DATA, complete", ladder)
        assert re.search(rf"127\.0\.0\.1:\d+ +127\.0\.0\.1:{sink.port}", ladder)


@pytest.mark.parametrize("tls", ["none", "may", "must"])
@pytest.mark.parametrize("name", MESSAGES)
def test_glasspost_takes_what_it_sends(server, mailbox, tls, name):
    address, password = mailbox
    lines, status = send(server.port("smtp"), "--tls", tls, message=MESSAGES[name], to=(address,))
    assert outcomes(lines) == ["sent 250"] and status == 0
    assert_arrived(server, address, password, MESSAGES[name])


def test_lmtp_answers_for_every_recipient(server, mailbox):
    address, password = mailbox
    lines, _ = send(server.port("lmtp"), "--lmtp", to=(address, "nobody@example.org", "bob@example.org"))
    assert outcomes(lines) == ["sent 250", "refused 550", "sent 250"]
    assert_arrived(server, address, password, PLAIN)


@pytest.mark.parametrize("service, tls", [("submission", "must"), ("submissions", "implicit")])
def test_it_signs_in(server, mailbox, service, tls):
    address, password = mailbox
    lines, _ = send(server.port(service), "--tls", tls, "--user", address, "--password", password, "--from", address,
                    to=(address,))
    assert outcomes(lines) == ["sent 250"]
    lines, _ = send(server.port(service), "--tls", tls, "--user", address, "--password", "wrong", "--from", address,
                    to=(address,))
    assert outcomes(lines) == ["deferred 535"]
    assert_arrived(server, address, password, PLAIN)
