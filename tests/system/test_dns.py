# SPDX-License-Identifier: Apache-2.0
"""The resolver against NSD, which serves zones signed by ldns, and Unbound, which validates them."""
import base64
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

from glasspost import PROGRAM

os.environ["PATH"] += ":/usr/sbin"
MISSING = [name for name in ("nsd", "unbound", "ldns-keygen", "ldns-signzone") if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}")

LONG = "".join(f' "{i:03} {"x" * 200}"' for i in range(15))
ZONE = f"""$TTL 300
@ IN SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
@ MX 10 mx1
@ MX 20 mx2
@ TXT "v=spf1 " "-all"
mx1 A 192.0.2.1
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.2
_25._tcp.mx1 TLSA 3 1 1 {"ab" * 32}
alias CNAME mx1
away CNAME mx2.plain.example.
none MX 0 .
long TXT{LONG}
many MX 1 mx1
*.wild MX 5 mx1
"""
ZONES = ["signed.example", "plain.example", "bogus.example"]


def free_port():
    """One that is free for UDP and TCP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def run(folder, *words):
    return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def sign(folder, zone):
    """Leaves ZONE.signed and the anchor ZONE.key."""
    key = run(folder, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone).strip()
    run(folder, "ldns-signzone", "-o", zone, "-n", zone, key)
    shutil.copy(folder / f"{key}.key", folder / f"{zone}.key")


def change_one_signature(path):
    """Of mx1's address: well formed, and wrong."""
    lines = path.read_text().splitlines()
    for i, line in enumerate(lines):
        fields = line.split()
        if line.startswith("mx1.") and "RRSIG" in fields and fields[fields.index("RRSIG") + 1] == "A":
            signature = bytearray(base64.b64decode(fields[-1]))
            signature[5] ^= 1
            lines[i] = " ".join(fields[:-1] + [base64.b64encode(signature).decode()])
    path.write_text("\n".join(lines) + "\n")


def nsd_config(folder, port):
    zones = "".join(f'zone:\n  name: "{zone}"\n  zonefile: "{zone}{"" if zone == "plain.example" else ".signed"}"\n'
                    for zone in ZONES)
    return f"""server:
  ip-address: 127.0.0.1@{port}
  do-ip6: no
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
remote-control:
  control-enable: no
{zones}"""


def unbound_config(folder, port, nsd_port):
    stubs = "".join(f"stub-zone:\n  name: {zone}\n  stub-addr: 127.0.0.1@{nsd_port}\n" for zone in ZONES)
    return f"""server:
  interface: 127.0.0.1@{port}
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  do-not-query-localhost: no
  trust-anchor-file: "{folder}/signed.example.key"
  trust-anchor-file: "{folder}/bogus.example.key"
remote-control:
  control-enable: no
{stubs}"""


class Net:
    """NSD with the zones and Unbound in front of it."""

    def __init__(self, folder):
        self.folder = folder
        self.nsd_port, self.port = free_port(), free_port()
        self.processes = []

    def start(self):
        for zone in ZONES:
            (self.folder / zone).write_text(f"$ORIGIN {zone}.\n{ZONE}")
        sign(self.folder, "signed.example")
        sign(self.folder, "bogus.example")
        change_one_signature(self.folder / "bogus.example.signed")
        (self.folder / "nsd.conf").write_text(nsd_config(self.folder, self.nsd_port))
        (self.folder / "unbound.conf").write_text(unbound_config(self.folder, self.port, self.nsd_port))
        self.launch("nsd", "-d", "-c", "nsd.conf")
        self.launch("unbound", "-d", "-c", "unbound.conf")
        deadline = time.monotonic() + 30
        while self.ask("plain.example", "MX")[0].get("outcome") != "found":
            assert time.monotonic() < deadline, (self.folder / "unbound.log").read_text()
            time.sleep(0.2)
            assert all(process.poll() is None for process in self.processes)

    def launch(self, *words):
        with open(self.folder / f"{words[0]}.log", "wb") as log:
            self.processes.append(subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log))

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=20)

    def ask(self, *words, resolver=None):
        """The rows that the command prints."""
        done = subprocess.run([PROGRAM, "dns", *words, "--json", "--resolver", resolver or f"127.0.0.1:{self.port}"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 75), done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    made = Net(pathlib.Path(tmp_path_factory.mktemp("dns")))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("zone, secure", [("signed.example", True), ("plain.example", False)])
def test_every_type_is_found_and_secure_where_it_is_signed(net, zone, secure):
    expected = {
        ("", "MX"): {f"10 mx1.{zone}", f"20 mx2.{zone}"},
        ("", "TXT"): {"v=spf1 -all"},
        ("mx1.", "A"): {"192.0.2.1"},
        ("mx1.", "AAAA"): {"2001:db8::1"},
        ("alias.", "A"): {"192.0.2.1"},
        ("_25._tcp.mx1.", "TLSA"): {"3 1 1 " + "ab" * 32},
        ("deep.in.wild.", "MX"): {f"5 mx1.{zone}"},
        ("", "SOA"): {"SOA"},
    }
    for (name, kind), data in expected.items():
        rows = net.ask(name + zone, kind)
        assert {row["data"] for row in rows} == data, (name, kind)
        assert all(row["secure"] is secure and 0 < row["ttl"] <= 300 for row in rows), rows


def test_denials_are_told_apart(net):
    for zone, secure in (("signed.example", True), ("plain.example", False)):
        assert net.ask(f"nobody.{zone}", "MX")[0] == {
            "name": f"nobody.{zone}", "type": "MX", "outcome": "no such name", "data": "", "secure": secure}
        assert net.ask(f"mx1.{zone}", "MX")[0]["outcome"] == "no data"


def test_a_chain_into_an_unsigned_zone_is_not_secure(net):
    row = net.ask("away.signed.example", "A")[0]
    assert (row["data"], row["name"], row["secure"]) == ("192.0.2.2", "mx2.plain.example", False)


def test_a_forged_record_is_a_failure_for_now(net):
    row = net.ask("mx1.bogus.example", "A")[0]
    assert row["outcome"] == "failed" and row["data"].endswith("SERVFAIL"), row
    assert net.ask("mx2.bogus.example", "A")[0]["secure"] is True


def test_a_long_text_comes_by_tcp_whole(net):
    row = net.ask("long.signed.example", "TXT")[0]
    assert row["data"] == "".join(re.findall(r'"([^"]*)"', LONG))
    assert len(row["data"]) > 3000 and row["secure"] is True


def test_an_authoritative_server_answers_too_without_ad(net):
    row = net.ask("signed.example", "TXT", resolver=f"127.0.0.1:{net.nsd_port}")[0]
    assert (row["data"], row["secure"]) == ("v=spf1 -all", False)
    row = net.ask("away.signed.example", "A", resolver=f"127.0.0.1:{net.nsd_port}")[0]
    assert row["data"] == "192.0.2.2"  # two questions: it is no recursive server


def test_a_dead_or_silent_first_server_is_passed_over(net):
    begun = time.monotonic()
    assert net.ask("plain.example", "MX", resolver=f"127.0.0.1:1,127.0.0.1:{net.port}")[0]["outcome"] == "found"
    assert time.monotonic() - begun < 2
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        first = f"127.0.0.1:{silent.getsockname()[1]}"
        assert net.ask("plain.example", "MX", resolver=f"{first},127.0.0.1:{net.port}")[0]["outcome"] == "found"
        assert len(silent.recv(2000)) > 12


def test_routes_of_mail(net):
    hops = net.ask("signed.example")
    assert [(hop["preference"], hop["address"], hop["secure"]) for hop in hops] == [
        (10, "[2001:db8::1]:25", True), (10, "192.0.2.1:25", True), (20, "192.0.2.2:25", True)]
    assert net.ask("none.plain.example")[0]["enhanced"] == "5.1.10"
    assert net.ask("nobody.plain.example")[0]["enhanced"] == "5.1.2"
    assert [hop["address"] for hop in net.ask("mx2.plain.example")] == ["192.0.2.2:25"]
    assert [hop["address"] for hop in net.ask("alias.plain.example")] == ["[2001:db8::1]:25", "192.0.2.1:25"]
    assert net.ask("long.plain.example")[0]["enhanced"] == "5.4.4"


def test_who_asks_wrongly_is_told_how(net):
    for words, text in (([PROGRAM, "dns", "example.org", "SRV"], "A, AAAA, MX"),
                        ([PROGRAM, "dns", "example.org", "--resolver", "dns.example.org"], "no address of a DNS server")):
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
        assert done.returncode == 64 and text in done.stderr, done
