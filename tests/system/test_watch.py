# SPDX-License-Identifier: Apache-2.0
"""`glasspost watch` as a person sees it: on a terminal that a program reads back (python3-pexpect, python3-pyte)."""
import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import time

import pexpect
import pyte
import pytest

from glasspost import PROGRAM, Server

def terminal_description():
    """A terminal as ncurses-base describes it, without the sequences that pyte does not know: back tab, scroll by n lines."""
    folder = tempfile.mkdtemp(prefix="glasspost-terminfo-")
    told = subprocess.run(["infocmp", "-1", "tmux-256color"], capture_output=True, text=True, check=True).stdout
    told = "".join(line + "\n" for line in told.splitlines() if not line.strip().startswith(("cbt=", "indn=", "rin=")))
    subprocess.run(["tic", "-x", "-o", folder, "-"], input=told, text=True, check=True, capture_output=True)
    atexit.register(shutil.rmtree, folder)
    return folder


TERMINFO = terminal_description()
KEYS = {"up": "\x1bOA", "down": "\x1bOB", "right": "\x1bOC", "left": "\x1bOD", "enter": "\r", "escape": "\x1b",
        "home": "\x1bOH", "end": "\x1bOF", "phase": "\x1b[1;2C"}


class Terminal:
    """A screen of rows and columns with `glasspost watch` on it."""

    def __init__(self, server, *arguments, rows=24, columns=80, **environment):
        keep = {key: value for key, value in os.environ.items()
                if key not in ("LANG", "LC_ALL", "LC_CTYPE", "COLUMNS", "LINES", "NO_COLOR")}
        keep.update({"TERM": "tmux-256color", "TERMINFO": TERMINFO, "TZ": "UTC"}, **environment)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(PROGRAM, ["--dir", str(server.folder), "watch", *arguments], env=keep,
                                   dimensions=(rows, columns), timeout=10)
        self.before = termios.tcgetattr(self.child.child_fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.close(force=True)

    def read(self, seconds=0.05):
        try:
            octets = self.child.read_nonblocking(65536, seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += octets
        self.stream.feed(octets)

    def text(self):
        return "\n".join(self.screen.display)

    def see(self, what, seconds=5):
        """Waits until it stands on the screen; gives how long that took."""
        begin = time.monotonic()
        while what not in self.text():
            assert time.monotonic() - begin < seconds, f"no '{what}' on the screen:\n{self.text()}"
            self.read()
        return time.monotonic() - begin

    def lose(self, what, seconds=5):
        begin = time.monotonic()
        while what in self.text():
            assert time.monotonic() - begin < seconds, f"'{what}' is still on the screen:\n{self.text()}"
            self.read()

    def press(self, *keys):
        for key in keys:
            self.child.send(KEYS.get(key, key))
            self.read(0.1)

    def end(self):
        """Until the program has ended: its exit status, or the negative signal."""
        begin = time.monotonic()
        while self.child.isalive():
            assert time.monotonic() - begin < 10, "it does not end"
            self.read()
        for _ in range(5):
            self.read()
        return -self.child.signalstatus if self.child.signalstatus else self.child.exitstatus

    def is_given_back(self):
        """The modes of the terminal are those of before, and its last words leave the other screen and show the cursor."""
        assert termios.tcgetattr(self.child.child_fd) == self.before
        assert self.raw.rfind(b"\x1b[?1049l") > self.raw.rfind(b"\x1b[?1049h")
        assert self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l") or b"\x1b[?12l\x1b[?25h" in self.raw
        return True


@pytest.fixture(scope="module", name="server")
def fixture_server():
    with Server() as server:
        yield server


def send(server, subject="hello", to="alice@example.org"):
    return subprocess.run(["swaks", "--server", f"127.0.0.1:{server.port('smtp')}", "--to", to, "--from", "me@client.example",
                           "--header", f"Subject: {subject}"], capture_output=True, text=True, timeout=60)


def newest(server):
    return server.rows("session", "list")[-1]["session"]


def connected(server):
    client = socket.create_connection(("127.0.0.1", server.port("smtp")), timeout=10)
    client.recv(1000)
    return client


def test_mail_that_is_sent_appears_and_can_be_opened_down_to_the_line(server):
    with Terminal(server) as terminal:
        terminal.see("Glasspost")
        assert send(server, "picnic").returncode == 0
        assert terminal.see("picnic", 3) < 1.5
        terminal.press("enter")
        terminal.see("EHLO")
        terminal.press("/", *"354", "enter")
        terminal.see("Send the letter")
        terminal.press("enter")
        terminal.see("What can be answered to that")
        terminal.see("RFC 5321")
        terminal.press("e")
        terminal.see("student")
        terminal.see("line with the single dot")
        terminal.press("b")
        terminal.see("33 35 34 20")
        terminal.press("s")
        terminal.see("[addressed]")
        terminal.press("?")
        terminal.see("play and pause the film")
        terminal.press("q", "q")
        terminal.see("Enter line")
        terminal.press("escape")
        terminal.see("Enter open")
        terminal.press("q")
        assert terminal.end() == 0
        assert terminal.is_given_back()


def test_an_open_session_is_marked_and_followed(server):
    with Terminal(server) as terminal:
        terminal.see("following")
        with connected(server) as client:
            terminal.see("1 open", 3)
            assert any(line.startswith(">●") and " open" in line for line in terminal.screen.display), terminal.text()
            terminal.press("enter")
            terminal.see("following")
            client.sendall(b"EHLO watched.example\r\n")
            assert terminal.see("EHLO watched.example", 3) < 1.5
            terminal.press(" ")
            terminal.see("open, paused")
            client.sendall(b"NOOP\r\n")
            client.recv(1000)
            terminal.press(" ")
            terminal.see("NOOP", 3)
            terminal.see("following")
            client.sendall(b"QUIT\r\n")
            terminal.see("closed: quit", 3)
        terminal.see("ended")
        terminal.press("q", "q")
        assert terminal.end() == 0


def test_a_film_plays_pauses_and_steps(server):
    with connected(server) as client:  # who takes his time
        for line in (b"EHLO film.example", b"MAIL FROM:<me@client.example>", b"RCPT TO:<alice@example.org>", b"RSET", b"QUIT"):
            time.sleep(0.15)
            client.sendall(line + b"\r\n")
            client.recv(1000)
    with Terminal(server, "--session", newest(server), "--play", "--speed", "0.1") as terminal:
        terminal.see("playing")
        assert "QUIT" not in terminal.text()
        terminal.press(" ")
        terminal.see("paused  0.1x squeezed")
        terminal.press("home", "right", "right")
        terminal.see(" 3/")
        terminal.press("phase")
        terminal.lose(" 3/")
        for _ in range(9):
            terminal.press("]")
        terminal.see("100x squeezed")
        terminal.press("t", "t")
        terminal.see("time: even")
        terminal.press(" ")
        terminal.see("ended", 10)
        terminal.see("closed: quit")


def test_the_screen_fits_its_size_and_follows_it(server):
    send(server, "sizes")
    with Terminal(server, rows=24, columns=60) as terminal:
        terminal.see("Glasspost")
        terminal.press("enter")
        terminal.see("EHLO")
        terminal.child.setwinsize(40, 120)
        terminal.screen.resize(40, 120)
        terminal.see("Two computers are connected and can talk now,")  # the line's page stands beside the ladder
        for rows, columns in ((5, 30), (2, 10), (24, 80)):
            terminal.child.setwinsize(rows, columns)
            terminal.screen.resize(rows, columns)
            for _ in range(6):
                terminal.read()
        terminal.see("Space play")
        terminal.press("q", "q")
        assert terminal.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_is_given_back_when_a_signal_ends_it(server, number):
    with Terminal(server) as terminal:
        terminal.see("following")
        terminal.child.kill(number)
        assert terminal.end() == 0
        assert terminal.is_given_back()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_the_terminal_is_given_back_when_the_program_breaks(server, number):
    with Terminal(server) as terminal:
        terminal.see("following")
        terminal.child.kill(number)
        assert terminal.end() == -number
        assert terminal.is_given_back()


def test_nothing_is_told_by_colour_alone(server):
    send(server, to="nobody@example.org")
    with Terminal(server, NO_COLOR="1") as plain, Terminal(server) as coloured:
        for terminal in (plain, coloured):
            terminal.see("Glasspost")
            terminal.press("enter")
            terminal.see("EHLO")
            terminal.press("/", *"550", "enter")
            terminal.see("✗")
            terminal.see("No such mailbox")
        assert not re.search(rb"\x1b\[[0-9;]*3[0-7][;m]", plain.raw)
        assert re.search(rb"\x1b\[[0-9;]*3[0-7][;m]", coloured.raw)


@pytest.mark.parametrize("arguments,environment", [(["--ascii"], {}), ([], {"LANG": "C"})])
def test_ascii_is_ascii(server, arguments, environment):
    send(server, "Grüße")
    with Terminal(server, *arguments, **environment) as terminal:
        terminal.see("Glasspost")
        terminal.press("enter")
        terminal.see("EHLO")
        terminal.see("->")
        terminal.press("enter", "?")
        terminal.see("Signs")
        terminal.press("q", "q", "q", "q")
        assert terminal.end() == 0
        assert terminal.raw.isascii()


def test_what_strangers_say_cannot_move_the_terminal(server):
    with Terminal(server) as terminal:
        terminal.see("following")
        with connected(server) as client:
            client.sendall(b"EHLO x\r\n")
            client.recv(1000)
            client.sendall(b"\x1b[2J\x1b]0;gotcha\x07\x1bc \xc2\x9b31m\r\n")
            client.recv(1000)
            client.sendall(b"MAIL FROM:<\x1b[41m@x>\r\n")
            terminal.see("1 open", 3)
            terminal.press("enter")
            terminal.see("gotcha", 3)
            client.sendall(b"QUIT\r\n")
            terminal.press("end", "enter", "b")
            terminal.see("reason: quit")
        for evil in (b"\x1b]0", b"\x1bc", b"\x1b[41m", b"\x07", b"\xc2\x9b"):
            assert evil not in terminal.raw
        terminal.press("q", "q", "q")
        assert terminal.end() == 0


def test_a_server_that_went_away_is_waited_for():
    with Server() as server, Terminal(server) as terminal:
        terminal.see("following")
        server.stop()
        terminal.see("the server has gone", 5)
        server.start()
        terminal.lose("the server has gone", 10)
        terminal.lose("is not running", 10)
        send(server, "back again")
        terminal.see("back again", 5)


def test_text_for_tickets(server):
    send(server, to="nobody@example.org")
    session = newest(server)
    listing = server.run("watch").stdout
    assert session in listing and "\x1b" not in listing
    told = server.run("watch", "--session", session).stdout
    assert "RCPT TO:<nobody@example.org>" in told
    assert "There is nobody of that name here." in told
    assert "RFC 3463 section 3.2" in told
    assert "Two computers are connected" not in told
    told = server.run("watch", "--session", session, "--text", "--ascii", "--explain", "student").stdout
    assert told.isascii() and "three-way handshake" not in told
    assert "One side calls, the other has waited on its port" in told
    assert server.run("watch", "--session", session, "--text", "--explain", "rfc").stdout.count("three-way handshake") == 1


def test_a_mistake_is_answered_by_what_to_do(server):
    for arguments, said in ((["--session", "nonsense"], "session list"), (["--speed", "0"], "0.1 to 100"),
                            (["--speed", "nan"], "0.1 to 100"), (["--explain", "wizard"], "newcomer, student and rfc"),
                            (["--play"], "--session ID"), (["--session", "0000000000001"], "session list")):
        done = server.run("watch", *arguments, check=False)
        assert done.returncode != 0 and said in done.stderr, arguments
    with Terminal(server, "--session", "0000000000001") as terminal:
        assert terminal.end() != 0
        assert b"no events of session" in terminal.raw
    done = subprocess.run([PROGRAM, "--dir", "/nowhere", "watch"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 69 and "not running" in done.stderr
