# SPDX-License-Identifier: Apache-2.0
"""The server as a whole: starting, readiness, restarting roles, reloading, stopping, refusing."""
import json
import os
import pathlib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time

import pytest

from glasspost import PROGRAM, Server, takes_less_than, wait_for

EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 64, 69, 75, 78


def plain(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, **options)


def send(server, recipient="alice@example.org", text="Subject: hello\r\n\r\nHello.\r\n"):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=5) as client:
        client.sendmail("someone@elsewhere.example", [recipient], text)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("role", ["gate-mx", "gate-user", "filter", "relay", "store", "web"])
def test_a_killed_role_is_back_within_a_second(server, role):
    def serves():
        try:
            send(server)
            server.messages("alice@example.org")
            return True
        except Exception:  # whatever a client of a server that is not there may meet
            return False

    def kill():
        before = server.role_pids()[role]
        os.kill(before[0], signal.SIGKILL)
        wait_for(serves, what="mail taken and read")
        wait_for(lambda: server.role_pids().get(role) not in (None, before), what=f"a new {role}")

    takes_less_than(1.5, kill)
    row = [row for row in server.rows("status") if row["role"] == role][0]
    assert row["restarts"] >= 1 and row["last_end"] == "killed by SIGKILL"


def test_every_role_says_what_its_sandbox_is(server):
    for row in server.rows("status"):
        assert "seccomp" in row["sandbox"], row


def test_what_a_role_may_not_do_fails_on_this_kernel(server):
    rows = server.rows("check", "--sandbox")
    assert {row["role"] for row in rows} == {"gate-mx", "gate-user", "filter", "relay", "store", "web"}
    assert all(row["verdict"] == "as it must be" for row in rows), rows


def test_a_second_server_is_refused_and_told_who_has_the_folder(server):
    second = server.run("serve", "--port-base", "50000", check=False)
    assert second.returncode == EX_TEMPFAIL
    assert f"process {server.process.pid} serves" in second.stderr


def test_a_bad_file_is_refused_and_the_old_one_stays():
    with Server(accounts={}) as server:
        file = server.folder / "glasspost.conf"
        good = file.read_text()
        file.write_text(good + "\nqota = 5M\n")
        line = file.read_text().count("\n")
        done = server.run("reload", check=False)
        assert done.returncode == 1
        assert f"glasspost.conf:{line}: qota: is no option; did you mean quota?" in done.stderr
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "did you mean quota?" in server.log(), what="the complaint in the log")
        with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=5) as client:
            assert client.noop()[0] == 250
        check = server.run("check", check=False)
        assert check.returncode == EX_CONFIG and "did you mean quota?" in check.stderr


def shown_certificate(server):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=10) as client:
        client.starttls(context=ssl._create_unverified_context())
        return client.sock.getpeercert(binary_form=True)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed: tools/install-packages check")
def test_a_certificate_that_openssl_does_not_serve_with_is_refused_and_the_old_one_stays():
    with Server(accounts={}) as server:
        before = shown_certificate(server)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:512", "-nodes", "-subj", "/CN=short", "-days", "9",
                        "-keyout", server.folder / "short.key", "-out", server.folder / "short.pem"], check=True, capture_output=True)
        file = server.folder / "glasspost.conf"
        file.write_text(file.read_text() + "certificate = short.pem\ncertificate_key = short.key\n")
        done = server.run("reload", check=False)
        assert done.returncode == 1 and "ee key too small" in done.stderr and "the old configuration stays" in done.stderr, done.stderr
        assert shown_certificate(server) == before
        for pid in server.role_pids()["gate-mx"]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "gate-mx 0 has ended" in server.log(), what="the gate's end")
        assert shown_certificate(server) == before, "the gate that was started again has it too"


def test_a_reload_changes_options_and_moves_listeners():
    with Server(accounts={}) as server:
        file = server.folder / "glasspost.conf"
        with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=5) as old:
            file.write_text(file.read_text() + "message_size_max = 5M\n"
                            'listener "mx" { protocol = smtp address = 127.0.0.1 port = 125 }\n')
            server.run("reload")
            assert old.noop()[0] == 250, "a session under way goes on"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port("smtp")), timeout=5)
            with smtplib.SMTP("127.0.0.1", server.base + 125, timeout=5) as client:
                client.ehlo()
                assert client.esmtp_features["size"] == str(5 << 20)
        names = {row["name"] for row in server.rows("listeners")}
        assert names == {"mx"}


def test_a_reload_names_what_waits_for_the_next_start():
    with Server(accounts={}) as server:
        file = server.folder / "glasspost.conf"
        file.write_text(file.read_text() + "segment_size = 32M\nresolver_trusted = yes\nquota = 5M\n")
        server.run("reload")
        wait_for(lambda: "reloaded" in server.log(), what="the reload in the log")
        waits = [line for line in server.log().splitlines() if "counts from the next start" in line]
        assert [line.split(": ")[-2].split()[-1] for line in waits] == ["resolver_trusted", "segment_size"], waits


def test_a_stop_tells_the_idle_and_exits_zero():
    with Server(accounts={}) as server:
        idle = socket.create_connection(("127.0.0.1", server.port("smtp")), timeout=10)
        assert idle.recv(1000).startswith(b"220 ")
        pids = [pid for group in server.role_pids().values() for pid in group]
        assert server.run("stop").stdout == "stopped\n"
        assert idle.recv(1000).startswith(b"421 ")
        assert server.process.wait(timeout=10) == 0
        assert not any(is_alive(pid) for pid in pids)
        done = server.run("status", check=False)
        assert done.returncode == EX_UNAVAILABLE
        assert "the server is not running" in done.stderr and "serve" in done.stderr


def test_roles_do_not_outlive_their_supervisor():
    with Server(accounts={}) as server:
        roles = server.role_pids()
        pids = [pid for role, group in roles.items() if role != "supervisor" for pid in group]
        assert set(roles) == {"supervisor", "gate-mx", "gate-user", "filter", "relay", "store", "web"}
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(timeout=10)
        wait_for(lambda: not any(is_alive(pid) for pid in pids), seconds=2, what="the end of the roles")
        server.start()
        assert set(server.role_pids()) == set(roles)


def test_several_processes_of_a_role_share_the_work():
    with Server(config="gate_processes = 2\nfilter_processes = 2") as server:
        pids = server.role_pids()
        assert [len(pids[role]) for role in ("gate-mx", "gate-user", "filter", "store")] == [2, 2, 2, 1]
        for _ in range(8):
            send(server)
        os.kill(pids["filter"][1], signal.SIGKILL)
        os.kill(pids["gate-mx"][0], signal.SIGKILL)
        wait_for(lambda: [len(server.role_pids().get(r, [])) for r in ("gate-mx", "filter")] == [2, 2],
                 what="both processes again")
        send(server)
        assert len(server.messages("alice@example.org")) == 9


def test_every_role_may_have_as_many_processes_as_the_configuration_allows():
    with Server(config="gate_processes = 16\nfilter_processes = 16") as server:
        assert {role: len(pids) for role, pids in server.role_pids().items()} == {
            "supervisor": 1, "store": 1, "filter": 16, "relay": 1, "gate-mx": 16, "gate-user": 16, "web": 1}
        send(server)
        assert len(server.messages("alice@example.org")) == 1


def test_reloads_of_a_long_configuration_leave_no_descriptors_behind():
    with Server(config="# a comment of some length, again and again\n" * 4000) as server:
        for _ in range(3):
            server.run("reload")
        open_files = pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()
        assert [link for link in map(os.readlink, open_files) if "memfd:body" in link] == []


def test_together_all_roles_are_one_process():
    with Server(arguments=["--together"]) as server:
        send(server)
        assert len(server.messages("alice@example.org")) == 1
        pids = {pid for group in server.role_pids().values() for pid in group}
        assert pids == {server.process.pid}


def test_the_lmtp_socket_lies_in_the_data_directory():
    with Server() as server:
        path = server.folder / "run" / "lmtp.sock"
        with smtplib.LMTP(str(path)) as client:
            assert client.sendmail("a@b.example", ["alice@example.org"], "Subject: x\r\n\r\nx\r\n") == {}
        assert len(server.messages("alice@example.org")) == 1


def test_a_client_may_have_a_socket_with_a_long_name_itself(tmp_path):
    with Server() as server:
        client = smtplib.LMTP()
        client.sock = socket.socket(socket.AF_UNIX)
        client.sock.bind(str(tmp_path / ("c" * (100 - len(str(tmp_path))))))
        client.sock.connect(str(server.folder / "run" / "lmtp.sock"))
        assert client.getreply()[0] == 220
        assert client.sendmail("a@b.example", ["alice@example.org"], "Subject: x\r\n\r\nx\r\n") == {}
        client.quit()
        assert len(server.messages("alice@example.org")) == 1


def test_a_service_manager_is_told(tmp_path):
    path = str(tmp_path / "notify")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(path)
    told.settimeout(20)
    os.environ["NOTIFY_SOCKET"] = path
    os.environ["WATCHDOG_USEC"] = "400000"
    try:
        with Server(accounts={}) as server:
            words = []
            while b"READY=1" not in words or b"WATCHDOG=1" not in words:
                words.append(told.recv(200))
            server.run("reload")
            words = []
            while b"READY=1" not in words:
                words.append(told.recv(200))
            assert any(word.startswith(b"RELOADING=1") for word in words)
            server.stop()
            while b"STOPPING=1" not in words:
                words.append(told.recv(200))
    finally:
        del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]


def test_a_role_that_cannot_stay_up_is_told_and_tried_again_more_slowly():
    with Server(accounts={}) as server:
        for _ in range(6):
            wait_for(lambda: server.role_pids().get("filter"), seconds=20, what="a filter")
            os.kill(server.role_pids()["filter"][0], signal.SIGKILL)
            time.sleep(0.05)
        wait_for(lambda: "filter 0 cannot stay up" in server.log(), what="the message")
        assert "starting it again in 400 ms" in server.log()
        wait_for(lambda: server.role_pids().get("filter"), seconds=20, what="a filter")


def test_commands_that_make_no_sense_exit_64():
    for arguments in (["frobnicate"], ["account"], ["account", "add"], ["serve", "--frobnicate"]):
        assert plain(*arguments).returncode == EX_USAGE, arguments
    assert plain().returncode == 0 and "glasspost dev" in plain().stdout
    assert plain("help").returncode == 0 and "account add ADDRESS" in plain("help").stdout
    assert plain("account", "add", "--help").returncode == 0
    assert plain("--dir", "/nonexistent", "serve").returncode == EX_CONFIG
    assert "glasspost init" in plain("--dir", "/nonexistent", "serve").stderr


def test_init_makes_the_first_account_and_refuses_to_do_it_twice(tmp_path):
    folder = str(tmp_path / "data")
    arguments = ["init", folder, "--hostname", "mail.example.org", "--domain", "example.org",
                 "--address", "anna@example.org", "--password-stdin"]
    done = plain(*arguments, input="correct horse\n")
    assert done.returncode == 0, done.stderr
    again = plain(*arguments, input="correct horse\n")
    assert again.returncode != 0 and "is there already" in again.stderr
    with Server(folder=tmp_path, accounts={}) as server:
        server.accounts["anna@example.org"] = "correct horse"
        send(server, "anna@example.org")
        assert len(server.messages("anna@example.org")) == 1


def test_dev_needs_nothing_and_leaves_nothing(tmp_path):
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    environment.pop("GLASSPOST_DIR", None)
    base = 31000 + os.getpid() % 500
    process = subprocess.Popen([PROGRAM, "dev", "--port-base", str(base)], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        with smtplib.SMTP("127.0.0.1", base + 25, timeout=10) as client:
            client.sendmail("a@b.example", ["anybody@anywhere.example"], "Subject: Grüße\r\n\r\nx\r\n".encode())
        lines = [process.stdout.readline() for _ in range(2)]
        assert any("anybody@anywhere.example" in line for line in lines), lines
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(timeout=20) == 0
    assert list(tmp_path.iterdir()) == []


def test_an_empty_list_says_how_to_make_the_first_one_and_circles_are_named():
    with Server(accounts={}) as server:
        for what, where in (("account", ["elsewhere.example"]), ("alias", [])):
            said = server.run(what, "list", *where).stdout
            assert said.count("\n") == 1 and f"glasspost {what} add" in said
            assert json.loads(server.run(what, "list", *where, "--json").stdout) == []
        server.run("alias", "add", "a@example.org", "b@example.org")
        server.run("alias", "add", "b@example.org", "c@example.org")
        refused = server.run("alias", "add", "c@example.org", "a@example.org", check=False)
        assert refused.returncode != 0
        assert ("a circle: c@example.org leads to a@example.org, which leads to b@example.org, "
                "which leads to c@example.org") in refused.stderr
        assert "c@example.org" not in [row["address"] for row in server.rows("alias", "list")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_refuses_a_configuration_that_another_user_may_write():
    with Server(accounts={}) as server:
        file = server.folder / "glasspost.conf"
        os.chown(file, 65534, -1)
        refused = server.run("reload", check=False)
        assert refused.returncode != 0 and "the old configuration stays" in refused.stderr
        assert "chown root" in refused.stdout + refused.stderr
        os.chown(file, 0, -1)
        server.run("reload")
