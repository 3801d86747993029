# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from glasspost import Server  # noqa: E402
from web import ADMIN, CONFIG, OTHER, USER, Dev  # noqa: E402


@pytest.fixture(scope="module")
def server():
    """One server for all tests of a file, with two accounts."""
    with Server(accounts={"alice@example.org": "correct horse", "bob@example.org": "battery staple"}) as running:
        yield running
        assert running.stop() == 0, running.log()[-2000:]


@pytest.fixture
def mailbox(server):
    """An address and a password that no other test uses."""
    server.mailboxes = getattr(server, "mailboxes", 0) + 1
    address, password = f"user{server.mailboxes}@{server.domain}", "open sesame 42"
    server.add_account(address, password)
    return address, password


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    """glasspost dev, for all tests of a file."""
    running = Dev(tmp_path_factory.mktemp("dev"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def serve():
    """A server whose web role asks who looks, with an administrator and two users, for all tests of a file."""
    with Server(accounts={ADMIN: "admin's", USER: "user's", OTHER: "other's"}, config=CONFIG) as running:
        yield running
