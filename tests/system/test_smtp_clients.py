# SPDX-License-Identifier: Apache-2.0
"""Mail handed over by programs that are not ours; each message is compared octet for octet."""
import smtplib

import pytest

from clients import BLANK, DOTS, EIGHT_BIT, LARGE, LONG, MESSAGES, PLAIN, assert_arrived, mechanism_of, run
from glasspost import insecure_tls


@pytest.fixture
def file_of(tmp_path):
    def write(octets):
        path = tmp_path / "message"
        path.write_bytes(octets)
        return path
    return write


# ---- swaks ----

# swaks ends the data by CRLF of its own.
def swaks(server, to, message, file_of, *options, port="smtp"):
    return run("swaks", "--server", "127.0.0.1", "--port", server.port(port), "--from", "alice@example.org", "--to", to,
               "--data", f"@{file_of(message[:-2])}", *options)


@pytest.mark.parametrize("kind", ["plain", "dots", "blank"])
def test_swaks_delivers_in_the_clear(server, mailbox, file_of, kind):
    address, password = mailbox
    swaks(server, address, MESSAGES[kind], file_of)
    assert_arrived(server, address, password, MESSAGES[kind])


def test_swaks_delivers_pipelined(server, mailbox, file_of):
    address, password = mailbox
    swaks(server, address, PLAIN, file_of, "--pipeline")
    assert_arrived(server, address, password, PLAIN)


def test_swaks_delivers_under_tls(server, mailbox, file_of):
    address, password = mailbox
    done = swaks(server, address, DOTS, file_of, "--tls")
    assert b"TLS started with cipher TLSv1.3" in done.stdout
    assert_arrived(server, address, password, DOTS)
    assert b"with ESMTPS" in server.messages(address, password)[0].split(b"Subject:")[0]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("port, tls", [("submission", "--tls"), ("submissions", "--tls-on-connect")])
def test_swaks_signs_in_and_submits(server, mailbox, file_of, mechanism, port, tls):
    address, password = mailbox
    swaks(server, address, PLAIN, file_of, tls, "--auth", mechanism, "--auth-user", address, "--auth-password", password,
          "--from", address, port=port)
    assert_arrived(server, address, password, PLAIN)
    assert b"with ESMTPSA" in server.messages(address, password)[0]


def test_swaks_is_refused_with_a_wrong_password(server, mailbox):
    address, _ = mailbox
    done = run("swaks", "--server", "127.0.0.1", "--port", server.port("submission"), "--tls", "--auth", "PLAIN",
               "--auth-user", address, "--auth-password", "wrong", "--quit-after", "AUTH", check=False)
    assert done.returncode == 28, done.stdout
    assert b"535 5.7.8" in done.stdout


def test_swaks_is_refused_without_tls(server, mailbox):
    address, password = mailbox
    done = run("swaks", "--server", "127.0.0.1", "--port", server.port("submission"), "--auth", "PLAIN", "--auth-user",
               address, "--auth-password", password, "--quit-after", "AUTH", check=False)
    assert done.returncode != 0
    assert password.encode() not in done.stdout


def test_swaks_delivers_by_lmtp_over_tcp(server, mailbox, file_of):
    address, password = mailbox
    swaks(server, address, DOTS, file_of, "--protocol", "LMTP", port="lmtp")
    assert_arrived(server, address, password, DOTS)


def test_swaks_delivers_by_lmtp_over_a_unix_socket(server, mailbox, file_of):
    address, password = mailbox
    run("swaks", "--socket", server.folder / "run" / "lmtp.sock", "--protocol", "LMTP", "--from", "alice@example.org",
        "--to", address, "--data", f"@{file_of(DOTS[:-2])}")
    assert_arrived(server, address, password, DOTS)


def test_swaks_hears_of_an_unknown_recipient(server, file_of):
    done = run("swaks", "--server", "127.0.0.1", "--port", server.port("smtp"), "--from", "a@client.example", "--to",
               "nobody@example.org", check=False)
    assert done.returncode == 24
    assert b"550 5.1.1" in done.stdout


# ---- curl ----

@pytest.mark.parametrize("kind", list(MESSAGES))
def test_curl_delivers_by_smtp(server, mailbox, file_of, kind):
    address, password = mailbox
    run("curl", "-sS", f"smtp://127.0.0.1:{server.port('smtp')}/client.example", "--mail-from", "alice@example.org",
        "--mail-rcpt", address, "--upload-file", file_of(MESSAGES[kind]))
    assert_arrived(server, address, password, MESSAGES[kind])


def test_curl_submits_by_smtps(server, mailbox, file_of):
    address, password = mailbox
    run("curl", "-sS", "--insecure", f"smtps://127.0.0.1:{server.port('submissions')}", "--user", f"{address}:{password}",
        "--mail-from", address, "--mail-rcpt", address, "--upload-file", file_of(LARGE))
    assert_arrived(server, address, password, LARGE)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl_submits_by_starttls(server, mailbox, file_of, mechanism):
    address, password = mailbox
    run("curl", "-sS", "--insecure", "--ssl-reqd", f"smtp://127.0.0.1:{server.port('submission')}", "--user",
        f"{address}:{password}", "--login-options", f"AUTH={mechanism}", "--mail-from", address, "--mail-rcpt", address,
        "--upload-file", file_of(EIGHT_BIT))
    assert_arrived(server, address, password, EIGHT_BIT)


# ---- msmtp (GNU SASL on its side too) ----

@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-1", "scram-sha-256"])
@pytest.mark.parametrize("port, starttls", [("submission", "on"), ("submissions", "off")])
def test_msmtp_signs_in_and_submits(server, mailbox, mechanism, port, starttls):
    address, password = mailbox
    run("msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={server.port(port)}", "--tls=on",
        f"--tls-starttls={starttls}", "--tls-certcheck=off", f"--auth={mechanism_of('msmtp', mechanism)}", f"--user={address}",
        f"--passwordeval=echo '{password}'", f"--from={address}", address, stdin=DOTS)
    assert_arrived(server, address, password, DOTS)


def test_msmtp_delivers_by_lmtp(server, mailbox):
    address, password = mailbox
    run("msmtp", "--file=/dev/null", "--protocol=lmtp", "--host=127.0.0.1", f"--port={server.port('lmtp')}", "--tls=off",
        "--auth=off", "--from=alice@example.org", address, stdin=BLANK)
    assert_arrived(server, address, password, BLANK)


# ---- Python's smtplib ----

def test_smtplib_delivers_every_kind_in_one_session(server, mailbox):
    address, password = mailbox
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=60) as client:
        for message in MESSAGES.values():
            assert client.sendmail("alice@example.org", [address], message) == {}
    assert_arrived(server, address, password, *MESSAGES.values())


def test_smtplib_tells_which_recipients_were_refused(server, mailbox):
    address, password = mailbox
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=60) as client:
        refused = client.sendmail("a@client.example", [address, "nobody@example.org", "a@elsewhere.example"], PLAIN)
    assert {who: code for who, (code, _) in refused.items()} == {"nobody@example.org": 550, "a@elsewhere.example": 554}
    assert_arrived(server, address, password, PLAIN)


def test_smtplib_submits_under_tls(server, mailbox):
    address, password = mailbox
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=insecure_tls(), timeout=60) as client:
        client.login(address, password)
        client.sendmail(address, [address], LONG)
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=60) as client:
        client.starttls(context=insecure_tls())
        client.login(address, password)
        client.sendmail(address, [address], LARGE)
    assert_arrived(server, address, password, LONG, LARGE)


def test_smtplib_is_refused_with_a_wrong_password(server, mailbox):
    address, _ = mailbox
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=insecure_tls(), timeout=60) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login(address, "wrong")
    assert caught.value.smtp_code == 535


def test_smtplib_cannot_send_as_somebody_else(server, mailbox):
    address, password = mailbox
    with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), context=insecure_tls(), timeout=60) as client:
        client.login(address, password)
        with pytest.raises(smtplib.SMTPSenderRefused) as caught:
            client.sendmail("bob@example.org", [address], PLAIN)
    assert caught.value.smtp_code == 553


def test_smtplib_speaks_lmtp(server, mailbox):
    address, password = mailbox
    with smtplib.LMTP("127.0.0.1", server.port("lmtp")) as client:
        client.sendmail("alice@example.org", [address], PLAIN)
    with smtplib.LMTP(str(server.folder / "run" / "lmtp.sock")) as client:
        client.sendmail("alice@example.org", [address], DOTS)
    assert_arrived(server, address, password, PLAIN, DOTS)


def test_smtplib_sends_utf8_addresses(server, mailbox):
    address, password = mailbox
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=60) as client:
        client.ehlo("client.example")
        client.sendmail("jörg@client.example", [address], EIGHT_BIT, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    assert server.messages(address, password)[0].startswith("Return-Path: <jörg@client.example>\r\n".encode())
    assert_arrived(server, address, password, EIGHT_BIT)


# ---- smtp-source (Postfix) ----

@pytest.mark.parametrize("sessions, messages, length", [(1, 5, 100), (10, 200, 2000), (4, 8, 1_000_000)])
def test_smtp_source_delivers_many(server, mailbox, sessions, messages, length):
    address, password = mailbox
    run("smtp-source", "-s", sessions, "-m", messages, "-l", length, "-f", "alice@example.org", "-t", address,
        f"127.0.0.1:{server.port('smtp')}", timeout=120)
    got = server.messages(address, password)
    assert len(got) == messages
    assert all(len(message) > length for message in got)


def test_smtp_source_delivers_by_lmtp(server, mailbox):
    address, password = mailbox
    run("smtp-source", "-L", "-s", 5, "-m", 50, "-l", 500, "-f", "alice@example.org", "-t", address,
        f"127.0.0.1:{server.port('lmtp')}", timeout=120)
    assert len(server.messages(address, password)) == 50


# ---- the server's SMTP on a pipe and from a file (sendmail -bs, BSMTP) ----

BATCH = """HELO batch.example
MAIL FROM:<sender@client.example>
RCPT TO:<alice@example.org>
DATA
Subject: batch {mark}

hello
..dot
.
{more}QUIT
"""


def test_a_batch_file_is_played_like_a_session(server, tmp_path):
    path = tmp_path / "batch"
    path.write_text(BATCH.format(mark="batch-1", more=""))
    done = server.run("smtp", str(path))
    assert "250 2.0.0" in done.stdout and done.stdout.splitlines()[-1].startswith("221 ")
    assert any(b"Subject: batch batch-1\r\n\r\nhello\r\n.dot\r\n" in message for message in server.messages("alice@example.org"))


def test_the_message_behind_a_refused_data_is_not_executed(server, tmp_path):
    refused = "MAIL FROM:<sender@client.example>\nRCPT TO:<nobody@example.org>\nDATA\nVRFY alice\n.\n"
    path = tmp_path / "batch"
    path.write_text(BATCH.format(mark="batch-2", more=refused))
    done = server.run("smtp", str(path), check=False)
    assert done.returncode == 65
    assert "252" not in done.stdout and done.stdout.splitlines()[-1].startswith("221 ")


def test_standard_input_speaks_smtp(server):
    done = server.run("smtp", stdin="EHLO pipe.example\r\nNOOP\r\nQUIT\r\n")
    assert done.stdout.startswith("220 ") and done.stdout.splitlines()[-1].startswith("221 ")
