# SPDX-License-Identifier: Apache-2.0
"""Clients that prove by a TLS certificate who they are may relay when it is listed: made by openssl, shown by
swaks and by smtplib."""
import shutil
import smtplib
import ssl
import subprocess

import pytest

from glasspost import Server

ALICE = "alice@example.org"


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True, timeout=60)


def make_authority(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", f"{name}.key",
            "-out", f"{name}.pem", "-subj", f"/CN={name}", cwd=folder)


def make_client(folder, name, authority, alternative):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}", cwd=folder)
    (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\nextendedKeyUsage=clientAuth\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "2",
            "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=folder)


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("papers")
    make_authority(folder, "ours")
    make_authority(folder, "theirs")
    make_client(folder, "printer", "ours", "email:printer@example.org")
    make_client(folder, "gate", "ours", "DNS:gate.example.org")
    make_client(folder, "stranger", "ours", "email:stranger@example.org")
    make_client(folder, "forged", "theirs", "email:printer@example.org")
    make_client(folder, "listed", "theirs", "email:whoever@far.example")
    return folder


@pytest.fixture(scope="module")
def server(papers):
    config = f'''resolver = "127.0.0.1:9"
queue_retry_min = 1h
client_ca = "{papers}/ours.pem"
listener "mx" {{
	protocol = smtp
	client_certificates = yes
}}
listener "submission" {{
	protocol = submission
	client_certificates = yes
}}'''
    with Server(accounts={ALICE: "correct horse"}, config=config) as running:
        print_of = subprocess.run(["openssl", "x509", "-in", papers / "listed.pem", "-noout", "-fingerprint", "-sha256"],
                                  capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
        running.run("network", "add", "certificate:printer@example.org", "--relay", "--sender", "scan@example.org")
        running.run("network", "add", "certificate:gate.example.org", "--relay")
        running.run("network", "add", f"certificate:{print_of}", "--relay")
        yield running


def envelope(server, papers, name, sender, recipient, service="smtp"):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if name:
        context.load_cert_chain(papers / f"{name}.pem", papers / f"{name}.key")
    with smtplib.SMTP("127.0.0.1", server.port(service), local_hostname="c.example", timeout=30) as smtp:
        smtp.starttls(context=context)
        smtp.ehlo()
        code, text = smtp.mail(sender)
        if code == 250:
            code, text = smtp.rcpt(recipient)
        return code, text.decode()


@pytest.mark.parametrize("name, sender, wanted", [
    ("printer", "scan@example.org", 250),
    ("printer", "other@example.org", 550),
    ("gate", "other@example.org", 250),
    ("listed", "any@far.example", 250),
    ("stranger", "scan@example.org", 554),
    ("forged", "scan@example.org", 554),
    (None, "scan@example.org", 554),
])
def test_where_other_servers_come_in(server, papers, name, sender, wanted):
    code, text = envelope(server, papers, name, sender, "x@far.example")
    assert code == wanted, text


@pytest.mark.parametrize("name, sender, wanted", [
    ("printer", "scan@example.org", 250),
    ("printer", "other@example.org", 550),
    ("stranger", "scan@example.org", 530),
    ("forged", "scan@example.org", 530),
    (None, "scan@example.org", 530),
])
def test_on_the_submission_port(server, papers, name, sender, wanted):
    code, text = envelope(server, papers, name, sender, "x@far.example", "submission")
    assert code == wanted, text


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed: tools/install-packages check")
def test_swaks_sends_with_a_certificate_and_the_trace_names_it(server, papers):
    done = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.port("smtp")), "--tls", "--tls-cert", papers / "printer.pem",
                           "--tls-key", papers / "printer.key", "--from", "scan@example.org", "--to", "boss@far.example"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    row, = [row for row in server.rows("queue", "list") if row["recipient"] == "boss@far.example"]
    session = server.rows("queue", "show", row["message"])[0]["session"]
    shown = server.run("session", "show", session, "--json").stdout
    assert "client_certificates" in shown and "subject /CN=printer" in shown and "certificate:printer@example.org" in shown


def test_a_file_that_vouches_for_nobody_is_refused(server, papers):
    path = server.folder / "glasspost.conf"
    before = path.read_text()
    (papers / "empty.pem").write_text("nothing\n")
    path.write_text(before.replace("ours.pem", "empty.pem"))
    done = server.run("reload", check=False)
    path.write_text(before)
    assert done.returncode != 0 and "client_ca" in done.stdout + done.stderr, done.stdout + done.stderr
    assert envelope(server, papers, "printer", "scan@example.org", "x@far.example")[0] == 250
