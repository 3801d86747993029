# SPDX-License-Identifier: Apache-2.0
"""A Glasspost server for tests: made in a folder of its own, started, asked, killed, read back.

The program is $GLASSPOST or build/glasspost. Ports are a free port base of this machine's loopback.
"""
import json
import os
import pathlib
import poplib
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("GLASSPOST", str(ROOT / "build" / "glasspost"))
WELL_KNOWN = {"smtp": 25, "lmtp": 24, "submission": 587, "submissions": 465, "pop3": 110, "pop3s": 995,
              "web": 80}


def free_port_base():
    """A base such that every service's port is free now."""
    for base in range(20000 + os.getpid() % 97 * 100, 60000, 1000):
        try:
            for port in WELL_KNOWN.values():
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", base + port))
            return base
        except OSError:
            continue
    raise RuntimeError("no free port base on this machine")


class Server:
    """`with Server(accounts={"alice@example.org": "secret"}) as server:`"""

    def __init__(self, accounts=None, domain="example.org", config="", folder=None, arguments=()):
        self.domain = domain
        self.accounts = accounts if accounts is not None else {f"alice@{domain}": "correct horse"}
        self.config = config
        self.scratch = None if folder else tempfile.TemporaryDirectory(prefix="glasspost-test-")
        self.folder = pathlib.Path(folder or self.scratch.name) / "data"
        self.base = free_port_base()
        self.arguments = list(arguments)
        self.process = None
        self.log_path = self.folder.parent / "log"

    def __enter__(self):
        self.create()
        self.start()
        for address, password in self.accounts.items():
            self.add_account(address, password)
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.stop()
        if self.scratch:
            self.scratch.cleanup()

    def run(self, *arguments, stdin="", check=True, timeout=60):
        """One command of the program, against this server's folder."""
        done = subprocess.run([PROGRAM, "--dir", str(self.folder), *arguments], input=stdin, text=True,
                              capture_output=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()[-4000:]}")
        return done

    def create(self):
        if not self.folder.exists():
            subprocess.run([PROGRAM, "init", str(self.folder), "--hostname", f"mail.{self.domain}",
                            "--domain", self.domain], check=True, capture_output=True, text=True, timeout=60)
        if self.config:
            with open(self.folder / "glasspost.conf", "a", encoding="utf-8") as file:
                file.write("\n" + self.config + "\n")

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "--dir", str(self.folder), "serve", "--port-base", str(self.base),
                                             *self.arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            start_new_session=True)
        self.run("ready", "--wait", "30s")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self):
        """-9 to every process of the server at once, as a crash of the machine's user space."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def role_pids(self):
        """{"store": [pid], "gate-mx": [pid], ...} from the supervisor."""
        pids = {}
        for row in self.rows("status"):
            if row["pid"] > 1:  # a role that is being started has none
                pids.setdefault(row["role"], []).append(row["pid"])
        return pids

    def rows(self, *arguments):
        """A listing as Python objects."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def add_account(self, address, password):
        self.run("account", "add", address, "--password-stdin", stdin=password + "\n")

    def port(self, service):
        return self.base + WELL_KNOWN[service]

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def messages(self, address, password=None):
        """Every message of INBOX as POP3 gives it, as bytes with CRLF."""
        box = poplib.POP3("127.0.0.1", self.port("pop3"), timeout=30)
        box._maxline = 1 << 20
        try:
            box.stls(context=insecure_tls())
            box.user(address)
            box.pass_(password or self.accounts[address])
            count, _ = box.stat()
            return [b"".join(line + b"\r\n" for line in box.retr(i + 1)[1]) for i in range(count)]
        finally:
            box.quit()


def insecure_tls():
    import ssl
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def body_of(message):
    """The message without the lines that we add in front (Return-Path and one Received)."""
    fields = []
    rest = message
    while rest.startswith((b"Return-Path:", b"Received:")) and len(fields) < 2:
        end = rest.index(b"\r\n") + 2
        while rest[end:end + 1] in (b" ", b"\t"):
            end = rest.index(b"\r\n", end) + 2
        fields.append(rest[:end])
        rest = rest[end:]
    return rest


def wait_for(condition, seconds=10, what="condition"):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def takes_less_than(seconds, action, tries=3):
    """One of a few tries is that quick: a machine that does other things too makes some of them slow."""
    took = []
    for _ in range(tries):
        begun = time.monotonic()
        action()
        took.append(time.monotonic() - begun)
        if took[-1] < seconds:
            return
    raise AssertionError(f"it took {', '.join(f'{one:.1f}' for one in took)} s; it should take less than {seconds} s")
