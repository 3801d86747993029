# SPDX-License-Identifier: Apache-2.0
"""Mail fetched by programs that are not ours; each message is compared octet for octet."""
import mailbox as boxes
import poplib
import smtplib
import socket
import time

import pytest

from clients import DOTS, MESSAGES, assert_same, mechanism_of, run
from glasspost import insecure_tls


@pytest.fixture
def full(server, mailbox):
    """A mailbox with a message of every kind in it."""
    address, password = mailbox
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=60) as client:
        for message in MESSAGES.values():
            client.sendmail("alice@example.org", [address], message)
    return address, password


def lf(message):
    return message.replace(b"\r\n", b"\n")


def assert_all_there(got):
    """Files with LF, as programs write them; what a program adds in front does not matter."""
    for wanted in MESSAGES.values():
        whole = lf(wanted)
        assert any(text.endswith(whole) or text.rstrip(b"\n").endswith(whole.rstrip(b"\n")) for text in got), whole[:200]
    assert len(got) == len(MESSAGES)


def count(server, address, password):
    return len(server.messages(address, password))


# ---- Python's poplib ----

def test_poplib_fetches_and_deletes_at_quit(server, full):
    address, password = full
    box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=insecure_tls(), timeout=60)
    assert "STLS" not in box.capa()
    box.user(address)
    box.pass_(password)
    assert box.stat()[0] == len(MESSAGES)
    uids = [line.split()[1] for line in box.uidl()[1]]
    assert len(set(uids)) == len(MESSAGES)
    for number, wanted in enumerate(MESSAGES.values(), 1):
        lines = box.retr(number)[1]
        assert_same(b"".join(line + b"\r\n" for line in lines), wanted)
    top = box.top(1, 0)[1]
    assert top[-1] == b"" and any(line.startswith(b"Subject: plain") for line in top)
    box.dele(1)
    box.close()  # no QUIT: nothing is deleted
    assert count(server, address, password) == len(MESSAGES)
    box = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=60)
    box.stls(context=insecure_tls())
    box.user(address)
    box.pass_(password)
    assert [line.split()[1] for line in box.uidl()[1]] == uids
    box.dele(1)
    box.rset()
    box.dele(2)
    box.quit()
    assert count(server, address, password) == len(MESSAGES) - 1


def test_poplib_is_refused_with_a_wrong_password(server, mailbox):
    address, _ = mailbox
    box = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=insecure_tls(), timeout=60)
    box.user(address)
    with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"):
        box.pass_("wrong")
    box.quit()


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_said_after_quit_does_not_reset_the_connection(server, tls):
    """A close with octets unread would be a reset, and that may overtake the last reply."""
    client = socket.create_connection(("127.0.0.1", server.port("pop3s" if tls else "pop3")), timeout=60)
    if tls:
        client = insecure_tls().wrap_socket(client)
    with client:
        assert client.recv(512).startswith(b"+OK")
        client.sendall(b"QUIT\r\n" + b"NOOP\r\n" * 50_000)
        time.sleep(0.3)
        client.sendall(b"NOOP\r\n" * 1000)
        heard = b""
        while octets := client.recv(4096):
            heard += octets
    assert heard.startswith(b"+OK") and heard.count(b"\r\n") == 1


def test_poplib_is_refused_without_tls(server, mailbox):
    box = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=60)
    with pytest.raises(poplib.error_proto, match="STLS"):
        box.user(mailbox[0])
    box.quit()


# ---- curl ----

@pytest.mark.parametrize("scheme, port, options", [("pop3", "pop3", ["--ssl-reqd"]), ("pop3s", "pop3s", [])])
def test_curl_fetches(server, full, scheme, port, options):
    address, password = full
    url = f"{scheme}://127.0.0.1:{server.port(port)}/"
    common = ["-sS", "--insecure", "--user", f"{address}:{password}", *options]
    assert len(run("curl", *common, url).stdout.splitlines()) == len(MESSAGES)
    for number, wanted in enumerate(MESSAGES.values(), 1):
        assert_same(run("curl", *common, f"{url}{number}").stdout, wanted)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl_fetches_with_sasl(server, full, mechanism):
    address, password = full
    got = run("curl", "-sS", "--insecure", "--user", f"{address}:{password}", "--login-options", f"AUTH={mechanism}",
              f"pop3s://127.0.0.1:{server.port('pop3s')}/2").stdout
    assert_same(got, DOTS)


def test_curl_deletes(server, full):
    address, password = full
    run("curl", "-sS", "--insecure", "--user", f"{address}:{password}", "--request", "DELE", "--head",
        f"pop3s://127.0.0.1:{server.port('pop3s')}/1")
    assert count(server, address, password) == len(MESSAGES) - 1


# ---- mpop (GNU SASL on its side too) ----

@pytest.mark.parametrize("mechanism", ["user", "plain", "login", "scram-sha-1", "scram-sha-256"])
@pytest.mark.parametrize("port, starttls", [("pop3", "on"), ("pop3s", "off")])
def test_mpop_fetches(server, full, tmp_path, mechanism, port, starttls):
    address, password = full
    boxes.Maildir(tmp_path / "maildir", create=True)
    run("mpop", "--file=/dev/null", "--host=127.0.0.1", f"--port={server.port(port)}", "--tls=on",
        f"--tls-starttls={starttls}", "--tls-certcheck=off", f"--auth={mechanism_of('mpop', mechanism)}", f"--user={address}",
        f"--passwordeval=echo '{password}'", f"--delivery=maildir,{tmp_path / 'maildir'}", "--keep=off",
        f"--uidls-file={tmp_path / 'uidls'}", "--received-header=off")
    assert_all_there([path.read_bytes() for path in (tmp_path / "maildir" / "new").iterdir()])
    assert count(server, address, password) == 0


# ---- getmail ----

def test_getmail_fetches(server, full, tmp_path):
    address, password = full
    out = tmp_path / "out"
    out.mkdir()
    keep = tmp_path / "keep"
    keep.write_text(f'#!/bin/sh\nexec cat > {out}/$$\n')
    keep.chmod(0o700)
    (tmp_path / "getmailrc").write_text(f"""
[retriever]
type = SimplePOP3SSLRetriever
server = 127.0.0.1
port = {server.port('pop3s')}
username = {address}
password = {password}
[destination]
type = MDA_external
path = {keep}
allow_root_commands = true
[options]
delete = true
received = false
delivered_to = false
""")
    run("getmail", f"--getmaildir={tmp_path}", "--rcfile=getmailrc")
    assert_all_there([path.read_bytes() for path in out.iterdir()])
    assert count(server, address, password) == 0


# ---- fetchmail ----

@pytest.mark.parametrize("port, tls", [("pop3", 'sslproto "auto" no sslcertck'), ("pop3s", "ssl no sslcertck")])
def test_fetchmail_fetches(server, full, tmp_path, port, tls):
    address, password = full
    out = tmp_path / "out"
    out.mkdir()
    rc = tmp_path / "fetchmailrc"
    rc.write_text(f'poll 127.0.0.1 protocol pop3 service {server.port(port)}\n'
                  f'  user "{address}" password "{password}" {tls} nokeep fetchall no rewrite\n'
                  f'  mda "cat > {out}/$$"\n')
    rc.chmod(0o600)
    run("fetchmail", "--fetchmailrc", rc, "--invisible", "--nosyslog", "--idfile", tmp_path / "ids", "--pidfile",
        tmp_path / "pid", env={"HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)})
    assert_all_there([path.read_bytes() for path in out.iterdir()])
    assert count(server, address, password) == 0
