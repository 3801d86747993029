# SPDX-License-Identifier: Apache-2.0
"""What the tests with other people's programs share: messages to send, and a way to run a program."""
import functools
import os
import shutil
import subprocess

from glasspost import body_of

HEADER = (b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nDate: Thu, 21 May 1998 05:33:29 -0700\r\n"
          b"Message-ID: <one@client.example>\r\nSubject: %s\r\n\r\n")
PLAIN = HEADER % b"plain" + b"Hello.\r\n"
DOTS = HEADER % b"dots" + b".\r\n..\r\n...\r\n.dot at the start\r\nand. in. the. middle.\r\n"
LONG = HEADER % b"long lines" + b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n"
EIGHT_BIT = HEADER % b"octets" + "Größe, ελληνικά, кириллица, 日本語\r\n".encode() + bytes(range(128, 256)) + b"\r\n"
BLANK = HEADER % b"blank lines" + b"\r\n\r\nbetween\r\n\r\n\r\n"
LARGE = HEADER % b"large" + b"".join(b"%07d " % i + b"y" * 60 + b"\r\n" for i in range(20000))
MESSAGES = {"plain": PLAIN, "dots": DOTS, "long": LONG, "eight-bit": EIGHT_BIT, "blank": BLANK, "large": LARGE}


def program(name):
    """Its path. A program that is missing is a failure: nothing is skipped in silence."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert path, f"{name} is not installed; tools/packages.txt names its package"
    return path


def run(name, *arguments, stdin=None, timeout=60, check=True, env=None):
    done = subprocess.run([program(name), *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                          env={**os.environ, **(env or {})})
    if check:
        assert done.returncode == 0, (f"{name} ended with {done.returncode}\n{done.stdout[-3000:].decode(errors='replace')}"
                                      f"\n{done.stderr[-3000:].decode(errors='replace')}")
    return done


def assert_same(got, sent):
    """The message that came is the one that was sent, our trace lines apart."""
    body = body_of(got)
    if body != sent:
        at = next((i for i, (a, b) in enumerate(zip(body, sent)) if a != b), min(len(body), len(sent)))
        raise AssertionError(f"{len(body)} octets came, {len(sent)} were sent; they differ at {at}: "
                             f"{body[at - 20:at + 40]!r} instead of {sent[at - 20:at + 40]!r}")


def assert_arrived(server, address, password, *sent):
    """Exactly these messages are in the mailbox, in this order."""
    messages = server.messages(address, password)
    assert len(messages) == len(sent), f"{len(messages)} messages came, {len(sent)} were sent"
    for got, wanted in zip(messages, sent):
        assert_same(got, wanted)


@functools.cache
def mechanism_of(program, mechanism):
    """Who can bind an exchange to its TLS channel and does not is taken for a victim of a downgrade (RFC 5802 6): where the
    program has a -plus of a mechanism, that is the one to try."""
    known = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout.split()
    return f"{mechanism}-plus" if f"{mechanism}-plus" in known else mechanism
