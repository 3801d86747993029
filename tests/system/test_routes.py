# SPDX-License-Identifier: Apache-2.0
"""Ways of the operator's choice: smarthosts with and without signing in, LMTP, discard, error, sources."""
import contextlib
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import threading
import time

import pytest

from glasspost import Server, wait_for
from peers_outside import Names, Sink, need_outside, some_address
from test_relay import ALICE, TEXT, bounces, submit, waiting

PASSWORD = "a smarthost's secret " + secrets.token_hex(8)


@pytest.fixture(scope="module", autouse=True)
def outside():
    need_outside()


@pytest.fixture(scope="module")
def places():
    return {name: some_address() for name in ("there", "dark")}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of our own, and a certificate by it for smart.example."""
    folder = tmp_path_factory.mktemp("certificates")
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder, timeout=30)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test's authority")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "smart.key",
        "-out", "smart.csr", "-subj", "/CN=smart.example")
    (folder / "names").write_text("subjectAltName=DNS:smart.example\n")
    run("x509", "-req", "-in", "smart.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
        "-extfile", "names", "-out", "smart.pem")
    return folder


@pytest.fixture(scope="module")
def smarthost(certificates):
    """Another Glasspost: it takes submissions of who signs in, for mailboxes of its own."""
    config = f'certificate = "{certificates}/smart.pem"\ncertificate_key = "{certificates}/smart.key"\n'
    accounts = {"carrier@inside.example": PASSWORD, "bob@inside.example": "bob's own"}
    with Server(accounts=accounts, domain="inside.example", config=config) as running:
        running.run("domain", "add", "example.org")
        running.run("alias", "add", ALICE, "carrier@inside.example")  # so the carrier may send as her
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory, places, certificates, smarthost):
    records = {
        "smart.example": ["A 127.0.0.1"], "other.example": ["A 127.0.0.1"],
        "inside.example": ["MX 10 mx.dark.example"], "mx.dark.example": [f"A {places['dark']}"],
        "there.example": ["MX 10 mx.there.example"], "mx.there.example": [f"A {places['there']}"],
        "unheard.example": ["A 127.0.0.1"],
    }
    with Names(tmp_path_factory.mktemp("names"), records) as names:
        config = (f'relay = users\nresolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\n'
                  f'tls_roots = "{certificates}/ca.pem"\nrelay_sockets = yes\n')
        with Server(accounts={ALICE: "correct horse"}, config=config) as running:
            yield running
            assert PASSWORD not in running.log()


def keep_credential(server, name="carrier", password=PASSWORD):
    server.run("credential", "add", name, "--user", "carrier@inside.example", "--password-stdin", stdin=password + "\n")


@pytest.fixture(autouse=True)
def no_routes(server):
    yield
    for row in server.rows("queue", "list"):
        server.run("queue", "delete", row["message"], check=False)
    for row in server.rows("route", "list"):
        server.run("route", "delete", row["domain"])


def inbox(smarthost, subject):
    return [text for text in smarthost.messages("bob@inside.example") if subject.encode() in text]


def send(server, subject, to="bob@inside.example"):
    submit(server, [to], TEXT.replace("Subject: out", f"Subject: {subject}"))


def sessions_out(server):
    return {row["session"] for row in server.rows("session", "list") if row["protocol"] in ("smtp-out", "lmtp-out")}


def new_session(server, before):
    """The dialogue of the one session with another server that was not there before."""
    session, = wait_for(lambda: sessions_out(server) - before, seconds=20, what="a session")
    return server.run("session", "show", session, "--text", "--ascii").stdout


def test_mail_goes_by_a_smarthost_that_is_verified_and_signed_in_to(server, smarthost):
    keep_credential(server)
    before = sessions_out(server)
    server.run("route", "add", "inside.example", "--smtp", f"smart.example:{smarthost.port('submission')}",
               "--credential", "carrier")
    row, = server.rows("route", "list")
    assert row["tls"] == "verified" and row["credential"] == "carrier"
    send(server, "by the smarthost")
    wait_for(lambda: inbox(smarthost, "by the smarthost"), seconds=20, what="the message")
    text = new_session(server, before)
    assert "AUTH SCRAM-SHA-256-PLUS" in text, text
    assert "AUTH=" in text and PASSWORD not in text
    assert PASSWORD not in json.dumps(server.rows("credential", "list"))
    assert "carrier" in json.dumps(server.rows("credential", "list"))


def test_smtps_is_tls_from_the_first_octet(server, smarthost):
    keep_credential(server)
    before = sessions_out(server)
    server.run("route", "add", "*", "--smtps", f"smart.example:{smarthost.port('submissions')}", "--credential", "carrier")
    send(server, "smtps")
    wait_for(lambda: inbox(smarthost, "smtps"), seconds=20, what="the message")
    text = new_session(server, before)
    assert "STARTTLS" not in text and "TLSv1.3" in text and "AUTH SCRAM-SHA-256-PLUS" in text, text


def test_sessions_are_kept_for_a_while_and_tls_is_resumed_later(server, smarthost):
    keep_credential(server)
    server.run("route", "add", "*", "--smtp", f"smart.example:{smarthost.port('submission')}", "--credential", "carrier")
    before = sessions_out(server)
    send(server, "first of two")
    wait_for(lambda: inbox(smarthost, "first of two"), seconds=20, what="the message")
    send(server, "second of two")
    wait_for(lambda: inbox(smarthost, "second of two"), seconds=20, what="the message")
    assert new_session(server, before).count("MAIL FROM") == 2
    for which in ("a later one", "one later still"):  # each by the ticket of the one before
        time.sleep(7)
        before = sessions_out(server)
        send(server, which)
        wait_for(lambda: inbox(smarthost, which), seconds=20, what="the message")
        assert "resumed" in new_session(server, before)


def test_a_certificate_for_another_name_keeps_the_mail_and_the_password(server, smarthost):
    keep_credential(server)
    server.run("route", "add", "inside.example", "--smtp", f"other.example:{smarthost.port('submission')}",
               "--credential", "carrier")
    send(server, "misnamed")
    row = wait_for(lambda: [r for r in waiting(server, "bob@inside.example") if r["reply"]], seconds=20, what="a try")[0]
    assert "certificate" in row["reply"] and "mismatch" in row["reply"], row
    assert not inbox(smarthost, "misnamed")


def test_a_password_that_is_wrong_bounces_nothing_and_is_told_the_operator(server, smarthost):
    keep_credential(server, password="not it at all")
    server.run("route", "add", "inside.example", "--smtp", f"smart.example:{smarthost.port('submission')}",
               "--credential", "carrier")
    before = len(bounces(server))
    send(server, "wrong password")
    row = wait_for(lambda: [r for r in waiting(server, "bob@inside.example") if r["reply"]], seconds=20, what="a try")[0]
    assert "535" in json.dumps(server.rows("queue", "show", row["message"])), row
    assert len(bounces(server)) == before
    wait_for(lambda: "signing in at smart.example" in server.log(), seconds=10, what="a word in the log")
    assert "not it at all" not in server.log()
    keep_credential(server)


def carry(source, target):
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            target.sendall(octets)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def socket_to(path, port):
    """A UNIX socket whose connections are carried to a port of loopback."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chmod(path, 0o666)
    listener.listen(8)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.close()


def test_lmtp_delivers_into_another_server_and_so_does_a_socket(server, smarthost, tmp_path):
    server.run("route", "add", "inside.example", "--lmtp", f"127.0.0.1:{smarthost.port('lmtp')}")
    send(server, "by lmtp")
    wait_for(lambda: inbox(smarthost, "by lmtp"), seconds=20, what="the message")
    path = tmp_path / "lmtp.sock"
    with socket_to(path, smarthost.port("lmtp")):
        os.chmod(tmp_path, 0o755)
        server.run("route", "add", "inside.example", "--lmtp", str(path))
        send(server, "by a socket")
        wait_for(lambda: inbox(smarthost, "by a socket"), seconds=20, what="the message")


def test_what_is_discarded_is_gone_and_what_is_an_error_comes_back(server):
    before = len(bounces(server))
    server.run("route", "add", "*.gone.example", "--discard")
    server.run("route", "add", "no.example", "--error", "550 5.1.1 nobody lives here")
    send(server, "to nowhere", "x@deep.gone.example")
    send(server, "to nobody", "x@no.example")
    wait_for(lambda: len(bounces(server)) == before + 1, seconds=20, what="a notification")
    assert b"5.1.1" in bounces(server)[-1] and b"nobody lives here" in bounces(server)[-1]
    wait_for(lambda: not waiting(server, "gone.example"), seconds=20, what="an empty queue")


def test_mail_leaves_from_the_address_of_its_senders_domain(server, places, tmp_path):
    source = some_address()
    with Sink(tmp_path / "sink", places["there"], "-v") as sink:
        server.run("source", "add", "example.org", source)
        try:
            submit(server, ["carl@there.example"])
            dump, = wait_for(sink.taken, seconds=20, what="the message")
            assert f"X-Client-Addr: {source}".encode() in dump, dump
        finally:
            server.run("source", "delete", "example.org")


def test_a_laptop_goes_by_its_smarthost_when_port_25_is_closed(server, places, tmp_path):
    smart = some_address()
    with Sink(tmp_path / "sink", smart) as sink:
        server.run("route", "add", "*", "--smtp", f"{smart}:25", "--fallback")
        os.kill(server.role_pids()["relay"][0], signal.SIGKILL)  # it had reached others a moment ago
        time.sleep(1)
        submit(server, ["dora@inside.example"])  # its MX is at an address where nobody listens
        wait_for(sink.taken, seconds=40, what="the message at the smarthost")


def test_a_smarthost_that_does_not_exist_bounces_nothing(server):
    before = len(bounces(server))
    server.run("route", "add", "*", "--smtp", "no-such-host.example:25")
    submit(server, ["erna@there.example"])
    wait_for(lambda: [r for r in waiting(server, "erna@there.example") if r["reply"]], seconds=20, what="a try")
    assert len(bounces(server)) == before


def test_what_is_wrong_is_refused_with_what_to_do(server):
    for words, hint in [
        (("route", "add", "x.example", "--smtp", "not a host:25"), "HOST:PORT"),
        (("route", "add", "not_a domain", "--discard"), "a domain"),
        (("route", "add", "x.example", "--smtp", "a.example:25", "--tls", "perhaps"), "opportunistic"),
        (("route", "add", "x.example", "--smtp", "a.example:25", "--credential", "nobody"), "credential add"),
        (("route", "add", "x.example", "--smtp", "a.example:25", "--lmtp", "b.example:24"), "two ways"),
        (("route", "add", "x.example"), "which way"),
        (("route", "delete", "x.example"), "no route"),
        (("credential", "delete", "nobody"), "no credential"),
        (("source", "add", "example.org", "mail.example.org"), "not an IP address"),
    ]:
        done = server.run(*words, check=False)
        assert done.returncode != 0 and hint in done.stderr, (words, done.stderr)
    keep_credential(server)
    server.run("route", "add", "x.example", "--smtp", "a.example:25", "--credential", "carrier")
    done = server.run("credential", "delete", "carrier", check=False)
    assert done.returncode != 0 and "x.example" in done.stderr


def test_a_new_key_keeps_what_was_kept(server, smarthost):
    keep_credential(server)
    key = pathlib.Path(server.folder) / "store" / "store.key"
    before = key.read_bytes()
    assert "1 secrets" in server.run("store", "rotate-key").stdout
    assert key.read_bytes() != before
    os.kill(server.role_pids()["store"][0], signal.SIGKILL)
    time.sleep(1)
    server.run("ready", "--wait", "20s")
    assert "sound" in server.run("store", "check").stdout
    server.run("ready", "--wait", "20s")
    before = sessions_out(server)
    server.run("route", "add", "inside.example", "--smtp", f"smart.example:{smarthost.port('submission')}",
               "--credential", "carrier")
    send(server, "after the change")
    wait_for(lambda: inbox(smarthost, "after the change"), seconds=20, what="the message")
    assert "235" in new_session(server, before)


def test_the_database_holds_no_password(server):
    keep_credential(server)
    for path in (pathlib.Path(server.folder) / "store").glob("glasspost.db*"):
        assert PASSWORD.encode() not in path.read_bytes(), path
