# SPDX-License-Identifier: Apache-2.0
"""`glasspost check --sandbox`: each role tries what it may not do, started by root and by an ordinary user."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from glasspost import PROGRAM, Server

ROLES = {"gate-mx", "gate-user", "filter", "relay", "store", "web"}
DENIED_TO_ALL = {"open /etc/passwd", "create a file in /tmp", "read the TLS key", "open another role's memory",
                 "copy another role's memory", "connect to a TCP port", "connect to a UNIX socket",
                 "bind and listen on a TCP port", "make an IPv4 socket", "make a UNIX socket", "make a netlink socket",
                 "run a program", "trace another role", "signal another role", "fork", "make a namespace",
                 "map writable and executable memory", "become root", "send a UDP datagram"}
THE_RELAYS = {"connect to a TCP port", "connect to a UNIX socket", "make an IPv4 socket", "send a UDP datagram"}
THE_STORE_S = {"create a file in the data directory", "read the store's key"}
LACKING = "(what the kernel lacks)"


@pytest.fixture(scope="module")
def folder(server):
    """A data directory that has served, so that every key is there."""
    assert (server.folder / "tls" / "self-signed.key").is_file()
    assert (server.folder / "store" / "store.key").is_file()
    return server.folder


def verdicts(done):
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    rows = json.loads(done.stdout)
    assert {row["role"] for row in rows} == ROLES
    assert all(row["verdict"] == "as it must be" for row in rows), rows
    return {(row["role"], row["trial"]): row["result"] for row in rows}


def judge(found):
    for role in ROLES:
        tried = {trial for of, trial in found if of == role}
        assert tried == DENIED_TO_ALL | THE_STORE_S | {LACKING}
        own = {"store": THE_STORE_S, "relay": THE_RELAYS}.get(role, set())
        for trial in (DENIED_TO_ALL | THE_STORE_S) - own:
            assert found[role, trial] == "denied", (role, trial)
        print(f"{role}: the kernel lacks {found[role, LACKING]}")


def test_every_role_is_denied_everything_but_its_own(folder):
    found = verdicts(subprocess.run([PROGRAM, "--dir", str(folder), "check", "--sandbox", "--json"], capture_output=True,
                                    text=True, timeout=120))
    judge(found)
    assert found["store", "read the store's key"] == "allowed", "the trial is a true one"


def test_the_relay_is_tried_in_the_sandbox_that_it_runs_in():
    with Server(config="relay_sockets = yes") as server:
        found = verdicts(subprocess.run([PROGRAM, "--dir", str(server.folder), "check", "--sandbox", "--json"],
                                        capture_output=True, text=True, timeout=120))
        assert found["relay", "make a UNIX socket"] == "allowed"
        assert found["gate-mx", "make a UNIX socket"] == "denied"


def test_the_same_for_an_ordinary_user(folder):
    """With a copy of the data directory that is wholly his: what is denied, the sandbox denies, not the file's owner."""
    if os.getuid() != 0:
        pytest.skip("NOT run: not started by root, so that the test before was this one")
    home = pathlib.Path("/tmp") / f"glasspost-ordinary-{os.getpid()}"
    try:
        shutil.copytree(folder, home, ignore=shutil.ignore_patterns("*.sock", "lock"))
        for path in [home, *home.rglob("*")]:
            shutil.chown(path, "nobody", "nogroup")
        found = verdicts(subprocess.run([PROGRAM, "--dir", str(home), "check", "--sandbox", "--json"], text=True, cwd="/",
                                        capture_output=True, timeout=120, user="nobody", group="nogroup", extra_groups=[]))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    judge(found)
    assert found["store", "read the store's key"] == "allowed", "the trial is a true one"


def test_what_the_kernel_lacks_is_named_for_people_too(folder):
    done = subprocess.run([PROGRAM, "--dir", str(folder), "check", "--sandbox"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.count(LACKING) == len(ROLES)
