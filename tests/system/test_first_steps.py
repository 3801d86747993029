# SPDX-License-Identifier: Apache-2.0
"""What README shows to somebody who comes for the first time, and what goes wrong then."""
import os
import signal
import smtplib
import socket
import subprocess
import threading

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


def test_a_first_account_without_a_password_leaves_nothing_behind(tmp_path):
    words = ["init", str(tmp_path / "mail"), "--hostname", "mail.example.org", "--domain", "example.org",
             "--address", "anna@example.org", "--password-stdin"]
    done = run(*words, input="\n")
    assert done.returncode != 0 and "the password is empty" in done.stderr
    assert not (tmp_path / "mail").exists()
    done = run(*words, input="secret\n")
    assert done.returncode == 0 and "made the account anna@example.org" in done.stdout, done.stderr


def test_a_server_that_hangs_up_on_a_batch_has_the_last_word(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "batch").write_text("NOOP\n" * 50)

    def hang_up():
        end, _ = listener.accept()
        end.sendall(b"421 4.3.2 busy; try again later\r\n")
        end.close()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run" / "smtp.sock"))
        listener.listen()
        thread = threading.Thread(target=hang_up)
        thread.start()
        done = run("--dir", str(tmp_path), "smtp", str(tmp_path / "batch"))
        thread.join()
    assert (done.returncode, done.stdout) == (65, "421 4.3.2 busy; try again later\n"), done


def test_what_the_command_line_cannot_mean_is_said(tmp_path):
    done = subprocess.run([PROGRAM.encode(), b"dns", b"\xff", b"A", b"--resolver", b"127.0.0.1:1"], capture_output=True, timeout=60)
    assert done.returncode in (0, 75) and b"\\xFF" in done.stdout, done
    done = run("--dir", str(tmp_path), "fibers", "--role", "nonsense")
    assert done.returncode == 64 and "glasspost status lists the roles" in done.stderr
    done = run("--dir", str(tmp_path), "session", "list", "--limit", "1001")
    assert done.returncode == 64 and "up to 1000" in done.stderr
