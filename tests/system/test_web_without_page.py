# SPDX-License-Identifier: Apache-2.0
"""A program that was built where nodejs is missing: it serves mail and the HTTP interface, and says that it has no page and what to do."""
import json
import os
import pathlib
import subprocess

import pytest
import web
from glasspost import PROGRAM

PROGRAM_WITHOUT = pathlib.Path(os.path.abspath(PROGRAM)).parent / "glasspost_without_page"


@pytest.fixture
def dev(tmp_path, monkeypatch):
    assert PROGRAM_WITHOUT.exists(), f"build it: cmake --build {PROGRAM_WITHOUT.parent} --target glasspost_without_page"
    monkeypatch.setattr(web, "PROGRAM", str(PROGRAM_WITHOUT))
    server = web.Dev(tmp_path)
    yield server
    server.stop()


def curl(port, path):
    done = subprocess.run(["curl", "--silent", "--max-time", "30", "--write-out", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"],
                          check=True, capture_output=True, text=True)
    return done.stdout.rsplit("\n", 1)


def test_it_says_that_it_has_no_page_and_what_to_do_and_serves_all_else(dev):
    for path in ("/", "/index.html"):
        text, status = curl(dev.web, path)
        assert status == "503" and "without its page" in text and "GP_PAGE=no" in text and "apt-get install nodejs npm" in text
    assert curl(dev.web, "/assets/app.js")[1] == "404"
    dev.send("no page needed")
    assert json.loads(curl(dev.web, "/api/v1/messages")[0])["messages"][0]["subject"] == "no page needed"
    log = (dev.folder / "log").read_text()
    assert "without the page: " in log and "the page  " not in log and f"http://127.0.0.1:{dev.web}/" in log
