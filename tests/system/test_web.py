# SPDX-License-Identifier: Apache-2.0
"""The web role: what it answers, to whom, and what it withstands. Asked by curl, http.client and raw sockets."""
import http.client
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time

from glasspost import takes_less_than
from web import ADMIN, OTHER, USER, Events, cookie, get, get_json, is_close, newest_session, raw, sign_in, submit


def test_the_server_tells_who_it_is_and_where_it_listens(dev):
    info = get_json(dev.web, "/api/v1/info")
    assert info["name"] == "glasspost" and info["mode"] == "dev" and info["sign_in"] is False
    assert {"name": "mx", "protocol": "smtp", "address": f"127.0.0.1:{dev.base + 25}", "tls": "starttls"} in info["listeners"]
    assert f"http://127.0.0.1:{dev.web}/" in (dev.folder / "log").read_text()
    assert any("web" in row.values() for row in json.loads(dev.run("listeners", "--json")))


def test_a_session_is_listed_newest_first_and_shown_event_by_event(dev):
    dev.send("first")
    dev.send("second")
    newest_session(dev)
    sessions = get_json(dev.web, "/api/v1/sessions?protocol=smtp&limit=5")["sessions"]
    assert [s["start"] for s in sessions] == sorted((s["start"] for s in sessions), reverse=True)
    ident = sessions[0]["session"]
    assert get_json(dev.web, f"/api/v1/sessions/{ident}") == sessions[0]
    status, headers, body = get(dev.web, f"/api/v1/sessions/{ident}/events")
    events = [json.loads(line) for line in body.splitlines()]
    assert status == 200 and headers["Content-Type"] == "application/x-ndjson"
    assert events[0]["kind"] == "connect" and events[-1]["kind"] == "close"
    shown = [json.loads(line) for line in dev.run("session", "show", ident, "--json").splitlines()]
    assert events == shown


def test_what_is_not_there_and_what_makes_no_sense_is_said(dev):
    for path, status in (("/api/v1/sessions/0000000000001", 404), ("/api/v1/sessions/0000000000001/events", 404),
                         ("/api/v1/sessions/nonsense", 404), ("/api/v1/nothing", 404), ("/nothing.js", 404),
                         ("/api/v1/sessions?limit=many", 400), ("/api/v1/sessions?limit=-1", 400),
                         ("/api/v1/events?session=nonsense", 400), ("/" + "x" * 600, 414)):
        got, _, body = get(dev.web, path)
        assert got == status, (path, got, body)
        assert json.loads(body)["error"]
    assert get(dev.web, "/api/v1/sessions", method="DELETE")[0] == 405
    assert get(dev.web, "/api/v1/sessions", method="PUT", body="x")[0] == 405
    assert get(dev.web, "/api/v1/sign-in")[0] == 405
    status, _, body = get(dev.web, "/api/v1/info", method="HEAD")
    assert status == 200 and body == b""


def test_events_come_as_they_happen_and_within_a_second(dev):
    events = Events(dev.web)
    seen = []

    def follow():
        dev.send("live")
        seen[:] = events.until(is_close)

    takes_less_than(1.5, follow)
    kinds = [data["kind"] for _, _, data in seen]
    assert "connect" in kinds and "accept" in kinds
    events.close()


def test_a_stream_of_one_session_has_nothing_of_others(dev):
    with smtplib.SMTP("127.0.0.1", dev.base + 25, timeout=30) as smtp:
        smtp.noop()
        ident = next(s["session"] for s in get_json(dev.web, "/api/v1/sessions?open=1")["sessions"] if s["protocol"] == "smtp")
        events = Events(dev.web, query=f"?session={ident}")
        dev.send("somebody else's")
        smtp.noop()
    seen = events.until(is_close)
    assert {data["session"] for _, _, data in seen} == {ident}
    events.close()


def test_a_broken_stream_goes_on_where_it_broke(dev):
    events = Events(dev.web)
    dev.send("one")
    seen = events.until(is_close)
    events.close()
    dev.send("two")
    dev.send("three")
    for cut in (0, len(seen) // 2, len(seen) - 1):
        again = Events(dev.web, last=seen[cut][1])
        closes = 2 if cut == len(seen) - 1 else 3
        more = []
        for _ in range(closes):
            more += again.until(is_close)
        dev.send("four")
        more += again.until(is_close)
        ids = [ident for _, ident, _ in more]
        assert len(ids) == len(set(ids))
        wanted = [ident for _, ident, _ in seen[cut + 1:]]
        assert ids[:len(wanted)] == wanted
        # Whole: what each ring wrote is there without a gap.
        by_ring = {}
        for _, _, data in more:
            by_ring.setdefault((data["role"], data["role_index"]), []).append(data["sequence"])
        for ring, numbers in by_ring.items():
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), ring
        again.close()


def test_a_place_that_is_not_kept_any_more_is_said(dev):
    events = Events(dev.web, last="1000000-2-0-7")
    assert events.next() == ("lost", None, {"events": None})
    dev.send("after it")
    assert events.until(is_close)
    events.close()
    for nonsense in ("nonsense", "1-2-3", "99999999999999999999-1-1-1", "-1--1-1-0"):
        events = Events(dev.web, last=nonsense)
        assert events.next() == ("lost", None, {"events": None})
        events.close()


def test_other_names_for_this_machine_are_not_answered(dev):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "a b", "", "x" * 500):
        assert get(dev.web, "/api/v1/sessions", headers={"Host": host})[0] in (400, 421), host
    for host in ("localhost", "LOCALHOST:1", "page.localhost", "127.0.0.1", f"[::1]:{dev.web}", "127.8.9.10"):
        assert get(dev.web, "/api/v1/sessions", headers={"Host": host})[0] == 200, host


def test_every_answer_forbids_what_a_page_could_be_made_to_do(dev):
    for path in ("/", "/api/v1/info", "/nothing.js", "/metrics", "/api/v1/sessions"):
        _, headers, _ = get(dev.web, path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        if path.startswith("/api/"):
            assert headers["Cache-Control"] == "no-store"


def test_monitors_are_answered(dev):
    assert get(dev.web, "/livez")[2] == b"ok\n"
    assert get(dev.web, "/readyz")[2] == b"ok\n"
    status, headers, body = get(dev.web, "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"glasspost_sessions_open" in body


def test_the_description_names_every_endpoint_and_each_is_answered(dev):
    paths = get_json(dev.web, "/api/v1/openapi.json")["paths"]
    assert "/api/v1/sessions/{id}/events" in paths
    for path, operations in paths.items():
        assert operations.keys() <= {"get", "post"}
        if "get" in operations and path != "/api/v1/events":
            assert get(dev.web, path.replace("{id}", newest_session(dev)["session"]))[0] in (200, 404), path


def test_the_web_role_dies_under_load_and_mail_does_not_notice(dev):
    before = len(get_json(dev.web, "/api/v1/sessions?limit=1000&protocol=smtp")["sessions"])
    failures, count = [], 60

    def load():
        for number in range(count):
            try:
                dev.send(f"under load {number}")
            except Exception as error:  # whatever it is
                failures.append(error)

    sender = threading.Thread(target=load)
    sender.start()
    for _ in range(3):
        os.kill(dev.web_pid(), signal.SIGKILL)
        time.sleep(0.3)
    sender.join()
    assert not failures
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if get(dev.web, "/readyz")[0] == 200:
                break
        except OSError:
            pass
        time.sleep(0.2)
    after = len(get_json(dev.web, "/api/v1/sessions?limit=1000&protocol=smtp")["sessions"])
    assert after == before + count


HOSTILE = [
    b"GET / HTTP/1.1\r\n\r\n",  # no Host
    b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/sessions/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/sessions?peer=%ff%fe&account=%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /api/v1/sessions?" + b"&".join(b"a%d=b" % n for n in range(3000)) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
    b"GET " + b"/" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /api/v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n{}",
    b"POST /api/v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST /api/v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 600,
    b"EHLO client.example\r\nMAIL FROM:<>\r\n",
    b"\r\n" * 1000,
    bytes(range(256)) * 20,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: glasspost_session=" + b"0" * 64 + b"; a=b; =; ;;\r\n\r\n",
]


def test_hostile_requests_are_refused_and_hurt_nobody(dev):
    pid = dev.web_pid()
    for octets in HOSTILE:
        answer = raw(dev.web, octets)
        assert b"root:" not in answer
    deep = b"[" * 8000
    for body in (b"", b"{", b"[]", b"null", deep, b'{"address":' + b'{"a":' * 2000, b'{"address":1,"password":2}', b"{}" * 9000,
                 b'{"address":"a","address":"b","password":""}', b"\xff\xfe", b'{"address":"\\u0000","password":"\\u0000"}'):
        status, _, answer = get(dev.web, "/api/v1/sign-in", "POST", body, {"Content-Type": "application/json"})
        assert status in (200, 400, 401, 413), (body[:40], status)
    assert dev.web_pid() == pid
    assert get(dev.web, "/livez")[0] == 200


def test_requests_of_other_sites_change_nothing(dev):
    body = json.dumps({"address": "anna@example.org", "password": "x"})
    own = {"Content-Type": "application/json", "Host": f"localhost:{dev.web}"}
    for more, wanted in (({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
                         ({"Origin": f"http://localhost:{dev.web}.evil.example"}, 403), ({"Content-Type": "text/plain"}, 415),
                         ({"Content-Type": "application/x-www-form-urlencoded"}, 415), ({"Origin": f"http://localhost:{dev.web}"}, 200)):
        status, headers, _ = get(dev.web, "/api/v1/sign-in", "POST", body, own | more)
        assert status == wanted, more
        assert ("Set-Cookie" in headers) == (wanted == 200)
    assert get(dev.web, "/api/v1/sign-in", "POST", "x" * 20000, own)[0] == 413


# ---- a real server ----

def test_nothing_is_told_to_who_has_not_signed_in(serve):
    port = serve.port("web")
    submit(serve, USER, "user's")
    info = get_json(port, "/api/v1/info")
    assert info["sign_in"] is True and info["account"] is None and info["listeners"] == [] and info["mode"] == "serve"
    for path in ("/api/v1/sessions", "/api/v1/sessions/0000000000001", "/api/v1/sessions/0000000000001/events",
                 "/api/v1/events", "/api/v1/queue"):
        assert get(port, path)[0] == 401, path
        assert get(port, path, headers={"Cookie": "glasspost_session=" + "0" * 64})[0] == 401, path


def test_an_account_signs_in_and_sees_its_own_sessions_only(serve):
    port = serve.port("web")
    submit(serve, USER, "user's")
    submit(serve, OTHER, "other's")
    assert sign_in(serve, USER, "wrong")[0] == 401
    assert sign_in(serve, "nobody@example.org", "wrong")[0] == 401
    mine, all_of_them = cookie(serve, USER, "user's"), cookie(serve, ADMIN, "admin's")
    assert get_json(port, "/api/v1/info", headers=mine)["account"] == USER
    sessions = get_json(port, "/api/v1/sessions", headers=mine)["sessions"]
    assert sessions and {s["account"] for s in sessions} == {USER}
    everything = get_json(port, "/api/v1/sessions", headers=all_of_them)["sessions"]
    assert {s["account"] for s in everything} >= {USER, OTHER}
    others = next(s["session"] for s in everything if s["account"] == OTHER)
    for path in (f"/api/v1/sessions/{others}", f"/api/v1/sessions/{others}/events"):
        assert get(port, path, headers=mine)[0] == 404
        assert get(port, path, headers=all_of_them)[0] == 200
    # Saying to be somebody else in the query changes nothing.
    for query in (f"account={OTHER}", f"viewer={OTHER}", "viewer="):
        rows = get_json(port, f"/api/v1/sessions?{query}", headers=mine)["sessions"]
        assert {s["account"] for s in rows} <= {USER}
    assert get(port, "/api/v1/queue", headers=mine)[0] == 403
    assert get(port, "/api/v1/queue", headers=all_of_them)[0] == 200


def test_the_live_events_of_an_account_are_its_own(serve):
    port, mine = serve.port("web"), cookie(serve, USER, "user's")
    events = Events(port, headers=mine)
    submit(serve, OTHER, "other's")
    submit(serve, USER, "user's")
    seen = events.until(is_close)
    assert {data["fields"].get("account") for _, _, data in seen if data["kind"] in ("close", "auth")} <= {USER, ""}
    assert len({data["session"] for _, _, data in seen}) == 1
    first = seen[0][1]
    events.close()
    submit(serve, OTHER, "other's")
    again = Events(port, headers=mine, last=first)
    submit(serve, USER, "user's")
    more = again.until(is_close) + again.until(is_close)
    own = {s["session"] for s in get_json(port, "/api/v1/sessions", headers=mine)["sessions"]}
    assert {data["session"] for _, _, data in more} <= own
    again.close()


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(serve):
    _, line, _ = sign_in(serve, USER, "user's")
    assert "HttpOnly" in line and "SameSite=Strict" in line and "Secure" not in line
    _, line, _ = sign_in(serve, USER, "user's", tls=True)
    assert "HttpOnly" in line and "SameSite=Strict" in line and "Secure" in line
    values = {sign_in(serve, USER, "user's")[1].split(";")[0] for _ in range(4)}
    assert len(values) == 4 and all(len(value) == len("glasspost_session=") + 64 for value in values)


def test_signing_out_ends_it(serve):
    port, mine = serve.port("web"), cookie(serve, USER, "user's")
    assert get(port, "/api/v1/sessions", headers=mine)[0] == 200
    status, headers, _ = get(port, "/api/v1/sign-out", "POST", "{}", mine | {"Content-Type": "application/json"})
    assert status == 200 and "Max-Age=0" in headers["Set-Cookie"]
    assert get(port, "/api/v1/sessions", headers=mine)[0] == 401


def test_a_store_that_began_anew_asks_to_sign_in_again(serve):
    port, mine = serve.port("web"), cookie(serve, USER, "user's")
    os.kill(serve.role_pids()["store"][0], signal.SIGKILL)
    serve.run("ready", "--wait", "30s")
    deadline = time.monotonic() + 20
    while (status := get(port, "/api/v1/sessions", headers=mine)[0]) == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert status == 401
    assert get(port, "/api/v1/sessions", headers=cookie(serve, USER, "user's"))[0] == 200


def test_a_sign_in_is_in_the_trace_and_the_password_is_not(serve):
    sign_in(serve, USER, "a wrong secret plugh")
    rows = serve.rows("session", "list")
    http_rows = [row for row in rows if row["protocol"] == "http"]
    assert http_rows
    text = "".join(serve.run("session", "show", row["session"], "--json").stdout for row in http_rows)
    assert '"outcome":"failed"' in text and '"outcome":"ok"' in text
    assert "plugh" not in text and "user's" not in text and "plugh" not in serve.log()


def test_https_is_spoken_with_the_server_s_certificate(serve):
    port = serve.base + 443
    assert get(port, "/livez", tls=True)[2] == b"ok\n"
    certificate = (serve.folder / "tls").glob("*.pem")
    context = ssl.create_default_context(cafile=str(next(path for path in certificate if "key" not in path.name)))
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    connection.request("GET", "/livez")
    assert connection.getresponse().read() == b"ok\n"
    assert connection.sock is None or connection.sock.version() in ("TLSv1.2", "TLSv1.3")
    old = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                         input=b"", capture_output=True, timeout=30)
    assert old.returncode != 0
    raw(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    raw(port, b"\x16\x03\x01\xff\xff" + b"\x01" * 70000)
    assert get(port, "/livez", tls=True)[0] == 200


def test_a_crowd_of_idle_and_slow_clients_is_bounded(serve):
    port, crowd = serve.port("web"), []
    for number in range(200):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.sendall(b"GET / HT" if number % 2 else b"")
        crowd.append(client)
    time.sleep(0.5)
    refused = 0
    for client in crowd:
        client.settimeout(0.01)
        try:
            refused += client.recv(1) == b""
        except TimeoutError:
            pass
        except ConnectionResetError:
            refused += 1
    assert refused >= 200 - 128  # LIMIT_web_connections_per_address
    drip = next(client for client in crowd if client.fileno() >= 0)
    begun = time.monotonic()
    # A drop at a time: the request does not come whole in 20 s (LIMIT_web_request), however alive it looks.
    try:
        while time.monotonic() - begun < 40:
            drip.settimeout(1)
            drip.sendall(b"x")
            try:
                if drip.recv(100) == b"":
                    break
            except TimeoutError:
                pass
    except OSError:
        pass
    assert 15 < time.monotonic() - begun < 30
    for client in crowd:
        client.close()
    time.sleep(0.5)
    assert get(port, "/livez")[0] == 200
