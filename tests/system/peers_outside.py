# SPDX-License-Identifier: Apache-2.0
"""The world outside for relay tests: names by Debian's unbound, mail servers by Postfix's smtp-sink, on
addresses of loopback that are not 127.0.0.1. Port 25 needs root."""
import contextlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import time

import pytest


def need_outside():
    if os.geteuid() != 0:
        pytest.skip("port 25 of other loopback addresses needs root")
    for program in ("unbound", "smtp-sink"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: tools/install-packages check")


def some_address():
    return f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"


def wait_for_port(address, port, process):
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection((address, port), timeout=1).close()
            return
        assert not process or process.poll() is None, f"{process.args[0]} ended with {process.returncode}"
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {address} port {port}")


class Names:
    """unbound that knows only what it is given: {"there.example": ["MX 10 mx.there.example"], ...}"""

    def __init__(self, folder, records):
        self.folder, self.records = pathlib.Path(folder), records
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def __enter__(self):
        zones = {name.split(".")[-1] for name in self.records}
        lines = [f'local-zone: "{zone}." static' for zone in zones]
        lines += [f"local-data: '{name}. {record}'" for name, records in self.records.items() for record in records]
        path = self.folder / "unbound.conf"
        path.write_text(f"""server:
  interface: 127.0.0.1
  port: {self.port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: ""
  use-syslog: no
  logfile: "{self.folder}/unbound.log"
  module-config: "iterator"
  """ + "\n  ".join(lines) + "\nremote-control:\n  control-enable: no\n", encoding="utf-8")
        self.process = subprocess.Popen([shutil.which("unbound"), "-d", "-c", str(path)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port("127.0.0.1", self.port, self.process)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(timeout=10)


class Sink:
    """smtp-sink on port 25 of an address; what it took lies in files of its folder."""

    def __init__(self, folder, address, *options):
        self.folder, self.address, self.options = pathlib.Path(folder), address, options

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o777)
        self.process = subprocess.Popen(["smtp-sink", "-u", "nobody", "-R", str(self.folder), "-d", "message.",
                                         *self.options, f"{self.address}:25", "100"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.address, 25, self.process)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(timeout=10)

    def taken(self):
        """Each message as (envelope lines, octets with LF) in no order."""
        return [path.read_bytes() for path in self.folder.glob("message.*")]
