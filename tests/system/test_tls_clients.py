# SPDX-License-Identifier: Apache-2.0
"""TLS as openssl s_client sees it: every port that offers it, the versions, the certificate, ALPN."""
import socket
import ssl
import subprocess

import pytest

from clients import program

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
