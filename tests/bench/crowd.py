#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A crowd of clients that do nothing useful, in a process of its own, from many addresses of 127.0.0.0/8.

  tests/bench/crowd.py PORT [--silent N] [--drip N] [--idle N] [--flood N] [--tls]

--silent connect and say nothing; --drip send one octet of a command a second; --idle say EHLO (after STARTTLS
with --tls) and rest; --flood send commands without reading a reply, until nothing more is taken. "ready" on
standard output says that all are there; the end of standard input ends it. On ready it tells how many were
refused or closed."""
import argparse
import json
import resource
import selectors
import socket
import ssl
import subprocess
import sys
import time

PER_ADDRESS = 10


def source(number):
    """The address of the number-th client: ten to an address."""
    number //= PER_ADDRESS
    return f"127.{16 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def dial(port, number):
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: ports are free per address
    client.bind((source(number), 0))
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    return client


def read_reply(client):
    seen = b""
    while True:
        octets = client.recv(4096)
        if not octets:
            raise ConnectionError("closed")
        seen += octets
        lines = seen.split(b"\r\n")
        if seen.endswith(b"\r\n") and lines[-2][3:4] == b" ":
            return seen


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def idle(port, number, context):
    client = dial(port, number)
    read_reply(client)
    client.sendall(b"EHLO idle.example\r\n")
    read_reply(client)
    if context:
        client.sendall(b"STARTTLS\r\n")
        read_reply(client)
        client = context.wrap_socket(client)
        client.sendall(b"EHLO idle.example\r\n")
        read_reply(client)
    return client


def flood(client, hold=4 << 20):
    """NOOPs, whose replies nobody reads, until the server takes no more of them."""
    client.settimeout(1.0)
    try:
        for _ in range(hold // 60000):
            client.sendall(b"NOOP\r\n" * 10000)
    except (OSError, ssl.SSLError):
        pass


class Drippers:
    """One octet a second from each, spread over the second."""

    def __init__(self, clients):
        self.clients, self.selector = clients, selectors.DefaultSelector()
        self.selector.register(sys.stdin.buffer, selectors.EVENT_READ)
        self.closed = 0

    def run(self):
        count = max(len(self.clients), 1)
        turn, due = 0, time.monotonic()
        while not self.selector.select(max(0, due - time.monotonic())):
            due = max(due + 1 / count, time.monotonic() - 1)
            if self.clients:
                self.drip(self.clients[turn % count])
                turn += 1

    def drip(self, client):
        try:
            client.send(b"E")
        except OSError:
            self.closed += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    for kind in ("silent", "drip", "idle", "flood"):
        parser.add_argument("--" + kind, type=int, default=0)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = insecure() if options.tls else None
    clients, dripping, refused, number = [], [], 0, 0
    for kind in ("silent", "drip", "idle", "flood"):
        for _ in range(getattr(options, kind)):
            try:
                client = dial(options.port, number) if kind in ("silent", "drip") \
                    else idle(options.port, number, context)
                (dripping if kind == "drip" else clients).append(client)
                if kind == "flood":
                    flood(client)
            except OSError:
                refused += 1
            number += 1
    print(json.dumps({"ready": len(clients) + len(dripping), "refused": refused}), flush=True)
    drippers = Drippers(dripping)
    drippers.run()
    print(json.dumps({"closed": drippers.closed}), flush=True)


class Crowd:
    """`with Crowd(port, silent=5000, drip=500) as crowd:`"""

    def __init__(self, port, tls=False, **kinds):
        self.command = [sys.executable, __file__, str(port)] + (["--tls"] if tls else [])
        for kind, count in kinds.items():
            self.command += [f"--{kind}", str(count)]
        self.count = sum(kinds.values())

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        if told["refused"]:
            raise RuntimeError(f"{told['refused']} of {self.count} clients were refused")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait(timeout=60)


if __name__ == "__main__":
    main()
