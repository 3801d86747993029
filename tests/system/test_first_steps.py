# SPDX-License-Identifier: Apache-2.0
"""What README shows to somebody who comes for the first time, and what goes wrong then."""
import os
import signal
import smtplib
import subprocess

import pytest

from glasspost import PROGRAM, WELL_KNOWN

BASE = 31600 + os.getpid() % 300


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def dev():
    """`glasspost dev`: its folder."""
    environment = dict(os.environ)
    environment.pop("GLASSPOST_DIR", None)
    process = subprocess.Popen([PROGRAM, "dev", "--port-base", str(BASE)], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    folder = None
    try:
        for line in process.stdout:
            if "--dir" in line:
                folder = line.split("--dir")[1].split()[0]
            if "Ctrl-C" in line:
                break
        yield folder
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait(timeout=20)


def test_smtp_by_hand_needs_no_network_with_dev_too(dev):
    done = run("--dir", dev, "smtp", input="HELP RCPT\nQUIT\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("220 localhost ESMTP Glasspost\n214-2.0.0 RCPT TO:<address> [parameters]\n")
    assert "\n221 " in done.stdout


def test_the_lmtp_socket_is_there_too(dev):
    with smtplib.LMTP(os.path.join(dev, "run", "lmtp.sock")) as client:
        assert client.sendmail("a@b.example", ["anna@example.org"], "Subject: x\r\n\r\nx\r\n") == {}


def test_every_port_that_is_taken_is_named_with_what_to_do(dev):
    again = run("dev", "--port-base", str(BASE))
    assert again.returncode != 0
    for service in ("smtp", "submission", "submissions", "lmtp", "pop3", "pop3s"):
        taken = f"127.0.0.1:{BASE + WELL_KNOWN[service]}: another program listens there; stop it, or use --port-base"
        assert taken in again.stderr, again.stderr


def test_a_folder_that_cannot_be_made_is_told_with_what_to_do(tmp_path):
    tmp_path.chmod(0o755)
    done = run("init", str(tmp_path / "mail"), "--hostname", "mail.example.org", "--domain", "example.org",
               user=65534 if os.geteuid() == 0 else None)
    if os.geteuid() != 0:
        pytest.skip("the folder is our own; shown as root only")
    assert done.returncode == 73
    assert "Permission denied" in done.stderr and "choose a folder of your own" in done.stderr
