# SPDX-License-Identifier: Apache-2.0
"""Messages over HTTP and on the command line: which there are, their way, their text, and who may see what of them."""
import json
import os
import poplib
import signal
import smtplib

import pytest
from bad_peer import BadPeer
from glasspost import wait_for
from web import ADMIN, OTHER, USER, cookie, get, get_json


def messages_of(port, query="", headers=None):
    return get_json(port, "/api/v1/messages" + query, headers=headers)["messages"]


def events_of(port, ident, headers=None):
    status, kind, body = get(port, f"/api/v1/messages/{ident}/events", headers=headers)
    assert status == 200 and kind["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in body.splitlines()]


def test_a_message_is_listed_with_what_became_of_it(dev):
    dev.send("<b>first</b>", "first@example.org")
    dev.send("second", "second@example.org")
    rows = messages_of(dev.web, "?limit=2")
    assert [row["subject"] for row in rows] == ["second", "<b>first</b>"]
    row = rows[1]
    assert row["recipients"] == ["first@example.org"] and row["state"] == "delivered" and row["more"] == 0
    assert row["sessions"] == [row["session"]]
    assert messages_of(dev.web, "?recipient=first@example.org") == [row]
    assert messages_of(dev.web, "?state=failed") == [] and get(dev.web, "/api/v1/messages?limit=x")[0] == 400
    one = get_json(dev.web, f"/api/v1/messages/{row['message']}")
    assert one["subject"] == "<b>first</b>" and one["recipients"][0]["account"] == "first@example.org"
    assert json.loads(dev.run("message", "list", "--limit", "2", "--json")) == rows
    shown = json.loads(dev.run("message", "show", row["message"], "--json"))
    assert shown[1:] == one["recipients"]
    for path in ("", "/events", "/raw", "/header"):
        assert get(dev.web, "/api/v1/messages/0000000000001" + path)[0] == 404


def test_the_way_of_a_message_has_all_its_events_and_none_of_others(dev):
    with smtplib.SMTP("127.0.0.1", dev.base + 25, timeout=30) as smtp:
        for subject in ("before", "wanted", "after"):
            smtp.sendmail("me@client.example", ["way@example.org"], f"Subject: {subject}\r\n\r\n{subject}\r\n")
    box = poplib.POP3("127.0.0.1", dev.base + 110, timeout=30)
    box.user("way@example.org")
    box.pass_("x")
    box.retr(2)
    box.quit()
    ident = next(row["message"] for row in messages_of(dev.web) if row["subject"] == "wanted")
    events = events_of(dev.web, ident)
    assert [event["kind"] for event in events] == ["connect", "data", "inspect", "deliver", "accept", "fetch"]
    assert {event["fields"].get("message", ident) for event in events} == {ident}
    assert [event["at_us"] for event in events] == sorted(event["at_us"] for event in events)
    lines = dev.run("message", "events", ident, "--json").splitlines()
    assert [json.loads(line) for line in lines] == events
    assert "RETR" in dev.run("message", "events", ident, "--text")


def test_the_text_of_a_message_comes_as_it_is_and_cannot_run(dev):
    body = b"Subject: text\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\r\n" + b"\xff\xfe\x00x\r\n" * 20000
    with smtplib.SMTP("127.0.0.1", dev.base + 25, timeout=30) as smtp:
        smtp.sendmail("me@client.example", ["text@example.org"], body)
    ident = messages_of(dev.web, "?recipient=text@example.org")[0]["message"]
    status, headers, raw_text = get(dev.web, f"/api/v1/messages/{ident}/raw")
    assert status == 200 and raw_text.endswith(body) and raw_text.startswith(b"Return-Path: <me@client.example>\r\n")
    assert headers["Content-Type"].startswith("text/plain") and headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == f'attachment; filename="{ident}.eml"'
    assert "sandbox" in headers["Content-Security-Policy"] and "default-src 'none'" in headers["Content-Security-Policy"]
    status, _, header = get(dev.web, f"/api/v1/messages/{ident}/header")
    assert status == 200 and raw_text.startswith(header) and header.endswith(b"Content-Type: text/html\r\n\r\n")
    # Header fields only.
    with smtplib.SMTP("127.0.0.1", dev.base + 25, timeout=30) as smtp:
        smtp.sendmail("me@client.example", ["bare@example.org"], b"Subject: bare\r\n")
    ident = messages_of(dev.web, "?recipient=bare@example.org")[0]["message"]
    assert get(dev.web, f"/api/v1/messages/{ident}/header")[2].endswith(b"Subject: bare\r\n")


# ---- whose messages ----

@pytest.fixture(scope="module")
def post(serve):
    """USER wrote to OTHER, to an alias that leads elsewhere, and to somebody elsewhere, where nothing is taken now."""
    with BadPeer("127.0.0.1", {"RCPT": b"451 4.2.0 <script>alert(1)</script> not now\r\n"}, port=0) as peer:
        serve.run("route", "add", "elsewhere.example", "--smtp", f"127.0.0.1:{peer.port}")
        serve.run("alias", "add", "list@example.org", "hidden@elsewhere.example", OTHER)
        with smtplib.SMTP("127.0.0.1", serve.port("submission"), timeout=30) as smtp:
            smtp.login(USER, "user's")
            assert not smtp.sendmail(USER, [OTHER, "list@example.org", "carl@elsewhere.example"], "Subject: to many\r\n\r\nsecret text\r\n")
            smtp.sendmail(USER, [ADMIN], "Subject: to admin\r\n\r\ntext\r\n")
        rows = serve.rows("message", "list")
        ident = next(row["message"] for row in rows if row["subject"] == "to many")
        wait_for(lambda: all(row["attempts"] for row in serve.rows("message", "show", ident) if row.get("queued")), 20)
        yield ident, next(row["message"] for row in rows if row["subject"] == "to admin")


def test_nobody_sees_a_message_without_signing_in(serve, post):
    for path in ("", f"/{post[0]}", f"/{post[0]}/events", f"/{post[0]}/raw", f"/{post[0]}/header"):
        assert get(serve.port("web"), "/api/v1/messages" + path)[0] == 401


def test_an_admin_sees_all_of_a_message_but_its_text(serve, post):
    port, admin = serve.port("web"), cookie(serve, ADMIN, "admin's")
    row = next(row for row in messages_of(port, headers=admin) if row["message"] == post[0])
    assert row["state"] == "mixed" and "hidden@elsewhere.example" in row["recipients"] and len(row["sessions"]) > 1
    one = get_json(port, f"/api/v1/messages/{post[0]}", headers=admin)
    assert {r["recipient"]: r["state"] for r in one["recipients"]} == {
        OTHER: "delivered", "hidden@elsewhere.example": "waiting", "carl@elsewhere.example": "waiting"}
    assert one["arrived"] and one["pending"] == 2
    kinds = [event["kind"] for event in events_of(port, post[0], admin)]
    assert kinds[0] == "connect" and {"data", "accept", "queued", "claimed", "attempt", "deliver"} <= set(kinds)
    for path in ("raw", "header"):
        assert get(port, f"/api/v1/messages/{post[0]}/{path}", headers=admin)[0] == 404
        assert get(port, f"/api/v1/messages/{post[1]}/{path}", headers=admin)[0] == 200


def test_a_sender_sees_the_way_but_not_where_an_alias_leads_or_who_has_read(serve, post):
    port, mine = serve.port("web"), cookie(serve, USER, "user's")
    serve.messages(OTHER, "other's")
    row = next(row for row in messages_of(port, headers=mine) if row["message"] == post[0])
    assert set(row["recipients"]) == {OTHER, "list@example.org", "carl@elsewhere.example"}
    one = get_json(port, f"/api/v1/messages/{post[0]}", headers=mine)
    carl = next(r for r in one["recipients"] if r["recipient"] == "carl@elsewhere.example")
    assert carl["state"] == "waiting" and carl["outcome"] == "deferred" and carl["attempts"] and carl["reply"] and carl["next"]
    events = events_of(port, post[0], mine)
    kinds = [event["kind"] for event in events]
    assert {"connect", "data", "accept", "queued", "attempt", "deliver"} <= set(kinds) and "fetch" not in kinds
    text = json.dumps([row, one, events])
    listed = next(r for r in one["recipients"] if r["recipient"] == "list@example.org")
    assert listed["state"] == "waiting" and not listed["reply"] and not listed["peer"]
    assert "hidden" not in text and not any(event["fields"].get("account") for event in events)
    # It is in the queue still, and the sender's own.
    assert b"secret text" in get(port, f"/api/v1/messages/{post[0]}/raw", headers=mine)[2]


def test_a_recipient_sees_the_own_delivery_and_no_other_recipient(serve, post):
    port, mine = serve.port("web"), cookie(serve, OTHER, "other's")
    serve.messages(OTHER, "other's")
    row = next(row for row in messages_of(port, headers=mine) if row["message"] == post[0])
    assert row["recipients"] == [OTHER] and row["state"] == "delivered"
    assert row["session"] is None and row["sessions"] == []
    one = get_json(port, f"/api/v1/messages/{post[0]}", headers=mine)
    assert {r["account"] for r in one["recipients"]} == {OTHER} and one["recipients"][0]["fetched"]
    events = events_of(port, post[0], mine)
    assert {event["kind"] for event in events} == {"accept", "inspect", "deliver", "fetch"}
    assert {event["session"] for event in events if event["kind"] != "fetch"} == {None}
    text = json.dumps([row, one, events])
    assert "carl" not in text and "hidden" not in text
    assert b"secret text" in get(port, f"/api/v1/messages/{post[0]}/raw", headers=mine)[2]


def test_a_message_of_others_is_as_none(serve, post):
    port, mine = serve.port("web"), cookie(serve, OTHER, "other's")
    assert post[1] not in [row["message"] for row in messages_of(port, headers=mine)]
    for path in ("", "/events", "/raw", "/header", "?viewer=", "?viewer_id=0", "/raw?viewer_id=0"):
        assert get(port, f"/api/v1/messages/{post[1]}{path}", headers=mine)[0] == 404
    for query in (f"?sender={USER}&viewer=", f"?viewer={USER}", f"?recipient={ADMIN}"):
        assert post[1] not in [row["message"] for row in messages_of(port, query, mine)]


def test_messages_are_remembered_when_the_store_begins_anew(serve, post):
    os.kill(serve.role_pids()["store"][0], signal.SIGKILL)
    serve.run("ready", "--wait", "30s")
    admin = cookie(serve, ADMIN, "admin's")
    wait_for(lambda: get(serve.port("web"), f"/api/v1/messages/{post[0]}", headers=admin)[0] == 200, 20)
    assert {row["message"] for row in messages_of(serve.port("web"), headers=admin)} >= set(post)


def test_an_admin_reads_text_of_others_only_where_web_bodies_says_so_and_never_unseen(serve, post):
    path = serve.folder / "glasspost.conf"
    before = path.read_text()
    path.write_text(before + "\nweb_bodies = yes\n")
    serve.run("reload")
    try:
        admin, port = cookie(serve, ADMIN, "admin's"), serve.port("web")
        assert get_json(port, "/api/v1/info", headers=admin)["bodies"] is True
        assert b"secret text" in get(port, f"/api/v1/messages/{post[0]}/raw", headers=admin)[2]
        session = next(row["session"] for row in serve.rows("session", "list") if row["protocol"] == "http")
        told = [json.loads(line) for row in serve.rows("session", "list") if row["protocol"] == "http"
                for line in serve.run("session", "show", row["session"], "--json").stdout.splitlines()]
        assert session and any(event["kind"] == "policy" and event["fields"]["rule"] == "web_bodies" and
                               post[0] in event["fields"]["detail"] and ADMIN in event["fields"]["detail"] for event in told)
        assert get(port, f"/api/v1/messages/{post[0]}/raw", headers=cookie(serve, OTHER, "other's"))[0] == 200
        assert get(port, f"/api/v1/messages/{post[1]}/raw", headers=cookie(serve, OTHER, "other's"))[0] == 404
    finally:
        path.write_text(before)
        serve.run("reload")


def test_a_report_of_ours_is_listed_with_its_size_and_subject(serve):
    """One that stays here, about mail that was refused elsewhere."""
    port, admin = serve.port("web"), cookie(serve, ADMIN, "admin's")
    with BadPeer("127.0.0.1", {"RCPT": b"550 5.1.1 nobody of that name\r\n"}, port=0) as peer:
        serve.run("route", "add", "refuses.example", "--smtp", f"127.0.0.1:{peer.port}")
        with smtplib.SMTP("127.0.0.1", serve.port("submission"), timeout=30) as smtp:
            smtp.login(USER, "user's")
            smtp.sendmail(USER, ["nobody@refuses.example"], "Subject: is refused\r\n\r\ntext\r\n")

        def reports():
            return [row for row in messages_of(port, f"?recipient={USER}", admin) if not row["sender"]]
        wait_for(reports, 20)
    report = reports()[0]
    assert report["subject"] == "Not delivered: your message" and report["state"] == "delivered"
    kept = serve.messages(USER, "user's")[-1]
    octets = len(kept) if isinstance(kept, bytes) else len(kept.as_bytes())
    assert 300 < report["octets"] <= octets + 100, (report, octets)
    listed = next(row for row in serve.rows("message", "list") if row["message"] == report["message"])
    assert listed["octets"] == report["octets"] and listed["subject"] == report["subject"]
