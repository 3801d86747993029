# SPDX-License-Identifier: Apache-2.0
"""The page in a browser, before a running server: Debian's Chromium, driven by web/e2e/page.mjs."""
import json
import os
import shutil
import smtplib
import socket
import subprocess
import time
import urllib.request

import pytest
from bad_peer import BadPeer
from glasspost import ROOT, Server, insecure_tls, wait_for
from peers_outside import Names, Sink, need_outside, some_address

WEB = ROOT / "web"
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if os.path.exists(path)), None)
ALICE, PASSWORD = "alice@example.org", "correct horse"


def check(name, port, seconds=150, **given):
    """One check of web/e2e/page.mjs; what it measured."""
    done = subprocess.run(["node", str(WEB / "e2e" / "page.mjs"), name, f"http://127.0.0.1:{port}/", json.dumps(given)],
                          capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{name}:\n{done.stdout}{done.stderr}"
    print(f"{name}: {done.stdout.strip()}")
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", autouse=True)
def tools():
    if not shutil.which("node") or not CHROMIUM:
        pytest.skip("node or chromium is not installed: tools/install-packages check")
    subprocess.run(["cmake", f"-DWEB={WEB}", "-P", str(ROOT / "cmake" / "page_packages.cmake")], check=True, timeout=600)


def need_page(port):
    """Where nodejs is, a server without its page is a mistake of the build."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        assert b"assets/" in answer.read(), "this server was built without its page: look at what the build said"


def swaks(*arguments):
    return subprocess.run(["swaks", *arguments], capture_output=True, text=True, timeout=60)


def speak(port, lines):
    """A client of no good manners."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.recv(4096)
        for line in lines:
            connection.sendall(line.encode() + b"\r\n")
            time.sleep(0.05)
        connection.recv(65536)


@pytest.fixture(scope="module")
def dev(dev):
    """With its page, and a message that was sent and fetched."""
    need_page(dev.web)
    swaks("--server", f"127.0.0.1:{dev.base + 587}", "-tls", "--auth-user", ALICE, "--auth-password", "x", "--from", ALICE,
          "--to", "bob@example.org,carla@example.org", "--pipeline", "--h-Subject", "Hello")
    subprocess.run(["curl", "-s", "--max-time", "30", "--user", "bob@example.org:x", f"pop3://127.0.0.1:{dev.base + 110}/1"], check=True,
                   capture_output=True, timeout=60)
    return dev


def test_a_session_appears_in_the_list_within_a_second(dev):
    assert check("live", dev.web, smtp=dev.smtp)["late_ms"] < 1000


def test_the_film_plays_pauses_steps_scrubs_and_changes_speed_by_mouse_and_keyboard(dev):
    assert check("player", dev.web)["rows"] > 20


def test_every_line_is_explained_in_three_depths_with_its_parts_and_octets(dev):
    check("explained", dev.web)


def test_a_reply_code_is_chosen_and_told_apart_and_the_guide_lists_all(dev):
    assert check("codes", dev.web)["codes"] > 100


def test_envelope_and_letter_are_drawn_apart_and_their_differences_told(dev):
    swaks("--server", f"127.0.0.1:{dev.base + 587}", "-tls", "--auth-user", ALICE, "--auth-password", "x", "--from", "bounces@lists.example.org",
          "--to", "dora@example.org,carla@example.org", "--pipeline", "--h-Subject", "Minutes", "--h-From", f"Alice <{ALICE}>",
          "--h-To", "garden@lists.example.org, dora@example.org", "--body", "The tulips are in.")
    subprocess.run(["curl", "-s", "--max-time", "30", "--user", "dora@example.org:x", f"pop3://127.0.0.1:{dev.base + 110}/1"], check=True,
                   capture_output=True, timeout=60)
    assert check("post", dev.web, subject="Minutes", sender="bounces@lists.example.org", recipients=["dora@example.org", "carla@example.org"], **{"from": ALICE},
                 to="garden@lists.example.org", blind="carla@example.org", words="The tulips are in.", account=ALICE)["ways"] == 3


def test_a_line_is_shown_at_each_layer_with_what_is_known_of_it(dev):
    assert check("layers", dev.web)["octets"] > 40


def test_each_page_of_the_guide_has_its_film_in_the_player(dev):
    found = check("guide", dev.web)
    assert found["pages"] == 15 and found["films"] >= 20 and found["stops"] > 50


def test_a_running_session_is_followed_paused_in_view_and_replayed(dev):
    assert check("follow", dev.web, smtp=dev.smtp)["late_ms"] < 1000


def test_headers_and_saved_sessions_from_elsewhere_are_opened(dev):
    check("elsewhere", dev.web)


def test_the_second_language_and_less_motion(dev):
    check("forEveryone", dev.web)


def test_axe_finds_nothing_serious_on_any_screen(dev):
    assert check("axe", dev.web)["looked"] >= 44


def test_ten_thousand_events_open_at_once_and_scrub_smoothly(dev):
    measured = check("large", dev.web)
    assert measured["open_work_ms"] < 300 and measured["frame_work_ms"] <= 1000 / 30


def hostile():
    """The attack list of the page's own tests."""
    script = "import { HOSTILE } from './e2e/hostile.mjs'; console.log(JSON.stringify(HOSTILE))"
    done = subprocess.run(["node", "--input-type=module", "-e", script], cwd=WEB, check=True, capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout)


def test_hostile_protocol_text_and_headers_cannot_run(dev):
    attacks = hostile()
    speak(dev.smtp, [line for text in attacks for line in (f"EHLO {text}", text, f"VRFY {text}", f"MAIL FROM:<{text}>", "RSET")][:18])
    for text in attacks:
        with smtplib.SMTP("127.0.0.1", dev.smtp, timeout=30) as client:
            client.ehlo("attack.example")
            client.mail("a@attack.example")
            client.rcpt("bob@example.org")
            client.data(f"Subject: {text}\r\nFrom: \"{text}\" <a@attack.example>\r\nReceived: from {text} by {text}; now\r\n"
                        f"Content-Type: text/html\r\n\r\n{text}\r\n".encode())
    found = check("attacks", dev.web)
    assert found["tried"] == len(attacks) and found["letters"] > 5


def test_an_answer_shows_the_rule_and_its_line_of_the_configuration():
    with Server(accounts={ALICE: PASSWORD}, config=f'message_size_max = 1M\nweb_admins = {{"{ALICE}"}}\n') as server:
        need_page(server.base + 80)
        speak(server.port("smtp"), ["EHLO large.example", "MAIL FROM:<a@large.example> SIZE=99999999", "RCPT TO:<b@example.org>", "QUIT"])
        check("reason", server.base + 80, account=ALICE, password=PASSWORD)


def test_a_sign_in_that_ends_in_the_middle_is_asked_for_again_and_all_goes_on():
    with Server(accounts={ALICE: PASSWORD}, config=f'web_admins = {{"{ALICE}"}}\n') as server:
        need_page(server.base + 80)
        speak(server.port("smtp"), ["EHLO here.example", "QUIT"])
        check("signedOut", server.base + 80, account=ALICE, password=PASSWORD)


def test_the_journey_of_a_greylisted_and_retried_message_after_signing_in(tmp_path):
    need_outside()
    places = {"there": some_address(), "later": some_address()}
    records = {f"{name}.example": [f"MX 10 mx.{name}.example"] for name in places}
    records |= {f"mx.{name}.example": [f"A {address}"] for name, address in places.items()}
    with Names(tmp_path, records) as names:
        config = f'relay = users\nresolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\nweb_admins = {{"{ALICE}"}}\n'
        with Server(accounts={ALICE: PASSWORD}, config=config) as server:
            need_page(server.base + 80)
            with BadPeer(places["later"], {"RCPT": b"451 4.7.1 Greylisted, come back later\r\n"}) as later, Sink(tmp_path / "sink", places["there"]) as sink:
                with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
                    client.starttls(context=insecure_tls())
                    client.login(ALICE, PASSWORD)
                    client.sendmail(ALICE, ["dora@later.example", "carol@there.example"], b"Subject: Your invoice\r\n\r\nHello.\r\n")
                    client.sendmail(ALICE, [ALICE], b"Subject: To myself\r\n\r\nHello.\r\n")
                wait_for(sink.taken, seconds=20, what="the message for the first")
                wait_for(lambda: [one for one in server.rows("queue", "list") if one["attempts"] >= 1], what="an attempt")
                later.ways = {}
                wait_for(lambda: later.taken, seconds=60, what="the next attempt")
            assert check("journey", server.base + 80, subject="Your invoice", deferred="dora@later.example", other="carol@there.example",
                         mine="To myself", account=ALICE, password=PASSWORD)["attempts"] >= 2


def test_an_operator_changes_the_queue_in_the_page():
    with Server(accounts={ALICE: PASSWORD}, config=f'relay = users\nweb_admins = {{"{ALICE}"}}\n') as server, \
            BadPeer("127.0.0.1", {"RCPT": b"451 4.2.0 not now\r\n"}, port=0) as peer:
        need_page(server.base + 80)
        server.run("route", "add", "elsewhere.example", "--smtp", f"127.0.0.1:{peer.port}")
        recipients = ["carl@elsewhere.example", "dora@elsewhere.example"]
        with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
            client.starttls(context=insecure_tls())
            client.login(ALICE, PASSWORD)
            client.sendmail(ALICE, recipients, b"Subject: waits\r\n\r\nHello.\r\n")
        wait_for(lambda: [row["state"] for row in server.rows("queue", "list") if row["attempts"]] == ["waiting"] * 2, seconds=20, what="both to wait")
        check("queue", server.base + 80, account=ALICE, password=PASSWORD, recipients=recipients)
        assert [row["recipient"] for row in server.rows("queue", "list")] == recipients[:1]
