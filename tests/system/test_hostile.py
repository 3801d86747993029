# SPDX-License-Identifier: Apache-2.0
"""The collections of hostile inputs and of foreign clients that lie beside the project, where they do."""
import re
import subprocess
import sys

import pytest

from glasspost import ROOT, Server

SUITES = ROOT.parent / "shared" / "suites"
ADDRESS, PASSWORD = "bob@mydomain.tld", "pw of bob"

pytestmark = pytest.mark.skipif(not SUITES.is_dir(), reason=f"{SUITES} is absent: its cases are NOT run")


@pytest.fixture(scope="module")
def server():
    with Server(accounts={ADDRESS: PASSWORD}, domain="mydomain.tld") as running:
        yield running


def run(*command, timeout):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, timeout=timeout)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    return done.stdout, failed


def test_every_counted_hostile_case_passes(server):
    out, failed = run(SUITES / "hostile" / "hostile", "127.0.0.1", "--smtp", server.port("smtp"), "--submission",
                      server.port("submission"), "--pop3", server.port("pop3"), "--user", ADDRESS, "--password", PASSWORD,
                      "--rcpt", ADDRESS, "--pid", server.process.pid, timeout=500)
    assert not failed, failed
    passed = int(re.search(r"(\d+) passed, 0 failed", out).group(1))
    assert passed >= 150, out[-2000:]


@pytest.mark.parametrize("arguments", [("smtp",), ("lmtp", "--lmtp", "--only", "smuggle")])
def test_smuggling_relay_and_foreign_clients(server, arguments):
    service, *more = arguments
    out, failed = run(SUITES / "run-smtp.py", "127.0.0.1", server.port(service), "--rcpt", ADDRESS, *more, timeout=400)
    assert not failed, failed
    assert out.count("PASS") >= 17, out[-2000:]
