# SPDX-License-Identifier: Apache-2.0
"""The log as Postfix writes it, read by a program that reads Postfix's."""
import os
import re
import shutil
import signal
import smtplib
import subprocess

import pytest

from glasspost import Server, wait_for

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def server():
    with Server(accounts={ALICE: "secret"}, config="log = postfix\n") as running:
        yield running


def refuse(smtp, recipient):
    return smtp.rcpt(recipient)[0]


def test_each_refused_recipient_is_told_and_pflogsumm_counts_them(server):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), local_hostname="client.example", timeout=20) as smtp:
        smtp.ehlo()
        assert smtp.mail("sender@elsewhere.example")[0] == 250
        assert refuse(smtp, "nobody@example.org") == 550
        assert refuse(smtp, "carl@other.example") == 554
        assert refuse(smtp, "no address") == 553
        assert smtp.rcpt(ALICE)[0] == 250
        assert smtp.data("Subject: hello\r\n\r\ntext\r\n")[0] == 250
    wait_for(lambda: "status=sent" in server.log() and "disconnect from" in server.log(), what="the lines")
    rejects = [line for line in server.log().splitlines() if "NOQUEUE: reject: RCPT from" in line]
    assert len(rejects) == 3, rejects
    assert re.search(r"postfix/smtpd\[\d+\]: NOQUEUE: reject: RCPT from unknown\[127\.0\.0\.1\]: 550 5\.1\.1 "
                     r"<nobody@example\.org>: Recipient address rejected: User unknown: [^;]*; "
                     r"from=<sender@elsewhere\.example> to=<nobody@example\.org> proto=ESMTP helo=<client\.example>$",
                     rejects[0]), rejects[0]
    assert "<carl@other.example>: Relay access denied" in rejects[1]
    if not shutil.which("pflogsumm"):
        pytest.skip("pflogsumm is not installed")
    lines = "".join(line + "\n" for line in server.log().splitlines() if " postfix/" in line)
    told = subprocess.run(["pflogsumm"], input=lines, capture_output=True, text=True, check=True, timeout=60).stdout
    counted = {name.strip(): int(count) for count, name in re.findall(r"^\s+(\d+)[ %()\d]*  (\w+)(?: \(\d+%\))?$", told, re.M)}
    assert counted["received"] == 1 and counted["delivered"] == 1 and counted["rejected"] == 3, told
    detail = told[told.index("message reject detail"):]
    assert "Recipient address rejected: User unknown (total: 1)" in detail, detail
    assert "Relay access denied" in detail, detail


def told(server, what):
    return re.findall(rf'postfix/master\[\d+\]: gate-mx-0: {what} "pid (\d+)"', server.log())


def test_a_role_that_is_ready_that_reloads_and_that_was_started_again_is_told(server):
    before = wait_for(lambda: told(server, "ready"), what="the first line of the role")
    server.run("reload")
    wait_for(lambda: told(server, "reloaded") == before, what="the line of the reload")
    os.kill(int(before[0]), signal.SIGKILL)
    after = wait_for(lambda: len(told(server, "ready")) == 2 and told(server, "ready"), what="the line of the new process")
    assert after[0] == before[0] and after[1] != before[0]
