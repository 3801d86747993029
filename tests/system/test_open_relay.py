# SPDX-License-Identifier: Apache-2.0
"""nmap's smtp-open-relay: sixteen old ways to make a server relay for strangers."""
import re
import shutil
import subprocess

import pytest

from glasspost import Server

pytestmark = pytest.mark.skipif(not shutil.which("nmap"), reason="nmap is not installed: tools/install-packages check")


@pytest.fixture(scope="module")
def server():
    """Relaying is on, for who may; nmap comes from an address that is nobody's."""
    with Server(config='relay = users\nresolver = "127.0.0.1:9"\nqueue_retry_min = 1h') as running:
        yield running


def verdict(server, service, domain):
    done = subprocess.run(["nmap", "-Pn", "-n", "-p", str(server.port(service)), "--script", "+smtp-open-relay", "--script-args",
                           f"smtp-open-relay.domain={domain}", "127.0.0.1"], capture_output=True, text=True, timeout=120, check=True)
    said = re.search(r"smtp-open-relay: (.*)", done.stdout)
    assert said, done.stdout
    return said[1]


def test_a_stranger_relays_nothing(server):
    assert "all tests failed" in verdict(server, "smtp", "far.example")


def test_the_submission_port_wants_a_sign_in_first(server):
    said = verdict(server, "submission", "far.example")
    assert "all tests failed" in said or "authentication" in said.lower(), said


def test_the_same_is_found_open_where_the_operator_opened_it(server):
    """Else nmap could have found nothing whatever we did."""
    server.run("network", "add", "127.0.0.1", "--relay")
    try:
        assert "is an open relay" in verdict(server, "smtp", "far.example")
    finally:
        server.run("network", "delete", "127.0.0.1")
