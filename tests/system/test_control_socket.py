# SPDX-License-Identifier: Apache-2.0
"""What means harm on the control sockets: nonsense, floods, silence, crowds, strangers."""
import json
import os
import smtplib
import socket
import subprocess
import sys
import time

import pytest

from glasspost import PROGRAM, wait_for

LINE_MAX, CONNECTIONS_MAX, PATIENCE = 65536, 32, 5
NONSENSE = {
    "unknown command": (b'{"command":"frobnicate"}\n', "unknown command: frobnicate"),
    "nothing": (b"\n", "one line of JSON"),
    "no JSON": (b"status\n", "one line of JSON"),
    "half an object": (b'{"command":"status"\n', "one line of JSON"),
    "another object behind": (b'{"command":"status"}{"command":"stop"}\n', "one line of JSON"),
    "a list": (b"[]\n", "JSON object"),
    "a command that is no text": (b'{"command":{"stop":true}}\n', 'needs a "command"'),
    "an endless command": (b'{"command":"' + b"x" * 60_000 + b'"}\n', 'needs a "command"'),
    "arguments that are none": (b'{"command":"status","arguments":7}\n', '"arguments" is an object'),
    "a name twice": (b'{"command":"status","command":"stop"}\n', "one line of JSON"),
    "deep lists": (b"[" * 60_000 + b"\n", "levels deep"),
    "deep objects": (b'{"a":' * 10_000 + b"\n", "levels deep"),
    "depth in arguments": (b'{"command":"status","arguments":{"a":' + b"[" * 100 + b"]" * 100 + b"}}\n", "levels deep"),
    "octets": (bytes(range(256)).replace(b"\n", b"") * 4 + b"\n", "one line of JSON"),
    "a NUL": (b'{"command":"status\0"}\n', ""),
    "an escaped NUL": (b'{"command":"status\\u0000"}\n', ""),
    "half a surrogate": (b'{"command":"\\ud800"}\n', "one line of JSON"),
    "UTF-16": ('{"command":"status"}\n'.encode("utf-16"), "one line of JSON"),
    "a number without measure": (b'{"command":"status","arguments":{"n":' + b"9" * 1000 + b"}}\n", "one line of JSON"),
    "another protocol": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "one line of JSON"),
    "a line past the bound": (b'{"command":"status","x":"' + b"x" * LINE_MAX + b'"}\n', "at most 65536 octets"),
}


def sockets(server):
    """Every control socket: the supervisor's and those of the roles that have one."""
    return sorted(path for path in (server.folder / "run").glob("*.sock") if path.name not in ("smtp.sock", "lmtp.sock"))


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(path))
    return client


def read_all(client):
    out = b""
    try:
        while part := client.recv(65536):
            out += part
    except ConnectionResetError:
        pass
    return out


def say(path, octets):
    with connect(path) as client:
        try:
            client.sendall(octets)
            client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass
        return read_all(client)


def is_well(server):
    assert server.process.poll() is None
    rows = server.rows("status")
    assert rows and all(row["restarts"] == 0 for row in rows), rows


def test_there_are_control_sockets_and_they_are_their_owner_s_alone(server):
    assert len(sockets(server)) >= 2
    for path in sockets(server):
        assert path.stat().st_mode & 0o777 == 0o600, path


@pytest.mark.parametrize("case", list(NONSENSE))
def test_nonsense_is_answered_by_an_error_in_json(server, case):
    octets, error = NONSENSE[case]
    for path in sockets(server):
        last = json.loads(say(path, octets).splitlines()[0])
        assert last["ok"] is False and error in last["error"], (path, last)
        assert "\0" not in last["error"]
    is_well(server)


@pytest.mark.parametrize("command", ["account add", "account delete", "domain add", "alias add", "session show",
                                     "session list", "store check", "metrics", "status", "stop "])
@pytest.mark.parametrize("arguments", [{}, {"address": 5, "domain": [], "session": {}, "limit": "x", "targets": 7},
                                       {"address": "a" * 30_000, "domain": "a" * 30_000, "session": "z" * 30_000},
                                       {"address": "a\0b@c", "domain": "a\0b", "session": "\0", "limit": -1},
                                       {"limit": 1 << 62, "address": "", "domain": "", "targets": [[]] * 100}])
def test_arguments_of_the_wrong_form_hurt_nobody(server, command, arguments):
    for path in sockets(server):
        answer = say(path, json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        assert "ok" in json.loads(answer.splitlines()[-1]), answer[:500]
    is_well(server)


def test_a_hundred_megabytes_without_a_line_end_are_not_gathered(server):
    before = resident(server)
    for path in sockets(server):
        sent = 0
        with connect(path) as client:
            try:
                for _ in range(100):
                    client.sendall(b"x" * (1 << 20))
                    sent += 1 << 20
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert sent < 100 << 20, "nobody reads so much"
    is_well(server)
    assert resident(server) - before < 10 << 20


def resident(server):
    total = 0
    for pids in server.role_pids().values():
        for pid in pids:
            with open(f"/proc/{pid}/statm", encoding="ascii") as file:
                total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def test_half_a_line_and_silence_is_waited_for_five_seconds(server):
    for path in sockets(server):
        with connect(path) as client:
            client.sendall(b'{"command":"sta')
            begun = time.monotonic()
            answer = json.loads(read_all(client))
            assert answer["ok"] is False and "within 5 s" in answer["error"]
            assert PATIENCE - 1 < time.monotonic() - begun < PATIENCE + 3


def test_a_trickle_of_octets_buys_no_time(server):
    with connect(sockets(server)[0]) as client:
        begun = time.monotonic()
        try:
            for octet in b'{"command":"status","arguments":{}}':
                client.sendall(bytes([octet]))
                time.sleep(0.4)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - begun < PATIENCE + 3


def test_a_thousand_connections_leave_mail_and_then_the_owner_unhurt(server):
    for path in sockets(server):
        crowd, told = [], 0
        for _ in range(1000):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            try:
                client.connect(str(path))
            except BlockingIOError:  # the backlog is full
                client.close()
                time.sleep(0.002)
                continue
            crowd.append(client)
        with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=10) as sender:
            sender.sendmail("a@client.example", ["alice@example.org"], "Subject: in a crowd\r\n\r\nstill here\r\n")
        ended = 0
        for client in crowd:  # each is told so, or closed for its silence
            client.settimeout(20)
            told += b"too many control connections" in read_all(client)
            ended += 1
        assert ended == len(crowd) >= 500 and told >= ended // 2, (path, ended, told)
        for client in crowd:
            client.close()
        wait_for(lambda: server.run("status", check=False).returncode == 0, what="an answer to the owner")
    is_well(server)


ASK_AS_NOBODY = """
import json, socket, sys
client = socket.socket(socket.AF_UNIX)
try:
    client.connect(sys.argv[1])
    client.sendall(b'{"command":"status"}\\n')
    print("answered", client.recv(65536))
except PermissionError:
    print("refused")
"""


def test_another_user_is_refused(server, tmp_path):
    if os.getuid() != 0:
        pytest.skip("NOT run: not started by root, so that there is no other user to try as")
    nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    # Be the folders open to all: the socket itself is what keeps strangers out.
    modes = {folder: folder.stat().st_mode for folder in (server.folder / "run", server.folder, server.folder.parent)}
    done = subprocess.run([PROGRAM, "--dir", str(server.folder), "status"], capture_output=True, text=True, timeout=20,
                          cwd="/", **nobody)
    assert done.returncode != 0 and "only for the user that the server runs as" in done.stderr
    try:
        for folder in modes:
            folder.chmod(0o755)
        for path in sockets(server):
            asked = subprocess.run([sys.executable, "-c", ASK_AS_NOBODY, str(path)], capture_output=True, text=True,
                                   timeout=20, cwd="/", **nobody)
            assert asked.stdout == "refused\n", (path, asked)
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
    is_well(server)
