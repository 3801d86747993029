# SPDX-License-Identifier: Apache-2.0
"""The queue changed over HTTP, by curl: for whom, what it does, and what is refused."""
import json
import smtplib
import subprocess

import pytest
from bad_peer import BadPeer
from glasspost import wait_for
from web import ADMIN, USER, Dev, cookie

CARL, DORA = "carl@elsewhere.example", "dora@elsewhere.example"


def curl(port, path, body="{}", headers=None, method="POST", kind="application/json"):
    """(status, JSON)"""
    done = subprocess.run(["curl", "--silent", "--max-time", "30", "--request", method, "--data", body, "--header", f"Content-Type: {kind}",
                           *(word for name, value in (headers or {}).items() for word in ("--header", f"{name}: {value}")),
                           "--write-out", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"], check=True, capture_output=True, text=True)
    text, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(text)


@pytest.fixture(scope="module")
def serve(serve):
    """A server that knows a way elsewhere, where nothing is taken now."""
    with BadPeer("127.0.0.1", {"RCPT": b"451 4.2.0 not now\r\n"}, port=0) as peer:
        serve.run("route", "add", "elsewhere.example", "--smtp", f"127.0.0.1:{peer.port}")
        yield serve


@pytest.fixture
def waiting(serve):
    """A message of USER's that waits for two recipients, tried once."""
    with smtplib.SMTP("127.0.0.1", serve.port("submission"), timeout=30) as smtp:
        smtp.login(USER, "user's")
        assert not smtp.sendmail(USER, [CARL, DORA], "Subject: waits\r\n\r\ntext\r\n")
    ident = serve.rows("message", "list")[0]["message"]
    wait_for(lambda: all(row["attempts"] and row["state"] == "waiting" for row in recipients(serve, ident).values()), 20)
    yield ident
    serve.run("queue", "delete", "all", check=False)


def recipients(serve, ident):
    return {row["recipient"]: row for row in serve.rows("queue", "show", ident) if "recipient" in row}


def test_one_recipient_and_all_are_held_released_tried_redirected_and_deleted(serve, waiting):
    port, admin = serve.port("web"), cookie(serve, ADMIN, "admin's")

    def do(what, **body):
        return curl(port, f"/api/v1/queue/{waiting}/{what}", json.dumps(body), admin)

    def states():
        return [recipients(serve, waiting)[who]["state"] for who in (CARL, DORA)]
    assert do("hold", recipient=CARL) == (200, {"recipients": 1, "leased": 0}) and states() == ["held", "waiting"]
    assert do("hold", recipient=CARL)[0] == 409
    assert do("hold") == (200, {"recipients": 1, "leased": 0}) and states() == ["held", "held"]
    assert do("release", recipient=DORA) == (200, {"recipients": 1, "leased": 0}) and states()[0] == "held"
    assert do("release", recipient=CARL)[0] == 200
    wait_for(lambda: states() == ["waiting", "waiting"], 20)
    before = recipients(serve, waiting)[CARL]["attempts"]
    assert do("retry", recipient=CARL)[0] == 200
    wait_for(lambda: recipients(serve, waiting)[CARL]["attempts"] > before, 20)
    wait_for(lambda: states() == ["waiting", "waiting"], 20)
    assert do("hold")[0] == 200
    assert do("redirect", destination="other.example", recipient=DORA) == (200, {"recipients": 1, "leased": 0})
    assert recipients(serve, waiting)[DORA]["destination"] == "other.example"
    assert recipients(serve, waiting)[CARL]["destination"] == "elsewhere.example"
    assert do("delete", recipient=DORA)[0] == 200 and states() == ["held", "deleted"]
    assert do("delete") == (200, {"recipients": 1, "leased": 0}) and states() == ["deleted", "deleted"]
    status, answer = do("delete")
    assert status == 409 and answer["error"] and answer["hint"]
    # Who did it stands in the trace.
    told = subprocess.run(["grep", "-rac", "admin@example.org does queue delete", str(serve.folder / "store" / "trace")], check=False,
                          capture_output=True, text=True).stdout
    assert any(not line.endswith(":0") for line in told.split()), told


def test_a_destination_is_flushed(serve, waiting):
    port, admin = serve.port("web"), cookie(serve, ADMIN, "admin's")
    before = recipients(serve, waiting)[CARL]["attempts"]
    status, answer = curl(port, "/api/v1/queue/flush", '{"domain": "elsewhere.example"}', admin)
    assert status == 200 and answer["recipients"] == 2
    wait_for(lambda: recipients(serve, waiting)[CARL]["attempts"] > before, 20)
    assert curl(port, "/api/v1/queue/flush", '{"domain": "nowhere.example"}', admin) == (200, {"recipients": 0, "leased": 0})
    for bad in ("{}", '{"domain": ""}', '{"domain": 1}', '{"domain": "a b"}', "[]", "x"):
        assert curl(port, "/api/v1/queue/flush", bad, admin)[0] == 400, bad


def test_who_may_not_changes_nothing(serve, waiting):
    port, admin = serve.port("web"), cookie(serve, ADMIN, "admin's")
    path = f"/api/v1/queue/{waiting}/delete"
    before = recipients(serve, waiting)
    assert curl(port, path)[0] == 401
    assert curl(port, path, headers={"Cookie": "glasspost_session=" + "0" * 64})[0] == 401
    status, answer = curl(port, path, headers=cookie(serve, USER, "user's"))
    assert status == 403 and "web_admins" in answer["error"]
    assert curl(port, "/api/v1/queue/flush", '{"domain": "elsewhere.example"}', cookie(serve, USER, "user's"))[0] == 403
    # A page of somebody else, in the admin's own browser.
    assert curl(port, path, headers={**admin, "Origin": "http://evil.example"})[0] == 403
    assert curl(port, path, headers={**admin, "Origin": "null"})[0] == 403
    assert curl(port, path, headers={**admin, "Sec-Fetch-Site": "cross-site"})[0] == 403
    assert curl(port, path, headers=admin, kind="text/plain")[0] == 415
    assert curl(port, path, headers=admin, kind="application/x-www-form-urlencoded")[0] == 415
    assert curl(port, path, headers=admin, method="GET")[0] == 405
    assert curl(port, path, headers=admin, method="DELETE")[0] == 405
    assert recipients(serve, waiting) == before


def test_what_makes_no_sense_is_said(serve, waiting):
    port, admin = serve.port("web"), cookie(serve, ADMIN, "admin's")
    for bad in ("[]", "x", "", '{"recipient": 1}', '{"recipient": ""}', '{"recipient": null}', '{"recipient": ["a"]}'):
        assert curl(port, f"/api/v1/queue/{waiting}/hold", bad, admin)[0] == 400, bad
    for bad in ("{}", '{"destination": ""}', '{"destination": "a b"}', '{"destination": 7}', '{"destination": "@x"}'):
        assert curl(port, f"/api/v1/queue/{waiting}/redirect", bad, admin)[0] == 400, bad
    assert curl(port, "/api/v1/queue/0000000000001/hold", headers=admin)[0] == 404
    assert curl(port, "/api/v1/queue/all/hold", headers=admin)[0] == 404
    assert curl(port, f"/api/v1/queue/{waiting}/eat", headers=admin)[0] == 404
    status, answer = curl(port, f"/api/v1/queue/{waiting}/hold", json.dumps({"recipient": "nobody@elsewhere.example"}), admin)
    assert status == 409 and "recipient" in answer["error"]
    status, answer = curl(port, f"/api/v1/queue/{waiting}/hold", json.dumps({"recipient": "x" * 20000}), admin)
    assert status == 413
    assert all(row["state"] == "waiting" for row in recipients(serve, waiting).values())


def test_in_dev_on_loopback_nobody_has_to_sign_in(tmp_path):
    dev = Dev(tmp_path)
    try:
        assert curl(dev.web, "/api/v1/queue/0000000000001/retry")[0] == 404
        assert curl(dev.web, "/api/v1/queue/0000000000001/retry", headers={"Host": "rebound.example"})[0] == 421
        assert curl(dev.web, "/api/v1/queue/flush", '{"domain": "elsewhere.example"}') == (200, {"recipients": 0, "leased": 0})
        assert "/api/v1/queue/{id}/hold" in curl(dev.web, "/api/v1/openapi.json", method="GET")[1]["paths"]
    finally:
        dev.stop()
