# SPDX-License-Identifier: Apache-2.0
"""Readers of /api/v1/events on one thread, as far back as the machine allows: in earnest they are browsers on other machines.

  followers.py PORT COUNT

Says `ready` once all are answered; at the end of its input, a line of JSON: octets, reads, events lost, seconds of CPU."""
import json
import os
import re
import selectors
import socket
import sys
import time


def follow(port):
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = b""
    while b": events follow" not in got:
        got += client.recv(4096)
    client.setblocking(False)
    return client


def main():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    readers, octets, reads, lost = selectors.DefaultSelector(), 0, 0, 0
    for _ in range(int(sys.argv[2])):
        readers.register(follow(int(sys.argv[1])), selectors.EVENT_READ)
    readers.register(sys.stdin, selectors.EVENT_READ, "input")
    print("ready", flush=True)
    room = memoryview(bytearray(1 << 20))
    while True:
        for key, _ in readers.select():
            if key.data:
                print(json.dumps({"octets": octets, "reads": reads, "lost": lost, "seconds": round(time.process_time(), 2)}))
                return
            count = key.fileobj.recv_into(room)
            octets, reads = octets + count, reads + 1
            if b"event: lost" in room.obj[:count]:
                lost += sum(int(n) for n in re.findall(rb'event: lost\ndata: {"events":(\d+)}', room[:count]))
            if not count:
                sys.exit("a stream ended")


if __name__ == "__main__":
    main()
