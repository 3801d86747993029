# SPDX-License-Identifier: Apache-2.0
"""Mail finds its way by real names: NSD serves zones signed by ldns, Unbound validates them, and we ask Unbound."""
import json
import signal
import smtplib
import subprocess

import pytest

from glasspost import Server, insecure_tls, wait_for
from peers_outside import Sink, need_outside, some_address, wait_for_port
from test_dns import MISSING, change_one_signature, free_port, sign

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}")
ALICE, PASSWORD = "alice@example.org", "correct horse"
SIGNED, PLAIN = ("signed.example", "bogus.example"), ("plain.example",)


def zone(there):
    """Of all three: every way that a domain can say where its mail goes."""
    many = "".join(f"many MX 10 {'a-host-with-a-name-that-is-rather-long-' + str(i):x<60}.hosts\n" for i in range(40))
    return f"""$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
@ MX 10 mx1
mx1 A {there}
direct A {there}
other CNAME direct
away CNAME plain.example.
none MX 0 .
dangling MX 10 nobody
text TXT "no mail here"
{many}*.hosts A {there}
"""


class Names:
    """NSD and Unbound. lame.example is delegated to NSD, which does not have it."""

    def __init__(self, folder, there):
        self.folder, self.there = folder, there
        self.nsd_port, self.port = free_port(), free_port()
        self.processes = {}

    def launch(self, *words):
        with open(self.folder / f"{words[0]}.log", "wb") as log:
            self.processes[words[0]] = subprocess.Popen(words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def __enter__(self):
        for name in SIGNED + PLAIN:
            (self.folder / name).write_text(f"$ORIGIN {name}.\n{zone(self.there)}", encoding="utf-8")
        for name in SIGNED:
            sign(self.folder, name)
        change_one_signature(self.folder / "bogus.example.signed")
        zones = "".join(f'zone:\n  name: "{name}"\n  zonefile: "{name}.signed"\n' for name in SIGNED)
        zones += "".join(f'zone:\n  name: "{name}"\n  zonefile: "{name}"\n' for name in PLAIN)
        (self.folder / "nsd.conf").write_text(f"""server:
  ip-address: 127.0.0.1@{self.nsd_port}
  do-ip6: no
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{self.folder}"
  database: ""
  pidfile: ""
  xfrdfile: "{self.folder}/xfrd.state"
  xfrdir: "{self.folder}"
  zonelistfile: "{self.folder}/zone.list"
remote-control:
  control-enable: no
{zones}""", encoding="utf-8")
        stubs = "".join(f"stub-zone:\n  name: {name}\n  stub-addr: 127.0.0.1@{self.nsd_port}\n"
                        for name in (*SIGNED, *PLAIN, "lame.example"))
        anchors = "".join(f'  trust-anchor-file: "{self.folder}/{name}.key"\n' for name in SIGNED)
        (self.folder / "unbound.conf").write_text(f"""server:
  interface: 127.0.0.1@{self.port}
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  local-zone: "nowhere.example" always_nxdomain
  cache-max-negative-ttl: 1
{anchors}remote-control:
  control-enable: no
{stubs}""", encoding="utf-8")
        self.launch("nsd", "-d", "-c", "nsd.conf")
        self.launch("unbound", "-d", "-c", "unbound.conf")
        wait_for_port("127.0.0.1", self.nsd_port, self.processes["nsd"])
        wait_for_port("127.0.0.1", self.port, self.processes["unbound"])
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    need_outside()
    with Names(tmp_path_factory.mktemp("names"), some_address()) as made:
        yield made


@pytest.fixture(scope="module")
def server(names):
    config = f'relay = users\nresolver = "127.0.0.1:{names.port}"\nqueue_retry_min = 1s\nqueue_retry_max = 1s\n'
    with Server(accounts={ALICE: PASSWORD}, config=config) as running:
        yield running


@pytest.fixture(scope="module")
def sink(names, tmp_path_factory):
    with Sink(tmp_path_factory.mktemp("sink") / "sink", names.there) as running:
        yield running


def submit(server, to):
    """The id of the message."""
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
        client.starttls(context=insecure_tls())
        client.login(ALICE, PASSWORD)
        client.mail(ALICE)
        client.rcpt(to)
        _, reply = client.data(b"Subject: x\r\n\r\ntext\r\n")
    return next(word for word in reply.decode().split() if len(word) == 13 and word.isalnum() and word.isupper())


def wait(server, message, state, seconds=40):
    def is_there():
        _, row = server.rows("message", "show", message)
        return row if row["state"] == state and row["attempts"] else None
    return wait_for(is_there, seconds=seconds, what=f"{message} to be {state}")


def questions(server, message):
    """The events of names asked for that message."""
    session = server.rows("message", "show", message)[0]["session"]
    lines = server.run("session", "show", session, "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["fields"] for event in events if event["kind"] == "dns"]


@pytest.mark.parametrize("domain, secure", [("signed.example", 1), ("plain.example", 0)])
def test_mail_for_a_signed_domain_goes_by_secure_answers(server, sink, domain, secure):
    message = submit(server, f"anna@{domain}")
    wait(server, message, "relayed")
    asked = questions(server, message)
    assert {(field["type"], field["secure"]) for field in asked if field["outcome"] == "found"} >= {("MX", secure), ("A", secure)}


@pytest.mark.parametrize("domain", ["direct.signed.example", "other.signed.example", "away.signed.example", "a.hosts.plain.example"])
def test_addresses_and_aliases_lead_where_they_say(server, sink, names, domain):
    """Implicit MX, CNAME within and out of the zone, a wildcard."""
    message = submit(server, f"anna@{domain}")
    row = wait(server, message, "relayed")
    assert f"[{names.there}]" in row["peer"]


def test_a_large_answer_comes_by_tcp(server, sink):
    message = submit(server, "anna@many.signed.example")
    wait(server, message, "relayed")
    found, = [field for field in questions(server, message) if field["type"] == "MX" and field["outcome"] == "found"]
    assert found["tcp"] == 1 and found["secure"] == 1


@pytest.mark.parametrize("domain, enhanced", [("none.signed.example", "5.1.10"), ("nobody.signed.example", "5.1.2"),
                                              ("nowhere.example", "5.1.2"), ("text.plain.example", "5.4.4"),
                                              ("dangling.signed.example", "5.4.4")])
def test_what_can_never_be_delivered_is_told_at_once(server, domain, enhanced):
    message = submit(server, f"anna@{domain}")
    row = wait(server, message, "failed")
    assert row["enhanced"] == enhanced and row["attempts"] == 1
    wait_for(lambda: [text for text in server.messages(ALICE) if domain.encode() in text and enhanced.encode() in text],
             what="a notification")


@pytest.mark.parametrize("domain", ["bogus.example", "lame.example"])
def test_forged_and_broken_names_defer_and_never_bounce(server, sink, domain):
    before = len(sink.taken())
    message = submit(server, f"anna@{domain}")
    row = wait(server, message, "waiting")
    assert row["enhanced"].startswith("4."), row
    wait_for(lambda: server.rows("message", "show", message)[1]["attempts"] >= 2, seconds=30, what="another attempt")
    assert server.rows("message", "show", message)[1]["state"] in ("waiting", "leased")
    assert not [text for text in server.messages(ALICE) if domain.encode() in text]
    assert len(sink.taken()) == before, "nothing was sent to where a forger pointed"
    assert any(field["outcome"] == "failed" for field in questions(server, message))
    server.run("queue", "delete", message)


def test_while_the_resolver_is_silent_mail_waits_and_then_goes(server, sink, names):
    names.processes["unbound"].send_signal(signal.SIGSTOP)
    try:
        message = submit(server, "anna@b.hosts.plain.example")
        row = wait(server, message, "waiting", seconds=60)
        assert row["enhanced"] == "4.4.3"
    finally:
        names.processes["unbound"].send_signal(signal.SIGCONT)
    server.run("queue", "retry", message)
    wait(server, message, "relayed", seconds=60)
