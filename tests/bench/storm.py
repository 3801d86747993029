#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Guesses passwords by POP3 until standard input ends, each connection announcing an address of 198.18.0.0/15 by a
PROXY header: storm.py PORT THREADS ADDRESSES NAME... One try a connection; half of the names are made up.
Prints what the tries were answered."""
import collections
import json
import random
import socket
import sys
import threading


def one_try(port, address, name):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(f"PROXY TCP4 {address} 127.0.0.1 40000 {port}\r\n".encode())
        replies = client.makefile("rb")
        if not replies.readline().startswith(b"+OK"):
            return "refused"
        client.sendall(f"USER {name}\r\nPASS wrong\r\n".encode())
        replies.readline()
        line = replies.readline()
        return "busy" if b"[SYS/TEMP]" in line or b"[IN-USE]" in line else "failed" if line else "closed"


def guess(port, addresses, names, outcomes, over, seed):
    chance = random.Random(seed)
    while not over.is_set():
        number = chance.randrange(addresses)
        name = chance.choice(names) if chance.random() < .5 else f"nobody{chance.randrange(10**6)}@bench.example"
        try:
            outcome = one_try(port, f"198.{18 + number // 65536}.{number // 256 % 256}.{number % 256}", name)
        except OSError:
            outcome = "cut"
        outcomes[outcome] += 1


def main():
    port, threads, addresses = (int(word) for word in sys.argv[1:4])
    outcomes, over = collections.Counter(), threading.Event()
    for seed in range(threads):
        threading.Thread(target=guess, args=(port, addresses, sys.argv[4:], outcomes, over, seed), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main()
