# SPDX-License-Identifier: Apache-2.0
"""TLS as openssl s_client sees it: every port that offers it, the versions, the certificate, ALPN."""
import socket
import ssl
import subprocess

import pytest

from clients import program
from glasspost import Server, insecure_tls, wait_for

STARTTLS = {"smtp": "smtp", "submission": "smtp", "submissions": None, "pop3": "pop3", "pop3s": None}
FAREWELL = {"smtp": b"221", "submission": b"221", "submissions": b"221", "pop3": b"+OK", "pop3s": b"+OK"}


def s_client(server, service, *options, lines=b"quit\n", timeout=30):
    starttls = ["-starttls", STARTTLS[service]] if STARTTLS[service] else []
    return subprocess.run([program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.port(service)}", "-crlf",
                           "-ign_eof", *starttls, *options], input=lines, capture_output=True, timeout=timeout)


@pytest.mark.parametrize("service", list(STARTTLS))
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_a_session_runs_under_tls(server, service, version):
    done = s_client(server, service, f"-tls{version}")
    assert f"TLSv{version.replace('_', '.')}".encode() in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith((FAREWELL[service], b"closed", b"---")) or \
        FAREWELL[service] in done.stdout


@pytest.mark.parametrize("service", ["submission", "pop3s"])
@pytest.mark.parametrize("version", ["1", "1_1"])
def test_old_versions_are_refused(server, service, version):
    done = s_client(server, service, f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert done.returncode != 0
    assert b"Cipher is (NONE)" in done.stdout


@pytest.mark.parametrize("service", ["submissions", "pop3s"])
def test_alpn_of_another_protocol_is_refused(server, service):
    done = s_client(server, service, "-alpn", "http/1.1")
    assert done.returncode != 0
    assert b"no application protocol" in done.stderr.lower() + done.stdout.lower()


def test_the_self_signed_certificate_names_the_host(server):
    done = s_client(server, "pop3s", "-servername", "mail.example.org")
    assert b"CN=mail.example.org" in done.stdout.replace(b" = ", b"=")  # OpenSSL 3.5 writes it without blanks


def test_sessions_are_resumed(server, tmp_path):
    kept = tmp_path / "session"
    first = s_client(server, "submissions", "-sess_out", kept, "-tls1_2")
    second = s_client(server, "submissions", "-sess_in", kept, "-tls1_2")
    assert b"New, TLSv1.2" in first.stdout
    assert b"Reused, TLSv1.2" in second.stdout


@pytest.mark.parametrize("service", ["submissions", "pop3s"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_end_is_told_by_a_close_notify(server, service, version):
    context = ssl._create_unverified_context()
    context.maximum_version = version
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    with socket.create_connection(("127.0.0.1", server.port(service)), 20) as plain, \
            context.wrap_socket(plain, suppress_ragged_eofs=False) as client:
        assert client.recv(4096).startswith((b"220", b"+OK"))
        client.sendall(b"QUIT\r\n")
        heard = b""
        while octets := client.recv(4096):  # an end without close_notify is an SSLEOFError
            heard += octets
        assert heard.startswith(FAREWELL[service])


def test_the_suite_that_every_client_has_is_preferred(server):
    done = s_client(server, "submissions", "-tls1_3")
    assert b"TLS_AES_128_GCM_SHA256" in done.stdout
    done = s_client(server, "submissions", "-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256")
    assert b"TLS_CHACHA20_POLY1305_SHA256" in done.stdout


def test_a_proxy_may_send_its_header_and_the_client_s_hello_in_one_segment():
    config = 'listener "behind" {\nprotocol = pop3\ntls = implicit\naddress = 127.0.0.1\nport = 996\nproxies = 127.0.0.1\n}'
    with Server(config=config, accounts={}) as server:
        heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = insecure_tls().wrap_bio(heard, said)
        with socket.create_connection(("127.0.0.1", server.base + 996), timeout=10) as client:
            early = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 995\r\n"
            greeting = None
            while greeting is None:
                try:
                    tls.do_handshake()
                    greeting = tls.read()
                except ssl.SSLWantReadError:
                    client.sendall(early + said.read())
                    early = b""
                    octets = client.recv(65536)
                    assert octets, server.log()
                    heard.write(octets)
            assert greeting.startswith(b"+OK ")
        wait_for(lambda: any(row["peer"].startswith("192.0.2.7:") for row in server.rows("session", "list")),
                 what="the session under the client's address")
