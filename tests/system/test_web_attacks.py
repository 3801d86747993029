# SPDX-License-Identifier: Apache-2.0
"""What attackers try against the web role: requests that hide in requests, text that would run in a page, readers that do not read."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from bad_peer import BadPeer
from glasspost import Server, wait_for
from web import ADMIN, CONFIG, OTHER, USER, Events, cookie, get, get_json, limit, raw, sign_in


# ---- requests in requests ----

HIDDEN = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /api/v1/sign-out HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SMUGGLING = {
    "length and coding": POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(HIDDEN)) + HIDDEN,
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + HIDDEN,
    "the same length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}" + HIDDEN,
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}" + HIDDEN,
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}" + HIDDEN,
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}" + HIDDEN,
    "a blank before the colon": POST + b"Content-Length : 2\r\n\r\n{}" + HIDDEN,
    "a folded length": POST + b"X: y\r\n Content-Length: 40\r\nContent-Length : 2\r\n\r\n{}" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "a coding behind a tab": POST + b"Transfer-Encoding:\tchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "chunks of HTTP/1.0": POST.replace(b"/1.1\r", b"/1.0\r") + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "a chunk of lies": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n" + HIDDEN,
    "a chunk without end": POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + HIDDEN,
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n" + HIDDEN,
}


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


@pytest.mark.parametrize("form", SMUGGLING)
def test_no_request_hides_in_another(dev, form):
    answer = raw(dev.web, SMUGGLING[form], stop=False)
    # Refused, and the connection ends: what lies behind is not read as a request.
    assert statuses(answer)[0] in (400, 411) and 200 not in statuses(answer)
    assert re.search(rb"(?i)connection: close", answer)
    with socket.create_connection(("127.0.0.1", dev.web), timeout=10) as client:
        client.sendall(SMUGGLING[form])
        client.settimeout(10)
        while client.recv(65536):
            pass


def test_requests_that_follow_each_other_are_answered_in_turn(dev):
    assert statuses(raw(dev.web, POST + b"Content-Length: 2\r\n\r\n{}" + HIDDEN, stop=False)) == [200, 200]
    body = HIDDEN
    assert statuses(raw(dev.web, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
                        stop=False)) == [200]


# ---- text that would run ----

HOSTILE_TEXT = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "\"><script>alert(1)</script>",
    "javascript:alert(1)", "'-alert(1)-'", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}", "</script><script>alert(1)</script>",
    "\u202e\u2066moc.elgoog\u2069", "a\u2028b\u2029c", "\x1b[2J\x1b]0;title\x07", "\\u003cscript\\u003e", "&lt;script&gt;",
    "=cmd|' /C calc'!A0", "%0d%0aSet-Cookie: a=b", "\ufeff<\u200bscript>",
]


def talk(port, lines, message=b""):
    """A session of these lines, whatever is answered, the last DATA when there is a message."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.recv(1000)
        for line in lines:
            client.sendall(line + b"\r\n")
            client.recv(65536)
        client.sendall(message + b"QUIT\r\n")
        while client.recv(65536):
            pass


def tell_hostile(port):
    for text in HOSTILE_TEXT:
        octets = text.encode()
        talk(port, [b"EHLO " + octets, b"HELO c.example", b"VRFY " + octets, octets, b"MAIL FROM:<\"" + octets + b"\"@c.example>",
                    b"RSET", b"MAIL FROM:<a@c.example>", b"RCPT TO:<\"" + octets.replace(b"\"", b"") + b"\"@example.org>",
                    b"RCPT TO:<victim@example.org>"])
        talk(port, [b"HELO c.example", b"MAIL FROM:<a@c.example>", b"RCPT TO:<victim@example.org>", b"DATA"],
             b"Subject: %s\r\nX-%s: x\r\nContent-Type: text/html; name=\"%s\"\r\n\r\n%s\r\n.\r\n" % (octets, octets, octets, octets))
    # What is no text at all.
    talk(port, [b"EHLO \xff\xfe", b"\x00\x01\x02data: x\rdata: y", b"MAIL FROM:<\xff@c.example>"])


def assert_harmless(octets):
    """Nothing in it ends a line, obeys, hides or turns around; markup is inside of strings of JSON only."""
    for line in octets.decode("utf-8").split("\n"):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line), line
        payload = line[6:] if line.startswith("data: ") else line
        if payload.startswith("{"):
            json.loads(payload)
        else:
            assert "<" not in payload, payload


def test_hostile_protocol_text_comes_out_as_data_and_nothing_else(dev):
    stream = socket.create_connection(("127.0.0.1", dev.web), timeout=30)
    stream.sendall(b"GET /api/v1/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
    tell_hostile(dev.base + 25)
    time.sleep(0.5)
    stream.settimeout(1)
    live = b""
    try:
        while piece := stream.recv(1 << 20):
            live += piece
    except TimeoutError:
        pass
    stream.close()
    header, _, events = live.partition(b"\r\n\r\n")
    assert b"text/event-stream" in header and b"nosniff" in header
    assert_harmless(events)
    kinds = [json.loads(line[6:])["kind"] for line in events.decode().split("\n") if line.startswith("data: {")]
    assert kinds.count("connect") >= 2 * len(HOSTILE_TEXT) and b"alert(1)" in events
    # Each event is three lines and an empty one: no text began another.
    blocks = [block for block in events.decode().split("\n\n") if block.startswith("event: ")]
    assert all(re.fullmatch(r"event: trace\nid: [0-9-]+\ndata: [^\n]+", block) for block in blocks)
    rows = get_json(dev.web, "/api/v1/messages?recipient=victim@example.org&limit=1000")["messages"]
    assert {"<script>alert(1)</script>", "{{constructor.constructor('alert(1)')()}}"} <= {row["subject"] for row in rows}
    paths = ["/api/v1/messages", "/api/v1/sessions?limit=1000", "/api/v1/queue"]
    paths += [f"/api/v1/messages/{row['message']}{more}" for row in rows[:6] for more in ("", "/events")]
    paths += [f"/api/v1/sessions/{row['session']}/events" for row in rows[:6]]
    for path in paths:
        status, headers, body = get(dev.web, path)
        assert status == 200 and headers["Content-Type"] in ("application/json", "application/x-ndjson"), path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert_harmless(body)


def test_what_another_server_answers_comes_out_as_data(serve):
    reply = "451-4.2.0 <script>alert(1)</script>\r\n451 4.2.0 \"}]</script>\u2028\x1b[2J javascript:alert(1)\r\n".encode()
    with BadPeer("127.0.0.1", {"RCPT": reply, "greeting": b"220 <img src=x onerror=alert(1)> ESMTP\r\n",
                               "EHLO": b"250-<b>bad</b>\r\n250 X<script>\r\n"}, port=0) as peer:
        serve.run("route", "add", "hostile.example", "--smtp", f"127.0.0.1:{peer.port}")
        subprocess.run(["swaks", "--server", f"127.0.0.1:{serve.port('submission')}", "--au", USER, "--ap", "user's", "--from", USER,
                        "--to", "x@hostile.example", "--header", "Subject: <script>alert(1)</script>"], check=True, capture_output=True,
                       timeout=60)
        admin, port = cookie(serve, ADMIN, "admin's"), serve.port("web")
        ident = get_json(port, "/api/v1/messages?limit=1", headers=admin)["messages"][0]["message"]
        one = wait_for(lambda: next((row for row in get_json(port, f"/api/v1/messages/{ident}", headers=admin)["recipients"]
                                     if row["reply"]), None), 20)
    assert "<script>" in one["reply"]
    for path in ("/api/v1/queue", f"/api/v1/messages/{ident}", f"/api/v1/messages/{ident}/events", f"/api/v1/sessions/{one['session']}/events"):
        assert_harmless(get(port, path, headers=admin)[2])


# ---- readers that do not read ----

def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def test_readers_that_take_nothing_cost_little_and_hold_up_nobody(dev):
    pid = dev.web_pid()
    with socket.create_connection(("127.0.0.1", dev.base + 25), timeout=30) as client:
        client.recv(1000)
        for _ in range(40):
            client.sendall(b"NOOP " + b"x" * 400 + b"\r\n")
            client.recv(1000)
        client.sendall(b"QUIT\r\n")
        client.recv(1000)
    before = resident_kib(pid)
    crowd = []
    for number in range(100):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", dev.web))
        path = b"/api/v1/sessions?limit=1000" if number % 2 else b"/api/v1/events"
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        crowd.append(client)
    begun = time.monotonic()
    for number in range(20):
        dev.send(f"behind a crowd {number}")
    assert time.monotonic() - begun < 10
    assert get(dev.web, "/livez")[0] == 200
    assert resident_kib(pid) - before < 100 * 1024
    for client in crowd:
        client.close()
    assert dev.web_pid() == pid
    wait_for(lambda: get(dev.web, "/api/v1/sessions?limit=1")[0] == 200, 40)


@pytest.fixture(scope="module")
def open_server():
    """Reached by HTTPS from an address that is not loopback, where failures count."""
    found = re.findall(r"inet (\d+\.\d+\.\d+\.\d+)/\d+ brd", subprocess.run(["ip", "-4", "addr"], capture_output=True, text=True, check=True).stdout)
    if not found:
        pytest.skip("this machine has no address but loopback")
    config = CONFIG.replace('http address = { 127.0.0.1 } tls = implicit', f'http address = {{ {found[0]} }} tls = implicit')
    with Server(accounts={USER: "user's", OTHER: "other's"}, config="login_failures_ban = 5\n" + config) as server:
        server.own = found[0]
        yield server


def attempt(server, address, password):
    """(status, seconds)"""
    begun = time.monotonic()
    status, headers, body = get(server.base + 443, "/api/v1/sign-in", "POST", json.dumps({"address": address, "password": password}),
                                {"Content-Type": "application/json"}, tls=True, host=server.own)
    assert password.encode() not in body and ("Set-Cookie" in headers) == (status == 200)
    return status, time.monotonic() - begun


def test_guessing_passwords_takes_longer_each_time_and_ends_in_a_ban(open_server):
    assert attempt(open_server, USER, "user's")[0] == 200
    tries = [attempt(open_server, OTHER, f"guess {number}") for number in range(5)]
    assert [status for status, _ in tries] == [401] * 5
    assert tries[1][1] >= 0.9 and tries[3][1] >= 3.5
    # login_failures_ban: from this address nobody gets in for a while, whatever the password.
    assert [attempt(open_server, *who)[0] for who in ((OTHER, "guess"), (OTHER, "other's"), (USER, "user's"))] == [429] * 3
    # From elsewhere its owner does.
    assert sign_in(open_server, OTHER, "other's")[0] == 200


def test_a_crowd_of_guessers_is_told_to_come_again_and_others_sign_in(serve):
    answers = []
    guesses = [threading.Thread(target=lambda: answers.append(sign_in(serve, OTHER, "guess")[0])) for _ in range(40)]
    for guess in guesses:
        guess.start()
    wait_for(lambda: sign_in(serve, USER, "user's")[0] == 200, 30)
    for guess in guesses:
        guess.join()
    assert set(answers) <= {401, 429} and 429 in answers
    assert sign_in(serve, OTHER, "other's")[0] == 200


def test_an_account_that_signs_in_again_and_again_ends_its_own_sign_ins_and_nobody_elses(serve):
    port, most = serve.port("web"), limit("web_sign_ins_per_account")
    theirs = cookie(serve, OTHER, "other's")
    mine = [cookie(serve, USER, "user's") for _ in range(2)]
    assert get(port, "/api/v1/sessions", headers=mine[0])[0] == 200  # so the second is the one unused the longest
    mine += [cookie(serve, USER, "user's") for _ in range(most - 1)]
    answers = [get(port, "/api/v1/sessions", headers=one)[0] for one in mine]
    assert answers == [200, 401] + [200] * (most - 1)
    assert get(port, "/api/v1/sessions", headers=theirs)[0] == 200


def test_to_look_on_is_to_use_a_sign_in(serve):
    port, most = serve.port("web"), limit("web_sign_ins_per_account")
    watching, idle = (cookie(serve, ADMIN, "admin's") for _ in range(2))
    events = Events(port, headers=watching)
    assert get(port, "/api/v1/sessions", headers=idle)[0] == 200
    while events.answer.readline() != b": still here\n":  # some seconds: the server sees that who watches is there
        pass
    for _ in range(most - 1):
        cookie(serve, ADMIN, "admin's")
    assert [get(port, "/api/v1/sessions", headers=one)[0] for one in (watching, idle)] == [200, 401]
    events.close()


# ---- with curl, over HTTPS ----

def curl(*arguments):
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "20", *arguments], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_curl_signs_in_over_https_and_the_cookie_never_goes_back_in_the_clear(serve, tmp_path):
    jar, ca = str(tmp_path / "jar"), str(next(path for path in (serve.folder / "tls").glob("*.pem") if "key" not in path.name))
    https = ("--cacert", ca, "--connect-to", f"mail.example.org::127.0.0.1:{serve.base + 443}", "--cookie-jar", jar, "--cookie", jar)
    site = "https://mail.example.org"
    assert '"error"' in curl(*https, f"{site}/api/v1/sessions")[1]
    code, text = curl(*https, "-i", "--json", json.dumps({"address": USER, "password": "user's"}), f"{site}/api/v1/sign-in")
    assert code == 0 and " 200" in text.splitlines()[0]
    set_cookie = next(line for line in text.splitlines() if line.lower().startswith("set-cookie:"))
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(re.split(r";\s*", set_cookie))
    assert "Strict-Transport-Security" in text
    assert '"sessions"' in curl(*https, f"{site}/api/v1/sessions")[1]
    plain = ("--connect-to", f"mail.example.org::127.0.0.1:{serve.port('web')}", "--cookie", jar)
    assert '"error"' in curl(*plain, "http://mail.example.org/api/v1/sessions")[1]
    # Forms of other sites, and scripts of theirs.
    for more in (("-H", "Origin: https://evil.example"), ("-H", "Sec-Fetch-Site: cross-site"), ("-H", "Content-Type: text/plain"), ()):
        json_type = ("-H", "Content-Type: application/json") if more and "Content" not in more[1] else ()
        assert re.match(r"HTTP/\S+ (403|415)", curl(*https, "-i", *json_type, "-d", "{}", *more, f"{site}/api/v1/sign-out")[1]), more
    assert '"sessions"' in curl(*https, f"{site}/api/v1/sessions")[1]
    # Without trust in the certificate curl does not speak with it at all.
    assert curl("--connect-to", f"mail.example.org::127.0.0.1:{serve.base + 443}", f"{site}/livez")[0] == 60


def test_the_web_role_falls_and_who_had_signed_in_signs_in_again(serve):
    mine, port = cookie(serve, USER, "user's"), serve.port("web")
    os.kill(serve.role_pids()["web"][0], signal.SIGKILL)

    def asked():
        try:
            return get(port, "/api/v1/sessions", headers=mine)[0]
        except OSError:
            return 0
    assert wait_for(asked, 20) == 401
    assert get(port, "/api/v1/sessions", headers=cookie(serve, USER, "user's"))[0] == 200
